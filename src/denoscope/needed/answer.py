"""What the moments of N images say about a linear model: how many it needs, what it does not see,
and what to do until then.

The model samples N(mu_0, Sigma_0 + c I); c is added by the ridge abar c at each noise level. Losses
are those of noise prediction per dimension, divergences nats per dimension, variances those of
images in [-1, 1]. Merger and Goldt 2025.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from denoscope.estimate import Estimate
from denoscope.needed.law import Law, law, mapped
from denoscope.needed.remedies import best_ridge, best_time, gains, held_out
from denoscope.needed.sample import Question, Sample, Say, floor
from denoscope.needed.spectrum import SpectrumFold, crossed, fold, population, trusted
from denoscope.theory.linear.equivalents import deterministic, unseen_variance
from denoscope.theory.linear.kurtosis import any_law_kl, any_law_samples
from denoscope.theory.linear.optimum import bayes_loss_of
from denoscope.theory.linear.sizes import best_c, samples_for_gap, samples_needed
from denoscope.theory.spectra import participation_ratio

ABARS = (0.5, 0.9, 0.99, 0.999)
_LIGHT = 0.1  # a factor below that of any law in more than one dimension
GREY = 127.5  # 8-bit levels in one unit


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
class Answers:
    """All numbers of a report. ``lam`` are the variances of the N images, ``held`` those of
    held-out images along such directions and ``spectrum`` the estimated true ones, all (d,),
    falling; beyond rank ``trusted`` a continuation. ``plain`` and ``ridge`` are images for the
    divergence that was asked for, without ridge and with the best one at each N. ``checks`` are the
    held-out measurements behind every loss, ``gains`` what each remedy leaves of it
    (:func:`~denoscope.needed.remedies.gains`).
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
    law: Law
    plain: Estimate
    ridged: Estimate
    unseen: float
    ridge: float
    levels: Sequence[LevelAnswer]
    table: Sequence[Mapping[str, float]]
    checks: Sequence[SpectrumFold]
    crossed: Sequence[SpectrumFold]
    gains: Mapping[str, np.ndarray]

    @property
    def level(self) -> LevelAnswer:
        """The noise level that was asked for."""
        return next(level for level in self.levels if level.abar == self.asked.abar)


def answer(asked: Question, sample: Sample, say: Say) -> Answers:
    """Everything that a report says, from moments alone."""
    own, d = sample.own, sample.d
    lam = np.linalg.eigvalsh(own.cov.numpy())[::-1]
    lam = np.pad(np.where(lam > floor(lam), lam, 0.0), (0, d - len(lam)))
    folds = crossed(sample.folds, d)
    say(f"cross-validated with {len(folds)} folds of {d} dimensions")
    spectrum = population(folds, float(lam.sum()) * own.count / (own.count - 1))
    checks = [fold(train, test, d) for train, test in sample.checks] or folds
    found = law(sample, int((lam > 0).sum()), checks, asked.abar)
    say("measured the divergence")
    plain = mapped(found.factor, lambda f: any_law_samples(d, asked.kl, f))
    ridged = _times(found, samples_needed(spectrum, asked.kl, c="best"))
    ratio, ridge = participation_ratio(lam), best_ridge(folds)
    least = spectrum
    if found.measured.enough:
        least = np.linalg.eigvalsh(sample.every.cov.numpy()).clip(0)

    def at(abar: float) -> LevelAnswer:
        k = best_time(folds, abar)
        return LevelAnswer(
            abar=abar,
            needed=round(_times(found, samples_for_gap(spectrum, abar, asked.gap)).value),
            trained=float(held_out(checks, abar)),
            ridged=float(held_out(checks, abar, ridge=ridge)),
            stopped=float(held_out(checks, abar, k=k)),
            k=k,
            least=float(bayes_loss_of(least, abar)) / d,
        )

    levels = [at(abar) for abar in sorted({*ABARS, asked.abar})]
    say("found the best ridge and stopping time")
    return Answers(
        asked=asked,
        n=own.count,
        d=d,
        lam=lam,
        held=np.mean([f.other for f in folds], 0),
        spectrum=spectrum,
        trusted=trusted(folds),
        ratio=ratio,
        ratio_corrected=1 / (1 / ratio - 1 / own.count) if ratio < own.count else math.inf,
        law=found,
        plain=plain,
        ridged=ridged,
        unseen=float(unseen_variance(spectrum, own.count - 1)) / spectrum.sum(),
        ridge=ridge,
        levels=levels,
        table=_table(asked, spectrum, found, [own.count, *marks(plain, ridged)]),
        checks=checks,
        crossed=folds,
        gains=gains(folds, asked.abar),
    )


def marks(*sizes: Estimate) -> list[int]:
    """Sizes that a table and a figure must show."""
    return [round(size.value) for size in sizes]


def _times(found: Law, gaussian: int) -> Estimate:
    """As many images as ``gaussian`` Gaussian ones, where the covariance alone matters."""
    return mapped(found.factor, lambda f: max(2.0, float(np.ceil(f * gaussian))))


def _table(
    asked: Question, spectrum: np.ndarray, found: Law, sizes: Sequence[int]
) -> list[dict[str, float]]:
    """One row per training set size: what theory expects there, per dimension."""
    d, f = len(spectrum), found.factor
    most = max(16 * d, 2 * max(sizes))
    wall = [d, d + 1, d + 3, *(math.ceil(d * part) for part in (1.02, 1.05, 1.1))]
    n = np.array(sorted({*(int(v) for v in np.geomspace(max(2, d / 64), most, 48)), *sizes, *wall}))
    at = deterministic(spectrum, n, (1 - asked.abar) / asked.abar, abar=asked.abar, centred=True)
    like = np.maximum(n / max(f.value, _LIGHT), 1.0)  # Gaussian images that tell as much
    c = best_c(spectrum, like, centred=True)
    columns: dict[str, np.ndarray] = {
        "n": n,
        "d_over_4n": d / (4 * n),
        "kl": any_law_kl(d, n, f.value),
        "kl_low": any_law_kl(d, n, f.low),
        "kl_high": any_law_kl(d, n, f.high),
        "kl_ridge": deterministic(spectrum, like, c, centred=True).kl / d,
        "kl_ridge_c": c,
        "unseen": at.unseen / spectrum.sum(),
        "train": at.train / d,
        "test": at.test / d,
    }
    return [{name: values[i].item() for name, values in columns.items()} for i in range(len(n))]
