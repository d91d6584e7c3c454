"""Routed rows of a mixed batch against running each decoder on a batch sorted beforehand: time and
peak memory of a forward and backward pass, in one run.

    OMP_NUM_THREADS=1 python benchmarks/multistage.py

Both do the same arithmetic: one encoder on all rows, each decoder on its own. The rival is told
where the stages begin and slices; routing finds the rows itself.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median

import torch
import torch.nn.functional as F
from rivals import versus
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from denoscope.networks import MultiStage
from denoscope.networks.layers import noise_features
from denoscope.networks.unet import decoded, encoded

EDGES, WIDTHS = (0.5, 3.0), (24, 16, 2)


def sorted_pass(net: MultiStage, x: Tensor, c: Tensor, ends: list[int]) -> Tensor:
    """The same network on rows that are sorted by stage, ``ends`` of them in each."""
    embedding = F.silu(net.embed[1](F.silu(net.embed[0](noise_features(c)))))
    h, maps = encoded(net, x, embedding)
    split = [t.split(ends) for t in (h, embedding, *maps)]
    parts = [decoded(stage, h, m, e) for stage, h, e, *m in zip(net.stages, *split)]
    return torch.cat(parts)


def peak(work: Callable[[], None]) -> int:
    """Most bytes alive at once above those at the start, by torch's own record of allocations."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
        work()
    most = alive = 0
    for event in found.profiler.kineto_results.events():  # pyright: ignore[reportOptionalMemberAccess]
        if event.name() == "[memory]":
            alive += event.nbytes()  # pyright: ignore[reportAttributeAccessIssue] -- it has it
            most = max(most, alive)
    return most


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=14)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--turns", type=int, default=15)
    asked = parser.parse_args()
    net = MultiStage((1, asked.side, asked.side), EDGES, WIDTHS, encoder=16)
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(asked.batch, 1, asked.side, asked.side, generator=draw)
    c = (torch.randn(asked.batch, generator=draw) * 1.4 - 0.6) / 4
    order = (net.shares(c) @ torch.arange(3.0)).argsort(stable=True)
    ends = [int(n) for n in net.shares(c).sum(0)]
    xs, cs = x[order], c[order]

    def routed() -> None:
        net(x, c).square().sum().backward()

    def beforehand() -> None:
        sorted_pass(net, xs, cs, ends).square().sum().backward()

    torch.testing.assert_close(net(x, c)[order], sorted_pass(net, xs, cs, ends))
    seconds: dict[str, list[float]] = {"routed": [], "sorted": []}
    for _ in range(asked.turns):
        for name, work in (("routed", routed), ("sorted", beforehand)):
            started = time.process_time()
            work()
            seconds[name].append(time.process_time() - started)
    time_ratio = median(a / b for a, b in zip(seconds["routed"], seconds["sorted"]))
    memory = {name: peak(work) for name, work in (("routed", routed), ("sorted", beforehand))}
    medians = {name: median(values) for name, values in seconds.items()}
    versus(
        "a pass routed by stage", medians["routed"], "torch, rows sorted by hand", medians["sorted"]
    )
    print(f"rows of the stages: {ends}")
    print(f"seconds a pass: {', '.join(f'{k} {median(v):.4f}' for k, v in seconds.items())}")
    print(f"peak MiB: {', '.join(f'{k} {v / 2**20:.1f}' for k, v in memory.items())}")
    print(f"routed over sorted: time {time_ratio:.3f}, memory ", end="")
    print(f"{memory['routed'] / memory['sorted']:.3f} (asked: 1.10)")


if __name__ == "__main__":
    main()
