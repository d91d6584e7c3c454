"""How often the 95 % interval of N* holds the truth, by simulation, with few training runs a size.

GLc of a run is a logistic curve in log2 N around its own midpoint, which scatters by half an octave
between runs; N* of the population is 64.

    python benchmarks/coverage.py --runs 2 4 10
"""

from __future__ import annotations

import argparse

import numpy as np

from denoscope.metrics import TrainingRun, transition_point

SIZES = (8, 16, 32, 64, 128, 256, 512)
MIDPOINT, SCATTER, STEEPNESS, P_TEST, SAMPLES = 6.0, 0.5, 2.0, 0.05, 1000


def simulated(runs: int, source: np.random.Generator) -> list[TrainingRun]:
    """One sweep: at every size ``runs`` trainings with midpoints of their own."""
    found = []
    for size in SIZES:
        for seed in range(runs):
            curve = 1 / (
                1
                + np.exp(
                    -STEEPNESS * (np.log2(size) - MIDPOINT - SCATTER * source.standard_normal())
                )
            )
            copies = source.binomial(SAMPLES, 1 - curve * (1 - P_TEST))
            found.append(TrainingRun(size, 0, seed, copies / SAMPLES, P_TEST, SAMPLES))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, nargs="+", default=[2, 4, 10])
    parser.add_argument("--sweeps", type=int, default=400)
    options = parser.parse_args()
    for runs in options.runs:
        source = np.random.default_rng(runs)
        points = [
            transition_point(simulated(runs, source), draws=1000, seed=sweep).point
            for sweep in range(options.sweeps)
        ]
        held = np.mean([point.low <= 2**MIDPOINT <= point.high for point in points])
        print(
            f"{runs:>3} runs a size: the nominal 95 % interval of N* holds the truth in "
            f"{held:.2f} of {options.sweeps} simulated sweeps"
        )


if __name__ == "__main__":
    main()
