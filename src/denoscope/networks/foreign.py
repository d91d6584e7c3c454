"""Other people's networks and denoisers as denoisers of this library."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from denoscope.display import shortened, sized
from denoscope.levels import karras, uniform
from denoscope.networks.precondition import PREDICTIONS, posterior, unknown
from denoscope.schedule import Schedule
from denoscope.types import pad


class ScheduleLike(Protocol):
    """What :func:`from_network` asks of a schedule: x_t = alpha x0 + std n, and t of sigma."""

    def alpha(self, t: Tensor) -> Tensor: ...
    def std(self, t: Tensor) -> Tensor: ...
    def time(self, sigma: Tensor) -> Tensor: ...


class Foreign(nn.Module):
    """A denoiser that calls what is not ours with one batch axis and a level (b,) each.

    ``shape`` is that of one state, None where it was not said. ``levels(n)`` and ``start(noise)``
    are where sampling goes, ``sampled`` is the denoiser within its ``clamp``.
    """

    def __init__(self, shape: Sequence[int] | None, clamp: float | None):
        super().__init__()
        self.net: Any = None
        self.shape = None if shape is None else tuple(shape)
        self.clamp = clamp

    def __repr__(self) -> str:
        of = f" of {sized(self.shape)}" if self.shape else ""
        name = getattr(self.net, "__name__", type(self.net).__name__)
        return shortened(f"{type(self).__name__}({name}{of})")

    def clean(self, rows: Tensor, levels: Tensor) -> Tensor:
        """The posterior mean of rows (b, *event) at levels (b,)."""
        raise NotImplementedError

    def levels(self, n: int) -> Tensor:
        """n levels to sample at, falling, then 0: (n + 1,) float64."""
        raise NotImplementedError

    def start(self, noise: Tensor) -> Tensor:
        """The state at ``levels(n)[0]``, of data of unit variance, given unit noise."""
        return torch.sqrt(1 + self.levels(1)[0] ** 2).to(noise) * noise

    def sampled(self, x: Tensor, sigma: Tensor) -> Tensor:
        """The denoiser that is sampled: bounded to +-``clamp``, where that is given."""
        clean = self(x, sigma)
        return clean if self.clamp is None else clean.clamp(-self.clamp, self.clamp)

    def forward(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        sigma = sigma if isinstance(sigma, Tensor) else x.new_tensor(sigma)
        lead = x.shape[: max(sigma.ndim, 1)]
        if self.shape is not None and x.shape[x.ndim - len(self.shape) :] == self.shape:
            lead = x.shape[: x.ndim - len(self.shape)]
        rows = x.reshape(-1, *x.shape[len(lead) :])
        levels = sigma.reshape(sigma.shape + (1,) * (len(lead) - sigma.ndim)).expand(lead)
        return self.clean(rows, levels.reshape(-1)).reshape(x.shape)


class FromNetwork(Foreign):
    """See :func:`from_network`."""

    def __init__(
        self,
        net: Callable[..., Any],
        prediction: str,
        schedule: ScheduleLike,
        shape: Sequence[int] | None,
        whole: bool,
        clamp: float | None,
    ):
        super().__init__(shape, clamp)
        if prediction not in PREDICTIONS:
            raise ValueError(unknown("prediction", prediction, PREDICTIONS))
        self.net, self.prediction, self.schedule, self.whole = net, prediction, schedule, whole

    def levels(self, n: int) -> Tensor:
        """n levels at equally spaced times of the schedule, then 0: (n + 1,) float64."""
        if not isinstance(self.schedule, Schedule):
            raise ValueError(
                "levels are those of a schedule of denoscope.schedule (VP, VE, Flow, from_betas); "
                "of another one, say them to sample"
            )
        return uniform(n, self.schedule)

    def clean(self, rows: Tensor, levels: Tensor) -> Tensor:
        t = self.schedule.time(levels)
        alpha, std = self.schedule.alpha(t).to(rows.dtype), self.schedule.std(t).to(rows.dtype)
        noisy = pad(alpha, rows) * rows
        a, b = (pad(c, rows) for c in posterior(self.prediction, alpha, std))
        return a * noisy + b * _predicted(self._answer(noisy, t), rows)

    def _answer(self, noisy: Tensor, t: Tensor) -> Any:
        if self.whole:
            return self.net(noisy, t.round().long())
        try:
            return self.net(noisy, t)
        except Exception:
            if not self._takes_whole_times(noisy, t):
                raise
            raise ValueError(
                "the network takes whole times alone (an nn.Embedding, say): give whole=True, "
                "which rounds to the nearest time of training"
            ) from None

    def _takes_whole_times(self, noisy: Tensor, t: Tensor) -> bool:
        try:
            self.net(noisy, t.round().long())
        except Exception:  # whatever made it fail with fractional ones
            return False
        return True


def _predicted(answer: Any, rows: Tensor) -> Tensor:
    """The prediction in a network's answer: a tensor, the ``sample`` of diffusers' outputs, the
    first of a tuple; of twice as many channels (a learned variance) the first half.
    """
    found = getattr(answer, "sample", answer)
    found = found[0] if isinstance(found, tuple | list) else found
    if not isinstance(found, Tensor):
        raise ValueError(
            f"the network answers with a {type(answer).__name__}: give a function of it that "
            "returns the prediction, lambda x, t: net(x, t).FIELD"
        )
    if rows.ndim > 1 and found.shape == (len(rows), 2 * rows.shape[1], *rows.shape[2:]):
        found = found[:, : rows.shape[1]]
    if found.shape != rows.shape:
        raise ValueError(
            f"the network answers with shape {tuple(found.shape)} to states of "
            f"{tuple(rows.shape)}: give a function of it that returns the prediction alone"
        )
    return found.to(rows.dtype)


class FromDenoiser(Foreign):
    """See :func:`from_denoiser`."""

    def __init__(
        self,
        D: Callable[[Tensor, Tensor], Tensor],
        shape: Sequence[int] | None,
        low: float,
        high: float,
        clamp: float | None,
    ):
        super().__init__(shape, clamp)
        self.net, self.low, self.high = D, low, high

    def levels(self, n: int) -> Tensor:
        """:func:`~denoscope.karras` levels of the range, then 0."""
        return karras(n, self.low, self.high)

    def clean(self, rows: Tensor, levels: Tensor) -> Tensor:
        return _predicted(self.net(rows, levels), rows)


def from_network(
    net: Callable[..., Any],
    prediction: str,
    schedule: ScheduleLike,
    *,
    shape: Sequence[int] | None = None,
    whole: bool = False,
    clamp: float | None = None,
) -> FromNetwork:
    """The denoiser of a foreign network ``net(x_t, t)`` that predicts "eps", "x0", "v" or "flow" on
    ``schedule``.

    The network is called with one batch axis, x_t (b, *event) and t (b,), t = schedule.time(sigma),
    rounded to whole numbers where it is ``whole``; the table is :func:`posterior`. It may answer as
    diffusers' networks do, or with further channels of a learned variance, which are dropped. With
    the ``shape`` of one image, sigma of shape () goes with any batch. ``.levels(n)``,
    ``.start(noise)`` and ``.sampled`` (within +-``clamp``; eps networks need one where noise is
    high) are what sampling takes.
    """
    return FromNetwork(net, prediction, schedule, shape, whole, clamp)


def from_denoiser(
    D: Callable[[Tensor, Tensor], Tensor],
    *,
    shape: Sequence[int] | None = None,
    low: float = 0.002,
    high: float = 80.0,
    clamp: float | None = None,
) -> FromDenoiser:
    """The denoiser of a foreign one that wants sigma of shape (b,), one level per state, as
    k-diffusion's do; trained at levels from ``low`` to ``high``.
    """
    return FromDenoiser(D, shape, low, high, clamp)
