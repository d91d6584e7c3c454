"""The loop: a generator of its own progress, and ``fit``, which exhausts it."""

from __future__ import annotations

import math
import time
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from denoscope.fitting.batches import Draw, Draws
from denoscope.fitting.loss import Loss, Weight, denoising_loss
from denoscope.fitting.state import State
from denoscope.guidance import given
from denoscope.networks.ema import Averaged
from denoscope.networks.fleet import Fleet
from denoscope.random import generator
from denoscope.types import Levels, Noise

Rate = Literal["constant", "cosine", "one_cycle"]

PEAK, START, END = 0.3, 25.0, 1e4  # of the one-cycle rate: share of the steps, divisors


def rate_factor(rate: Rate, step: int, steps: int | None) -> float:
    """What the learning rate is multiplied by at ``step`` = 0 ... steps - 1.

    "cosine" is (1 + cos(pi step/steps))/2; "one_cycle" rises along a half cosine from 1/25 to 1
    over the first 30 % of the steps and falls along another to 1/250 000 (Smith and Topin 2019,
    with the constants of torch's OneCycleLR).
    """
    if rate == "constant":
        return 1.0
    if rate not in ("cosine", "one_cycle"):
        raise ValueError(f"rate must be constant, cosine or one_cycle, got {rate!r}")
    if steps is None:
        raise ValueError(f"the rate {rate!r} needs the number of steps")
    if rate == "cosine":
        return _half_cosine(1.0, 0.0, step / steps)
    peak, last = PEAK * steps - 1, steps - 1
    if peak > 0 and step <= peak:
        return _half_cosine(1 / START, 1.0, step / peak)
    return _half_cosine(1.0, 1 / START / END, (step - peak) / (last - peak))


def _half_cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * share))


@dataclass(frozen=True)
class Progress:
    """Where a training is: ``step`` steps done of ``steps`` (None: until the draws end), at
    ``rate`` steps per second.

    ``loss``: the mean since the last report, scalar, or (m,) for a fleet, NaN for stopped members.
    ``stopped``: why and when members stopped, {0: reason} for a single network. ``seconds``: spent
    in all, over resumes. ``denoiser``: what would be sampled now, the averaged network where there
    is one; it goes on changing with the training.
    """

    step: int
    steps: int | None
    loss: Tensor
    rate: float
    seconds: float
    stopped: dict[int, str]
    denoiser: nn.Module


def training(
    net: nn.Module,
    draws: Iterable[Draw],
    *,
    steps: int | None = None,
    lr: float = 1e-3,
    rate: Rate = "constant",
    weight_decay: float = 0.0,
    ema: Averaged | None = None,
    weight: Weight | None = None,
    loss: Loss = denoising_loss,
    checkpoint: Path | str | None = None,
    every: float = 10.0,
    report: float = 0.1,
    at: Container[int] = (),
) -> Iterator[Progress]:
    """Trains a denoiser or a fleet in place by Adam on the denoising loss, or another, yielding
    progress every ``report`` seconds, after the steps that are in ``at``, and at the end.

    Stops after ``steps``, when the draws end, or when every member has stopped: a member whose loss
    or gradient is not finite keeps the parameters (and averages) it had before, while the others go
    on unchanged bit for bit. ``ema`` is updated after every step. With ``weight_decay`` every step
    first multiplies the weights by 1 - lr weight_decay (Loshchilov and Hutter 2019).

    With ``checkpoint`` the state is written there every ``every`` seconds and at the end,
    atomically, and a call with equal arguments takes it up: the result is bitwise that of an
    undisturbed run. A damaged checkpoint is a warning and a new start; one of another training is a
    ValueError. ``draws`` without a method ``at(step)`` are then wound forward to where the
    checkpoint ends.
    """
    rate_factor(rate, 0, steps)
    if not 0 <= weight_decay < math.inf:
        raise ValueError(f"weight_decay must be at least 0 and finite, got {weight_decay}")
    if isinstance(draws, Draws) and draws.labels is not None:
        given(net, draws.labels)  # raises where there is a label that the network does not know
    settings = {
        "steps": steps,
        "lr": lr,
        "rate": rate,
        "ema": [ema.decay, ema.half_life] if ema else None,
        "weight": getattr(weight, "__qualname__", type(weight).__name__),
        "draws": draws.fingerprint() if isinstance(draws, Draws) else None,
    }
    if loss is not denoising_loss:  # as before there were others, for checkpoints from then
        named = getattr(loss, "fingerprint", lambda: getattr(loss, "__qualname__", ""))
        settings["loss"] = named()
    if weight_decay:
        settings["weight_decay"] = weight_decay
    state = State(net, lr, ema, weight, settings, loss, weight_decay)
    if checkpoint is not None:
        state.load(checkpoint)
    rest = (
        draws.at(draws.step + state.step)
        if isinstance(draws, Draws)
        else islice(draws, state.step, None)
    )
    return _steps(state, rest, steps, rate, checkpoint, every, report, at)


def _steps(
    state: State,
    draws: Iterable[Draw],
    steps: int | None,
    rate: Rate,
    checkpoint: Path | str | None,
    every: float,
    report: float,
    at: Container[int],
) -> Iterator[Progress]:
    loaded, before = state.step, state.seconds
    started = reported = saved = time.perf_counter()
    shape = () if state.members is None else (state.members,)
    total, count = torch.zeros(shape, device=state.device), 0

    def progress(now: float) -> Progress:
        mean = total / count if count else torch.full_like(total, math.nan)
        return Progress(
            state.step,
            steps,
            mean.cpu(),
            count / max(now - reported, 1e-9),
            state.seconds,
            dict(state.stopped),
            state.net if state.ema is None else state.ema.net,
        )

    if state.step and state.step != steps and state.step in at:  # a kill after its checkpoint
        yield progress(started)
    for draw in islice(draws, None if steps is None else max(0, steps - state.step)):
        if state.over:
            break
        total, count = total + state.advance(draw, rate_factor(rate, state.step, steps)), count + 1
        now = time.perf_counter()
        state.seconds = before + now - started
        if checkpoint is not None and now - saved >= every:
            state.save(checkpoint)
            saved = time.perf_counter()
        if state.step != steps and (now - reported >= report or state.step in at):
            yield progress(now)
            total, count, reported = torch.zeros_like(total), 0, time.perf_counter()
    if checkpoint is not None and state.step != loaded:
        state.save(checkpoint)
    yield progress(time.perf_counter())


def fit(
    net: nn.Module,
    batches: Iterable[Tensor],
    levels: Levels,
    *,
    lr: float = 1e-3,
    noise: Noise | None = None,
    ema: Averaged | float | None = None,
    seed: int = 0,
) -> nn.Module:
    """Trains ``net`` in place on ``batches`` of clean data until they end; returns it, or its
    averaged copy with ``ema`` (a decay).

    Batches are (b, *shape), or (m, b, *shape) for a fleet. Levels, and noise where no source is
    given, come from ``seed``, the step and the member. A training that stopped at a loss that is
    not finite is a ValueError saying where; :func:`training` goes on without it.
    """
    averaged = ema if isinstance(ema, Averaged) or ema is None else Averaged(net, ema)
    draws = (
        _draw(x0, isinstance(net, Fleet), levels, noise, (seed, step))
        for step, x0 in enumerate(batches)
    )
    *_, last = training(net, draws, lr=lr, ema=averaged)
    if last.stopped:
        raise ValueError(
            "; ".join(f"member {i} {reason}" for i, reason in last.stopped.items()) + "; lower lr"
        )
    return averaged.net if averaged is not None else net


def _draw(
    x0: Tensor, fleet: bool, levels: Levels, noise: Noise | None, place: tuple[int, int]
) -> Draw:
    if fleet:
        sigma, drawn = (
            torch.stack(part)
            for part in zip(*(_level_and_noise(x, levels, (*place, i)) for i, x in enumerate(x0)))
        )
    else:
        sigma, drawn = _level_and_noise(x0, levels, place)
    return x0, sigma, noise(x0) if noise else drawn


def _level_and_noise(x0: Tensor, levels: Levels, place: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    draw = generator(*place)
    return levels(len(x0), draw).to(x0.dtype), torch.randn(x0.shape, generator=draw, dtype=x0.dtype)
