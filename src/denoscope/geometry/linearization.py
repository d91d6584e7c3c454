"""How linear a denoiser is: along a direction around a point, and as a map of superpositions.

Locally, D(x + l v) with ``|v| = 1`` is compared with its first-order model ``D(x) + l J v`` (Chen
et al. 2024, "LOCO Edit", figure 2b). D(x) is in both and dominates the cosine between them, which
stays near 1 whatever the derivative; the change ``D(x + l v) - D(x)`` against ``l J v`` has none of
that, and for a smooth D its relative error falls in proportion to l. Steps compare across sizes of
image as ``l/sqrt(n)``.

Globally, ``D(a x1 + b x2)`` is compared with ``a D(x1) + b D(x2)``, ``a^2 + b^2 = 1``, so that
independent noises of one level superpose to noise of that level (Li, Dai and Qu 2024). The score is
1 for a linear D, ``W x``. An affine one, ``W x + c``, is off by ``(a + b - 1) c``: of Gaussian laws
only those with mean zero score exactly 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from denoscope.estimate import Estimate
from denoscope.geometry.distances import averaged, outputs, relative_error
from denoscope.geometry.field import Field
from denoscope.types import Denoiser


class FirstOrder(NamedTuple):
    """A denoiser against its first-order model, each (len(steps), *b) in float64.

    ``cosine`` and ``norm_ratio`` of D(x + l v) and D(x) + l J v; ``change_cosine`` and
    ``change_error`` of D(x + l v) - D(x) and l J v, the error relative to |l J v|.
    """

    cosine: Tensor
    norm_ratio: Tensor
    change_cosine: Tensor
    change_error: Tensor


class Superposition(NamedTuple):
    """``cosine`` of D(a x1 + b x2) and a D(x1) + b D(x2), with its sign, and ``error`` relative to
    the first: one per pair (b,), float64.
    """

    cosine: Tensor
    error: Tensor


def first_order(
    D: Denoiser,
    x: Tensor,
    direction: Tensor,
    sigma: Tensor | float,
    steps: Sequence[float] | Tensor,
) -> FirstOrder:
    """All comparisons of D(x + l v) with D(x) + l J v at the ``steps`` l: one derivative per point
    and one call of D per step.

    x (*b, *event), sigma (*b); ``direction`` broadcasts to x and is normalised to length 1 at each
    point. Two zero vectors have cosine 1 and ratio 1 (error 0); a zero one against another cosine 0
    and ratio 0 or +inf (error 0 or +inf). A zero direction or steps that are not finite are a
    ValueError.
    """
    start = Field(D, x, sigma)
    v, lengths = _unit(direction, start, x), _lengths(steps)
    value, slope = start.value().double(), start.times(v[..., None])[..., 0].double()
    found = [_compared(value, step * slope, _moved(start, step * v).double()) for step in lengths]
    stacked = (torch.stack(column) for column in zip(*found))
    return FirstOrder(*(part.reshape(len(lengths), *start.batch) for part in stacked))


def local_linearity(
    D: Denoiser,
    x: Tensor,
    direction: Tensor,
    sigma: Tensor | float,
    steps: Sequence[float] | Tensor,
) -> tuple[Tensor, Tensor]:
    """The cosine between D(x + l v) and D(x) + l J v, and the ratio of the first's norm to the
    second's, each (len(steps), *b).

    Arguments and zero vectors as in :func:`first_order`, which also measures the change alone.
    Source: Chen et al. 2024, LOCO Edit.
    """
    found = first_order(D, x, direction, sigma, steps)
    return found.cosine, found.norm_ratio


def superposition(
    D: Denoiser,
    x1: Tensor,
    x2: Tensor,
    sigma: Tensor | float,
    *,
    share: float = 0.5,
    batch: int = 256,
) -> Superposition:
    """D(a x1 + b x2) against a D(x1) + b D(x2) for each pair of rows of ``x1`` and ``x2`` (b,
    *event), ``a^2 = share``, ``b^2 = 1 - share``.

    ``x1``, ``x2``: noisy inputs at ``sigma``, one level or one per pair (b,), with independent
    noises. Inputs of different shapes or a share outside [0, 1] are a ValueError.
    """
    if x1.shape != x2.shape:
        raise ValueError(
            f"x1 and x2 must be pairs of one shape, got {tuple(x1.shape)} and {tuple(x2.shape)}"
        )
    if not 0 <= share <= 1:
        raise ValueError(f"share must lie between 0 and 1, got {share}")
    a, b = share**0.5, (1 - share) ** 0.5
    mixed = outputs(D, a * x1 + b * x2, sigma, batch=batch)
    combined = a * outputs(D, x1, sigma, batch=batch) + b * outputs(D, x2, sigma, batch=batch)
    return Superposition(_cosine(mixed, combined), relative_error(mixed, combined))


def linearity(
    D: Denoiser,
    x1: Tensor,
    x2: Tensor,
    sigma: Tensor | float,
    *,
    share: float = 0.5,
    batch: int = 256,
) -> Estimate:
    """The mean of ``|cos(D(a x1 + b x2), a D(x1) + b D(x2))|`` over pairs of noisy inputs with its
    t interval; arguments of :func:`superposition`.

    Source: Li, Dai and Qu 2024, "linearity score".
    """
    return averaged(superposition(D, x1, x2, sigma, share=share, batch=batch).cosine.abs())


def linearity_error(
    D: Denoiser,
    x1: Tensor,
    x2: Tensor,
    sigma: Tensor | float,
    *,
    share: float = 0.5,
    batch: int = 256,
) -> Estimate:
    """The mean of ``|D(a x1 + b x2) - (a D(x1) + b D(x2))|/|D(a x1 + b x2)|`` over pairs, with its
    t interval; not squared.

    As in Li, Dai and Qu 2024, equation 12; the code of that paper divides by the norm of the
    combination instead. Arguments of
    :func:`superposition`; not available where D(a x1 + b x2) is zero and the combination is not.
    """
    return averaged(superposition(D, x1, x2, sigma, share=share, batch=batch).error)


def _unit(direction: Tensor, field: Field, x: Tensor) -> Tensor:
    """The direction at each point, (b, n), of length 1."""
    try:
        rows = direction.to(x).broadcast_to(x.shape).reshape(field.rows.shape)
    except RuntimeError:
        raise ValueError(
            f"direction of shape {tuple(direction.shape)} does not broadcast to x of "
            f"shape {tuple(x.shape)}"
        ) from None
    length = rows.norm(dim=1, keepdim=True)
    if not bool(((length > 0) & length.isfinite()).all()):
        raise ValueError("direction must be finite and not zero at any point")
    return rows / length


def _lengths(steps: Sequence[float] | Tensor) -> list[float]:
    given = torch.as_tensor(steps, dtype=torch.float64)
    if given.ndim != 1 or not len(given) or not bool(given.isfinite().all()):
        raise ValueError(f"steps must be a list of finite numbers, got {steps}")
    return given.tolist()


def _moved(field: Field, shift: Tensor) -> Tensor:
    """D at the points moved by ``shift`` (b, n)."""
    return Field(field.D, (field.rows + shift).reshape(-1, *field.event), field.sigma).value()


def _compared(
    value: Tensor, change: Tensor, moved: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The numbers of :class:`FirstOrder` for one step: D(x), l J v, D(x + l v), each (b, n)."""
    model = value + change
    ratio = moved.norm(dim=1) / model.norm(dim=1)
    ratio = torch.where((moved == model).all(1), 1.0, ratio)
    new = moved - value
    return _cosine(moved, model), ratio, _cosine(new, change), relative_error(change, new)


def _cosine(first: Tensor, second: Tensor) -> Tensor:
    """The cosine over the last axis: 1 of two zero vectors, 0 of a zero and another one."""
    lengths = first.norm(dim=-1) * second.norm(dim=-1)
    cosine = ((first * second).sum(-1) / lengths).clamp(-1, 1)
    return torch.where(lengths > 0, cosine, (first == second).all(-1).to(cosine))


def recentred(D: Denoiser, origin: Tensor) -> Denoiser:
    """The denoiser in coordinates whose origin is the point ``origin`` (*event): about the mean of
    its data a Wiener filter is linear.
    """
    return lambda x, sigma: D(x + origin, sigma) - origin
