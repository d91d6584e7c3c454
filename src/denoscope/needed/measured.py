"""The numbers of an answer as readings: by training set size, noise level, direction and fold."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial

import numpy as np

from denoscope.estimate import Estimate, exact
from denoscope.needed.answer import Answers
from denoscope.needed.remedies import held_out
from denoscope.readings import Quantity, Reading, Readings

BINS = 24
"""Marks of what is averaged over neighbouring ranks."""
DRAWN = 300
"""Ranks of a spectrum that are drawn, evenly spread in their logarithm."""

_Exact = partial(Quantity, interval=exact)
_LOSS, _NATS = "squared error of the noise per dimension, of Gaussian images", "nats per dimension"
QUANTITIES = {
    "kl": _Exact("KL", form=".3g", tip=f"model ‖ best linear model, {_NATS}, no regularisation"),
    "kl_ridge": _Exact("ridged", form=".3g", tip="the same at the best ridge, estimated"),
    "kl_ridge_c": _Exact("at c", form=".2g", tip="that ridge"),
    "outside": _Exact("unseen", form=".2%", tip="variance outside the span, of Gaussian images"),
    "train": _Exact("train", form=".4g", tip=_LOSS),
    "test": _Exact("test", form=".4g", tip=_LOSS),
    "trained": _Exact("to the end", form=".4g", tip="held-out loss without ridge"),
    "ridged": _Exact("ridge", form=".4g", tip="the same with the recommended ridge"),
    "stopped": _Exact("stopped", form=".4g", tip="the same at the best training time"),
    "least": _Exact("least", form=".4g", tip="the loss of the best linear model of this data"),
    "k": _Exact("best k", form=".3g", tip="training time k = 2ητ with the least loss here"),
    "needed": _Exact("images needed", form=".0f"),
    "divergence": _Exact("divergence", _NATS),
    "variance": _Exact("variance", "pixels in [−1, 1]"),
    "loss": _Exact("loss per dimension"),
    "gain": Quantity("loss, of that trained to the end", form=".3f"),
    "unseen": Quantity("variance outside the span", form=".2%"),
    "predicted": Quantity("by kurtosis", form=".2g"),
    "measured": Quantity("measured", form=".2g"),
}
SIZES = ("kl", "kl_ridge", "kl_ridge_c", "outside", "train", "test")
LEVELS = ("trained", "ridged", "stopped", "least", "k", "needed")


def readings(found: Answers) -> Readings:
    """Everything that is shown; what is infinite stays so."""
    made = [*_sizes(found), *_levels(found), *_spectrum(found), *_remedies(found)]
    made += [Reading("gain", {"remedy": name}, found.gains[name]) for name in found.gains]
    law = found.law
    made += [
        Reading("predicted", {}, law.predicted),
        Reading("measured", {"size": found.n}, law.measured.kl),
        Reading("unseen", {}, law.measured.unseen),
    ]
    return Readings(made, QUANTITIES)


def _sizes(found: Answers) -> Iterator[Reading]:
    """What theory expects at N images, and what models of subsets gave."""
    for row in found.table:
        at = {"size": row["n"]}
        yield Reading("kl", at, Estimate(row["kl"], row["kl_low"], row["kl_high"], found.n))
        for name in SIZES[1:]:
            yield Reading(name, at, row["unseen" if name == "outside" else name])
    seen = found.law.measured
    yield Reading("loss", {"size": seen.count, "images": "test"}, seen.loss)


def _levels(found: Answers) -> Iterator[Reading]:
    for level in found.levels:
        for name in LEVELS:
            yield Reading(name, {"abar": level.abar}, asdict(level)[name])


def _spectrum(found: Answers) -> Iterator[Reading]:
    ranks = np.unique(np.geomspace(1, found.d, DRAWN).astype(int))
    for name, values in (("train", found.lam), ("truth", found.spectrum)):
        shown = np.where(values > 0, values, np.nan)[ranks - 1]
        yield from _variances(name, ranks, shown)
    starts = np.unique(np.geomspace(1, found.d, BINS).astype(int)) - 1
    widths = np.diff(np.append(starts, found.d))
    places, held = (
        np.add.reduceat(values, starts) / widths
        for values in (np.arange(1.0, found.d + 1), found.held)
    )
    yield from _variances("test", places, np.where(held > 0, held, np.nan))


def _variances(name: str, ranks: np.ndarray, values: np.ndarray) -> Iterator[Reading]:
    for rank, value in zip(ranks.tolist(), values.tolist()):
        yield Reading("variance", {"images": name, "principal": rank}, value)


def _remedies(found: Answers) -> Iterator[Reading]:
    """Held-out loss against the ridge and against the training time."""
    level, checks = found.level, found.checks
    c, k = _around(found.ridge, found.lam.max()), _around(level.k, 1 / found.lam.max())
    for x, loss in zip(c.tolist(), held_out(checks, level.abar, ridge=c).tolist()):
        yield Reading("loss", {"remedy": "ridge", "ridge": x}, loss)
    for x, loss in zip(k.tolist(), held_out(checks, level.abar, k=k).tolist()):
        yield Reading("loss", {"remedy": "stop", "duration": x}, loss)


def _around(middle: float, other: float) -> np.ndarray:
    """Three decades to either side of ``middle``, or of ``other`` where that is 0 or infinite."""
    center = middle if middle > 0 and math.isfinite(middle) else other
    return np.geomspace(1e-3, 1e3, 121) * center


def divergences(found: Readings) -> Readings:
    """The expected divergence without ridge and with the best one, and the measured one."""
    made = Readings((), QUANTITIES)
    for name, remedy in (("kl", "none"), ("kl_ridge", "ridge"), ("measured", "measured")):
        made += found.of(name).named("divergence", remedy=remedy)
    known = all(math.isfinite(float(r.value)) for r in found.of("measured"))
    return made if known else made.of(remedy=["none", "ridge"])
