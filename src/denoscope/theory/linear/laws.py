"""What a linear diffusion model samples: exact Gaussian laws of DDPM and DDIM, and the c in
"covariance Sigma_0 + c" of every sampler.

Every sampler is linear, so samples from N(0, I) are Gaussian, and the modes of the training
covariance (eigenvalue lam) evolve alone. With ``v*_t = abar_t lam + 1 - abar_t``, ``u = v*_t +
ridge_t`` and the weight per noise ``q_t = 1/u``, or ``(1 - e^{-k u})/u`` after the training time k
= 2 eta tau, a step from abar_t to abar_s multiplies the mode's deviation from ``sqrt(abar_t) mu``
by a gain and adds independent noise:

    DDPM   gain (1 - beta_t q_t) / sqrt(1 - beta_t)
    DDIM   gain sqrt(abar_s/abar_t) (1 - (1-abar_t) q_t) + sqrt((1-abar_s-sigma^2)(1-abar_t)) q_t

The samples' covariance is ``Sigma_0 + c`` with a c that depends on schedule, sampler and
regularisation (:func:`realised_c`): 0 on unseen directions for an optimum sampled without noise in
the last step, beta_1 with it; ridge everywhere for ``ridge_t = abar_t ridge``; for a constant ridge
to first order ``ridge (1 + lam)`` (SDE, DDPM) or ``ridge (1 + lam (ln(1/(abar_T lam)) - 1))`` (ODE,
DDIM: the missing noise of each level adds up); and on unseen directions ``0.7476/k`` (SDE) or
``0.5615/k`` (ODE, e^{-gamma_E}) when training stopped at k. Laws are variances of x_0 along the
modes, in lam's shape; ``ridge`` is gamma_t itself, of the penalty gamma_t |W|_F^2. Merger and Goldt
2025; Ho et al. 2020.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from denoscope.theory.inputs import numeric, within
from denoscope.theory.linear.continuous import ode_law as ode_law
from denoscope.theory.linear.continuous import ode_mean as ode_mean
from denoscope.theory.linear.continuous import sde_law as sde_law
from denoscope.theory.linear.continuous import sde_mean as sde_mean
from denoscope.theory.linear.modewise import decayed, eigenvalues, relaxed, training_time

SAMPLERS = ("ddpm", "ddim", "ode", "sde")


def slide_betas(steps: int = 1000) -> np.ndarray:
    """``beta_t = ((1e-2 - 1e-4)/T) t + 1e-4``, t = 1 ... T, least first. Merger and Goldt 2025."""
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    return (1e-2 - 1e-4) / steps * np.arange(1, steps + 1) + 1e-4


@numeric
def abars(betas: ArrayLike) -> Any:
    """``abar_t = prod_{s <= t} (1 - beta_s)``, in the order of the betas."""
    return np.exp(_log_abars(betas)[1:])


@numeric
def ddpm_law(
    lam: ArrayLike,
    betas: ArrayLike,
    *,
    ridge: ArrayLike = 0.0,
    k: ArrayLike | None = None,
    last_noise: bool = False,
    posterior_variance: bool = False,
) -> Any:
    """Variances of ancestral samples, starting at N(0, I); betas[0] = beta_1 is the least noise.

    ``sigma_t^2`` is beta_t, with ``posterior_variance`` beta_t (1-abar_{t-1})/(1-abar_t), and 0 at
    t = 1 without ``last_noise``. ``ridge`` and ``k`` are one number or one per beta; k with two
    axes or more are several models, which broadcast against lam. Ho et al. 2020, algorithm 2.
    """
    return _ddpm(lam, betas, ridge, k, _ancestral_noises(betas, last_noise, posterior_variance))[0]


@numeric
def ddpm_mean(
    lam: ArrayLike, betas: ArrayLike, *, ridge: ArrayLike = 0.0, k: ArrayLike | None = None
) -> Any:
    """The mean of ancestral samples along each mode as a share of the training mean's; ``1 - abar_T
    lam / v*_T`` at the optimum.
    """
    return _ddpm(lam, betas, ridge, k, _ancestral_noises(betas, False, False))[1]


@numeric
def ddpm_moments(
    lam: ArrayLike,
    betas: ArrayLike,
    *,
    ridge: ArrayLike = 0.0,
    k: ArrayLike | None = None,
    last_noise: bool = False,
    posterior_variance: bool = False,
) -> tuple[Any, Any]:
    """:func:`ddpm_law` and :func:`ddpm_mean` by one recursion."""
    return _ddpm(lam, betas, ridge, k, _ancestral_noises(betas, last_noise, posterior_variance))


def _ddpm(
    lam: ArrayLike, betas: ArrayLike, ridge: ArrayLike, k: ArrayLike | None, noises: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    lam = eigenvalues("lam", lam)
    variance, product = np.ones_like(lam), np.ones_like(lam)
    for gain, noise in zip(_ddpm_gains(lam, betas, ridge, k), noises[::-1]):
        variance, product = gain**2 * variance + noise, product * gain
    return variance, 1 - np.exp(0.5 * _log_abars(betas)[-1]) * product


@numeric
def ddim_law(
    lam: ArrayLike,
    abars: ArrayLike,
    *,
    eta: float = 0.0,
    ridge: ArrayLike = 0.0,
    k: ArrayLike | None = None,
) -> Any:
    """Variances of DDIM samples on the grid ``abars``, rising from abar_T to 1 or to a last level
    below 1, whose x_t they then describe.

    ``ridge`` and ``k`` are one number or one per abar; the last level's is not used. An eta that
    asks for more noise than a level has is a ValueError. At the optimum and eta = 0 it is
    ``v*_S/v*_0`` times the squared cosines of the steps between the angles ``atan2(sqrt(1-abar),
    sqrt(abar lam))``. Song et al. 2021 (DDIM), eqs. 12 and 16.
    """
    lam = eigenvalues("lam", lam)
    return _variance(lam, _ddim_steps(lam, _grid(abars), eta, ridge, k))


@numeric
def ddim_mean(
    lam: ArrayLike,
    abars: ArrayLike,
    *,
    eta: float = 0.0,
    ridge: ArrayLike = 0.0,
    k: ArrayLike | None = None,
) -> Any:
    """Means of DDIM samples by mode as a share of ``sqrt(abars[-1])`` times the training mean's."""
    lam, grid = eigenvalues("lam", lam), _grid(abars)
    gains = (gain for gain, _ in _ddim_steps(lam, grid, eta, ridge, k))
    return 1 - np.sqrt(grid[0] / grid[-1]) * _product(lam, gains)


@numeric
def realised_c(
    lam: ArrayLike,
    betas: ArrayLike,
    *,
    sampler: Literal["ddpm", "ddim", "ode", "sde"] = "ddpm",
    ridge: float = 0.0,
    scaled: bool = False,
    **options: Any,
) -> Any:
    """The c of each mode that a sampler really has: the variance of its samples less lam.

    DDIM visits every level of the betas and ends at 1; ODE and SDE start at its last abar. The
    ridge is ``ridge`` at every level, or ``ridge * abar`` when ``scaled``. ``options`` are those of
    the sampler's law: k, last_noise, posterior_variance, eta.
    """
    if sampler not in SAMPLERS:
        raise ValueError(f"sampler must be one of {', '.join(SAMPLERS)}, got {sampler!r}")
    values = np.exp(_log_abars(betas))
    if sampler in ("ode", "sde"):
        law = ode_law if sampler == "ode" else sde_law
        return law(lam, float(values[-1]), ridge=ridge, scaled=scaled, **options) - eigenvalues(
            "lam", lam
        )
    levels = ridge * values if scaled else np.full_like(values, ridge)
    if sampler == "ddim":
        return ddim_law(lam, values[::-1], ridge=levels[::-1], **options) - eigenvalues("lam", lam)
    return ddpm_law(lam, betas, ridge=levels[1:], **options) - eigenvalues("lam", lam)


def _variance(lam: np.ndarray, steps: Iterable[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """The variance after all steps, each a gain and the variance of its noise, from 1."""
    variance = np.ones_like(lam)
    for gain, noise in steps:
        variance = gain**2 * variance + noise
    return variance


def _product(lam: np.ndarray, gains: Iterable[np.ndarray]) -> np.ndarray:
    result = np.ones_like(lam)
    for gain in gains:
        result = result * gain
    return result


def _log_abars(betas: Any) -> np.ndarray:
    """ln abar_t, t = 0 ... T."""
    betas = within("betas", betas, 0, 1)
    if betas.ndim != 1 or not len(betas):
        raise ValueError(f"betas must be a list of numbers, got shape {betas.shape}")
    return np.concatenate([[0.0], np.cumsum(np.log1p(-betas))])


def _ancestral_noises(betas: Any, last_noise: bool, posterior_variance: bool) -> np.ndarray:
    """sigma_t^2, t = 1 ... T."""
    logs = _log_abars(betas)
    noises = np.array(betas, np.float64)
    if posterior_variance:
        noises *= np.expm1(logs[:-1]) / np.expm1(logs[1:])
    if not last_noise:
        noises[0] = 0.0
    return noises


def _ddpm_gains(lam: np.ndarray, betas: Any, ridge: Any, k: Any) -> Iterator[np.ndarray]:
    """``(1 - beta_t q_t) / sqrt(alpha_t)``, t = T ... 1, in the form ``(alpha_t v*_{t-1} + ridge_t
    + beta_t e^{-ku}) / (u sqrt(alpha_t))``.

    Nothing cancels in it: an unseen direction gets exactly 0 in the last step of an optimum.
    """
    logs, betas = _log_abars(betas), np.asarray(betas, np.float64)
    ridge = _each("ridge", within("ridge", ridge, 0, np.inf, closed=True), len(betas))
    k = training_time(k)
    k = [k] * len(betas) if k.ndim > 1 else _each("k", k, len(betas))
    noisy = np.exp(logs[-1]) * lam - np.expm1(logs[-1])
    for t in reversed(range(len(betas))):
        total, noisy = noisy + ridge[t], np.exp(logs[t]) * lam - np.expm1(logs[t])
        left = decayed(total, k[t]) if (k[t] < np.inf).any() else 0.0  # total > 0: there is noise
        kept = (1 - betas[t]) * noisy + ridge[t] + betas[t] * left
        yield kept / (total * np.sqrt(1 - betas[t]))


def _ddim_steps(
    lam: np.ndarray, grid: np.ndarray, eta: float, ridge: Any, k: Any
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Gain and noise of every step."""
    ridge, k = (
        _each("ridge", within("ridge", ridge, 0, np.inf, closed=True), len(grid)),
        _each("k", training_time(k), len(grid)),
    )
    for now, after, penalty, time, noise in zip(
        grid[:-1], grid[1:], ridge, k, _ddim_noises(grid, eta)
    ):
        total = now * lam + (1 - now) + penalty
        clean = (now * lam + penalty + (1 - now) * decayed(total, time)) / total
        yield (
            np.sqrt(after / now) * clean
            + np.sqrt((1 - after - noise) * (1 - now)) * relaxed(total, time),
            noise,
        )


def _ddim_noises(grid: np.ndarray, eta: float) -> np.ndarray:
    now, after = grid[:-1], grid[1:]
    noises = (
        within("eta", eta, 0, np.inf, closed=True) ** 2
        * (1 - after)
        * ((1 - now / after) / (1 - now))
    )
    if (noises > 1 - after).any():
        raise ValueError(
            f"eta must not ask for more noise than a level has; {eta:g} does on this "
            "grid, 1 never does"
        )
    return noises


def _grid(abars: Any) -> np.ndarray:
    grid = within("abars", abars, 0, 1, closed=True)
    if grid.ndim != 1 or len(grid) < 2 or not (grid[0] > 0 and (np.diff(grid) > 0).all()):
        raise ValueError(
            "abars must rise from abar_T above 0 to at most 1, two levels or more; with "
            "betas: [*abars(betas)[::-1], 1]"
        )
    return grid


def _each(name: str, value: np.ndarray, count: int) -> np.ndarray:
    if value.ndim > 1 or (value.ndim == 1 and len(value) != count):
        raise ValueError(
            f"{name} must be one number or one per level, {count}, got shape {value.shape}"
        )
    return np.broadcast_to(value, (count,))
