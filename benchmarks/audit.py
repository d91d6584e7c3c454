"""Time and memory of all copy metrics of one descriptor, beside torch's cdist with top-k and beside
prdc's k-nearest neighbours.

    python benchmarks/audit.py                                              # 10 000 samples, 50 000
    training rows, 512 numbers: about 2 minutes python benchmarks/audit.py --gen 1000 --train 5000
    --test 500 --dim 64  # seconds

Features lie in files and are mapped into memory. All copy metrics: nearest and second nearest
training row by the star rule of samples, held-out rows and planted copies, leave-one-out of the
training set, near-duplicates, threshold, excess, the 1/3 rule both ways, authenticity. The rivals
do a part of that: cdist with top-k the samples' nearest rows alone, prdc radii of rows within one
set alone. Rivals take turns, so that a busy machine slows all of them, and ratios are of their
fastest rounds; processor seconds tell what a busy machine adds.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from nearest import clock, growth
from rivals import missing, versus
from torch import Tensor

from denoscope.audit.evidence.by_descriptor import descriptor_evidence
from denoscope.audit.evidence.planted_copies import plant_features
from denoscope.metrics.balls import radii
from denoscope.nearest import neighbors

SECONDS, MEMORY, CDIST, PRDC = 60.0, 1.5 * 2**30, 1.0, 2.5
"""The targets at full size on two cores: seconds and bytes at most, and how many times our time the
rivals take at least.
"""
PLANTED, HALF = 300, 32


def mapped(
    folder: Path, name: str, rows: int, dim: int, basis: Tensor, source: torch.Generator
) -> Tensor:
    """Rows of a law of few dimensions with noise, in a file that is mapped into memory."""
    array = np.lib.format.open_memmap(
        folder / f"{name}.npy", mode="w+", dtype=np.float32, shape=(rows, dim)
    )
    for start in range(0, rows, 4096):
        count = min(4096, rows - start)
        noise = 0.1 * torch.randn(count, dim, generator=source)
        array[start : start + count] = (
            torch.randn(count, len(basis), generator=source) @ basis + noise
        )
    array.flush()
    return torch.from_numpy(np.load(folder / f"{name}.npy", mmap_mode="r+"))


def whole(query: Tensor, bank: Tensor, k: int) -> Tensor:
    """The full matrix of distances, then top-k."""
    return torch.cdist(query, bank).topk(k, largest=False).values


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, value in {
        "gen": 10_000,
        "train": 50_000,
        "test": 5_000,
        "dim": 512,
        "threads": 2,
        "rounds": 2,
        "prdc": 10_000,
    }.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--kind", choices=["ratio", "cosine"], default="cosine")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    source = torch.Generator().manual_seed(0)
    basis = torch.randn(HALF, options.dim, generator=source) / HALF**0.5
    with tempfile.TemporaryDirectory() as folder:
        sets = {
            name: mapped(Path(folder), name, getattr(options, name), options.dim, basis, source)
            for name in ("gen", "train", "test")
        }
        counts = (
            f"{len(sets['gen'])} samples, {len(sets['train'])} training and "
            f"{len(sets['test'])} held-out rows"
        )
        print(
            f"{counts} of {options.dim} numbers, {options.kind}, {options.threads} "
            f"threads; load before: {os.getloadavg()[0]:.1f}"
        )
        everything(sets, options.kind)
        against_cdist(sets["gen"], sets["train"], options.rounds)
        against_prdc(sets["train"][: options.prdc], options.rounds)


def everything(sets: dict[str, Tensor], kind: str) -> None:
    planted = plant_features(sets["train"], min(PLANTED, len(sets["train"])), 0)
    ours = partial(
        descriptor_evidence,
        "rows",
        kind,
        {},
        sets,
        planted,
        quantile=0.01,
    )
    seconds, before = [], time.process_time()
    memory = growth(lambda: seconds.append(clock(ours)))
    used = time.process_time() - before
    print(
        f"all copy metrics of one descriptor: {seconds[0]:.1f} s ({used:.1f} processor "
        f"seconds), {met(seconds[0] <= SECONDS)} (at most {SECONDS:g})"
    )
    print(
        f"  extra memory {memory / 2**20:.0f} MiB, {met(memory <= MEMORY)} (at most "
        f"{MEMORY / 2**20:.0f})"
    )


def against_cdist(gen: Tensor, train: Tensor, rounds: int) -> None:
    rivals = {
        "denoscope": lambda: neighbors(gen, train, 2),
        "cdist + topk": lambda: whole(gen, train, 2),
    }
    what = f"two nearest training rows of {len(gen)} samples"
    ratio = turns(what, rivals, "torch cdist and topk", rounds)
    print(f"  {ratio:.2f} times our time, {met(ratio >= CDIST)} (at least {CDIST:g})")
    for rows in (gen, train):
        print(
            f"  cdist's matrix for {len(rows)} x {len(train)} rows: "
            f"{4 * len(rows) * len(train) / 2**30:.1f} GiB"
        )


def against_prdc(rows: Tensor, rounds: int) -> None:
    try:
        from prdc.prdc import compute_nearest_neighbour_distances
    except ImportError:
        missing("distance to the 5th neighbour", "prdc", "pip install prdc")
        return
    theirs = rows.numpy()
    rivals = {
        "denoscope": lambda: radii(rows, 5),
        "prdc": lambda: compute_nearest_neighbour_distances(theirs, 5),
    }
    what = f"distance to the 5th neighbour within {len(rows)} rows"
    ratio = turns(what, rivals, "prdc", rounds)
    print(f"  {ratio:.2f} times our time, {met(ratio >= PRDC)} (at least {PRDC:g})")


def met(kept: bool) -> str:
    return "target met" if kept else "TARGET MISSED"


def turns(what: str, rivals: dict[str, Callable[[], object]], rival: str, rounds: int) -> float:
    """The fastest of some rounds each, taken in turns; the second over the first."""
    times, used = {name: [] for name in rivals}, {name: [] for name in rivals}
    for _ in range(rounds):
        for name, call in rivals.items():
            before = time.process_time()
            times[name].append(clock(call))
            used[name].append(time.process_time() - before)
    print(what)
    for name in rivals:
        print(f"  {name:14s} {min(times[name]):8.2f} s   {min(used[name]):8.2f} processor seconds")
    ours, other = (min(values) for values in times.values())
    versus(what, ours, rival, other)
    return other / ours


if __name__ == "__main__":
    main()
