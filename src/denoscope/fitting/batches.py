"""What is drawn at every step of a training: images, noise levels and noise, a function of the
member's seed and the step alone.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from denoscope.files import content_hash
from denoscope.fitting.augmentation import AS_THEY_ARE, Augmentation
from denoscope.networks.layers import NO_LABEL
from denoscope.random import generator
from denoscope.types import Levels

Draw = tuple[Tensor, ...]
"""(x0, sigma, noise) of one step: (b, *shape), (b,), (b, *shape), and labels (b,) where images have
them; fleets: a member axis before.
"""

CHUNK = 1 << 16
"""Numbers of noise drawn at once, about: it spreads the cost of seeding a generator."""


class Draws:
    """An endless iterator of :data:`Draw` for m members, see :func:`draws`."""

    def __init__(
        self,
        data: Tensor,
        subsets: Sequence[Tensor],
        seeds: Sequence[int],
        batch: int,
        levels: Levels,
        step: int,
        labels: Tensor | None = None,
        dropped: float = 0.0,
        augment: Augmentation = AS_THEY_ARE,
    ):
        if len(subsets) != len(seeds) or not len(seeds):
            raise ValueError(
                f"draws need one seed for each training subset, got {len(subsets)} "
                f"subsets and {len(seeds)} seeds"
            )
        if batch < 1 or step < 0 or min(len(subset) for subset in subsets) < 1:
            raise ValueError(
                "draws need a batch of at least 1, a start of at least 0 and no empty "
                f"subset, got batch {batch}, start {step}"
            )
        if labels is not None and (labels.shape != data.shape[:1] or labels.is_floating_point()):
            got = f"{labels.dtype} of shape {tuple(labels.shape)}"
            raise ValueError(
                f"labels are one whole number for each of {len(data)} images, got {got}"
            )
        if not 0 <= dropped <= 1:
            raise ValueError(f"dropped is a probability, got {dropped}")
        self.data, self.subsets, self.seeds, self.batch, self.levels, self.step = (
            data,
            list(subsets),
            list(seeds),
            batch,
            levels,
            step,
        )
        if augment and (data.ndim != 4 or augment.shift >= min(data.shape[-2:])):
            raise ValueError(
                "only images (N, c, h, w) are mirrored, or shifted by less than their sides, got "
                f"data of shape {tuple(data.shape)} and a shift of {augment.shift}"
            )
        self.labels, self.dropped, self.augment = labels, dropped, augment
        self.together = max(1, CHUNK // (batch * data[0].numel()))
        self._chunk, self._drawn = -1, (torch.empty(0),) * 5

    def at(self, step: int) -> Draws:
        """The same draws from ``step`` on."""
        how = self.subsets, self.seeds, self.batch, self.levels, step, self.labels, self.dropped
        return Draws(self.data, *how, self.augment)

    def fingerprint(self) -> str:
        """A hash of all that decides the draws; the levels enter by 16 values that they give."""
        images = content_hash(self.data.numpy(), *(subset.numpy() for subset in self.subsets))
        rest = [images, self.seeds, self.batch, self.step, self.levels(16, generator(0)).tolist()]
        if self.labels is not None:
            rest += [content_hash(self.labels.numpy()), self.dropped]
        if self.augment:
            rest += [self.augment.mirror, self.augment.shift]
        return hashlib.sha256(json.dumps(rest).encode()).hexdigest()

    def __iter__(self) -> Draws:
        return self

    def __next__(self) -> Draw:
        chunk, place = divmod(self.step, self.together)
        if chunk != self._chunk:
            self._chunk, self._drawn = chunk, self._draw(chunk)
        self.step += 1
        rows, sigma, noise, kept, moves = (drawn[:, place] for drawn in self._drawn)
        images = self.augment(self.data[rows], moves) if self.augment else self.data[rows]
        if self.labels is None:
            return images, sigma, noise
        return images, sigma, noise, self.labels[rows].where(kept, NO_LABEL)

    def _draw(self, chunk: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Rows, levels, noise, whether labels are kept and moves of images of all members in all
        steps of a chunk, (m, steps, b, ...).
        """
        size = (self.together, self.batch)
        rows, sigma = (
            torch.empty((len(self.seeds), *size), dtype=torch.int64),
            self.data.new_empty((len(self.seeds), *size)),
        )
        noise = self.data.new_empty((len(self.seeds), *size, *self.data.shape[1:]))
        kept = torch.ones_like(rows, dtype=torch.bool)
        moves = rows.new_zeros((*rows.shape, 3))
        for i, (seed, subset) in enumerate(zip(self.seeds, self.subsets)):
            draw = generator(seed, chunk)
            rows[i] = subset[torch.randint(len(subset), size, generator=draw)]
            sigma[i] = self.levels(math.prod(size), draw).reshape(size)
            noise[i].normal_(generator=draw)
            if self.labels is not None:  # drawn last: images, levels and noise stay as without
                kept[i] = torch.rand(size, generator=draw) >= self.dropped
            if self.augment:
                moves[i] = self.augment.drawn(size, draw)
        return rows, sigma, noise, kept, moves


def draws(
    data: Tensor,
    subsets: Sequence[Tensor],
    seeds: Sequence[int],
    *,
    batch: int,
    levels: Levels,
    start: int = 0,
    labels: Tensor | None = None,
    dropped: float = 0.1,
    augment: Augmentation = AS_THEY_ARE,
) -> Draws:
    """Endless draws for m members: x0 (m, b, *shape) from ``data[subsets[i]]`` with replacement,
    sigma (m, b) from ``levels``, and noise; with ``labels`` (N,) of the data those of x0, each
    ``dropped`` (-1) with that probability; with ``augment`` x0 is mirrored or shifted.

    What member i draws at step k depends on (seeds[i], k) alone; ``start`` is the first step.
    ``data`` (N, *shape) and the index tensors ``subsets`` live on the CPU.
    """
    return Draws(data, subsets, seeds, batch, levels, start, labels, dropped, augment)
