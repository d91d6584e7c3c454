"""Which images a model is trained on and which it never sees: splits by name, cut once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from denoscope.data.images import Images
from denoscope.data.sources import Source, load
from denoscope.data.subsets import hold_out, subset
from denoscope.distributions import Gaussian

SEED = 0
"""Of every split: all studies cut the same images in the same way."""


@dataclass(frozen=True)
class Split:
    """Training subset ``which`` of ``size`` images of ``source`` (0: all that are not held out),
    and the unseen ones.

    Unseen are ``held`` images of the same set, or those of ``test`` where one is named; then
    nothing is held out of ``source``. Subsets are nested in size, and the two disjoint while they
    fit.
    """

    source: Source
    test: Source | None
    held: int
    size: int
    which: int

    def images(self) -> Images:
        """The whole set."""
        return load(self.source)

    def train(self) -> Tensor:
        """The training images, (N, c, h, w)."""
        return self.images().data[self.train_rows()]

    def train_rows(self) -> Tensor:
        """Their rows in the set, (N,)."""
        return _train_rows(self)

    def pool_rows(self) -> Tensor:
        """The rows that may be trained on, (P,)."""
        images = self.images()
        return torch.arange(len(images)) if self.test else cut(images, self.held)[0]

    def unseen(self) -> Tensor:
        """Images that no model of this split was trained on, (M, c, h, w)."""
        return _unseen(self)

    def pool(self) -> Tensor:
        """All images that may be trained on, (P, c, h, w): what is known of the population."""
        return self.images().data[self.pool_rows()]

    def spread(self) -> float:
        """The standard deviation of the pool's pixels, which networks take as their data's."""
        return _spread(self.whole())

    def whole(self) -> Split:
        """The split that trains on the whole pool."""
        return Split(self.source, self.test, self.held, 0, 0)

    def gaussian(self) -> Gaussian:
        """The Wiener denoiser of the training images."""
        return _gaussian(self)

    def gaussian_all(self) -> Gaussian:
        """The Wiener denoiser of all images that may be trained on."""
        return _gaussian(self.whole())


def cut(images: Images, held: int) -> tuple[Tensor, Tensor]:
    """Rows of pool and hold-out: of the set's own test split, else at random with groups whole."""
    if images.test_from is None:
        return hold_out(len(images), held, seed=SEED, groups=images.groups)
    own = torch.arange(images.test_from, len(images))
    if held > len(own):
        raise ValueError(f"--held {held}: the test split of {images.name} has {len(own)} images")
    return torch.arange(images.test_from), subset(own, held, 0, seed=SEED)


@lru_cache(maxsize=64)
def _train_rows(split: Split) -> Tensor:
    rows, groups = split.pool_rows(), split.images().groups
    return subset(rows, split.size or len(rows), split.which, seed=SEED, groups=groups)


@lru_cache(maxsize=8)
def _unseen(split: Split) -> Tensor:
    images = split.images()
    if split.test is None:
        return images.data[cut(images, split.held)[1]]
    others = load(split.test).data
    if others.shape[1:] != images.data.shape[1:]:
        raise ValueError(
            f"--test has images of {tuple(others.shape[1:])}, --data of "
            f"{tuple(images.shape)}: give both the same --resize"
        )
    return others


@lru_cache(maxsize=8)
def _spread(whole: Split) -> float:
    return round(float(whole.pool().std()), 3)


@lru_cache(maxsize=8)
def _gaussian(split: Split) -> Gaussian:
    return Gaussian.from_data(split.train())
