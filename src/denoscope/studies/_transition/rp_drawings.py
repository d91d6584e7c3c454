"""The figures of reproducibility: who agrees with whom."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from denoscope.metrics import reproducibility
from denoscope.report import INK, HeatMap, Panel, Series, matrix
from denoscope.report.blocks import Figure
from denoscope.studies._transition.compare import Agreement, Model, memorizer_features, setting_of
from denoscope.studies._transition.drawings import IMAGES, drawn, rp_series, tones
from denoscope.studies._transition.setting import FIXED_THRESHOLD

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing


def agreement(pairs: Sequence[Agreement], widths: Sequence[int]) -> Figure:
    """RP between seeds, between widths and between disjoint halves, with the chance level."""
    tone = tones(widths)
    between = [
        rp_series(
            pairs, "widths", a, b, tone[b], f"{a} and {b}", "solid" if place == 0 else "dashed"
        )
        for i, a in enumerate(widths)
        for place, b in enumerate(widths[i + 1 :])
    ]
    halves = [rp_series(pairs, "halves", w, w, tone[w], f"width {w}") for w in widths]
    panels = [
        Panel(
            _chances(pairs, widths, tone),
            "Seeds, less chance",
            IMAGES,
            "(RP − chance)/(1 − chance)",
            limits=(-0.05, 1.05),
        )
    ]
    fixed = [
        Series([p.n for p in items], [p.fixed for p in items], f"width {w}", tone=tone[w])
        for w in widths
        if (items := _seeds(pairs, w))
    ]
    panels.append(
        Panel(
            fixed,
            f"Seeds, at cosine {FIXED_THRESHOLD:g}",
            IMAGES,
            "RP at a fixed threshold",
            limits=(-0.05, 1.05),
        )
    )
    if any(between):
        panels.append(
            Panel([s for s in between if s], "Between widths", IMAGES, "RP", limits=(-0.05, 1.05))
        )
    if any(halves):
        panels.append(
            Panel(
                [s for s in halves if s],
                "Disjoint training sets",
                IMAGES,
                "RP",
                limits=(-0.05, 1.05),
            )
        )
    caption = (
        "**Who agrees with whom.** RP between two training seeds with the chance level "
        "(the rate over samples of unlike noises) taken out, dotted: "
        "the chance level itself; at a fixed threshold, for comparison; between two "
        "widths trained on the same images; and between models trained on disjoint "
        "halves of "
        "the data, which can agree only if both learned the distribution and not their images."
    )
    return Figure("agreement", caption, partial(drawn, panels))


def _seeds(pairs: Sequence[Agreement], width: int) -> list[Agreement]:
    return sorted((p for p in pairs if p.kind == "seeds" and p.width == width), key=lambda p: p.n)


def _chances(
    pairs: Sequence[Agreement], widths: Sequence[int], tone: dict[int, str]
) -> list[Series]:
    found = {width: items for width in widths if (items := _seeds(pairs, width))}
    series = [
        Series([p.n for p in items], [p.corrected for p in items], f"width {w}", tone=tone[w])
        for w, items in found.items()
    ]
    sizes = sorted({p.n for items in found.values() for p in items})
    chance = [
        np.mean([p.chance for items in found.values() for p in items if p.n == n]) for n in sizes
    ]
    return [*series, Series(sizes, chance, "chance level", tone=INK, style="dotted")]


def heat_maps(models: Sequence[Model], sizes: Sequence[int]) -> Figure:
    """RP between all widths and subsets, and with the closed-form memorizer of each subset, at a
    few sizes.
    """
    maps = [_heat_map([m for m in models if m.n == size], f"N = {size}") for size in sizes]
    caption = (
        "**RP between all kinds of models** at a memorizing, a middle and a generalizing "
        "training size, means over training seeds (on the diagonal: "
        "between two seeds of one width). The off-diagonal blocks compare models that "
        'saw disjoint images; "memorizer" is the optimal denoiser of '
        "the training subset, sampled from the same noises with the same solver."
    )

    def draw(width: float) -> Drawing:
        return matrix(
            maps,
            label="RP, width of each model and the memorizer of its training subset",
            width=width,
        )

    return Figure("matrix", caption, draw)


def _heat_map(models: Sequence[Model], title: str) -> HeatMap:
    kinds: dict[tuple[int, str], list[Tensor]] = {}
    for model in sorted(models, key=lambda m: (m.subset, m.width, m.seed)):
        kinds.setdefault((model.subset, str(model.width)), []).append(model.features)
    for subset in sorted({m.subset for m in models}):
        kinds[subset, "memorizer"] = [
            memorizer_features(next(m for m in models if m.subset == subset))
        ]
    names = sorted(kinds, key=lambda kind: kind[0])
    threshold = setting_of(models[0].row).same
    values = np.array([[_mean_rp(kinds[a], kinds[b], threshold) for b in names] for a in names])
    labels, groups = [name for _, name in names], [f"subset {subset}" for subset, _ in names]
    return HeatMap(values, labels, labels, title, groups, groups)


def _mean_rp(first: Sequence[Tensor], second: Sequence[Tensor], threshold: float) -> float:
    """The mean RP over pairs of different models; NaN where there are none."""
    scores = [
        reproducibility(a, b, threshold=threshold).value
        for a in first
        for b in second
        if a is not b
    ]
    return float(np.mean(scores)) if scores else float("nan")
