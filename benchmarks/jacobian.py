"""The numerical rank of a U-Net's Jacobian by `denoscope.geometry.ranks.numerical_rank` against
`torch.func.jacrev` and `torch.linalg.svdvals`.

A small U-Net of each shape is trained first (about a minute); the points are noisy training
pictures, some at each noise level. On one thread take turns: ours, all points at once; the rival
and our own dense way (`jacobian` and `svdvals`), one point a turn. The table has the least seconds
a point of each. The rival has frozen parameters and the chunk size that is fastest here; as one
would write it, with all rows at once, it is several times slower and takes gigabytes (``--plain``).
Memory is the growth of the peak resident set in a fresh process each, for one point. Ranks must
agree to within 1.

    OMP_NUM_THREADS=1 python benchmarks/jacobian.py [--shape 28 32] [--sigma 0.5 6 12 20 30]
    [--points 4] [--data fashion_mnist] [--plain]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import torch
import torch.nn.functional as F
from rivals import versus
from torch import Tensor

from denoscope.data import read_images
from denoscope.fitting import draws, training
from denoscope.geometry.field import Field
from denoscope.geometry.jacobians import jacobian
from denoscope.geometry.ranks import Rank, energy_rank, numerical_rank
from denoscope.levels import log_normal
from denoscope.networks import Preconditioned, UNet
from denoscope.random import generator

SHAPES = {28: (1, 28, 28), 32: (3, 32, 32)}
RULES = ("energy", "norm")


def pictures(name: str, shape: tuple[int, ...]) -> Tensor:
    """The set's pictures in that shape: resized, colour made grey or grey put in all channels where
    the numbers of channels differ.
    """
    try:
        data = read_images(name).data
    except ValueError:
        data = read_images("emoji").data
        print(f"{name} is not on this machine: emoji instead")
    data = F.interpolate(data[:20000], shape[1:], mode="bilinear", antialias=True)
    return (
        data
        if data.shape[1] == shape[0]
        else data.mean(1, keepdim=True).expand(-1, shape[0], -1, -1)
    )


def trained(data: Tensor, steps: int) -> Preconditioned:
    """A U-Net of width 16 that predicts x0, trained mostly on the noise levels at which ranks are
    low.
    """
    net = Preconditioned(UNet(data.shape[1:], 16, seed=0), kind="x0")
    source = draws(data, [torch.arange(len(data))], [0], batch=16, levels=log_normal(1.2, 1.2))
    for _ in training(net, source, steps=steps, lr=3e-3, rate="cosine"):
        pass
    return net.requires_grad_(False)


def rival(D: Preconditioned, x: Tensor, sigma: Tensor, chunk: int | None) -> Tensor:
    """All singular values by jacrev."""
    J = torch.func.jacrev(lambda y: D(y[None], sigma[None])[0].flatten(), chunk_size=chunk)(x)
    return torch.linalg.svdvals(J.reshape(x.numel(), x.numel()))


def plain(D: Preconditioned, x: Tensor) -> float:
    """Seconds of the rival as one would write it: all rows at once, with parameters that want
    gradients.
    """
    _, seconds = timed(lambda: rival(D.requires_grad_(True), x, torch.tensor(6.0), None))
    D.requires_grad_(False)
    return seconds


def dense(D: Preconditioned, x: Tensor, sigma: Tensor) -> Tensor:
    return torch.linalg.svdvals(jacobian(D, x, sigma))


def peak(which: str, D: Preconditioned, x: Tensor, sigma: Tensor, chunk: int) -> float:
    """MiB by which the peak resident set of this process (Linux) grows."""
    torch.set_num_threads(1)
    Field(D, x, sigma).value()
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = _resident("VmRSS")
    {
        "ours": lambda: numerical_rank(D, x, sigma),
        "rival": lambda: rival(D, x, sigma, chunk),
        "dense": lambda: dense(D, x, sigma),
    }[which]()
    return _resident("VmHWM") - before


def _resident(name: str) -> float:
    line = next(
        line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name)
    )
    return float(line.split()[1]) / 1024


def peaks(*given: object) -> list[float]:
    """The same for the three ways, each in a process of its own."""
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as pool:
        # - as given
        return [pool.submit(peak, which, *given).result() for which in ("ours", "rival", "dense")]  # pyright: ignore[reportArgumentType]


def timed(way: Callable[[], Tensor]) -> tuple[Tensor, float]:
    start = time.perf_counter()
    return way(), time.perf_counter() - start


def measure(D: Preconditioned, x: Tensor, sigma: Tensor, chunk: int) -> list[str]:
    """A line for each rule at one noise level, points x (b, *shape), sigma (b,)."""
    found, seconds, true = (
        {},
        {rule: float("inf") for rule in RULES} | {"rival": float("inf"), "dense": float("inf")},
        [],
    )
    for point, level in zip(x, sigma):
        for rule in RULES:
            start = time.perf_counter()
            found[rule] = numerical_rank(D, x, sigma, rule=rule)
            seconds[rule] = min(seconds[rule], (time.perf_counter() - start) / len(x))
        S, taken = timed(lambda point=point, level=level: rival(D, point, level, chunk))
        true.append(S)
        seconds["rival"] = min(seconds["rival"], taken)
        seconds["dense"] = min(
            seconds["dense"], timed(lambda point=point, level=level: dense(D, point, level))[1]
        )
    what = f"rank of a Jacobian of {x[0].numel()} pixels, sigma {float(sigma[0]):g}, a point"
    versus(what, seconds["energy"], "torch jacrev and svdvals", seconds["rival"])
    memory = peaks(D, x[0], sigma[0], chunk)
    return [
        line(
            float(sigma[0]),
            rule,
            energy_rank(torch.stack(true), rule=rule),
            found[rule],
            seconds,
            memory,
        )
        for rule in RULES
    ]


def line(
    sigma: float,
    rule: str,
    true: Tensor,
    found: Rank,
    seconds: dict[str, float],
    memory: list[float],
) -> str:
    assert ((found.rank - true).abs() <= 1).all(), (
        f"ranks {found.rank.tolist()} against {true.tolist()}"
    )
    ratios = [
        f"{seconds[way]:>7.2f} {seconds[way] / seconds[rule]:>6.1f}" for way in ("rival", "dense")
    ]
    ranks = [f"{int(part.min())}-{int(part.max())}" for part in (true, found.rank)]
    return (
        f"{sigma:>6g} {rule:>6} {ranks[0]:>8} {ranks[1]:>8} "
        f"{int(found.dense.sum()):>5}/{len(true)} "
        f"{float(found.products.float().mean()):>8.0f}"
        f" {seconds[rule]:>6.2f} {ratios[0]} {ratios[1]} {memory[0]:>6.0f} "
        f"{memory[1]:>6.0f} {memory[2]:>6.0f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shape", type=int, nargs="+", choices=list(SHAPES), default=list(SHAPES))
    parser.add_argument("--sigma", type=float, nargs="+", default=[0.5, 6.0, 12.0, 20.0, 30.0])
    parser.add_argument("--points", type=int, default=4)
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--chunk", type=int, default=16, help="rows at once of the rival")
    parser.add_argument(
        "--plain",
        action="store_true",
        help="time the rival's plain form too, all rows at once; gigabytes",
    )
    parser.add_argument("--data", default="fashion_mnist")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for shape in (SHAPES[side] for side in options.shape):
        data = pictures(options.data, shape)
        start = time.perf_counter()
        D = trained(data, options.steps)
        print(
            f"torch {torch.__version__}, 1 thread, U-Net {shape} of width 16, "
            f"{options.data}, trained {time.perf_counter() - start:.0f} s"
        )
        if options.plain:
            print(f"the rival in its plain form at the first point: {plain(D, data[0]):.1f} s")
        print(
            "                    rank       dense    mean    seconds a point             "
            "      growth of peak, MiB"
        )
        print(
            " sigma   rule    rival     ours   way products   ours   rival  /ours   "
            "dense  /ours   ours  rival  dense"
        )
        for place, level in enumerate(options.sigma):
            x, sigma = data[: options.points], torch.full((options.points,), level)
            x = x + level * torch.randn(x.shape, generator=generator(1, place))
            for row in measure(D, x, sigma, options.chunk):
                print(row, flush=True)


if __name__ == "__main__":
    main()
