"""Marks in many images, by a key of its own in each: what they cost, and when they are found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from scipy.fft import idctn
from torch import Tensor

from denoscope.apply.edit import BATCH, REFINED, path
from denoscope.apply.watermark import (
    Carrier,
    Key,
    as_stored,
    key_directions,
    mark,
    reading,
    secret,
    states,
)
from denoscope.estimate import paired_shares
from denoscope.readings import Reading, Readings, estimated
from denoscope.sampling import euler, sample
from denoscope.types import Denoiser

LEVELS = (1e-2, 1e-4, 1e-6)
"""Of p, at or below which a mark is found."""
EASY, FOUND = LEVELS[0], LEVELS[-1]
KEYS = 1000
"""Among which an image's own is identified; image i of any set carries key i."""
LOWEST = 0.25
"""Of the frequencies of a DCT, both axes together, that spread spectrum leaves out."""
OWN, CHANCE = range(2)
"""Places of keys below a seed: of images, and of pairs by chance."""


def own_keys(space: Carrier, count: int) -> Tensor:
    """The unit directions (count, *shape) of keys 0, 1, ..."""
    return key_directions(space, (secret(0, OWN, i) for i in range(count)))


@dataclass(frozen=True, eq=False)
class Bearer:
    """Images as states ``x`` (n, *shape) at the level of ``key``'s carrier, each to be marked by a
    key of its own: by a step of ``strength``, or by replacement.
    """

    D: Denoiser
    key: Key
    sigmas: Tensor
    x: Tensor
    strength: float
    how: str = "additive"
    refine: int = REFINED

    @classmethod
    def of(cls, D: Denoiser, key: Key, images: Tensor, sigmas: Tensor, *how: Any) -> Bearer:
        """Given images (n, *shape), inverted as exactly as they are to be marked."""
        return cls(D, key, sigmas, states(D, images, key.sigma, sigmas), *how)

    def samples(self, start: Tensor) -> Bearer:
        """The same of samples on their way down from states (n, *shape) at the first level."""
        above = self.sigmas[self.sigmas > self.key.sigma * (1 + 1e-9)]
        if len(above):
            start = down(self.D, start, torch.cat([above, above.new_tensor([self.key.sigma])]))
        return replace(self, x=start)

    def at(self, strength: float) -> Bearer:
        return replace(self, strength=strength)

    def first(self, count: int) -> Bearer:
        return replace(self, x=self.x[:count])

    @property
    def space(self) -> Carrier:
        return self.key.space

    @property
    def levels(self) -> Tensor:
        return path(self.key.sigma, self.sigmas)

    @property
    def step(self) -> float:
        """The length of the step in the coordinates of the states."""
        return self.strength * (1 + self.key.sigma**2) ** 0.5

    @cached_property
    def keys(self) -> Tensor:
        """All keys; those of the images are the first n."""
        return own_keys(self.space, KEYS)

    @property
    def own(self) -> Tensor:
        return self.keys[: len(self.x)]

    @cached_property
    def unmarked(self) -> Tensor:
        return down(self.D, self.x, self.levels)

    @cached_property
    def marked(self) -> Tensor:
        """Never clamped."""
        return self.toward(self.own)

    @cached_property
    def stored(self) -> Tensor:
        """In 8 bits."""
        return as_stored(self.marked)

    @cached_property
    def z(self) -> Tensor:
        """What inversion makes of the marked images."""
        return self.states(self.stored)

    def toward(self, keys: Tensor) -> Tensor:
        """The images with marks along keys ((n,) *shape), never clamped."""
        x = mark(self.x, keys, self.space, self.key.sigma, self.strength, self.how)
        return down(self.D, x.to(self.x), self.levels)

    def states(self, images: Tensor) -> Tensor:
        """What detection sees of images, their steps ``refine`` times refined."""
        return states(self.D, images, self.key.sigma, self.sigmas, refine=self.refine)

    def p(self, z: Tensor, keys: Tensor | None = None) -> Tensor:
        """The p-values of states (n, *shape), of the images' own keys or of others."""
        return reading(z, self.own if keys is None else keys, self.space).p


def down(D: Denoiser, x: Tensor, levels: Tensor) -> Tensor:
    """States (n, *shape) at the first level sampled down without noise."""
    with torch.no_grad():
        return torch.cat([sample(D, part, levels, euler) for part in x.split(BATCH)])


def spread_spectrum(images: Tensor, strength: float) -> Bearer:
    """Marks in pixels (n, *shape) without a model, in all but the lowest DCT coefficients."""
    shape, n = tuple(images.shape[1:]), images[0].numel()
    rows, columns = (torch.arange(side) / side for side in shape[-2:])
    waves = np.asarray(idctn(np.eye(n).reshape(n, *shape), axes=(-2, -1), norm="ortho"))
    lowest = (rows[:, None] + columns < LOWEST).expand(shape).flatten()
    key = replace(
        Key.make(0, shape, "all", 1e-6), removed=torch.from_numpy(waves.reshape(n, n))[lowest].T
    )
    levels = torch.zeros(1, dtype=torch.float64)
    return Bearer(lambda x, sigma: x, key, levels, images, strength)


def squares(changed: Tensor, other: Tensor) -> np.ndarray:
    """Mean squared differences (n,)."""
    return (changed.double() - other.double()).square().flatten(1).mean(1).numpy()


def at_most(p: Tensor) -> np.ndarray:
    """Whether p-values (n,) lie at or below each level, (levels, n)."""
    return (p.numpy() <= np.array(LEVELS)[:, None]).astype(np.int8)


def told(name: str, p: Tensor, **at: Any) -> Reading:
    return Reading(name, {"p": np.array(LEVELS), **at}, at_most(p))


# What a mark costs, and when it is found


def costs(
    bearer: Bearer, originals: Tensor, factors: Sequence[float], exactly: bool
) -> Iterator[Reading]:
    """Marks in real images, and at other strengths in half of them; ``exactly``: as closed forms
    have them too.
    """
    yield from marks(bearer, {"images": "test"}, originals)
    if exactly:
        yield from unclamped(bearer, {})
    for factor in factors:
        strength = round(factor * bearer.strength, 3)
        part, at = bearer.at(strength).first(len(originals) // 2), {"strength": strength}
        yield from marks(part, {"images": "test", **at}, originals[: len(part.x)])
        if exactly:
            yield from unclamped(part, at)


def marks(bearer: Bearer, at: dict[str, Any], originals: Tensor | None = None) -> Iterator[Reading]:
    """One strength, stored in 8 bits: what it changes, and what is found."""
    yield Reading("psnr", at, squares(bearer.marked, bearer.unmarked))
    yield Reading("psnr_stored", at, squares(bearer.stored, as_stored(bearer.unmarked)))
    if originals is not None:
        yield Reading("psnr_original", at, squares(bearer.stored, originals))
    yield told("found", bearer.p(bearer.z), **at)


def unclamped(bearer: Bearer, at: dict[str, Any]) -> Iterator[Reading]:
    """What a Gaussian's closed forms speak of, before clamp and 8 bits: the share of the step that
    inversion brings back, and what is found.
    """
    z, plain = bearer.states(bearer.marked), bearer.states(bearer.unmarked)
    along = ((z - plain).double() * bearer.own).flatten(1).sum(1) / bearer.step
    yield Reading("recovered", at, along.numpy())
    yield told("found_raw", bearer.p(z), **at)


def equal(other: Bearer, bearer: Bearer) -> Bearer:
    """The other at the strength that makes the same squared change, in proportion."""
    wanted, found = (squares(b.marked, b.unmarked).mean() for b in (bearer, other))
    return other.at(round(float(other.strength * (wanted / found) ** 0.5), 4))


def rival(bearer: Bearer, name: str) -> Iterator[Reading]:
    """What another mark of equal cost changes, stored in 8 bits, and whether it is found."""
    plain = as_stored(bearer.unmarked)
    yield Reading("rival_psnr", {"rival": name}, squares(bearer.stored, plain))
    yield told("rival", bearer.p(bearer.z), rival=name)


def more_found(mine: Readings, other: Readings, *apart: str) -> Readings:
    """The share found less the other's, paired by image."""
    return mine.against(other, estimated(paired_shares), "difference", apart=apart).dropped(*apart)


def at_psnr(hits: Readings, psnr: Readings) -> Readings:
    """Shares found at their PSNR."""
    known = {frozenset(r.at.items()): r.value.value for r in psnr.estimates()}
    places = ((r, frozenset((c, v) for c, v in r.at.items() if c != "p")) for r in hits)
    made = (replace(r, at={**r.at, "marked_psnr": known[place]}) for r, place in places)
    return Readings(made, hits.quantities)
