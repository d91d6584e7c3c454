"""What is asked of the command, and what it is asked about; whatever does not fit is one line."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from denoscope.apply.edit import path
from denoscope.apply.masks import mask as mask_of
from denoscope.data.decoding import SUFFIXES, decode
from denoscope.data.images import from_uint8
from denoscope.data.prepare import Preparation
from denoscope.data.reading import read_images
from denoscope.data.selection import select
from denoscope.edits.kept import Kept, read
from denoscope.files import harmless, located, read_regular
from denoscope.models import ONE_STEP, Model, fingerprint
from denoscope.models.opening import unlabelled
from denoscope.schedule import VPSDE
from denoscope.types import Denoiser

MOST = 16
"""Images of one page."""
TIME = 0.4
"""The noise level where none is asked for: time of the schedule with rates from 0.1 to 20."""


@dataclass(frozen=True, kw_only=True)
class EditRequest:
    """The flags of the command."""

    model: str
    image: Sequence[str]
    mask: Sequence[str] = ()
    apply: str = ""
    directions: int | None = None
    toward: Sequence[int] = ()
    label: int | None = None
    strength: Sequence[float] = (-0.5, 0.0, 0.5)
    time: float | None = None
    sigma: float | None = None
    steps: int = 40
    project: int | None = None
    prepare: Sequence[str] = ()
    range: Sequence[float] = ()
    batch_size: int = 64
    device: str = "cpu"
    seed: int = 0

    def __post_init__(self) -> None:
        found = [name for name in SEARCHED if self.apply and getattr(self, name) not in (None, ())]
        if found:
            raise ValueError(
                f"--{found[0]} finds directions; --apply has them: give one of the two"
            )
        if not self.apply and not self.mask:
            raise ValueError(
                "--mask is needed: where shall the image change? Such as otsu, or "
                "rectangle:Y,X,HEIGHT,WIDTH; or --apply FILE with directions"
            )
        if self.time is not None and self.sigma is not None:
            raise ValueError("--time and --sigma both name the noise level: give one")
        for name, least in (("steps", 2), ("batch_size", 1), ("directions", 0), ("project", 0)):
            if (value := getattr(self, name)) is not None and value < least:
                flag = name.replace("_", "-")
                raise ValueError(f"--{flag} {value}: must be at least {least}")
        if self.directions == 0 and not self.toward:
            raise ValueError("--directions 0 without --toward: there is nothing to find")
        if not all(map(math.isfinite, self.strength)):
            raise ValueError("--strength must be finite numbers, in parts of the norm of a state")

    @property
    def strengths(self) -> list[float]:
        """In order, each once."""
        return sorted({value + 0.0 for value in self.strength})


SEARCHED = ("mask", "directions", "toward", "project", "time", "sigma")
"""What says which directions to find."""


@dataclass(frozen=True)
class EditSubject:
    """A ``model``, its denoisers given the ``targets``, and its ``fingerprint``; ``images`` (n, c,
    h, w) with their ``names``; the mask (c, h, w) and the noise level at which they are moved;
    directions that were ``given``.
    """

    model: Model
    targets: list[Denoiser]
    fingerprint: str
    images: Tensor
    names: list[str]
    mask: Tensor
    sigma: float
    levels: Tensor
    given: Kept | None
    warnings: list[str]


def subject(asked: EditRequest) -> EditSubject:
    """Opens and checks everything that is named."""
    model, targets = _models(asked)
    images, names, warnings = _images(asked, model.shape)
    told = "" if asked.label is None else f", label {asked.label}"
    known, given = fingerprint(asked.model) + told, read(asked.apply) if asked.apply else None
    if given:
        given.check(known, model.shape)
        mask, sigma = given.mask, given.sigma
    else:
        mask, sigma = mask_of(asked.mask, images[0]), _level(asked)
    levels = model.levels(asked.steps)
    low, high = float(levels[levels > 0].min()), float(levels.max())
    if not low < sigma <= high:
        raise ValueError(f"--sigma {sigma:g}: the model knows levels from {low:g} to {high:g}")
    device = asked.device
    return EditSubject(
        model, targets, known, images.to(device), names, mask.to(device), sigma,
        path(sigma, levels), given, [*model.said, *warnings],
    )  # fmt: skip


def _models(asked: EditRequest) -> tuple[Model, list[Denoiser]]:
    """The model, and its denoisers given the labels to go toward."""
    name = f"--model {harmless(asked.model)}"
    try:
        opened = unlabelled(asked.model, asked.device)
        model = opened.given(asked.label)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    if model.kind == ONE_STEP:
        raise ValueError(f"{name} is a one-step map: it has no trajectory on which to edit")
    if not model.differentiable:
        raise ValueError(
            f"{name} has no derivatives, and directions are singular vectors of them: "
            "give the network itself, not its export"
        )
    if len(model.shape) != 3:
        raise ValueError(f"{name} makes no images, but points of shape {model.shape}")
    return model, [_given(opened, label) for label in asked.toward]


def _given(model: Model, label: int) -> Denoiser:
    if model.labelled is None:
        raise ValueError(f"--toward {label}: the model was trained without labels")
    try:
        return model.given(label).denoiser
    except ValueError as error:
        raise ValueError(f"--toward {error}") from error


def _level(asked: EditRequest) -> float:
    """The sigma that is asked for."""
    if asked.sigma is not None:
        if not 0 < asked.sigma < math.inf:
            raise ValueError(f"--sigma {asked.sigma:g}: must be a positive number")
        return asked.sigma
    time = TIME if asked.time is None else asked.time
    if not 0 < time <= 1:
        raise ValueError(f"--time {time:g}: must lie between 0, no noise, and 1, noise alone")
    return float(VPSDE().sigma(torch.tensor(time, dtype=torch.float64)))


def _images(asked: EditRequest, shape: tuple[int, ...]) -> tuple[Tensor, list[str], list[str]]:
    """All images at the model's shape, with their names and what was changed in reading them."""
    images, names, warnings = [], [], []
    for word in asked.image:
        for name, image, notes in _read(asked, word):
            images.append(_fitting(image, shape, name))
            names.append(name)
            warnings += [f"{name}: {note}" for note in notes]
            if image.shape[0] != shape[0]:
                warnings.append(f"{name}: grey was put in all {shape[0]} channels")
    if len(images) > MOST:
        raise ValueError(
            f"--image names {len(images)} images; at most {MOST} are on one page: name "
            "a part, such as digits[0:1]"
        )
    return torch.stack(images), names, warnings


def _read(asked: EditRequest, word: str) -> Iterator[tuple[str, Tensor, Sequence[str]]]:
    """Name, image and notes of each image of a word."""
    try:
        how, file = Preparation.of(asked.prepare), located(word)
        if os.path.isfile(file) and file.suffix.lower() in SUFFIXES:
            pixels, notes = decode(read_regular(file), how)
            image = how.shaped(from_uint8(torch.from_numpy(pixels.copy()).permute(2, 0, 1)))
            yield harmless(file.name), image, notes
            return
        chosen = select(word)
        ends = (asked.range[0], asked.range[1]) if asked.range else None
        found = read_images(chosen.source, prepare=how, value_range=ends)
        rows = chosen.rows(len(found), found.test_from, "test")
    except ValueError as error:
        raise ValueError(f"--image {harmless(word)}: {error}") from error
    if len(rows) > MOST:
        raise ValueError(
            f"--image {harmless(word)} has {len(rows)} images; name a part, such as "
            f"{harmless(chosen.source)}[0:1]"
        )
    for place, row in enumerate(rows):
        name = (
            found.files[row] if found.files else f"{harmless(located(chosen.source).name)}[{row}]"
        )
        yield name, found.data[row], found.warnings if not place else ()


def _fitting(image: Tensor, shape: tuple[int, ...], name: str) -> Tensor:
    """The image in as many channels as the model has; another shape is a ValueError."""
    (channels, *size), (wanted, *sides) = image.shape, shape
    if size != sides:
        way = (
            f"crop-centre resize:{sides[0]}"
            if sides[0] == sides[1]
            else f"resize:{sides[1]}x{sides[0]}"
        )
        raise ValueError(
            f"--image {name} has {size[0]} × {size[1]} pixels, the model {sides[0]} × "
            f"{sides[1]}: add --prepare {way}"
        )
    if channels != wanted and channels != 1:
        raise ValueError(f"--image {name} is in colour, the model grey: add --prepare grey")
    return image.expand(wanted, *size)
