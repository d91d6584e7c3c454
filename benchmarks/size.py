"""An audit of more images than fit into memory: its time and peak memory beside what the dry run
said. ``--train 20000 --side 128`` is run in full; of larger sets, describe a few and extrapolate.

The images are smooth random scenes with grain, JPEG files of a folder; a tenth of the samples are
near-copies. Everything lies below ``--folder`` and is made once.
"""

from __future__ import annotations

import argparse
import re
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

COPIED = 10  # every tenth sample
SEEDS = {"train": 0, "test": 1 << 24, "gen": 1 << 25}


def scene(seed: int, side: int) -> np.ndarray:
    """A picture (side, side, 3) of 8 bits."""
    draw = np.random.default_rng(seed)
    coarse = Image.fromarray(draw.integers(16, 240, (8, 8, 3), dtype=np.uint8))
    return np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC)) ^ grain(seed, side)


def grain(seed: int, side: int) -> np.ndarray:
    """The three lowest bits, drawn."""
    drawn = np.random.default_rng([seed, 1]).bytes(3 * side * side)
    return (np.frombuffer(drawn, np.uint8) & 7).reshape(side, side, 3)


def picture(role: str, i: int, side: int) -> np.ndarray:
    """Picture i of a set; of the samples every tenth is a training image with other grain."""
    if role == "gen" and i % COPIED == 0:
        return scene(SEEDS["train"] + i, side) ^ grain(i, side)
    return scene(SEEDS[role] + i, side)


def folder(root: Path, role: str, n: int, side: int) -> Path:
    """The set as files, made where it is not there."""
    place = root / f"{role}-{n}-{side}"
    place.mkdir(parents=True, exist_ok=True)
    for i in range(len(list(place.iterdir())), n):
        Image.fromarray(picture(role, i, side)).save(place / f"{i:06d}.jpg", quality=90)
    return place


@dataclass(frozen=True)
class Used:
    """What a command took: seconds on the clock and of processors, and peak memory in GiB."""

    clock: float
    processor: float
    peak: float

    def __str__(self) -> str:
        return f"{self.clock:.0f} s, {self.processor:.0f} s of processor time, {self.peak:.2f} GiB"


def run(words: list[str]) -> tuple[str, Used]:
    """What a command prints, and what it took; what it says meanwhile goes on."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    command = [sys.executable, "-c", "from denoscope.cli import main; raise SystemExit(main())"]
    done = subprocess.run([*command, *words], stdout=subprocess.PIPE, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return done.stdout, Used(time.monotonic() - begun, processor, after.ru_maxrss / 2**20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train", type=int, default=2000)
    parser.add_argument("--gen", type=int, default=500)
    parser.add_argument("--test", type=int, default=500)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--threads", default="1")
    parser.add_argument("--metrics", nargs="*")
    parser.add_argument("--folder", type=Path, default=Path("runs/size"))
    asked = parser.parse_args()
    sets = [
        word
        for role in SEEDS
        for word in (
            f"--{role}",
            str(folder(asked.folder, role, getattr(asked, role), asked.side)),
        )
    ]
    words = ["audit", *sets, "--out", str(asked.folder / "audit"), "--threads", asked.threads]
    words += ["--metrics", *asked.metrics] if asked.metrics else []
    said, used = run([*words, "--dry-run"])
    print(f"{said}dry run: {used}")
    told = re.search(r"in all about (\S+) (s|min|h)", said)
    assert told
    expected = float(told[1]) * {"s": 1, "min": 60, "h": 3600}[told[2]]
    said, used = run(words)
    print(said.partition("\n\n")[0])
    print(f"audit: {used}; {used.processor / expected:.2f} of what was said")


if __name__ == "__main__":
    main()
