"""Sets made comparable: one shape or one feature space for all, and the twin beside the generated
rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from denoscope.audit.sets.inputs import InputSet
from denoscope.data.images import digest
from denoscope.data.prepare import MIDDLE


def matched(inputs: Mapping[str, InputSet]) -> dict[str, InputSet]:
    """The sets, comparable: all images of one shape, or all features of one size and protocol; the
    twin's row i belongs to the generated row i.

    Grey sets among colour ones are replicated to RGB, with a warning; a twin whose rows have the
    same seeds in another order is put in order. What cannot be compared or paired is a one-line
    ValueError naming both flags.
    """
    found = dict(inputs)
    train = found["train"]
    for role, one in found.items():
        if (one.images is None) != (train.images is None):
            kinds = [("features" if x.images is None else "images") for x in (one, train)]
            raise ValueError(
                f"--{role} holds {kinds[0]} and --train holds {kinds[1]}: give images for "
                "all sets, or features for all"
            )
    found = _one_shape(found) if train.images is not None else _one_space(found)
    if "twin" in found and "gen" in found:
        found["twin"] = _paired(found["twin"], found["gen"])
    return found


def _one_shape(inputs: dict[str, InputSet]) -> dict[str, InputSet]:
    images = {role: one.images for role, one in inputs.items() if one.images is not None}
    train = images["train"]
    for role, one in images.items():
        if one.shape[1:] != train.shape[1:]:
            side = min(*one.shape[1:], *train.shape[1:])
            sizes = [f"{x.shape[2]}x{x.shape[1]}" for x in (one, train)]
            raise ValueError(
                f"--{role} has images of {sizes[0]} pixels and --train of {sizes[1]}: say how "
                f"files became what the model saw, such as --prepare {MIDDLE.at(side, side)}"
            )
    channels = max(one.shape[0] for one in images.values())
    return {role: _with_channels(one, channels) for role, one in inputs.items()}


def _with_channels(one: InputSet, channels: int) -> InputSet:
    images = one.images
    if images is None or images.shape[0] == channels:
        return one
    colour = images.changed(lambda x: x.expand(-1, channels, -1, -1))
    colour = replace(colour, hashes=images.contents)
    said = (
        *one.warnings,
        f"{one.role}: grey images were replicated to RGB, since other sets are in colour",
    )
    return replace(one, images=colour, sha256=digest(colour.contents, colour.shape), warnings=said)


def _one_space(inputs: dict[str, InputSet]) -> dict[str, InputSet]:
    stated = {role: one.protocol for role, one in inputs.items() if one.protocol}
    sizes = {
        role: one.features.shape[1] for role, one in inputs.items() if one.features is not None
    }
    for role, size in sizes.items():
        if size != sizes["train"]:
            raise ValueError(
                f"--{role} has {size} features per row and --train has {sizes['train']}: "
                "describe both with one descriptor"
            )
    for role, protocol in stated.items():
        first = next(iter(stated))
        if protocol != stated[first]:
            raise ValueError(
                f"--{role} was described by {protocol!r} and --{first} by "
                f"{stated[first]!r}: features of one protocol are needed"
            )
    return inputs


def _paired(twin: InputSet, gen: InputSet) -> InputSet:
    """The twin with its row i beside the generated row i: by seeds where both sides have them, else
    by order.
    """
    if len(twin) != len(gen):
        raise ValueError(
            f"--twin has {len(twin)} rows and --gen has {len(gen)}: row by row they must "
            "come from the same starting noise"
        )
    if twin.seeds and gen.seeds:
        if set(twin.seeds) != set(gen.seeds):
            seed = min(set(twin.seeds) - set(gen.seeds))
            raise ValueError(
                f"--twin has a sample of seed {seed} and --gen has none: sample both "
                "models with the same seeds"
            )
        return twin if twin.seeds == gen.seeds else _in_order(twin, gen.seeds)
    if twin.names == gen.names:
        return twin
    if _skipped(twin) or _skipped(gen):
        raise ValueError(
            "--twin cannot be paired with --gen: images were skipped and the other names "
            "differ; name files by their seeds (000123.png)"
        )
    return replace(
        twin,
        warnings=(
            *twin.warnings,
            "twin: its names differ from those of gen; rows were paired in order, as if "
            "from the same starting noise",
        ),
    )


def _skipped(one: InputSet) -> bool:
    return (
        bool(one.images.skipped)
        if one.images is not None
        else any("skipped" in line for line in one.warnings)
    )


def _in_order(twin: InputSet, seeds: Sequence[int]) -> InputSet:
    place = {seed: i for i, seed in enumerate(twin.seeds)}
    said = (*twin.warnings, "twin: rows were put in the order of gen's seeds")
    return replace(twin.at([place[seed] for seed in seeds]), warnings=said)
