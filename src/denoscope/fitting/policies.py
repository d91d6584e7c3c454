"""Which stages of noise levels a training visits, and how often, while its objective stays the
same.

Levels are log-normal with distribution function F, and p_k of them lie in stage k. A policy visits
stages with shares q_k instead: the quantile u = F(sigma) of a drawn level, with Q_k <= u < Q_{k+1}
for the sums Q of the shares, is carried to

    sigma' = F^{-1}(P_k + (u - Q_k) p_k / q_k)

so that levels inside a stage keep their density, and the row's loss is weighted by p_k/q_k: the
expected loss, and so its gradient, is that of the density whatever the shares are. "density" has
q = p, "uniform" equal shares. The other two are measured as training goes on, every few steps:
"gradient" has the q_k ~ p_k sqrt(E_k g^2) that make the second moment of the gradient g least, g
taken by the network's output (Katharopoulos and Fleuret 2018), and "decrease" has shares like what
a stage's part of the loss fell by since the last look. Both keep a part ``FLOOR`` of p, which
bounds the weights by 1/FLOOR. Two trainings from the same draws differ in the levels alone.
"""

from __future__ import annotations

import hashlib
import json
import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from scipy.special import ndtr
from torch import Tensor

from denoscope.fitting.loss import Weight, denoising_loss, flat, weighted_errors
from denoscope.networks.multistage import DRAWN, stage_name
from denoscope.types import Denoiser

POLICIES = ("density", "uniform", "gradient", "decrease")
FLOOR = 0.2
INSIDE = 1e-300, 1 - 1e-12
"""Quantiles that have a level, and are below every sum that should be 1."""


def visit_shares(edges: Sequence[float], mean: float, std: float) -> np.ndarray:
    """The share of levels with ln sigma ~ N(mean, std^2) in each stage between ``edges``, rising
    sigmas, (stages,), in closed form; a stage without one of 100 000 is a warning that names it.
    """
    z = np.array([-math.inf, *(np.log(edges) - mean) / std, math.inf])
    shares = np.where(z[1:] < 0, np.diff(ndtr(z)), 0 - np.diff(ndtr(-z)))
    for stage in np.flatnonzero(shares < 1 / DRAWN).tolist():
        said = f"{stage_name(stage, edges)} is never trained at these levels"
        warnings.warn(f"{said}: it has {shares[stage]:.1g} of them", stacklevel=2)
    return shares


class StagedLoss:
    """The denoising loss under a policy, for ``training(..., loss=...)`` with levels
    ``log_normal(mean, std)``; one per training, since it learns.

    ``shares`` (stages,), or one row per member of a fleet, are those of now, float64; policies that
    learn look again after every ``every`` steps. A checkpoint holds what they learned.
    """

    def __init__(
        self,
        edges: Sequence[float],
        mean: float,
        std: float,
        policy: str = "density",
        *,
        every: int = 50,
    ):
        if policy not in POLICIES:
            raise ValueError(f"policy must be one of {', '.join(POLICIES)}, got {policy!r}")
        if every < 1:
            raise ValueError(f"every must be at least 1 step, got {every}")
        self.edges, self.mean, self.std, self.policy = tuple(edges), mean, std, policy
        self.every = every
        self.density = torch.from_numpy(visit_shares(edges, mean, std))
        known = (self.density > 0).double()
        self.shares = known / known.sum() if policy == "uniform" else self.density
        self.calls, self.before = 0, torch.full_like(self.density, math.nan)
        self.sums = self.counts = torch.zeros_like(self.density)

    def __call__(
        self, D: Denoiser, x0: Tensor, sigma: Tensor, noise: Tensor, weight: Weight | None = None
    ) -> Tensor:
        """As :func:`~denoscope.fitting.denoising_loss`, shape sigma.shape[:-1]."""
        if self.policy == "density":
            return denoising_loss(D, x0, sigma, noise, weight)
        own: Weight = getattr(D, "weight", flat)
        level, stage = self.visited(sigma)
        errors = weighted_errors(D, x0, level, noise, weight)
        rows = self._importance(stage).to(errors) * errors
        if self.policy != "uniform":
            ratio = (weight or own)(level) / own(level)
            seen = errors * ratio if self.policy == "gradient" else errors
            self._look(seen.detach().cpu().double(), stage.cpu())
        return rows.mean(-1) / math.prod(x0.shape[sigma.ndim :])

    def visited(self, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """The levels that the policy makes of drawn ones, and their stages, of sigma's shape."""
        z = (sigma.double().log() - self.mean) / self.std
        u = torch.special.ndtr(z).clamp(*INSIDE)
        P, Q = map(_sums, (self.density, self.shares))
        stage = (u.unsqueeze(-1) >= Q[..., None, 1:-1]).sum(-1)
        inside = (u - _at(Q, stage)) * self._importance(stage)
        v = (_at(P, stage) + inside).clamp(*INSIDE)
        return (self.mean + self.std * torch.special.ndtri(v)).exp().to(sigma), stage

    def _importance(self, stage: Tensor) -> Tensor:
        """p_k/q_k of each row."""
        return _at(self.density, stage) / _at(self.shares, stage)

    def _look(self, seen: Tensor, stage: Tensor) -> None:
        """Takes the rows' numbers in; the shares that follow from those of the last steps."""
        member = torch.nn.functional.one_hot(stage, len(self.density)).double()
        self.sums = self.sums + (seen.unsqueeze(-1) * member).sum(-2)
        self.counts, self.calls = self.counts + member.sum(-2), self.calls + 1
        if self.calls % self.every:
            return
        now = torch.where(self.counts > 0, self.sums / self.counts, self.before)
        wanted = now.sqrt() if self.policy == "gradient" else (self.before - now).clamp(min=0)
        self.shares = self._mixed(self.density * wanted)
        self.before, self.sums, self.counts = now, torch.zeros_like(now), torch.zeros_like(now)

    def _mixed(self, wanted: Tensor) -> Tensor:
        """Shares like ``wanted``, with a part of the density; those of now where it is unknown."""
        target = wanted / wanted.sum(-1, keepdim=True)
        mixed = FLOOR * self.density + (1 - FLOOR) * target
        return mixed.where(mixed.isfinite().all(-1, keepdim=True), self.shares)

    def fingerprint(self) -> str:
        """A hash of all that decides the loss."""
        numbers = [*self.edges, self.mean, self.std, self.every, FLOOR]
        return hashlib.sha256(
            json.dumps([type(self).__name__, self.policy, numbers]).encode()
        ).hexdigest()

    def learned(self) -> dict[str, Any]:
        """What a checkpoint must hold, as JSON."""
        names = ("shares", "before", "sums", "counts")
        return {"calls": self.calls, **{name: getattr(self, name).tolist() for name in names}}

    def take_up(self, learned: dict[str, Any]) -> None:
        """Goes on from :meth:`learned`."""
        self.calls = learned["calls"]
        for name in ("shares", "before", "sums", "counts"):
            setattr(self, name, torch.tensor(learned[name], dtype=torch.float64))


def _sums(shares: Tensor) -> Tensor:
    """0, then the sums of the first 1, 2, ... shares, (..., stages + 1)."""
    return torch.nn.functional.pad(shares.cumsum(-1), (1, 0))


def _at(table: Tensor, stage: Tensor) -> Tensor:
    """The entries of a table (stages,) or (members, stages) at the rows' stages."""
    table, where = table.to(stage.device), stage
    return table[where] if table.ndim == 1 else table.gather(-1, where)
