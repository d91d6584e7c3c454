"""What is counted at a threshold, and what follows from it: the excess over both controls, the most
that can be copied, the gate.

With P(generated passes) = p + c (power - p), c the share of copies and p the rate of real images,

    excess = (p_gen - p)/(1 - p),    c = excess / ((power - p)/(1 - p)).

Two thresholds are read, the asked false alarm rate and the one at which planted copies stand out
best; the 2.5 % by which the lower end may err are spent on both. Real images that the model never
saw and training images, each left out, are two controls, and both bound: the lower end is the
smaller one, the upper end the larger one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, TypeAlias

from torch import Tensor

from denoscope.estimate import Estimate, proportion_ratio, unavailable
from denoscope.metrics.calibrate import detectable, fisher
from denoscope.metrics.grouped import Share

Gate: TypeAlias = Literal["failed", "passed", "undecided"]

SPENT = (0.0025, 0.0225)
"""The probability that the lower end errs, at the asked threshold and at the best one."""
UNLIKE = 0.01
"""The p-value, over the number of descriptors, at most which controls are unlike each other."""
_MOST = 1 << 14  # times the samples, beyond which nobody would draw more


def beyond(rate: Share, control: Share, level: float = 0.95) -> Estimate:
    """(p - p0)/(1 - p0) of a rate p and a control's p0, by MOVER-R; a control that always passes
    leaves nothing known.
    """
    (count, n), (other, m) = rate.counts, control.counts
    found = proportion_ratio(n - count, n, m - other, m, level)
    if math.isnan(found.value):
        return Estimate(-math.inf, -math.inf, 1.0, rate.n, level, found.method)
    return replace(found.complement(), n=rate.n)


def exceeds(first: Share, second: Share) -> float:
    """Fisher's exact one-sided p-value of a first rate above the second, of effective numbers."""
    (count, n), (other, m) = first.counts, second.counts
    return float(fisher(math.floor(count + 1e-9), int(n), math.ceil(other - 1e-9), int(m)))


@dataclass(frozen=True, eq=False)
class Rates:
    """Shares above one ``threshold``, on average over folds: of samples, of the ``controls`` by
    name, the held-out images first, and of ``planted`` copies by perturbation, "near" all of them.
    ``passed`` (n_gen,) is the share of folds in which each sample passes; ``spent`` see
    :data:`SPENT`.
    """

    threshold: float
    gen: Share
    controls: Mapping[str, Share]
    planted: Mapping[str, Share]
    passed: Tensor
    spent: float

    @property
    def control(self) -> Share:
        """The first control."""
        return next(iter(self.controls.values()))

    @property
    def low(self) -> float:
        """The lower end of the excess, over all controls."""
        level = 1 - 2 * self.spent
        return min(beyond(self.gen, one, level).low for one in self.controls.values())

    @property
    def high(self) -> float:
        """The upper end of the excess, over all controls."""
        return max(beyond(self.gen, one).high for one in self.controls.values())

    @property
    def sight(self) -> Estimate:
        """The excess of planted copies: what a set of copies alone would read at least."""
        return min(
            (beyond(self.planted["near"], one) for one in self.controls.values()),
            key=lambda found: found.low,
        )

    @property
    def most(self) -> float:
        """The largest share of copies that is not excluded, as near as planted ones; 1 where these
        are not seen. Samples that pass less often than the control bring no credit for that.
        """
        tops = ((beyond(self.gen, c).high, c) for c in self.controls.values())
        bounds = (
            (top if top > 0 else self.gen.at().high, beyond(self.planted["near"], c).low)
            for top, c in tops
        )
        return max(min(1.0, top / low) if low > 0 else 1.0 for top, low in bounds)

    @property
    def p_value(self) -> float:
        """Fisher's, the larger of those against the controls."""
        return max(exceeds(self.gen, one) for one in self.controls.values())

    @property
    def detectable(self) -> float:
        """The smallest share of copies that 4 of 5 audits of this size find here."""
        power = self.planted["near"].value
        found = (
            detectable(int(self.gen.rows), int(c.rows), c.value, power=power, alpha=self.spent)
            for c in self.controls.values()
        )
        return max(found)

    def times(self, factor: float) -> Rates:
        """The same rates of so many times as many samples and held-out images."""
        controls = {n: c if n == "own" else c.times(factor) for n, c in self.controls.items()}
        return replace(self, gen=self.gen.times(factor), controls=controls)


@dataclass(frozen=True, eq=False)
class Calibrated:
    """What some ``descriptors`` say together, by one score: ``at`` both thresholds of
    :data:`SPENT`, the ``p_values`` (n_gen,) of all samples, float64, and ``crossed``, the rates of
    held-out images and of training images left out above the threshold that these chose.

    ``false_alarm`` is the rate that was used, ``asked`` or what the hold-out can calibrate.
    """

    descriptors: tuple[str, ...]
    at: tuple[Rates, ...]
    p_values: Tensor
    false_alarm: float
    asked: float
    crossed: tuple[Share, Share] | None = None

    @cached_property
    def best(self) -> Rates:
        """The rates that show more."""
        return max(self.at, key=lambda rates: rates.low)

    @property
    def p_gen(self) -> float:
        """The share of samples above the threshold."""
        return self.best.gen.value

    @property
    def p_test(self) -> float:
        """The share of held-out images above it, counted where they did not choose it."""
        return self.best.control.value

    @property
    def own(self) -> float:
        """The share of training images above it, each left out."""
        return self.best.controls["own"].value

    @cached_property
    def excess(self) -> Estimate:
        """(p_gen - p_test)/(1 - p_test), bounded by both controls."""
        found = beyond(self.best.gen, self.best.control)
        if not math.isfinite(found.value):
            return unavailable("every real image passes the threshold: p_test = 1", found.n)
        high = max(rates.high for rates in self.at)
        method = f"{found.method}, by {' and '.join(self.best.controls)}"
        return replace(found, low=self.best.low, high=high, method=method)

    @property
    def sight(self) -> Estimate:
        """The excess that planted copies alone would read."""
        return max((rates.sight for rates in self.at), key=lambda found: found.low)

    @property
    def sees(self) -> bool:
        """Whether planted copies are told from real images at all."""
        return self.sight.low > 0

    @property
    def power(self) -> Mapping[str, Estimate]:
        """The share of planted copies found, by perturbation."""
        return {word: share.at() for word, share in self.best.planted.items()}

    @cached_property
    def copies_at_most(self) -> float:
        """The largest share of copies that is not excluded."""
        return max(rates.most for rates in self.at)

    @property
    def p_value(self) -> float:
        """Fisher's at both thresholds, corrected as they are spent."""
        spent = sum(rates.spent for rates in self.at)
        return min(1.0, *(rates.p_value * spent / rates.spent for rates in self.at))

    @property
    def detectable(self) -> float:
        """The smallest share of copies that 4 of 5 audits of this size find; infinite if none."""
        return min(rates.detectable for rates in self.at)

    @property
    def unlike(self) -> float:
        """The p-value of training images, left out, passing more often than held-out ones."""
        if self.crossed is None:
            return 1.0
        return exceeds(self.at[0].controls["own"], self.at[0].control)

    @property
    def close(self) -> float:
        """The p-value of held-out images passing more often than training images left out, at the
        threshold of the latter.
        """
        return 1.0 if self.crossed is None else exceeds(*self.crossed)

    @property
    def is_unlike(self) -> bool:
        """Whether held-out images are farther from the training images than these are."""
        return self.unlike <= self.least

    @property
    def is_near(self) -> bool:
        """Whether held-out images are nearer to the training images than these are."""
        return self.close <= self.least

    @property
    def least(self) -> float:
        """The p-value at most which controls are unlike each other."""
        return UNLIKE / len(self.descriptors)

    @property
    def copies(self) -> Tensor:
        """The samples above the threshold in most folds, bool (n_gen,); none where the controls are
        unlike.
        """
        return (self.best.passed >= 0.5) & (not self.is_unlike)

    def gate(self, limit: float) -> Gate:
        """Failed if more than ``limit`` is copied for sure, passed if it is not for sure."""
        if self.best.low > limit and not self.is_unlike:
            return "failed"
        return "passed" if self.copies_at_most <= limit else "undecided"

    def would_decide(self, limit: float) -> tuple[int, int] | None:
        """About how many samples and held-out images would decide, the rates being what they are;
        None if no number would.
        """
        factor = 1.0
        while factor <= _MOST:
            more = replace(self, at=tuple(rates.times(factor) for rates in self.at))
            if more.gate(limit) != "undecided":
                return round(factor * self.best.gen.n), round(factor * self.best.control.n)
            factor *= 1.25
        return None
