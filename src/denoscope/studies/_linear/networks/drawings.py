"""The figures: the network's dots beside lines of the linear model, direction by direction, and
losses between the two solutions.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import cycle, islice
from typing import TYPE_CHECKING

import numpy as np

from denoscope.estimate import Estimate
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
from denoscope.studies._linear.networks.measuring import APART
from denoscope.studies._linear.networks.runs import Runs

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

RANK, SIGMA, IMAGES = "direction, by rank", "noise level σ", "training images N"
NETWORK, LINEAR, MEMORIZER = ordered(3)
GROUP_TONES = ordered(6)[1], ordered(6)[3]
LAW, SAMPLES = "exact", "samples, 95 % intervals"
EDGE = "half of the variance"
LEAST = 1e-4  # of the largest variance: what is drawn
_MOST_DOTS = 22
_BASES = {
    "own": "eigenvectors of the training covariance Σ₀",
    "all": "eigenvectors of the covariance Σ of all images",
}


def _log(panels: Sequence[Panel], width: float) -> Drawing:
    return error_curves(panels, width=width)


def _sizes(panels: Sequence[Panel], width: float) -> Drawing:
    return curves(panels, width=width)


def _spread(count: int) -> np.ndarray:
    """Indices about equally spaced in the logarithm of the rank."""
    return np.unique(np.geomspace(1, count, min(count, _MOST_DOTS)).round().astype(int)) - 1


def variances(every: Sequence[Runs], basis: str) -> Figure:
    """Variance of samples along each direction, a panel a training size."""
    top = max(float(runs.first[f"data_{basis}"].max()) for runs in every)
    panels = []
    for runs in every:
        rank = runs.first["rank"]
        series = [
            _line(rank, runs.first[f"data_{basis}"], "all images", INK, "dashed"),
            _line(rank, runs.first[f"law_{basis}"], "linear model", LINEAR),
            _dots(rank, runs.variances(f"linear_{basis}"), "linear model", LINEAR),
            _dots(rank, runs.variances(f"memorizer_{basis}"), "memorizer", MEMORIZER),
            _dots(rank, runs.variances(f"network_{basis}"), "network", NETWORK),
        ]
        panels.append(
            Panel(series, f"N = {runs.n}", RANK, "variance", limits=(LEAST * top, 2 * top))
        )
    caption = (
        f"**Variance of samples, direction by direction**: {_BASES[basis]}. Line: the "
        "exact law of the linear model under the same solver; dots: samples of the "
        "linear "
        "model, the network and the memorizer, all from the same noises (squares "
        "averaged over training seeds); dashed: all images that may be trained on. "
        f"What lies below {LEAST:g} of the largest variance is not drawn."
    )
    return Figure(f"variances_{basis}", caption, partial(_log, panels))


def _line(x: np.ndarray, y: np.ndarray, label: str, tone: str, style: str = "line") -> Series:
    return Series(
        x,
        np.where(y > 0, y, np.nan),
        label,
        tone=tone,
        style="dashed" if style == "dashed" else "line",
        kind="" if style == "dashed" else LAW,
    )


def _dots(x: np.ndarray, found: Sequence[Estimate], label: str, tone: str) -> Series:
    at = _spread(len(x))
    y, low, high = (
        np.array([getattr(found[i], part) for i in at]) for part in ("value", "low", "high")
    )
    y = np.where(y > 0, y, np.nan)
    return Series(x[at], y, label, np.where(low > 0, low, y), high, tone, "dots", "bars", SAMPLES)


def ratios(every: Sequence[Runs]) -> Figure:
    """The network's variance over the linear model's, along the directions that the training set
    spans.
    """
    panels = []
    for runs in every:
        seen, law = runs.seen, runs.first["law_own"]
        at = _spread(seen)
        found = [runs.variances("network_own")[i] for i in at]
        y, low, high = (
            np.array([getattr(e, part) for e in found]) / law[at]
            for part in ("value", "low", "high")
        )
        series = [
            Series(
                at + 1,
                y,
                "network / linear model",
                np.maximum(low, 1e-3),
                high,
                NETWORK,
                "dots",
                "bars",
            )
        ]
        levels, edge = [Level(1.0, "as the linear model")], [Position(runs.leading + 0.5, EDGE)]
        panels.append(
            Panel(
                series,
                f"N = {runs.n}",
                RANK,
                "ratio of variances",
                levels=levels,
                positions=edge,
                limits=(0.25, 4.0),
            )
        )
    caption = (
        "**The network's variance relative to the linear model's**, along the "
        "eigenvectors of the training covariance that the training set spans, with 95 % "
        "intervals over "
        "noises. Directions left of the upright line hold half of the training variance. "
        "Ratios outside of the frame are left out."
    )
    return Figure("ratios", caption, partial(_log, panels))


def correlations(every: Sequence[Runs]) -> Figure:
    """Correlation, direction by direction, of the network's samples with those of the two closed
    forms from the same noises.
    """
    panels = []
    for runs in every:
        at = _spread(runs.seen)
        series = []
        for name, tone in (("linear", LINEAR), ("memorizer", MEMORIZER)):
            label = f"with the {'linear model' if name == 'linear' else name}"
            series.append(Series(at + 1, runs.mean(f"correlation_{name}")[at], label, tone=tone))
        edge = [Position(runs.leading + 0.5, EDGE)]
        panels.append(
            Panel(
                series,
                f"N = {runs.n}",
                RANK,
                "correlation of samples",
                positions=edge,
                limits=(-0.1, 1.05),
                scale="linear",
            )
        )
    caption = (
        "**Whose sample does the network make?** The correlation over noises between the "
        "network's samples and those of the linear model and of the memorizer from the "
        "same "
        "noises, along each eigenvector of the training covariance; means over training seeds."
    )
    return Figure("correlations", caption, partial(_log, panels))


def losses(every: Sequence[Runs], kind: str) -> Figure:
    """Denoising error against sigma on training or held-out images, a panel a training size."""
    words = {"train": "training images", "test": "held-out images"}[kind]
    panels = []
    for runs in every:
        levels, series = runs.first["levels"], []
        for name, label, tone in (
            ("gaussian", "Gaussian of the training set", LINEAR),
            ("all", "Gaussian of all images", MUTED),
        ):
            series.append(
                Series(
                    levels,
                    runs.first[f"theory_{kind}_{name}"],
                    label,
                    tone=tone,
                    style="line",
                    kind="exact",
                )
            )
            series.append(
                Series(
                    levels,
                    runs.first[f"error_{kind}_{name}"],
                    label,
                    tone=tone,
                    style="dots",
                    kind="measured",
                )
            )
        series.append(
            Series(
                levels,
                _drawable(runs.first[f"error_{kind}_memorizer"]),
                "memorizer",
                tone=MEMORIZER,
                style="dots",
                kind="measured",
            )
        )
        network, se = (
            runs.mean(f"error_{kind}_network"),
            1.96 * runs.mean(f"error_{kind}_network_se"),
        )
        series.append(
            Series(
                levels,
                network,
                "network",
                np.maximum(network - se, 0.1 * network),
                network + se,
                NETWORK,
                "dots",
                "bars",
                "measured",
            )
        )
        panels.append(
            Panel(series, f"N = {runs.n}", SIGMA, "squared error a pixel", limits=(1e-4, 2.0))
        )
    caption = (
        f"**Denoising error on {words}** of the network (mean over training seeds, bars: "
        "95 % over noisy images), of the empirical denoiser (memorizer) and of the two "
        "best linear denoisers: of the training set, and of all images. The same noisy "
        "images for all; lines: the closed forms."
    )
    return Figure(f"losses_{kind}", caption, partial(_log, panels))


def _drawable(values: np.ndarray) -> np.ndarray:
    return np.where(values > 1e-5, values, np.nan)


def positions(every: Sequence[Runs]) -> Figure:
    """Where the network's error lies between the memorizer's and that of the best linear denoiser,
    on training and held-out images.
    """
    tones = list(islice(cycle(ordered(min(6, len(every)))), len(every)))
    panels = []
    for kind, title in (("train", "Training images"), ("test", "Held-out images")):
        series = [
            Series(runs.first["levels"], runs.mean(f"position_{kind}"), f"N = {runs.n}", tone=tone)
            for runs, tone in zip(every, tones)
        ]
        levels = [Level(0.0, "memorizer"), Level(1.0, "Gaussian of all images")]
        panels.append(
            Panel(
                series,
                title,
                SIGMA,
                "place between solutions",
                levels=levels,
                limits=(-0.6, 1.6),
                scale="linear",
            )
        )
    caption = (
        "**Between the two solutions**: the network's denoising error less the "
        "memorizer's, relative to that of the Gaussian of all images less the "
        "memorizer's; means over "
        "training seeds. 0 is as the memorizer, 1 as the best linear denoiser; above 1 "
        "on held-out images is better than that one, on training images worse. "
        f"Gaps: the errors of the two solutions differ by less than a factor of {APART:g}."
    )
    return Figure("positions", caption, partial(_log, panels))


def summary(every: Sequence[Runs]) -> Figure:
    """Agreement sample by sample, and variances of groups of directions, against the size of the
    training set.
    """
    agreement = [
        _over(every, "cosine_linear", "linear model", LINEAR),
        _over(every, "cosine_memorizer", "memorizer", MEMORIZER),
        _over(every, "cosine_solutions", "linear model and memorizer", INK),
    ]
    groups = [
        _over(every, f"ratio_{name}", f"{name} directions", tone)
        for name, tone in zip(("leading", "trailing"), GROUP_TONES)
    ]
    panels = [
        Panel(agreement, "Agreement of samples", IMAGES, "cosine, same noise", limits=(0.0, 1.05)),
        Panel(
            groups,
            "Variance",
            IMAGES,
            "network / linear model",
            levels=[Level(1.0, "as the linear model")],
            limits=(0.5, 1.5),
        ),
    ]
    caption = (
        "**Over the size of the training set.** Left: mean cosine (about the training "
        "mean) between the network's sample and that of the linear model or the "
        "memorizer from the "
        "same noise, and between the two closed forms. Right: the network's variance "
        "over the linear model's, summed over the leading directions, which hold half of "
        "the "
        "training variance, and over the others that the set spans. Bands: 95 % over "
        "training seeds."
    )
    return Figure("summary", caption, partial(_sizes, panels))


def _over(every: Sequence[Runs], name: str, label: str, tone: str) -> Series:
    found = [(runs.n, e) for runs in every if (e := runs.estimate(name))]
    low, high = (
        [getattr(e, end) if np.isfinite(getattr(e, end)) else e.value for _, e in found]
        for end in ("low", "high")
    )
    return Series([n for n, _ in found], [e.value for _, e in found], label, low, high, tone)
