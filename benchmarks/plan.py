"""Is a planned sweep as fast as the better of its two rivals: everything in fleets, or one cell a
job?

The same cells are measured three ways, each on one single-threaded process a core and into a fresh
store: as the study plans them, with every capacity as one fleet, and one by one. The ratio is
planned over the better rival; at most about 1 is what the plan promises. Turns are interleaved, so
that a busy machine slows all three.

    python benchmarks/plan.py                       # about two minutes on 2 cores
    python benchmarks/plan.py --net unet --width 8  # 8 x 8 U-Nets
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rivals import versus

from denoscope import grid, run
from denoscope.execute import processes
from denoscope.studies.phase_transition import PhaseTransition


@dataclass(frozen=True, kw_only=True)
class Alone(PhaseTransition):
    """One cell a job."""

    @classmethod
    def plan(cls, cells: Sequence[Any]) -> list[list[Any]]:
        return [[cell] for cell in cells]


@dataclass(frozen=True, kw_only=True)
class Fleets(PhaseTransition):
    """One fleet a width and process."""

    @classmethod
    def plan(cls, cells: Sequence[Any]) -> list[list[Any]]:
        widths = sorted({cell.width for cell in cells})
        return [
            [cell for cell in cells if cell.width == width and cell.subset == subset]
            for width in widths
            for subset in (0, 1)
        ]


def seconds(study: type[PhaseTransition], axes: dict[str, Any]) -> float:
    """Wall time of the sweep in a fresh store."""
    with tempfile.TemporaryDirectory() as store:
        start = time.perf_counter()
        run(grid(study, **axes), store, processes())
        return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--net", default="mlp", choices=["mlp", "unet"])
    parser.add_argument("--width", type=int, nargs="+", default=[32, 64, 128])
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    axes = {
        "n": [8, 32, 128, 512],
        "width": options.width,
        "subset": [0, 1],
        "seed": [0, 1],
        "net": options.net,
        "steps": options.steps,
        "samples": 50,
    }
    rivals = {"planned": PhaseTransition, "fleets": Fleets, "alone": Alone}
    turns = [
        {name: seconds(study, axes) for name, study in rivals.items()} for _ in range(options.turns)
    ]
    for name in rivals:
        print(
            f"{name:<8} {statistics.median(turn[name] for turn in turns):7.1f} s   turns "
            + " ".join(f"{turn[name]:.1f}" for turn in turns)
        )
    ratios = [turn["planned"] / min(turn["fleets"], turn["alone"]) for turn in turns]
    print(f"planned / better rival: {statistics.median(ratios):.2f}")
    planned, fleets, alone = (statistics.median(turn[name] for turn in turns) for name in rivals)
    versus("a planned sweep", planned, "the better of fleets and single cells", min(fleets, alone))


if __name__ == "__main__":
    main()
