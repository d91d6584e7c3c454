"""Networks of several stages of noise levels that cost a row, on average, what one U-Net does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from denoscope.fitting.arithmetic import expected_operations, operations
from denoscope.networks import Experts, MultiStage, UNet

ARMS = ("unified", "experts", "multistage", "published")
PUBLISHED = (1.5, 1.0, 0.125)
"""Widths of the published decoders over the encoder's (Zhang et al. 2024, multistage framework)."""


@dataclass(frozen=True)
class Stages:
    """Stages between ``edges``, a share ``shares[k]`` of rows in stage k, beside a U-Net of
    ``width`` for images of ``shape``.

    "experts" and "multistage" have widths like ``ratios``, scaled until a row's expected operations
    are as near to the U-Net's as whole widths allow; "published" has one encoder of ``width`` and
    decoders of the paper's widths, for three stages.
    """

    shape: tuple[int, ...]
    width: int
    edges: tuple[float, ...]
    ratios: tuple[float, ...]
    shares: tuple[float, ...]

    def network(self, arm: str, seed: int = 0) -> UNet | Experts | MultiStage:
        """The untrained network."""
        return self.made(arm, self.base(arm), seed)

    def base(self, arm: str) -> int:
        """The width of the U-Net or the encoder, or of experts before their ratios."""
        return self.width if arm in ("unified", "published") else _base(self, arm)

    def made(self, arm: str, base: int, seed: int = 0) -> UNet | Experts | MultiStage:
        """The same of another width."""
        if arm == "unified":
            return UNet(self.shape, base, seed=seed)
        if arm == "experts":
            return Experts(self.shape, self.edges, _times(base, self.ratios), seed=seed)
        widths = _times(base, PUBLISHED if arm == "published" else self.ratios)
        return MultiStage(self.shape, self.edges, widths, encoder=base, seed=seed)

    def operations(self, arm: str) -> float:
        """Those of a row, forward, on average."""
        return _counted(self, arm, self.base(arm))


def _times(base: int, ratios: Sequence[float]) -> tuple[int, ...]:
    return tuple(max(1, round(base * ratio)) for ratio in ratios)


@lru_cache(maxsize=256)
def _counted(stages: Stages, arm: str, base: int) -> float:
    net = stages.made(arm, base)
    if isinstance(net, UNet):
        return operations(net, stages.shape)
    return expected_operations(net, stages.shares)


@lru_cache(maxsize=64)
def _base(stages: Stages, arm: str) -> int:
    """By Newton's method: operations grow like the square of the width."""
    wanted, base, off = stages.operations("unified"), stages.width, dict[int, float]()
    while base not in off:
        off[base] = math.log(_counted(stages, arm, base) / wanted)
        base = max(1, round(base * math.exp(-off[base] / 2)))
    return min(off, key=lambda known: abs(off[known]))
