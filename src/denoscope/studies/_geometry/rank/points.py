"""Where the Jacobian is asked: at noisy images, seen and unseen, at clean ones, and along sampling
paths; the same for every denoiser.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from denoscope.studies._geometry.subject import Subject

Kind = Literal["test", "train"]
KINDS: tuple[Kind, ...] = ("test", "train")

LOW, HIGH, COUNT = 0.02, 80.0, 13
LEVELS = np.geomspace(LOW, HIGH, COUNT)
"""The noise levels of the points x0 + sigma n, each about twice the one before."""

SMALL = 256
"""Numbers of a small image."""

MANY, FEW = 16, 6
"""Points a level where none are asked for: of small images, and of others."""

_STRIDE = 3  # of images that are not small, every third state of a path is asked


@dataclass(frozen=True)
class Points:
    """``count`` points a level, of images of ``size`` numbers; ``noises`` and ``steps`` of the
    sampling paths.
    """

    count: int
    size: int
    noises: int
    steps: int

    @classmethod
    def of(cls, subject: Subject, count: int) -> Points:
        """As many as asked for, or, for 0, as the size of an image allows; no more than the subject
        has noises.
        """
        size = subject.shape.numel()
        return cls(
            min(count or (MANY if size <= SMALL else FEW), subject.noises),
            size,
            subject.noises,
            subject.steps,
        )

    def noisy(self, subject: Subject, kind: Kind) -> tuple[Tensor, Tensor]:
        """x0 + sigma n at every level, (levels, points, c, h, w), and the levels, (levels,
        points).
        """
        x = torch.stack([subject.noisy(kind, self.count, float(level)) for level in LEVELS])
        return x, self._levels(LEVELS)

    def clean(self, subject: Subject) -> tuple[Tensor, Tensor]:
        """Unseen images without noise, once a level."""
        x = subject.clean("test", self.count)
        return x.expand(COUNT, *x.shape), self._levels(LEVELS)

    def path(self, states: Sequence[Tensor], sigmas: Tensor) -> tuple[Tensor, Tensor]:
        """The states that are asked of the paths through all ``states``, and their levels."""
        at = self.visited()
        return torch.stack([states[i] for i in at]), self._levels(sigmas.numpy()[at])

    def visited(self) -> list[int]:
        """Which levels of the solver: all but the last, 0, or every third one."""
        return list(range(0, self.steps, 1 if self.size <= SMALL else _STRIDE))

    def _levels(self, levels: np.ndarray) -> Tensor:
        return torch.tensor(levels, dtype=torch.float32)[:, None].expand(-1, self.count)
