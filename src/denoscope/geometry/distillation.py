"""The best affine map to a denoiser at one level, in closed form, and how far it is from another.

``W, b`` minimise ``E |W y + b - D(y)|^2 + ridge |W|_F^2`` over ``y = x + sigma n`` with x from
data: ``W = Cov(D, y) (Cov(y, y) + ridge I)^-1``, ``b = E D - W E y`` (Li, Dai and Qu 2024 descend
to it). Both covariances are of the same rows, so that a D that is affine is found exactly, however
few rows, as long as they span the space; only the rest e of D that is not affine makes W random: on
new points the distillate is off by about ``E |e|^2 (n + 1)/rows``, squared, which counts wherever D
is far from affine. Of the exact posterior mean of any law the distillate is the Wiener filter of
that law's mean and covariance (their theorem 1).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from denoscope.geometry.distances import outputs
from denoscope.random import Seeds, derive
from denoscope.types import Denoiser

_ROWS = 8  # rows for each unknown of a row of (W, b)


class Affine(NamedTuple):
    """``D(x) = W x + b`` over flattened events of n numbers, ``weight`` (n, n) and ``bias`` (n,): a
    denoiser for one level, whatever sigma says.
    """

    weight: Tensor
    bias: Tensor

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        """``W x + b``, shape and type of x; last axes that make no n numbers are a ValueError."""
        n = len(self.bias)
        if all(math.prod(x.shape[axis:]) != n for axis in range(x.ndim)):
            raise ValueError(f"x of shape {tuple(x.shape)} does not end in events of {n} numbers")
        wide = torch.promote_types(x.dtype, self.weight.dtype)
        weight, bias = (part.to(x.device, wide) for part in (self.weight, self.bias))
        return (x.reshape(-1, n).to(wide) @ weight.T + bias).reshape(x.shape).to(x.dtype)


def distill(
    D: Denoiser,
    x: Tensor,
    sigma: Tensor | float,
    *,
    ridge: float = 0.0,
    seed: int = 0,
    repeats: int | None = None,
    batch: int = 256,
) -> Affine:
    """The affine map ``(W (n, n), b (n,))``, float64, that is closest to D at one level ``sigma``
    over noisy data ``x`` (N, *event).

    Each image is taken with ``repeats`` noises, every second one the opposite of that before it; by
    default as many as make at least 8 (n + 1) rows in all. The noise of an image depends on
    ``seed`` and its place alone. ``ridge``: absolute, in units of a variance of one number of y.
    With no more than n rows, W is the solution of least norm. At most ``batch`` rows per call of D,
    some n^2 float64 in memory. A level that is not one positive number, a negative ridge, or
    repeats or batch below 1, are a ValueError.
    """
    level = torch.as_tensor(sigma, dtype=x.dtype, device=x.device)
    if x.ndim < 2 or not x.numel() or not x.is_floating_point() or level.ndim:
        raise ValueError(
            f"distill takes floating-point data (N, *event) and one level, got {x.dtype} "
            f"{tuple(x.shape)} and {tuple(level.shape)}"
        )
    if not 0 <= ridge < math.inf:
        raise ValueError(f"ridge must be at least 0 and finite, got {ridge}")
    if batch < 1 or (repeats is not None and repeats < 1):
        raise ValueError(f"repeats and batch must be at least 1, got {repeats} and {batch}")
    rows = len(x) * (repeats or math.ceil(_ROWS * (x[0].numel() + 1) / len(x)))
    sums = _Sums(x)
    for start in range(0, rows, batch):
        y = _noisy(x, level, range(start, min(start + batch, rows)), seed)
        sums.add(y.flatten(1).double(), outputs(D, y, level, batch=batch))
    return sums.affine(ridge)


def wiener(cov: Tensor, sigma: float) -> Tensor:
    """The matrix ``cov (cov + sigma^2 I)^-1`` of the Wiener filter at a level, (n, n), float64."""
    cov = cov.double()
    return torch.linalg.solve(cov + sigma**2 * torch.eye(len(cov)).to(cov), cov)


def weight_error(W: Tensor, W0: Tensor, *, twin: Tensor | None = None) -> float:
    """``|W - W0|_F^2/|W0|_F^2``, or with a ``twin`` of W from an independent seed ``<W - W0, twin -
    W0>_F/|W0|_F^2``.

    The first counts the random part of W as error; the second has its expectation without that
    part, and may fall below 0. A W0 of zero or different shapes are a ValueError. Source: Li, Dai
    and Qu 2024.
    """
    other = W if twin is None else twin
    if not W.shape == W0.shape == other.shape or not bool(W0.any()):
        raise ValueError(
            f"W and W0 must have one shape and W0 not be zero, got {tuple(W.shape)}, "
            f"{tuple(W0.shape)} and {tuple(other.shape)}"
        )
    W, W0, other = W.double(), W0.double(), other.double()
    return float(((W - W0) * (other - W0)).sum() / W0.square().sum())


def singular_correlations(W: Tensor, W0: Tensor, k: int) -> Tensor:
    """``|u_i^T u0_j|`` (k, k) of the k leading left singular vectors of two matrices: the identity
    where they agree and no values tie.

    k outside 1 ... n is a ValueError. Source: Li, Dai and Qu 2024.
    """
    if not 1 <= k <= min(*W.shape, *W0.shape):
        raise ValueError(f"k must lie between 1 and {min(*W.shape, *W0.shape)}, got {k}")
    left = (torch.linalg.svd(matrix.double(), full_matrices=False).U for matrix in (W, W0))
    first, second = (U[:, :k] for U in left)
    return (first.T @ second).abs()


def _noisy(x: Tensor, level: Tensor, rows: range, seed: int) -> Tensor:
    """Noisy data: row r N + i is image i with its noise r; noises 2 j, 2 j + 1 are opposites."""
    image = torch.tensor([row % len(x) for row in rows])
    turn = [row // len(x) for row in rows]
    seeds = Seeds(derive(seed, r // 2, i) for r, i in zip(turn, image.tolist()))
    noise = seeds.randn(x.shape[1:], x.dtype).to(x.device)
    sign = torch.tensor([1 - 2 * (r % 2) for r in turn]).to(noise).reshape(-1, *[1] * (x.ndim - 1))
    return x[image] + level * sign * noise


class _Sums:
    """First and second moments of inputs y and answers D about one origin, in float64."""

    def __init__(self, x: Tensor):
        self.origin = x.flatten(1).double().mean(0)
        n = len(self.origin)
        self.count, self.y, self.d = 0, torch.zeros_like(self.origin), torch.zeros_like(self.origin)
        self.yy, self.dy = (self.origin.new_zeros(n, n) for _ in range(2))

    def add(self, y: Tensor, d: Tensor) -> None:
        y, d = y - self.origin, d - self.origin
        self.count += len(y)
        self.y += y.sum(0)
        self.d += d.sum(0)
        self.yy.addmm_(y.T, y)
        self.dy.addmm_(d.T, y)

    def affine(self, ridge: float) -> Affine:
        """The least-squares map of least norm, without directions in which y varies by rounding."""
        y, d = self.y / self.count, self.d / self.count
        variance, basis = torch.linalg.eigh(self.yy / self.count - torch.outer(y, y))
        largest = torch.maximum(variance[-1], self.yy.diagonal().max() / self.count)
        kept = variance > len(y) * torch.finfo(torch.float64).eps * largest
        seen = basis[:, kept]
        mixed = (self.dy / self.count - torch.outer(d, y)) @ seen
        weight = (mixed / (variance[kept] + ridge)) @ seen.T
        return Affine(weight, self.origin + d - weight @ (self.origin + y))
