"""Time and memory of all copy metrics of one descriptor, beside torch's cdist with top-k and beside prdc's k-nearest neighbours.

    python benchmarks/audit.py                                            # 10 000 samples, 50 000 training rows, 512 numbers: about 3 minutes
    python benchmarks/audit.py --gen 1000 --train 5000 --test 500 --dim 64  # seconds

Features lie in files and are mapped into memory. Copy metrics: nearest and second nearest training row by the star rule of samples, held-out
rows and planted copies; leave-one-out of the training set; near-duplicates; threshold, excess, the 1/3 rule both ways, authenticity.
The rivals do a part of that: cdist + topk only the samples' nearest rows, prdc only radii of rows within one set.
"""

from __future__ import annotations

import argparse
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import torch
from denoscope.audit.evidence import weigh
from denoscope.audit.planting import plant_features
from nearest import clock, growth
from torch import Tensor

from denoscope.metrics.balls import radii
from denoscope.nearest import neighbors


def mapped(folder: Path, name: str, rows: int, dim: int, basis: Tensor, source: torch.Generator) -> Tensor:
    """Rows of a 32-dimensional law with noise, in a file that is mapped into memory."""
    array = np.lib.format.open_memmap(folder / f"{name}.npy", mode="w+", dtype=np.float32, shape=(rows, dim))
    for start in range(0, rows, 4096):
        count = min(4096, rows - start)
        array[start : start + count] = torch.randn(count, len(basis), generator=source) @ basis + 0.1 * torch.randn(
            count, dim, generator=source
        )
    array.flush()
    return torch.from_numpy(np.load(folder / f"{name}.npy", mmap_mode="r+"))


def whole(query: Tensor, bank: Tensor, k: int) -> Tensor:
    """The full matrix of distances, then top-k."""
    return torch.cdist(query, bank).topk(k, largest=False).values


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in {"gen": 10_000, "train": 50_000, "test": 5_000, "dim": 512, "threads": 2, "rounds": 2, "prdc": 10_000}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--kind", choices=["ratio", "cosine"], default="cosine")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    source = torch.Generator().manual_seed(0)
    basis = torch.randn(32, options.dim, generator=source) / 32**0.5
    with tempfile.TemporaryDirectory() as folder:
        sets = {name: mapped(Path(folder), name, getattr(options, name), options.dim, basis, source) for name in ("gen", "train", "test")}
        compare(sets, options)


def compare(sets: dict[str, Tensor], options: argparse.Namespace) -> None:
    gen, train = sets["gen"], sets["train"]
    print(
        f"{len(gen)} samples, {len(train)} training and {len(sets['test'])} held-out rows of {options.dim} numbers, {options.threads} threads"
    )
    planted = plant_features(train, 300, 0)
    ours = partial(weigh, "rows", options.kind, {}, sets, planted, false_alarm=0.01, quantile=0.01, seed=0)
    seconds = []
    memory = growth(lambda: seconds.append(clock(ours)))
    print(f"all copy metrics of one descriptor: {seconds[0]:.1f} s, extra memory {memory / 2**20:.0f} MiB")

    part = {"denoscope": lambda: neighbors(gen, train, 2), "cdist + topk": lambda: whole(gen, train, 2)}
    turns(f"two nearest training rows of {len(gen)} samples", part, options.rounds)
    needed = 4 * len(train) ** 2 / 2**30
    print(f"(within the training set cdist's matrix would take {needed:.1f} GiB; the {seconds[0]:.1f} s above include that pass)")

    rows = train[: options.prdc]
    try:
        from prdc.prdc import compute_nearest_neighbour_distances
    except ImportError:
        print("prdc is not installed: pip install prdc")
        return
    theirs = rows.numpy()
    turns(
        f"distance to the 5th neighbour within {len(rows)} rows",
        {"denoscope": lambda: radii(rows, 5), "prdc": lambda: compute_nearest_neighbour_distances(theirs, 5)},
        options.rounds,
    )


def turns(what: str, rivals: dict, rounds: int) -> None:
    """The fastest of some rounds each, taken in turns."""
    times = {name: [] for name in rivals}
    for _ in range(rounds):
        for name, call in rivals.items():
            times[name].append(clock(call))
    best = {name: min(values) for name, values in times.items()}
    print(what)
    for name, seconds in best.items():
        print(f"  {name:14s} {seconds:8.2f} s   {seconds / best['denoscope']:.2f} x denoscope's")


if __name__ == "__main__":
    main()
