"""How far the samples' law is expected to be from the best linear model of the images: predicted by
their kurtosis, and measured where enough images are left over.

Both are KL(model||true) of a model without ridge in nats per dimension, averaged over training sets
of N images; infinite where such a set leaves a direction empty.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import stdtrit

from denoscope.estimate import Estimate, bounded, mean, unavailable
from denoscope.needed.remedies import held_out
from denoscope.needed.sample import Sample
from denoscope.needed.spectrum import SpectrumFold
from denoscope.report.words import things
from denoscope.theory.linear.divergences import kl
from denoscope.theory.linear.kurtosis import (
    alone,
    any_law_kl,
    factor_behind,
    kurtosis_factor,
    kurtosis_units,
)

ENOUGH = 20  # images left over a dimension, by which a divergence is measured
KNOWN = 5  # images per dimension, below which the kurtosis is not told


@dataclass(frozen=True)
class Measurement:
    """Means over training sets, each against all images outside of it: the divergence, the loss per
    dimension trained to the end, the share of variance outside the span. The sets hold ``count``
    images and are checked by ``left`` others (0: by cross-validation); ``over`` says what the
    intervals are over.
    """

    kl: Estimate
    loss: Estimate
    unseen: Estimate
    count: int
    left: int
    over: str

    @property
    def enough(self) -> bool:
        """Whether there are images enough to take them for the law."""
        return not math.isnan(self.kl.value)


@dataclass(frozen=True)
class Law:
    """The divergence at ``n`` different images, which span ``spanned`` of ``d`` directions: the
    factor f of ``kurtosis``, what it ``predicted`` and what was ``measured``; ``endless`` says why
    it is infinite in these directions, ``empty`` that images never vary in others.
    """

    d: int
    spanned: int
    n: int
    kurtosis: Estimate
    predicted: Estimate
    measured: Measurement
    endless: str
    empty: str

    @property
    def infinite(self) -> str:
        """Why the divergence is infinite, or nothing."""
        return self.endless or self.empty

    @property
    def few(self) -> bool:
        """Whether there are too few images to tell their kurtosis."""
        return self.n < KNOWN * self.d or math.isinf(self.kurtosis.high)

    @property
    def apart(self) -> bool:
        """Whether prediction and measurement disagree beyond their intervals."""
        a, b = self.predicted, self.measured.kl
        return math.isfinite(b.value) and (a.high < b.low or b.high < a.low)

    @property
    def now(self) -> Estimate:
        """The divergence: predicted or, where that disagrees with it, measured."""
        if self.infinite:
            return _infinite(self.infinite, self.n)
        return self.measured.kl if self.apart else self.predicted

    @property
    def decisive(self) -> Estimate:
        """The divergence as it is known best: measured, where it is."""
        measured = math.isfinite(self.measured.kl.value) and not self.infinite
        return self.measured.kl if measured else self.now

    @property
    def factor(self) -> Estimate:
        """f of the divergence that counts."""
        if not self.apart:
            return self.kurtosis
        return mapped(self.measured.kl, lambda kl: float(factor_behind(kl, self.d, self.n)))


def law(sample: Sample, spanned: int, checks: Sequence[SpectrumFold], abar: float) -> Law:
    """All that the images say of it, ``spanned`` the number of directions that they span."""
    d, n, factor = sample.d, len(sample.leads), kurtosis(sample.leads, sample.d)
    seen, empty = measured(sample, checks, abar), sample.pixels - sample.d
    return Law(
        d=d,
        spanned=spanned,
        n=n,
        kurtosis=factor,
        predicted=mapped(factor, lambda f: float(any_law_kl(d, n, f))),
        measured=seen,
        endless=_endless(sample, spanned, seen.kl),
        empty=f"infinite: no image varies in {empty} of {sample.pixels} directions"
        if empty
        else "",
    )


def kurtosis(leads: np.ndarray, d: int) -> Estimate:
    """f of images by their leads (n,): the geometric mean of both ways of whitening, between the
    lower end of the one and the upper end of the other. Where nothing bounds it from above its
    value is the lower end.
    """
    n, low = len(leads), float(kurtosis_factor(0.0, d))
    if n < d + 4:
        said = f"unknown: {things(n, 'image')} in {things(d, 'direction')}, {d + 4} are needed"
        return Estimate(low, low, math.inf, n, method=said)
    inner, outer = kurtosis_units(leads, d)
    low = float(kurtosis_factor(mean(inner).low, d))
    if not np.isfinite(outer).all():
        return Estimate(low, low, math.inf, n, method="unknown: an image alone spans a direction")
    middle, high = math.sqrt(inner.mean() * outer.mean()), _upper(outer)
    value, high = (float(kurtosis_factor(ratio, d)) for ratio in (middle, high))
    return Estimate(value, low, high, n, method="two whitenings, t over images")


def _upper(values: np.ndarray) -> float:
    """The upper end of the 95 % interval of a mean by t, corrected for the skewness of the values
    (Johnson 1978): heavy tails show themselves late.
    """
    e, t = mean(values), float(stdtrit(len(values) - 1, 0.975))
    skewness = (((values - e.value) / max(values.std(), 1e-300)) ** 3).mean()
    return e.value + (e.high - e.value) * (
        1 + skewness * (2 * t + 1 / t) / (6 * math.sqrt(len(values)))
    )


def measured(sample: Sample, checks: Sequence[SpectrumFold], abar: float) -> Measurement:
    """The same on images that were not taken; without any, loss and unseen share by
    cross-validation.
    """
    return Measurement(
        kl=_divergence(sample),
        loss=mean([float(held_out([f], abar)) for f in checks]),
        unseen=bounded(mean)(np.array([f.unseen for f in checks])),
        count=round(float(np.mean([f.count for f in checks]))),
        left=sample.left if sample.checks else 0,
        over=_units(sample, len(checks)),
    )


def _units(sample: Sample, n: int) -> str:
    if not sample.checks:
        return f"{n} folds, by cross-validation"
    return f"{n} training sets" if len(sample.sets) > 1 else f"{n} parts of other images"


def _divergence(sample: Sample) -> Estimate:
    d, n, left, sets = sample.d, sample.own.count, sample.left, sample.sets
    if left < ENOUGH * d:
        return unavailable(f"{things(left, 'image')} left over, {ENOUGH * d} are needed")
    every = sample.every
    raw = np.full(len(sets), math.inf)
    for i, one in enumerate(sets if n > d else []):
        rest = every - one
        raw[i] = kl(rest.mean, rest.cov, one.mean, one.cov) / d
    if endless := int(np.isinf(raw).sum()):
        return _infinite(
            f"infinite: in {endless} of {len(raw)} training sets of {n} images", len(raw)
        )
    n = len(sample.leads)
    found = mean(any_law_kl(d, n, factor_behind(raw, d, n, left)))
    return replace(found, method=f"t over {things(len(raw), 'training set')}")


def _endless(sample: Sample, spanned: int, found: Estimate) -> str:
    """Why the divergence is infinite in the directions in which images vary, or nothing."""
    n, d = sample.own.count, sample.d
    if spanned < d:
        return f"infinite: {n} images span {spanned} of the {d} directions in which images vary"
    if len(sample.leads) > d + 1 and (lone := int(alone(sample.leads).sum())):
        rest = f"{'rests' if lone == 1 else 'rest'} on one image alone, which other training sets"
        return f"infinite: {lone} of {d} directions {rest} of {n} images lack"
    return found.method if math.isinf(found.value) else ""


def _infinite(why: str, n: int) -> Estimate:
    return Estimate(math.inf, math.inf, math.inf, n, method=why)


def mapped(e: Estimate, change: Callable[[float], float]) -> Estimate:
    """An increasing function of a number and its interval."""
    return replace(e, value=change(e.value), low=change(e.low), high=change(e.high))
