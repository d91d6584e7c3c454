"""What models take to be behind a measurement of an image that none of them saw: its upper half, or
means over squares of two by two pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from denoscope.apply.inverse import Operator, inpainting, posterior_samples, super_resolution
from denoscope.data.splits import Split
from denoscope.distributions import Empirical
from denoscope.fitting.frameworks import FRAMEWORKS
from denoscope.levels import karras
from denoscope.metrics.pool_descriptors import PoolDescriptors
from denoscope.random import Seeds
from denoscope.readings import Reading
from denoscope.types import Denoiser

STD = 0.1
"""Standard deviation of the measurement's noise."""
FORMS = ("gaussian", "memorizer")
_MEASURING = 1 << 20  # the first seed of a measurement's noise


def operators(shape: tuple[int, ...]) -> dict[str, Operator]:
    """What is measured of images (c, h, w), by the way that samples are drawn behind it."""
    height, width = shape[-2:]
    rows = torch.arange(height)[:, None] < height // 2
    found = {"inpainted": inpainting(rows.expand(shape))} if height > 1 else {}
    return found if height % 2 or width % 2 else {**found, "enlarged": super_resolution(2)}


@dataclass(frozen=True)
class Behind:
    """Held-out images of ``where`` that are measured, ``count`` at most, and the steps of Heun's
    method that draw what is behind them.
    """

    where: Split
    count: int
    steps: int

    def of(self, D: Denoiser, own: int) -> Iterator[tuple[str, Tensor]]:
        """By way, one image (k, c, h, w) behind each measurement, from noises that all models
        share; then from noises that only model number ``own`` has.
        """
        images = self.where.unseen()[: self.count]
        k, shape, sigmas = len(images), tuple(images.shape[1:]), karras(self.steps)
        for way, operator in operators(shape).items():
            clean = operator(images)
            noise = Seeds(range(_MEASURING, _MEASURING + k)).randn(tuple(clean.shape[1:]))
            y = clean + STD * noise
            for name, first in ((way, 0), (f"{way}_other", (own + 1) * k)):
                start = Seeds(range(first, first + k)).randn(shape)
                yield name, posterior_samples(D, y, operator, start, sigmas, std=STD)

    def measured(self, D: Denoiser, own: int) -> Iterator[Reading]:
        """These images, and whether closed forms of the training images make the same."""
        where = self.where
        seen, (low, high) = PoolDescriptors.of(where), where.images().data.aminmax()
        for way, drawn in self.of(D, own):
            made = drawn.clamp(low, high)
            yield Reading("sampled", {"way": way}, made.numpy().astype(np.float16))
            for who in FORMS:
                alike = seen.agree(made, _known(self, who)[way].clamp(low, high))
                yield Reading("rp_closed", {"way": way, "who": who}, alike)


@lru_cache(maxsize=8)
def _known(behind: Behind, who: str) -> dict[str, Tensor]:
    """What the Gaussian or the memorizer of the training images takes to be behind these."""
    where = behind.where
    D = where.gaussian() if who == "gaussian" else Empirical(where.train())
    return dict(behind.of(D, len(FRAMEWORKS) + FORMS.index(who)))
