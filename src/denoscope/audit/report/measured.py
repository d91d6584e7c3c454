"""What an audit measured, as readings: by descriptor, set and kind of planted copy."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
from torch import Tensor

from denoscope.audit.findings import MOVED, NEAR, Audit, Evidence
from denoscope.estimate import exact, proportion
from denoscope.metrics.calibrate import CopyRates, auc
from denoscope.metrics.copy_scores import CopyScores
from denoscope.readings import Quantity, Reading, Readings

TOGETHER = "all that decide"
ROLES = {"gen": "gen", "test": "test", "leave_one_out": "train"}
RATES = ("excess", "p_gen", "p_test", "false_alarm", "p_value", "detectable")

_Exact = partial(Quantity, interval=exact)
QUANTITIES = {
    "ratio": _Exact("distance to the nearest / second nearest"),
    "cosine": _Exact("1 − cosine similarity to the nearest"),
    "threshold": _Exact("threshold", form=".3g", tip="in the figure; nearer is called a copy"),
    "spacing": _Exact("spacing", form=".3g", tip="nearer training images are near-duplicates"),
    "excess": Quantity(
        "excess",
        form=".1%",
        tip="share of copies among samples beyond what real ones show; a negative one is farther "
        "from the training set than those",
    ),
    "p_gen": _Exact("samples", form=".2%", tip="called copies, averaged over the two folds"),
    "p_test": _Exact("real", form=".2%", tip="by the half of them that chose no threshold"),
    "false_alarm": _Exact("at", form=".2%", tip="the false alarm rate that chose the threshold"),
    "p_value": _Exact("p", form=".2g", tip="Fisher's exact one-sided test in the first fold"),
    "detectable": _Exact(
        "detectable",
        form=".2%",
        tip="before a sample is seen: the smallest share that 4 of 5 audits of this size find",
    ),
    "auc": Quantity("AUC", form=".3f", tip="the chance that a planted copy scores higher"),
    "power": Quantity("share found", form=".0%", tip="of planted copies"),
    "found": _Exact("share of planted copies found"),
    "repeats": _Exact("exact repeats", form=".0f"),
    "agreement": Quantity("same samples", form=".1%"),
}


def readings(audit: Audit) -> Readings:
    """Everything, but the table of metrics."""
    found = [r for one in audit.evidence for r in _of(one)]
    if together := audit.combined:
        found += _rates(TOGETHER, together.rates, together.detectable)
        found += [
            Reading(
                "power", _copies(TOGETHER, kind), partial(proportion, round(e.value * e.n), e.n)
            )
            for kind, e in together.power.items()
        ]
        found.append(Reading("power", _copies(TOGETHER, "near"), together.near_power))
    found += [
        Reading("repeats", {"set": role}, float(shared.exact.sum()))
        for (role, of), shared in audit.overlap.shared.items()
        if of == "train"
    ]
    if twin := audit.metrics.get("reproducibility", {}).get(audit.first.name):
        found.append(Reading("agreement", {}, twin.estimate))
    return Readings(found, QUANTITIES)


def named(one: Evidence) -> str:
    """A descriptor as it is called everywhere on the page."""
    return one.name if one.decides else f"{one.name} (cannot decide)"


def distance(score: float | Tensor) -> float | Tensor:
    """A score, larger for copies, as how far from the training set that is."""
    return 1 - score


def _of(one: Evidence) -> Iterator[Reading]:
    name, near = named(one), one.near
    for field, role in ROLES.items():
        if (scores := getattr(one, field)) is not None:
            yield Reading(one.score, {"descriptor": name, "set": role}, _distances(one, scores))
    yield Reading("threshold", {"descriptor": name}, distance(one.rates.folds[0].threshold))
    yield Reading("spacing", {"descriptor": name}, one.spacing)
    yield from _rates(name, one.rates, near and one.rates.detectable(near.power.value))
    for kind, quality in one.quality.items():
        yield Reading("auc", _copies(name, kind), quality.auc)
        yield Reading("power", _copies(name, kind), quality.power)
    if near:
        yield Reading("power", _copies(name, "near"), near.power)
    for kind, kinds in (("near", NEAR), ("moved", MOVED)):
        if scores := [one.planted[k].score for k in kinds if k in one.planted]:
            copies = torch.cat(scores)
            area = partial(auc, copies, one.held_out, units=len(scores[0]))
            yield Reading("auc", _copies(name, kind), area)
            far, power = roc(copies, one.held_out)
            for x, y in zip(far.tolist(), power.tolist()):
                yield Reading("found", {**_copies(name, kind), "alarms": x}, y)


def _copies(name: str, kind: str) -> dict[str, str]:
    return {"descriptor": name, "copies": kind}


def _rates(name: str, rates: CopyRates, detectable: float | None) -> Iterator[Reading]:
    for key in RATES:
        value = detectable if key == "detectable" else getattr(rates, key)
        if value is not None:
            yield Reading(key, {"descriptor": name}, value)


def _distances(one: Evidence, scores: CopyScores) -> np.ndarray:
    values = scores.ratio if one.score == "ratio" else distance(scores.score)
    return torch.as_tensor(values).double().clamp(0, 1 if one.score == "ratio" else 2).numpy()


def roc(copies: Tensor, null: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """For 1, 2, … alarms among the null: their share, and the share of copies above the highest
    score that is no alarm; last (1, 1).

    A curve of at most some 200 points, evenly spread in the logarithm of the share.
    """
    n = len(null)
    alarms = np.unique(np.geomspace(1, n, 200).astype(int))
    thresholds = null.double().sort(descending=True).values.numpy()[np.minimum(alarms, n - 1)]
    scores = np.sort(copies.double().numpy())
    power = 1 - np.searchsorted(scores, thresholds, side="right") / len(scores)
    return alarms / n, np.where(alarms == n, 1.0, power)


def chance(least: float) -> Readings:
    """The ROC curve of a descriptor that knows nothing, down to the share ``least``."""
    at = np.geomspace(least, 1, 60).tolist()
    return Readings(
        [Reading("found", {"copies": "chance", "alarms": x}, x) for x in at], QUANTITIES
    )
