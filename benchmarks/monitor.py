"""The choice of the monitor, judged by a referee with noises, samples and held-out images of its
own: copies at the chosen step and at the last, and the held-out error over the least of the run.

    python benchmarks/monitor.py [--n 16 64 256] [--seeds 3] [--steps 4000] [--looks 24]
    python benchmarks/monitor.py --unet --data fashion_mnist --n 64 --seeds 1 --steps 3000
    python benchmarks/monitor.py --budget 0.05 --n 256

Digits train networks of the main job at a constant rate with averaged weights, looked at in steps
that are even in the logarithm; ``--unet`` trains a UNet2DModel in a loop of diffusers, on images at
half their size. With ``--budget`` there is no referee: it says which share looks took.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from denoscope.data import read_images
from denoscope.data.selection import select
from denoscope.estimate import Estimate, mean
from denoscope.fitting import draws, training
from denoscope.fitting.snapshots import snapshot_steps
from denoscope.levels import log_normal
from denoscope.monitor import MemorizationMonitor
from denoscope.networks import Averaged, FiLM, Preconditioned
from denoscope.random import generator
from denoscope.types import Denoiser

Loop = Callable[[Tensor, int, int, Container[int]], Iterator[tuple[int, Denoiser]]]
_HELD, _JUDGED = 600, 1000  # held-out images and samples of the referee, at most


def film(data: Tensor, seed: int, steps: int, at: Container[int]) -> Iterator[tuple[int, Denoiser]]:
    """The library's own loop; the averaged network at each of the steps ``at``."""
    net = Preconditioned(FiLM(data.shape[1:], 64, seed=seed), "edm", float(data.std()))
    rows, levels = [torch.arange(len(data))], log_normal(-0.6, 1.4)
    source = draws(data, rows, [seed], batch=64, levels=levels)
    averaged = Averaged(net, 0.999)
    run = training(net, source, steps=steps, lr=2e-3, ema=averaged, report=1e9, at=at)
    return ((progress.step, progress.denoiser) for progress in run)


def unet(data: Tensor, seed: int, steps: int, at: Container[int]) -> Iterator[tuple[int, Denoiser]]:
    """A loop of diffusers."""
    from diffusers import DDPMScheduler, UNet2DModel

    from denoscope.integrations.diffusers import AsSampled

    torch.manual_seed(seed)
    net, scheduler = (
        UNet2DModel(
            sample_size=data.shape[-1],
            in_channels=data.shape[1],
            out_channels=data.shape[1],
            layers_per_block=1,
            block_out_channels=(16, 32),
            norm_num_groups=4,
            down_block_types=("DownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "UpBlock2D"),
        ),
        DDPMScheduler(),
    )
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
    for step in range(1, steps + 1):
        clean = data[torch.randint(len(data), (32,))]
        noise, times = torch.randn_like(clean), torch.randint(0, 1000, (32,))
        answer = net(scheduler.add_noise(clean, noise, times), times).sample
        F.mse_loss(answer, noise).backward()
        optimizer.step()
        optimizer.zero_grad()
        if step in at:
            yield step, AsSampled(net, scheduler)


def images(word: str, half: bool) -> Tensor:
    data = read_images(select(word).source).data
    return F.avg_pool2d(data, 2) if half else data


def split(data: Tensor, n: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Training images, held-out ones of the monitor, and those of the referee."""
    order = torch.randperm(len(data), generator=generator(seed))
    held = min(_HELD, (len(data) - n) // 2)
    return data[order[:n]], data[order[n : n + held]], data[order[n + held : n + 2 * held]]


def judged(loop: Loop, data: Tensor, n: int, seed: int, steps: int, looks: int) -> list[str]:
    """One training with monitor and referee: a row of the table."""
    train, held, other = split(data, n, seed)
    every = snapshot_steps(20, steps, looks)
    monitor = MemorizationMonitor(train, held, every=every, seed=seed)
    referee = MemorizationMonitor(train, other, every=every, seed=seed + 1000, samples=_JUDGED)
    for step, D in loop(train, seed, steps, every):
        monitor.look(step, D)
        referee.look(step, D)
    own = monitor.choice
    found = {look.step: look for look in referee.looks}
    least = min(referee.looks, key=lambda look: look.estimates["held_error"].value)
    print(f"n = {n}, seed {seed}: {own.reason}", flush=True)
    return [
        str(n),
        str(seed),
        str(own.step),
        interval(own.estimates["excess"]),
        interval(found[own.step].estimates["excess"]),
        interval(relative(found[own.step].errors, least.errors)),
        str(least.step),
        interval(found[every[-1]].estimates["excess"]),
        interval(relative(found[every[-1]].errors, least.errors)),
    ]


def relative(errors: Sequence[float], least: Sequence[float]) -> Estimate:
    """The ratio of two mean errors of the same images, by the delta method."""
    a, b = np.asarray(errors), np.asarray(least)
    ratio = float(a.mean() / b.mean())
    rest = mean((a - ratio * b) / b.mean())
    return replace(rest, value=ratio, low=ratio + rest.low, high=ratio + rest.high)


def interval(e: Estimate) -> str:
    return f"{e.value:.2f} [{e.low:.2f}, {e.high:.2f}]"


def within(loop: Loop, data: Tensor, n: int, steps: int, budget: float) -> None:
    """What looks cost where a budget decides when there are any."""
    train, held, _ = split(data, n, 0)
    monitor = MemorizationMonitor(train, held, budget=budget)
    began = time.perf_counter()
    for step, D in loop(train, 0, steps, monitor.steps):
        if step in monitor.steps:
            monitor.look(step, D)
    seconds = time.perf_counter() - began
    first, *rest = (look.seconds for look in monitor.looks)
    print(
        f"budget {budget:g}: {len(rest)} looks after the first ({first:.2f} s) of {steps} steps in "
        f"{seconds:.0f} s; their share {sum(rest) / (seconds - first):.4f}, steps "
        f"{', '.join(map(str, monitor.steps))}; {monitor.choice.reason}"
    )


HEAD = (
    "n | seed | chosen step | excess there, monitor | excess there, referee | held-out error there "
    "÷ least | least at | excess at the end | held-out error at the end ÷ least"
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=int, nargs="+", default=[16, 64, 256])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--looks", type=int, default=24)
    parser.add_argument("--data", default="digits")
    parser.add_argument("--unet", action="store_true")
    parser.add_argument("--budget", type=float)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    data, loop = images(asked.data, asked.unet), unet if asked.unet else film
    if asked.budget:
        for n in asked.n:
            within(loop, data, n, asked.steps, asked.budget)
        return
    began = time.perf_counter()
    cells = [(n, seed) for n in asked.n for seed in range(asked.seeds)]
    rows = [judged(loop, data, n, seed, asked.steps, asked.looks) for n, seed in cells]
    print(f"| {HEAD} |", "| " + " | ".join(["---"] * 9) + " |", sep="\n")
    print(*(f"| {' | '.join(row)} |" for row in rows), sep="\n")
    print(f"{(time.perf_counter() - began) / 60:.1f} min, one thread")


if __name__ == "__main__":
    main()
