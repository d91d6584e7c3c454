"""Sampling: from the state at the first of some levels to the state at the last, one
:data:`~denoscope.types.Step` per level.

All steps discretise the probability-flow equation ``dx/dsigma = (x - D(x, sigma)) / sigma`` or its
stochastic counterpart. States are the library's coordinates x = x0 + sigma n, so the first state is
``sigmas[0]`` times unit noise, scaled by the caller. Every step is exact in the linear part: ``x -
D`` shrinks by ``next / sigma`` when D stands still.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from denoscope.types import Denoiser, Noise, Step, pad


def _toward(x: Tensor, clean: Tensor, sigma: Tensor, following: Tensor) -> Tensor:
    """The state at ``following`` if the posterior mean stayed ``clean``: ``clean + (following /
    sigma)(x - clean)``.
    """
    return clean + pad(following / sigma, x) * (x - clean)


def _ends(following: Tensor) -> bool:
    return bool((following == 0).all())


def euler(
    D: Denoiser, x: Tensor, sigma: Tensor, next_sigma: Tensor, noise: Noise | None = None
) -> Tensor:
    """DDIM: one Euler step of the flow in sigma, order 1. Song, Meng and Ermon 2021, eq. 13."""
    return _toward(x, D(x, sigma), sigma, next_sigma)


def heun(
    D: Denoiser, x: Tensor, sigma: Tensor, next_sigma: Tensor, noise: Noise | None = None
) -> Tensor:
    """EDM's deterministic step: Heun's rule, order 2, two calls of D; Euler where the next level is
    0. Karras et al. 2022, alg. 1.
    """
    clean = D(x, sigma)
    ahead = _toward(x, clean, sigma, next_sigma)
    if _ends(next_sigma):
        return ahead
    slope = (x - clean) / pad(sigma, x)
    slope_ahead = (ahead - D(ahead, next_sigma)) / pad(next_sigma, x)
    return x + pad(next_sigma - sigma, x) * 0.5 * (slope + slope_ahead)


def ancestral(
    D: Denoiser, x: Tensor, sigma: Tensor, next_sigma: Tensor, noise: Noise | None = None
) -> Tensor:
    """DDPM: a draw of the state at ``next_sigma`` from its law given x and x0 = D(x, sigma),
    variance beta-tilde; order 1.

    Runs downwards only and needs ``noise`` (not drawn for a step to 0); else a ValueError. Ho et
    al. 2020, eq. 6-7, with ``ratio = (next_sigma / sigma)^2``: mean ``x0 + ratio (x - x0)``,
    variance ``next_sigma^2 (1 - ratio)``.
    """
    if noise is None:
        raise ValueError(
            "ancestral is a stochastic step: give noise, for example Seeds(range(n)).noise()"
        )
    if bool((next_sigma > sigma).any()):
        raise ValueError(
            "ancestral runs from high to low sigma only; to run up the levels take euler or heun"
        )
    clean = D(x, sigma)
    ratio = (next_sigma / sigma) ** 2
    mean = clean + pad(ratio, x) * (x - clean)
    return (
        mean if _ends(next_sigma) else mean + pad(next_sigma * torch.sqrt(1 - ratio), x) * noise(x)
    )


def consistency(
    D: Denoiser, x: Tensor, sigma: Tensor, next_sigma: Tensor, noise: Noise | None = None
) -> Tensor:
    """Fresh noise of ``next_sigma`` on the clean estimate D(x, sigma): how a consistency model goes
    several steps. Song et al. 2023, alg. 1.

    Needs ``noise`` (not drawn for a step to 0, which is Euler's); else a ValueError. Two models see
    the same noise only if all these are the same too, not the first alone.
    """
    if noise is None and not _ends(next_sigma):
        raise ValueError(
            "consistency puts fresh noise on every step but the last: give it, for example "
            "Seeds(range(n)).noise()"
        )
    clean = D(x, sigma)
    return clean if noise is None or _ends(next_sigma) else clean + pad(next_sigma, x) * noise(x)


def dpmpp() -> Step:
    """A fresh DPM-Solver++(2M) step, order 2 with one call of D: multistep, so it remembers the
    last D and belongs to one trajectory.

    The first step and a step to 0 are Euler's; a step that does not continue the last one starts
    afresh. Lu et al. 2022, alg. 2.
    """
    last: tuple[Tensor, Tensor, Tensor] | None = (
        None  # the level, the next level and D of the step before
    )

    def step(
        D: Denoiser, x: Tensor, sigma: Tensor, next_sigma: Tensor, noise: Noise | None = None
    ) -> Tensor:
        nonlocal last
        clean = D(x, sigma)
        before, last = last, (sigma, next_sigma, clean)
        if (
            before is None
            or _ends(next_sigma)
            or before[2].shape != clean.shape
            or not torch.equal(before[1], sigma)
        ):
            return _toward(x, clean, sigma, next_sigma)
        ratio = torch.log(next_sigma / sigma) / torch.log(
            sigma / before[0]
        )  # this step over the last one, in log sigma
        return _toward(x, clean + pad(0.5 * ratio, x) * (clean - before[2]), sigma, next_sigma)

    return step


def _levels(sigmas: Tensor | Sequence[float], x: Tensor) -> Tensor:
    """The levels as a tensor of x's type; fewer than two, or not falling to at least 0, is a
    ValueError.
    """
    if not x.is_floating_point():
        raise ValueError(f"the state must be floating point, got {x.dtype}")
    levels = torch.as_tensor(sigmas).to(x)
    if levels.ndim != 1 or len(levels) < 2:
        raise ValueError(
            f"sigmas must be a list of at least two levels, got shape {tuple(levels.shape)}"
        )
    if (
        not bool(torch.isfinite(levels).all())
        or not bool((levels[1:] < levels[:-1]).all())
        or bool(levels[-1] < 0)
    ):
        raise ValueError("sigmas must be finite, strictly falling and end at 0 or above")
    return levels


def _states(
    D: Denoiser, x: Tensor, levels: Tensor, step: Step, noise: Noise | None, grad: bool
) -> Iterator[Tensor]:
    yield x
    for sigma, following in zip(levels[:-1].unbind(), levels[1:].unbind()):
        with torch.set_grad_enabled(
            grad and torch.is_grad_enabled()
        ):  # never around a yield: the caller's mode is not ours
            x = _stepped(step, D, x, sigma, following, noise)
        yield x


def _stepped(
    step: Step, D: Denoiser, x: Tensor, sigma: Tensor, following: Tensor, noise: Noise | None
) -> Tensor:
    try:
        return step(D, x, sigma, following, noise)
    except IndexError as error:
        raise ValueError(
            f"the denoiser fails for sigma of shape (), one level for all ({error}); if it wants "
            "one for each state, (b,), give denoscope.from_denoiser(D)"
        ) from error


def trajectory(
    D: Denoiser,
    x: Tensor,
    sigmas: Tensor | Sequence[float],
    step: Step = heun,
    noise: Noise | None = None,
    *,
    grad: bool = False,
) -> Iterator[Tensor]:
    """The states at each of ``sigmas``, from ``x`` itself at ``sigmas[0]`` on: as many states as
    levels.

    ``x`` (*batch, *event) sets the type of the computation; D is called with sigma of shape () in
    that type. Levels fall strictly and may end at 0. Nothing is differentiated unless ``grad``.
    Levels that do not fall are a ValueError.
    """
    return _states(D, x, _levels(sigmas, x), step, noise, grad)


def _last(states: Iterator[Tensor]) -> Tensor:
    state = next(states)
    for state in states:  # noqa: B007, only the last one is wanted
        pass
    return state


def sample(
    D: Denoiser,
    x: Tensor,
    sigmas: Tensor | Sequence[float],
    step: Step = heun,
    noise: Noise | None = None,
    *,
    grad: bool = False,
) -> Tensor:
    """The last state of :func:`trajectory`: ``sample(D, 80 * Seeds(range(n)).randn(shape),
    karras(18))`` is n samples.
    """
    return _last(trajectory(D, x, sigmas, step, noise, grad=grad))


def invert(
    D: Denoiser,
    x0: Tensor,
    sigmas: Tensor | Sequence[float],
    step: Step = euler,
    *,
    at: str = "lower",
    refine: int = 0,
    grad: bool = False,
) -> Tensor:
    """DDIM inversion: the state at ``sigmas[0]`` whose sample along ``sigmas`` is ``x0``, level by
    level up.

    ``sigmas`` fall as for :func:`sample`, and ``x0`` lives at the last of them. A step up takes the
    slope ``at`` the "lower" level, where the state is known, or at the "upper" one, of the same
    state as variance-preserving coordinates have it there; both are published (Chen et al. 2024,
    LOCO Edit; Li et al. 2024, Shallow Diffuse). From level 0, where the slope is 0/0, it is taken
    at the upper one. Then ``refine`` times what the step down misses is added: ``y <- y + (x -
    step(y))``, whose fixed point is sampled back exactly. Where J has eigenvalues j in [0, 1] the
    error shrinks by (1 - low/high)(1 - j) a time (Pan et al. 2023; Garibi et al. 2024). Another
    ``at`` or a negative ``refine`` is a ValueError.
    """
    if at not in ("lower", "upper") or refine < 0:
        raise ValueError(
            f'at must be "lower" or "upper" and refine at least 0, got {at!r} and {refine}'
        )
    levels, x = _levels(sigmas, x0).flip(0), x0
    for low, high in zip(levels[:-1].unbind(), levels[1:].unbind()):
        with torch.set_grad_enabled(grad and torch.is_grad_enabled()):
            x = _up(D, x, low, high, step, at, refine)
    return x


def _up(
    D: Denoiser, x: Tensor, low: Tensor, high: Tensor, step: Step, at: str, refine: int
) -> Tensor:
    """The state at ``high`` that a step down takes to the state ``x`` at ``low``, about."""
    if at == "lower" and low > 0:
        guess = step(D, x, low, high, None)
    else:
        guess = x if at == "lower" else x * torch.sqrt((1 + high**2) / (1 + low**2))
        refine += 1
    for _ in range(refine):
        guess = guess + (x - step(D, guess, high, low, None))
    return guess
