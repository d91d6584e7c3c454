"""What the moments of N images say about a linear model: how many it needs, what it does not see,
and what to do until then.

The model samples N(mu_0, Sigma_0 + c I); c is added by the ridge abar c at each noise level. Losses
are those of noise prediction a dimension, divergences nats a dimension, variances those of images
in [-1, 1]. Merger and Goldt 2025.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from denoscope.estimate import Estimate, mean
from denoscope.needed.remedies import best_ridge, best_time, gains, held_out
from denoscope.needed.sample import Question, Sample, Say, floor
from denoscope.needed.spectrum import SpectrumFold, crossed, fold, population, trusted
from denoscope.theory.linear.cross_validation import observed, observed_best_c
from denoscope.theory.linear.divergences import Direction, expected_kl
from denoscope.theory.linear.equivalents import deterministic, unseen_variance
from denoscope.theory.linear.optimum import bayes_loss_of
from denoscope.theory.linear.sizes import best_c, samples_for_gap, samples_needed
from denoscope.theory.spectra import participation_ratio

DIRECTIONS: tuple[Direction, ...] = ("model||true", "true||model")
ABARS = (0.5, 0.9, 0.99, 0.999)
GREY = 127.5  # 8-bit levels in one unit


@dataclass(frozen=True)
class Sizes:
    """Images needed for the divergence that was asked for, by direction: without ridge (exact), and
    with the best ridge at each N.
    """

    plain: Mapping[Direction, int]
    ridge: Mapping[Direction, int]


@dataclass(frozen=True)
class Unseen:
    """The share of the variance of new images outside the span: predicted at N from the estimated
    spectrum and from the training spectrum alone, measured by cross-validation (training on
    ``count`` images), and on the images not taken.
    """

    predicted: float
    alone: float
    crossed: Estimate
    count: int
    others: float | None


@dataclass(frozen=True)
class LevelAnswer:
    """One noise level: images needed to close the gap, and the loss on held-out images of four
    models: trained to the end, with the recommended ridge, stopped at the training time ``k`` that
    is best here, and the best linear model of this data.
    """

    abar: float
    needed: int
    trained: float
    ridged: float
    stopped: float
    k: float
    least: float


@dataclass(frozen=True)
class Tried:
    """A model trained on a subset of n images and measured on all others, beside the theory."""

    n: int
    train: float
    test: float
    train_theory: float
    test_theory: float

    @property
    def off(self) -> float:
        """The larger of the two relative differences."""
        return max(abs(self.train / self.train_theory - 1), abs(self.test / self.test_theory - 1))


@dataclass(frozen=True)
class Answers:
    """All numbers of a report. ``lam`` are the variances of the N images, ``held`` those of
    held-out images along such directions and ``spectrum`` the estimated true ones, all (d,),
    falling; beyond rank ``trusted`` a continuation. ``checks`` are the held-out measurements behind
    every loss, ``gains`` what each remedy leaves of it (:func:`~denoscope.needed.remedies.gains`).
    """

    asked: Question
    n: int
    d: int
    lam: np.ndarray
    held: np.ndarray
    spectrum: np.ndarray
    trusted: int
    ratio: float
    ratio_corrected: float
    sizes: Sizes
    unseen: Unseen
    ridge: float
    ridge_theory: float
    levels: Sequence[LevelAnswer]
    table: Sequence[Mapping[str, float | None]]
    tried: Sequence[Tried]
    checks: Sequence[SpectrumFold]
    gains: Mapping[str, np.ndarray]

    @property
    def spanned(self) -> int:
        """How many directions the images span."""
        return int((self.lam > 0).sum())

    @property
    def level(self) -> LevelAnswer:
        """The noise level that was asked for."""
        return next(level for level in self.levels if level.abar == self.asked.abar)

    @property
    def eta(self) -> float:
        """A step size of gradient descent as an example: the power of ten at which the fastest
        direction shrinks by a factor, not beyond 0.
        """
        return 10.0 ** math.floor(
            -math.log10(2 * (self.asked.abar * self.lam[0] + 1 - self.asked.abar))
        )

    @property
    def steps(self) -> float:
        """The recommended training time in steps of that size, at least 1; +inf where training on
        is best.
        """
        return max(1.0, self.level.k / (2 * self.eta))

    @property
    def enough(self) -> bool:
        """Whether there are as many images as a model without ridge needs."""
        return self.n >= self.sizes.plain["model||true"]


def answer(asked: Question, sample: Sample, say: Say) -> Answers:
    """Everything that a report says, from moments alone."""
    own = sample.own
    lam = np.linalg.eigvalsh(own.cov.numpy())[::-1]
    lam = np.where(lam > floor(lam), lam, 0.0)
    folds = crossed(sample.folds)
    say(f"cross-validated with {len(folds)} folds of {sample.d} dimensions")
    spectrum = population(folds, float(lam.sum()) * own.count / (own.count - 1))
    checks = folds if sample.others is None else [fold(own, sample.others)]
    ridge = best_ridge(folds)
    least = None if sample.others is None else np.linalg.eigvalsh(sample.every.cov.numpy()).clip(0)
    levels = [
        _level(y, asked, spectrum, folds, checks, ridge, least)
        for y in sorted({*ABARS, asked.abar})
    ]
    say("found the best ridge and stopping time")
    sizes = _sizes(spectrum, asked.kl, sample.d)
    tried = [
        _tried(asked.abar, spectrum, fold(subset, sample.every - subset))
        for subset in sample.subsets
    ]
    say("compared the theory with models of subsets")
    ratio = participation_ratio(lam)
    return Answers(
        asked=asked,
        n=own.count,
        d=sample.d,
        lam=lam,
        held=np.mean([f.other for f in folds], 0),
        spectrum=spectrum,
        trusted=trusted(folds),
        ratio=ratio,
        ratio_corrected=1 / (1 / ratio - 1 / own.count) if ratio < own.count else math.inf,
        sizes=sizes,
        unseen=_unseen(
            lam, spectrum, own.count, folds, None if sample.others is None else checks[0].unseen
        ),
        ridge=ridge,
        ridge_theory=float(observed_best_c(lam, own.count)),
        levels=levels,
        table=_table(
            asked,
            spectrum,
            [own.count, *sizes.plain.values(), *sizes.ridge.values(), *(t.n for t in tried)],
        ),
        tried=tried,
        checks=checks,
        gains=gains(folds, asked.abar),
    )


def _sizes(spectrum: np.ndarray, kl: float, d: int) -> Sizes:
    def of(c: float | Literal["best"]) -> dict[Direction, int]:
        return {
            direction: int(samples_needed(spectrum, kl, c=c, direction=direction))
            for direction in DIRECTIONS
        }

    return Sizes(of(0.0), of("best"))


def _unseen(
    lam: np.ndarray,
    spectrum: np.ndarray,
    n: int,
    folds: Sequence[SpectrumFold],
    others: float | None,
) -> Unseen:
    predicted = float(unseen_variance(spectrum, n - 1)) / spectrum.sum()
    alone = float(observed(lam, n, 0.0).unseen) / (lam.sum() * n / (n - 1))
    crossed = mean([f.unseen for f in folds])
    bounded = replace(crossed, low=max(0.0, crossed.low), high=min(1.0, crossed.high))
    return Unseen(
        predicted, alone, bounded, round(float(np.mean([f.count for f in folds]))), others
    )


def _level(
    abar: float,
    asked: Question,
    spectrum: np.ndarray,
    folds: Sequence[SpectrumFold],
    checks: Sequence[SpectrumFold],
    ridge: float,
    every: np.ndarray | None,
) -> LevelAnswer:
    k = best_time(folds, abar)
    return LevelAnswer(
        abar=abar,
        needed=int(samples_for_gap(spectrum, abar, asked.gap)),
        trained=float(held_out(checks, abar)),
        ridged=float(held_out(checks, abar, ridge=ridge)),
        stopped=float(held_out(checks, abar, k=k)),
        k=k,
        least=float(bayes_loss_of(spectrum if every is None else every, abar)) / len(spectrum),
    )


def _tried(abar: float, spectrum: np.ndarray, found: SpectrumFold) -> Tried:
    theory = deterministic(spectrum, found.count, (1 - abar) / abar, abar=abar, centred=True)
    d = len(spectrum)
    train = replace(found, other=found.lam)
    return Tried(
        found.count,
        float(held_out([train], abar)),
        float(held_out([found], abar)),
        float(theory.train) / d,
        float(theory.test) / d,
    )


def _table(
    asked: Question, spectrum: np.ndarray, sizes: Sequence[int]
) -> list[dict[str, float | None]]:
    """One row a training set size: what theory expects there, a dimension; what is infinite is
    None.
    """
    d = len(spectrum)
    most = max(16 * d, 2 * max(sizes))
    wall = [d, d + 1, d + 3, *(math.ceil(d * part) for part in (1.02, 1.05, 1.1))]
    n = np.array(sorted({*(int(v) for v in np.geomspace(max(2, d / 64), most, 48)), *sizes, *wall}))
    at = deterministic(spectrum, n, (1 - asked.abar) / asked.abar, abar=asked.abar, centred=True)
    columns: dict[str, np.ndarray] = {"n": n, "d_over_4n": d / (4 * n)}
    for direction, name in zip(DIRECTIONS, ("kl", "kl_reverse")):
        columns[name] = expected_kl(d, n, direction) / d
        c = best_c(spectrum, n, direction, centred=True)
        ridged = deterministic(spectrum, n, c, centred=True)
        columns |= {
            f"{name}_ridge": (ridged.kl if name == "kl" else ridged.kl_reverse) / d,
            f"{name}_ridge_c": c,
        }
    columns |= {"unseen": at.unseen / spectrum.sum(), "train": at.train / d, "test": at.test / d}
    return [{name: _finite(values[i]) for name, values in columns.items()} for i in range(len(n))]


def _finite(value: np.number) -> float | None:
    # whole or real, never complex
    return value.item() if np.isfinite(value) else None  # pyright: ignore[reportReturnType]
