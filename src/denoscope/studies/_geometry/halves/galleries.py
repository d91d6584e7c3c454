"""Pictures: samples of the two halves beside their nearest training images, and the leading
harmonics at a noisy image.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from denoscope.data import to_uint8
from denoscope.report import Gallery, Strip
from denoscope.studies._geometry.groups import Group, data_of, is_file
from denoscope.studies._geometry.halves.pairs import Member, Pairs

NOISES, IMAGES, VECTORS = 4, 2, 5
SAMPLES = (
    "Each row starts from one noise, the same for all models: sample of the model of "
    "half 0 and its nearest training image (cosine of images less their mean below), "
    "then sample of the model of half 1 (below: "
    "cosine with half 0's) and its nearest training image. Disjoint halves, same training seed."
)
HARMONICS = (
    "Each row is a denoiser: what it makes of one noisy unseen image, and the leading "
    "eigenvectors of its symmetrised Jacobian there (grey is 0; eigenvalue below). Signs "
    "are chosen to fit the first row's. Memorizer "
    "and Gaussian are of half 0's training images; the Gaussian's harmonics are "
    "principal components, the same at every image; the memorizer's with eigenvalue 0 "
    "are arbitrary."
)


def picture(row: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """An image in [-1, 1] as a row to uint8 (h, w, c)."""
    return (
        to_uint8(torch.from_numpy(row).nan_to_num().clamp(-1, 1).reshape(*shape))
        .permute(1, 2, 0)
        .numpy()
    )


def samples(groups: Sequence[Group]) -> list[Gallery]:
    """Samples of halves at the smallest, a middle and the largest size that has both."""
    found = [group for group in groups if _halves(group)]
    shown = found if len(found) < 4 else [found[0], found[len(found) // 2], found[-1]]
    return [_samples(group) for group in shown]


def _halves(group: Group) -> tuple[int, int] | None:
    """Places of two members of disjoint halves and equal seed; None where there are none, or the
    model is a file.
    """
    keys = {
        (row.fields["subset"], row.fields["seed"]): place for place, row in enumerate(group.rows)
    }
    seeds = sorted(str(seed) for subset, seed in keys if subset == 0 and (1, seed) in keys)
    if is_file(group.rows[0]) or not seeds:
        return None
    return keys[0, int(seeds[0])], keys[1, int(seeds[0])]


def _samples(group: Group) -> Gallery:
    places = _halves(group)
    assert places is not None
    members, shape = [group.arrays[i] for i in places], group.data().train().shape[1:]
    trains = [data_of(group.rows[i]).train().flatten(1).numpy() for i in places]
    pair = Pairs(
        "halves", group.label, group.n, group.width, tuple(shape), [(members[0], members[1])]
    )
    cosines = pair.cosines()[0]
    strips = []
    for i in range(min(NOISES, len(cosines))):
        tiles = [
            tile
            for member, train in zip(members, trains)
            for tile in (member["samples"][i], train[member["nearest"][i]])
        ]
        notes = [
            "",
            f"{members[0]['similarity'][i]:.2f}",
            f"{cosines[i]:.2f}",
            f"{members[1]['similarity'][i]:.2f}",
        ]
        strips.append(Strip([picture(tile, shape) for tile in tiles], notes))
    return Gallery(
        group.label,
        ["sample, half 0", "nearest in half 0", "sample, half 1", "nearest in half 1"],
        strips,
    )


def harmonics(groups: Sequence[Group]) -> list[Gallery]:
    """Leading harmonics at two noisy images: of both halves at the smallest and largest size, or of
    every given model.
    """
    halved = [group for group in groups if _halves(group)]
    shown = [halved[0], halved[-1]] if len(halved) > 1 else halved
    shown = [*shown, *(group for group in groups if group not in halved)][: max(2, len(shown))]
    return [_harmonics(group, image) for group in shown for image in range(IMAGES)]


def _harmonics(group: Group, image: int) -> Gallery:
    places, shape = _halves(group), group.data().train().shape[1:]
    named = (
        {"half 0": group.arrays[places[0]], "half 1": group.arrays[places[1]]}
        if places
        else {"model": group.first}
    )
    first = next(iter(named.values()))
    rows = [(name, member, "") for name, member in named.items()] + [
        (name, first, f"_{name}") for name in ("memorizer", "gaussian")
    ]
    strips = [
        _strip(name, member, ending, first["vectors"][image], image, shape)
        for name, member, ending in rows
    ]
    count = len(strips[0].images) - 3
    return Gallery(
        f"{group.label}, image {image + 1}",
        ["clean", "noisy", "denoised", *(f"e{k}" for k in range(1, count + 1))],
        strips,
    )


def _strip(
    name: str, member: Member, ending: str, reference: np.ndarray, image: int, shape: Sequence[int]
) -> Strip:
    vectors, values = (member[f"{what}{ending}"][image, :VECTORS] for what in ("vectors", "values"))
    signs = np.where((vectors * reference[: len(vectors)]).sum(1, keepdims=True) < 0, -1, 1)
    scaled = signs * vectors / np.abs(vectors).max(1, keepdims=True)
    images = [
        member["harmonic_clean"][image],
        member["harmonic_noisy"][image],
        member[f"harmonic_answer{ending}"][image],
        *scaled,
    ]
    notes = ["", "", "", *(f"{value:.2f}".replace("-", "−") for value in values)]
    return Strip(
        [picture(row, shape) for row in images], notes, {"gaussian": "Gaussian"}.get(name, name)
    )
