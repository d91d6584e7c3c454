"""Second moments of 60 000 images of 784 float32 pixels, in the five folds of `denoscope needed` at
once, against numpy.cov of the whole array.

numpy works on a float64 copy of everything, ours on chunks of 32 MiB. Turns are interleaved, the
ratio is ours over numpy's median time, and both answers are compared before.

    python benchmarks/moments.py
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
import torch
from rivals import versus

from denoscope.data.moments import gather, whole


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=7)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    images = torch.rand(60_000, 1, 28, 28, generator=torch.Generator().manual_seed(0)) * 2 - 1
    folds = torch.arange(len(images)) % 5
    rows = images.flatten(1).numpy()
    ways = {
        "ours": lambda: whole(gather(images, folds, 5)).cov.numpy(),
        "numpy": lambda: np.cov(rows.astype(np.float64), rowvar=False, bias=True),
    }
    assert np.allclose(ways["ours"](), ways["numpy"](), rtol=0, atol=1e-12)
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(asked.turns):
        for name, run in ways.items():
            started = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - started)
    ours, numpy = (statistics.median(times[name]) for name in ways)
    versus(f"second moments of {len(images)} images, five folds", ours, "numpy.cov", numpy)


if __name__ == "__main__":
    main()
