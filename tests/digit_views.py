"""Digits in random thirds, seen by two plain descriptors: what tests of the audit's statistics
share.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache, reduce

import torch
from sklearn.datasets import load_digits
from torch import Tensor

from denoscope.audit.evidence.by_descriptor import descriptor_evidence
from denoscope.audit.findings import NEAR, Evidence
from denoscope.data.perturb import PERTURBATIONS
from denoscope.metrics.copy_scores import CopyScores

TRAIN, TEST, GEN = 500, 500, 300
IMAGES = torch.from_numpy(load_digits(return_X_y=True)[0].reshape(-1, 1, 8, 8)).float() / 8 - 1


def split(seed: int, images: Tensor = IMAGES) -> dict[str, Tensor]:
    """Images of train, test, gen and the rest in an order that ``seed`` draws: gen is as good as a
    perfect generalizer's.
    """
    order = torch.randperm(len(IMAGES), generator=torch.Generator().manual_seed(seed))
    parts = images[order].split([TRAIN, TEST, GEN, len(IMAGES) - TRAIN - TEST - GEN])
    return dict(zip(("train", "test", "gen", "rest"), parts))


@cache
def copies() -> dict[str, Tensor]:
    """All images after each perturbation that leaves them in place."""
    return {word: PERTURBATIONS[word](IMAGES, place) for place, word in enumerate(NEAR)}


def pixels(images: Tensor) -> Tensor:
    rows = images.flatten(1)
    return rows - rows.mean(1, keepdim=True)


def components(train: Tensor, k: int = 32) -> Callable[[Tensor], Tensor]:
    """Projections on whitened principal axes of the training images."""
    rows = train.flatten(1)
    mean = rows.mean(0)
    _, scale, axes = torch.linalg.svd(rows - mean, full_matrices=False)
    return lambda images: (images.flatten(1) - mean) @ axes[:k].T / scale[:k]


def views(
    sets: Mapping[str, Tensor],
    planted: Mapping[str, Tensor],
) -> tuple[Evidence, Evidence]:
    """Pixels by the ratio of distances, components by cosine."""
    kinds = (("pixels", "ratio", pixels), ("pca", "cosine", components(sets["train"])))

    def one(name: str, kind: str, describe: Callable[[Tensor], Tensor]) -> Evidence:
        features, copies = (
            {word: describe(x) for word, x in some.items()} for some in (sets, planted)
        )
        return descriptor_evidence(name, kind, {"name": name}, features, copies, quantile=0.01)

    first, second = one(*kinds[0]), one(*kinds[1])
    return first, replace(second, groups=first.groups, aside=first.aside)


@cache
def draw(seed: int, *, test: bool = True) -> tuple[Evidence, Evidence]:
    """The evidence of one random split with near copies planted: ``gen`` holds GEN fresh images,
    then the rest, all of them real.
    """
    sets = split(seed)
    planted = {word: split(seed, images)["train"] for word, images in copies().items()}
    chosen = {"train": sets["train"], "gen": torch.cat([sets["gen"], sets["rest"]])} | (
        {"test": sets["test"]} if test else {}
    )
    return views(chosen, planted)


def joined(first: CopyScores, second: CopyScores) -> CopyScores:
    names = ("score", "nearest", "index", "second", "cosine", "plain")
    return replace(
        first, **{name: torch.cat([getattr(first, name), getattr(second, name)]) for name in names}
    )


def mixed(evidence: Sequence[Evidence], copied: Tensor, seed: int) -> tuple[Evidence, ...]:
    """GEN samples of which those marked in ``copied`` are perturbed training images, drawn alike
    for every descriptor.
    """
    source = torch.Generator().manual_seed(seed)
    image = torch.randint(TRAIN, (GEN,), generator=source)
    word = torch.randint(len(NEAR), (GEN,), generator=source)

    def gen(one: Evidence) -> CopyScores:
        copies = reduce(joined, (one.planted[name] for name in NEAR)).at(word * TRAIN + image)
        return joined(one.gen.at(torch.arange(GEN)), copies).at(torch.arange(GEN) + GEN * copied)

    of = evidence[0].aside["gen"][:GEN] & ~copied
    return tuple(
        replace(
            one,
            gen=gen(one),
            groups={**one.groups, "gen": torch.arange(GEN)},
            aside={**one.aside, "gen": of},
        )
        for one in evidence
    )
