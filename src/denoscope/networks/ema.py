"""Averaged weights: what is sampled is a running mean of what is trained."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

RAMP = 0.05


class Averaged(nn.Module):
    """A denoiser whose weights are an exponential moving average of those of ``trained``, a network
    or a fleet.

    Update k (from 0) is average <- d_k average + (1 - d_k) weights, d_k = min(decay, (1 + k)/(10 +
    k)): early updates forget the initialisation. With ``half_life`` (in updates) instead of
    ``decay`` it is d_k = 2^(-1/min(half_life, 0.05 k)), EDM's rule (Karras et al. 2022, code of the
    paper). ``net`` is the averaged copy.
    """

    def __init__(self, trained: nn.Module, decay: float = 0.999, *, half_life: float | None = None):
        super().__init__()
        if not 0 <= decay < 1:
            raise ValueError(f"decay must lie in [0, 1), got {decay}")
        if half_life is not None and not half_life > 0:
            raise ValueError(f"half_life must be positive, got {half_life}")
        self.decay, self.half_life, self.updates = decay, half_life, 0
        self.net = copy.deepcopy(trained).requires_grad_(False)
        self._trained = (trained,)  # in a tuple, so that its parameters are not this module's

    @property
    def weight(self) -> Callable[[Tensor], Tensor]:
        """The network's own loss weight, a function of sigma; an AttributeError if it has none."""
        return cast(Callable[[Tensor], Tensor], self.net.weight)

    @property
    def classes(self) -> int:
        """How many labels the network knows."""
        return getattr(self.net, "classes", 0)

    def forward(self, x: Tensor, sigma: Tensor, *label: Tensor) -> Tensor:
        return self.net(x, sigma, *label)

    def next_decay(self) -> float:
        """d_k of the next update."""
        k = self.updates
        if self.half_life is None:
            return min(self.decay, (1 + k) / (10 + k))
        life = min(self.half_life, RAMP * k)
        return 0.5 ** (1 / life) if life > 0 else 0.0

    @torch.no_grad()
    def update(self) -> None:
        """Takes the trained network's present weights into the average."""
        mine: list[Tensor] = list(self.net.parameters())
        theirs: list[Tensor] = list(self._trained[0].parameters())
        # : the one fused lerp there is
        torch._foreach_lerp_(mine, theirs, 1 - self.next_decay())  # pyright: ignore[reportPrivateImportUsage]
        self.updates += 1
