"""Copies of which it is known that they are copies: perturbed training images, and perturbed
features where there are no images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from denoscope.audit.findings import MOVED, NEAR
from denoscope.data.images import Pictures
from denoscope.data.perturb import PERTURBATIONS
from denoscope.data.prepare import AS_STORED, Preparation
from denoscope.nearest import features, neighbors
from denoscope.random import derive, generator

Changed = Callable[[Tensor, int], Tensor]
"""Images (n, c, h, w) and a seed to what copying and storing makes of them."""
_EVERY = (*NEAR, *MOVED)
_NOISE = 0.1
_TRIED = 8  # images on which a perturbation is tried out


@dataclass(frozen=True)
class Planted(Mapping[str, Tensor]):
    """Images (n, c, h, w) in [-1, 1] after each of these perturbations, made when it is asked
    for: together they may be too many to be held. They are then prepared as samples are, ``after``,
    and have that many ``channels`` (0: as they are). ``own`` are perturbations beside those of
    :mod:`denoscope.data.perturb`.
    """

    images: Tensor
    words: tuple[str, ...]
    seed: int
    after: Preparation = AS_STORED
    channels: int = 0
    own: Mapping[str, Changed] = field(default_factory=dict)

    def __getitem__(self, word: str) -> Tensor:
        if word not in self.words:
            raise KeyError(word)
        perturbed = self.own.get(word) or PERTURBATIONS[word]
        made = perturbed(self.images, derive(self.seed, self.words.index(word)))
        shown = self.after.shaped(made)
        return shown.expand(-1, self.channels or -1, -1, -1).contiguous()

    def __iter__(self) -> Iterator[str]:
        return iter(self.words)

    def __len__(self) -> int:
        return len(self.words)


def plant(
    images: Pictures, count: int, seed: int, own: Mapping[str, Changed] | None = None
) -> Planted:
    """``count`` training images (n, c, h, w) in [-1, 1], drawn with ``seed``, after each
    perturbation that :func:`left_out` does not name, and each of one's ``own``.

    Row j of every entry is made from the same image; fewer images than ``count`` are all taken.
    """
    chosen = images[drawn(len(images), count, seed)]
    without = left_out(chosen)
    words = (*(word for word in _EVERY if word not in without), *(own or {}))
    return Planted(chosen, words, seed, own=own or {})


def left_out(images: Pictures) -> dict[str, str]:
    """Perturbations that cannot be applied to images of this shape, or leave them as they are, and
    why.
    """
    reasons, few = {}, images[:_TRIED]
    for word in _EVERY:
        try:
            if torch.equal(PERTURBATIONS[word](few, 0), few):
                reasons[word] = f"{word} leaves these images as they are"
        except ValueError as error:
            reasons[word] = str(error)
    return reasons


def plant_features(train: Tensor, count: int, seed: int) -> dict[str, Tensor]:
    """Training rows (n, k) plus normal noise a tenth as long, on average, as the median distance of
    these rows to their nearest others.

    Where files hold features and no images, nothing better is known of copies. Fewer than two rows
    are a ValueError.
    """
    rows = features(train, "train")
    at = drawn(len(rows), count, seed)
    chosen = rows[at]
    nearest = neighbors(chosen, rows, exclude=torch.stack([torch.arange(len(at)), at], 1)).distance[
        :, 0
    ]
    apart = nearest[nearest > 0]
    length = _NOISE * float(apart.median()) if len(apart) else 0.0
    noise = torch.randn(chosen.shape, generator=generator(seed, 1), dtype=chosen.dtype)
    return {"noise": chosen + length / chosen.shape[1] ** 0.5 * noise}


def drawn(n: int, count: int, seed: int) -> Tensor:
    """Which of n training images are planted, int64 (at most ``count``,)."""
    return torch.randperm(n, generator=generator(seed))[:count]
