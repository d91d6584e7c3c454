"""Synthetic truth: sets of rows in which it is known how many are copies, which modes are missing,
what repeats.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from denoscope.random import generator

ROWS, SIDE, MODES, INNER = 400, 32, 4, 6
_JITTER = 0.02  # of a copy, where distances between neighbours are about 1


@dataclass(frozen=True, eq=False)
class Case:
    """One situation: rows by role, and the share of ``copies`` among the generated ones."""

    name: str
    rows: Mapping[str, Tensor]
    copies: float = 0.0


def _law(seed: int) -> tuple[Tensor, Tensor]:
    """Means (modes, side) and bases (modes, side, inner) of a mixture of low-rank Gaussians."""
    source = generator(seed, 0)
    means = 2 * torch.randn(MODES, SIDE, generator=source)
    bases = torch.linalg.qr(torch.randn(MODES, SIDE, INNER, generator=source)).Q
    return means, bases


def draw(seed: int, place: int, n: int, modes: int = MODES) -> Tensor:
    """n independent rows of the first ``modes`` modes, (n, side) float32."""
    means, bases = _law(seed)
    source = generator(seed, 1, place)
    mode = torch.randint(modes, (n,), generator=source)
    inner = torch.randn(n, INNER, generator=source)
    return (
        means[mode]
        + torch.einsum("nsi,ni->ns", bases[mode], inner)
        + 0.1 * torch.randn(n, SIDE, generator=source)
    )


def _jitter(rows: Tensor, seed: int, place: int) -> Tensor:
    return rows + _JITTER * torch.randn(rows.shape, generator=generator(seed, 2, place))


def cases(seed: int) -> Iterator[Case]:
    """Every situation: 0, 2 and 20 % copies, half of the modes missing, each training row twice and
    all samples copies, the training set itself.
    """
    train, test, fresh, twin = (draw(seed, place, ROWS) for place in range(4))
    real = {"train": train, "test": test}

    def copied(share: float) -> Case:
        rows = fresh.clone()
        count = round(share * ROWS)
        rows[:count] = _jitter(train[:count], seed, count)
        return Case(
            f"{share:.0%} copies",
            {**real, "gen": rows, "twin": twin if share == 0 else rows},
            share,
        )

    yield from map(copied, (0.0, 0.02, 0.2))
    yield Case("modes missing", {**real, "gen": draw(seed, 4, ROWS, MODES // 2)})
    doubled = torch.cat([train[: ROWS // 2], _jitter(train[: ROWS // 2], seed, 5)])
    yield Case("doubled", {"train": doubled, "test": test, "gen": _jitter(doubled, seed, 6)}, 1.0)
    yield Case("identical", {**real, "gen": train.clone()}, 1.0)


def single(seed: int) -> Case:
    """One generated row."""
    return Case(
        "one sample",
        {"train": draw(seed, 0, ROWS), "test": draw(seed, 1, ROWS), "gen": draw(seed, 2, 1)},
    )


def spoiled(seed: int) -> Case:
    """A generated row that is not a number."""
    rows = draw(seed, 2, ROWS)
    rows[7, 3] = torch.nan
    return Case("NaN", {"train": draw(seed, 0, ROWS), "test": draw(seed, 1, ROWS), "gen": rows})
