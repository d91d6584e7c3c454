"""Groups of cells read back as courses: alike networks averaged over their training sets and seeds,
and pairs on disjoint sets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
import torch

from denoscope.estimate import Estimate, mean, paired
from denoscope.store import Row
from denoscope.studies._geometry.emergence.course import Course, Turn, turn
from denoscope.studies._geometry.emergence.measuring import cosines
from denoscope.studies._geometry.groups import Group, grouped, is_file


@dataclass(frozen=True, eq=False)
class Run:
    """Alike networks: what they measured, averaged over members at every shared point. Intervals
    are over points, for these networks.
    """

    group: Group

    @cached_property
    def n(self) -> int:
        """Number of training images."""
        return len(self.group.data().train())

    @property
    def width(self) -> int:
        """Width of the networks; of a plain file nothing is known."""
        return self.group.width

    @property
    def known(self) -> bool:
        """Whether size and width of the training are known."""
        return not is_file(self.group.rows[0])

    @property
    def trained(self) -> bool:
        """Whether the networks were looked at on their way."""
        return len(self.course.steps) > 1

    @cached_property
    def course(self) -> Course:
        """The mean over the members of every array."""
        return Course(self.group.mean)

    @cached_property
    def distance(self) -> np.ndarray:
        """To the Gaussian of the training set, (T, P)."""
        return self.course.average("to_gaussian")

    @property
    def between(self) -> np.ndarray:
        """From the Gaussian of the training set to that of all images, (P,)."""
        return self.course.average("between")

    @cached_property
    def nearest(self) -> Turn:
        """The moment nearest to the Gaussian of the training set."""
        return turn(self.distance)

    @cached_property
    def best(self) -> Turn:
        """The moment of least held-out error."""
        return turn(self.course.error("test"))

    @cached_property
    def pairs(self) -> np.ndarray | None:
        """The cosine, about the mean image, of samples of networks on disjoint training sets from
        one noise, (T, S); None without such pairs.
        """
        return self._paired("samples")

    @cached_property
    def gaussian_pairs(self) -> np.ndarray | None:
        """The same for the Gaussians of the two training sets, (S,)."""
        return self._paired("samples_gaussian")

    def _paired(self, name: str) -> np.ndarray | None:
        data = self.group.data()
        centre = data.pool().mean(0)
        if 2 * self.n > len(data.pool()):
            return None  # two subsets of this size overlap
        made = [
            torch.from_numpy(member[name]).float().unflatten(-1, centre.shape) - centre
            for member in self.group.arrays
        ]
        places = [(row.fields["seed"], row.fields["subset"]) for row in self.group.rows]
        disjoint = [
            pair
            for pair in combinations(range(len(made)), 2)
            if len({places[i][0] for i in pair}) == 1 and len({places[i][1] for i in pair}) == 2
        ]
        return (
            np.mean([cosines(made[i], made[j]).numpy() for i, j in disjoint], 0)
            if disjoint
            else None
        )


def runs(rows: Sequence[Row]) -> list[Run]:
    """Finished rows as runs, by training size and width."""
    return [Run(group) for group in grouped(rows)]


def along(values: np.ndarray) -> list[Estimate]:
    """The mean over points, one at every snapshot, of values (T, P)."""
    return [mean(row) for row in values]


def change(values: np.ndarray, start: int, end: int = -1) -> Estimate:
    """How much larger values (T, P) are at snapshot ``end`` than at ``start``, point by point."""
    return paired(values[end], values[start])


def panels(every: Sequence[Run]) -> dict[int, list[Run]]:
    """Runs by their training size, each by width."""
    return {
        n: sorted((run for run in every if run.n == n), key=lambda run: run.width)
        for n in sorted({run.n for run in every})
    }


def widest(every: Sequence[Run]) -> list[Run]:
    """The run of the largest width at every training size, the smallest size first."""
    return [found[-1] for found in panels(every).values()]
