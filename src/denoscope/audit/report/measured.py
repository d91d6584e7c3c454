"""What an audit measured, as readings: by descriptor, set and kind of planted copy."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
from torch import Tensor

from denoscope.audit.findings import MOVED, PLANTED, Audit, Evidence
from denoscope.audit.report.likeness import nearness
from denoscope.estimate import Estimate, exact
from denoscope.metrics.calibrate import auc
from denoscope.metrics.controlled_rates import Calibrated
from denoscope.metrics.copy_scores import CopyScores
from denoscope.metrics.one_score import score_at
from denoscope.readings import Quantity, Reading, Readings

TOGETHER = "all that decide"
ROLES = {"gen": "gen", "test": "test", "leave_one_out": "train"}
RATES = ("excess", "p_gen", "p_test", "own", "p_value", "detectable")

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
    "p_gen": Quantity("samples", form=".2%", tip="above the threshold that shows more"),
    "p_test": Quantity("real", form=".2%", tip="of folds of them that chose no threshold"),
    "own": Quantity("left out", form=".2%", tip="training images, each among the others"),
    "p_value": _Exact("p", form=".2g", tip="Fisher's, against both controls, at both thresholds"),
    "alike": _Exact("p", form=".2g", tip="that training images pass more often than held-out ones"),
    "sight": Quantity("copies seen", form=".1%", tip="the excess that planted copies would read"),
    "detectable": _Exact(
        "detectable",
        form=".2%",
        tip="before a sample is seen: the smallest share that 4 of 5 audits of this size find",
    ),
    "auc": Quantity("AUC", form=".3f", tip="the chance that a planted copy scores higher"),
    "power": Quantity("share found", form=".0%", tip="of planted copies"),
    "found": _Exact("share of planted copies found"),
    "repeats": _Exact("exact repeats", form=".0f"),
    "tail": Quantity("share", form=".1%", tip="of samples; a twentieth of real images lies there"),
    "nearness": Quantity("nearness", form=".3f", tip="½ as near as real images, 1 copies"),
    "agreement": Quantity("same samples", form=".1%"),
}


def readings(audit: Audit) -> Readings:
    """Everything, but the table of metrics."""
    found = [r for one in audit.evidence for r in _of(one)]
    if together := audit.combined:
        found += _rates(TOGETHER, together)
        found.append(Reading("alike", {}, together.unlike))
    if (near := nearness(audit)) is not None:
        found.append(Reading("nearness", {}, partial(_nearness, audit, "")))
        found += [Reading("tail", {"side": t}, partial(_nearness, audit, t)) for t in near.tails]
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


def _nearness(audit: Audit, tail: str, level: float = 0.95) -> Estimate:
    """Nearness, or one of its tails."""
    found = nearness(audit, level)
    assert found is not None  # asked where it is there
    return found.tails[tail] if tail else found


def _of(one: Evidence) -> Iterator[Reading]:
    name, rates = named(one), one.rates
    for field, role in ROLES.items():
        if (scores := getattr(one, field)) is not None:
            kept = scores.at(~one.aside["own" if role == "train" else role])
            yield Reading(one.score, {"descriptor": name, "set": role}, _distances(one, kept))
    yield Reading("spacing", {"descriptor": name}, one.spacing)
    if rates:
        limit = score_at(one.score, rates.best.threshold)
        yield Reading("threshold", {"descriptor": name}, distance(limit))
        yield from _rates(name, rates)
    for kind, kinds in (("near", PLANTED), ("moved", MOVED)):
        if scores := [one.planted[k].score for k in kinds if k in one.planted]:
            far, power = roc(copies := torch.cat(scores), one.held_out)
            if kind == "moved":
                area = partial(auc, copies, one.held_out, units=len(scores[0]))
                yield Reading("auc", _copies(name, kind), area)
            for x, y in zip(far.tolist(), power.tolist()):
                yield Reading("found", {**_copies(name, kind), "alarms": x}, y)
    for kind, area in one.areas.items():
        yield Reading("auc", _copies(name, kind), area)


def _copies(name: str, kind: str) -> dict[str, str]:
    return {"descriptor": name, "copies": kind}


def _rates(name: str, rates: Calibrated) -> Iterator[Reading]:
    at, best = {"descriptor": name}, rates.best
    shares = {"p_gen": best.gen, "p_test": best.control, "own": best.controls["own"]}
    for key, share in shares.items():
        yield Reading(key, at, share.at)
    for key in ("excess", "p_value", "detectable", "sight"):
        yield Reading(key, at, getattr(rates, key))
    for kind, share in best.planted.items():
        yield Reading("power", _copies(name, kind), share.at)


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
