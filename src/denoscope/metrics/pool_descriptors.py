"""What tells the images of one set apart, and what sets of its images say by it: copies and
novelty, calibrated on held-out images.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from torch import Tensor

from denoscope.data.duplicates import find_duplicates
from denoscope.data.splits import SEED, Split
from denoscope.data.subsets import subset
from denoscope.describe import PCA, Pixels
from denoscope.estimate import Estimate, proportion
from denoscope.metrics.agreement import agreements
from denoscope.metrics.calibrate import copy_rates, pair_threshold, upper_quantile
from denoscope.metrics.copying import authenticity, generalization, memorized
from denoscope.metrics.divergence import frechet, frechet_floor
from denoscope.metrics.novelty import TAIL, Nearness, nearness_of
from denoscope.metrics.similarity import nearest_similarity
from denoscope.metrics.transition import calibrated
from denoscope.nearest import neighbors
from denoscope.readings import Reading
from denoscope.store import Value

PAIR_QUANTILE = 0.99
FIXED = 0.95
"""A cosine that needs no calibration, for comparison."""
_MOST_PAIRED = 4000
_MOST_SEARCHED = 10_000


@dataclass(frozen=True, eq=False)
class PoolDescriptors:
    """Mean-removed pixels and whitened principal components of a pool of images; ``same`` is the
    cosine of pixels above which two images count as the same: the 0.99 quantile over pairs of
    distinct real images, at most 4 000 of the pool.
    """

    pixels: Pixels
    whitened: PCA
    same: float

    @staticmethod
    def of(where: Split) -> PoolDescriptors:
        """Those of a split's pool, made once per process."""
        return _made(where.whole())

    def nearest(self, made: Tensor, train: Tensor) -> tuple[Tensor, Tensor]:
        """The nearest training image of every image, its row and its cosine, (n,) each."""
        found = neighbors(self.pixels(made), self.pixels(train), metric="cosine")
        return found.index[:, 0], 1 - found.distance[:, 0]

    def agree(self, made: Tensor, other: Tensor) -> np.ndarray:
        """Whether image i of both counts as the same, bool (n,)."""
        return agreements(self.pixels(made), self.pixels(other), threshold=self.same).numpy()

    def similarities(
        self, made: Mapping[str, Tensor], train: Tensor, test: Tensor
    ) -> Iterator[Reading]:
        """The ``similarity`` to the nearest training image, of samples by who made them and of
        held-out images.
        """
        places = {who: {"images": "gen", "who": who} for who in made}
        for who, images in {**made, "": test}.items():
            similar = self.nearest(images, train)[1].float().numpy()
            yield Reading("similarity", places.get(who, {"images": "test"}), similar)

    def copying(self, made: Tensor, train: Tensor, test: Tensor) -> dict[str, Value]:
        """How near the images ``made`` are to training images, calibrated by two descriptors on
        images that were held out, and how many are copies by a fixed threshold.
        """
        sets = (made, train, test)
        features, whitened = ([f(x) for x in sets] for f in (self.pixels, self.whitened))
        similar, held_out = _similarities(features)
        by_pixels, by_components = _nearness(features), _nearness(whitened)
        rates = copy_rates(similar, held_out, false_alarm=TAIL)
        alarms, counted = (sum(getattr(f, k) for f in rates.folds) for k in ("alarms", "held_out"))
        fixed = [generalization(x, features[1], threshold=FIXED) for x in features[::2]]
        return {
            "glc": calibrated(by_pixels.near),
            "nearness": by_pixels,
            "p_gen": by_pixels.near,
            "far": by_pixels.far,
            "p_test": proportion(alarms, counted),
            "threshold": upper_quantile(held_out, TAIL),
            "false_alarm": rates.false_alarm,
            "copies_p_value": rates.p_value,
            "detectable": rates.detectable(),
            "glc_pca": calibrated(by_components.near),
            "gl_fixed": fixed[0],
            "gl_fixed_test": fixed[1],
        }


def _similarities(features: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """To the nearest of the training images, of samples and of held-out images."""
    made, train, test = features
    return nearest_similarity(made, train), nearest_similarity(test, train)


def _nearness(features: Sequence[Tensor]) -> Nearness:
    similar, held_out = _similarities(features)
    return nearness_of(1 - similar, 1 - held_out)


def copying_otherwise(made: Tensor, where: Split) -> dict[str, Value]:
    """Copies by other rules, for images beside those of a split: the 1/3 rule, authenticity; and
    their distance to held-out images.
    """
    sets = (made, where.train(), where.unseen())
    gen, train, test = (images.flatten(1) for images in sets)
    groups = near_duplicates(where)
    return {
        "memorized": memorized(gen, train, groups=groups),
        "memorized_test": memorized(test, train, groups=groups),
        "authenticity": authenticity(gen, train),
        "frechet": frechet(gen, test),
    }


@lru_cache(maxsize=2)
def _made(whole: Split) -> PoolDescriptors:
    reals, rows, pixels = whole.pool(), whole.pool_rows(), Pixels()
    paired = whole.images().data[subset(rows, min(len(rows), _MOST_PAIRED), 0, seed=SEED)]
    components = min(32, len(reals) - 1, reals[0].numel())
    same = pair_threshold(pixels(paired), PAIR_QUANTILE)
    return PoolDescriptors(pixels, PCA.fit(reals, components), same)


@lru_cache(maxsize=2)
def real_distance(whole: Split, samples: int) -> Estimate:
    """The Fréchet distance to held-out images of as many real images as there are samples (or as
    the pool has).
    """
    reals, test = whole.pool().flatten(1), whole.unseen().flatten(1)
    size = min(samples, len(reals))
    return frechet_floor(reals, test, size, draws=1 if size == len(reals) else 20)


def near_duplicates(where: Split) -> Tensor:
    """The group of every training image: the known ones, else those found by distance."""
    known = where.images().groups
    return find_duplicates(where.train()).groups if known is None else known[where.train_rows()]


def duplicates_said(where: Split) -> str:
    """Exact and near duplicates among the images that may be trained on, in words."""
    reals = where.pool()[:_MOST_SEARCHED]
    found = find_duplicates(reals)
    words = (
        f"{found.exact} exact, {len(found.links)} near pairs in {len(reals)} training images, "
        f"largest cluster {found.largest} (near: below the {found.quantile:g} quantile of "
        "nearest-neighbour distances)"
    )
    return "; ".join([words, *found.warnings])
