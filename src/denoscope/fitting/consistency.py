"""Consistency models: networks f(x, sigma) that answer where the probability flow from x ends,
trained without or with a teacher.

The flow is cut at levels that grow finer as training goes on, Karras' from ``CONSISTENT_FROM`` to
``high``. A drawn level falls between two of them, s > r, and f at the state at s is drawn to f at
the state at r, which gets no gradient. That state is x0 + r n with the noise n of the state at s
(consistency training), or what one step of a solver makes of the state at s by a ``teacher``
(distillation). The network's preconditioning, "consistency", holds f(x, CONSISTENT_FROM) = x, so
that what is learned at low levels is carried up. Song et al. 2023; without an average as target,
with pseudo-Huber distances and a growing number of levels: Song and Dhariwal 2024.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from denoscope.files import content_hash
from denoscope.fitting.loss import Weight
from denoscope.levels import karras
from denoscope.networks.precondition import CONSISTENT_FROM
from denoscope.sampling import heun
from denoscope.types import Denoiser, pad

HUBER = 0.00054
"""Of the pseudo-Huber distance, a root of the number of pixels."""


@dataclass(frozen=True)
class ConsistencyLoss:
    """The loss of consistency training over ``steps`` steps, or with a ``teacher`` of distilling
    it: what :func:`~denoscope.fitting.training` takes as ``loss``.

    ``first`` steps of the flow double up to ``last``. It is called as the denoising loss is; a
    weight takes the place of 1/(s - r). Networks need the kind "consistency".
    """

    steps: int
    teacher: Denoiser | None = None
    first: int = 10
    last: int = 1280
    high: float = 80.0
    step: int = 0

    def __post_init__(self) -> None:
        if not (self.steps >= 1 and 1 <= self.first <= self.last):
            raise ValueError(
                "a consistency loss needs steps of at least 1 and 1 <= first <= last, got steps "
                f"{self.steps}, first {self.first}, last {self.last}"
            )

    def at(self, step: int) -> ConsistencyLoss:
        """The loss at a step of the training."""
        return replace(self, step=step)

    @property
    def parts(self) -> int:
        """Into how many steps the flow is cut at this step of the training."""
        stage = self.steps // (int(math.log2(self.last / self.first)) + 1)
        return min(self.first * 2 ** (self.step // max(1, stage)), self.last)

    def pair(self, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """The neighbouring levels s and r, s >= sigma > r where sigma is inside."""
        levels = karras(self.parts + 1, CONSISTENT_FROM, self.high)[:-1].flip(0).to(sigma)
        place = torch.searchsorted(levels, sigma.contiguous()).clamp(1, self.parts)
        return levels[place], levels[place - 1]

    @torch.no_grad()
    def state(self, x0: Tensor, noise: Tensor, s: Tensor, r: Tensor) -> Tensor:
        """The state at r that the flow carries the state at s to, or stands for it."""
        if self.teacher is None:
            return torch.addcmul(x0, pad(r, x0), noise)
        return heun(self.teacher, torch.addcmul(x0, pad(s, x0), noise), s, r)

    def __call__(
        self, D: Denoiser, x0: Tensor, sigma: Tensor, noise: Tensor, weight: Weight | None = None
    ) -> Tensor:
        """The mean of the distance of f at s to f at r over s - r and the last axis of sigma, shape
        sigma.shape[:-1].
        """
        s, r = self.pair(sigma)
        with torch.no_grad():
            target = D(self.state(x0, noise, s, r), r)
        answer = D(torch.addcmul(x0, pad(s, x0), noise), s)
        square = (answer - target).square().flatten(sigma.ndim)
        c = HUBER * math.sqrt(square.shape[-1])
        apart = torch.sqrt(square.sum(-1) + c**2) - c
        return (apart * (weight(s) if weight else 1 / (s - r))).mean(-1)

    def fingerprint(self) -> str:
        """A hash of all that decides the loss, a teacher by its name and its weights."""
        numbers = [self.steps, self.first, self.last, self.high]
        held = [tensor.detach().cpu().numpy() for tensor in _tensors(self.teacher)]
        named = [type(self).__name__, type(self.teacher).__name__, content_hash(*held)]
        return hashlib.sha256(json.dumps([*named, *numbers]).encode()).hexdigest()


def _tensors(held: object) -> list[Tensor]:
    """The tensors that an object holds, and those of what it holds."""
    if isinstance(held, Tensor):
        return [held]
    if isinstance(held, nn.Module):
        return list(held.state_dict().values())
    return [tensor for part in getattr(held, "__dict__", {}).values() for tensor in _tensors(part)]
