"""How far a consistency model is from the flow map that it should be, against training steps:
trained on images of a Gaussian alone, and distilled from its denoiser.

The Gaussian is that of the digits, so that the flow map is known in closed form
(`denoscope.theory.linear.flow_map`). Distances are root mean squared over the same noises and all
pixels, a share of the standard deviation of its images; intervals by t over networks. Beside them
the posterior mean in the flow map's place, and the flow itself by some steps of Heun's method,
which call a denoiser twice each.

    python benchmarks/consistency.py [--steps 250 500 1000 2000 4000] [--networks 3]
"""

from __future__ import annotations

import argparse

import torch
from torch import Tensor

from denoscope import estimate
from denoscope.data.embedded import digits
from denoscope.distributions import Gaussian
from denoscope.fitting import ConsistencyLoss, draws, training
from denoscope.levels import karras, log_uniform
from denoscope.networks import MLP, Averaged, Fleet, Preconditioned
from denoscope.networks.precondition import CONSISTENT_FROM
from denoscope.random import Seeds
from denoscope.sampling import sample
from denoscope.theory.linear import flow_map
from denoscope.types import Denoiser

HIGH, NOISES, BATCH, WIDTH = 80.0, 1000, 64, 128
LAW = Gaussian.from_data(digits().data.flatten(1).double(), ridge=1e-3)
DATA = LAW.sample(20_000, torch.Generator().manual_seed(0)).float()
NOISE = Seeds(range(NOISES)).randn((DATA.shape[1],))


def flow_ends() -> Tensor:
    """Where the flow carries every noise."""
    end = flow_map(LAW.mean, LAW.cov, HIGH, CONSISTENT_FROM)
    return (end.offset + NOISE.double() @ end.matrix.T).float()


def apart(ends: Tensor) -> float:
    """Root mean squared distance to where the flow ends, over the standard deviation of images."""
    return float((ends - flow_ends()).square().mean().sqrt() / DATA.std(0).square().mean().sqrt())


@torch.no_grad()
def answers(f: Denoiser) -> Tensor:
    """What f makes of every noise in one step."""
    return f(HIGH * NOISE, torch.tensor(HIGH))


def networks(steps: int, count: int, teacher: Denoiser | None) -> list[float]:
    """The distances of ``count`` networks after so many steps."""
    made = [MLP((DATA.shape[1],), WIDTH, seed=seed) for seed in range(count)]
    fleet = Fleet([Preconditioned(net, "consistency", float(DATA.std())) for net in made])
    averaged = Averaged(fleet, 0.99)
    rows = [torch.arange(len(DATA))] * count
    levels = log_uniform(CONSISTENT_FROM, HIGH)
    drawn = draws(DATA, rows, list(range(count)), batch=BATCH, levels=levels)
    loss = ConsistencyLoss(steps, teacher, last=160)
    for _ in training(
        fleet, drawn, steps=steps, lr=4e-3, rate="one_cycle", ema=averaged, loss=loss
    ):
        pass
    assert isinstance(averaged.net, Fleet)
    return [apart(answers(f)) for f in averaged.net.members()]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, nargs="+", default=[250, 500, 1000, 2000, 4000])
    parser.add_argument("--networks", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("distance to the flow map, over the standard deviation of images")
    print(f"the posterior mean in its place: {apart(answers(LAW)):.3f}")
    for count in (2, 4, 8, 16):
        print(f"{count} steps of Heun: {apart(sample(LAW, HIGH * NOISE, karras(count))):.3f}")
    print(f"{'steps':>6} {'trained':>22} {'distilled':>22}")
    for steps in options.steps:
        cells = [
            estimate.mean(networks(steps, options.networks, teacher)) for teacher in (None, LAW)
        ]
        told = " ".join(f"{e.value:>8.3f} [{e.low:.3f}, {e.high:.3f}]" for e in cells)
        print(f"{steps:>6} {told}", flush=True)


if __name__ == "__main__":
    main()
