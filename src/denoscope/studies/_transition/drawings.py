"""The figures of the transition, from stored rows and what was compared."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from denoscope.estimate import Estimate
from denoscope.report import (
    INK,
    MUTED,
    Level,
    Marker,
    Panel,
    Series,
    curves,
    error_curves,
    ordered,
)
from denoscope.report.blocks import Figure
from denoscope.report.panels import Style
from denoscope.store import Row
from denoscope.studies._transition.compare import Agreement, Verdicts, at
from denoscope.studies._transition.setting import FIXED_THRESHOLD

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

IMAGES = "training images N"


def number(row: Row, name: str) -> float:
    """A value of a row as a number; an Estimate gives its value."""
    value = row.values.get(name)
    return float(value) if isinstance(value, Estimate | int | float) else float("nan")


def tones(widths: Sequence[int]) -> dict[int, str]:
    """One tone a width, in order of capacity."""
    return dict(zip(widths, ordered(len(widths))))


def averaged(rows: Sequence[Row], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Sizes and the mean of a value over the runs of each size."""
    sizes = sorted({at(row, "n") for row in rows})
    return np.array(sizes), np.array(
        [np.mean([number(row, name) for row in rows if at(row, "n") == size]) for size in sizes]
    )


def _of(rows: Sequence[Row], width: int) -> list[Row]:
    return [row for row in rows if at(row, "width") == width]


def transition(
    rows: Sequence[Row], found: Verdicts, pairs: Sequence[Agreement], widths: Sequence[int]
) -> Figure:
    """The main figure: GLc and RP against N, a line a width, N* marked, raw GL and that of held-out
    images as thin lines.
    """
    tone = tones(widths)
    raw = f"raw GL at cosine {FIXED_THRESHOLD:g}"
    main = [
        Series(
            *averaged(rows, "gl_fixed_test"), "held-out images", tone=INK, style="thin", kind=raw
        )
    ]
    markers, again = [], []
    for width in widths:
        item = found.transitions[width]
        low, high = [e.low for e in item.curve], [e.high for e in item.curve]
        main.append(
            Series(
                item.sizes,
                [e.value for e in item.curve],
                f"width {width}",
                low,
                high,
                tone[width],
                kind="GLc, RP",
            )
        )
        main.append(
            Series(
                *averaged(_of(rows, width), "gl_fixed"),
                f"width {width}",
                tone=tone[width],
                style="thin",
                kind=raw,
            )
        )
        markers.append(
            Marker(
                item.point.value,
                item.point.low,
                item.point.high,
                0.5,
                _named(item.point, item.sizes),
                tone[width],
            )
        )
        again.append(
            rp_series(pairs, "seeds", width, width, tone[width], f"width {width}", name="GLc, RP")
        )
    panels = [
        Panel(
            main,
            "Does it copy?",
            IMAGES,
            "GLc, calibrated generalization",
            markers,
            [Level(1.0, "as novel as held-out images")],
            (-0.08, 1.25),
        ),
        Panel(
            [s for s in again if s],
            "Do two trainings agree?",
            IMAGES,
            "RP, same noise, two seeds",
            limits=(-0.05, 1.05),
        ),
    ]
    caption = (
        "**Memorization to generalization.** Left: GLc, the share of samples that are no "
        "copies of training images, relative to held-out "
        "images (0 copies only, 1 as novel as real images outside the training set); "
        "bands are 95 % bootstrap over training runs, points on the "
        "line at one half are N* with their 95 % intervals. Thin: the uncalibrated GL at "
        "a fixed threshold, by which even real held-out images stop "
        "looking novel as N grows. Right: reproducibility RP, the share of noises from "
        "which two models that differ only in their training "
        "seed make the same image; bands over pairs of runs and noises."
    )
    return Figure("transition", caption, partial(drawn, panels))


def _named(point: Estimate, sizes: Sequence[int]) -> str:
    """N* in the legend: the number, or the side on which it lies."""
    return (
        f"N* = {point.value:.0f}"
        if np.isfinite(point.value)
        else f"N* {'<' if point.value < 0 else '>'} {sizes[0] if point.value < 0 else sizes[-1]}"
    )


def drawn(panels: Sequence[Panel], width: float) -> Drawing:
    """Panels of curves at a width in inches."""
    return curves(panels, width=width)


def rp_series(
    pairs: Sequence[Agreement],
    kind: str,
    width: int,
    other: int,
    tone: str,
    label: str,
    style: Style = "solid",
    name: str = "",
) -> Series | None:
    """RP with its band over sizes, for one kind of pair; None where there are no such pairs."""
    items = sorted(
        (p for p in pairs if (p.kind, p.width, p.other) == (kind, width, other)), key=lambda p: p.n
    )
    if not items:
        return None
    rp = [item.rp for item in items]
    return Series(
        [p.n for p in items],
        [e.value for e in rp],
        label,
        [e.low for e in rp],
        [e.high for e in rp],
        tone,
        style,
        kind=name,
    )


def controls(rows: Sequence[Row], widths: Sequence[int], false_alarm: float) -> Figure:
    """What stands behind GLc: the hold-out's own alarms, and the same score by a second
    descriptor.
    """
    tone = tones(widths)
    above = [Series(*averaged(rows, "p_test"), "held-out images", tone=INK, style="dashed")]
    above += [Series(*averaged(_of(rows, w), "p_gen"), f"width {w}", tone=tone[w]) for w in widths]
    second = [
        Series(*averaged(_of(rows, w), "glc_pca"), f"width {w}", tone=tone[w]) for w in widths
    ]
    declared = Level(false_alarm, f"declared rate {false_alarm:g}")
    panels = [
        Panel(
            above,
            "Above the copy threshold",
            IMAGES,
            "share of images",
            levels=[declared],
            limits=(-0.05, 1.05),
        ),
        Panel(second, "By a second descriptor", IMAGES, "GLc, whitened PCA", limits=(-0.08, 1.25)),
    ]
    caption = (
        "**Controls.** The share above each training set's copy threshold, for samples "
        "and for held-out images that did not choose the threshold; "
        "and GLc once more in another feature space, whitened principal components. "
        "Means over training runs."
    )
    return Figure("controls", caption, partial(drawn, panels))


def quality(rows: Sequence[Row], widths: Sequence[int], floor: Estimate) -> Figure:
    """That the samples are images at all: Fréchet distance against its floor, held-out denoising
    error against a linear model's.
    """
    tone = tones(widths)
    distance = [
        Series(*averaged(_of(rows, w), "frechet"), f"width {w}", tone=tone[w]) for w in widths
    ]
    error = [
        Series(*averaged(_of(rows, w), "error_test"), f"width {w}", tone=tone[w]) for w in widths
    ]
    panels = [
        Panel(
            distance,
            "Samples against held-out images",
            IMAGES,
            "Fréchet distance, pixels",
            levels=[Level(floor.value, "real against real")],
        ),
        Panel(
            error,
            "Denoising held-out images",
            IMAGES,
            "error / linear model's",
            levels=[Level(1.0, "Wiener denoiser of all data")],
        ),
    ]
    caption = (
        "**Quality.** Noise would look novel too, so novelty counts only where quality "
        "holds: the Fréchet distance of samples to held-out images in "
        "pixel space with the distance of as many real images as its floor, and the "
        "denoising error on held-out images (geometric mean over noise "
        "levels) relative to the best linear denoiser fitted to the whole pool. Means "
        "over training runs."
    )
    return Figure("quality", caption, partial(drawn, panels))


def memorized(rows: Sequence[Row], widths: Sequence[int]) -> Figure:
    """The one-third rule beside its own hold-out rate."""
    tone = tones(widths)
    share = [Series(*averaged(rows, "memorized_test"), "held-out images", tone=INK, style="dashed")]
    share += [
        Series(*averaged(_of(rows, w), "memorized"), f"width {w}", tone=tone[w]) for w in widths
    ]
    theory = [
        Series(*averaged(_of(rows, w), "rp_memorizer"), f"width {w}", tone=tone[w]) for w in widths
    ]
    panels = [
        Panel(share, "Memorized by the 1/3 rule", IMAGES, "share of samples", limits=(-0.05, 1.05)),
        Panel(
            theory,
            "Same image as the memorizer",
            IMAGES,
            "RP with the empirical denoiser",
            limits=(-0.05, 1.05),
        ),
    ]
    caption = (
        "**Copying, seen two other ways.** Left: samples at less than a third of the "
        "distance to the nearest training image that they have to the second "
        "nearest (near-duplicates of the first not counted), beside the rate of held-out "
        "images. Right: how often a model makes what the closed-form "
        "memorizer (the optimal denoiser of the training set) makes from the same noise "
        "with the same solver. Means over training runs."
    )
    return Figure("memorized", caption, partial(drawn, panels))


def errors(rows: Sequence[Row], sizes: Sequence[int], widths: Sequence[int]) -> Figure:
    """Denoising error on training and held-out images against sigma, beside memorizer and Wiener
    denoiser.
    """
    tone = tones(widths)
    panels = []
    for size in sizes:
        mine = [row for row in rows if at(row, "n") == size]
        if not mine:
            continue
        arrays = mine[0].arrays()
        levels = arrays["levels"]
        series = []
        for name, label, ink in (
            ("memorizer", "memorizer", INK),
            ("gaussian", "Wiener denoiser", MUTED),
        ):
            for kind, style in STYLES:
                series.append(
                    Series(
                        levels,
                        _positive(arrays[f"error_{kind}_{name}"]),
                        label,
                        tone=ink,
                        style=style,
                        kind=_KIND[kind],
                    )
                )
        for width in widths:
            runs = [row.arrays() for row in _of(mine, width)]
            for kind, style in STYLES:
                mean = np.mean([run[f"error_{kind}"] for run in runs], axis=0)
                series.append(
                    Series(
                        levels,
                        _positive(mean),
                        f"width {width}",
                        tone=tone[width],
                        style=style,
                        kind=_KIND[kind],
                    )
                )
        panels.append(
            Panel(
                series,
                f"N = {size}",
                "noise level σ",
                "squared error a pixel",
                limits=(LEAST_ERROR, 2.0),
            )
        )
    caption = (
        "**Denoising error** on training images (dashed) and held-out ones (solid). A "
        "memorizer's gap is wide; where a model generalizes the two meet. "
        "For reference the closed-form memorizer and the Wiener denoiser (the best "
        "linear one) of the same training set."
    )

    def draw(width: float) -> Drawing:
        return error_curves(panels, width=width)

    return Figure("errors", caption, draw)


_KIND = {"train": "training images", "test": "held-out images"}
STYLES: tuple[tuple[str, Style], ...] = (("train", "dashed"), ("test", "solid"))
LEAST_ERROR = 1e-4


def _positive(values: np.ndarray) -> np.ndarray:
    """Values for a logarithmic axis that ends at ``LEAST_ERROR``: what lies far below, as the
    memorizer's errors do, becomes a gap.
    """
    return np.where(values > LEAST_ERROR / 10, values, np.nan)
