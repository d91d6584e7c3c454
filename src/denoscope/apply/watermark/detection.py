"""Detection: images are inverted to the key's noise level, and the cosine of what they have in the
carrier with the key has an exact p-value, for any image that does not depend on the key
(:func:`denoscope.theory.watermarks.cosine_tail`).

It needs no calibration set and no unmarked image, and inversion error, attacks and a wrong model
cost power, never exactness. What would break it: images made with the key's own random stream,
several looks of which the best is kept (:func:`corrected`), and keys drawn until they look good.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from scipy.stats import ncx2
from torch import Tensor

from denoscope.apply.edit import BATCH, REFINED, path
from denoscope.apply.watermark.carriers import Carrier
from denoscope.apply.watermark.keys import Key
from denoscope.sampling import invert
from denoscope.theory.watermarks import cosine_tail
from denoscope.types import Denoiser

ZERO = 1e-6
"""Of the norm of a state: a smaller part in the carrier says nothing."""


class Detection(NamedTuple):
    """The exact ``p`` and the ``cosine`` of each image, (*b), and the carrier's ``dimension``."""

    p: Tensor
    cosine: Tensor
    dimension: int


def states(
    D: Denoiser,
    images: Tensor,
    sigma: float,
    sigmas: Tensor | Sequence[float],
    *,
    refine: int = REFINED,
    batch: int = BATCH,
) -> Tensor:
    """Images (n, *shape) inverted to ``sigma``: once for all keys of that level."""
    if not bool(torch.isfinite(images).all()):
        raise ValueError("images must be finite numbers")
    levels = path(sigma, sigmas)
    return torch.cat([invert(D, part, levels, refine=refine) for part in images.split(batch)])


def reading(z: Tensor, directions: Tensor, space: Carrier) -> Detection:
    """What states z (*b, *shape) say of unit ``directions`` (*b, *shape) of the carrier; leading
    axes broadcast. A part in the carrier below 1e-6 of the state gives p = 1 and a cosine of 0.
    """
    unit, silent = _unit_parts(z, space)
    k = directions.to(unit).flatten(directions.ndim - len(space.shape))
    return _detection((unit * k).sum(-1), silent, space.dimension)


def readings_of_keys(z: Tensor, directions: Tensor, space: Carrier) -> Detection:
    """The same of every state (n, *shape) and every one of K directions (K, *shape): (n, K)."""
    unit, silent = _unit_parts(z, space)
    return _detection(unit @ directions.to(unit).flatten(1).T, silent[:, None], space.dimension)


def _unit_parts(z: Tensor, space: Carrier) -> tuple[Tensor, Tensor]:
    """States' parts in the carrier with length 1, (*b, n), and which are silent (*b)."""
    axis = z.ndim - len(space.shape)
    part, whole = space.project(z).flatten(axis), z.double().flatten(axis)
    length = torch.linalg.vector_norm(part, dim=-1)
    silent = length <= ZERO * torch.linalg.vector_norm(whole, dim=-1)
    return part / torch.where(silent, 1.0, length)[..., None], silent


def _detection(cosine: Tensor, silent: Tensor, dimension: int) -> Detection:
    cosine = torch.where(silent, 0.0, cosine.clamp(-1, 1))
    p = torch.as_tensor(cosine_tail(cosine, dimension)).to(cosine)
    return Detection(torch.where(silent, 1.0, p), cosine, dimension)


def detect(
    D: Denoiser,
    images: Tensor,
    key: Key,
    sigmas: Tensor | Sequence[float],
    *,
    shifts: int = 0,
    refine: int = REFINED,
    batch: int = BATCH,
) -> Detection:
    """Whether images (n, *shape) carry the key: their exact p-values (n,).

    ``shifts``: look at all images moved by up to so many pixels on both axes (the edges wrap), the
    best of which counts, its p times the number of looks.
    """
    how = {"shifts": shifts, "refine": refine, "batch": batch}
    return detect_keys(D, images, [key], sigmas, **how)[0]


def detect_keys(
    D: Denoiser,
    images: Tensor,
    keys: Sequence[Key],
    sigmas: Tensor | Sequence[float],
    *,
    shifts: int = 0,
    refine: int = REFINED,
    batch: int = BATCH,
) -> list[Detection]:
    """The same of several keys of one noise level, for which images are inverted once. Each p is of
    its own key: see :func:`~denoscope.apply.watermark.holm`.
    """
    for key in keys:
        key.check(images.shape[1:], sigma=keys[0].sigma)
    looks: list[list[Detection]] = [[] for _ in keys]
    for moved in _moved(images, shifts):
        z = states(D, moved, keys[0].sigma, sigmas, refine=refine, batch=batch)
        for key, seen in zip(keys, looks):
            seen.append(reading(z, key.direction, key.space))
    return list(map(_best, looks))


def _best(looks: Sequence[Detection]) -> Detection:
    """The best look at each image, its p corrected."""
    p = torch.stack([look.p for look in looks], -1)
    cosine = torch.stack([look.cosine for look in looks], -1)
    best = p.argmin(-1, keepdim=True)
    return Detection(corrected(p), cosine.gather(-1, best)[..., 0], looks[0].dimension)


def _moved(images: Tensor, shifts: int) -> Iterator[Tensor]:
    span = range(-shifts, shifts + 1)
    for down in span:
        for right in span:
            yield torch.roll(images, (down, right), (-2, -1)) if down or right else images


def corrected(p: Tensor) -> Tensor:
    """The p-value of the best of several looks (*b, looks) at one image, (*b): the least times
    their number (Bonferroni), whatever the looks have in common.
    """
    return (p.shape[-1] * p.amin(-1)).clamp(max=1)


class PublishedReading(NamedTuple):
    """The published statistics beside the exact one, (n,): the ``p`` of the non-central chi-squared
    law, and the ``distance``, root mean square over the carrier's dimensions.
    """

    p: Tensor
    distance: Tensor


def published(z: Tensor, direction: Tensor, space: Carrier, amplitude: float) -> PublishedReading:
    """States z (n, *shape) against the target ``amplitude * direction``, ((n,) *shape), in the
    carrier.

    ``eta = m |target - part|^2 / |part|^2`` is taken as non-central chi-squared with m degrees of
    freedom and non-centrality ``m |target|^2 / |part|^2``: true if the part were white. Wen et al.
    2023, eq. 5-6; Li et al. 2024, eq. 7.
    """
    part, m = space.project(z).flatten(1), space.dimension
    target = amplitude * direction.to(part).flatten(direction.ndim - len(space.shape))
    variance = part.square().sum(1) / m
    off = (part - target).square().sum(1)
    off_center = (target.square().sum(-1) / variance).cpu().numpy()
    p = ncx2.cdf((off / variance).cpu().numpy(), m, off_center)
    return PublishedReading(torch.as_tensor(p), (off / m).sqrt())
