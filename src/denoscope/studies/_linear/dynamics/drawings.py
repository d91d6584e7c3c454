"""The figures of training: lines are theory, dots gradient descent or samples."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import cycle, islice
from typing import TYPE_CHECKING

import numpy as np

from denoscope.report import INK, Level, Panel, Position, Series, error_curves, ordered
from denoscope.report.blocks import Figure
from denoscope.studies._linear.dynamics.emergence import SAMPLED, TIMES, UNSEEN_C
from denoscope.studies._linear.dynamics.measured import Cell, Data, averages
from denoscope.studies._linear.dynamics.stopping import NOISES
from denoscope.studies._linear.training_set import GROUPS

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

TIME = "training time k = 2ητ"
NOISE = "noise 1 − ᾱ"
AVOIDABLE = "avoidable test loss left"
THEORY, DESCENT, SAMPLES = "theory", "gradient descent", "samples, 95 % intervals"
SAMPLER_NAMES = {"ode": "probability-flow ODE", "ddpm": "DDPM"}
_MOST_DOTS = 18


def _drawn(panels: Sequence[Panel], width: float) -> Drawing:
    return error_curves(panels, width=width)


def _figure(name: str, caption: str, panels: Sequence[Panel]) -> Figure:
    return Figure(name, caption, partial(_drawn, panels))


def _thinned(k: np.ndarray) -> np.ndarray:
    """Which records are drawn as dots."""
    return np.unique(np.linspace(0, len(k) - 1, _MOST_DOTS).round().astype(int))


def _dots(x: np.ndarray, values: np.ndarray, label: str, tone: str) -> Series:
    """Means over training sets, the first axis of ``values``, with their intervals as bars where
    there is more than one set.
    """
    found = averages(values)
    low, high = (
        np.array([getattr(e, end) if e.n > 1 else e.value for e in found])
        for end in ("low", "high")
    )
    y = np.array([e.value for e in found])
    return Series(x, y, label, np.where(low > 0, low, y), high, tone, "dots", "bars", DESCENT)


def losses(data: Data, place: int) -> Figure:
    """Train and test loss against training time, a panel a noise level."""
    cell, panels = data.shown, []
    at = _thinned(cell.arrays["k"])
    told = list(zip(("train", "test"), ("training set", "test"), ordered(2)))
    for level, abar in enumerate(cell.arrays["abars"]):
        series = []
        for name, label, tone in told:
            line = cell.arrays[f"{name}_theory"][..., level].mean(0) / cell.d
            series.append(
                Series(cell.arrays["k_theory"], line, label, tone=tone, style="line", kind=THEORY)
            )
            series.append(
                _dots(cell.arrays["k"][at], cell.arrays[name][:, at, level] / cell.d, label, tone)
            )
        bayes = Level(float(cell.arrays["bayes_shown"][level]) / cell.d, "Bayes")
        best = cell.arrays["stop_theory"][:, level]
        stop = (
            [Position(float(best.mean()), "best time to stop")] if np.isfinite(best).all() else []
        )
        every = np.concatenate([np.ravel(item.y) for item in series])
        limits = (0.8 * float(every.min()), 1.25 * float(every.max()))
        panels.append(
            Panel(
                series,
                f"ᾱ = {abar:g}",
                TIME,
                "loss / d",
                levels=[bayes],
                positions=stop,
                limits=limits,
            )
        )
    caption = (
        f"**Loss against training time, {_said(cell, data)}.** All noise levels train "
        "together; dots: gradient descent, means over training sets "
        "with 95 % intervals; lines: the closed form of the same descent, continued "
        "beyond it. Untrained the loss is d. The less noise, the "
        "higher the test loss climbs after its minimum, the later it does so, and the "
        "flatter the minimum looks beside the loss itself."
    )
    return _figure(f"losses_{place}", caption, panels)


def modes(data: Data, place: int) -> Figure:
    """Single modes' weights against training time, a panel a noise level."""
    cell, panels = data.shown, []
    at = _thinned(cell.arrays["k"])
    for level, abar in enumerate(cell.arrays["abars"]):
        series = []
        for group, (label, tone) in enumerate(zip(GROUPS, ordered(len(GROUPS)))):
            measured = cell.arrays["weight"][:, at, level, group]
            if np.isfinite(measured).all():
                line = cell.arrays["weight_theory"][:, :, level, group].mean(0)
                series.append(
                    Series(
                        cell.arrays["k_theory"], line, label, tone=tone, style="line", kind=THEORY
                    )
                )
                series.append(_dots(cell.arrays["k"][at], measured, label, tone))
        panels.append(
            Panel(
                series,
                f"ᾱ = {abar:g}",
                TIME,
                "weight / optimum",
                limits=(-0.05, 1.1),
                scale="linear",
            )
        )
    caption = (
        f"**Mode by mode, {_said(cell, data)}.** The weight of single eigenvectors of the "
        "training covariance, in units of its optimum: the first, the "
        "middle and the last that the training set spans, and the mean over those it "
        "does not. Seen modes are learned at the rate ᾱλ + 1 − ᾱ, "
        "unseen ones at 1 − ᾱ: ever later, the less noise there is."
    )
    return _figure(f"modes_{place}", caption, panels)


def minima(every: Sequence[Data]) -> Figure:
    """What is left of the avoidable test loss against training time, all noise levels on one axis,
    a panel a kind of data.
    """
    panels = []
    for data in every:
        cell, series = data.shown, []
        at = _thinned(cell.arrays["k"])
        for level, tone in enumerate(_many(len(cell.arrays["abars"]))):
            label, bayes = (
                f"ᾱ = {cell.arrays['abars'][level]:g}",
                float(cell.arrays["bayes_shown"][level]),
            )
            line = _avoidable(cell.arrays["test_theory"][..., level].mean(0), bayes, cell.d)
            series.append(
                Series(cell.arrays["k_theory"], line, label, tone=tone, style="line", kind=THEORY)
            )
            series.append(
                _dots(
                    cell.arrays["k"][at],
                    _avoidable(cell.arrays["test"][:, at, level], bayes, cell.d),
                    label,
                    tone,
                )
            )
        panels.append(Panel(series, _title(cell, data), TIME, AVOIDABLE, limits=(0.03, 10.0)))
    caption = (
        "**The minimum, at all noise levels.** The test loss above the least that "
        "Gaussian data with the true covariance allow (Bayes), as a share of what it is "
        "before "
        "training: 1 is untrained, 0 the optimum for the truth. Where the curves turn at "
        "one time, one stopping time serves all levels."
    )
    return _figure("minima", caption, panels)


def _avoidable(loss: np.ndarray, bayes: float | np.ndarray, d: int) -> np.ndarray:
    """The loss above Bayes as a share of the untrained one."""
    return (loss - bayes) / (d - bayes)


def _many(count: int) -> tuple[str, ...]:
    """Tones for any number of ordered things, repeated where there are not enough."""
    return tuple(islice(cycle(ordered(min(count, 6))), count))


def stopping(every: Sequence[Data]) -> Figure:
    """The best time to stop against the noise level, a panel a kind of data, a tone a size."""
    panels, known = [], [cell.arrays["best_k"] for data in every for cell in data.cells]
    finite = np.concatenate([np.ravel(k[np.isfinite(k)]) for k in known])
    limits = (0.7 * float(finite.min()), 1.4 * float(finite.max())) if len(finite) else None
    for data in every:
        series = []
        for cell, tone in zip(data.cells, _many(len(data.cells))):
            label = f"N = {cell.n}"
            series.append(
                Series(
                    NOISES,
                    _geometric(cell.arrays["best_k"]),
                    label,
                    tone=tone,
                    style="line",
                    kind=THEORY,
                )
            )
            measured = _geometric(cell.arrays["stop"])
            series.append(
                Series(
                    1 - cell.arrays["abars"], measured, label, tone=tone, style="dots", kind=DESCENT
                )
            )
            if cell.few:
                flat = np.full(len(NOISES), 1 / cell.arrays["unseen"].mean())
                series.append(
                    Series(
                        NOISES,
                        flat,
                        label,
                        tone=tone,
                        style="dotted",
                        kind="1 / mean unseen variance",
                    )
                )
        panels.append(
            Panel(
                series, f"{data.name}, d = {data.d}", NOISE, "best time k* to stop", limits=limits
            )
        )
    caption = (
        "**When to stop.** The training time with the least test loss against the noise "
        "level: one flat line is one time for all levels. Lines: exact, "
        "geometric means over training sets; dots: the least recorded loss of the "
        "descents themselves (none where it lies beyond their last step); "
        "dotted: the rule that the best time is one over the mean variance of a "
        "direction the training set does not span."
    )
    return _figure("stopping", caption, panels)


def _geometric(values: np.ndarray) -> np.ndarray:
    """The geometric mean over training sets, NaN where one is not finite."""
    return np.exp(
        np.where(
            np.isfinite(values).all(0),
            np.log(np.where(np.isfinite(values), values, 1.0)).mean(0),
            np.nan,
        )
    )


def prices(every: Sequence[Data]) -> Figure:
    """Test loss of four ways to train, relative to what Gaussian data allow, a panel a kind of
    data.
    """
    ways = {
        "loss_trained": "trained to the end",
        "loss_ridge": "best ridge",
        "loss_k": "stopped at this level's time",
        "loss_shared": "one time for all levels",
    }
    panels = []
    for data in every:
        cell, series = data.shown, []
        for (name, label), tone in zip(ways.items(), ordered(len(ways))):
            found = averages(_avoidable(cell.arrays[f"best_{name}"], cell.arrays["bayes"], cell.d))
            y, low, high = (
                np.array([getattr(e, part) for e in found]) for part in ("value", "low", "high")
            )
            low, high = (np.where(np.isfinite(end) & (end > 0), end, y) for end in (low, high))
            series.append(
                Series(
                    NOISES, y, label, low, high, tone, "dashed" if name == "loss_shared" else "line"
                )
            )
        panels.append(Panel(series, _title(cell, data), NOISE, AVOIDABLE))
    caption = (
        "**What stopping early and a ridge save.** The same share of the avoidable test "
        "loss, means over training sets with 95 % bands, for four ways to train. "
        "Where the two lines of stopping lie on each other, one time for all noise "
        "levels costs nothing."
    )
    return _figure("prices", caption, panels)


def sampled(data: Data, place: int) -> Figure:
    """Variances that half-trained models sample, by mode, for both samplers; and c k on unseen
    directions.
    """
    cell = data.shown
    panels = []
    for name, title in SAMPLER_NAMES.items():
        series = []
        for group, (label, tone) in enumerate(zip(GROUPS, ordered(len(GROUPS)))):
            law, found = (
                cell.arrays[f"law_{name}"][:, group],
                cell.arrays[f"sampled_{name}"][:, group],
            )
            if np.isfinite(law).all():
                series.append(Series(TIMES, law, label, tone=tone, style="line", kind=THEORY))
                low = np.where(found[:, 1] > 0, found[:, 1], found[:, 0])
                series.append(
                    Series(
                        SAMPLED, found[:, 0], label, low, found[:, 2], tone, "dots", "bars", SAMPLES
                    )
                )
        panels.append(Panel(series, title, TIME, "sampled variance", limits=(1e-6, 1e3)))
    caption = (
        f"**What half-trained models sample, {_said(cell, data)}, first training set.** "
        "The variance of samples along eigenvectors of the training covariance when "
        "all noise levels stop at the time k. Lines: exact laws; dots: samples of the "
        "models, from as many noises. A model that has learned nothing "
        "samples huge variances, which come down to those of the training set one mode "
        "after the other; unseen directions go on falling."
    )
    return _figure(f"sampled_{place}", caption, panels)


def unseen(every: Sequence[Data]) -> Figure:
    """c k on unseen directions by both samplers, a panel a kind of data with such directions."""
    panels, group, late = [], GROUPS.index("unseen"), TIMES >= 1
    for data in every:
        cell, series = data.shown, []
        for (name, title), tone in zip(SAMPLER_NAMES.items(), ordered(2)):
            line = cell.arrays[f"law_{name}"][late, group] * TIMES[late]
            found = cell.arrays[f"sampled_{name}"][1:, group] * SAMPLED[1:, None]
            series.append(Series(TIMES[late], line, title, tone=tone, style="line", kind=THEORY))
            series.append(
                Series(
                    SAMPLED[1:],
                    found[:, 0],
                    title,
                    found[:, 1],
                    found[:, 2],
                    tone,
                    "dots",
                    "bars",
                    SAMPLES,
                )
            )
        levels = [
            Level(value, f"limit by {title}: {value:.4f}")
            for value, title in zip(UNSEEN_C.values(), SAMPLER_NAMES.values())
        ]
        panels.append(
            Panel(
                series,
                _title(cell, data),
                TIME,
                "c · k",
                levels=levels,
                limits=(0.0, 2.0),
                scale="linear",
            )
        )
    caption = (
        "**The c of unseen directions.** The variance c that a model stopped at the time "
        "k samples where its training set has none, times k. Between k of order 1 and "
        "1/β₁ it is nearly constant; beyond 1/β₁ the finite steps of DDPM without noise "
        "in the last one suppress it."
    )
    return _figure("unseen", caption, panels)


def emergence(every: Sequence[Data]) -> Figure:
    """The time at which each mode emerges against its variance, a panel a kind of data."""
    panels = []
    for data in every:
        cell = data.shown
        lam = cell.arrays["lam"]
        names = {"noise": "noise prediction", "denoising": "denoising (Wang and Pehlevan)"}
        series = [
            Series(lam, cell.arrays[f"emergence_{name}"], label, tone=tone)
            for (name, label), tone in zip(names.items(), ordered(2))
        ]
        scale = float(np.nanmedian(lam * cell.arrays["emergence_denoising"]))
        series.append(Series(lam, scale / lam, "∝ 1/λ", tone=INK, style="dotted"))
        panels.append(
            Panel(series, _title(cell, data), "variance λ of the mode", "emergence time k")
        )
    caption = (
        "**When modes emerge**, by the exact laws of probability-flow samples on the "
        "first training set. A denoiser that starts at zero samples a point, and each "
        "variance "
        "rises half way (in its logarithm) to λ at a time ∝ 1/λ. A noise predictor that "
        "starts at zero samples huge variances, which fall: small "
        "ones emerge last here too, but modes with λ above about 1 all need k of order "
        "1, since at high noise all are learned at the rate 1."
    )
    return _figure("emergence", caption, panels)


def _title(cell: Cell, data: Data) -> str:
    return f"{data.name}, N = {cell.n}"


def _said(cell: Cell, data: Data) -> str:
    return f"{data.name}, N = {cell.n}, d = {cell.d}"
