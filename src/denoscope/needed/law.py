"""How far the samples' law is expected to be from the best linear model of the images: predicted
from their kurtosis, and measured where enough images are left over.

Both are KL(model||true) of a model without ridge, in nats a dimension, averaged over training sets of
N images; infinite where such a set leaves a direction empty.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import stdtrit

from denoscope.data.moments import Moments
from denoscope.estimate import Estimate, mean, unavailable
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
KNOWN = 5  # images a dimension, below which the kurtosis is not told


@dataclass(frozen=True)
class Measured:
    """Means over training sets, each against all images outside of it: the divergence, the loss a
    dimension trained to the end, the share of variance outside the span.

    The sets hold ``count`` images: N where there are ``others``, fewer by cross-validation.
    """

    kl: Estimate
    loss: Estimate
    unseen: Estimate
    count: int
    others: bool


@dataclass(frozen=True)
class Law:
    """What is known of the divergence at ``n`` different images, which span ``spanned`` of ``d``
    directions: the factor f of kurtosis, the divergence ``predicted`` by it and ``measured``;
    ``endless`` says why it is infinite in these directions, ``empty`` that others never vary.
    """

    d: int
    spanned: int
    n: int
    kurtosis: Estimate
    predicted: Estimate
    measured: Measured
    endless: str
    empty: str

    @property
    def infinite(self) -> str:
        """Why the divergence is infinite, or nothing."""
        return self.endless or self.empty

    @property
    def few(self) -> bool:
        """Whether there are too few images to tell their kurtosis, and none that measure it."""
        return self.n < KNOWN * self.d and not self.apart

    @property
    def apart(self) -> bool:
        """Whether prediction and measurement disagree beyond their intervals."""
        a, b = self.predicted, self.measured.kl
        return math.isfinite(b.value) and (a.high < b.low or b.high < a.low)

    @property
    def varying(self) -> Estimate:
        """The divergence in the directions that are not empty: as measured where prediction and
        measurement disagree, else as predicted.
        """
        return self.measured.kl if self.apart else self.predicted

    @property
    def now(self) -> Estimate:
        """The divergence."""
        endless = Estimate(math.inf, math.inf, math.inf, self.n, method=self.infinite)
        return endless if self.infinite else self.varying

    @property
    def factor(self) -> Estimate:
        """f, of the divergence that counts."""
        if not self.apart:
            return self.kurtosis
        return mapped(self.measured.kl, lambda kl: float(factor_behind(kl, self.d, self.n)))

    def times(self, gaussian: int) -> Estimate:
        """As many images as ``gaussian`` Gaussian ones where the covariance alone matters."""
        return mapped(self.factor, lambda f: float(np.ceil(f * gaussian)))


def law(sample: Sample, spanned: int, checks: Sequence[SpectrumFold], abar: float) -> Law:
    """All that the images say of it, ``spanned`` the number of directions that they span."""
    n, factor = len(sample.leads), kurtosis(sample.leads, spanned)
    predicted = mapped(factor, lambda f: float(any_law_kl(sample.d, n, f)))
    made = measured(sample, checks, abar)
    empty = sample.pixels - sample.d
    return Law(
        sample.d,
        spanned,
        n,
        factor,
        predicted,
        made,
        _endless(sample, spanned, made.kl),
        f"infinite: {empty} of {sample.pixels} directions never vary" if empty else "",
    )


def kurtosis(leads: np.ndarray, d: int) -> Estimate:
    """f of images by their leads (n,): the geometric mean of both ways of whitening, between the lower
    end of the one and the upper end of the other. Where it is not known from above, its value is the
    lower end.
    """
    n, least = len(leads), float(kurtosis_factor(0.0, d))
    if n < d + 4:
        said = f"unknown: {things(n, 'image')} in {things(d, 'direction')}, {d + 4} are needed"
        return Estimate(least, least, math.inf, n, method=said)
    inner, outer = kurtosis_units(leads, d)
    low = float(kurtosis_factor(mean(inner).low, d))
    if not np.isfinite(outer).all():
        said = "unknown: a direction is spanned by one image alone"
        return Estimate(low, low, math.inf, n, method=said)
    value = float(kurtosis_factor(math.sqrt(inner.mean() * outer.mean()), d))
    high = float(kurtosis_factor(_upper(outer), d))
    return Estimate(value, low, high, n, method="two whitenings, t over images")


def _upper(values: np.ndarray) -> float:
    """The upper end of the 95 % interval of a mean by t, corrected for the skewness of the values
    (Johnson 1978): heavy tails show themselves late.
    """
    e, away = mean(values), (values - values.mean()) / max(values.std(), 1e-300)
    n, t = len(values), float(stdtrit(len(values) - 1, 0.975))
    skewness = (away**3).mean() * (2 + t**-2) / (6 * math.sqrt(n))
    return e.value + (e.high - e.value) * (1 + t * skewness)


def measured(sample: Sample, checks: Sequence[SpectrumFold], abar: float) -> Measured:
    """The same on images that were not taken; without any, loss and unseen share by
    cross-validation.
    """
    unseen = mean([f.unseen for f in checks])
    return Measured(
        _divergence(sample),
        mean([float(held_out([f], abar)) for f in checks]),
        replace(unseen, low=max(0.0, unseen.low), high=min(1.0, unseen.high)),
        round(float(np.mean([f.count for f in checks]))),
        sample.left > 0,
    )


def _divergence(sample: Sample) -> Estimate:
    own, every, d = sample.own, sample.every, sample.d
    if sample.left < ENOUGH * d:
        return unavailable(f"{things(sample.left, 'image')} left over, {ENOUGH * d} are needed")
    raw = np.array([_apart(every - one, one) for one in sample.sets]) / d
    if endless := int(np.isinf(raw).sum()):
        said = f"infinite in {endless} of {len(raw)} training sets of {own.count} images"
        return Estimate(math.inf, math.inf, math.inf, len(raw), method=said)
    n = len(sample.leads)
    found = mean(any_law_kl(d, n, factor_behind(raw, d, n, sample.left)))
    return replace(found, method=f"t over {things(len(raw), 'training set')}")


def _apart(truth: Moments, model: Moments) -> float:
    if model.count <= len(model.total):
        return math.inf
    return float(kl(truth.mean, truth.cov, model.mean, model.cov))


def _endless(sample: Sample, spanned: int, found: Estimate) -> str:
    """Why the divergence is infinite in the directions in which images vary, or nothing."""
    n, d = sample.own.count, sample.d
    if spanned < d:
        return f"infinite: {n} images span {spanned} of the {d} directions in which images vary"
    lone = int(alone(sample.leads).sum()) if len(sample.leads) > d + 1 else 0
    if lone:
        return (
            f"infinite: {things(lone, 'direction')} of {d} rest on one image alone, and other training "
            f"sets of {n} miss such"
        )
    return found.method.replace("infinite", "infinite:", 1) if math.isinf(found.value) else ""


def mapped(e: Estimate, change: Callable[[float], float]) -> Estimate:
    """An increasing function of a number and its interval."""
    return replace(e, value=change(e.value), low=change(e.low), high=change(e.high))
