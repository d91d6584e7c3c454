"""The course of a training: what was measured at every snapshot, averaged over the noise levels at
which the choice of a solution matters.

Above the standard deviation of the images along their leading principal component, sqrt(lam_1), the
noise hides every image; below 0.1 all denoisers are near the identity. In between lies the
intermediate regime. Li, Dai and Qu (2024) take 0.1 to 20 for images of 64 x 64 x 3 numbers;
sqrt(lam_1) grows with the number of pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from denoscope.estimate import Estimate, mean, paired

LOW, HIGH = 0.1, 20.0
"""The intermediate regime as published."""


@dataclass(frozen=True, eq=False)
class Course:
    """``array(name)`` is what was measured: (T, L, P) at T snapshots, L levels and P points, or (L,
    P) of a closed form.
    """

    array: Callable[[str], np.ndarray]

    @cached_property
    def steps(self) -> np.ndarray:
        """Training steps of the snapshots, (T,); a network that is given has the one step 0."""
        return self.array("steps").astype(int)

    @cached_property
    def levels(self) -> np.ndarray:
        """Noise levels, (L,)."""
        return self.array("levels")

    @cached_property
    def edges(self) -> tuple[float, float]:
        """The ends of the intermediate regime for these images."""
        return LOW, max(float(self.array("leading")[0]), 2 * LOW)

    def average(self, name: str, *, published: bool = False) -> np.ndarray:
        """An array (..., L, P) averaged over the levels of the intermediate regime, or of the
        published one, (..., P).
        """
        return self.array(name)[..., self._inside(published), :].mean(-2)

    def error(self, kind: str) -> np.ndarray:
        """Squared denoising error on "train" or "test" images over that of the best linear denoiser
        on unseen images, averaged over levels, (T, P).
        """
        best = self.array("error_test_gaussian_all").mean(1)
        return (self.array(f"error_{kind}") / best[:, None])[:, self._inside(False)].mean(1)

    def _inside(self, published: bool) -> np.ndarray:
        low, high = (LOW, HIGH) if published else self.edges
        return (self.levels >= low) & (self.levels <= high)


@dataclass(frozen=True)
class Turn:
    """The smallest value along a course: at snapshot ``index`` of ``last``, ``value`` there,
    ``end`` at the last one, ``rise`` the end less the smallest.

    The snapshot is chosen on every second point and the values are those of the others, so that the
    choice makes none of them small.
    """

    index: int
    last: int
    value: Estimate
    end: Estimate
    rise: Estimate

    @property
    def within(self) -> bool:
        """Whether the smallest value lies inside of the course and the end is above it, beyond the
        interval.
        """
        return 0 < self.index < self.last and self.rise.low > 0

    @property
    def share(self) -> float:
        """The rise relative to the smallest value."""
        return self.rise.value / self.value.value


def turn(course: np.ndarray) -> Turn:
    """The turn of a course (T, P)."""
    index, seen = int(course[:, ::2].mean(1).argmin()), course[:, 1::2]
    return Turn(
        index, len(course) - 1, mean(seen[index]), mean(seen[-1]), paired(seen[-1], seen[index])
    )
