"""What the page says of groups of models: errors over images, and what grows with the training
set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from denoscope.estimate import Estimate
from denoscope.metrics.crossings import rise, together
from denoscope.studies._geometry.groups import Group, is_file
from denoscope.studies._geometry.halves import psnr
from denoscope.studies._geometry.halves.measuring import HARMONIC, Kind
from denoscope.studies._geometry.halves.pairs import Pairs

_DRAWS = 2000


def errors(group: Group, kind: Kind, name: str = "") -> np.ndarray:
    """Mean squared errors (levels, images) of the models, or of a closed form by ``name``, averaged
    over models that denoise the same images.

    Members share their unseen images; those of one training subset share its images, and both
    subsets' images stand side by side.
    """
    array = f"error_{kind}" + (f"_{name}" if name else "")
    if kind == "test":
        return group.mean(array)
    subsets: dict[object, list[np.ndarray]] = {}
    for row, member in zip(group.rows, group.arrays):
        subsets.setdefault(row.fields["subset"], []).append(member[array].astype(np.float64))
    return np.concatenate([np.mean(members, 0) for members in subsets.values()], 1)


def curve(group: Group, kind: Kind, name: str = "") -> list[Estimate]:
    """Output PSNR at every input PSNR."""
    return [psnr.output(row) for row in errors(group, kind, name)]


def gaps(group: Group) -> list[Estimate]:
    """Output PSNR on training images less that on unseen ones, at every input PSNR."""
    return [
        psnr.gap(train, test) for train, test in zip(errors(group, "train"), errors(group, "test"))
    ]


def learned(group: Group) -> bool:
    """Whether the models denoise unseen images better than the Gaussian of their training set, at
    the level of the harmonics.

    Models that have learned little are alike too, so agreement of others proves nothing.
    """
    model, gaussian = (
        errors(group, "test", name)[psnr.at(HARMONIC)].mean() for name in ("", "gaussian")
    )
    return bool(model < gaussian)


@dataclass(frozen=True, eq=False)
class Growth:
    """Networks of one ``width`` on growing training sets: groups, and pairs by kind, smallest
    first.
    """

    width: int
    groups: Sequence[Group]
    pairs: dict[str, list[Pairs]]


def growths(groups: Sequence[Group], every: Sequence[Pairs]) -> list[Growth]:
    """What was trained, by width; plain files are no part of it."""
    trained = [group for group in groups if not is_file(group.rows[0])]
    found = []
    for width in sorted({group.width for group in trained}):
        kinds: dict[str, list[Pairs]] = {}
        for item in sorted(every, key=lambda item: item.n):
            if item.kind != "given" and item.width == width:
                kinds.setdefault(item.kind, []).append(item)
        found.append(Growth(width, [group for group in trained if group.width == width], kinds))
    return found


def takeover(halves: Sequence[Pairs]) -> Estimate:
    """The training size from which the two halves' samples are more like each other than like
    training images.

    The first crossing of the isotonic fit of the difference of cosines on log2 N, linear between;
    by draws of the shared noises. Infinite where it lies beyond the sizes.
    """
    tables = [(item.cosines() - item.nearest()).mean(0) for item in halves]
    return rise([item.n for item in halves], tables, height=0.0, curve=together)
