"""What all cells of a sweep share: images and their split, descriptors, thresholds, the noises and
the solver's levels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from torch import Tensor

from denoscope.data import Images
from denoscope.data.sources import Source, load
from denoscope.data.splits import SEED as SPLIT_SEED
from denoscope.data.splits import cut
from denoscope.data.subsets import subset
from denoscope.describe import PCA, Pixels
from denoscope.estimate import Estimate
from denoscope.levels import karras
from denoscope.metrics import frechet_floor, pair_threshold
from denoscope.random import Seeds

PAIR_QUANTILE = 0.99
FIXED_THRESHOLD = 0.95
MOST_PAIRED = 4000


@dataclass(frozen=True)
class Setting:
    """Images split into a pool (training subsets come from it) and a hold-out that no model sees;
    all tensors on the CPU.

    ``noise``: (samples, c, h, w), row i from seed i alone; ``sigmas``: the solver's levels, last 0;
    ``same``: RP's threshold, the 0.99 quantile of mean-removed pixel cosine over pairs of distinct
    real images (at most 4 000 of the pool); ``spread``: the standard deviation of the pool's
    pixels, which networks take as that of their data.
    """

    images: Images
    pool: Tensor
    test_rows: Tensor
    pixels: Pixels
    whitened: PCA
    same: float
    noise: Tensor
    sigmas: Tensor
    spread: float

    @property
    def test(self) -> Tensor:
        """The held-out images, (held, c, h, w)."""
        return self.images.data[self.test_rows]

    @property
    def reals(self) -> Tensor:
        """The whole pool, (n, c, h, w)."""
        return self.images.data[self.pool]

    def floor(self) -> Estimate:
        """The Fréchet distance to the hold-out of as many real images as there are samples (or as
        the pool has).
        """
        size = min(len(self.noise), len(self.pool))
        return frechet_floor(
            self.reals.flatten(1),
            self.test.flatten(1),
            size,
            draws=1 if size == len(self.pool) else 20,
        )

    def train(self, size: int, which: int) -> Tensor:
        """Training subset ``which`` of this size: nested in size, the two disjoint while they fit,
        (size, c, h, w).
        """
        return self.images.data[self.train_rows(size, which)]

    def train_rows(self, size: int, which: int) -> Tensor:
        """The rows of that subset in the image set."""
        return subset(self.pool, size, which, seed=SPLIT_SEED, groups=self.images.groups)


@lru_cache(maxsize=2)
def prepare(source: Source, held: int, samples: int, solver_steps: int) -> Setting:
    """The setting of a sweep, made once a process."""
    images = load(source)
    pool, test = cut(images, held)
    reals = images.data[pool]
    pixels = Pixels()
    components = min(32, len(reals) - 1, reals[0].numel())
    paired = images.data[subset(pool, min(len(pool), MOST_PAIRED), 0, seed=SPLIT_SEED)]
    noise = Seeds(range(samples)).randn(images.shape)
    return Setting(
        images=images,
        pool=pool,
        test_rows=test,
        pixels=pixels,
        whitened=PCA.fit(reals, components),
        same=pair_threshold(pixels(paired), PAIR_QUANTILE),
        noise=noise,
        sigmas=karras(solver_steps).to(images.data.dtype),
        spread=round(float(reals.std()), 3),
    )
