"""How often the 95 % intervals of the main job hold the truth, by simulation of whole sweeps.

A sample is a copy with a probability that falls with log2 N around a midpoint of its own: that of
its width, moved by the training subset (shared by all widths), by both together, and by the
training run. Held-out images and noises are drawn once a sweep and shared by all models. So every
interval is asked what it claims: GLc of one run over hold-outs and samples; curves, N*, N° and the
ratio of N* of neighbouring widths over training subsets, runs, hold-outs and samples.

    python benchmarks/coverage.py --subsets 2 4 --sweeps 300
"""

from __future__ import annotations

import argparse
import time
from itertools import pairwise, product

import numpy as np
import torch
from scipy.stats import norm

from denoscope.estimate import Estimate
from denoscope.metrics import calibrated, nearness_of
from denoscope.metrics.crossings import rises
from denoscope.metrics.novelty import TAIL
from denoscope.metrics.transition import curves, sides, transitions
from denoscope.readings import Quantity, Reading, Readings

SIZES, MIDPOINTS = (16, 32, 64, 128, 256, 512), {32: 6.0, 64: 6.8, 128: 7.6}
SHARED, OWN, RUN, STEEPNESS = 0.15, 0.1, 0.1, 2.0
SAMPLES, HELD, COPY = 300, 150, 5.0
NAMES = ("similarity", "nearer", "as_near", "farther", "curve", "n_star", "n_middle", "growth")
QUANTITIES = {name: Quantity(name) for name in NAMES}


def shares(subsets: int, seeds: int, source: np.random.Generator) -> dict[int, np.ndarray]:
    """The share of copies of every run by width, (sizes, subsets, seeds)."""
    common = SHARED * source.standard_normal((1, subsets, 1))
    found = {}
    for width, middle in MIDPOINTS.items():
        moved = common + OWN * source.standard_normal((1, subsets, 1))
        moved = moved + RUN * source.standard_normal((len(SIZES), subsets, seeds))
        logs = np.log2(SIZES)[:, None, None]
        found[width] = 1 / (1 + np.exp(STEEPNESS * (logs - middle - moved)))
    return found


def simulated(copies: dict[int, np.ndarray], source: np.random.Generator) -> Readings:
    """The similarities of a sweep with these shares of copies."""
    chance, base = source.random(SAMPLES), source.standard_normal(SAMPLES)
    held = source.standard_normal(HELD)
    found = []
    for i, subset in product(range(len(SIZES)), range(next(iter(copies.values())).shape[1])):
        test = np.sqrt(0.8) * held + np.sqrt(0.2) * source.standard_normal(HELD)
        for width, seed in product(copies, range(copies[32].shape[2])):
            at = {"n": SIZES[i], "width": width, "subset": subset, "seed": seed}
            fresh = np.sqrt(0.5) * (base + source.standard_normal(SAMPLES))
            gen = fresh + COPY * (chance < copies[width][i, subset, seed])
            found.append(Reading("similarity", {**at, "images": "gen"}, gen))
            found.append(Reading("similarity", {**at, "images": "test"}, test))
    return Readings(found, QUANTITIES)


def expected(copies: np.ndarray) -> dict[str, np.ndarray]:
    """GLc and nearness where such a share are copies."""
    threshold = norm.isf(TAIL)
    near = copies * norm.sf(threshold - COPY) + (1 - copies) * TAIL
    closer = copies * norm.cdf(COPY / np.sqrt(2)) + (1 - copies) / 2
    return {"curve": (1 - near) / (1 - TAIL), "as_near": closer}


def truths(seeds: int) -> dict[tuple[str, object], float]:
    """The means over training subsets and runs, from many of these without any sampling."""
    copies = shares(4000, seeds, np.random.default_rng(1))
    found: dict[tuple[str, object], float] = {}
    for width, each in copies.items():
        curve, near = (expected(each)[name].mean(2).T for name in ("curve", "as_near"))
        for i, n in enumerate(SIZES):
            found["curve", (width, n)] = float(curve[:, i].mean())
            found["as_near", (width, n)] = float(near[:, i].mean())
        found["n_star", width] = float(rises(SIZES, curve).mean())
    for one, two in pairwise(copies):
        found["growth", (one, two)] = found["n_star", two] - found["n_star", one]
    return found


def holds(e: Estimate, truth: float) -> bool:
    return e.low <= truth <= e.high


def sweep(
    subsets: int, seeds: int, truth: dict[tuple[str, object], float], seed: int
) -> dict[str, list[bool]]:
    """Which intervals of one simulated sweep hold the truth, by quantity."""
    source = np.random.default_rng([subsets, seeds, seed])
    copies = shares(subsets, seeds, source)
    found = simulated(copies, source)
    drawn = sides(found, draws=300)
    hits: dict[str, list[bool]] = {"GLc of a run": []}
    for r in found.of(images="gen", subset=0, seed=0):
        i, at = SIZES.index(r.at["n"]), {k: v for k, v in r.at.items() if k != "images"}
        test = found.of(images="test", **at).one
        e = calibrated(nearness_of(torch.as_tensor(-r.value), torch.as_tensor(-test)).near)
        known = expected(copies[r.at["width"]][i, 0, 0])["curve"]
        hits["GLc of a run"].append(holds(e, float(known)))
    for r in curves(drawn, SAMPLES).of("curve", "as_near").estimates():
        name = {"curve": "GLc, mean over subsets", "as_near": "nearness, mean over subsets"}[r.name]
        place = (r.at["width"], r.at["n"])
        hits.setdefault(name, []).append(holds(r.value, truth[r.name, place]))
    for r in transitions(drawn).of("n_star", "growth").estimates():
        name = {"n_star": "N*", "growth": "ratio of N*"}[r.name]
        hits.setdefault(name, []).append(holds(r.value, 2 ** truth[r.name, r.at["width"]]))
    return hits


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--subsets", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--sweeps", type=int, default=300)
    options = parser.parse_args()
    for subsets in options.subsets:
        started, truth = time.perf_counter(), truths(options.seeds)
        each = [sweep(subsets, options.seeds, truth, seed) for seed in range(options.sweeps)]
        print(
            f"{subsets} subsets x {options.seeds} seeds, {options.sweeps} sweeps, "
            f"{time.perf_counter() - started:.0f} s: nominal 95 % intervals hold the truth in"
        )
        for name in each[0]:
            print(f"  {np.mean([hit for one in each for hit in one[name]]):.3f}  {name}")


if __name__ == "__main__":
    main()
