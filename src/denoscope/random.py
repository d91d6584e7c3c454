"""Randomness is an argument: seeds are derived, never shared, and one sample has one generator.

All draws happen on the CPU and move afterwards, because CPU and CUDA generators give different
streams for one seed. The noise of sample i therefore depends on its seed alone: not on the batch it
is in, the device, or the number of workers.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from denoscope.types import Noise

_MASK = (1 << 64) - 1


def _mix(state: int) -> int:
    """SplitMix64's finalizer (Steele, Lea and Flood, 2014): a bijection of 64-bit words that
    scatters neighbours.
    """
    state = (state + 0x9E3779B97F4A7C15) & _MASK
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
    return state ^ (state >> 31)


def derive(seed: int, *path: int) -> int:
    """A 63-bit seed for the place ``path`` below ``seed``: ``derive(7, 3)`` is step 3 of run 7;
    order and depth matter.
    """
    state = _mix(seed & _MASK)
    for part in path:
        state = _mix(_mix(state) ^ (part & _MASK))
    return state >> 1


def generator(seed: int, *path: int) -> torch.Generator:
    """A CPU generator at ``derive(seed, *path)``."""
    return torch.Generator().manual_seed(derive(seed, *path))


class Seeds:
    """One generator per sample: ``Seeds(range(1000)).randn((1, 8, 8))`` is 1 000 noises, each a
    function of its own seed.

    Follows EDM's rule (Karras et al. 2022, code of the paper): the generator of a sample is seeded
    with ``seed mod 2**32``.
    """

    def __init__(self, seeds: Iterable[int]):
        self.seeds = [int(seed) for seed in seeds]

    def __repr__(self) -> str:
        ends = ", ".join(map(str, self.seeds[:1])) + f" … {self.seeds[-1]}" * (len(self) > 1)
        return f"Seeds({len(self)}: {ends})"

    def __len__(self) -> int:
        return len(self.seeds)

    def _generators(self) -> list[torch.Generator]:
        return [torch.Generator().manual_seed(seed % 2**32) for seed in self.seeds]

    def randn(self, shape: Iterable[int], dtype: torch.dtype = torch.float32) -> Tensor:
        """Standard normal noise of shape (len(seeds), *shape), row i from seed i alone."""
        shape = tuple(shape)
        if not self.seeds:
            return torch.empty((0, *shape), dtype=dtype)
        return torch.stack(
            [torch.randn(shape, generator=g, dtype=dtype) for g in self._generators()]
        )

    def noise(self) -> Noise:
        """A noise source for stochastic samplers: call k gives row i the k-th draw of seed i, after
        the one that ``randn`` gave.

        The states it is called with have one row per seed on their first axis; a batch of another
        length is a ValueError.
        """
        generators = self._generators()
        started = False

        def draw(x: Tensor) -> Tensor:
            nonlocal started
            if len(x) != len(generators):
                raise ValueError(
                    f"noise for {len(generators)} seeds was asked for a batch of {len(x)}"
                )
            if (
                not started
            ):  # skip what randn gave: the initial state and the first step must not share noise
                for g in generators:
                    torch.randn(x.shape[1:], generator=g, dtype=x.dtype)
                started = True
            rows = [torch.randn(x.shape[1:], generator=g, dtype=x.dtype) for g in generators]
            return torch.stack(rows).to(x.device)

        return draw
