"""Shares of rows that look copied, from distances that are known already."""

from __future__ import annotations

from torch import Tensor

from denoscope.estimate import Estimate, proportion


def quotient(nearest: Tensor, second: Tensor) -> Tensor:
    """nearest/second as float64; 0 where both are 0 and where ``second`` is infinite."""
    nearest, second = nearest.double(), second.double()
    return (nearest / second.where(second > 0, 1.0)).where(second > 0, 0.0)


def memorized_share(quotients: Tensor, ratio: float = 1 / 3) -> Estimate:
    """The share of rows whose nearest/second is below ``ratio``: the rule of Yoon et al. (2023)."""
    return proportion(int((quotients < ratio).sum()), len(quotients))


def authentic_share(nearest: Tensor, spacing: Tensor) -> Estimate:
    """The share of rows that are farther from their nearest training row than that is from its
    nearest other one, ``spacing`` (n,).
    """
    return proportion(int((nearest > spacing).sum()), len(nearest))


def novel_share(similarity: Tensor, threshold: float) -> Estimate:
    """The share of rows whose similarity to the training set does not exceed ``threshold``: 1 -
    GL's share of copies.
    """
    return proportion(int((~(similarity > threshold)).sum()), len(similarity))
