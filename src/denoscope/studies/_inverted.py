"""Many images inverted to one noise level, the directions along which they are moved, each with a
mask of its own, and what that changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from denoscope.apply.edit import directions, length
from denoscope.geometry.distances import outputs
from denoscope.geometry.singular import svd
from denoscope.levels import karras
from denoscope.random import Seeds
from denoscope.sampling import euler, invert, sample
from denoscope.schedule import VPSDE
from denoscope.types import Denoiser

RANK = 10
"""Leading directions of the outside that are projected off; 0: none."""
REFINED = 3
"""Times that a step of the inversion is refined."""
CALLS, NUDGE = 256, 0.1
"""Of the network for a frame, at least what projected directions take; perturbations in σ."""
THIRDS, OTHERS = 3, 3
"""Masks of an image, and images to which a direction is carried."""
BATCH = 256
"""Images that are sampled at once."""


@dataclass(frozen=True, eq=False)
class Inverted:
    """Images at the noise level of ``levels``, as states ``x`` (i, c, h, w), and what they are
    sampled back to ``unedited``.
    """

    D: Denoiser
    x: Tensor
    levels: Tensor
    unedited: Tensor

    @classmethod
    def of(cls, D: Denoiser, x0: Tensor, time: float, steps: int) -> Inverted:
        """Images x0 (i, c, h, w) inverted to a time of the schedule by so many steps."""
        sigma = float(VPSDE().sigma(torch.tensor(time, dtype=torch.float64)))
        return cls(D, x0, karras(steps, 0.002, sigma), x0).again(x0)

    def again(self, x0: Tensor, refine: int = REFINED, at: str = "lower") -> Inverted:
        """Images inverted to the same level, perhaps otherwise."""
        D, levels = self.D, self.levels
        with torch.no_grad():
            x = torch.cat([invert(D, p, levels, at=at, refine=refine) for p in x0.split(BATCH)])
        return Inverted(D, x, levels, decoded(D, x, levels))

    def take(self, index: Tensor) -> Inverted:
        return Inverted(self.D, self.x[index], self.levels, self.unedited[index])

    def repeated(self, times: int) -> Inverted:
        """Every image so many times, one after the other."""
        return self.take(torch.arange(len(self.x)).repeat_interleave(times))

    @property
    def sigma(self) -> float:
        return float(self.levels[0])

    def change(self, vectors: Tensor, strength: Tensor | float) -> Tensor:
        """What moving each image along its vectors (i, k, c, h, w) by (i, k) or one strength
        changes, (i, k, c, h, w).
        """
        n = self.x[0].numel()
        step = length(torch.as_tensor(strength, dtype=self.x.dtype), n, self.sigma)
        step = step[..., None, None, None] if step.ndim else step
        moved = self.x[:, None] + step * vectors
        return decoded(self.D, moved, self.levels) - self.unedited[:, None]


def decoded(D: Denoiser, x: Tensor, levels: Tensor) -> Tensor:
    """States (..., c, h, w) sampled back without noise."""
    with torch.no_grad():
        rows = x.reshape(-1, *x.shape[-3:]).split(BATCH)
        return torch.cat([sample(D, part, levels, euler) for part in rows]).reshape(x.shape)


def thirds(x: Tensor, shift: int = 0) -> Tensor:
    """The mask of each image (i, 1, c, h, w): its upper, middle or lower third of lines in turn."""
    lines = torch.arange(x.shape[-2]) * THIRDS // x.shape[-2]
    which = (torch.arange(len(x)) + shift) % THIRDS
    mask = (lines == which[:, None])[:, None, None, :, None]
    return mask.expand(-1, 1, *x.shape[1:])


def masked_directions(here: Inverted, k: int, rank: int, shift: int = 0) -> Tensor:
    """The k directions of each image's mask, off ``rank`` leading ones of the outside."""
    masks, out = thirds(here.x, shift)[:, 0], here.x.new_empty(len(here.x), k, *here.x.shape[1:])
    how: dict[str, Any] = {"rank": max(rank, 1), "project": rank > 0}
    for j in range(min(THIRDS, len(masks))):
        out[j::THIRDS] = directions(
            here.D, here.x[j::THIRDS], here.sigma, masks[j], k, **how
        ).vectors
    return out


def compared(here: Inverted, k: int) -> dict[str, Tensor]:
    """The directions that are compared, unit vectors (i, k, c, h, w) by their kind."""
    masks, shape = thirds(here.x), (len(here.x), k, *here.x.shape[1:])
    levels = torch.full((len(here.x),), here.sigma, dtype=here.x.dtype)
    noise = Seeds(range(2 * shape[0] * k)).randn(shape[2:], here.x.dtype).reshape(2, *shape)
    leading = svd(here.D, here.x, levels, k, tolerance=1e-3).V.mT.reshape(shape)
    return {
        "projected": masked_directions(here, k, RANK),
        "masked": masked_directions(here, k, 0),
        "global": leading,
        "uniform": unit(noise[0]),
        "pixels": unit(noise[1] * masks),
        "frame": frame(here, k),
    }


def unit(vectors: Tensor) -> Tensor:
    return vectors / torch.linalg.vector_norm(vectors, dim=(-3, -2, -1), keepdim=True)


def frame(here: Inverted, k: int) -> Tensor:
    """Principal components of D, inside the masks, at small perturbations of the states."""
    noise = Seeds(range(CALLS)).randn(here.x.shape[1:], here.x.dtype)
    found = []
    for x, mask in zip(here.x, thirds(here.x)):
        answers = outputs(here.D, x + NUDGE * here.sigma * noise, here.sigma) * mask.flatten()
        centred = answers - answers.mean(0)
        found.append(torch.linalg.svd(centred, full_matrices=False).Vh[:k])
    return torch.stack(found).to(noise).reshape(-1, k, *here.x.shape[1:])


def partners(labels: Tensor, images: int) -> dict[str, Tensor]:
    """The rows of other images of the class of each of the first ``images``, and of the next class,
    (images * OTHERS,); nothing where a class has no more.
    """
    classes, rest = labels.unique(), torch.arange(images, len(labels))
    rows = {label: rest[labels[rest] == label] for label in classes.tolist()}
    if len(classes) < 2 or not all(map(len, rows.values())):
        return {}
    place = torch.searchsorted(classes, labels[:images])
    found = {}
    for onto, shift in (("same", 0), ("other", 1)):
        wanted = classes[(place + shift) % len(classes)].tolist()
        ranks = [OTHERS * i + torch.arange(OTHERS) for i in range(images)]
        some = [rows[label][rank % len(rows[label])] for label, rank in zip(wanted, ranks)]
        found[onto] = torch.cat(some)
    return found
