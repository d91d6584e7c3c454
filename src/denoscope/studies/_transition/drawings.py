"""The figures of the transition, from stored rows and what was compared."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from denoscope.data.images import to_uint8
from denoscope.estimate import Estimate
from denoscope.metrics import reproducibility
from denoscope.report import (
    INK,
    MUTED,
    Gallery,
    HeatMap,
    Level,
    Marker,
    Panel,
    Series,
    Strip,
    curves,
    error_curves,
    matrix,
    ordered,
)
from denoscope.report.blocks import Figure
from denoscope.report.panels import Style
from denoscope.store import Row
from denoscope.studies._transition.compare import Agreement, Model, Verdicts, memorizer_features, setting_of
from denoscope.studies._transition.setting import FIXED_THRESHOLD

IMAGES = "training images N"


def number(row: Row, name: str) -> float:
    """A value of a row as a number; an Estimate gives its value."""
    value = row.values.get(name)
    return float(value) if isinstance(value, Estimate | int | float) else float("nan")


def at(row: Row, name: str) -> int:
    """A whole-number field of a row."""
    return int(str(row.fields[name]))


def tones(widths: Sequence[int]) -> dict[int, str]:
    """One tone a width, in order of capacity."""
    return dict(zip(widths, ordered(len(widths))))


def averaged(rows: Sequence[Row], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Sizes and the mean of a value over the runs of each size."""
    sizes = sorted({at(row, "n") for row in rows})
    return np.array(sizes), np.array([np.mean([number(row, name) for row in rows if at(row, "n") == size]) for size in sizes])


def _of(rows: Sequence[Row], width: int) -> list[Row]:
    return [row for row in rows if at(row, "width") == width]


def transition(found: Verdicts, pairs: Sequence[Agreement], widths: Sequence[int]) -> Figure:
    """The main figure: GLc and RP against N, a line a width, N* marked."""
    tone = tones(widths)
    main, markers, again = [], [], []
    for width in widths:
        item = found.transitions[width]
        low, high = [e.low for e in item.curve], [e.high for e in item.curve]
        main.append(Series(item.sizes, [e.value for e in item.curve], f"width {width}", low, high, tone[width]))
        markers.append(Marker(item.point.value, item.point.low, item.point.high, 0.5, _named(item.point, item.sizes), tone[width]))
        again += [_rp_series(pairs, "seeds", width, width, tone[width], f"width {width}")]
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
        Panel([s for s in again if s], "Do two trainings agree?", IMAGES, "RP, same noise, two training seeds", limits=(-0.05, 1.05)),
    ]
    caption = (
        "**Memorization to generalization.** Left: GLc, the share of samples that are no copies of training images, relative to held-out "
        "images (0 copies only, 1 as novel as real images outside the training set); bands are 95 % bootstrap over training runs, points on the "
        "line at one half are N* with their 95 % intervals. Right: reproducibility RP, the share of noises from which two models that "
        "differ only in their training seed make the same image; bands over pairs of runs and noises."
    )
    return Figure("transition", caption, partial(_curves, panels))


def _named(point: Estimate, sizes: Sequence[int]) -> str:
    """N* in the legend: the number, or the side on which it lies."""
    return (
        f"N* = {point.value:.0f}"
        if np.isfinite(point.value)
        else f"N* {'<' if point.value < 0 else '>'} {sizes[0] if point.value < 0 else sizes[-1]}"
    )


def _curves(panels: Sequence[Panel], width: float):
    return curves(panels, width=width)


def _rp_series(
    pairs: Sequence[Agreement], kind: str, width: int, other: int, tone: str, label: str, style: Style = "solid"
) -> Series | None:
    items = sorted((p for p in pairs if (p.kind, p.width, p.other) == (kind, width, other)), key=lambda p: p.n)
    if not items:
        return None
    rp = [item.rp for item in items]
    return Series([p.n for p in items], [e.value for e in rp], label, [e.low for e in rp], [e.high for e in rp], tone, style)


def controls(rows: Sequence[Row], widths: Sequence[int], false_alarm: float) -> Figure:
    """What stands behind GLc: the hold-out's own alarms, the raw GL at a fixed threshold, the second descriptor."""
    tone = tones(widths)
    held, raw, second = [], [], []
    sizes, control = averaged(rows, "gl_fixed_test")
    raw.append(Series(sizes, control, "held-out images", tone=INK, style="dashed"))
    sizes, alarms = averaged(rows, "p_test")
    held.append(Series(sizes, alarms, "held-out images", tone=INK, style="dashed"))
    for width in widths:
        mine = _of(rows, width)
        held.append(Series(*averaged(mine, "p_gen"), f"width {width}", tone=tone[width]))
        raw.append(Series(*averaged(mine, "gl_fixed"), f"width {width}", tone=tone[width]))
        second.append(Series(*averaged(mine, "glc_pca"), f"width {width}", tone=tone[width]))
    panels = [
        Panel(
            held,
            "Above the copy threshold",
            IMAGES,
            "share of images",
            levels=[Level(false_alarm, f"declared rate {false_alarm:g}")],
            limits=(-0.05, 1.05),
        ),
        Panel(raw, f"Raw GL at cosine {FIXED_THRESHOLD:g}", IMAGES, "GL, uncalibrated", limits=(-0.05, 1.05)),
        Panel(second, "GLc, second descriptor", IMAGES, "GLc, whitened PCA", limits=(-0.08, 1.25)),
    ]
    caption = (
        "**Controls.** The share above each training set's copy threshold, for samples and for held-out images that did not choose the threshold; "
        f"the raw GL at a fixed cosine of {FIXED_THRESHOLD:g}, where even real held-out images stop looking novel as N grows, which is why the main "
        "curve is calibrated; GLc once more in another feature space. Means over training runs."
    )
    return Figure("controls", caption, partial(_curves, panels))


def quality(rows: Sequence[Row], widths: Sequence[int], floor: Estimate) -> Figure:
    """That the samples are images at all: Fréchet distance against its floor, held-out denoising error against a linear model's."""
    tone = tones(widths)
    distance = [Series(*averaged(_of(rows, w), "frechet"), f"width {w}", tone=tone[w]) for w in widths]
    error = [Series(*averaged(_of(rows, w), "error_test"), f"width {w}", tone=tone[w]) for w in widths]
    panels = [
        Panel(
            distance,
            "Samples against held-out images",
            IMAGES,
            "Fréchet distance, pixels",
            levels=[Level(floor.value, "real against real")],
        ),
        Panel(error, "Denoising held-out images", IMAGES, "error / linear model's", levels=[Level(1.0, "Wiener denoiser of all data")]),
    ]
    caption = (
        "**Quality.** Noise would look novel too, so novelty counts only where quality holds: the Fréchet distance of samples to held-out images in "
        "pixel space with the distance of as many real images as its floor, and the denoising error on held-out images (geometric mean over noise "
        "levels) relative to the best linear denoiser fitted to the whole pool. Means over training runs."
    )
    return Figure("quality", caption, partial(_curves, panels))


def memorized(rows: Sequence[Row], widths: Sequence[int]) -> Figure:
    """The one-third rule beside its own hold-out rate."""
    tone = tones(widths)
    share = [Series(*averaged(rows, "memorized_test"), "held-out images", tone=INK, style="dashed")]
    share += [Series(*averaged(_of(rows, w), "memorized"), f"width {w}", tone=tone[w]) for w in widths]
    theory = [Series(*averaged(_of(rows, w), "rp_memorizer"), f"width {w}", tone=tone[w]) for w in widths]
    panels = [
        Panel(share, "Memorized by the 1/3 rule", IMAGES, "share of samples", limits=(-0.05, 1.05)),
        Panel(theory, "Same image as the memorizer", IMAGES, "RP with the empirical denoiser", limits=(-0.05, 1.05)),
    ]
    caption = (
        "**Copying, seen two other ways.** Left: samples at less than a third of the distance to the nearest training image that they have to the second "
        "nearest (near-duplicates of the first not counted), beside the rate of held-out images. Right: how often a model makes what the closed-form "
        "memorizer (the optimal denoiser of the training set) makes from the same noise with the same solver. Means over training runs."
    )
    return Figure("memorized", caption, partial(_curves, panels))


def agreement(pairs: Sequence[Agreement], widths: Sequence[int]) -> Figure:
    """RP between seeds, between widths and between disjoint halves, with the chance level."""
    tone = tones(widths)
    between = [
        _rp_series(pairs, "widths", a, b, tone[b], f"{a} and {b}", "solid" if place == 0 else "dashed")
        for i, a in enumerate(widths)
        for place, b in enumerate(widths[i + 1 :])
    ]
    halves = [_rp_series(pairs, "halves", w, w, tone[w], f"width {w}") for w in widths]
    panels = [Panel(_chances(pairs, widths, tone), "Seeds, less chance", IMAGES, "(RP − chance)/(1 − chance)", limits=(-0.05, 1.05))]
    fixed = [
        Series([p.n for p in items], [p.fixed for p in items], f"width {w}", tone=tone[w]) for w in widths if (items := _seeds(pairs, w))
    ]
    panels.append(Panel(fixed, f"Seeds, at cosine {FIXED_THRESHOLD:g}", IMAGES, "RP at a fixed threshold", limits=(-0.05, 1.05)))
    if any(between):
        panels.append(Panel([s for s in between if s], "Between widths", IMAGES, "RP", limits=(-0.05, 1.05)))
    if any(halves):
        panels.append(Panel([s for s in halves if s], "Disjoint training sets", IMAGES, "RP", limits=(-0.05, 1.05)))
    caption = (
        "**Who agrees with whom.** RP between two training seeds with the chance level (the rate over samples of unlike noises) taken out, dotted: "
        "the chance level itself; at a fixed threshold, for comparison; between two widths trained on the same images; and between models trained on disjoint halves of "
        "the data, which can agree only if both learned the distribution and not their images."
    )
    return Figure("agreement", caption, partial(_curves, panels))


def _seeds(pairs: Sequence[Agreement], width: int) -> list[Agreement]:
    return sorted((p for p in pairs if p.kind == "seeds" and p.width == width), key=lambda p: p.n)


def _chances(pairs: Sequence[Agreement], widths: Sequence[int], tone: dict[int, str]) -> list[Series]:
    found = {width: items for width in widths if (items := _seeds(pairs, width))}
    series = [Series([p.n for p in items], [p.corrected for p in items], f"width {w}", tone=tone[w]) for w, items in found.items()]
    sizes = sorted({p.n for items in found.values() for p in items})
    chance = [np.mean([p.chance for items in found.values() for p in items if p.n == n]) for n in sizes]
    return [*series, Series(sizes, chance, "chance level", tone=INK, style="dotted")]


def heat_maps(models: Sequence[Model], sizes: Sequence[int]) -> Figure:
    """RP between all widths and subsets, and with the closed-form memorizer of each subset, at a few sizes."""
    maps = [_heat_map([m for m in models if m.n == size], f"N = {size}") for size in sizes]
    caption = (
        "**RP between all kinds of models** at a memorizing, a middle and a generalizing training size, means over training seeds (on the diagonal: "
        'between two seeds of one width). The off-diagonal blocks compare models that saw disjoint images; "memorizer" is the optimal denoiser of '
        "the training subset, sampled from the same noises with the same solver."
    )

    def draw(width: float):
        return matrix(maps, label="RP, width of each model and the memorizer of its training subset", width=width)

    return Figure("matrix", caption, draw)


def _heat_map(models: Sequence[Model], title: str) -> HeatMap:
    kinds: dict[tuple[int, str], list[Tensor]] = {}
    for model in sorted(models, key=lambda m: (m.subset, m.width, m.seed)):
        kinds.setdefault((model.subset, str(model.width)), []).append(model.features)
    for subset in sorted({m.subset for m in models}):
        kinds[subset, "memorizer"] = [memorizer_features(next(m for m in models if m.subset == subset))]
    names = sorted(kinds, key=lambda kind: kind[0])
    threshold = setting_of(models[0].row).same
    values = np.array([[_mean_rp(kinds[a], kinds[b], threshold) for b in names] for a in names])
    labels, groups = [name for _, name in names], [f"subset {subset}" for subset, _ in names]
    return HeatMap(values, labels, labels, title, groups, groups)


def _mean_rp(first: Sequence[Tensor], second: Sequence[Tensor], threshold: float) -> float:
    """The mean RP over pairs of different models; NaN where there are none."""
    scores = [reproducibility(a, b, threshold=threshold).value for a in first for b in second if a is not b]
    return float(np.mean(scores)) if scores else float("nan")


def errors(rows: Sequence[Row], sizes: Sequence[int], widths: Sequence[int]) -> Figure:
    """Denoising error on training and held-out images against sigma, beside memorizer and Wiener denoiser."""
    tone = tones(widths)
    panels = []
    for size in sizes:
        mine = [row for row in rows if at(row, "n") == size]
        if not mine:
            continue
        arrays = mine[0].arrays()
        levels = arrays["levels"]
        series = []
        for name, label, ink in (("memorizer", "memorizer", INK), ("gaussian", "Wiener denoiser", MUTED)):
            for kind, style in STYLES:
                series.append(Series(levels, _positive(arrays[f"error_{kind}_{name}"]), label, tone=ink, style=style, kind=_KIND[kind]))
        for width in widths:
            runs = [row.arrays() for row in _of(mine, width)]
            for kind, style in STYLES:
                mean = np.mean([run[f"error_{kind}"] for run in runs], axis=0)
                series.append(Series(levels, _positive(mean), f"width {width}", tone=tone[width], style=style, kind=_KIND[kind]))
        panels.append(Panel(series, f"N = {size}", "noise level σ", "squared error a pixel", limits=(LEAST_ERROR, 2.0)))
    caption = (
        "**Denoising error** on training images (dashed) and held-out ones (solid). A memorizer's gap is wide; where a model generalizes the two meet. "
        "For reference the closed-form memorizer and the Wiener denoiser (the best linear one) of the same training set."
    )

    def draw(width: float):
        return error_curves(panels, width=width)

    return Figure("errors", caption, draw)


_KIND = {"train": "training images", "test": "held-out images"}
STYLES: tuple[tuple[str, Style], ...] = (("train", "dashed"), ("test", "solid"))
LEAST_ERROR = 1e-4


def _positive(values: np.ndarray) -> np.ndarray:
    """Values for a logarithmic axis that ends at ``LEAST_ERROR``: what lies far below, as the memorizer's errors do, becomes a gap."""
    return np.where(values > LEAST_ERROR / 10, values, np.nan)


def galleries(models: Sequence[Model], width: int, sizes: Sequence[int], noises: int = 8) -> list[Gallery]:
    """Sample, nearest training image, and the other seed's sample from the same noise, at a few sizes."""
    found = []
    for size in sizes:
        pair = sorted((m for m in models if (m.n, m.width, m.subset) == (size, width, 0)), key=lambda m: m.seed)
        if not pair:
            continue
        first, other = pair[0], pair[1] if len(pair) > 1 else None
        found.append(_gallery(first, other, size, noises))
    return found


def _gallery(first: Model, other: Model | None, size: int, noises: int) -> Gallery:
    setting, arrays = setting_of(first.row), first.row.arrays()
    train = setting.train(size, first.subset)
    twin = None if other is None else other.row.arrays()["samples"]
    strips = []
    for index in range(noises):
        images = [_pixels(arrays["samples"][index]), _pixels(train[int(arrays["nearest"][index])].numpy())]
        notes = ["", f"{arrays['similarity'][index]:.2f}"]
        if other is not None and twin is not None:
            cosine = torch.cosine_similarity(first.features[index], other.features[index], dim=0)
            images.append(_pixels(twin[index]))
            notes.append(f"{float(cosine):.2f}")
        strips.append(Strip(images, notes))
    columns = ["sample", "nearest training image", "other seed, same noise"][: len(strips[0].images)]
    return Gallery(f"N = {size}, width {first.width}", columns, strips)


def _pixels(image: np.ndarray) -> np.ndarray:
    """(c, h, w) in [-1, 1] to uint8 (h, w, c)."""
    return to_uint8(torch.from_numpy(image).nan_to_num().clamp(-1, 1)).permute(1, 2, 0).numpy()
