"""What is found in images: marks after attacks, marks that are forged, keys by chance, and one key
of many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from denoscope.apply.watermark import (
    as_stored,
    forged,
    identify,
    key_directions,
    mark_estimate,
    noise_level,
    published,
    regenerated,
    secret,
    subtracted,
)
from denoscope.coordinates import KINDS
from denoscope.data.perturb import PERTURBATIONS
from denoscope.distributions import Gaussian
from denoscope.readings import Reading, Readings
from denoscope.report.claims import Claim, above, below
from denoscope.report.story import Told
from denoscope.studies._marked import (
    CHANCE,
    EASY,
    KEYS,
    LEVELS,
    Bearer,
    more_found,
    told,
)
from denoscope.types import Denoiser

FAMILY = 0.01
"""Of naming any key in an image without one."""
PERTURBED = ("noise", "blur", "jpeg", "median", "crop", "shift", "rotation")
AGAIN = {"regenerate": 0.1, "regenerate_more": 0.3}
"""Times to which noise is added before images are sampled down again."""
CONTROLLED = 20_000
"""Pairs that the published statistic is shown."""
Control = Callable[[Tensor, Tensor], Tensor]


# What attacks leave


def chances(here: Bearer, samples: Bearer, originals: Tensor, pairs: int) -> Iterator[Reading]:
    """False alarms on all that does not depend on the keys that are asked for, and who is given
    which of all keys.
    """
    unmarked = here.states(as_stored(samples.unmarked))
    yield from by_chance(here, unmarked, pairs, "gen")
    yield from by_chance(here, here.x, pairs, "test", published_p(here))
    yield from by_chance(here, here.states(perturbed(originals)), pairs, "attacked")
    yield from by_chance(here, here.z, pairs, "other")
    yield Reading("blamed", {}, (given(here, here.x) >= 0).numpy().astype(np.int8))
    yield from named(here, here.z, "none")


def attacks(
    few: Bearer, pixels: Bearer, originals: Tensor, sigmas: Tensor, white: Gaussian
) -> Iterator[Reading]:
    """What attacks leave of marks, and of those in ``pixels``; the wrong model is ``white``."""
    yield told("attacked", few.p(few.z), attack="none")
    for name, z, keys in attacked(few, originals, few.D, sigmas):
        p = accused(few, z, keys) if name == "forge_own" else few.p(z, keys)
        yield told("accused" if name.startswith("forge") else "attacked", p, attack=name)
        if name in ("jpeg", "remark"):
            yield from named(few, z, name)
    wrong = replace(few, D=white).states(few.stored)
    yield told("attacked", few.p(wrong), attack="wrong")
    for name, z, keys in attacked(pixels, originals, few.D, sigmas):
        if not name.startswith("forge"):
            yield told("rival_attacked", pixels.p(z, keys), attack=name, rival="dct")


def attacked(
    bearer: Bearer, originals: Tensor, model: Denoiser, sigmas: Tensor
) -> Iterator[tuple[str, Tensor, Tensor]]:
    """The states of marked images by attack, with the keys to look for. Where one key is for all
    half the images are the attacker's, who has clean images too.
    """
    for name in PERTURBED:
        yield name, bearer.states(perturbed(bearer.stored, (name,))), bearer.own
    for name, time in AGAIN.items():
        again = regenerated(model, bearer.stored, noise_level(time), sigmas)
        yield name, bearer.states(again), bearer.own
    yield "remark", bearer.states(marked_twice(bearer)), bearer.own
    half, one = len(originals) // 2, bearer.own[:1]
    same = as_stored(bearer.toward(one))
    estimate = mark_estimate(same[:half], originals[half:])
    yield "subtract", bearer.states(subtracted(same[half:], estimate)), one
    yield "forge", bearer.states(forged(originals[half:], estimate)), one
    each = mark_estimate(bearer.stored[:half], originals[half:])
    yield "forge_own", bearer.states(forged(originals[half:], each)), bearer.own[:half]


def accused(bearer: Bearer, z: Tensor, keys: Tensor) -> Tensor:
    """The least p-value of states (n, *shape) with any of K keys, adjusted for their number."""
    return identify(z, keys, bearer.space).adjusted.amin(1)


def marked_twice(bearer: Bearer) -> Tensor:
    """Marked images with the mark of another of all keys, of the same strength."""
    second = replace(bearer, x=bearer.z)
    return as_stored(second.toward(bearer.keys.roll(KEYS // 2, 0)[: len(bearer.x)]))


def perturbed(images: Tensor, names: Sequence[str] = PERTURBED) -> Tensor:
    """Images (n, *shape), each by one of these attacks on single images in turn."""
    out = images.clone()
    for i, name in enumerate(names):
        rows = torch.arange(i, len(images), len(names))
        out[rows] = PERTURBATIONS[name](images[rows], seed=i)
    return as_stored(out)


def by_chance(
    bearer: Bearer, z: Tensor, pairs: int, kind: str, control: Control | None = None
) -> Iterator[Reading]:
    """States (n, *shape) of images against a fresh key each, at least ``pairs`` times in all:
    alarms by level, and the largest distance of the distribution of p from the uniform one.
    """
    space, p, other = bearer.space, [], []
    for look in range(-(-pairs // len(z))):
        place = (0, CHANCE, list(KINDS).index(kind), look)
        keys = key_directions(space, (secret(*place, i) for i in range(len(z))))
        p.append(bearer.p(z, keys))
        if control is not None and look * len(z) < CONTROLLED:
            other.append(control(z, keys))
    yield from _alarms("", torch.cat(p).numpy(), {"kind": kind})
    if other:
        yield from _alarms("_published", torch.cat(other).numpy(), {"kind": kind})


def _alarms(suffix: str, p: np.ndarray, at: dict[str, Any]) -> Iterator[Reading]:
    some = np.array((LEVELS[0], 1e-3))
    counts = [[(p <= level).sum(), p.size] for level in some]
    yield Reading(f"alarms{suffix}", {"p": some, **at}, np.array(counts, np.float64))
    ordered, steps = np.sort(p), np.arange(p.size + 1) / p.size
    distance = max(np.abs(ordered - steps[1:]).max(), np.abs(ordered - steps[:-1]).max())
    yield Reading(f"distance{suffix}", at, np.array([distance, p.size]))


def published_p(bearer: Bearer) -> Control:
    """The published p of states (n, *shape) and keys (n, *shape), where the mark has its length."""
    return lambda z, keys: published(z, keys, bearer.space, bearer.step).p


def named(bearer: Bearer, z: Tensor, name: str) -> Iterator[Reading]:
    """Whether states z (n, *shape) of images with marks are given their own key of all, or another,
    where exactly one must be found.
    """
    key, own = given(bearer, z), torch.arange(len(z))
    yield Reading("named", {"attack": name}, (key == own).numpy().astype(np.int8))
    other = (key >= 0) & (key != own)
    yield Reading("misnamed", {"attack": name}, other.numpy().astype(np.int8))


def given(bearer: Bearer, z: Tensor) -> Tensor:
    """The key, of ``KEYS``, that each state is given, -1 for none."""
    return identify(z, bearer.keys, bearer.space, FAMILY).key


# What is claimed


def after_attacks(main: Readings) -> Iterator[Told]:
    """What attacks do, and which rule helps."""
    hits, clean = main.of("attacked", p=EASY), main.of("accused", p=EASY)
    before = hits.of(attack="none")
    for name, words in {"rotation": "rotation by 5°", "jpeg": "JPEG of quality 75"}.items():
        yield Claim(
            f"Marks are found as often after {words} (share at p ≤ 0.01, difference)",
            more_found(hits.of(attack=name), before, "attack"),
            above(-0.1),
            beside={"Before": before, "After": hits.of(attack=name)},
        )
    yield Claim(
        "Marks of one key for all are gone where the mean of marked images is taken off (share"
        " found at p ≤ 0.01)",
        hits.of(attack="subtract"),
        below(0.1),
        "they go (Li et al. 2024, averaging)",
    )
    yield Claim(
        "That mean makes clean images look marked (share at p ≤ 0.01)",
        clean.of(attack="forge"),
        above(0.1),
        "forged by averaging (arXiv 2507.07871)",
    )
    yield Claim(
        "With a key for each image it does not (share given any of all keys)",
        clean.of(attack="forge_own"),
        below(0.2),
    )


def identified(main: Readings) -> Iterator[Told]:
    """Which of all keys."""
    named = main.of("named")
    yield Claim(
        f"Images are given their own of {KEYS} keys (share; family-wise {FAMILY:.0%})",
        named.of(attack="none"),
        beside={"After JPEG": named.of(attack="jpeg")},
    )
    yield Claim(
        "An image marked with two keys is given to neither, where exactly one must be found (share"
        " given one)",
        named.of(attack="remark").against(main.of("misnamed", attack="remark"), np.add),
        beside={"Found by its first key, p ≤ 0.01": main.of("attacked", attack="remark", p=EASY)},
    )
    yield Claim("Unmarked images are given none (share given any)", main.of("blamed"), below(0.05))
