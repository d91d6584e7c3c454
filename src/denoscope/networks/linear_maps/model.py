"""The linear diffusion model as a denoiser, and its closed forms."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from denoscope.nearest import bytes_of
from denoscope.networks.linear_maps.moments import (
    MeanAndModes,
    Numbers,
    coefficients,
    curvatures,
    levelwise,
    pair,
    stable,
)
from denoscope.networks.linear_maps.storage import Dense, SharedBasis, place
from denoscope.schedule import VP
from denoscope.types import pad

_DTYPES = {"float32": torch.float32, "float64": torch.float64}


class LinearMaps(nn.Module):
    """``D(x, sigma) = x - sigma W_t (x_t + b_t)``, one affine map for each level t of a
    variance-preserving ``schedule`` (or its betas).

    As built, every map is zero and D(x) = x. With ``rank`` None
    (:class:`~denoscope.networks.linear_maps.storage.Dense`) each level has a matrix of its own, T
    d^2 numbers, which train; with a rank all share one basis of that many modes
    (:class:`~denoscope.networks.linear_maps.storage.SharedBasis`): closed forms only, T and d in
    the thousands. ``maps`` holds either; ``levels`` are the schedule's sigmas, least noise first,
    (T,) float64. Events of any ``shape`` are flattened to d numbers. A dense model of more than
    ``max_memory`` is a ValueError.

    Levels between those of the schedule are interpolated in log sigma, as the storage says. For the
    stochastic loss all levels train at once: give :func:`~denoscope.fitting.training` draws with x0
    and noise of shape (T, b, *shape) and ``sigma = levels`` (T,).
    """

    def __init__(
        self,
        shape: Iterable[int],
        schedule: VP | Sequence[float],
        *,
        rank: int | None = None,
        dtype: str = "float64",
        max_memory: str | int = "1GiB",
    ):
        super().__init__()
        self.shape = tuple(shape)
        if not isinstance(schedule, VP):
            schedule = VP(torch.as_tensor(schedule, dtype=torch.float64))
        self.schedule = schedule
        self.size, self._bound = math.prod(self.shape), bytes_of(max_memory)
        if not self.shape or min(self.shape) < 1:
            raise ValueError(
                f"shape must name at least one axis, each of at least 1, got {self.shape}"
            )
        if dtype not in _DTYPES:
            raise ValueError(f"dtype must be one of {', '.join(_DTYPES)}, got {dtype!r}")
        if rank is not None and not 0 <= rank <= self.size:
            raise ValueError(
                f"rank must lie between 0 and the {self.size} numbers of an event, got {rank}"
            )
        count = len(self.schedule)
        self.levels = self.schedule.sigma(torch.arange(count))
        if rank is None:
            self._check_memory(count * self.size * (self.size + 1) * _DTYPES[dtype].itemsize)
        size, kind = (count, self.size), _DTYPES[dtype]
        self.maps = Dense(*size, kind) if rank is None else SharedBasis(*size, rank, kind)

    def _check_memory(self, needed: int) -> None:
        if needed > self._bound:
            raise ValueError(
                f"dense maps at {len(self.schedule)} levels of {self.size} numbers take "
                f"{needed / 2**30:.2f} GiB, more than max_memory "
                f"({self._bound / 2**30:.2f} GiB): take a shared basis (dense=False, or a "
                "rank), fewer levels, or a larger max_memory"
            )

    @property
    def config(self) -> dict[str, object]:
        rank = self.maps.basis.shape[-1] if isinstance(self.maps, SharedBasis) else None
        dtype = str(next(self.parameters()).dtype).removeprefix("torch.")
        betas = self.schedule.betas.tolist()
        own = {"rank": rank, "dtype": dtype, "max_memory": self._bound}
        return {"class": "LinearMaps", "shape": list(self.shape), "schedule": betas, **own}

    def weight(self, sigma: Tensor) -> Tensor:
        """1/sigma^2: the loss weight that makes the denoising loss that of predicting the noise."""
        return sigma**-2

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        batch = x.ndim - len(self.shape)
        if batch < 0 or tuple(x.shape[batch:]) != self.shape:
            raise ValueError(
                f"x of shape {tuple(x.shape)} does not end in the event shape {self.shape}"
            )
        sigma = sigma.to(x.device)
        if sigma.ndim > batch:
            raise ValueError(
                f"sigma of shape {tuple(sigma.shape)} has more axes than the batch "
                f"{tuple(x.shape[:batch])} of x"
            )
        pad(sigma, x)
        wide = torch.promote_types(x.dtype, next(self.parameters()).dtype)
        rows = x.reshape(*sigma.shape, math.prod(x.shape[sigma.ndim : batch]), self.size).to(wide)
        noise = self.maps.noise(rows, place(self.schedule, self.levels, sigma, wide))
        return (rows - noise).reshape(x.shape).to(x.dtype)

    def affine(self, t: int) -> tuple[Tensor, Tensor]:
        """W_t (d, d) and b_t (d,) of the whole time t = 0 ... T-1, detached."""
        if not 0 <= t < len(self.schedule):
            raise ValueError(f"t must be a whole time, 0 ... {len(self.schedule) - 1}, got {t}")
        with torch.no_grad():
            weight, bias = self.maps.affine(t, self.schedule.alpha(t))
        return weight.detach(), bias.detach()

    @torch.no_grad()
    def losses(self, mean: Any, cov: Any) -> Tensor:
        """The exact ``E|eps - eps_theta|^2`` of every level, summed over the d numbers, (T,)
        float64, for data of this mean and covariance.

        Only the first two moments of the data matter: those of the training set give the training
        loss, the true ones the test loss, without the penalty. Numpy or torch; ``mean`` of the
        event shape, ``cov`` (d, d). Merger and Goldt 2025.
        """
        middle, matrix = pair("mean", mean, "cov", cov)
        if middle.size != self.size:
            raise ValueError(f"mean must have the model's {self.size} numbers, got {middle.size}")
        data = (torch.from_numpy(middle.flatten()), torch.from_numpy(matrix))
        numbers = (*data, *coefficients(self.schedule))
        return self.maps.losses(*(number.to(next(self.parameters()).device) for number in numbers))

    @classmethod
    def closed_form(
        cls,
        mean0: Any,
        cov0: Any,
        schedule: VP | Sequence[float],
        *,
        ridge: Numbers = 0.0,
        scaled: bool = False,
        k: Numbers | None = None,
        dense: bool = False,
        max_memory: str | int = "1GiB",
    ) -> LinearMaps:
        """The maps trained to the optimum, or for the gradient-flow time ``k = 2 eta tau`` from
        zero, on data of these moments (cov0 with 1/N).

        ``W_t = sqrt(1-y) C_t^-1 (I - exp(-k C_t))``, ``C_t = y cov0 + (1 - y + gamma_t) I``, y =
        abar_t. ``ridge`` is gamma_t, one number or one per level; with ``scaled`` it is gamma_t /
        abar_t, which makes the optimum that of ``cov0 + ridge I`` without a ridge. ``k``: one
        number or one per level. ``mean0`` of the event shape, ``cov0`` (d, d), numpy or torch.
        float64. Merger and Goldt 2025.
        """
        trained = partial(_flowed, k=k)
        moments = MeanAndModes.of(mean0, cov0)
        return _filtered(moments, schedule, ridge, scaled, trained, dense, max_memory)

    @classmethod
    def from_data(
        cls,
        x: Tensor | np.ndarray,
        schedule: VP | Sequence[float],
        *,
        ridge: Numbers = 0.0,
        scaled: bool = False,
        k: Numbers | None = None,
        dense: bool = False,
        max_memory: str | int = "1GiB",
    ) -> LinearMaps:
        """:meth:`closed_form` on the mean and covariance (1/N) of ``x``, shape (N, *event), N >= 2;
        with N <= d only the span's modes are kept.
        """
        moments, trained = MeanAndModes.of_data(x), partial(_flowed, k=k)
        return _filtered(moments, schedule, ridge, scaled, trained, dense, max_memory)

    @classmethod
    def descended(
        cls,
        mean0: Any,
        cov0: Any,
        schedule: VP | Sequence[float],
        rate: Numbers,
        steps: int,
        *,
        ridge: Numbers = 0.0,
        scaled: bool = False,
        dense: bool = False,
        max_memory: str | int = "1GiB",
    ) -> LinearMaps:
        """Where ``steps`` of :func:`~denoscope.networks.linear_maps.descend` lead from zero, by
        ``sqrt(1-y) C_t^-1 (I - (I - 2 rate C_t)^steps)``.
        """
        if steps < 0:
            raise ValueError(f"steps must be at least 0, got {steps}")
        trained = partial(_stepped, rate=rate, steps=steps)
        moments = MeanAndModes.of(mean0, cov0)
        return _filtered(moments, schedule, ridge, scaled, trained, dense, max_memory)


def _filtered(
    moments: MeanAndModes,
    schedule: VP | Sequence[float],
    ridge: Numbers,
    scaled: bool,
    trained: Callable[[Tensor], Tensor],
    dense: bool,
    max_memory: str | int,
) -> LinearMaps:
    """Maps ``sqrt(1-y) trained(v) / v``, v the modes of C_t; ``trained`` keeps shape (T, r)."""
    result = LinearMaps(moments.shape, schedule, rank=len(moments.variances))
    variances = torch.cat([moments.variances, torch.zeros(1, dtype=torch.float64)])
    v = curvatures(variances, result.schedule, ridge, scaled)
    gains = coefficients(result.schedule)[1][:, None] * trained(v) / v
    values = {"mean": moments.mean, "basis": moments.basis}
    values |= {"gains": gains[:, :-1], "rest": gains[:, -1]}
    result.maps.load_state_dict(values)
    return _spread(result, max_memory) if dense else result


def _spread(shared: LinearMaps, max_memory: str | int) -> LinearMaps:
    """The same maps, a matrix each."""
    result = LinearMaps(shared.shape, shared.schedule, max_memory=max_memory)
    for t in range(len(shared.schedule)):
        for name, value in zip(("weight", "bias"), shared.affine(t)):
            result.maps.get_parameter(name).data[t] = value
    return result


def _flowed(v: Tensor, k: Numbers | None) -> Tensor:
    """The trained share ``1 - exp(-k v)`` after gradient flow from zero; 1 where k is None."""
    if k is None:
        return torch.ones_like(v)
    return -torch.expm1(-levelwise("k", k, len(v), infinite=True)[:, None] * v)


def _stepped(v: Tensor, rate: Numbers, steps: int) -> Tensor:
    """The trained share ``1 - (1 - 2 rate v)^steps`` after descent from zero, exact if small."""
    done = 2 * stable(rate, 1 / v.amax(1))[:, None] * v
    small = -torch.expm1(steps * torch.log1p(-done.clamp(max=0.5)))
    return torch.where(done < 0.5, small, 1 - (1 - done) ** steps)
