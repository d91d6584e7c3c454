"""How linear a denoiser is around a point: D(x + λv) against its first-order model D(x) + λJv.

The article's figure 5b (Chen et al. 2024, LOCO Edit, figure 2b) shows the ratio of the norms and
the cosine of the two against the length of the step, at several noise levels. D(x) is on both
sides of these; so the change alone, D(x + λv) - D(x) against λJv, is measured as well. The points
are noisy unseen images; the steps go both ways along the three leading right singular vectors of J
and along random directions, over which the numbers of a point are averaged.

The article's coordinates are those of a variance-preserving diffusion, x_t = (x0 + σn)/√(1 + σ²)
with ‖x_t‖ about √d. Its step of length λ is one of λ√(1 + σ²) in x0 + σn, which is taken here; the
answers D(x) are the same in both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from denoscope.estimate import exact
from denoscope.geometry.linearization import first_order
from denoscope.geometry.singular import svd
from denoscope.readings import Quantity, Reading, Readings, expanded, stacked
from denoscope.report.claims import Claim, above, below
from denoscope.report.plots import Plot, figure
from denoscope.report.story import Told, table
from denoscope.schedule import VPSDE
from denoscope.store import Row, Value
from denoscope.studies._probed import Probed
from denoscope.studies._subject import Subject
from denoscope.types import Denoiser

TIMES = (0.01, 0.04, 0.1, 0.2, 0.35, 0.5, 0.7)
"""Of the schedule with rates from 0.1 to 20; 0.04, 0.5 and 0.7 as in the published panels."""
SHOWN = (0.04, 0.2, 0.5, 0.7)
HIGH, MIDDLE, LOW = (0.5, 0.7), 0.2, 0.04
"""Times: those of the published claim, one where models differ, and the low noise of the panels."""
LEVELS = dict(zip(TIMES, VPSDE().sigma(torch.tensor(TIMES, dtype=torch.float64)).tolist()))
"""The noise level σ of each time."""
STEPS = (0.02, 0.05, 0.1, 0.2, 0.36, 0.5, 0.72, 1.0)
"""Lengths λ/√d of the steps in the variance-preserving coordinates."""
NEAR, FAR = 0.36, 0.72
"""Where the published range, λ = 40, ends: for images of 3 x 64 x 64, and of 3 x 32 x 32."""
OFF = 0.04
"""How far from 1 the published ratios and cosines are at most at the end of their range."""
POINTS, EACH = 24, 3  # noisy images, and directions of either kind at each
_APART = 10_000  # place of the random directions' noises behind those of the points

MEASURES = {
    "ratio": Quantity("norm ratio", form=".3f", tip="|D(x + λv)| over |D(x) + λJv|"),
    "off": Quantity("norm ratio, off", form=".3f", tip="|norm ratio − 1|: signs do not cancel"),
    "cosine": Quantity("cosine", form=".3f", tip="of D(x + λv) and D(x) + λJv"),
    "change_cosine": Quantity("cosine", "change", form=".3f", tip="of D(x + λv) − D(x) and λJv"),
    "change_error": Quantity(
        "error", "change", form=".3f", tip="|D(x + λv) − D(x) − λJv| over |λJv|, capped at 1"
    ),
}
CELLS = {
    f"{name}_principal_{time:g}": Quantity(
        MEASURES[name].axis, f"t = {time:g}", form=".3f", tip=f"principal directions, {FAR:g} √d"
    )
    for time in (0.5, LOW)
    for name in ("ratio", "cosine", "change_error")
}
QUANTITIES = {
    **MEASURES,
    **CELLS,
    "deviation": Quantity("deviation from 1", form=".3f"),
    "gained": Quantity("difference of cosines", form=".3f"),
    "residual": Quantity("largest deviation", interval=exact, form=".1g"),
}


@dataclass(frozen=True, kw_only=True)
class LocalLinearity(Probed):
    """One denoiser, trained here or given, around noisy unseen images at 7 noise levels."""

    version: ClassVar[int] = 3
    references: ClassVar[tuple[str, ...]] = ("chen2024", "wang2024", "karras2022")
    heading: ClassVar[str] = "Local linearity of denoisers"
    quantities: ClassVar[Mapping[str, Quantity]] = QUANTITIES
    seconds: ClassVar[float] = 2.0

    def readings(self, subject: Subject) -> Iterator[Reading]:
        models = {who: D for who, D in subject.everyone().items() if who != "gaussian_all"}
        yield from stacked(time=np.array(TIMES), at=lambda time: at_time(subject, models, time))

    def values(self, readings: Sequence[Reading]) -> dict[str, Value]:
        found = expanded(readings, QUANTITIES).of(who="network", length=FAR).estimates()
        at = product(MEASURES, ("principal", "random"), SHOWN)
        return {f"{n}_{k}_{t:g}": found.of(n, direction=k, time=t).one for n, k, t in at}

    @classmethod
    def about(cls, rows: Sequence[Row]) -> dict[str, object]:
        levels = ", ".join(f"{level:.2g} (t = {time:g})" for time, level in LEVELS.items())
        rules = (
            f"{EACH} principal (the leading right singular vectors of each denoiser's own J) and "
            f"{EACH} random directions at each of {POINTS} noisy unseen images, both signs of λ"
        )
        told = {"noise levels σ": levels, "directions": rules}
        told["intervals"] = "by t over images, models averaged over training seeds before"
        return super().about(rows) | told

    @classmethod
    def story(cls, found: Readings) -> Iterator[Told]:
        every = found.of(*MEASURES).over("seed", "subset")
        network = every.of(who="network")
        most = network.last("n") or network
        yield from near_one(most, network)
        yield from low_noise(most)
        yield from change_alone(most, network)
        yield from closed_forms(every)
        yield from claimed(network)
        yield "Norm ratio and cosine around a point"
        yield from along_steps(network, "cosine", "ratio")
        yield "The change alone"
        yield from along_steps(network, "change_cosine", "change_error")
        yield "Local linearity beside closed forms"
        yield beside_closed_forms(every)
        yield "Every model at every time"
        title = f"At the end of the published range, {NEAR:g} √d"
        keys = ("who", "n", "width", "model", "time", "direction")
        yield table(title, every.of(length=NEAR), keys, list(MEASURES))


def at_time(subject: Subject, models: Mapping[str, Denoiser], time: float) -> Iterator[Reading]:
    """Every measure of every model at one time, (lengths, points)."""
    level, count = LEVELS[time], min(POINTS, len(subject.data.unseen()))
    x = subject.noisy("test", count, level)
    random = subject.noise(count * EACH, _APART).reshape(count, EACH, -1)
    for who, D in models.items():
        principal = svd(D, x, torch.full((count,), level), min(EACH, x[0].numel())).V.mT
        for kind, directions in (("principal", principal), ("random", random)):
            at = {"who": who, "direction": kind, "length": np.array(STEPS)}
            for name, values in along(D, x, directions, level).items():
                yield Reading(name, at, values)


def along(D: Denoiser, x: Tensor, directions: Tensor, level: float) -> dict[str, np.ndarray]:
    """The measures (lengths, points), means over directions (points, k, n) and both signs."""
    points, each, n = directions.shape
    steps = [sign * length(step, level, n) for step in STEPS for sign in (1, -1)]
    states = x.repeat_interleave(each, 0)
    levels = torch.full((len(states),), level)
    found = first_order(D, states, directions.reshape(states.shape), levels, steps)
    named = {
        "ratio": found.norm_ratio,
        "off": (found.norm_ratio - 1).abs(),
        "cosine": found.cosine,
        "change_cosine": found.change_cosine,
        "change_error": found.change_error.clamp(max=1),
    }
    shape = (len(STEPS), 2, points, each)
    return {name: v.reshape(shape).mean((1, 3)).numpy() for name, v in named.items()}


def length(step: float, level: float, n: int) -> float:
    """The length in x0 + σn of a step of ``step`` √n in variance-preserving coordinates."""
    return step * (n * (1 + level**2)) ** 0.5


# What is claimed


def deviations(found: Readings) -> Readings:
    """How far both published measures are from 1."""
    ratio = found.of("off").named("deviation", measure="ratio")
    cosine = found.of("cosine").map(lambda values: 1 - values, "deviation")
    return ratio + cosine.named(measure="cosine")


def near_one(most: Readings, network: Readings) -> Iterator[Told]:
    """The published claim, along either kind of direction."""
    ends = deviations(most.of(time=list(HIGH)))
    others = deviations(network.of(time=list(HIGH), length=FAR))
    for kind in ("random", "principal"):
        yield Claim(
            f"Along {kind} directions the network of the most images is linear at t = 0.5 and 0.7"
            f" up to steps of {FAR:g} √d (deviation of norm ratio and cosine from 1)",
            ends.of(direction=kind, length=FAR),
            below(OFF),
            f"at most {OFF:g} (LOCO Edit, figure 2b)",
            beside={
                f"At {NEAR:g} √d": ends.of(direction=kind, length=NEAR),
                f"All networks at {FAR:g} √d": others.of(direction=kind),
            },
            note="How the published directions were drawn is not told.",
        )


def low_noise(most: Readings) -> Iterator[Told]:
    """Less linear at low noise, image by image."""
    cosine = most.of("cosine", length=NEAR)
    lost = cosine.of(time=HIGH[1]).against(cosine.of(time=LOW), name="gained", apart="time")
    yield Claim(
        f"At low noise it is less linear (cosine at t = {HIGH[1]:g} less that at t = {LOW:g},"
        f" {NEAR:g} √d)",
        lost,
        above(0),
        "less linear at t = 0.04 (LOCO Edit, figure 2b)",
        beside={"By time": cosine},
    )


def change_alone(most: Readings, network: Readings) -> Iterator[Told]:
    """What the published measures hide, and what more images do."""
    here = most.of(time=MIDDLE, length=NEAR)
    hidden = here.of("change_cosine").against(here.of("cosine"), name="gained")
    yield Claim(
        f"The published cosine flatters, since D(x) is on both sides: that of the change alone is"
        f" lower (t = {MIDDLE:g}, {NEAR:g} √d)",
        hidden,
        below(0),
        beside={
            "Published cosine": here.of("cosine"),
            "Error of the change": most.of("change_error", time=list(SHOWN), length=NEAR),
        },
    )
    gain = network.of("change_cosine", length=NEAR).change("n", "gained")
    yield Claim(
        f"Networks of more images are locally more linear (change of the cosine of the change,"
        f" t = {MIDDLE:g}, {NEAR:g} √d)",
        gain.of(time=MIDDLE),
        above(0),
        beside={
            "By N": network.of("change_cosine", time=MIDDLE, length=NEAR),
            "At other times": gain.of(time=[LOW, *HIGH]),
        },
    )


def closed_forms(every: Readings) -> Iterator[Told]:
    """Memorizer and truth at the same points; the affine Gaussian tests the measurement."""
    here = every.of("change_cosine", time=MIDDLE, length=NEAR)
    network = here.of(who="network")
    for who, name in (("memorizer", "memorizer"), ("truth", "true denoiser")):
        other = here.of(who=who)
        yield Claim(
            f"Cosine of the change, network less {name} (t = {MIDDLE:g}, {NEAR:g} √d)",
            network.against(other, name="gained", apart="who"),
            beside={"Network": network, f"The {name}": other},
            note="Principal directions are each denoiser's own, random ones shared. Where the "
            "memorizer's answer is one training image its derivative is next to nothing.",
        )
    affine = every.of("ratio", "cosine", "change_cosine", who="gaussian")
    yield Claim(
        "The Gaussian denoiser, which is affine, has ratios and cosines of 1 (largest deviation)",
        affine.named("residual").joined("time", "length", "direction").map(largest_deviation),
        below(1e-3),
        note="Over all times, steps, directions, points and measures, in single precision: what "
        "the measurement itself adds.",
    )


def largest_deviation(values: np.ndarray) -> float:
    """How far any of these is from 1."""
    return float(np.abs(1 - np.asarray(values, np.float64)).max())


# What is drawn

PLACES = ("width", "model")
RANGE = {"λ = 40 at 3 × 64 × 64 pixels": NEAR, "λ = 40 at 3 × 32 × 32 pixels": FAR}
"""Where the published range ends."""
AXES = {
    "ratio": "**Norm ratio**: |D(x + λv)| over |D(x) + λJv|, as published",
    "cosine": "**Cosine** of D(x + λv) and D(x) + λJv, as published",
    "change_cosine": "**Cosine of the change**, D(x + λv) − D(x) and λJv, without the D(x) that"
    " both published vectors hold",
    "change_error": "**Error of the change**, |D(x + λv) − D(x) − λJv| over |λJv|, each capped at"
    " 1, where the model misses as much as it predicts",
}


def claimed(network: Readings) -> Iterator[Told]:
    """The published claim: how far from 1 either measure is, at the times that it is about."""
    yield figure(
        "local_linearity_deviation",
        "**Deviation from linearity** around noisy unseen images: distance from 1 of |D(x + λv)| /"
        " |D(x) + λJv| and of the cosine of the two, against the length λ of the step; d is the"
        " number of pixels.",
        Plot(
            deviations(network.of(time=list(HIGH))),
            "length",
            color="n",
            look="direction",
            panel=("measure", "time", *PLACES),
            positions=RANGE,
            levels={"published, at most": OFF},
            scale="log",
            limits=(1e-5, 1.0),
        ),
    )


def along_steps(network: Readings, *names: str) -> Iterator[Told]:
    """Measures of the networks against the length of the step, a panel per noise level."""
    for name in names:
        yield figure(
            f"local_linearity_{name}",
            f"{AXES[name]}, along the {EACH} leading right singular vectors of J and along random"
            " directions.",
            Plot(
                network.of(name, time=list(SHOWN)),
                "length",
                color="n",
                look="direction",
                panel=("time", *PLACES),
                positions=RANGE,
                levels={"exactly linear": 0.0 if name == "change_error" else 1.0},
            ),
        )


def beside_closed_forms(every: Readings) -> Told:
    """Network and closed forms against the noise level, at the shorter end of the range."""
    here = every.of(length=NEAR).named(sigma=lambda at: LEVELS[at["time"]])
    return figure(
        "local_linearity_noise",
        f"**Beside closed forms**, steps of {NEAR:g} √d: memorizer and Gaussian of the training"
        " images, and the true denoiser where it is known. Principal directions are each"
        " denoiser's own.",
        *(
            Plot(here.of(name), "sigma", "who", "direction", ("n", *PLACES), title)
            for name, title in (("cosine", "Published"), ("change_cosine", "Change alone"))
        ),
    )
