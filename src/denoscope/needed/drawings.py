"""The figures of the answer, from its numbers alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from denoscope.needed.answer import Answers
from denoscope.needed.remedies import held_out
from denoscope.needed.words import about, count, share
from denoscope.report import INK, MUTED, Level, Panel, Position, Series, error_curves, ordered
from denoscope.report.blocks import Figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

_FAR = 1e9
_NARROW = 4.0  # a range of values that needs no logarithm
IMAGES = "training images N"
_TONES = ordered(3)


def drawn(panels: Sequence[Panel], width: float) -> Drawing:
    """Panels on logarithmic axes at a width in inches."""
    return error_curves(panels, width=width)


def _figure(name: str, caption: str, panels: Sequence[Panel]) -> Figure:
    return Figure(name, caption, partial(drawn, panels))


def spectrum(found: Answers) -> Figure:
    """Variances over rank: the images' own, held-out images', the estimate."""
    ranks = np.arange(1, found.d + 1)
    starts = np.unique(np.geomspace(1, found.d, 30).astype(int)) - 1
    widths = np.diff(np.append(starts, found.d))
    middles, held = (
        np.add.reduceat(ranks, starts) / widths,
        np.add.reduceat(found.held, starts) / widths,
    )
    lines = [
        Series(ranks, _positive(found.lam), "your images", tone=_TONES[0], style="line"),
        Series(
            middles,
            _positive(held),
            "held-out images, same directions",
            tone=_TONES[1],
            style="dots",
        ),
        Series(ranks, found.spectrum, "true spectrum, estimated", tone=_TONES[2], style="dashed"),
    ]
    spans = found.spanned < found.d
    positions = (
        [Position(found.spanned, f"{count(found.spanned)} directions spanned")] if spans else []
    )
    caption = (
        "**Spectrum.** Variance along the principal directions of your images, of images "
        "held out (along the directions of the other "
        "folds, averaged over neighbouring ranks), and the estimate of the true one. "
        "Your own images exaggerate the variance of the first directions and hide that "
        "of the last; "
        "held-out images do the opposite."
        + (f" Beyond rank {count(found.spanned)} your images show nothing." if spans else "")
    )
    panel = Panel(
        lines,
        "Variance along each direction",
        "rank",
        "variance, pixels in [−1, 1]",
        positions=positions,
    )
    return _figure("spectrum", caption, [panel])


def divergence(found: Answers) -> Figure:
    """Expected divergence a dimension against N, in both directions."""
    n = _column(found, "n")
    panels = []
    for name, title in (("kl", "KL(model ‖ true)"), ("kl_reverse", "KL(true ‖ model)")):
        lines = [
            Series(
                n, _walled(_column(found, name)), "no regularisation", tone=_TONES[1], style="line"
            ),
            Series(
                n,
                _column(found, f"{name}_ridge"),
                "best ridge at each N (estimate)",
                tone=_TONES[2],
                style="line",
            ),
            Series(n, _column(found, "d_over_4n"), "d/(4N)", tone=MUTED, style="thin"),
        ]
        positions = [_yours(found), Position(found.d, f"N = d = {count(found.d)}")]
        panels.append(
            Panel(
                lines,
                title,
                IMAGES,
                "nats a dimension",
                (),
                [Level(found.asked.kl, f"asked: {found.asked.kl:g}", INK)],
                _limits(lines),
                positions,
            )
        )
    plain, ridge = found.sizes.plain["model||true"], found.sizes.ridge["model||true"]
    caption = (
        "**How far the samples' law is from the true one** on average over training "
        "sets. Without regularisation the divergence is infinite up to N = d, whatever "
        f"the data, and falls to d/(4N); {found.asked.kl:g} is reached at {about(plain)} "
        f"images, with the best ridge at about {about(ridge)} (left)."
    )
    return _figure("divergence", caption, panels)


def losses(found: Answers) -> Figure:
    """Train and test loss against N, theory and models trained on subsets."""
    n = _column(found, "n")
    lines = []
    for name, tone in (("test", _TONES[1]), ("train", _TONES[2])):
        label = {"test": "held-out images", "train": "training images"}[name]
        lines.append(Series(n, _column(found, name), label, tone=tone, style="line", kind="theory"))
        if found.tried:
            sizes, values = [t.n for t in found.tried], [getattr(t, name) for t in found.tried]
            lines.append(
                Series(
                    sizes,
                    values,
                    label,
                    tone=tone,
                    style="dots",
                    kind="trained on subsets of your images",
                )
            )
    positions = [_yours(found), Position(found.d, f"N = d = {count(found.d)}")]
    levels = [Level(found.level.least, "least possible", INK)]
    panel = Panel(
        lines,
        f"Loss of noise prediction at abar = {found.asked.abar:g}",
        IMAGES,
        "loss a dimension",
        (),
        levels,
        None,
        positions,
    )
    caption = (
        "**Train and test loss** of a linear model without regularisation; 1 is the loss "
        "of a model that predicts nothing. The gap is within "
        f"{share(found.asked.gap)} of the least possible loss from about "
        f"{about(found.level.needed)} images on."
    )
    if found.tried:
        worst = max(found.tried, key=lambda t: t.off)
        caption += (
            f" Theory and models of subsets differ by at most {share(worst.off)} "
            f"(at N = {count(worst.n)})."
        )
    return _figure("losses", caption, [panel])


def remedies(found: Answers) -> Figure:
    """Held-out loss against ridge and against training time."""
    level, checks = found.level, found.checks
    c = _around(found.ridge, found.lam.max())
    k = _around(level.k, 1 / found.lam.max())
    of_ridge, of_time = held_out(checks, level.abar, ridge=c), held_out(checks, level.abar, k=k)
    levels = [
        Level(level.trained, "trained to the end, no ridge"),
        Level(level.least, "least possible", INK),
    ]
    chosen = [Position(found.ridge, "recommended", INK)] if found.ridge > 0 else []
    stop = [Position(level.k, "recommended", INK)] if math.isfinite(level.k) else []
    name = "held-out loss a dimension"
    values = np.concatenate([of_ridge, of_time, [level.trained, level.least]])
    scale = "linear" if values.max() < _NARROW * values.min() else "log"
    panels = [
        Panel(
            [Series(c, of_ridge, tone=_TONES[2], style="line")],
            "Against ridge",
            "ridge c",
            name,
            (),
            levels,
            None,
            chosen,
            scale,
        ),
        Panel(
            [Series(k, of_time, tone=_TONES[2], style="line")],
            "Against training time",
            "k = 2 eta tau",
            name,
            (),
            levels,
            None,
            stop,
            scale,
        ),
    ]
    caption = (
        "**Until there are enough images**: the loss on held-out images at abar = "
        f"{level.abar:g} against the ridge c and against the training time "
        "k = 2 eta tau. The recommended ridge is the one under which held-out images are "
        "most probable over all noise levels together, so it need not be the "
        "lowest point at this one; the recommended training time is the lowest point."
    )
    return _figure("remedies", caption, panels)


def _yours(found: Answers) -> Position:
    return Position(found.n, f"your {count(found.n)} images", INK)


def _column(found: Answers, name: str) -> np.ndarray:
    """A column of the table over N; what is infinite leaves a gap."""
    return np.array([math.nan if row[name] is None else row[name] for row in found.table], float)


def _positive(values: np.ndarray) -> np.ndarray:
    return np.where(values > 0, values, np.nan)


def _walled(values: np.ndarray) -> np.ndarray:
    """``values`` with the last gap before them as a point far above the axes: the wall that they
    come down from.
    """
    gaps = np.flatnonzero(np.isnan(values))
    return values if not len(gaps) else np.where(np.arange(len(values)) == gaps[-1], _FAR, values)


def _limits(lines: Sequence[Series]) -> tuple[float, float]:
    """From below the least value to a little above the largest but not beyond 100 nats a
    dimension.
    """
    values = np.concatenate([np.asarray(line.y, float) for line in lines])
    values = values[(values > 0) & (values < _FAR)]
    return float(values.min()) / 1.5, min(100.0, float(values.max()) * 1.5)


def _around(middle: float, other: float) -> np.ndarray:
    """Three decades to either side of ``middle``, or of ``other`` where that is 0 or infinite."""
    center = middle if middle > 0 and math.isfinite(middle) else other
    return np.geomspace(1e-3, 1e3, 121) * center


DRAWN: tuple[Callable[[Answers], Figure], ...] = (spectrum, divergence, losses, remedies)
"""Every figure, in the order of the page."""
