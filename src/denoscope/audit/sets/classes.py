"""Sets restricted to the classes of the samples, so that like is compared with like."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import torch

from denoscope.audit.sets.inputs import InputSet
from denoscope.data.folders import natural
from denoscope.random import generator

_LEAST = 10  # training images of a class
_PLACE = 7


def within_classes(inputs: Mapping[str, InputSet], seed: int) -> dict[str, InputSet]:
    """Training images of the samples' classes, and held-out ones in the samples' proportions, drawn
    with ``seed``; labels are numbers that all sets share.

    Labels that are missing, a class that a set lacks, and fewer than 10 training images of one are
    a ValueError.
    """
    asked = [role for role in ("gen", "train", "test") if role in inputs]
    named = {role: _folders(inputs[role]) for role in asked}
    plain = not all(named.values())  # then numbers are what all have
    names = {role: _labels(inputs[role]) if plain else named[role] for role in asked}
    classes = sorted(set(names["gen"]), key=natural)
    counts = {role: Counter(names[role]) for role in asked}
    for name in classes:
        if counts["train"][name] < _LEAST:
            raise ValueError(
                f"--by-class: --train has {counts['train'][name]} images of class {name}; at least "
                f"{_LEAST} are needed to compare within it"
            )
        if "test" in counts and not counts["test"][name]:
            raise ValueError(f"--by-class: --test has no image of class {name}")
    rows = {"gen": list(range(len(names["gen"])))}
    rows["train"] = [i for i, name in enumerate(names["train"]) if name in counts["gen"]]
    if "test" in names:
        rows["test"] = _like(names["test"], counts["test"], counts["gen"], seed)
    numbers = {name: i for i, name in enumerate(classes)}
    found = {role: _labelled(inputs[role], rows[role], names[role], numbers) for role in asked}
    return {**inputs, **found}


def _labels(one: InputSet) -> list[str]:
    """The label of each image; of class folders named by whole numbers these."""
    folders = _folders(one)
    if folders and all(kind.isdecimal() for kind in folders):
        return [str(int(kind)) for kind in folders]
    labels = one.images.labels if one.images is not None else None
    if labels is None:
        raise ValueError(f"--by-class: --{one.role} has no labels: class folders, or whole numbers")
    return [str(label) for label in labels.tolist()]


def _folders(one: InputSet) -> list[str]:
    """The class folder of each image, empty if labels are no class folders."""
    labels = one.images.labels if one.images is not None else None
    if labels is None or not all("/" in name for name in one.names):
        return []
    folders = [name.split("/")[0] for name in one.names]
    order = {kind: i for i, kind in enumerate(sorted(set(folders), key=natural))}
    return folders if [order[kind] for kind in folders] == labels.tolist() else []


def _like(
    names: list[str], there: Mapping[str, int], wanted: Mapping[str, int], seed: int
) -> list[int]:
    """As many rows as can be had with classes in the proportions wanted."""
    share = min(there[name] / many for name, many in wanted.items())
    left = {name: max(1, round(share * many)) for name, many in wanted.items()}
    kept = []
    for i in torch.randperm(len(names), generator=generator(seed, _PLACE)).tolist():
        if left.get(names[i], 0):
            left[names[i]] -= 1
            kept.append(i)
    return sorted(kept)


def _labelled(
    one: InputSet, rows: list[int], names: list[str], numbers: Mapping[str, int]
) -> InputSet:
    part = one.at(rows)
    assert part.images is not None
    labels = torch.tensor([numbers[names[i]] for i in rows])
    return replace(part, images=replace(part.images, labels=labels))
