"""Which label each sample is drawn with: that of its seed, so that it depends on nothing else."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from denoscope.models.model import Model

ALL = "all"
_GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True)
class LabelChoice:
    """Labels among ``among``, with repetitions as they are to be frequent: sample ``seed`` has the
    one at the share frac(seed (sqrt 5 - 1)/2) of their sorted list, so that consecutive seeds have
    them in proportion.
    """

    among: tuple[float, ...]

    def of(self, seeds: Sequence[int]) -> Tensor:
        """The labels of some seeds, (n,); whole where all are."""
        places = (int(seed * _GOLDEN % 1 * len(self.among)) for seed in seeds)
        return self._numbers([self.among[place] for place in places])

    def every(self) -> Tensor:
        """Each label once, (k,)."""
        return self._numbers(sorted(set(self.among)))

    def _numbers(self, some: Sequence[float]) -> Tensor:
        whole = all(label.is_integer() for label in self.among)
        return torch.tensor(some, dtype=torch.int64 if whole else torch.float64)

    def json(self) -> list[list[float]]:
        """Each label and how often it is there."""
        return [[label, count] for label, count in sorted(Counter(self.among).items())]

    def __str__(self) -> str:
        counts = Counter(self.among)
        shown = ", ".join(f"{label:g}" for label in sorted(counts)[:10])
        more = ", …" if len(counts) > 10 else ""
        unlike = ", as often as in the training set" if len(set(counts.values())) > 1 else ""
        return f"label{'s' if len(counts) > 1 else ''} {shown}{more}{unlike}"


def chosen(model: Model, words: Sequence[str], train: Tensor | None) -> LabelChoice | None:
    """The labels that ``--label`` says: one, several, a range, or all of a model's classes; each as
    often as among the training images' ``train`` (n,) if these are the same classes, else alike.

    None where nothing is said; what is no label is a ValueError.
    """
    if not words:
        return None
    if ALL in words and not model.classes:
        raise ValueError(
            "--label all: it does not say how many classes it has; name them, such as --label 0-9"
        )
    named = [f"0-{model.classes - 1}"] if ALL in words else words
    asked = {label for word in named for label in numbers(word)}
    there = [] if train is None else train.double().tolist()
    same = model.classes > 0 and set(there) == set(range(model.classes))
    kept = sorted(label for label in there if label in asked) if same else []
    return LabelChoice(tuple(kept or sorted(asked)))


def numbers(word: str) -> list[float]:
    """A class, a number or a range of classes as it is written; anything else is a ValueError."""
    if match := re.fullmatch(r"(\d{1,6})-(\d{1,6})", word):
        return [float(label) for label in range(int(match[1]), int(match[2]) + 1)]
    try:
        return [float(word)]
    except ValueError:
        raise ValueError(
            f"--label {word}: a label is a number, such as 3 or 0.5, a range such as 0-9, or all"
        ) from None


def single(word: str) -> int | float | None:
    """The one label of a study's cell, None for an empty word."""
    if not word:
        return None
    found = numbers(word)
    if len(found) != 1:
        raise ValueError(f"--label {word}: one label at a time")
    return int(found[0]) if word.isdigit() else found[0]
