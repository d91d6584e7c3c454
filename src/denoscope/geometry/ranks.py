"""The numerical rank of a denoiser's Jacobian, certified by few products with directions.

``rank(J) = min{r : F_r > eta |J|_F^2}`` with F_r the sum of the r leading squared singular values:
eta = 0.99 ("energy"), or 0.99^2 = 0.9801 when the root is compared ("norm"; Chen et al. 2024).
Block Golub-Kahan bases (``denoscope.geometry.krylov``) give theta_1 >= theta_2 >= ..., f_r = sum of
the first r theta^2 <= F_r and all energy f of the basis. What is outside of it is ``R = (I - Q Q^T)
J``, |J|_F^2 = f + |R|_F^2. Fixed standard normal g_1..g_m, drawn apart from the basis, have been
multiplied once; ``R^T g = J^T g - V T Q^T g`` then takes no further product, however the basis
grows, and gives

    |R|_F^2  = mean |R^T g|^2, with m |R|_F^2/|R R^T|_F^2 |R|_F^2 degrees of freedom of chi-square
    (Hutch++, Meyer et al. 2021), |R|_2^2 <= |R^T G|_2^2/chi^2_m(a) with probability 1 - a: the
    leading singular vector alone meets G as m standard normals do.

With z_i the right vectors of the basis and P = Z_m Z_m^T, ``J^T J = V T T^T V^T + R^T R`` is at
most, for any e > 0, what splits into theta_1^2..theta_m^2 with (1 + 1/e) P R^T R P and the rest
with (1 + e) (I - P) R^T R (I - P), so that

    F_r <= min_{m, e} max_j (f_{r-j} + f_{m+j} - f_m + (1 + e) min(j |R|_2^2, |R|_F^2)) + (1 + 1/e)
    |R Z_m|_F^2,

where ``|R Z_m|_F^2 <= |R|_2^2 sum_{i<=m} |last block of V to z_i|^2``, since R vanishes on the
blocks before: it is 0 for vectors that have converged. From these the rank lies between the first r
with bound > eta (f + low |R|^2) and the first with f_r > eta (f + high |R|^2). Sources: Halko,
Martinsson and Tropp 2011; Musco and Musco 2015; Meyer, Musco, Musco and Woodruff 2021;
Satterthwaite 1946.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from denoscope.geometry.certificates import BLOCK, certified, leading_places
from denoscope.geometry.field import Field
from denoscope.geometry.krylov import Mask, Operator, at_points
from denoscope.geometry.singular import groups
from denoscope.types import Denoiser


@dataclass(frozen=True)
class Rank:
    """The numerical ``rank`` (*batch) with ``low`` and ``high``, between which it lies with 99 %
    confidence at each point.

    ``norm``: |J|_F, known to ``norm_error`` with the same confidence; ``S`` (*batch, k): the
    leading singular values found, lower bounds of the true ones, 0 beyond what was found for a
    point; ``dense``: whether the matrix was formed, which makes all of it exact; ``products``:
    products with J or its transpose spent on the point.
    """

    rank: Tensor
    low: Tensor
    high: Tensor
    norm: Tensor
    norm_error: Tensor
    S: Tensor
    dense: Tensor
    products: Tensor


def energy_rank(
    S: Tensor, energy: float = 0.99, rule: str = "energy", *, total: Tensor | float | None = None
) -> Tensor:
    """The least r whose leading S^2 sum to more than ``energy`` of all ("energy"), or their root to
    more than that of the root of all ("norm").

    ``S`` (*b, k) holds singular values in any order, the answer is int64 of shape (*b); 0 where all
    are 0. ``total`` (*b) is the sum of all squares where S holds the leading ones alone; where they
    do not reach it the answer is k + 1, which then reads "more than k". An energy outside (0, 1),
    an unknown rule, negative or non-finite values are a ValueError. Sources: Wang et al. 2024
    ("norm"), Chen et al. 2024 (the same, squared).
    """
    share = threshold(energy, rule)
    if not S.ndim or not S.shape[-1] or not bool((S.isfinite() & (S >= 0)).all()):
        raise ValueError(
            "S must hold at least one finite singular value >= 0 on its last axis, got "
            f"shape {tuple(S.shape)}"
        )
    return leading_places(S, share, total)


def gaussian_rank(
    variances: np.ndarray, sigma: np.ndarray, rule: str = "energy", energy: float = 0.99
) -> np.ndarray:
    """The rank of the Jacobian lam/(lam + sigma^2) of the Gaussian denoiser with these variances
    lam (k,), the same at every point, for each of ``sigma`` (levels,).

    At sigma = inf it is that of the covariance, to which sigma^2 J tends.
    """
    lam, level = np.asarray(variances, np.float64), np.asarray(sigma, np.float64)[:, None]
    values = np.where(np.isinf(level), lam, lam / (lam + level**2))
    return energy_rank(torch.from_numpy(values), energy, rule).numpy()


def threshold(energy: float, rule: str) -> float:
    """The share of the squared Frobenius norm that the rank must exceed."""
    if not 0 < energy < 1:
        raise ValueError(f"energy must lie between 0 and 1, both excluded, got {energy}")
    if rule not in ("energy", "norm"):
        raise ValueError(f"rule must be 'energy' or 'norm', got {rule!r}")
    return energy if rule == "energy" else energy**2


def numerical_rank(
    D: Denoiser,
    x: Tensor,
    sigma: Tensor | float,
    *,
    energy: float = 0.99,
    rule: str = "energy",
    mask: Mask = None,
    seed: int = 0,
    dense: bool | None = None,
) -> Rank:
    """The numerical rank of ``P_out J P_in`` at each point, known to within 1 with 99 % confidence,
    by as few products as that takes.

    ``energy``, ``rule``: as in :func:`energy_rank`; ``mask``: as in ``svd``; ``seed`` fixes probes
    and first directions. Where the rank turns out to be so large that a basis costs more than the
    matrix, the matrix is formed (``dense`` = None), at once where ``dense`` is True, never where it
    is False (unless the basis fills the space). A Jacobian of norm at most eps sqrt(n) is zero to
    rounding and has rank 0.
    """
    share = threshold(energy, rule)
    field = Field(D, x, at_points(x, sigma, mask))
    operator = Operator(field, mask)
    found = [one for part in groups(operator, BLOCK) for one in certified(part, share, seed, dense)]
    width = max(len(one.S) for one in found)
    padded = (torch.nn.functional.pad(one.S, (0, width - len(one.S))) for one in found)
    S = torch.stack(list(padded)).to(x)
    whole, wrong = (
        torch.tensor([getattr(one, name) for one in found], dtype=torch.float64).to(x)
        for name in ("norm", "norm_error")
    )
    names = ("rank", "low", "high", "dense", "products")
    counts = [torch.tensor([getattr(one, name) for one in found]) for name in names]
    shaped = (count.reshape(field.batch).to(x.device) for count in counts)
    rank, low, high, formed, products = shaped
    norm, error = (part.reshape(field.batch) for part in (whole, wrong))
    S = S.reshape(*field.batch, width)
    return Rank(rank, low, high, norm, error, S, formed, products)
