"""A model as every command uses it: a denoiser with the levels and the start of its sampling."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor

from denoscope.levels import karras
from denoscope.types import Denoiser

Kind = Literal["posterior mean", "one-step map"]
POSTERIOR_MEAN: Kind = "posterior mean"
ONE_STEP: Kind = "one-step map"


@dataclass(frozen=True, eq=False)
class Model:
    """A ``denoiser`` of states of ``shape``, sampled from ``start(noise)`` down ``levels(n)``, n
    levels and then 0.

    ``sampled`` is the denoiser as its scheduler bounds it while sampling (default: as it is).
    ``identity`` is JSON that differs wherever samples could; ``spacing`` says in words how the
    levels are chosen, and ``said`` what a user should know of how the model was found.
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

    def __post_init__(self) -> None:
        highest = self.levels
        for name, value in (
            ("sampled", self.denoiser),
            ("start", lambda noise: highest(1)[0].to(noise) * noise),
        ):
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
