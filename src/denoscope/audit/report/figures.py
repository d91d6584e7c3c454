"""The figures of an audit: how near samples come to the training set, and whether the descriptors
can see copies.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from denoscope.audit.findings import MOVED, NEAR, Audit, Evidence
from denoscope.audit.report.caveats import called, thing
from denoscope.audit.report.matches import deciding
from denoscope.metrics.copy_scores import CopyScores
from denoscope.report import (
    INK,
    MUTED,
    Figure,
    Panel,
    Position,
    Series,
    error_curves,
    linear_curves,
    ordered,
)
from denoscope.report.words import percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

BINS = 40
_GEN, _TEST, _OWN = ordered(6)[1], ordered(6)[4], MUTED
_TONES = (*ordered(6)[:4], ordered(6)[4], ordered(6)[5], MUTED)
_AXES = {
    "ratio": "distance to the nearest / second nearest",
    "cosine": "cosine similarity to the nearest",
}


def drawn_near(panels: Sequence[Panel], width: float) -> Drawing:
    """Histograms at a width in inches."""
    return linear_curves(panels, width=width, height=2.9)


def drawn_roc(panels: Sequence[Panel], width: float) -> Drawing:
    """ROC curves at a width in inches."""
    return error_curves(panels, width=width, height=2.9)


def nearness(audit: Audit) -> Figure:
    """Histograms of what samples, held-out images and training images score against the training
    set, a panel a descriptor.
    """
    word = thing(audit)
    panels = [_histograms(found, word) for found in audit.evidence]
    sides = {"ratio": "near 0 for a ratio of distances", "cosine": "near 1 for a cosine"}
    kinds = [sides[kind] for kind in dict.fromkeys(found.score for found in audit.evidence)]
    rate = percent(audit.first.rates.false_alarm)
    null = (
        f"real held-out {word}"
        if audit.first.test is not None
        else f"training {word} among themselves"
    )
    caption = (
        "**How near samples come to the training set**, by each descriptor; copies lie "
        f"{' and '.join(kinds)}. Bars of equal width; the axis is logarithmic, so that a "
        f"single sample shows. The threshold is the one that {rate} of {null} pass "
        f"(chosen on one half of them). Training {word} are compared with all others, "
        "each "
        "without its near-duplicates."
    )
    return Figure("audit_nearness", caption, partial(drawn_near, panels))


def _histograms(found: Evidence, word: str) -> Panel:
    sets: list[tuple[str, CopyScores, str]] = [("samples", found.gen, _GEN)]
    if found.test is not None:
        sets.append((f"held-out {word}", found.test, _TEST))
    sets.append((f"training {word}, leave-one-out", found.leave_one_out, _OWN))
    values = [_shown(found, scores) for _, scores, _ in sets]
    edges = bins(found, values)
    floor = 50.0 / max(map(len, values))
    lines = []
    for (label, _, tone), each in zip(sets, values):
        x, y = steps(each, edges)
        low = np.full_like(x, floor / 10) if tone == _GEN else None
        lines.append(
            Series(
                x,
                np.maximum(y, floor / 10),
                label,
                low,
                None if low is None else np.maximum(y, floor / 10),
                tone,
                "thin" if tone == _OWN else "line",
            )
        )
    threshold = _turned(found, found.rates.folds[0].threshold)
    positions = (
        [Position(threshold, "threshold", INK)] if edges[0] <= threshold <= edges[-1] else []
    )
    top = max(float(np.max(np.asarray(line.y))) for line in lines)
    return Panel(
        lines,
        _title(found),
        _AXES[found.score],
        "% of the set in each bin",
        limits=(floor, min(130.0, 2 * top)),
        positions=positions,
        scale="log",
        span=(edges[0], edges[-1]),
    )


def _title(found: Evidence) -> str:
    return found.name if found.decides else f"{found.name} (cannot decide)"


def _turned(found: Evidence, score: float) -> float:
    """A score on the axis of the figure: a ratio's is 1 - d1/d2."""
    return 1 - score if found.score == "ratio" else score


def _shown(found: Evidence, scores: CopyScores) -> np.ndarray:
    values = scores.ratio if found.score == "ratio" else scores.score
    return values.double().clamp(0.0 if found.score == "ratio" else -1.0, 1.0).numpy()


def bins(found: Evidence, values: Sequence[np.ndarray]) -> np.ndarray:
    """Common edges, (BINS + 1,): ratios fill [0, 1], cosines [least of all, 1]."""
    low = 0.0 if found.score == "ratio" else min(float(each.min()) for each in values)
    return np.linspace(min(low, 1 - 1e-6), 1.0, BINS + 1)


def steps(values: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The outline of a histogram in per cent of the set: each edge twice, each height twice."""
    shares = 100 * np.histogram(values, edges)[0] / len(values)
    return np.repeat(edges, 2)[1:-1], np.repeat(shares, 2)


def sharpness(audit: Audit) -> Figure:
    """ROC curves of planted copies against the null, a panel a descriptor."""
    panels = [_roc(found) for found in audit.evidence if found.planted]
    word = (
        f"held-out {thing(audit)}"
        if audit.first.test is not None
        else f"training {thing(audit)} among themselves"
    )
    deciders = deciding(audit)
    caption = (
        "**Can the descriptors see copies?** Share of planted copies found against the "
        f"share of {word} flagged for it, as the threshold falls; each kind of copy is "
        "one line, "
        "those that were moved are dashed. A descriptor that knows nothing follows the "
        "dotted line. The vertical line is the false alarm rate of "
        f"{percent(deciders[0].rates.false_alarm)}."
    )
    return Figure("audit_roc", caption, partial(drawn_roc, panels))


def _roc(found: Evidence) -> Panel:
    names = [name for name in (*NEAR, *MOVED) if name in found.planted]
    tones: dict[str, str] = dict(zip((*NEAR, *MOVED), _TONES))
    least = 1 / len(found.held_out)
    lines = []
    for name in names:
        far, power = roc(found.planted[name].score, found.held_out)
        lines.append(
            Series(
                far,
                power,
                called(name),
                tone=tones[name],
                style="dashed" if name in MOVED else "line",
            )
        )
    chance = np.geomspace(least, 1, 60)
    lines.append(Series(chance, chance, "chance", tone=MUTED, style="dotted"))
    rate = Position(found.rates.false_alarm, "false alarm rate", INK)
    area = f", AUC {found.near.auc.value:.3f}" if found.near else ""
    return Panel(
        lines,
        f"{found.name}{area}",
        "false alarms",
        "copies found",
        limits=(-0.02, 1.02),
        positions=[rate],
        scale="linear",
        span=(least, 1.0),
    )


def roc(copies: Tensor, null: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """For 1, 2, … alarms among the null: their share, and the share of copies above the highest
    score that is no alarm; last (1, 1).

    A curve of at most some 200 points, evenly spread in the logarithm of the share.
    """
    n = len(null)
    ordered_null = null.double().sort(descending=True).values
    alarms = np.unique(np.geomspace(1, n, 200).astype(int))
    at = np.minimum(alarms, n - 1)
    thresholds = ordered_null.numpy()[at]
    scores = np.sort(copies.double().numpy())
    power = 1 - np.searchsorted(scores, thresholds, side="right") / len(scores)
    return alarms / n, np.where(alarms == n, 1.0, power)
