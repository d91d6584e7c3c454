"""The figure of intrinsic dimension: what a denoiser states of it at every noise level, beside what
the images do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from denoscope.estimate import Estimate, mean
from denoscope.report import INK, MUTED, Level, Panel, Series
from denoscope.report.blocks import Figure
from denoscope.studies._geometry.groups import Group
from denoscope.studies._geometry.rank.drawings import SIGMA, TRUTH, log, tones
from denoscope.studies._geometry.rank.reading import facts, has, levels, size

SHORT = {
    "two_nn": "TwoNN",
    "mle": "maximum likelihood",
    "local_pca": "local PCA",
    "participation": "participation ratio",
}


def dimension(groups: Sequence[Group], known: int | None) -> Figure:
    """FLIPD and the trace against sigma, with the estimates from the images as levels; ``known``:
    the true dimension, if it is.
    """
    n = size(groups[0])
    marks = [
        Level(value.value, f"images: {SHORT[name]}", MUTED)
        for name in SHORT
        if isinstance(value := groups[0].rows[0].values[f"dimension_{name}"], Estimate)
        and np.isfinite(value.value)
    ]
    marks += [Level(known, "the known dimension", INK)] if known else []
    panels = [
        Panel(
            _series(groups, flipd),
            "FLIPD, clean images",
            SIGMA,
            "dimension",
            levels=marks,
            limits=(0.8, 1.4 * n),
        ),
        Panel(
            _series(groups, traces),
            "Trace of J, noisy images",
            SIGMA,
            "dimension",
            levels=marks,
            limits=(0.8, 1.4 * n),
        ),
    ]
    caption = (
        "**Intrinsic dimension at the scale σ.** Left: FLIPD, tr J + ‖D(x) − x‖²/σ² at "
        "clean unseen images. Right: the trace of J at noisy unseen images, the number "
        "of directions that the denoiser keeps. "
        "Dots: networks, means over points with 95 % t intervals, averaged over training "
        "seeds before. Horizontal: estimates from the images themselves. A network that "
        "copies pushes unseen images away, which raises its FLIPD beyond the pixels. "
        "Both fall to 0 once σ is above the spread of the images; "
        "values below 0.8 are not drawn."
    )
    return Figure("jacobian_rank_dimension", caption, partial(log, panels))


def flipd(group: Group, who: str = "network") -> np.ndarray:
    """FLIPD (levels, points), averaged over members."""
    return group.mean(f"flipd_{who}")


def traces(group: Group, who: str = "network") -> np.ndarray:
    """The trace of J on noisy unseen images (levels, points), averaged over members."""
    return facts(group, "test", who, "trace")


def _series(groups: Sequence[Group], read: Callable[..., np.ndarray]) -> list[Series]:
    found = [
        _dots(levels(group, "test"), read(group), group.label, tone)
        for group, tone in zip(groups, tones(len(groups)))
    ]
    if has(groups[-1], "truth"):
        exact = np.mean(read(groups[-1], "truth"), 1)
        found.append(
            Series(
                levels(groups[-1], "test"),
                np.where(exact > 0, exact, np.nan),
                "true denoiser",
                tone=TRUTH,
                style="line",
            )
        )
    return found


def _dots(x: np.ndarray, found: np.ndarray, label: str, tone: str) -> Series:
    each = [mean(row) for row in found]
    y, low, high = (
        np.array([getattr(estimate, part) for estimate in each])
        for part in ("value", "low", "high")
    )
    shown = y > 0
    return Series(
        x,
        np.where(shown, y, np.nan),
        label,
        np.where(shown, np.maximum(low, 1e-3), np.nan),
        np.where(shown, high, np.nan),
        tone,
    )
