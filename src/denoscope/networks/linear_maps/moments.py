"""What a linear model learns of data: a mean and a covariance; and numbers by noise level."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from denoscope.schedule import VP
from denoscope.theory.inputs import covariance, eigen, finite

Numbers = float | Sequence[float] | Tensor | np.ndarray
"""One number, or one per level."""


@dataclass(frozen=True)
class MeanAndModes:
    """A mean (d,), and ``variances`` (r,) along ``basis`` (d, r), 0 along the rest; float64."""

    shape: tuple[int, ...]
    mean: Tensor
    variances: Tensor
    basis: Tensor

    @classmethod
    def of(cls, mean0: Any, cov0: Any) -> MeanAndModes:
        """Modes of a mean of the event shape and a covariance (d, d); else a ValueError by name."""
        mean, cov = pair("mean0", mean0, "cov0", cov0)
        values, vectors = eigen("cov0", cov)
        parts = (torch.from_numpy(part) for part in (mean.flatten(), values, vectors))
        return cls(tuple(np.shape(mean)), *parts)

    @classmethod
    def of_data(cls, x: Tensor | np.ndarray) -> MeanAndModes:
        """Modes of data (N, *event), N >= 2, with 1/N; of the span alone where N <= d."""
        data = torch.from_numpy(finite("x", plain(x)))
        if data.ndim < 2 or len(data) < 2 or not data[0].numel():
            raise ValueError(
                f"x must be data of shape (N, *event) with N >= 2, got shape {tuple(data.shape)}"
            )
        shape, flat = tuple(data.shape[1:]), data.flatten(1)
        mean = flat.mean(0)
        centred = flat - mean
        if len(flat) > flat.shape[1]:
            cov = (centred.T @ centred / len(flat)).numpy()
            return cls(shape, mean, *map(torch.from_numpy, eigen("x", cov)))
        _, scale, basis = torch.linalg.svd(centred, full_matrices=False)
        rounding = torch.finfo(torch.float64).eps * (centred.norm() + mean.norm())
        kept = scale > max(flat.shape) * rounding
        return cls(shape, mean, scale[kept].square() / len(flat), basis[kept].T.contiguous())


def plain(value: Any) -> np.ndarray:
    """A tensor, array or list as a float64 array."""
    return np.asarray(value.detach().cpu() if isinstance(value, Tensor) else value, np.float64)


def pair(mean_name: str, mean: Any, cov_name: str, cov: Any) -> tuple[np.ndarray, np.ndarray]:
    """A finite mean and a symmetric matrix of its size, float64; else a ValueError by name."""
    middle, matrix = finite(mean_name, plain(mean)), covariance(cov_name, plain(cov))
    if not middle.ndim or middle.size != len(matrix):
        raise ValueError(
            f"{mean_name} must have the event's shape, with the {len(matrix)} numbers of "
            f"{cov_name}, got shape {middle.shape}"
        )
    return middle, matrix


def levelwise(name: str, value: Numbers, levels: int, *, infinite: bool = False) -> Tensor:
    """``value`` as float64 (levels,), each >= 0, finite unless ``infinite``; else a ValueError."""
    numbers = torch.from_numpy(np.atleast_1d(plain(value)))
    if numbers.shape not in {(1,), (levels,)}:
        raise ValueError(
            f"{name} must be one number, or one for each of the {levels} levels, got "
            f"shape {tuple(numbers.shape)}"
        )
    allowed = (numbers >= 0) & (infinite | numbers.isfinite())
    if not bool(allowed.all()):
        raise ValueError(
            f"{name} must be at least 0{'' if infinite else ' and finite'}, got "
            f"{float(numbers[~allowed][0]):g}"
        )
    return numbers.expand(levels)


def penalties(schedule: VP, ridge: Numbers, scaled: bool) -> Tensor:
    """gamma_t of every level, (T,): the ridge itself, or ``scaled`` the ridge times abar_t."""
    gamma = levelwise("ridge", ridge, len(schedule))
    return gamma * coefficients(schedule)[0].square() if scaled else gamma


def coefficients(schedule: VP) -> tuple[Tensor, Tensor]:
    """sqrt(abar) and sqrt(1 - abar) of every level, (T,)."""
    times = torch.arange(len(schedule))
    return schedule.alpha(times), schedule.std(times)


def curvatures(variances: Tensor, schedule: VP, ridge: Numbers, scaled: bool) -> Tensor:
    """The eigenvalues ``abar_t lam + 1 - abar_t + gamma_t`` of C_t, (T, r): half the Hessian's."""
    alpha, std = coefficients(schedule)
    rest = std.square() + penalties(schedule, ridge, scaled)
    return alpha.square()[:, None] * variances + rest[:, None]


def stable(rate: Numbers, largest: Tensor) -> Tensor:
    """The step size of every level, (T,); none, or one that diverges, is a ValueError."""
    rates = levelwise("rate", rate, len(largest))
    wrong = ((rates <= 0) | (rates >= largest)).nonzero()
    if len(wrong):
        t = int(wrong[0])
        raise ValueError(
            "rate must be positive and below 1 / (the largest eigenvalue of C_t), from "
            f"where on descent diverges: {float(largest[t]):.6g} "
            f"at level {t}, got {float(rates[t]):.6g}"
        )
    return rates
