"""Paths from noise to image, and when a choice on them settles: what the studies of paths share."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from denoscope.data.splits import Split
from denoscope.nearest import neighbors
from denoscope.sampling import heun, trajectory
from denoscope.types import Denoiser, Noise, Step


@dataclass(frozen=True)
class Path:
    """States and posterior means (levels, m, c, h, w) at ``sigmas`` (levels,), and the ``end`` (m,
    c, h, w).
    """

    sigmas: Tensor
    states: Tensor
    means: Tensor
    end: Tensor


@dataclass(frozen=True)
class Known:
    """The training images, with the class of each where there are classes."""

    images: Tensor
    labels: Tensor | None

    @classmethod
    def of(cls, data: Split) -> Known:
        labels, rows = data.images().labels, data.train_rows()
        return cls(data.train(), None if labels is None else labels[rows])

    def nearest(self, x: Tensor) -> Tensor:
        """The row of the training image nearest to each of x (..., c, h, w)."""
        rows = x.reshape(-1, self.images[0].numel())
        found = neighbors(rows, self.images.flatten(1)).index
        return found[:, 0].reshape(x.shape[:-3])

    def choices(self, chosen: Tensor) -> dict[str, Tensor]:
        """What is settled on: the image, and its class."""
        named = {} if self.labels is None else {"class": self.labels[chosen]}
        return {"image": chosen, **named}


def walked(
    D: Denoiser, start: Tensor, sigmas: Tensor, step: Step = heun, noise: Noise | None = None
) -> Path:
    """The path of a denoiser from every state at the first of some levels, which end at 0."""
    *states, end = trajectory(D, start, sigmas, step, noise)
    with torch.no_grad():
        means = [D(x, sigma) for x, sigma in zip(states, sigmas)]
    return Path(sigmas[:-1], torch.stack(states), torch.stack(means), end)


def staying(chosen: Tensor) -> Tensor:
    """Where the choice (levels + 1, m) is the last one, from there on to the end, bool (levels,
    m).
    """
    same = (chosen[:-1] == chosen[-1]).long()
    return same.flip(0).cumprod(0).flip(0).bool()


def settled(stays: Tensor, sigmas: Tensor) -> Tensor:
    """log2 of the highest level from which on the choice stays, (m,); of half the lowest one where
    it only comes with the end.
    """
    ladder = torch.cat([sigmas, sigmas[-1:] / 2]).log2()
    return ladder[len(sigmas) - stays.sum(0)]
