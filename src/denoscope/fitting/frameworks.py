"""Frameworks: how models are made that are compared by the images they make of the same noises, and
ways in which those are drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from denoscope.fitting.recipe import Recipe
from denoscope.levels import karras
from denoscope.random import Seeds
from denoscope.sampling import ancestral, consistency, dpmpp, euler, heun, sample
from denoscope.types import Denoiser, Step


@dataclass(frozen=True)
class Framework:
    """A kind of network: what ``changes`` in the house recipe, by what its width is divided, and
    whether it is ``distilled`` from a network of that recipe.
    """

    name: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    narrower: int = 1
    distilled: bool = False

    def recipe(self, house: Recipe) -> Recipe:
        """The house recipe with this network in place of its own."""
        width = max(1, house.width // self.narrower)
        return replace(house, width=width, **self.changes)


_CONSISTENT = {"kind": "consistency", "level_mean": -0.9, "level_std": 3.0, "lr": 1e-3}
"""Levels from the lowest to the highest: samples are what the highest answers. Those of Song and
Dhariwal 2024 are narrower, about lower ones.
"""

BETWEEN = 0.8
"""The level between the two steps of a consistency model."""

FRAMEWORKS: Mapping[str, Framework] = {
    "edm": Framework("EDM"),
    "again": Framework("EDM (seed 2)"),
    "eps": Framework("ε-prediction", {"kind": "eps"}),
    "v": Framework("v-prediction", {"kind": "v"}),
    "flow": Framework("flow matching", {"kind": "flow"}),
    "unet": Framework("U-Net", {"net": "unet"}, 8),
    "uvit": Framework("U-ViT", {"net": "uvit"}, 4),
    "consistency": Framework("consistency, trained", _CONSISTENT),
    "distilled": Framework("consistency, distilled", _CONSISTENT, distilled=True),
}
"""By word: targets, architectures, and consistency models without and with a teacher."""


@dataclass(frozen=True)
class Way:
    """How samples are drawn from shared noises; ``other`` noises of a stochastic step are each
    model's own.
    """

    step: Callable[[], Step] = lambda: heun
    steps: int = 18
    high: float = 80.0
    low: float = 0.002
    stochastic: bool = False
    other: bool = False
    one_step: bool = False

    def levels(self) -> Tensor:
        """The levels, the last one 0."""
        return karras(self.steps, self.low, self.high)

    def sampled(self, D: Denoiser, noise: Tensor, own: int = 0) -> Tensor:
        """Samples of ``D`` from unit noises, row i from seed i; ``own`` tells models apart."""
        first = own * len(noise) if self.other else 0
        drawn = Seeds(range(first, first + len(noise))).noise() if self.stochastic else None
        return sample(D, self.high * noise, self.levels(), self.step(), drawn)


HEUN = Way()
WAYS: Mapping[str, Way] = {
    "heun": HEUN,
    "heun9": Way(steps=9),
    "heun36": Way(steps=36),
    "high20": Way(high=20.0),
    "euler": Way(lambda: euler),
    "dpmpp": Way(dpmpp),
    "ddpm": Way(lambda: ancestral, 36, stochastic=True),
    "ddpm_other": Way(lambda: ancestral, 36, stochastic=True, other=True),
    "two": Way(lambda: consistency, 2, low=BETWEEN, stochastic=True, one_step=True),
    "two_other": Way(
        lambda: consistency, 2, low=BETWEEN, stochastic=True, other=True, one_step=True
    ),
}
"""By word: of posterior means, and of consistency models (``one_step``)."""
