"""Whether samples repeat training images mirrored, which is not compared unless it is asked for."""

from __future__ import annotations

import torch
from scipy.stats import binomtest
from torch import Tensor

from denoscope.audit.sets.inputs import InputSet
from denoscope.audit.sets.looked import SIDE, reduced
from denoscope.data.images import Images, batches
from denoscope.nearest import neighbors

_ERROR = 1e-3
_MOST, _BANK = 2000, 20_000  # samples and held-out images, and training images, looked at


def mirrored_copies(gen: InputSet, train: InputSet, test: InputSet | None) -> tuple[int, int]:
    """How many samples, of how many, come nearer to a training image when they are mirrored than
    any real image does; 0 where so many are no surprise.

    Real images are held-out ones, or else training images, each left out.
    """
    if gen.images is None or train.images is None:
        return 0, len(gen)
    bank = _some(train.images, _BANK)
    held = test.images if test is not None else None
    own = held is None
    real = bank[:_MOST] if held is None else _some(held, _MOST)
    samples, least = _gain(_some(gen.images, _MOST), bank), _gain(real, bank, own=own)
    many = int((samples < least.min()).sum())
    chance = binomtest(many, len(samples), 1 / (len(least) + 1), alternative="greater").pvalue
    return (many if chance < _ERROR else 0), len(samples)


def _some(images: Images, count: int) -> Tensor:
    """The first images, small."""
    rows = batches((min(count, len(images)), *images.shape))
    return torch.cat([reduced(images[some]) for some in rows])


def _gain(rows: Tensor, bank: Tensor, *, own: bool = False) -> Tensor:
    """The nearest distance of each mirrored picture over that of the picture itself."""
    here = torch.arange(len(rows))
    skip = torch.stack([here, here], 1) if own else None
    turned = rows.reshape(-1, 3, SIDE, SIDE).flip(-1).flatten(1)
    plain, other = (neighbors(x, bank, 1, exclude=skip).distance[:, 0] for x in (rows, turned))
    return other / plain.clamp_min(1e-6)
