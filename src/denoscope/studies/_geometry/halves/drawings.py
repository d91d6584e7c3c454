"""The figures of denoising: output against input PSNR on training and unseen images, their gap over
N, and how far denoisers are apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import cycle, islice
from typing import TYPE_CHECKING

import numpy as np

from denoscope.estimate import Estimate
from denoscope.report import MUTED, Level, Panel, Series, curves, linear_curves, ordered
from denoscope.report.blocks import Figure
from denoscope.studies._geometry.groups import Group
from denoscope.studies._geometry.halves import psnr
from denoscope.studies._geometry.halves.measuring import Kind
from denoscope.studies._geometry.halves.pairs import Pairs
from denoscope.studies._geometry.halves.reading import Growth, curve, gaps

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

    from denoscope.report.panels import Style

INPUT, OUTPUT, IMAGES = "input PSNR (dB)", "output PSNR (dB)", "training images N"
TRAIN, TEST, TRUTH = ordered(6)[0], ordered(6)[4], ordered(6)[2]
_LINES: dict[Kind, tuple[str, str]] = {
    "train": ("training images", TRAIN),
    "test": ("unseen images", TEST),
}
_TITLES = {"halves": "Disjoint halves", "seeds": "Two seeds", "given": "Given models"}
SHOWN = (0.0, 10.0, 20.0, 30.0)
"""Input PSNRs whose gaps are drawn over N."""


def over_linear(panels: Sequence[Panel], width: float) -> Drawing:
    return linear_curves(panels, width=width)


def over_sizes(panels: Sequence[Panel], width: float) -> Drawing:
    return curves(panels, width=width)


def series(
    x: Sequence[float] | np.ndarray,
    found: Sequence[Estimate],
    label: str,
    tone: str,
    style: Style = "solid",
    kind: str = "",
) -> Series:
    """Estimates as a line with its band; what is not available is a gap."""
    y, low, high = (
        np.array([getattr(e, part) for e in found]) for part in ("value", "low", "high")
    )
    banded = bool(np.isfinite(low).all() and np.isfinite(high).all())
    return Series(
        x, y, label, low if banded else None, high if banded else None, tone, style, kind=kind
    )


def tones(count: int) -> list[str]:
    """One tone each, again from the first where there are more than six."""
    return list(islice(cycle(ordered(min(6, count))), count))


def present(lines: Sequence[Series]) -> list[Series]:
    """The lines that have points; a legend names no others."""
    return [line for line in lines if np.size(line.x)]


def widths(grown: Sequence[Growth]) -> list[str]:
    """The title of each panel, where there are several widths."""
    return [f"width {item.width}" for item in grown] if len(grown) > 1 else [""]


def denoising(groups: Sequence[Group]) -> Figure:
    """Output against input PSNR, a panel a training size or given model."""
    panels = []
    for group in groups:
        lines = []
        for kind, (label, tone) in _LINES.items():
            lines.append(series(psnr.INPUTS, curve(group, kind), label, tone, kind="model"))
            lines.append(
                Series(
                    psnr.INPUTS,
                    _values(curve(group, kind, "memorizer")),
                    label,
                    tone=tone,
                    style="dotted",
                    kind="memorizer",
                )
            )
            lines.append(
                Series(
                    psnr.INPUTS,
                    _values(curve(group, kind, "gaussian")),
                    label,
                    tone=tone,
                    style="dashed",
                    kind="Gaussian",
                )
            )
        if "error_test_truth" in group.first:
            lines.append(
                Series(
                    psnr.INPUTS,
                    _values(curve(group, "test", "truth")),
                    "true denoiser, unseen images",
                    tone=TRUTH,
                    style="line",
                )
            )
        lines.append(Series(psnr.INPUTS, psnr.INPUTS, "output = input", tone=MUTED, style="thin"))
        panels.append(Panel(lines, group.label, INPUT, OUTPUT, limits=(5.0, 55.0)))
    caption = (
        "**Denoising training and unseen images.** Images taken as in [0, 1], peak 1, so "
        "that input PSNR is −20 log₁₀(σ/2) for σ in our units, [−1, 1]; output PSNR is "
        "that of the mean squared error over "
        "images. Errors of models averaged over training seeds and halves, bands: 95 % "
        "by t over images. Memorizer and Gaussian are those of each model's own training "
        "set; curves that leave the frame make almost no "
        "error there."
    )
    return Figure("disjoint_halves_psnr", caption, partial(over_linear, panels))


def _values(found: Sequence[Estimate]) -> np.ndarray:
    return np.array([e.value for e in found])


def gap(grown: Sequence[Growth]) -> Figure:
    """The train-test gap over N, and output PSNR on unseen images beside that of the best linear
    denoiser.
    """
    panels = []
    for item, title in zip(grown, widths(grown)):
        sizes, levels = [group.n for group in item.groups], list(zip(SHOWN, ordered(len(SHOWN))))
        apart = [
            series(
                sizes,
                [gaps(g)[psnr.at(db)] for g in item.groups],
                f"input {db:g} dB",
                tone,
                kind="model",
            )
            for db, tone in levels
        ]
        panels.append(
            Panel(
                apart,
                title or "Training less unseen",
                IMAGES,
                "gap of output PSNR (dB)",
                levels=[Level(0.0, "no gap")],
            )
        )
        unseen = [
            series(
                sizes,
                [curve(g, "test")[psnr.at(db)] for g in item.groups],
                f"input {db:g} dB",
                tone,
                kind="model",
            )
            for db, tone in levels
        ]
        for db, tone in levels:
            best = [curve(g, "test", "gaussian_all")[psnr.at(db)].value for g in item.groups]
            unseen.append(
                Series(
                    sizes,
                    best,
                    f"input {db:g} dB",
                    tone=tone,
                    style="dashed",
                    kind="Gaussian of all images",
                )
            )
        panels.append(Panel(unseen, title or "Unseen images", IMAGES, OUTPUT))
    caption = (
        "**The gap closes.** Left: output PSNR on training less that on unseen images, "
        "over the size of the training set. Right: output PSNR on unseen images; dashed: "
        "the best linear denoiser, of all images that "
        "may be trained on. Bands: 95 % by t over images; models averaged over training "
        "seeds and halves."
    )
    return Figure("disjoint_halves_gap", caption, partial(over_sizes, panels))


def distances(every: Sequence[Pairs]) -> Figure:
    """Root mean square difference of two denoisers against input PSNR, a panel a kind of pair, a
    line a size.
    """
    labels = list(dict.fromkeys(item.label for item in every))
    tone = dict(zip(labels, tones(len(labels))))
    panels = []
    for kind, name in _TITLES.items():
        lines = [
            series(psnr.INPUTS, item.distances(), item.label, tone[item.label])
            for item in every
            if item.kind == kind
        ]
        panels += [Panel(lines, name, INPUT, "RMS difference a pixel")] if lines else []
    halves = [item for item in every if item.kind == "halves"]
    lines = [
        series(psnr.INPUTS, item.distances("answers_gaussian"), item.label, tone[item.label])
        for item in halves
    ]
    panels += (
        [Panel(lines, "Gaussians of halves", INPUT, "RMS difference a pixel")] if lines else []
    )
    caption = (
        "**How far two denoisers are apart** at the same noisy unseen images, in units "
        "of images in [−1, 1]: models of disjoint halves; two training seeds on one "
        "half, which share their images; and the "
        "closed-form Gaussians of the halves. Bands: 95 % by t over images, after "
        "averaging over pairs of models."
    )
    if not halves:
        caption = (
            "**How far two denoisers are apart** at the same noisy unseen images, "
            "in units of images in [−1, 1]. Bands: 95 % by t over images."
        )
    return Figure("disjoint_halves_distances", caption, partial(over_linear, panels))
