"""Training throughput of a fleet against one-at-a-time plain PyTorch: the same network, batch, loss
and Adam(fused=True), on one thread.

The rival is the standard loop for one network: index the data, draw levels and noise, loss,
backward, step. The fleet goes through `denoscope.fitting.training` with all that it does besides (a
seed for each member, watching for losses that are not finite, progress). Both run in turns in one
process; the table gives model-steps a second and the median over turns of the ratio.

    OMP_NUM_THREADS=1 python benchmarks/fleet.py [--width 32 64 128] [--members 6] [--turns 9]
    [--device cuda]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from rivals import versus
from sklearn.datasets import load_digits
from torch import Tensor

from denoscope.fitting import draws, training
from denoscope.levels import log_normal
from denoscope.networks import MLP, Fleet, Preconditioned, best_size

LEVELS = log_normal(-0.8, 1.2)


def denoiser(width: int, seed: int) -> Preconditioned:
    return Preconditioned(MLP((1, 8, 8), width, seed=seed))


def plain(width: int, data: Tensor, batch: int, fused: bool) -> Callable[[int], None]:
    """The rival: `run(steps)` trains one network as a tutorial would, everything on the device of
    ``data``.
    """
    D = denoiser(width, 0).to(data.device)
    optimizer = torch.optim.Adam(D.parameters(), lr=1e-3, fused=fused or None)

    def run(steps: int) -> None:
        for _ in range(steps):
            x0 = data[torch.randint(len(data), (batch,), device=data.device)]
            sigma = (torch.randn(batch, device=data.device) * 1.2 - 0.8).exp()
            x = x0 + sigma[:, None, None, None] * torch.randn_like(x0)
            loss = (D.weight(sigma) * (D(x, sigma) - x0).square().mean((1, 2, 3))).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return run


def fleet(width: int, data: Tensor, batch: int, members: int) -> Callable[[int], None]:
    """`run(steps)` trains ``members`` networks for so many steps each."""
    net = Fleet([denoiser(width, seed) for seed in range(members)]).to(data.device)
    source = draws(
        data.cpu(), [torch.arange(len(data))] * members, range(members), batch=batch, levels=LEVELS
    )

    def run(steps: int) -> None:
        for _ in training(net, source, steps=steps):
            pass

    return run


def seconds(run: Callable[[int], None], steps: int, device: str) -> float:
    """Time of a model-step."""
    start = time.perf_counter()
    run(steps)
    if device != "cpu":
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / steps


def measure(width: int, members: int, batch: int, turns: int, device: str) -> str:
    data = torch.tensor(load_digits().images / 8 - 1, dtype=torch.float32, device=device).unsqueeze(
        1
    )
    many, one, default = (
        fleet(width, data, batch, members),
        plain(width, data, batch, True),
        plain(width, data, batch, False),
    )
    steps = max(
        100, 1200 // members
    )  # the cost of starting a training is then small, as it is in use
    for run in (many, one, default):
        run(10)
    times = [
        (
            seconds(many, steps, device) / members,
            seconds(one, 200, device),
            seconds(default, 200, device),
        )
        for _ in range(turns)
    ]
    speeds = [1 / statistics.median(column) for column in zip(*times)]
    what = f"training of {members} networks of width {width}"
    rival = "torch loop, Adam(fused=True)"
    versus(what, speeds[0], rival, speeds[1], "steps/s", better="more")
    ratios = [statistics.median(t[k] / t[0] for t in times) for k in (1, 2)]
    return (
        f"{width:>5} {members:>7} {speeds[0]:>9.0f} {speeds[1]:>9.0f} "
        f"{speeds[2]:>9.0f} {ratios[0]:>10.2f} {ratios[1]:>12.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--width", type=int, nargs="+", default=[32, 64, 128])
    parser.add_argument(
        "--members",
        type=int,
        nargs="+",
        default=None,
        help="fleet sizes (default: the best size of each width)",
    )
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(
        f"torch {torch.__version__}, {options.device}, 1 thread, digits 8 x 8, batch "
        f"{options.batch}; model-steps a second, median of {options.turns}"
    )
    print("width members     fleet     plain plain/def. fleet/plain fleet/default")
    for width in options.width:
        for members in options.members or [best_size(denoiser(width, 0))]:
            print(measure(width, members, options.batch, options.turns, options.device), flush=True)


if __name__ == "__main__":
    main()
