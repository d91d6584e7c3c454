"""The denoiser of a mixture of low-rank Gaussians with learnable subspaces: the theoretical
parametrisation of Wang et al. 2024.

``D(x, sigma) = g sum_k w_k U_k U_k^T x`` with ``g = 1/(1 + sigma^2)`` and ``w = softmax_k(log pi_k
+ phi |U_k^T x|^2 - d_k/2 ln(1 + sigma^-2))``, ``phi = 1/(2 sigma^2 (1 + sigma^2))``: the posterior
mean where x0 = U_k a with a standard normal. The article's s and gamma are 1 and sigma in the
coordinates of this library; its formula lacks the last term of w, which is the same for all k where
the dimensions are equal. With ambient noise delta in the data (``noise``), sigma becomes ``t =
sqrt(sigma^2 + delta^2)`` in w, and a share ``delta^2/t^2`` of x itself is kept.

The columns are orthonormal at every step: what trains is a matrix W, and the bases are its polar
factor ``W (W^T W)^(-1/2)``, the nearest orthonormal matrix, which treats all subspaces alike.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from denoscope.random import generator
from denoscope.theory.molrg import LossConstants
from denoscope.types import pad

_DTYPES = {"float32": torch.float32, "float64": torch.float64}
_LEAST = 1e-12  # levels below this one are raised to it: the limit of small levels, and never 0/0


class Subspaces(nn.Module):
    """The denoiser above for points of ``n`` numbers and K subspaces of dimensions ``dims``, with
    learnable bases.

    ``joint``: [U_1 ... U_K] has orthonormal columns (the article's constraint), otherwise each U_k
    by itself. ``hard``: w is 1 for the largest ``|U_k^T x|`` and 0 elsewhere. ``weights``: pi,
    fixed, equal where None. ``noise``: delta. ``members``: m denoisers at once, then x is (m, b, n)
    and sigma (), (m,) or (m, b); ``Fleet`` stacks single ones to the same. The random start is a
    function of ``seed``.

    Where the joint columns do not fit (sum of dims > n), dims are not within 1 ... n, or weights do
    not sum to 1: a ValueError.
    """

    stackable = True

    def __init__(
        self,
        n: int,
        dims: Iterable[int],
        *,
        members: int | None = None,
        joint: bool = True,
        hard: bool = False,
        weights: Sequence[float] | None = None,
        noise: float = 0.0,
        dtype: str = "float64",
        seed: int = 0,
    ):
        super().__init__()
        self.n, self.dims, self.noise = n, tuple(dims), float(noise)
        self.joint, self.hard = joint, hard
        _check(n, self.dims, members, joint, self.noise, dtype)
        self.weights = _weights(weights, len(self.dims))
        self._owners = [k for k, d in enumerate(self.dims) for _ in range(d)]
        shape = (n, sum(self.dims)) if members is None else (members, n, sum(self.dims))
        start = torch.randn(shape, generator=generator(seed), dtype=torch.float64)
        self.matrix = nn.Parameter(self._orthonormal(start).to(_DTYPES[dtype]))

    @classmethod
    def from_bases(
        cls,
        bases: Tensor | Sequence[Tensor],
        *,
        joint: bool = True,
        hard: bool = False,
        weights: Sequence[float] | None = None,
        noise: float = 0.0,
    ) -> Subspaces:
        """The denoiser that starts at ``bases``: K tensors (*m, n, d_k) or one (*m, K, n, d);
        columns that are not orthonormal are a ValueError.
        """
        parts = list(bases.unbind(-3)) if isinstance(bases, Tensor) else list(bases)
        if not parts or any(
            part.ndim not in (2, 3) or part.shape[:-1] != parts[0].shape[:-1] for part in parts
        ):
            raise ValueError("bases must be K >= 1 tensors (n, d_k) or (m, n, d_k) of one m and n")
        columns = torch.cat(parts, -1)
        members = columns.shape[0] if columns.ndim == 3 else None
        dims = [part.shape[-1] for part in parts]
        dtype = str(columns.dtype).removeprefix("torch.")
        result = cls(
            columns.shape[-2],
            dims,
            members=members,
            joint=joint,
            hard=hard,
            weights=weights,
            noise=noise,
            dtype=dtype,
        )
        result._check_orthonormal(columns)
        with torch.no_grad():
            result.matrix.copy_(columns)
        return result

    @property
    def config(self) -> dict[str, object]:
        return {
            "class": "Subspaces",
            "n": self.n,
            "dims": list(self.dims),
            "members": self.members,
            "joint": self.joint,
            "hard": self.hard,
            "weights": list(self.weights),
            "noise": self.noise,
            "dtype": str(self.matrix.dtype).removeprefix("torch."),
        }

    @property
    def members(self) -> int | None:
        """How many denoisers these are at once; None for a single one."""
        return self.matrix.shape[0] if self.matrix.ndim == 3 else None

    @property
    def columns(self) -> Tensor:
        """[U_1 ... U_K], shape (*m, n, sum of dims), with gradients to what trains."""
        return self._orthonormal(self.matrix)

    @property
    def bases(self) -> list[Tensor]:
        """The K bases, each (*m, n, d_k); of equal dimensions they stack to (*m, K, n, d)."""
        return list(self.columns.split(self.dims, -1))

    def member(self, i: int) -> Subspaces:
        """A copy of member i as a single denoiser."""
        result = copy.deepcopy(self)
        result.matrix = nn.Parameter(self.matrix.detach()[i].clone())
        return result

    @torch.no_grad()
    def retract(self) -> None:
        """Puts what trains onto its polar factor: the same denoiser, well conditioned for long."""
        self.matrix.copy_(self.columns)

    def energies(self, x: Tensor) -> Tensor:
        """``|U_k^T x|^2``, shape (*batch, K), for x (*batch, n)."""
        rows, columns = self._rows(x)
        return self._sum((rows @ columns) ** 2).reshape(*x.shape[:-1], len(self.dims))

    @torch.no_grad()
    def assign(self, x: Tensor) -> Tensor:
        """The subspace with the largest ``|U_k^T x|`` of each point, the first of equals; int64."""
        return self.energies(x).argmax(-1)

    def forward(self, x: Tensor, sigma: Tensor, assignment: Tensor | None = None) -> Tensor:
        """``assignment``: each point's subspace, such as ``assign(clean x)``; stands for w."""
        rows, columns = self._rows(x)
        level = self._level(x, sigma, rows)
        inside = rows @ columns
        total = torch.hypot(level, torch.full_like(level, self.noise))
        scale = total * torch.hypot(total, torch.ones_like(total))
        shares = (
            self._shares(inside, total, scale)
            if assignment is None
            else self._one_hot(self._given(assignment, x, rows), rows)
        )
        projected = (inside * shares[..., self._owners]) @ columns.mT
        if self.noise:
            projected = torch.addcmul(
                (self.noise / total) ** 2 * rows, _gain(level, total), projected
            )
        else:
            projected = _gain(level, total) * projected
        return projected.reshape(x.shape).to(x.dtype)

    def integrated_loss(
        self, x: Tensor, constants: LossConstants, assignment: Tensor | None = None
    ) -> Tensor:
        """The denoising loss with noise and levels integrated: ``L mean|x|^2 - G mean|U_c^T x|^2 +
        H mean d_c``, shape () or (m,).

        x (*m, b, n) is clean; c its assignment, by default ``assign(x)``; ``constants`` (L, G, H)
        as from
        :func:`denoscope.theory.molrg.constants`. Exact for assignments that do not look at the
        noise, where :attr:`noise` is 0.
        """
        if self.noise:
            raise ValueError(
                "the integrated loss is that of the model without ambient noise, got "
                f"noise {self.noise}"
            )
        energies = self.energies(x)
        chosen = energies.detach().argmax(-1) if assignment is None else assignment
        captured = energies.gather(-1, chosen[..., None]).squeeze(-1)
        dims = torch.tensor(self.dims, dtype=x.dtype, device=x.device)[chosen]
        kept = constants.total * x.square().sum(-1) - constants.gain * captured
        return (kept + constants.cost * dims).mean(-1)

    def _orthonormal(self, weight: Tensor) -> Tensor:
        if self.joint:
            return polar(weight)
        return torch.cat([polar(part) for part in weight.split(self.dims, -1)], -1)

    def _check_orthonormal(self, columns: Tensor) -> None:
        for part in [columns] if self.joint else columns.split(self.dims, -1):
            unit = torch.eye(part.shape[-1], dtype=part.dtype, device=part.device)
            error = float((part.mT @ part - unit).abs().max())
            if not error <= 100 * torch.finfo(part.dtype).eps * self.n:
                asked = "of all bases together" if self.joint else "of each basis"
                raise ValueError(
                    f"the columns {asked} must be orthonormal (off by {error:.2g}); take "
                    "torch.linalg.qr(basis).Q"
                )

    def _rows(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x as (*m, b, n) in the wider of both types, and the columns in that type."""
        members = self.matrix.shape[:-2]
        if x.ndim < 1 + len(members) or x.shape[-1] != self.n or x.shape[: len(members)] != members:
            lead = f"({self.members}, ..., {self.n})" if members else f"(..., {self.n})"
            raise ValueError(f"x must have shape {lead}, got {tuple(x.shape)}")
        wide = torch.promote_types(x.dtype, self.matrix.dtype)
        count = math.prod(x.shape[len(members) : -1])
        return x.reshape(*members, count, self.n).to(wide), self.columns.to(wide)

    def _level(self, x: Tensor, sigma: Tensor, rows: Tensor) -> Tensor:
        """sigma of every row, (*m, b, 1), away from 0 and infinity."""
        if sigma.ndim >= x.ndim:
            more = f"has more axes than the batch {tuple(x.shape[:-1])} of x"
            raise ValueError(f"sigma of shape {tuple(sigma.shape)} {more}")
        level = pad(sigma.to(rows), x).expand(*x.shape[:-1], 1).reshape(*rows.shape[:-1], 1)
        return level.clamp(_LEAST, torch.finfo(rows.dtype).max)

    def _shares(self, inside: Tensor, total: Tensor, scale: Tensor) -> Tensor:
        """w (*m, b, K); projections are scaled before the square, so that none overflows."""
        if self.hard:
            return self._one_hot(self._sum(inside**2).argmax(-1), inside)
        offsets = inside.new_tensor(self.dims) * torch.log1p(total**-2)
        logs = [math.log(weight) if weight else -math.inf for weight in self.weights]
        prior = inside.new_tensor(logs)
        return (prior + 0.5 * (self._sum((inside / scale) ** 2) - offsets)).softmax(-1)

    def _sum(self, squares: Tensor) -> Tensor:
        """Sums over the columns of each subspace, (..., K)."""
        return torch.stack([part.sum(-1) for part in squares.split(self.dims, -1)], -1)

    def _one_hot(self, assignment: Tensor, like: Tensor) -> Tensor:
        every = torch.arange(len(self.dims), device=like.device)
        return (assignment[..., None] == every).to(like.dtype)

    def _given(self, assignment: Tensor, x: Tensor, rows: Tensor) -> Tensor:
        if assignment.shape != x.shape[:-1] or (
            assignment.numel()
            and not 0 <= int(assignment.min()) <= int(assignment.max()) < len(self.dims)
        ):
            raise ValueError(
                f"assignment must hold a subspace, 0 ... {len(self.dims) - 1}, for each "
                f"point of x, shape {tuple(x.shape[:-1])}, "
                f"got shape {tuple(assignment.shape)}"
            )
        return assignment.reshape(rows.shape[:-1]).to(rows.device)


def polar(matrix: Tensor) -> Tensor:
    """The nearest matrix with orthonormal columns, ``W (W^T W)^(-1/2)``, for W (..., n, d) of full
    column rank.

    First derivatives are exact in every mode also where singular values are equal, as they are on
    orthonormal matrices: the derivative of the inverse root of S = W^T W is ``-dS_ij / (r_i r_j
    (r_i + r_j))`` in the eigenbasis of S, r the roots of its eigenvalues, and is put in by hand.
    Second derivatives are not those of the polar factor. Source: Higham, Functions of Matrices
    (2008), section 8.
    """
    gram = matrix.mT @ matrix
    values, vectors = torch.linalg.eigh(gram.detach())
    roots = values.clamp_min(torch.finfo(values.dtype).tiny).sqrt()
    inverse = (vectors / roots[..., None, :]) @ vectors.mT
    left, right = roots[..., :, None], roots[..., None, :]
    slope = 1 / (left * right * (left + right))
    change = (
        vectors @ ((vectors.mT @ (gram - gram.detach()) @ vectors) * slope) @ vectors.mT
    )  # zero, but for its derivative
    return matrix @ (inverse - change)


def _gain(level: Tensor, total: Tensor) -> Tensor:
    """``sigma^2 / (t^2 (1 + t^2))`` of the projection; 1/(1 + sigma^2) without ambient noise."""
    return (level / total / torch.hypot(total, torch.ones_like(total))) ** 2


def _weights(weights: Sequence[float] | None, count: int) -> tuple[float, ...]:
    given = (1 / count,) * count if weights is None else tuple(float(weight) for weight in weights)
    if len(given) != count or min(given) < 0 or abs(sum(given) - 1) > 1e-6:
        raise ValueError(f"weights must be {count} numbers of at least 0, sum 1, got {list(given)}")
    return given


def _check(
    n: int, dims: tuple[int, ...], members: int | None, joint: bool, noise: float, dtype: str
) -> None:
    if not dims or not all(1 <= d <= n for d in dims):
        raise ValueError(f"dims must be at least one number from 1 to n = {n}, got {list(dims)}")
    if joint and sum(dims) > n:
        raise ValueError(
            f"{sum(dims)} jointly orthonormal columns do not fit {n} dimensions: take "
            "smaller dims, or joint=False"
        )
    if members is not None and members < 1:
        raise ValueError(f"members must be at least 1, got {members}")
    if not 0 <= noise < math.inf:
        raise ValueError(f"noise must be at least 0 and finite, got {noise}")
    if dtype not in _DTYPES:
        raise ValueError(f"dtype must be one of {', '.join(_DTYPES)}, got {dtype!r}")
