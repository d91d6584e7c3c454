"""Carriers: the spaces in which keys are drawn, by their projectors.

Bands are sets M of frequencies with ``-f`` in M for every f in M, so that real images of them are a
real space with as many dimensions as M has members, in each channel: a pair of mirrored frequencies
has a cosine and a sine, a frequency that is its own mirror has the cosine alone. Distances are
taken from ``fftfreq``, in cycles per image (of the shorter side), from 0 ("low", "ring") or from
the highest frequency on both axes ("high"): right for odd sizes too. "null" is what lies off the
leading right singular vectors of the denoiser's Jacobian, or of its mean over images: along it the
posterior mean hardly moves, and one carrier serves images that are not known.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from denoscope.geometry.singular import svd
from denoscope.geometry.subspaces import project_out
from denoscope.types import Denoiser, pad

CARRIERS = ("high", "low", "ring", "all", "null")
TOLERANCE = 1e-3
"""Of the singular vectors that are projected off, relative to the first value."""


@dataclass(frozen=True, eq=False)
class Carrier:
    """The images of ``shape`` whose frequencies ``band`` (h, w) holds, without the span of
    ``removed`` (n, r); None is no restriction, and at most one of the two is given.
    """

    shape: tuple[int, ...]
    band: Tensor | None = None
    removed: Tensor | None = None

    def __post_init__(self) -> None:
        if self.dimension < 2:
            raise ValueError(
                f"a carrier needs at least 2 dimensions, this one has {self.dimension}: "
                "take a larger radius, or a smaller rank"
            )

    @cached_property
    def dimension(self) -> int:
        """The real dimension of an orthonormal basis."""
        n = math.prod(self.shape)
        if self.band is not None:
            return n // self.band.numel() * int(self.band.sum())
        return n - (0 if self.removed is None else self.removed.shape[1])

    def project(self, x: Tensor) -> Tensor:
        """The part of images (*b, *shape) in the carrier, float64."""
        part = x.double()
        if self.band is not None:
            size = self.band.shape
            kept = self.band[:, : size[1] // 2 + 1].to(x.device)
            return torch.fft.irfft2(torch.fft.rfft2(part) * kept, s=size)
        if self.removed is not None:
            rows = part.reshape(-1, math.prod(self.shape))
            return project_out(rows.T, self.removed.to(part)).T.reshape(x.shape)
        return part


def usual_radius(shape: tuple[int, ...]) -> int:
    """A seventh of the shorter side, at least 2: 4 at 28 x 28."""
    return max(2, math.ceil(min(shape[-2:]) / 7))


def band(shape: tuple[int, ...], name: str, radius: float) -> Tensor:
    """The frequencies (h, w) of "low" and "high" (at most ``radius`` from 0, or from the highest)
    or "ring" (from ``radius`` to twice that, from 0).
    """
    if len(shape) < 2:
        raise ValueError(f'points of shape {tuple(shape)} have no bands: take "all" or "null"')
    axes = [torch.fft.fftfreq(side, dtype=torch.float64).abs() for side in shape[-2:]]
    down, right = (0.5 - axis if name == "high" else axis for axis in axes)
    distance = min(shape[-2:]) * torch.hypot(down[:, None], right)
    inside = distance <= radius + 1e-9
    return (distance <= 2 * radius + 1e-9) & ~inside if name == "ring" else inside


def leading_directions(D: Denoiser, states: Tensor, sigma: float, k: int, seed: int = 0) -> Tensor:
    """The k leading right singular vectors (n, k) of the mean over ``states`` (N, *shape) of the
    Jacobian of D at ``sigma``: of the Jacobian itself, for one state.
    """
    shape = states.shape[1:]

    def mean(shift: Tensor, level: Tensor) -> Tensor:
        """Its Jacobian at 0 is the mean of the Jacobians."""
        batch = shift.shape[: shift.ndim - len(shape)]
        moved = shift.reshape(-1, 1, *shape) + states
        levels = pad(level, shift.new_empty(batch)).expand(batch).reshape(-1, 1)
        rows = D(moved.flatten(0, 1), levels.expand(moved.shape[:2]).flatten())
        return rows.reshape(moved.shape).mean(1).reshape(shift.shape)

    return svd(mean, torch.zeros_like(states[0]), sigma, k, tolerance=TOLERANCE, seed=seed).V
