"""Two growing bases between which a Jacobian is a small matrix: block Golub-Kahan bidiagonalisation
with full re-orthonormalisation.

From random directions V_1 (n, s), each step takes ``Q_j = orth(J V_j - ...)`` and ``V_{j+1} =
orth(J^T Q_j - ...)``, two products per direction. With ``Q = [Q_1 .. Q_j]`` (k columns) and ``V =
[V_1 .. V_{j+1}]`` (k + s columns) orthonormal,

    J^T Q = V T          exactly, T (k + s, k) upper block bidiagonal, J V_k = Q M          exactly,
    V_k = [V_1 .. V_j] and M = T_k^T, the first k rows of T, transposed.

With the SVD ``M = P diag(S) N^T``, ``U = Q P`` and ``V_k N`` approximate singular vectors: ``J v_i
= S_i u_i`` holds and ``|J^T u_i - S_i v_i|`` is the norm of the last s rows of T P, known without a
further product. ``|Q^T J|_F = |T|_F``, and the S are lower bounds of the singular values of J,
place by place, as those of T are. Where a block adds fewer than s directions (J is of low rank, or
has equal singular values) random ones take the rest. Sources: Golub and Kahan 1965; Golub, Luk and
Overton 1981; Baglama and Reichel 2005 (restart); Halko, Martinsson and Tropp 2011; Musco and Musco
2015.
"""

from __future__ import annotations

from copy import copy

import torch
from torch import Tensor

from denoscope.geometry.field import Field, Linearized
from denoscope.random import generator

Mask = Tensor | tuple[Tensor, Tensor] | None


class Operator:
    """``P_out J P_in`` of each point of a field as a map (b, columns, k) to (b, rows, k), both
    without the entries that the masks leave out.

    A pair of masks is (output, input). A mask that is no bool tensor of a point's shape, or keeps
    nothing, is a ValueError.
    """

    def __init__(self, field: Field, mask: Mask = None):
        pair = _pair(mask)
        if len(pair) != 2:
            raise ValueError(
                f"mask must be one bool tensor or the pair (output, input), got {len(pair)} of them"
            )
        self.field, self.kept = field, [_kept(side, field) for side in pair]
        self.linear: Linearized | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self.kept[0]), len(self.kept[1])

    @property
    def precision(self) -> float:
        """Rounding of a product relative to the norm of J."""
        return torch.finfo(self.field.rows.dtype).eps * self.field.n**0.5

    def take(self, index: Tensor) -> Operator:
        """The same at some of the points."""
        taken = Operator(self.field.take(index))
        taken.kept = self.kept
        return taken

    def beside(self, mask: Mask) -> Operator:
        """Another mask at the same points, by the same linearisation where there is one already."""
        other = Operator(self.field, mask)
        other.linear = self.linear
        return other

    def times(self, directions: Tensor) -> Tensor:
        """``P_out J P_in V`` in float64."""
        return self._linear(directions).times(self.expand(directions, 1))[:, self.kept[0]].double()

    def transposed_times(self, directions: Tensor) -> Tensor:
        """``P_in J^T P_out U`` in float64."""
        products = self._linear(directions).transposed_times(self.expand(directions, 0))
        return products[:, self.kept[1]].double()

    def expand(self, directions: Tensor, side: int) -> Tensor:
        """Directions over a point's numbers, zero outside the side's mask (0 output, 1 input)."""
        full = directions.new_zeros(len(directions), self.field.n, directions.shape[2])
        full[:, self.kept[side]] = directions
        return full

    def _linear(self, directions: Tensor) -> Linearized:
        if self.linear is None:
            self.linear = Linearized(self.field, directions.shape[2])
        return self.linear


class Krylov:
    """``left`` Q (b, rows, k), ``right`` V (b, columns, k + s), ``small`` T (b, k + s, k)."""

    def __init__(self, operator: Operator, block: int, seed: int):
        rows, columns = operator.shape
        self.operator, self.block, self._random = operator, block, generator(seed)
        self.left = operator.field.rows.new_zeros(len(operator.field), rows, 0, dtype=torch.float64)
        start = self._drawn(columns).expand(len(operator.field), -1, -1)
        self.right = torch.linalg.qr(start).Q
        self.small = self.left.new_zeros(len(start), block, 0)

    @property
    def k(self) -> int:
        """Columns of the left basis."""
        return self.left.shape[2]

    @property
    def room(self) -> bool:
        """Whether both bases can grow by a block."""
        return self.right.shape[2] + self.block <= min(self.operator.shape)

    def grow(self) -> None:
        """One block more, by 2 s products per point."""
        new = self.operator.times(self.right[..., -self.block :])
        self.left = torch.cat([self.left, self._orthonormal(new, self.left)], 2)
        pulled = self.operator.transposed_times(self.left[..., -self.block :])
        self.right = torch.cat([self.right, self._orthonormal(pulled, self.right)], 2)
        old = torch.nn.functional.pad(self.small, (0, 0, 0, self.block))
        self.small = torch.cat([old, self.right.mT @ pulled], 2)

    def triplets(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """``U`` (b, rows, k), ``S`` (b, k), ``V`` (b, columns, k), and ``|J^T u_i - S_i v_i|``."""
        turned, values, across = torch.linalg.svd(self.small[:, : self.k].mT)
        residuals = torch.linalg.vector_norm(self.small[:, self.k :] @ turned, dim=1)
        return self.left @ turned, values, self.right[..., : self.k] @ across.mT, residuals

    def restart(self, keep: int) -> None:
        """Only the ``keep`` leading approximate singular vectors and the block that is next."""
        turned, values, across = torch.linalg.svd(self.small[:, : self.k].mT)
        turned, following = turned[..., :keep], self.right[..., self.k :]
        old = torch.diag_embed(values[:, :keep])
        self.small = torch.cat([old, self.small[:, self.k :] @ turned], 1)
        self.right = torch.cat([self.right[..., : self.k] @ across.mT[..., :keep], following], 2)
        self.left = self.left @ turned

    @property
    def gained(self) -> Tensor:
        """The energy (b,) of the last block, ``|Q_j^T J|_F^2``."""
        return self.small[..., -self.block :].square().sum((1, 2))

    def take(self, index: Tensor) -> Krylov:
        """The same at some of the points, apart from this one."""
        taken = copy(self)
        taken.operator, taken._random = self.operator.take(index), torch.Generator()
        taken._random.set_state(self._random.get_state())
        taken.left, taken.right = self.left[index], self.right[index]
        taken.small = self.small[index]
        return taken

    def _orthonormal(self, block: Tensor, basis: Tensor) -> Tensor:
        """An orthonormal basis of what the block (b, p, s) adds to the basis; directions that
        rounding alone would give are random ones instead.
        """
        drawn = self._drawn(block.shape[1])
        both = torch.cat([self.small.flatten(1), block.flatten(1)], 1)
        scale = torch.linalg.vector_norm(both, dim=1)
        q, r = torch.linalg.qr(_without(basis, block))
        empty = r.diagonal(dim1=1, dim2=2).abs() <= self.operator.precision * scale[:, None]
        return torch.linalg.qr(_without(basis, torch.where(empty[:, None], drawn, q))).Q

    def _drawn(self, rows: int) -> Tensor:
        drawn = torch.randn(rows, self.block, generator=self._random, dtype=torch.float64)
        return drawn.to(self.operator.field.rows.device)


def _without(basis: Tensor, block: Tensor) -> Tensor:
    """``(I - B B^T)`` of a block, twice, so that it is orthogonal to rounding."""
    for _ in range(2):
        block = block - basis @ (basis.mT @ block)
    return block


def at_points(x: Tensor, sigma: Tensor | float, mask: Mask) -> Tensor:
    """The levels of the points of x: where a mask says a point's shape, one level goes with all."""
    level = torch.as_tensor(sigma, dtype=x.dtype, device=x.device)
    shape = next((side.shape for side in _pair(mask) if isinstance(side, Tensor)), x.shape)
    fits = level.ndim == 0 and x.shape[x.ndim - len(shape) :] == shape
    return level.expand(x.shape[: x.ndim - len(shape)]) if fits else level


def _pair(mask: Mask) -> tuple[Tensor | None, ...]:
    return mask if isinstance(mask, tuple) else (mask, mask)


def _kept(mask: Tensor | None, field: Field) -> Tensor:
    """The places that a mask keeps."""
    if mask is None:
        return torch.arange(field.n, device=field.rows.device)
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool or mask.shape != field.event:
        found = type(mask).__name__
        if isinstance(mask, Tensor):
            found = f"{mask.dtype} of shape {tuple(mask.shape)}"
        raise ValueError(f"mask must be a bool tensor of shape {tuple(field.event)}, got {found}")
    if not bool(mask.any()):
        raise ValueError("mask keeps nothing: at least one entry must be True")
    return mask.reshape(-1).nonzero()[:, 0].to(field.rows.device)
