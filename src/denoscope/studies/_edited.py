"""What is read of many edits, units images: where they change, how straight they are, and what
becomes of a direction elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from denoscope.apply.changes import cosine, leak, proportional, residual, share, size
from denoscope.apply.edit import length
from denoscope.geometry.linearization import first_order
from denoscope.readings import Reading
from denoscope.studies._inverted import OTHERS, REFINED, Inverted, thirds

CHANGE, NEAR = 0.2, 0.02
"""The root mean square change inside at which directions are compared (images lie in [-1, 1]), and
by which share it may be missed."""
TRIES, LONGEST = 8, 3.0
"""Strengths that are tried at most, and the largest."""
STRENGTH = 0.25
"""At which one direction is compared with itself elsewhere, and added to another."""
STEPS = (0.05, 0.1, 0.2, 0.36, 0.5, 0.72, 1.0)
"""Strengths, λ / √d."""
BENT = 0.9
"""The cosine with the straight line below which an edit, or the posterior mean, has left it."""
PICTURED = 3
"""Images of which there are pictures, one for each mask."""


def local(here: Inverted, vectors: Tensor, masks: Tensor, at: dict[str, Any]) -> Iterator[Reading]:
    """Where the change is, both ways, at the same change inside the mask."""
    delta, strength = matched(here, vectors, masks)
    inside = share(delta, masks)
    values = {
        "share": inside.mean(0),
        "leak": leak(delta, masks).mean(0),
        "off": size(delta, masks).square().mean(0).sqrt() / CHANGE - 1,
        "strength": strength,
    }
    yield from (Reading(name, at, value.mean(1).numpy()) for name, value in values.items())
    if "rank" not in at:
        shown = delta[0, :PICTURED, 0] + here.unedited[:PICTURED]
        yield Reading("edited", at, shown.numpy())
        yield Reading("edited_share", at, inside[0, :PICTURED, 0].numpy())


def matched(here: Inverted, vectors: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """The changes both ways (2, i, k, c, h, w) at the strengths (i, k), of those tried, that come
    nearest to ``CHANGE`` inside the masks.
    """
    i, k = vectors.shape[:2]
    rows, v, mask = here.repeated(k), vectors.flatten(0, 1)[:, None], masks.repeat_interleave(k, 0)
    delta, best = vectors.new_zeros(2, *v.shape), vectors.new_zeros(i * k, 1)
    off = torch.full_like(best, torch.inf)
    search = StrengthSearch.of(best)
    for _ in range(TRIES):
        left = (off > NEAR).nonzero()[:, 0]
        if not len(left):
            break
        tried = search.strength[left]
        new = torch.stack([rows.take(left).change(v[left], s * tried) for s in (1, -1)])
        ratio = size(new, mask[left]).square().mean(0).sqrt() / CHANGE
        nearer = ((ratio - 1).abs() < off[left])[:, 0]
        chosen = left[nearer]
        delta[:, chosen], best[chosen] = new[:, nearer], tried[nearer]
        off[chosen] = (ratio - 1).abs()[nearer]
        search.learn(left, ratio)
    return delta.reshape(2, *vectors.shape), best.reshape(i, k)


@dataclass(frozen=True, eq=False)
class StrengthSearch:
    """For each of some rows (r, 1) a ``strength`` to try, and between which the wanted one lies."""

    strength: Tensor
    low: Tensor
    high: Tensor

    @classmethod
    def of(cls, rows: Tensor) -> StrengthSearch:
        return cls(*(torch.full_like(rows, each) for each in (STRENGTH, 0.0, torch.inf)))

    def learn(self, rows: Tensor, ratio: Tensor) -> None:
        """The next strengths of some rows that changed ``ratio`` times what they should: in
        proportion, or the geometric mean where that was ruled out.
        """
        tried, low, high = self.strength[rows], self.low[rows], self.high[rows]
        low, high = torch.where(ratio < 1, tried, low), torch.where(ratio < 1, high, tried)
        following = tried / ratio.clamp(0.25, 4)
        within = (following > low) & (following < high)
        following = torch.where(within, following, (low * high).sqrt()).clamp(max=LONGEST)
        self.strength[rows], self.low[rows], self.high[rows] = following, low, high


def straight(here: Inverted, vectors: Tensor) -> Iterator[Reading]:
    """How proportional to the strength edits are, how symmetric, and where edit and posterior mean
    leave the straight line.
    """
    up, down = (torch.stack([here.change(vectors, s * step) for step in STEPS]) for s in (1, -1))
    steps = torch.tensor(STEPS, dtype=up.dtype)
    linear = [
        proportional(torch.cat([up[:to], down[:to]]), torch.cat([steps[:to], -steps[:to]])).mean(1)
        for to in range(1, len(STEPS) + 1)
    ]
    at = {"length": np.array(STEPS)}
    yield Reading("linear", at, torch.stack(linear).numpy())
    yield Reading("symmetry", at, cosine(up, -down).mean(2).numpy())
    slope = up[0] - down[0]
    yield Reading("bent", {}, bent((cosine(up, slope) - cosine(down, slope)).mean(2) / 2))
    i, k = vectors.shape[:2]
    n = here.x[0].numel()
    asked = [float(length(sign * step, n, here.sigma)) for sign in (1, -1) for step in steps]
    levels = torch.full((i * k,), here.sigma, dtype=here.x.dtype)
    told = first_order(here.D, here.x.repeat_interleave(k, 0), vectors.flatten(0, 1), levels, asked)
    cosines = told.change_cosine.reshape(2, len(STEPS), i, k).mean((0, 3))
    yield Reading("bent_mean", {}, bent(cosines))


def bent(cosines: Tensor) -> np.ndarray:
    """log2 of the strength at which cosines (lengths, i) first fall below ``BENT``, between two
    lengths in proportion; the largest where they do not.
    """
    steps = np.log2(STEPS)
    found = np.full(cosines.shape[1], steps[-1])
    for i, values in enumerate(cosines.T.double().numpy()):
        if (below := np.flatnonzero(values < BENT)).size:
            ends = [max(int(below[0]) - 1, 0), int(below[0])]
            found[i] = np.interp(-BENT, -values[ends], steps[ends])
    return found


def returned(here: Inverted, x0: Tensor, vectors: Tensor) -> Iterator[Reading]:
    """How far images are off when they are inverted and sampled back, as published and refined."""
    off = {"": (here.unedited - x0).square().mean((1, 2, 3))}
    for slope in ("lower", "upper"):
        plain = here.again(x0, refine=0, at=slope).unedited
        off[slope] = (plain - x0).square().mean((1, 2, 3))
    for slope, error in off.items():
        at = {"refined": 0, "slope": slope} if slope else {"refined": REFINED}
        yield Reading("round_trip", at, error.sqrt().numpy())
    yield Reading("unedited", {}, here.unedited[:PICTURED].numpy())
    delta = here.change(vectors, STRENGTH).square().mean((1, 2, 3, 4))
    yield Reading("returned", {}, (off[""] / delta).numpy())


def together(here: Inverted, vectors: Tensor, others: Tensor) -> Iterator[Reading]:
    """Two masks' directions at once against the sum of both."""
    changes = [here.change(v, STRENGTH) for v in (vectors + others, vectors, others)]
    yield Reading("additive", {}, residual(*changes).mean(1).numpy())


def elsewhere(here: Inverted, main: Inverted, vectors: Tensor) -> Iterator[Reading]:
    """Directions of the main noise level, used at this one."""
    there, own = (at.change(vectors, STRENGTH) for at in (here, main))
    yield Reading("alike", {}, cosine(there, own).mean(1).numpy())
    yield Reading("unlike", {}, cosine(there, own.roll(1, 1)).abs().mean(1).numpy())


def carried(
    here: Inverted, there: Inverted, vectors: Tensor, at: dict[str, Any]
) -> Iterator[Reading]:
    """Directions of an image on others, both ways."""
    on, masks = (part.repeat_interleave(OTHERS, 0) for part in (vectors, thirds(here.x)))
    own, new = (
        torch.stack([place.change(v, sign * STRENGTH) for sign in (1, -1)])
        for place, v in ((here, vectors), (there, on))
    )
    own = own.repeat_interleave(OTHERS, 1)
    for name, values in (("carried", cosine(own, new)), ("carried_share", share(new, masks))):
        yield Reading(name, at, values.mean((0, 2)).reshape(-1, OTHERS).mean(1).numpy())
