"""A model as every command uses it: a denoiser with the levels and the start of its sampling."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from denoscope.display import shortened
from denoscope.levels import karras
from denoscope.types import Denoiser

Kind = Literal["posterior mean", "one-step map"]
POSTERIOR_MEAN: Kind = "posterior mean"
ONE_STEP: Kind = "one-step map"
Label = int | float | Tensor
"""The class, or the number, that a model is asked for: one, or (b,) one for each state."""


@dataclass(frozen=True, eq=False, repr=False)
class Model:
    """A ``denoiser`` of states of ``shape``, sampled from ``start(noise)`` down ``levels(n)``, n
    levels and then 0.

    ``sampled`` is the denoiser as its scheduler bounds it while sampling (default: as it is).
    ``identity`` is JSON that differs wherever samples could; ``spacing`` says in words how the
    levels are chosen, and ``said`` what a user should know of how the model was found. ``classes``
    counts those that a label names (0: none, or they are not known); ``labelled`` makes the same
    model for a label, and is None where there are none; ``wants`` says which label is missing.
    """

    denoiser: Denoiser
    shape: tuple[int, ...]
    identity: Mapping[str, Any] = field(default_factory=dict)
    kind: Kind = POSTERIOR_MEAN
    sampled: Denoiser = field(default=None)  # pyright: ignore[reportAssignmentType] -- set below
    levels: Callable[[int], Tensor] = karras
    start: Callable[[Tensor], Tensor] = field(default=None)  # pyright: ignore[reportAssignmentType]
    spacing: str = "levels equally spaced in their seventh root (Karras et al. 2022)"
    classes: int = 0
    differentiable: bool = True
    said: tuple[str, ...] = ()
    labelled: Callable[[Label], Model] | None = None
    wants: str = ""

    def __post_init__(self) -> None:
        highest = self.levels(1)[0]
        unset = {"sampled": self.denoiser, "start": lambda noise: highest.to(noise) * noise}
        if self.kind == ONE_STEP:
            object.__setattr__(self, "levels", _at_once(highest))
            object.__setattr__(self, "spacing", "as a one-step map is sampled")
        for name, value in unset.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        classes = f", {self.classes} classes" if self.classes else ""
        return shortened(f"Model({self.kind}{classes}: {self.denoiser!r})")

    def given(self, label: Label | None) -> Model:
        """The model of a label; a ValueError where there are none, or it does not exist, or one is
        wanted.
        """
        if label is None and self.wants:
            raise ValueError(self.wants)
        if label is None:
            return self
        if self.labelled is None:
            raise ValueError(f"it knows no classes: leave --label out, got {label}")
        return self.labelled(label)


def _at_once(highest: Tensor) -> Callable[[int], Tensor]:
    """The levels of a one-step map: the highest, then 0."""

    def levels(n: int) -> Tensor:
        if n != 1:
            raise ValueError(f"a one-step map is sampled in 1 step, got {n}")
        return torch.stack([highest, torch.zeros_like(highest)])

    return levels
