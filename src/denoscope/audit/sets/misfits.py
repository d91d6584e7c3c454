"""Where files and samples do not fit each other, and the plausible ways to make them fit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import gcd

from denoscope.audit.sets.looked import Looked
from denoscope.data.prepare import SHAPING, Preparation

Size = tuple[int, int]
_ASPECT = 0.02  # relative difference of proportions that cropping whole pixels makes
_DEEP = 65535
_SOME = 0.01  # share of files below which it is said and not asked


@dataclass(frozen=True)
class Misfit:
    """What does not fit, ``said`` in words; the ``ways`` of making it fit, words for the training
    files and for the samples.
    """

    said: str
    ways: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]


def misfits(
    train: Looked,
    test: Looked | None,
    gen: Looked,
    how: tuple[Preparation, Preparation],
    goal: Size,
) -> list[Misfit]:
    """All misfits of what was looked at; ``how`` are the preparations that were stated for training
    files and samples, ``goal`` the size of the samples after theirs. What is stated is not asked.
    """
    files, samples = how
    real = [one for one in (train, test) if one]
    return [
        *_turned(real, files),
        *_deep(train, gen, files),
        *_transparent(real, gen, files, samples),
        *_sized(train, files, goal),
        *_coloured(train, gen, files),
    ]


def _turned(real: Sequence[Looked], files: Preparation) -> Iterator[Misfit]:
    turned = [one.turned for looked in real for one in looked.stored]
    if sum(turned) >= _SOME * len(turned) and any(turned) and not files.has("exif", "stored"):
        said = f"EXIF asks to turn {sum(turned)} of {len(turned)} real images looked at"
        yield Misfit(said, ((("exif",), ()), (("stored",), ())))


def _deep(train: Looked, gen: Looked, files: Preparation) -> Iterator[Misfit]:
    peak, theirs = (max(one.peak for one in looked.stored) for looked in (train, gen))
    alike = 0 < theirs <= 2 * peak
    if files.has("max", "stretch") or alike or not 0 < peak <= _DEEP // 2:
        return
    white = (1 << peak.bit_length()) - 1
    ways = (f"max:{white}", "stretch", "max:255", f"max:{_DEEP}")
    said = f"--train has values up to {peak} of {_DEEP}"
    yield Misfit(said, tuple(((word,), ()) for word in dict.fromkeys(ways)))


def _transparent(
    real: Sequence[Looked], gen: Looked, files: Preparation, samples: Preparation
) -> Iterator[Misfit]:
    clear = [one.alpha for looked in real for one in looked.stored]
    words = [(f"alpha:{ground}",) for ground in ("black", "white", "drop")]
    if (
        sum(clear) >= _SOME * len(clear)
        and any(clear)
        and not gen.any("alpha")
        and not files.has("alpha")
    ):
        said = "--train has transparency and --gen has none"
        yield Misfit(said, tuple((word, ()) for word in words))
    if gen.any("alpha") and not any(clear) and not samples.has("alpha"):
        said = "--gen has transparency and --train has none"
        yield Misfit(said, tuple(((), word) for word in words))


def _sized(train: Looked, files: Preparation, goal: Size) -> Iterator[Misfit]:
    upright = {one.upright for one in train.stored}
    sizes = upright if files.has("exif") else train.sizes
    if files.has(*SHAPING) or sizes == {goal}:
        return
    said = f"--train has images of {shown(sizes)} pixels and --gen of {shown({goal})}"
    yield Misfit(said, tuple((words, ()) for words in _shapes(sizes, goal)))


def _shapes(sizes: set[Size], goal: Size) -> Iterator[tuple[str, ...]]:
    """The usual ways from pictures of these sizes to one size."""
    width, height = goal
    square, whole = width == height, gcd(width, height)
    scaled = f"resize:{width}" if square else f"resize:{width}x{height}"
    if not all(proportional(size, goal) for size in sizes):
        middle = "crop-centre" if square else f"crop-centre:{width // whole}:{height // whole}"
        yield middle, scaled
        if square:
            yield "pad:black", scaled
            yield "pad:white", scaled
    yield (scaled,)
    if all(w >= width and h >= height for w, h in sizes):
        yield (scaled.replace("resize", "crop"),)


def _coloured(train: Looked, gen: Looked, files: Preparation) -> Iterator[Misfit]:
    plain = all(one.grey for one in gen.stored)
    if plain and not all(one.grey for one in train.stored) and not files.has("grey"):
        yield Misfit("--gen is grey and --train in colour", ((("grey",), ()), ((), ())))


def proportional(size: Size, goal: Size) -> bool:
    """Whether two sizes have the same proportions, up to what whole pixels make."""
    return abs(size[0] * goal[1] / (size[1] * goal[0]) - 1) < _ASPECT


def shown(sizes: set[Size]) -> str:
    """Sizes for a reader: 44x54, or the ends of several."""
    few = sorted(sizes)
    texts = [f"{width}x{height}" for width, height in few]
    return texts[0] if len(texts) == 1 else f"{texts[0]} to {texts[-1]}"


def ways(
    found: Sequence[Misfit], files: Preparation, samples: Preparation
) -> list[tuple[Preparation, Preparation]]:
    """Every combination, as preparations of training files and of samples."""
    made = []
    for chosen in product(*(one.ways for one in found)):
        words = [word for ours, _ in chosen for word in ours]
        theirs = [word for _, ours in chosen for word in ours]
        made.append((_joined(words, files), _joined(theirs, samples)))
    return made


def _joined(words: Sequence[str], stated: Preparation) -> Preparation:
    """Words about the file before what is stated, all others after it."""
    about = [word for word in words if Preparation.of(word).about_files]
    rest = [word for word in words if word not in about]
    return Preparation.of((*about, *stated.words, *rest))
