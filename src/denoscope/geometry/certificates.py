"""The search for a certified numerical rank: a basis and probes at every point of a group, until
the rank is known or the matrix is cheaper.

What is computed, and why it bounds the rank, stands in ``denoscope.geometry.ranks``. Points of a
group take their steps together while they need the same step, and part where they do not, so that
the answer for a point does not depend on its companions.
"""

from __future__ import annotations

import math
from copy import copy
from dataclasses import dataclass

import torch
from torch import Tensor

from denoscope.geometry.bounds import Bounds, bounds
from denoscope.geometry.krylov import Krylov, Operator
from denoscope.geometry.singular import dense as dense_matrix
from denoscope.random import derive, generator

BLOCK = 10
PROBES = 16

FORWARD = 1.3
"""The cost of a product with J in products with its transpose."""

CROSSOVER = 0.25
"""The share of the space that a basis may take before the matrix costs less."""

STUCK = 0.1
"""A block that gains less than this share of what random directions would gain has missed some of
many equal singular values: larger blocks follow.
"""

WIDER = 3
"""By how much they are larger."""

BASIS = 3.0
"""Directions of a basis for each of the rank that it certifies, about."""


@dataclass(frozen=True)
class Certified:
    """The ``rank`` of one point with its bounds, |J|_F, the singular values found (k,), whether
    from the matrix, and the products spent.
    """

    rank: int
    low: int
    high: int
    norm: float
    norm_error: float
    S: Tensor
    dense: bool
    products: int


class Search:
    """A basis and probes at some points (named by their ``places`` in a group) that have taken the
    same steps; ``spent``: products per point so far.
    """

    def __init__(self, operator: Operator, seed: int):
        self.places, self.seed, self.spent = list(range(len(operator.field))), seed, PROBES
        self.probes = Probes(operator, derive(seed, 0))
        self.begin(operator, BLOCK)

    def begin(self, operator: Operator, block: int) -> None:
        """A basis anew, with blocks of that size."""
        self.krylov = Krylov(operator, block, derive(self.seed, block))
        self.grow()

    def grow(self) -> None:
        """A block more of the basis."""
        self.krylov.grow()
        self.spent += 2 * self.krylov.block

    def probe(self) -> None:
        """Twice the probes."""
        self.spent += self.probes.count
        self.probes.double(self.krylov.operator)

    def take(self, index: list[int]) -> Search:
        """Some of the points."""
        taken, chosen = copy(self), torch.tensor(index, device=self.krylov.left.device)
        taken.places = [self.places[i] for i in index]
        taken.krylov, taken.probes = self.krylov.take(chosen), self.probes.take(chosen)
        return taken

    def bounds(self, share: float) -> tuple[list[Bounds], Tensor]:
        """What is known of each point, and the theta (b, k)."""
        outside = self.probes.outside(self.krylov)
        turned, theta, _ = torch.linalg.svd(self.krylov.small, full_matrices=False)
        numbers = [theta.square(), turned[:, self.krylov.k :].square().sum(1), outside.mT @ outside]
        squares, pending, gram = (part.cpu().numpy() for part in numbers)
        return [bounds(squares[i], pending[i], gram[i], share) for i in range(len(squares))], theta


class Probes:
    """Standard normal directions, the same at every point, and ``J^T`` of them."""

    def __init__(self, operator: Operator, seed: int):
        self._random = generator(seed)
        self.directions = self._drawn(operator, PROBES)
        self.pulled = self._pulled(operator, self.directions)

    @property
    def count(self) -> int:
        return self.directions.shape[1]

    def double(self, operator: Operator) -> None:
        """As many again."""
        more = self._drawn(operator, self.count)
        self.directions, self.pulled = (
            torch.cat([self.directions, more], 1),
            torch.cat([self.pulled, self._pulled(operator, more)], 2),
        )

    def take(self, index: Tensor) -> Probes:
        taken = copy(self)
        taken._random, taken.pulled = torch.Generator(), self.pulled[index]
        taken._random.set_state(self._random.get_state())
        return taken

    def outside(self, krylov: Krylov) -> Tensor:
        """``R^T G`` (b, columns, m)."""
        return self.pulled - krylov.right @ (krylov.small @ (krylov.left.mT @ self.directions))

    def _pulled(self, operator: Operator, directions: Tensor) -> Tensor:
        return operator.transposed_times(directions.expand(len(operator.field), -1, -1))

    def _drawn(self, operator: Operator, count: int) -> Tensor:
        return torch.randn(
            operator.shape[0], count, generator=self._random, dtype=torch.float64
        ).to(operator.field.rows.device)


def certified(operator: Operator, share: float, seed: int, dense: bool | None) -> list[Certified]:
    """The ranks of the points of one group, in order."""
    places, found = range(len(operator.field)), {}
    if dense or min(operator.shape) < 2 * BLOCK:
        return [_exact(operator, place, share, 0) for place in places]
    searches = [Search(operator, seed)]
    while searches:
        search = searches.pop()
        states, theta = search.bounds(share)
        points = zip(states, theta, search.krylov.gained.tolist())
        wishes = [_wish(search, *point, dense) for point in points]
        for place, state, values, wish in zip(search.places, states, theta, wishes):
            if wish == "certain":
                found[place] = _certified(state, values, search.spent, operator.precision)
            elif wish == "dense":
                found[place] = _exact(operator, place, share, search.spent)
        for wish in ("grow", "probe", "widen"):
            index = [i for i, mine in enumerate(wishes) if mine == wish]
            if index:
                some = search.take(index) if len(index) < len(wishes) else search
                searches.append(_followed(some, wish))
    return [found[place] for place in places]


def _followed(search: Search, wish: str) -> Search:
    """The search after its next step."""
    match wish:
        case "widen":
            search.begin(search.krylov.operator, WIDER * search.krylov.block)
        case "probe":
            search.probe()
        case _:
            search.grow()
    return search


def _wish(search: Search, state: Bounds, theta: Tensor, gained: float, dense: bool | None) -> str:
    """What one point needs next."""
    block, size = search.krylov.block, min(search.krylov.operator.shape)
    rest = state.energy - state.captured
    if _certain(state, search.krylov.operator.precision):
        return "certain"
    if gained < STUCK * min(1.0, block / state.freedom) * rest and 2 * WIDER * block <= size:
        return "widen"
    if not search.krylov.room or (dense is None and _costly(state, theta, block, gained, size)):
        return "dense"
    blurred = state.captured > state.line and state.blur > float(theta[state.rank - 1]) ** 2
    probing = blurred and search.probes.count < size
    pays = probing and _probes_pay(search.probes.count, block, gained / rest)
    return "probe" if pays else "grow"


def _probes_pay(count: int, block: int, gain: float) -> bool:
    """Whether doubling the probes narrows what they leave open more for its cost than another
    block, which cuts the rest by 1 + ``gain``.

    That goes as the rest over the root of the number of probes; a direction of the basis costs
    ``FORWARD`` + 1 probes.
    """
    return 0.5 * math.log(2) / count > math.log1p(gain) / ((FORWARD + 1) * block)


def _certain(state: Bounds, precision: float) -> bool:
    """Whether the rank is known to within 1, or the Jacobian zero to rounding."""
    return state.energy_high <= precision**2 or (
        state.high is not None and state.high - 1 <= state.rank <= state.low + 1
    )


def _costly(state: Bounds, theta: Tensor, block: int, gained: float, size: int) -> bool:
    """Whether the basis will be more than ``CROSSOVER`` of the space, at the last block's pace."""
    if len(theta) < 2 * block:
        return False
    rest, missing = state.energy - state.captured, state.line - state.captured
    if missing < 0:
        needed = math.log(max(1.0, state.blur / float(theta[state.rank - 1]) ** 2))
        blocks = needed / max(math.log1p(gained / rest), 1e-9)
        return len(theta) + block * blocks > CROSSOVER * size
    more = missing / max(float(theta[-block]) ** 2, rest / state.freedom)
    return BASIS * (len(theta) + more) > CROSSOVER * size


def _certified(state: Bounds, theta: Tensor, products: int, precision: float) -> Certified:
    zero = state.energy_high <= precision**2
    rank, low, high = (0, 0, 0) if zero else (state.rank, state.low, state.high or state.rank)
    energies = (state.energy_low, state.energy, state.energy_high)
    low_norm, norm, high_norm = (part**0.5 for part in energies)
    apart = max(norm - low_norm, high_norm - norm)
    return Certified(rank, low, high, norm, apart, theta, False, products)


def _exact(operator: Operator, point: int, share: float, products: int) -> Certified:
    """From the matrix."""
    one = operator.take(torch.tensor([point], device=operator.field.rows.device))
    S = torch.linalg.svdvals(dense_matrix(one))
    norm = float(torch.linalg.vector_norm(S.double()))
    rank = int(leading_places(S, share)) if norm > operator.precision else 0
    return Certified(rank, rank, rank, norm, 0.0, S.double(), True, products + operator.shape[0])


def leading_places(S: Tensor, share: float, total: Tensor | float | None = None) -> Tensor:
    """The least r whose leading S^2 exceed a share of the total, k + 1 if none, 0 if all are 0."""
    unit = S.double().amax(-1, keepdim=True).clamp(min=torch.finfo(torch.float64).tiny)
    sums = (S.double() / unit).sort(-1, descending=True).values.square().cumsum(-1)
    whole = sums[..., -1]
    if total is not None:
        whole = torch.as_tensor(total, dtype=torch.float64, device=S.device) / unit[..., 0] ** 2
    return torch.where(whole > 0, 1 + (sums <= share * whole[..., None]).sum(-1), 0)
