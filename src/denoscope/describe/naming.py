"""Descriptors by the words of a command line."""

from __future__ import annotations

import difflib
from math import prod
from pathlib import Path

from denoscope.data.images import Pictures, shape_of
from denoscope.describe.components import COUNTS, PCA
from denoscope.describe.custom import Custom, is_function
from denoscope.describe.identity import Describer
from denoscope.describe.pixels import SIDE, Pixels, RandomProjection
from denoscope.describe.preprocessing import NAMES
from denoscope.describe.rows import reduced_shape
from denoscope.describe.sscd import SSCD

_PLAIN = "pixels pca pca:K projection projection:K sscd sscd:FILE sscd:PROTOCOL"
WORDS = (*_PLAIN.split(), "sscd:FILE:PROTOCOL", "module:function")
"""The forms that :func:`by_name` understands."""
PROJECTED = 256
"""The features of ``projection``, where an image has as many numbers."""
_LARGE = 2 << 30  # bytes of rows that are kept as they are
PER_AXIS = 10
"""Training images for each fitted axis, where these same images calibrate it."""


def by_name(
    word: str,
    train: Pictures,
    *,
    seed: int = 0,
    sscd: str = "",
    held_out: bool = True,
    rows: int = 0,
) -> Describer:
    """The descriptor of this word, fitted to the training images (n, c, h, w) in [-1, 1] where it
    is fitted.

    ``pixels``, rounded to half precision where the ``rows`` to be described would take more than 2
    GiB; ``pca`` or ``pca:K``; ``projection`` or ``projection:K`` by ``seed``; ``sscd`` with the
    network in the file ``sscd`` or an installed one, ``sscd:FILE``, ``sscd:PROTOCOL`` and
    ``sscd:FILE:PROTOCOL`` with a name of :mod:`denoscope.describe.preprocessing`;
    ``module:function`` for any function. The training images are a control too, so ``pca`` has an
    axis for every ten of them at most, unless more are asked for and there are ``held_out`` images:
    on the axes that were made of them they lie farther apart than fresh images do, which then look
    like copies (16 digits on 15 axes, 300 fresh ones: every audit of ten found copies; with an axis
    for every ten one of 80, of 32 to 256 digits). Anything else is a one-line ValueError that names
    the nearest word.
    """
    kind, _, rest = word.partition(":")
    if word == "pixels":
        return Pixels(half=4 * rows * prod(reduced_shape(shape_of(train)[1:], SIDE)) > _LARGE)
    if kind == "pca":
        return _components(word, rest, train, seed, held_out)
    if kind == "projection":
        numbers = prod(shape_of(train)[1:])
        count = _count(word, rest, numbers) if rest else min(PROJECTED, numbers)
        return RandomProjection(shape_of(train)[1:], count, seed)
    if kind == "sscd":
        return SSCD(*_file_and_protocol(rest, sscd))
    if kind != "pixels" and is_function(word):
        return Custom(word)
    kinds = ("pixels", "pca", "projection", "sscd")
    near = difflib.get_close_matches(kind.lower(), kinds, 1, 0.0)[0]
    raise ValueError(
        f"there is no descriptor {word!r}: did you mean {near!r}? Possible are {', '.join(WORDS)}"
    )


def _components(word: str, rest: str, train: Pictures, seed: int, held_out: bool) -> PCA:
    calibrated = max(2, len(train) // PER_AXIS)
    if not rest:
        return PCA.fit(train, seed=seed, most=min(COUNTS[1], calibrated))
    k = _count(word, rest, min(len(train), prod(shape_of(train)[1:])))
    if k > calibrated and not held_out:
        raise ValueError(
            f"{word!r} needs --test: without it at most {calibrated} axes can be "
            f"calibrated on {len(train)} training images"
        )
    return PCA.fit(train, k, seed=seed)


def _count(word: str, text: str, most: int) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise ValueError(f"{word!r}: the features are a whole number from 1 to {most} here")
    return int(text)


def _file_and_protocol(rest: str, sscd: str) -> tuple[str, str]:
    """``FILE``, ``PROTOCOL`` or ``FILE:PROTOCOL``; a file's name may hold colons."""
    if _is_protocol(rest):
        return sscd, rest
    file, _, last = rest.rpartition(":")
    if file and (
        _is_protocol(last)
        or (Path(file).expanduser().is_file() and not Path(rest).expanduser().exists())
    ):
        return file, last
    return rest or sscd, NAMES[0]


def _is_protocol(text: str) -> bool:
    return text in NAMES or text.startswith("square-")
