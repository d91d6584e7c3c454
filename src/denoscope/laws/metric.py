"""Laws that every metric obeys: what it reads at the extremes, under a known null, and what must
not change it.

Plain functions for one's own tests: ``score(*sets)`` is a metric of feature sets (n, k), the
generated one first, that gives an
:class:`~denoscope.estimate.Estimate`; each law raises an AssertionError that says what was expected
and what was found.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from denoscope.estimate import Estimate
from denoscope.random import generator

Score = Callable[..., Estimate]


def _expect(got: float, want: float, tolerance: float, law: str) -> None:
    if not abs(got - want) <= tolerance:
        raise AssertionError(f"{law}: got {got:.6g}, expected {want:.6g} within {tolerance:.2g}")


def check_estimate(score: Score, *sets: Tensor) -> None:
    """The value is finite and inside its interval, which has a method; units were counted."""
    estimate = score(*sets)
    if not (math.isfinite(estimate.value) and estimate.low <= estimate.value <= estimate.high):
        raise AssertionError(
            f"an estimate lies in its interval: got {estimate.value} in [{estimate.low}, "
            f"{estimate.high}]"
        )
    if not estimate.method or estimate.n < 1:
        raise AssertionError(f"an estimate names its method and counts its units: got {estimate}")


def check_extreme(score: Score, *sets: Tensor, value: float, tolerance: float = 0.0) -> None:
    """On these sets, all copies or none, the metric reads ``value``."""
    _expect(score(*sets).value, value, tolerance, "extreme")


def check_permutation(
    score: Score,
    *sets: Tensor,
    move: Sequence[int],
    together: bool = False,
    tolerance: float = 0.0,
    seed: int = 0,
) -> None:
    """Order of the rows of sets ``move`` is of no matter; ``together``: partners move alike."""
    moved = list(sets)
    order = torch.randperm(len(sets[move[0]]), generator=generator(seed))
    for place, index in enumerate(move):
        moved[index] = sets[index][
            order
            if together
            else torch.randperm(len(sets[index]), generator=generator(seed, place))
        ]
    _expect(score(*moved).value, score(*sets).value, tolerance, "permutation")


def check_chunks(
    score: Score,
    *sets: Tensor,
    split: Sequence[int] = (0,),
    sizes: Sequence[int] = (1, 7),
    tolerance: float = 1e-12,
) -> None:
    """A share of samples is the mean of the shares of its parts, weighted by their sizes: no row
    looks at what it was batched with.

    ``split``: the sets that are cut in parts, together; ``sizes`` the first parts, the rest is one
    more.
    """
    rows = len(sets[split[0]])
    parts = [*sizes, rows - sum(sizes)]
    cut = {index: sets[index].split(parts) for index in split}
    values = [
        score(*(cut[index][part] if index in cut else s for index, s in enumerate(sets))).value
        for part in range(len(parts))
    ]
    mean = sum(value * size for value, size in zip(values, parts)) / rows
    _expect(mean, score(*sets).value, tolerance, "chunks")


def check_scale(score: Score, *sets: Tensor, factor: float = 8.0, tolerance: float = 0.0) -> None:
    """The unit of the features is of no matter: all sets times one ``factor`` (a power of two is
    exact) read the same.
    """
    _expect(score(*(factor * s for s in sets)).value, score(*sets).value, tolerance, "scale")


def check_monotone(
    score: Callable[[Tensor], Estimate],
    gen: Tensor,
    copies: Tensor,
    counts: Iterable[int],
    *,
    rising: bool,
) -> None:
    """With nested planted copies, ``copies[:count]`` in place of the first rows of ``gen``, the
    metric never turns back, and moves in all.
    """
    values = [score(torch.cat([copies[:count], gen[count:]])).value for count in counts]
    steps = [(after - before) * (1 if rising else -1) for before, after in pairwise(values)]
    if not (min(steps) >= 0 and sum(steps) > 0):
        raise AssertionError(
            f"monotone in planted copies: expected {'rising' if rising else 'falling'} "
            f"values, got {values}"
        )


def check_mean(
    draw: Callable[[int], float], expectation: float, *, draws: int, sigmas: float
) -> None:
    """Over data sets ``draw(seed)`` the mean is ``expectation``, within ``sigmas`` errors."""
    values = torch.tensor([draw(seed) for seed in range(draws)], dtype=torch.float64)
    _expect(
        float(values.mean()),
        expectation,
        sigmas * float(values.std()) / math.sqrt(draws),
        f"mean over {draws} data sets",
    )


def check_coverage(
    draw: Callable[[int], Estimate], truth: float, *, draws: int, least: float
) -> None:
    """Of intervals of ``draws`` data sets ``draw(seed)`` at least ``least`` hold ``truth``."""
    estimates = [draw(seed) for seed in range(draws)]
    covered = sum(estimate.low <= truth <= estimate.high for estimate in estimates) / draws
    if covered < least:
        raise AssertionError(
            f"coverage: {covered:.3f} of {draws} intervals contain {truth:.4g}, expected "
            f"at least {least}"
        )
