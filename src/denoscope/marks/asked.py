"""What is asked of the command, and what it is asked about; whatever does not fit is one line."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from denoscope.apply.edit import path
from denoscope.apply.watermark import Key, noise_level
from denoscope.data.images import Images
from denoscope.data.prepare import Preparation
from denoscope.data.reading import read_images
from denoscope.data.selection import select
from denoscope.files import content_hash, harmless, located
from denoscope.models import ONE_STEP, Model, fingerprint
from denoscope.models.opening import unlabelled

TIME = 0.3
"""Of the noise level at which keys are embedded, where none is asked for."""


@dataclass(frozen=True, kw_only=True)
class MarkRequest:
    """The flags of all four actions; those of others have their defaults."""

    model: str = ""
    key: Sequence[str] = ()
    images: str = ""
    samples: int = 0
    carrier: str = "high"
    time: float | None = None
    sigma: float | None = None
    steps: int = 25
    radius: float | None = None
    rank: int | None = None
    strength: float = 8.0
    how: str = "additive"
    shifts: int = 0
    level: float = 0.01
    attack: Sequence[str] = ()
    clean: str = ""
    label: int | None = None
    prepare: Sequence[str] = ()
    range: Sequence[float] = ()
    skip_bad: bool = False
    seed: int | None = None
    batch_size: int = 64
    device: str = "cpu"

    def __post_init__(self) -> None:
        least = {"steps": 2, "batch_size": 1, "samples": 0, "shifts": 0, "rank": 1, "seed": 0}
        for name, bound in least.items():
            value = getattr(self, name)
            if value is not None and value < bound:
                flag = name.replace("_", "-")
                raise ValueError(f"--{flag} {value}: must be at least {bound}")
        if not 0 < self.level < 1:
            raise ValueError(f"--level {self.level:g}: must lie between 0 and 1")
        if not 0 <= self.strength < math.inf:
            raise ValueError(f"--strength {self.strength:g}: must be a number of at least 0")

    @property
    def noise(self) -> float:
        """The sigma that is asked for."""
        if self.time is not None and self.sigma is not None:
            raise ValueError("--time and --sigma both name the noise level: give one")
        if self.sigma is not None:
            return self.sigma
        try:
            return noise_level(TIME if self.time is None else self.time)
        except ValueError as error:
            raise ValueError(f"--time {error}") from error


@dataclass(frozen=True)
class Asking:
    """A model that was opened, and its fingerprint."""

    model: Model
    fingerprint: str

    def levels(self, key: Key) -> Tensor:
        """Those of the model with the key's level in their place; a ValueError where it lies above
        all.
        """
        levels = self.model.levels(key.steps)
        if not float(levels[levels > 0].min()) < key.sigma <= float(levels.max()) * (1 + 1e-9):
            raise ValueError(
                f"the key's noise level {key.sigma:.4g} is not among the model's, "
                f"{float(levels[levels > 0].min()):.3g} to {float(levels.max()):.4g}: make a key "
                "with a --sigma between these"
            )
        return levels

    def below(self, key: Key) -> Tensor:
        return path(key.sigma, self.levels(key))


def opened(asked: MarkRequest) -> Asking:
    """The model; none, or one that has no states of images on which to mark, is a ValueError."""
    name = f"--model {harmless(asked.model)}"
    try:
        model = unlabelled(asked.model, asked.device).given(asked.label)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    if model.kind == ONE_STEP:
        raise ValueError(f"{name} is a one-step map: it has no trajectory on which to mark")
    if len(model.shape) != 3:
        raise ValueError(f"{name} makes no images, but points of shape {model.shape}")
    told = "" if asked.label is None else f", label {asked.label}"
    return Asking(model, fingerprint(asked.model) + told)


def keys_of(asked: MarkRequest, about: Asking) -> list[Key]:
    """All keys that are named, each once, checked against the model."""
    found: dict[str, Key] = {}
    for word in asked.key:
        try:
            key = Key.load(located(word))
        except ValueError as error:
            raise ValueError(f"--key {harmless(error, 2000)}") from error
        try:
            key.check(about.model.shape, about.fingerprint)
            about.levels(key)
        except ValueError as error:
            raise ValueError(f"--key {harmless(word)}: {error}") from error
        if key.fingerprint in found:
            raise ValueError(f"--key {harmless(word)} is named twice: a key counts once")
        found[key.fingerprint] = key
    return list(found.values())


@dataclass(frozen=True)
class ImageSet:
    """Images with the ``names`` of their sources, one ``stem`` each for what is written of them,
    and what was changed in reading them.
    """

    images: Images
    names: list[str]
    stems: list[str]
    warnings: list[str]

    def parts(self, batch: int) -> Iterator[tuple[Sequence[int], Tensor]]:
        """Rows, and their images."""
        for start in range(0, len(self.names), batch):
            rows = range(start, min(start + batch, len(self.names)))
            yield rows, self.images[list(rows)]


def images_of(asked: MarkRequest, word: str, flag: str, shape: Sequence[int] = ()) -> ImageSet:
    """The images of a word; others than of ``shape``, if one is given, are a ValueError."""
    name = f"--{flag} {harmless(word)}"
    try:
        chosen = select(word)
        ends = (asked.range[0], asked.range[1]) if asked.range else None
        found = read_images(
            chosen.source,
            skip_bad=asked.skip_bad,
            prepare=Preparation.of(asked.prepare),
            value_range=ends,
            part=lambda n, test_from: chosen.rows(n, test_from, "test"),
        )
    except ValueError as error:
        raise ValueError(f"{name}: {harmless(error, 2000)}") from error
    if shape and tuple(found.shape) != tuple(shape):
        raise ValueError(f"{name}: {_misfit(found.shape, tuple(shape))}")
    source = located(chosen.source).name
    names = list(found.files) or [
        f"{harmless(source)}-{i + chosen.start}" for i in range(len(found))
    ]
    return ImageSet(found, names, _stems(names), list(found.warnings))


def _misfit(found: Sequence[int], wanted: tuple[int, ...]) -> str:
    """What to do about images of another shape."""
    (channels, *size), (right, *sides) = found, wanted
    if size != sides:
        way = f"resize:{sides[0]}" if sides[0] == sides[1] else f"resize:{sides[1]}x{sides[0]}"
        way = f"crop-centre {way}" if sides[0] == sides[1] else way
        return (
            f"images have {size[0]} × {size[1]} pixels, the model {sides[0]} × {sides[1]}: add "
            f"--prepare {way}"
        )
    if channels == 1:
        return f"images are grey, the model has {right} channels: name images in colour"
    return "images are in colour, the model is grey: add --prepare grey"


def _stems(names: Sequence[str]) -> list[str]:
    """A plain file name without its ending for each name, all different."""
    found: list[str] = []
    taken: set[str] = set()
    for name in names:
        ending = Path(name).suffix
        plain = name.removesuffix(ending) if re.fullmatch(r"\.[A-Za-z]\w*", ending) else name
        stem = first = re.sub(r"[^\w.-]+", "_", plain).strip(".") or "image"
        count = 1
        while stem in taken:
            count += 1
            stem = f"{first}-{count}"
        taken.add(stem)
        found.append(stem)
    return found


def hashed(image: Tensor) -> str:
    """The content hash of one image."""
    return content_hash(image.cpu().numpy())
