"""What `denoscope needed` predicts of images that are not Gaussian against what is measured, how
often its intervals hold it, and what few wide images cost.

The divergence at N = 3d, 5d, 10d of patches of scikit-learn's photographs, beside twins of the same
mean and covariance (Gaussian; multivariate t with 5 degrees of freedom) and a mixture of 10
Gaussians: predicted from N images, measured against all patches or the law itself, on average over
--sets training sets; *holds* is the share of sets whose interval holds that average.

    python benchmarks/needed.py                # the table
    python benchmarks/needed.py --wide 500 64 64   # so many crops of 64 x 64 RGB through the
    command
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_sample_image

from denoscope.cli import main as denoscope
from denoscope.needed.law import kurtosis
from denoscope.needed.sample import leads_of
from denoscope.theory.linear import any_law_kl, kl

Draw = Callable[[int], np.ndarray]
PHOTOS = ("china.jpg", "flower.jpg")


def patches(side: int, photos: tuple[str, ...]) -> np.ndarray:
    """All grey patches of a side, every third pixel, as rows."""
    found = []
    for name in photos:
        grey = load_sample_image(name).mean(2) / 127.5 - 1
        windows = np.lib.stride_tricks.sliding_window_view(grey, (side, side))[::3, ::3]
        found.append(windows.reshape(-1, side * side))
    return np.concatenate(found)


def measured(name: str, draw: Draw, mean: np.ndarray, cov: np.ndarray, sets: int) -> None:
    """A line for each N: predicted over measured, and the share of intervals that hold the mean."""
    d = len(mean)
    line = []
    for times in (3, 5, 10):
        n, seen, said = times * d, [], []
        for _ in range(sets):
            x = draw(n)
            seen.append(float(kl(mean, cov, x.mean(0), np.cov(x.T, bias=True))) / d)
            f = kurtosis(leads_of(torch.from_numpy(x)), d)
            said.append([any_law_kl(d, n, end) for end in (f.low, f.value, f.high)])
        truth, (low, value, high) = np.mean(seen), np.array(said).T
        held = ((low <= truth) & (truth <= high)).mean()
        line.append(f"{truth:.3f} {value.mean() / truth:.2f} {held:.2f}")
    print(f"| {name} | {' | '.join(line)} |", flush=True)


def table(sets: int) -> None:
    """Every law at every N."""
    source = np.random.default_rng(0)
    print("| measured, predicted / measured, holds | 3d | 5d | 10d |\n| --- | --- | --- | --- |")
    for side in (8, 12):
        for photos in (*((photo,) for photo in PHOTOS), PHOTOS):
            rows = patches(side, photos)
            mean, cov = rows.mean(0), np.cov(rows.T, bias=True)
            for law, draw in laws(rows, mean, cov, source).items():
                name = f"{'+'.join(photos).replace('.jpg', '')} {side} × {side}, {law}"
                measured(name, draw, mean, cov, sets)
    clustered(source, sets)


def laws(
    rows: np.ndarray, mean: np.ndarray, cov: np.ndarray, source: np.random.Generator
) -> dict[str, Draw]:
    """The rows themselves and two laws of their mean and covariance."""
    root = np.linalg.cholesky(cov)

    def gaussian(n: int) -> np.ndarray:
        return source.standard_normal((n, len(mean))) @ root.T

    return {
        "patches": lambda n: rows[source.permutation(len(rows))[:n]],
        "Gaussian": lambda n: mean + gaussian(n),
        "t5": lambda n: mean + gaussian(n) * np.sqrt(3 / source.chisquare(5, (n, 1))),
    }


def clustered(source: np.random.Generator, sets: int) -> None:
    """A mixture of 10 Gaussians in 64 dimensions, nine tenths of the variance between them."""
    centres = source.standard_normal((10, 64)) * 3
    mean = centres.mean(0)
    cov = np.cov(centres.T, bias=True) + np.eye(64)

    def draw(n: int) -> np.ndarray:
        return centres[source.integers(10, size=n)] + source.standard_normal((n, 64))

    measured("ten clusters in 64 dimensions", draw, mean, cov, sets)


def wide(count: int, height: int, width: int) -> None:
    """Crops of the photographs through the command: seconds and GiB."""
    source, crops, photos = np.random.default_rng(0), [], [*map(load_sample_image, PHOTOS)]
    for i in range(count):
        photo = photos[i % 2]
        y, x = (source.integers(a - b) for a, b in zip(photo.shape, (height, width)))
        crops.append(photo[y : y + height, x : x + width])
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "crops.npz"
        np.savez(data, images=np.array(crops))
        begun = time.perf_counter()
        denoscope(["needed", "--data", str(data), "--out", folder, "--quiet"])
        spent = time.perf_counter() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{count} images of {height} x {width} RGB: {spent:.1f} s, {peak:.2f} GiB")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", type=int, default=100)
    parser.add_argument("--wide", type=int, nargs=3, metavar=("COUNT", "HEIGHT", "WIDTH"))
    options = parser.parse_args()
    wide(*options.wide) if options.wide else table(options.sets)


if __name__ == "__main__":
    main()
