"""The numerical rank of a U-Net's Jacobian by `denoscope.geometry.ranks.numerical_rank` against `torch.func.jacrev` and `torch.linalg.svdvals`.

A small U-Net of each shape is trained first (about a minute); then each point is one noisy training picture. Three ways take turns on the same model
and points, on one thread, the best of several turns each: ours; the rival, whose chunk size is the fastest found here (all rows at once are slower and
take gigabytes); and our own dense way, `jacobian` and `svdvals`. Memory is the growth of the peak resident set in a fresh process each.

    OMP_NUM_THREADS=1 python benchmarks/jacobian.py [--shape 28 32] [--sigma 0.5 6 12 20 30] [--turns 3] [--data fashion_mnist]
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import torch
import torch.nn.functional as F
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
    """The set's pictures in that shape: resized, grey ones in all channels."""
    try:
        data = read_images(name).data
    except ValueError:
        data = read_images("emoji").data
        print(f"{name} is not on this machine: emoji instead")
    return F.interpolate(data[:20000], shape[1:], mode="bilinear", antialias=True).mean(1, keepdim=True).expand(-1, shape[0], -1, -1)


def trained(data: Tensor, steps: int) -> Preconditioned:
    """A U-Net of width 16 that predicts x0, trained mostly on the noise levels at which ranks are low."""
    net = Preconditioned(UNet(data.shape[1:], 16, seed=0), kind="x0")
    source = draws(data, [torch.arange(len(data))], [0], batch=16, levels=log_normal(1.2, 1.2))
    for _ in training(net, source, steps=steps, lr=3e-3, rate="cosine"):
        pass
    return net.requires_grad_(False)


def ours(D: Preconditioned, x: Tensor, sigma: Tensor, rule: str) -> Rank:
    return numerical_rank(D, x, sigma, rule=rule)


def rival(D: Preconditioned, x: Tensor, sigma: Tensor, chunk: int) -> Tensor:
    """All singular values by jacrev."""
    J = torch.func.jacrev(lambda y: D(y[None], sigma[None])[0].flatten(), chunk_size=chunk)(x)
    return torch.linalg.svdvals(J.reshape(x.numel(), x.numel()))


def dense(D: Preconditioned, x: Tensor, sigma: Tensor) -> Tensor:
    return torch.linalg.svdvals(jacobian(D, x, sigma))


def peak(which: str, D: Preconditioned, x: Tensor, sigma: Tensor, chunk: int) -> float:
    """MiB by which the peak resident set of this process grows."""
    torch.set_num_threads(1)
    Field(D, x, sigma).value()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    {"ours": lambda: ours(D, x, sigma, "energy"), "rival": lambda: rival(D, x, sigma, chunk), "dense": lambda: dense(D, x, sigma)}[which]()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def peaks(*given: object) -> list[float]:
    """The same for the three ways, each in a process of its own."""
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as pool:
        return [pool.submit(peak, which, *given).result() for which in ("ours", "rival", "dense")]  # pyright: ignore[reportArgumentType] - as given


def best(ways: list[Callable[[], object]], turns: int) -> tuple[list[object], list[float]]:
    """Answers and least seconds of each way, taken in turns."""
    answers, seconds = [way() for way in ways[:1]] + [None] * (len(ways) - 1), [float("inf")] * len(ways)
    for _ in range(turns):
        for i, way in enumerate(ways):
            start = time.perf_counter()
            answers[i] = way()
            seconds[i] = min(seconds[i], time.perf_counter() - start)
    return answers, seconds


def measure(D: Preconditioned, x: Tensor, sigma: Tensor, turns: int, chunk: int) -> list[str]:
    """A line for each rule at one point."""
    ways = [*(lambda rule=rule: ours(D, x, sigma, rule) for rule in RULES), lambda: rival(D, x, sigma, chunk), lambda: dense(D, x, sigma)]
    answers, seconds = best(ways, turns)
    memory, lines = peaks(D, x, sigma, chunk), []
    for rule, found, taken in zip(RULES, answers, seconds):
        true = int(energy_rank(answers[2], rule=rule))  # pyright: ignore[reportArgumentType] - a tensor by its place
        assert isinstance(found, Rank)
        assert abs(int(found.rank) - true) <= 1, f"rank {int(found.rank)} against {true}"
        lines.append(
            f"{float(sigma):>6g} {rule:>6} {true:>5} {int(found.rank):>5} {'dense' if found.dense else 'free':>6} {int(found.products):>8} {taken:>7.2f} {seconds[2]:>7.2f}"
            f" {seconds[2] / taken:>6.1f} {seconds[3]:>7.2f} {seconds[3] / taken:>6.1f} {memory[0]:>6.0f} {memory[1]:>6.0f} {memory[2]:>6.0f}"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", type=int, nargs="+", choices=list(SHAPES), default=list(SHAPES))
    parser.add_argument("--sigma", type=float, nargs="+", default=[0.5, 6.0, 12.0, 20.0, 30.0])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--chunk", type=int, default=16, help="rows at once of the rival")
    parser.add_argument("--data", default="fashion_mnist")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for shape in (SHAPES[side] for side in options.shape):
        data = pictures(options.data, shape)
        start = time.perf_counter()
        D = trained(data, options.steps)
        print(
            f"torch {torch.__version__}, 1 thread, U-Net {shape} of width 16, {options.data}, trained {time.perf_counter() - start:.0f} s"
        )
        print("                  rank    our                seconds         rival          /our  peak growth, MiB")
        print(" sigma   rule  rival  ours    way products    ours   rival  /ours   dense  /ours   ours  rival  dense")
        for place, sigma in enumerate(torch.tensor(options.sigma)):
            x = data[place] + sigma * torch.randn(shape, generator=generator(1, place))
            for line in measure(D, x, sigma, options.turns, options.chunk):
                print(line, flush=True)


if __name__ == "__main__":
    main()
