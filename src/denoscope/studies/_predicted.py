"""What a mark costs on a Gaussian in closed form, and how far the posterior mean moves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from denoscope.apply.edit import BATCH
from denoscope.distributions import Gaussian
from denoscope.geometry.distances import outputs
from denoscope.geometry.jacobians import jvp
from denoscope.metrics.psnr import beyond
from denoscope.readings import Reading, Readings, estimated
from denoscope.report.claims import Claim, within
from denoscope.report.story import Told
from denoscope.studies._marked import FOUND, LEVELS, Bearer, more_found, own_keys
from denoscope.theory import watermarks as theory

EVERY = 2000
"""Keys with which the posterior mean of a Gaussian is moved."""


def posterior_change(bearer: Bearer, gaussian: Gaussian | None) -> Iterator[Reading]:
    """The squared change of the posterior mean over that of the step, units keys, and what the
    Jacobian says of it: of a Gaussian in closed form.
    """
    x = bearer.x[torch.arange(EVERY if gaussian else len(bearer.x)) % len(bearer.x)]
    keys, sigma = own_keys(bearer.space, len(x)).to(x), bearer.key.sigma
    change = outputs(bearer.D, x + bearer.step * keys, sigma) - outputs(bearer.D, x, sigma)
    yield Reading("kept", {}, (change.double().flatten(1) / bearer.step).square().sum(1).numpy())
    if gaussian is None:
        parts = zip(x.split(BATCH), keys.split(BATCH))
        slopes = [jvp(bearer.D, a, torch.full((len(a),), sigma), k) for a, k in parts]
        linear = torch.cat(slopes).double().flatten(1).square().sum(1).numpy()
    else:
        linear = np.array([Predicted.of(bearer, gaussian).kept()])
    yield Reading("kept_linear", {}, linear)


@dataclass(frozen=True, eq=False)
class Predicted:
    """A mark on a Gaussian in closed form: ``spectrum``, and the carrier's ``shares`` of it."""

    bearer: Bearer
    spectrum: np.ndarray
    shares: np.ndarray

    @classmethod
    def of(cls, bearer: Bearer, gaussian: Gaussian) -> Predicted:
        """What the modes leave over has the variance 0."""
        modes, space = gaussian.modes, bearer.space
        basis = modes.basis.double().T.reshape(-1, *space.shape)
        shares = space.project(basis).flatten(1).square().sum(1).numpy()
        rest = max(0.0, space.dimension - shares.sum())
        return cls(bearer, np.append(modes.variances.double(), 0.0), np.append(shares, rest))

    def kept(self) -> float:
        """``|J P|_F^2 / m``."""
        gain = theory.posterior_gain(self.spectrum, self.bearer.key.sigma)
        return float(theory.mean_square(gain, self.shares))

    def readings(self) -> Iterator[Reading]:
        """PSNR, recovered share and power, and power against PSNR at other strengths."""
        levels, n = self.bearer.levels, self.bearer.x[0].numel()
        gain = theory.ddim_gain(self.spectrum, levels)
        back = theory.inversion_gain(self.spectrum, levels, self.bearer.refine)
        left = float(theory.recovered(gain, back, self.shares))
        squared = float(theory.mean_square(gain, self.shares))
        own = self.bearer.space.project(self.bearer.x).flatten(1).norm(dim=1).numpy()

        def power(step: float) -> np.ndarray:
            m = self.bearer.space.dimension
            return np.stack([theory.power(left * step, own, m, p) for p in LEVELS])

        step = self.bearer.step
        yield Reading("psnr_theory", {}, np.array([theory.psnr(step**2 * squared, n)]))
        yield Reading("recovered_theory", {}, np.array([left]))
        yield Reading("power", {"p": np.array(LEVELS)}, power(step))
        steps = np.geomspace(1 / 8, 8, 28) * step
        line = np.stack([power(each).mean(1) for each in steps], 1)[..., None]
        at = {"p": np.array(LEVELS), "marked_psnr": theory.psnr(steps**2 * squared, n)}
        yield Reading("power_line", at, line)


# What is claimed


def closed_forms(gaussian: Readings, networks: Readings) -> Iterator[Told]:
    """What is measured, against what is exact on the Gaussian."""
    for some, said in ((gaussian, "on the Gaussian"), (networks, "in networks, of the Jacobian")):
        yield Claim(
            f"The posterior mean changes by λ‖JP‖/√m, {said} (root mean square, ratio)",
            some.of("kept").against(some.of("kept_linear"), np.divide, "kept_ratio"),
            within(0.95, 1.05),
        )
    less, half = estimated(beyond), half_found(gaussian.of("power_line"))
    hits = gaussian.of("found_raw")
    yield Claim(
        "PSNR is that of the closed form (before clamp and 8 bits, difference in dB)",
        gaussian.of("psnr").against(gaussian.of("psnr_theory"), less, "decibels"),
        within(-0.5, 0.5),
    )
    yield Claim(
        "The share of a step that inversion brings back is that of the closed form (difference)",
        gaussian.of("recovered").against(gaussian.of("recovered_theory"), name="difference"),
        within(-0.02, 0.02),
    )
    yield Claim(
        "Marks are found as often as the closed form says (before clamp and 8 bits, difference)",
        hits.against(gaussian.of("power"), name="difference"),
        within(-0.1, 0.1),
        beside={"In 8 bits less": more_found(gaussian.of("found"), hits)},
    )
    yield Claim(
        "PSNR where half of the marks are found at p ≤ 10⁻⁶, at 0.3T less at T (closed form, dB)",
        half.of(time=0.3).against(half.of(time=1.0), name="half", apart="time").dropped("time"),
        note="At equal power, not at equal λ: what a shallow level gains.",
        beside={"PSNR": half},
    )


def half_found(lines: Readings) -> Readings:
    """The PSNR at which the power of closed-form lines is a half, where they cross it."""
    found = []
    for model, carrier, time, some in lines.of(p=FOUND).by("model", "carrier", "time"):
        db, power = np.array(sorted((r.at["marked_psnr"], r.value.item()) for r in some)).T
        if power[-1] < 0.5 < power[0]:
            at = {"model": model, "carrier": carrier, "time": time}
            found.append(Reading("half", at, np.array([np.interp(-0.5, -power, db)])))
    return Readings(found, lines.quantities)
