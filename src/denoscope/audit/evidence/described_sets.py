"""Each descriptor's view of the sets: features of the samples, of the real images, and of planted
copies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from denoscope import describe
from denoscope.audit.evidence.planted_copies import (
    Planted,
    left_out,
    plant,
    plant_features,
)
from denoscope.audit.sets.inputs import InputSet
from denoscope.data.images import Images, Pictures
from denoscope.describe.cache import Cache
from denoscope.describe.identity import Describer
from denoscope.files import content_hash
from denoscope.progress import Voice


@dataclass(frozen=True, eq=False)
class DescribedSets:
    """``features`` (n, k) by role, and by perturbation those of ``planted`` copies of training
    images; ``kind`` is how copies are scored, ``notes`` what a reader should know of the features.
    """

    name: str
    kind: str
    identity: Mapping[str, Any]
    features: Mapping[str, Tensor]
    planted: Mapping[str, Tensor]
    notes: tuple[str, ...] = ()

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
    sscd: str,
    folder: Path,
    planted: int,
    seed: int,
    say: Voice,
) -> list[DescribedSets]:
    """One view for each word that names a descriptor; features are kept in ``folder``."""
    images = {role: one.images for role, one in inputs.items() if one.images is not None}
    copies = plant(images["train"], planted, seed)
    contents = {role: inputs[role].sha256 for role in images}
    cache = Cache(folder)
    cache.notes += [
        f"no copies with {name} were planted: {reason}"
        for name, reason in left_out(images["train"]).items()
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
    return [_view(one, images, copies, contents, cache, say) for one in found]


def _view(
    descriptor: Describer,
    images: Mapping[str, Images],
    copies: Planted,
    contents: Mapping[str, str],
    cache: Cache,
    say: Voice,
) -> DescribedSets:
    total = sum(map(len, images.values())) + len(copies.images) * len(copies)
    roles: dict[str, Tensor] = {}
    extra: dict[str, Tensor] = {}
    with say.counting(f"images described by {descriptor.name}", total) as told:

        def described(x: Pictures, content: str) -> Tensor:
            before = sum(map(len, (*roles.values(), *extra.values())))
            return cache.features(
                x, content, descriptor, progress=lambda done, all_: told(before + done, all_)
            )

        for role, one in images.items():
            roles[role] = described(one, contents[role])
        for word, made in copies.items():
            extra[word] = described(made, content_hash(made.numpy()))
    return DescribedSets(
        descriptor.name, descriptor.score, descriptor.identity, roles, extra, tuple(cache.notes)
    )


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
