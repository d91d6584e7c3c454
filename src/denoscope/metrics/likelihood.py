"""How likely held-out features are under a mixture of normal laws centred at the generated ones:
the feature likelihood divergence.

All sets are standardised by the held-out set. With generated rows g_1 ... g_m in d dimensions,

    p(x) = (1/m) sum_j N(x; g_j, v_j I),    nll(S) = -(mean over S of log p)/d,

where the variances v_j maximise the likelihood of the training set: a copy gets a tiny v_j, good
for its training row and for nothing else. Copies, bad samples and missing modes all make the
held-out set less likely; copies make the training set likelier than it. The fit alone has one more
law of weight 1, at the training mean, with its own variance and squared distances times 0.81: a row
that no centre explains costs a bounded amount there, and spoils no variance.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from scipy.special import stdtrit
from torch import Tensor

from denoscope.estimate import Estimate
from denoscope.metrics.partition import content_order
from denoscope.metrics.protocol import metric
from denoscope.nearest import features, same_space
from denoscope.random import derive, generator
from denoscope.threads import each, workers

PASSES, RATE, SETTLED, LIMIT = 50, 0.5, 5e-4, 40.0
"""The fit: at most ``PASSES`` of Adam (Kingma and Ba 2015) at ``RATE`` on log v, until the mean log
p changes by less than ``SETTLED``; log v in +-``LIMIT``.
"""

_FIRST, _SECOND, _LEAST = (
    0.9,
    0.999,
    1e-8,
)  # Adam's decay of both moments, and what is added to the root of the second
_SHRINK, _CLOSE = 0.81, 1e-3
_SUBSETS, _SHARE = 20, 0.25
_NUMBERS = 1 << 18  # squared distances at once
_HELD = (
    1 << 26
)  # squared distances kept between passes by all fits together, 512 MiB; others are computed again
_CANCELLED = 1e-8  # squared distances below this share of the squared lengths come from differences


@dataclass(frozen=True, kw_only=True, repr=False)
class FeatureLikelihood(Estimate):
    """FLD with its memorization ``gap``, FLD against each of the ``splits`` of the training set,
    and each generated row's ``variances`` (m,).

    The gap is 100 (nll(train) - nll(test)): the more negative, the more memorized; a perfect
    generalizer is below 0 too, since the variances are fitted to the training set. A row's variance
    is in units of the held-out standard deviation, far below others for a copy.
    """

    gap: Estimate
    splits: tuple[float, ...]
    variances: Tensor = field(compare=False, repr=False)

    @property
    def spread(self) -> float:
        """The standard deviation over splits of the training set."""
        return float(np.std(self.splits, ddof=1))

    def json(self) -> dict[str, object]:
        """As an estimate's, with gap, splits and their spread; not the variances."""
        return {
            **super().json(),
            "gap": self.gap.json(),
            "splits": list(self.splits),
            "spread": self.spread,
        }


def squared_distances(rows: Tensor, centres: Tensor) -> Tensor:
    """(b, m) of float64 rows: by a matrix product, and from differences where that would cancel;
    equal rows are at exactly 0.
    """
    lengths = rows.square().sum(1)[:, None] + centres.square().sum(1)
    squared = torch.addmm(lengths, rows, centres.T, alpha=-2)
    row, column = (squared < _CANCELLED * lengths).nonzero().T
    at_once = max(1, _NUMBERS // rows.shape[1])
    for i, j in zip(row.split(at_once), column.split(at_once)):
        squared[i, j] = (rows[i] - centres[j]).square().sum(1)
    return squared.clamp_min_(0)


class _Squares:
    """Squared distances of rows to the centres and, shrunk, to the rows' mean, chunk by chunk as
    often as asked, the first ones held.

    ``room`` is how many are held; ``terms`` has room for as many as a chunk has.
    """

    def __init__(self, rows: Tensor, centres: Tensor, room: int):
        self.centres = torch.cat([centres, rows.mean(0, keepdim=True)])
        self.chunks = rows.split(max(1, _NUMBERS // len(self.centres)))
        self.terms = rows.new_empty(len(self.chunks[0]), len(self.centres))
        self.held: list[Tensor] = []
        self.room = room

    def __iter__(self) -> Iterator[Tensor]:
        yield from self.held
        for chunk in self.chunks[len(self.held) :]:
            squared = squared_distances(chunk, self.centres)
            squared[:, -1] *= _SHRINK
            self.room -= squared.numel()
            if self.room >= 0:  # once negative it stays so: what is held are the first ones
                self.held.append(squared)
            yield squared


def _offset(log_v: Tensor, log_weight: Tensor, d: int) -> Tensor:
    """What log w_j N(x; g_j, v_j I) is at its centre."""
    return log_weight - d / 2 * (math.log(2 * math.pi) + log_v)


def _pass(
    squares: _Squares, log_v: Tensor, log_weight: Tensor, n: int, d: int
) -> tuple[float, Tensor]:
    """The mean of -log p over the rows, and its gradient in log v: the mean of r (d - s/v)/2 with
    responsibilities r.
    """
    offset, precision = _offset(log_v, log_weight, d), (-log_v).exp()
    total, gradient = 0.0, torch.zeros_like(log_v)
    for squared in squares:
        terms = torch.addcmul(
            offset, squared, precision, value=-0.5, out=squares.terms[: len(squared)]
        )
        top = terms.amax(1)
        torch.softmax(terms, 1, out=terms)
        total += float(
            (top - terms.amax(1).log()).sum()
        )  # the largest responsibility is that of the largest term
        ones = terms.new_ones(len(terms))
        gradient += d * (ones @ terms)
        gradient -= precision * (ones @ terms.mul_(squared))
    return -total / n, gradient / (2 * n)


def fit_variances(rows: Tensor, centres: Tensor, *, at_once: int = 1) -> tuple[Tensor, int]:
    """log v (m,) of the laws at the centres (m, d) that maximises the likelihood of the rows (n,
    d), and the passes it took; float64.

    ``at_once``: so many fits share the memory.
    """
    n, d = rows.shape
    squares = _Squares(rows, centres, _HELD // at_once)
    least = torch.stack([squared.amin(0) for squared in squares]).amin(0)
    log_v = ((least + _CLOSE) / d).log()
    log_weight = torch.full_like(log_v, -math.log(len(centres)))
    log_weight[-1] = 0.0
    first, second, previous = torch.zeros_like(log_v), torch.zeros_like(log_v), math.inf
    for passes in range(1, PASSES + 1):
        value, gradient = _pass(squares, log_v, log_weight, n, d)
        if abs(previous - value) < SETTLED:
            return log_v[:-1], passes
        previous = value
        first.lerp_(gradient, 1 - _FIRST)
        second.lerp_(gradient.square_(), 1 - _SECOND)
        scale = (second / (1 - _SECOND**passes)).sqrt_().add_(_LEAST)
        log_v.addcdiv_(first, scale, value=-RATE / (1 - _FIRST**passes)).clamp_(-LIMIT, LIMIT)
    return log_v[:-1], PASSES


def log_likelihood(rows: Tensor, centres: Tensor, log_v: Tensor) -> Tensor:
    """log p of each row (n, d) under the equal mixture of normal laws at the centres (m, d) with
    variances exp(log_v), shape (n,).
    """
    offset = _offset(log_v, torch.full_like(log_v, -math.log(len(centres))), rows.shape[1])
    precision = (-log_v).exp()
    chunks = rows.split(max(1, _NUMBERS // len(centres)))
    return torch.cat(
        [
            torch.addcmul(offset, squared_distances(c, centres), precision, value=-0.5).logsumexp(1)
            for c in chunks
        ]
    )


def _standardised(gen: Tensor, train: Tensor, test: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """In units of the held-out standard deviation, 1/(n - 1), about its mean; a feature that is
    constant there is only centred.
    """
    scale, centre = torch.std_mean(test.double(), 0)
    scale = torch.where(scale > 0, scale, 1.0)
    gen, train, test = ((x.double() - centre) / scale for x in (gen, train, test))
    return gen, train, test


def _costs(rows: Tensor, centres: Tensor, log_v: Tensor) -> np.ndarray:
    """-100 log p/d of each row, (n,)."""
    return (log_likelihood(rows, centres, log_v) * (-100 / rows.shape[1])).cpu().numpy()


@dataclass(frozen=True, eq=False)
class _Fit:
    """Variances fitted to rows, and what held-out rows and these rows cost under them."""

    log_v: Tensor
    of_test: np.ndarray
    of_rows: np.ndarray


def _fits(pairs: Sequence[Callable[[], tuple[Tensor, Tensor]]], test: Tensor) -> list[_Fit]:
    """The fits of pairs of centres and rows, on all cores: each alone is a row of short
    operations.
    """
    at_once = workers(len(pairs)) if test.device.type == "cpu" else 1

    def fit(pair: Callable[[], tuple[Tensor, Tensor]]) -> _Fit:
        centres, rows = pair()
        log_v, _ = fit_variances(rows, centres, at_once=at_once)
        return _Fit(log_v, _costs(test, centres, log_v), _costs(rows, centres, log_v))

    return each(fit, pairs, at_once=at_once)


def _halves(train: Tensor, order: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """The training set in two, of which one is fitted to the other."""
    drawn = order[torch.randperm(len(order), generator=generator(seed)).to(order.device)]
    return train[drawn[: len(drawn) // 2]], train[drawn[len(drawn) // 2 :]]


def _subset(gen: Tensor, train: Tensor, size: int, seed: int, index: int) -> tuple[Tensor, Tensor]:
    """Some generated rows without replacement, to be fitted to the training set."""
    return gen[
        torch.randperm(len(gen), generator=generator(seed, index))[:size].to(gen.device)
    ], train


def _estimate(value: float, n: int, *variances: float) -> Estimate:
    half = float(stdtrit(_SUBSETS - 1, 0.975)) * math.sqrt(sum(variances))
    return Estimate(
        value,
        value - half,
        value + half,
        n,
        0.95,
        "m-out-of-n subsets of gen, t over test; training set fixed",
    )


@metric("jiralerspong2023")
@torch.no_grad()
def feature_likelihood(
    gen: Tensor | np.ndarray,
    train: Tensor | np.ndarray,
    test: Tensor | np.ndarray,
    *,
    splits: int = 5,
    seed: int = 0,
) -> FeatureLikelihood:
    """FLD = 100 (nll(test) - base) of Jiralerspong et al. (2023): lower is better, 0 is what one
    half of real training data would read.

    The base is nll(test) with one half of the training set as centres, fitted to the other half:
    the mean over ``splits`` >= 2 drawn with ``seed``. Intervals are given the training set, over
    held-out rows (t), generated rows (20 subsets of a quarter, rescaled) and splits. A fit takes up
    to 50 passes over all pairs of centres and training rows; there are 6 m n + splits n^2/4 such
    pairs. Fewer than 8 generated, 4 training or 2 held-out rows are a ValueError.
    """
    b = features(train, "train")
    a, c = (
        same_space(rows, b, (name, "train"))[0] for rows, name in ((gen, "gen"), (test, "test"))
    )
    for rows, name, least in ((a, "gen", 8), (b, "train", 4), (c, "test", 2)):
        if len(rows) < least:
            raise ValueError(
                f"feature_likelihood needs at least {least} rows of {name}, got {len(rows)}"
            )
    if splits < 2:
        raise ValueError(
            f"feature_likelihood averages at least 2 splits of the training set, got {splits}"
        )
    order = content_order(b)
    a, b, c = _standardised(a, b, c)
    size = max(2, round(_SHARE * len(a)))
    halves = [partial(_halves, b, order, derive(seed, 0, split)) for split in range(splits)]
    drawn = [partial(_subset, a, b, size, derive(seed, 1), index) for index in range(_SUBSETS)]
    whole, *others = _fits([lambda: (a, b), *halves, *drawn], c)
    bases = np.stack([fit.of_test for fit in others[:splits]])
    subsets = np.array([(fit.of_test.mean(), fit.of_rows.mean()) for fit in others[splits:]])

    def over(values: np.ndarray) -> float:
        """The variance of a mean."""
        return float(values.var(ddof=1) / len(values))

    def rescaled(values: np.ndarray) -> float:
        return size / len(a) * float(values.var(ddof=1))

    of_test = whole.of_test
    apart = (of_test - bases).mean(1)
    gap = _estimate(
        float(whole.of_rows.mean() - of_test.mean()),
        len(a),
        over(of_test),
        rescaled(subsets[:, 1] - subsets[:, 0]),
    )
    found = _estimate(
        float(apart.mean()),
        len(a),
        over(of_test - bases.mean(0)),
        rescaled(subsets[:, 0]),
        over(apart),
    )
    return FeatureLikelihood(
        found.value,
        found.low,
        found.high,
        found.n,
        found.level,
        found.method,
        gap=gap,
        splits=tuple(apart.tolist()),
        variances=whole.log_v.exp(),
    )
