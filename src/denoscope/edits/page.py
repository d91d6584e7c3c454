"""The page: sliders that move through the edits, then the strips, where they change, on which other
images, and the numbers of every direction.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from denoscope.apply.edit import Edited
from denoscope.edits.asked import EditRequest, EditSubject
from denoscope.edits.changes import PLACES, Change
from denoscope.edits.kept import Kept, brief
from denoscope.edits.pictures import change_map, enlarged, outlined
from denoscope.references import EDITED, references
from denoscope.report import (
    Block,
    Column,
    Gallery,
    KeyValues,
    Page,
    ReferenceList,
    Section,
    Slider,
    Sliders,
    Strip,
    Table,
    Text,
)
from denoscope.report.pictures import picture, signed
from denoscope.report.words import percent


@dataclass(frozen=True)
class Results:
    """All that was made: the first image at the ``places`` of sliders, all images at the
    ``strengths``, each (k, ., n, c, h, w), and the numbers.
    """

    asked: EditRequest
    about: EditSubject
    kept: Kept
    places: Sequence[float]
    slid: Edited
    strips: Edited
    changes: Sequence[Change]
    round_trip: float
    warnings: Sequence[str]

    @property
    def scale(self) -> float:
        """The change at which colours are full: the 99.5th percentile of all."""
        return float(torch.quantile(self.slid.change.double().abs().flatten(), 0.995))

    @property
    def mask(self) -> np.ndarray:
        return self.kept.mask.cpu().numpy()

    @property
    def spread(self) -> float:
        """The share inside of a change that is the same everywhere."""
        return float(self.kept.mask.double().mean())

    def map(self, delta: torch.Tensor) -> np.ndarray:
        return change_map(delta.cpu().numpy(), self.scale, self.mask)


def build(found: Results, command: str, versions: Mapping[str, str]) -> Page:
    """The whole page."""
    sections = [
        Section("The edits", list(_strips(found))),
        Section("The directions", list(_directions(found))),
        Section("The image", list(_image(found))),
        Section("What was run", [KeyValues(_conditions(found, command, versions))], folded=True),
        Section("References", [ReferenceList(references(("denoscope", *EDITED)))], folded=True),
    ]
    if len(found.about.images) > 1:
        sections.insert(1, Section("The same directions on other images", list(_others(found))))
    title = f"Edits of {found.about.names[0]}"
    return Page(title, _subtitle(found), sections, answer(found), [_sliders(found)])


def answer(found: Results) -> str:
    """What the directions do, in one sentence or two."""
    shares = [one.share for one in found.changes]
    low, high = (percent(end) for end in (min(shares), max(shares)))
    what = "**The direction puts" if len(shares) == 1 else f"**{len(shares)} directions put"
    part = low if low == high else f"{low} to {high}"
    return (
        f"{what} {part} of the change inside the mask** (spread evenly, it would be "
        f"{percent(found.spread)}) at strengths up to {max(map(abs, found.places)):.2g}."
    )


def _subtitle(found: Results) -> str:
    said = "".join(f"\n\n{text[:1].upper()}{text[1:]}." for text in found.warnings)
    return (
        f"Change is measured against the image decoded unedited, which is off the original by "
        f"{found.round_trip:.2g} (root mean square; images lie in [−1, 1]). "
        f"σ = {found.kept.sigma:.3g}.{said}"
    )


def _word(strength: float) -> str:
    return f"{strength:+.2g}".replace("-", "−") if strength else "0"


def _sliders(found: Results) -> Sliders:
    rows = []
    for name, images, delta, numbers in zip(
        found.kept.names, found.slid.images, found.slid.change, found.changes
    ):
        frames = [
            (enlarged(picture(image[0].cpu().numpy())), found.map(part[0]))
            for image, part in zip(images, delta)
        ]
        rows.append(Slider(name, frames, f"{percent(numbers.share)} inside"))
    start = int(np.argmax(found.places))
    words = [_word(place) for place in found.places]
    title = (
        "Each slider moves through precomputed strengths, in parts of the norm of the noisy image; "
        "arrow keys do too. Below each image, what rises (amber) and falls (blue)."
    )
    own = found.about.images[0].cpu().numpy()
    still = [
        ("original", enlarged(picture(own))),
        (f"mask: {percent(found.spread)}", enlarged(outlined(own, found.mask))),
    ]
    return Sliders(title, "strength", words, ["edited", "change"], start, rows, still)


def _strips(found: Results) -> Iterator[Block]:
    strengths = [(i, _word(value)) for i, value in enumerate(found.asked.strengths)]
    images, delta = found.strips.images[:, :, 0], found.strips.change[:, :, 0]
    yield Gallery(
        "Edited images, a strength per row",
        found.kept.names,
        [Strip(_pictures(images[:, i]), caption=word) for i, word in strengths],
    )
    yield Gallery(
        f"Where they change: full colour is a change of {found.scale:.2g}",
        found.kept.names,
        [
            Strip(list(map(found.map, delta[:, i])), caption=word)
            for i, word in strengths
            if word != "0"
        ],
    )


def _pictures(images: torch.Tensor) -> list[np.ndarray]:
    return [picture(image) for image in images.cpu().numpy()]


def _others(found: Results) -> Iterator[Block]:
    strengths = [_word(value) for value in found.asked.strengths]
    for name, images in zip(found.kept.names, found.strips.images):
        yield Gallery(
            f"{name[:1].upper()}{name[1:]}",
            ["original", *strengths],
            [
                Strip([picture(own.cpu().numpy()), *_pictures(images[:, i])], caption=of)
                for i, (own, of) in enumerate(zip(found.about.images, found.about.names))
                if i
            ],
        )


def _directions(found: Results) -> Iterator[Block]:
    rows = []
    for name, own, one in zip(found.kept.names, found.kept.spectral, found.changes):
        shown = [one.inside, one.outside, one.share, one.linear, one.symmetry]
        rows.append([name, own["value"], own["gap"], own["angle"], *shown])
    yield Table(f"At σ = {found.kept.sigma:.3g}, at the largest strengths", COLUMNS, rows)
    yield Gallery(
        "The directions themselves (grey is 0)",
        found.kept.names,
        [Strip([picture(signed(v)) for v in found.kept.vectors.cpu().numpy()])],
    )


COLUMNS = [
    Column("direction"),
    Column(
        "value",
        tip="singular value of the masked Jacobian: change of the posterior mean inside, "
        "a unit along the direction",
    ),
    Column("gap", tip="to the nearest other singular value"),
    Column("angle", "rad", tip="at most so far from the true singular vector, before projection"),
    Column("inside", "RMS", tip="root mean square change inside the mask"),
    Column("outside", "RMS", tip="root mean square change outside the mask"),
    Column("share inside", tip="of the squared change"),
    Column(
        "linear",
        "R²",
        form=".3f",
        tip="share of the squared change, over all places of the "
        "slider, that is proportional to the strength",
    ),
    Column(
        "symmetry",
        "cosine",
        form=".3f",
        tip="of the change, and of minus that of the opposite strength",
    ),
]


def _image(found: Results) -> Iterator[Block]:
    own, back = found.about.images[0].cpu().numpy(), found.strips.unedited[0].cpu().numpy()
    off = back - own
    tiles = [
        picture(own), outlined(own, found.mask), picture(back),
        change_map(off, float(np.abs(off).max()), found.mask),
    ]  # fmt: skip
    names = ["original", "inside the mask", "decoded unedited", "round trip's error"]
    notes = ["", percent(found.spread), "", f"full colour: {np.abs(off).max():.2g}"]
    yield Gallery("The image that is edited", names, [Strip(tiles, notes)])
    yield Text(
        "The image is inverted to the noise level by DDIM with each step refined, moved along a "
        "direction, and sampled back by the same steps without noise. No image was clipped before "
        "it was measured."
    )


def _conditions(found: Results, command: str, versions: Mapping[str, str]) -> dict[str, object]:
    asked, about, kept = found.asked, found.about, found.kept
    said: dict[str, Any] = {
        "command": f"`{command}`",
        "model": f"{asked.model}, {brief(about.fingerprint)}",
        "images": ", ".join(about.names),
        "directions found on": f"{kept.image} (`{asked.apply}`)" if about.given else kept.image,
        "mask": f"{' '.join(kept.words)}: {percent(found.spread)} of the image",
        "noise level": f"σ = {kept.sigma:.4g}, where a state has the norm √(d (1 + σ²)), about",
        "strength": f"parts of that norm; {len(found.places)} places per slider "
        f"(at least {PLACES})",
        "projection": f"off {kept.project} leading directions of the outside"
        if kept.project
        else "none",
        "tolerance": f"{kept.tolerance:g} rad where values are more than that of the first apart",
        "levels": f"{len(about.levels)}, {about.model.spacing}",
        "seed": asked.seed,
        "versions": ", ".join(f"{name} {value}" for name, value in versions.items()),
    }
    return said
