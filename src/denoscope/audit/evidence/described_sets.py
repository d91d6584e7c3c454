"""Each descriptor's view of the sets: features of the samples, of the real images, and of planted
copies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from denoscope import describe
from denoscope.audit.evidence.planted_copies import (
    Changed,
    Planted,
    drawn,
    left_out,
    plant,
    plant_features,
)
from denoscope.audit.sets.inputs import InputSet
from denoscope.data.images import Images, Pictures
from denoscope.data.prepare import AS_STORED, Preparation
from denoscope.describe.cache import Cache
from denoscope.describe.identity import Describer
from denoscope.files import content_hash
from denoscope.progress import Voice


@dataclass(frozen=True, eq=False)
class DescribedSets:
    """``features`` (n, k) by role, and by perturbation those of ``planted`` copies of training
    images; ``kind`` is how copies are scored, ``notes`` what a reader should know of the features,
    ``mirrored`` the features of all mirrored pictures by the same names, ``classes`` the label of
    each row (n,), both empty if not asked for.
    """

    name: str
    kind: str
    identity: Mapping[str, Any]
    features: Mapping[str, Tensor]
    planted: Mapping[str, Tensor]
    notes: tuple[str, ...] = ()
    mirrored: Mapping[str, Tensor] = field(default_factory=dict)
    classes: Mapping[str, Tensor] = field(default_factory=dict)

    def without(self, role: str, rows: Tensor) -> DescribedSets:
        """The view in which the set ``role`` lacks some rows, bool (n,)."""
        return (
            replace(self, features={**self.features, role: self.features[role][~rows]})
            if rows.any()
            else self
        )


def of_images(
    inputs: Mapping[str, InputSet],
    words: Sequence[str],
    *,
    born: Tensor | None = None,
    prepare: Preparation = AS_STORED,
    flips: bool = False,
    by_class: bool = False,
    own: Mapping[str, Changed] | None = None,
    sscd: str,
    folder: Path,
    planted: int,
    seed: int,
    say: Voice,
) -> list[DescribedSets]:
    """One view for each word that names a descriptor; features are kept in ``folder``.

    Copies are planted of training images, or where these are given of those that a model would make
    (``born``), and then prepared as samples are; ``own`` are perturbations beside the usual.
    """
    images = {role: one.images for role, one in inputs.items() if one.images is not None}
    first = images["train"] if born is None else born
    copies = plant(first, planted, seed, own)
    if born is not None:
        copies = replace(copies, after=prepare, channels=images["train"].shape[0])
    contents = {role: inputs[role].sha256 for role in images}
    cache = Cache(folder)
    cache.notes += [
        f"no copies with {name} were planted: {reason}" for name, reason in left_out(first).items()
    ]
    found = [
        describe.by_name(
            word,
            images["train"],
            seed=seed,
            sscd=sscd,
            held_out="test" in inputs,
            rows=sum(map(len, images.values())),
        )
        for word in words
    ]
    for word, one in zip(words, found, strict=True):
        if [other.name for other in found].count(one.name) > 1:
            raise ValueError(
                f"--descriptor {word}: {one.name} is there twice; each is counted once, "
                "so name it once"
            )
    classes = _labels(images, copies, planted, seed) if by_class else {}
    views = (_view(one, images, copies, contents, flips, cache, say) for one in found)
    return [replace(view, classes=classes) for view in views]


def _labels(
    images: Mapping[str, Images], copies: Planted, planted: int, seed: int
) -> dict[str, Tensor]:
    """The class of every row; a planted copy has that of its training image."""
    found = {role: x.labels for role, x in images.items() if x.labels is not None}
    own = found["train"]
    return {**found, **dict.fromkeys(copies, own[drawn(len(own), planted, seed)])}


def _view(
    descriptor: Describer,
    images: Mapping[str, Images],
    copies: Planted,
    contents: Mapping[str, str],
    flips: bool,
    cache: Cache,
    say: Voice,
) -> DescribedSets:
    total = sum(map(len, images.values())) + len(copies.images) * len(copies)
    roles: dict[str, Tensor] = {}
    extra: dict[str, Tensor] = {}
    turned: dict[str, Tensor] = {}
    total *= 1 + flips
    with say.counting(f"images described by {descriptor.name}", total) as told:

        def described(x: Pictures, content: str) -> Tensor:
            done_before = (*roles.values(), *extra.values(), *turned.values())
            before = sum(map(len, done_before))

            def counted(done: int, all_: int) -> None:
                told(before + done, all_)

            return cache.features(x, content, descriptor, progress=counted, say=say)

        for role, one in images.items():
            roles[role] = described(one, contents[role])
            if flips:
                turned[role] = described(one.changed(_mirror), f"{contents[role]}-mirrored")
        for word, made in copies.items():
            extra[word] = described(made, content_hash(made.numpy()))
            if flips:
                turned[word] = described(_mirror(made), content_hash(_mirror(made).numpy()))
    notes = tuple(cache.notes)
    return DescribedSets(
        descriptor.name, descriptor.score, descriptor.identity, roles, extra, notes, turned
    )


def _mirror(x: Tensor) -> Tensor:
    return x.flip(-1)


def of_features(inputs: Mapping[str, InputSet], *, planted: int, seed: int) -> list[DescribedSets]:
    """Two views of rows that were described elsewhere: by the ratio of distances and by cosine
    similarity.
    """
    rows = {role: one.features for role, one in inputs.items() if one.features is not None}
    copies = plant_features(rows["train"], planted, seed)
    stated = next((one.protocol for one in inputs.values() if one.protocol), "")
    identity = {
        "name": "features",
        "version": 1,
        "preprocessing": stated or "not stated by the files of features",
    }
    return [
        DescribedSets(name, kind, identity, rows, copies)
        for name, kind in (("features", "ratio"), ("features-cosine", "cosine"))
    ]
