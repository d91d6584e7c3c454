"""The figures of samples: how alike those of two models from one noise are, beside their likeness
to training images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from denoscope.estimate import Estimate, mean
from denoscope.report import INK, MUTED, Panel, Series, ordered
from denoscope.report.blocks import Figure
from denoscope.studies._geometry.halves.drawings import (
    IMAGES,
    TEST,
    TRAIN,
    over_linear,
    over_sizes,
    present,
    series,
    widths,
)
from denoscope.studies._geometry.halves.pairs import Pairs, averaged
from denoscope.studies._geometry.halves.reading import Growth

BINS = 25
_SEEDS, _GAUSSIAN, _MEMORIZER = ordered(6)[5], ordered(6)[2], ordered(6)[1]


def histograms(every: Sequence[Pairs]) -> Figure:
    """Histograms of the cosines, a panel a size or pair of given models."""
    shown = [item for item in every if item.kind != "seeds"]
    lowest = min(float(np.quantile(item.unlike, 0.01)) for item in shown)
    edges = np.linspace(np.floor(10 * lowest) / 10, 1.0, BINS + 1)
    panels = []
    for item in shown:
        between = "the two models, same noise" if item.kind == "given" else "the halves, same noise"
        lines = [
            _steps(edges, item.unlike, "unlike noises", MUTED),
            _steps(
                edges,
                np.stack([pair[i]["similarity"] for pair in item.members for i in (0, 1)]),
                "nearest training image",
                TRAIN,
            ),
            _steps(edges, item.cosines(), between, TEST),
        ]
        panels.append(Panel(lines, item.label, "cosine", "share of samples"))
    caption = (
        "**Samples of two models that share no training image**: cosine of the two "
        "samples from the same noise, of a sample with its nearest training image, and, "
        "as chance level, of samples from unlike noises. "
        "Images less their own mean; all models of a size together."
    )
    return Figure("disjoint_halves_histograms", caption, partial(over_linear, panels))


def _steps(edges: np.ndarray, values: np.ndarray, label: str, tone: str) -> Series:
    """A histogram's outline, filled; what lies below the first edge counts in the first bin."""
    counts = np.histogram(np.maximum(values, edges[0]), edges)[0] / values.size
    heights = np.repeat(counts, 2)
    return Series(
        np.repeat(edges, 2)[1:-1], heights, label, np.zeros(len(heights)), heights, tone, "line"
    )


def agreement(grown: Sequence[Growth]) -> Figure:
    """Cosines over N with what they are to be compared with, and quantiles over noises."""
    panels = []
    for item, title in zip(grown, widths(grown)):
        halves, seeds = item.pairs.get("halves", []), item.pairs.get("seeds", [])
        models = present(
            [
                _over(halves, lambda p: p.agreement, "disjoint halves", TEST),
                _over(seeds, lambda p: p.agreement, "two seeds of one half", _SEEDS),
                _over(halves, lambda p: p.likeness, "nearest training image", TRAIN),
                Series(
                    [p.n for p in halves],
                    [p.unlike.mean() for p in halves],
                    "unlike noises",
                    tone=INK,
                    style="dotted",
                ),
            ]
        )
        closed = [
            _over(
                halves,
                lambda p: averaged(p.cosines("_gaussian")),
                "Gaussians of the halves",
                _GAUSSIAN,
            ),
            _over(
                halves,
                lambda p: averaged(p.cosines("_memorizer")),
                "memorizers of the halves",
                _MEMORIZER,
            ),
            _over(
                halves,
                lambda p: mean(p.nearest("similarity_unseen").mean(0)),
                "unseen image, nearest training image",
                MUTED,
            ),
        ]
        limits = (
            min(float(np.min(np.asarray(line.y))) for line in [*models, *closed]) - 0.05,
            1.02,
        )
        panels.append(
            Panel(models, title or "Samples of the models", IMAGES, "cosine", limits=limits)
        )
        panels.append(Panel(closed, title or "For comparison", IMAGES, "cosine", limits=limits))
        panels.append(
            Panel(
                [_over(halves, lambda p: averaged(p.closer()), "disjoint halves", TEST)],
                title or "Nearer to the other",
                IMAGES,
                "share of samples",
                limits=(-0.03, 1.03),
            )
        )
    caption = (
        "**Over the size of the training set.** Left: mean cosine between samples from "
        "one noise of models of disjoint halves, and of two training seeds on one half; "
        "of a sample with its nearest training image; of "
        "samples from unlike noises. Middle: the same between the halves' closed forms, "
        "and of unseen images with their nearest training image: even real images come "
        "nearer as N grows. Right: share of samples nearer to the other half's sample "
        "than to any "
        "training image of their own. Images less their own mean. Bands: 95 % by t over "
        "noises (unseen images), after averaging over pairs of models."
    )
    return Figure("disjoint_halves_agreement", caption, partial(over_sizes, panels))


def _over(
    pairs: Sequence[Pairs], ask: Callable[[Pairs], Estimate], label: str, tone: str
) -> Series:
    return series([item.n for item in pairs], [ask(item) for item in pairs], label, tone)
