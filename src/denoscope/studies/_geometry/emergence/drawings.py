"""The figures: distance, linearity, errors and samples over training time, a panel a training size;
then over noise levels and over sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import cycle, islice
from typing import TYPE_CHECKING

import numpy as np

from denoscope.estimate import mean
from denoscope.report import (
    INK,
    MUTED,
    Level,
    Panel,
    Position,
    Series,
    curves,
    error_curves,
    ordered,
)
from denoscope.report.blocks import Figure
from denoscope.studies._geometry.emergence.runs import Run, along, panels, widest

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

STEP, SIGMA, IMAGES = "training step", "noise level σ", "training images N"
DISTANCE = "distance to the Gaussian"
MEMORIZER, NETWORK, GAUSSIAN = ordered(3)
NEAREST = "nearest to the Gaussian"
INTERVALS = "Bands: 95 % over points, for these networks, the mean of those alike."
_NAME = "gaussian_emergence_"


def _over_steps(drawn: Sequence[Panel], width: float) -> Drawing:
    return error_curves(drawn, width=width)


def _over_sizes(drawn: Sequence[Panel], width: float) -> Drawing:
    return curves(drawn, width=width)


def _tones(widths: Sequence[int]) -> dict[int, str]:
    return dict(zip(widths, islice(cycle(ordered(min(6, len(widths)))), len(widths))))


def _widths(every: Sequence[Run]) -> dict[int, str]:
    """A tone for every width."""
    return _tones(sorted({run.width for run in every}))


def _line(
    x: np.ndarray, values: np.ndarray, label: str, tone: str, kind: str = "", style: str = "solid"
) -> Series:
    """Means over points of values (T, P), with their intervals."""
    found = along(values)
    y, low, high = (
        np.array([getattr(e, part) for e in found]) for part in ("value", "low", "high")
    )
    return Series(
        x, y, label, low, high, tone, "dashed" if style == "dashed" else "solid", kind=kind
    )


def _by_width(
    courses: Sequence[Run],
    y: str,
    values: Callable[[Run], np.ndarray],
    limits: tuple[float, float] | None,
) -> list[Panel]:
    """A panel a training size, a line a width."""
    tones = _widths(courses)
    return [
        Panel(
            [
                _line(run.course.steps, values(run), f"width {run.width}", tones[run.width])
                for run in group
            ],
            f"N = {n}",
            STEP,
            y,
            limits=limits,
            scale="linear",
        )
        for n, group in panels(courses).items()
    ]


def distance(courses: Sequence[Run]) -> Figure:
    """The distance to the Gaussian of the training set over training time."""
    top = 1.05 * max(float(run.distance.mean(1).max()) for run in courses)
    drawn = _by_width(courses, DISTANCE, lambda run: run.distance, (0.0, top))
    low, high = courses[0].course.edges
    caption = (
        "**Distance to the Gaussian (Wiener) denoiser of the training set over training "
        "time**: root mean squared difference a pixel on noisy unseen images, averaged "
        "over noise "
        f"levels from {low:g} to {high:.3g}. Averaged weights under a constant learning "
        f"rate. {INTERVALS}"
    )
    return Figure(_NAME + "distance", caption, partial(_over_steps, drawn))


def solutions(courses: Sequence[Run]) -> Figure:
    """The distance to every closed form over training time, at the largest width."""
    names = {
        "gaussian": "Gaussian of the training set",
        "gaussian_all": "Gaussian of all images",
        "memorizer": "memorizer",
        "truth": "truth",
    }
    tones = {"gaussian": GAUSSIAN, "gaussian_all": MUTED, "memorizer": MEMORIZER, "truth": NETWORK}
    chosen = widest(courses)
    drawn = []
    for run in chosen:
        known = [name for name in names if f"to_{name}" in run.group.first]
        lines = [
            _line(run.course.steps, run.course.average(f"to_{name}"), names[name], tones[name])
            for name in known
        ]
        drawn.append(
            Panel(
                lines,
                f"N = {run.n}",
                STEP,
                "distance",
                scale="linear",
                limits=(0.0, _top(chosen, known)),
            )
        )
    caption = (
        f"**Distance to the closed-form denoisers**, width {chosen[0].width}: to the "
        "Gaussian of the training set, that of all images that may be trained on, and "
        "the memorizer"
        f"{', and the true denoiser' if 'to_truth' in chosen[0].group.first else ''}. "
        f"Levels and units as before. {INTERVALS}"
    )
    return Figure(_NAME + "solutions", caption, partial(_over_steps, drawn))


def _top(every: Sequence[Run], names: Sequence[str]) -> float:
    return 1.05 * max(
        float(run.course.average(f"to_{name}").mean(1).max()) for run in every for name in names
    )


def linearity(courses: Sequence[Run]) -> Figure:
    """The linearity score over training time."""
    drawn = _by_width(courses, "linearity", lambda run: run.course.average("linearity"), None)
    low = min(float(run.course.average("linearity").mean(1).min()) for run in courses)
    level = [
        Level(
            float(courses[0].course.average("linearity_gaussian_all").mean()),
            "Gaussian of all images",
        )
    ]
    drawn = [
        Panel(
            p.series,
            p.title,
            p.x,
            p.y,
            levels=level,
            limits=(1 - 1.1 * (1 - low), 1.0),
            scale="linear",
        )
        for p in drawn
    ]
    caption = (
        "**Linearity over training time**: mean |cos| of D((x₁ + x₂)/√2) and (D(x₁) + "
        "D(x₂))/√2 for pairs of noisy unseen images, averaged over the same levels. A "
        "linear denoiser "
        f"has 1; a Gaussian one is affine. {INTERVALS}"
    )
    return Figure(_NAME + "linearity", caption, partial(_over_steps, drawn))


def errors(courses: Sequence[Run]) -> Figure:
    """Denoising errors on training and held-out images over training time, at the largest width."""
    chosen = widest(courses)
    seen = [run.course.error(kind).mean(1) for run in chosen for kind in ("test", "train")]
    limits = (
        0.8 * min(float(values.min()) for values in seen),
        1.25 * max(float(values.max()) for values in seen),
    )
    drawn = []
    for run in chosen:
        series = [
            _line(run.course.steps, run.course.error("test"), "held-out images", GAUSSIAN),
            _line(run.course.steps, run.course.error("train"), "training images", MEMORIZER),
        ]
        best = [Level(1.0, "best linear denoiser")]
        drawn.append(
            Panel(
                series,
                f"N = {run.n}",
                STEP,
                "relative error",
                levels=best,
                positions=_turn(run),
                limits=limits,
            )
        )
    caption = (
        f"**Denoising error over training time**, width {chosen[0].width}: squared error "
        "over that of the best linear denoiser (the Gaussian of all images) on held-out "
        "images, averaged over "
        f"the same levels. {INTERVALS}"
    )
    return Figure(_NAME + "errors", caption, partial(_over_steps, drawn))


def _turn(run: Run) -> list[Position]:
    return [Position(float(run.course.steps[run.nearest.index]), NEAREST)]


def samples(courses: Sequence[Run]) -> Figure:
    """Agreement of samples over training time, and the share of copies, at the largest width."""
    drawn = []
    for run in widest(courses):
        steps = run.course.steps
        series = [
            _line(steps, run.group.mean("with_gaussian"), "with the Gaussian's samples", GAUSSIAN)
        ]
        if run.pairs is not None:
            series.append(_line(steps, run.pairs, "between disjoint training sets", NETWORK))
        series.append(Series(steps, run.group.mean("copies"), "share of copies", tone=MEMORIZER))
        drawn.append(
            Panel(
                series,
                f"N = {run.n}",
                STEP,
                "cosine, share",
                positions=_turn(run),
                limits=(-0.05, 1.05),
                scale="linear",
            )
        )
    caption = (
        f"**Samples over training time**, width {widest(courses)[0].width}, all from the "
        "same noises: cosine about the mean image with the sample of the Gaussian of the "
        "training set, and between "
        "networks of two disjoint training sets; and the share of samples that are less "
        "than a third as far from their nearest training image as from the second "
        "nearest. Bands: 95 % over noises."
    )
    return Figure(_NAME + "samples", caption, partial(_over_steps, drawn))


def levels(every: Sequence[Run]) -> Figure:
    """The distance to closed forms against the noise level, at the end and where nearest: the
    largest width of every size, or every given network.
    """
    shown = widest(every) if all(run.known for run in every) else list(every)
    drawn = [
        Panel(
            _at_levels(run),
            _title(run),
            SIGMA,
            "distance",
            positions=_edges(run),
            limits=(0.0, _highest(shown)),
            scale="linear",
        )
        for run in shown
    ]
    caption = (
        "**Distance against the noise level** to the Gaussian and the memorizer of the "
        "training set, at the end of training (solid) and where nearest to the Gaussian "
        "(dashed). Dotted: the Gaussian of "
        "the training set from that of all images, which is what few images alone cost. "
        "Upright lines: the regime that averages are taken over. " + INTERVALS
    )
    return Figure(_NAME + "levels", caption, partial(_over_steps, drawn))


def _title(run: Run) -> str:
    return run.group.label if not run.known else f"N = {run.n}"


def _at_levels(run: Run) -> list[Series]:
    x, series = run.course.levels, []
    for name, label, tone in (
        ("gaussian", "to the Gaussian", GAUSSIAN),
        ("memorizer", "to the memorizer", MEMORIZER),
    ):
        values = run.group.mean(f"to_{name}")
        series.append(_line(x, values[-1], label, tone, kind="at the end"))
        if run.trained:
            series.append(
                _line(x, values[run.nearest.index], label, tone, kind=NEAREST, style="dashed")
            )
    between = run.group.mean("between").mean(1)
    return [
        *series,
        Series(x, between, tone=INK, style="dotted", kind="Gaussian to Gaussian of all images"),
    ]


def _edges(run: Run) -> list[Position]:
    return [Position(edge, "intermediate regime") for edge in run.course.edges]


def _highest(every: Sequence[Run]) -> float:
    moments = [(run, -1) for run in every] + [
        (run, run.nearest.index) for run in every if run.trained
    ]
    return 1.05 * max(
        float(run.group.mean(f"to_{name}")[t].mean(1).max())
        for run, t in moments
        for name in ("gaussian", "memorizer")
    )


def sizes(known: Sequence[Run]) -> Figure:
    """Distance and linearity at the end of training, and where nearest, against the number of
    images.
    """
    tones = _widths(known)
    both: dict[str, list[Series]] = {"distance": [], "linearity": []}
    for width, tone in tones.items():
        group = sorted((run for run in known if run.width == width), key=lambda run: run.n)
        x = np.array([run.n for run in group])
        for name, values in (
            ("distance", lambda run: run.distance),
            ("linearity", lambda run: run.course.average("linearity")),
        ):
            both[name].append(
                _ends(x, [values(run)[-1] for run in group], width, tone, "at the end", "solid")
            )
            if all(run.trained for run in group):
                both[name].append(
                    _ends(
                        x,
                        [values(run)[run.nearest.index] for run in group],
                        width,
                        tone,
                        NEAREST,
                        "dashed",
                    )
                )
    drawn = [
        Panel(both["distance"], "Distance", IMAGES, DISTANCE),
        Panel(both["linearity"], "Linearity", IMAGES, "linearity"),
    ]
    caption = (
        "**Over the number of training images**: distance to the Gaussian of the "
        "training set, and linearity, at the end of training and at the moment nearest "
        "to the Gaussian. " + INTERVALS
    )
    return Figure(_NAME + "sizes", caption, partial(_over_sizes, drawn))


def _ends(
    x: np.ndarray, values: Sequence[np.ndarray], width: int, tone: str, kind: str, style: str
) -> Series:
    found = [mean(points) for points in values]
    y, low, high = (
        np.array([getattr(e, part) for e in found]) for part in ("value", "low", "high")
    )
    return Series(
        x,
        y,
        f"width {width}",
        low,
        high,
        tone,
        "dashed" if style == "dashed" else "solid",
        kind=kind,
    )
