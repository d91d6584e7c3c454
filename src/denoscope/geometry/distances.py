"""How far denoisers are from each other at the same noisy points, and the lengths of differences
that all of linearity is measured by.

The score at level sigma is ``(D(y) - y)/sigma^2``, so two scores differ by ``(D_1 - D_2)/sigma^2``:
the distance between denoisers is that between score fields, in the units of the data at every
level. The error of a score field is ``E |D_1 - D_2|/sqrt(n)``, n numbers per point. Points are
given, not drawn: draw noise once, ``y = x + sigma n``, and compare many denoisers on it. Intervals
hold for independent rows; of several noises of one image they are too short.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from denoscope.estimate import Estimate, mean, unavailable
from denoscope.geometry.field import Field
from denoscope.random import generator
from denoscope.types import Denoiser


def score_distance(
    D1: Denoiser,
    D2: Denoiser,
    y: Tensor,
    sigma: Tensor | float,
    *,
    relative: bool = False,
    batch: int = 256,
) -> Estimate:
    """The mean over noisy points of ``|D1(y) - D2(y)|/sqrt(n)``, or ``relative``: of ``|D1(y) -
    D2(y)|/|D1(y)|``, with its t interval.

    ``y`` (b, *event), ``sigma`` one level or one per row (b,). Relative to a D1 that is zero
    somewhere while D2 is not, it is not available. Source: Li, Dai and Qu 2024, "score field
    approximation error".
    """
    both = {"1": D1, "2": D2}
    return pairwise_distances(both, y, sigma, relative=relative, batch=batch)["1", "2"]


def pairwise_distances(
    denoisers: Mapping[str, Denoiser],
    y: Tensor,
    sigma: Tensor | float,
    *,
    relative: bool = False,
    batch: int = 256,
) -> dict[tuple[str, str], Estimate]:
    """:func:`score_distance` of every pair (a, b), a before b in the mapping (and relative to a),
    each denoiser called once per point.

    Holds the answers of all denoisers, 8 bytes per number. Fewer than two denoisers are a
    ValueError.
    """
    if len(denoisers) < 2:
        raise ValueError(f"distances need at least 2 denoisers, got {len(denoisers)}")
    values = {name: outputs(D, y, sigma, batch=batch) for name, D in denoisers.items()}
    return {
        (a, b): averaged((relative_error if relative else rmse)(values[a], values[b]))
        for a, b in combinations(values, 2)
    }


def outputs(D: Denoiser, y: Tensor, sigma: Tensor | float, *, batch: int = 256) -> Tensor:
    """D at the points ``y`` (b, *event), at most ``batch`` per call: rows (b, n) in float64;
    ``sigma`` one level or one per row (b,).

    Points without a batch axis, or levels of another shape, are a ValueError.
    """
    level = torch.as_tensor(sigma, dtype=y.dtype, device=y.device)
    if y.ndim < 2 or not len(y) or level.ndim > 1:
        raise ValueError(
            "points must have shape (b, *event) and sigma () or (b,), got "
            f"{tuple(y.shape)} and {tuple(level.shape)}"
        )
    if batch < 1:
        raise ValueError(f"batch must be at least 1, got {batch}")
    if level.ndim == 0:
        level = level.expand(len(y))
    if len(level) != len(y):
        raise ValueError(f"sigma must hold one level or one for each of {len(y)}, got {len(level)}")
    parts = zip(y.split(batch), level.split(batch))
    return torch.cat([Field(D, *part).value().double() for part in parts])


def denoising_errors(D: Denoiser, images: Tensor, levels: ArrayLike, *, least: int = 256) -> Tensor:
    """Mean squared denoising errors per pixel at each of ``levels`` (L,), one per noisy image, (L,
    M) in float64: of M = ``least`` at least, images repeated with fresh noise where there are
    fewer; the same noise at every level and for every denoiser.
    """
    repeats = -(-least // len(images))
    clean = images.repeat(repeats, *(1,) * (images.ndim - 1))[: max(len(images), least)]
    noise = torch.randn(clean.shape, generator=generator(0, len(clean))).to(clean)
    found = []
    for level in np.ravel(levels).tolist():
        sigma = torch.full((len(clean),), level).to(clean)
        with torch.no_grad():
            difference = D(clean + level * noise, sigma) - clean
        found.append(difference.flatten(1).square().mean(1).double())
    return torch.stack(found)


def relative_error(reference: Tensor, other: Tensor) -> Tensor:
    """``|other - reference|/|reference|`` over the last axis: 0 if equal, +inf over zero."""
    difference = (other - reference).norm(dim=-1)
    return torch.where(difference == 0, difference, difference / reference.norm(dim=-1))


def rmse(first: Tensor, second: Tensor) -> Tensor:
    """``|first - second|/sqrt(n)`` over the last axis of n numbers."""
    return (first - second).square().mean(-1).sqrt()


def averaged(values: Tensor) -> Estimate:
    """The mean of one value per point (b,) with its t interval; not available if one is
    infinite.
    """
    if not bool(values.isfinite().all()):
        return unavailable("relative to an answer of length 0", len(values))
    return mean(values.tolist())


def beyond_span(train: Tensor, points: Tensor) -> tuple[Tensor, int]:
    """The distance ``|rest|/sqrt(n)`` of each of ``points`` (b, *event) from the affine span of
    ``train`` (N, *event), (b,) in float64, and the dimension of that span.

    Directions whose variance is rounding in float32 are none of it.
    """
    rows, x = (images.flatten(1).double() for images in (train, points))
    x, centred = x - rows.mean(0), rows - rows.mean(0)
    variances, basis = torch.linalg.eigh(centred.T @ centred / len(rows))
    least = len(basis) * torch.finfo(torch.float32).eps * variances[-1].clamp(min=1e-30)
    basis = basis[:, variances > least]
    return (x - x @ basis @ basis.T).norm(dim=1) / x.shape[1] ** 0.5, basis.shape[1]
