"""Where memorization turns into generalization: novelty of every training run, its curves over N
and their crossings of one half, with intervals over training subsets, held-out images and samples.

Readings in, readings out, of a study that declares the quantities ``similarity`` (to the nearest
training image, of samples and of held-out images), ``nearer``, ``as_near``, ``farther``, ``curve``,
``n_star``, ``n_middle`` and ``growth``. With s the similarity, tau that of the nearest share alpha
of all held-out images:

* p_gen = P(s_gen > tau) is ``nearer``, and GLc = (1 - p_gen)/(1 - alpha) the ``curve``: 0 copies
  only, 1 as few as held-out images, at most 1/(1 - alpha);
* nearness = P(s_gen > s_test) is ``as_near``, 1/2 as near as held-out images on average, and
  ``farther`` the share beyond their farthest alpha;
* N* is where GLc of a training subset, seeds averaged, first reaches 1/2 by its isotonic fit on
  log2 N, N° where nearness falls to 1/2.

One draw is the same held-out images and noises for all models. To the scatter of these draws comes
that of subsets by t, pooled over widths: few subsets bootstrapped end at their range.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache, partial
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.special import stdtrit

from denoscope.estimate import Estimate, Resampled, proportion
from denoscope.metrics.crossings import as_size, rises
from denoscope.metrics.novelty import TAIL
from denoscope.random import derive
from denoscope.readings import Reading, Readings

DRAWS = 500


def calibrated(near: Estimate, alpha: float = TAIL) -> Estimate:
    """GLc = (1 - p_gen)/(1 - alpha) of the share of samples that are nearer to the training set
    than the nearest alpha of held-out images.
    """
    value, low, high = ((1 - x) / (1 - alpha) for x in (near.value, near.high, near.low))
    return Estimate(value, low, high, near.n, near.level, near.method)


def sides(found: Readings, alpha: float = TAIL, draws: int = DRAWS) -> Readings:
    """``nearer``, ``as_near`` and ``farther`` of every model, seeds averaged: each value and
    ``draws`` of it, (1 + draws,). Samples stand at ``images="gen"``, held-out images at "test".
    """
    scores = found.of("similarity")
    gen, test = (scores.of(images=images).dropped("images") for images in ("gen", "test"))
    both = gen.against(test, partial(redrawn_sides, alpha=alpha, draws=draws)).over("seed")
    names = enumerate(("nearer", "as_near", "farther"))
    each = [both.map(lambda v, i=i: v[i], name) for i, name in names]
    return Readings((r for part in each for r in part), found.quantities)


def novelty(found: Readings, alpha: float = TAIL) -> Readings:
    """:func:`sides` of every network, and of the closed-form Gaussian of every training set, whose
    similarities stand at ``who``.
    """
    scores = found.of("similarity")
    test, closed = scores.of(images="test"), scores.of(who="gaussian").over("width", "seed")
    networks = sides(scores.of(who="network").dropped("who") + test, alpha)
    return networks + sides(closed + test.over("width", "seed"), alpha)


def tails(found: Readings) -> Readings:
    """Both tails of networks."""
    low, high = (found.of(name, width=bool) for name in ("nearer", "farther"))
    return low.named("tail", end="low") + high.named("tail", end="high")


def redrawn_sides(
    gen: np.ndarray, test: np.ndarray, alpha: float = TAIL, draws: int = DRAWS
) -> np.ndarray:
    """p_gen, nearness and the far tail by similarities of samples (m,) and held-out images (n,),
    (3, 1 + draws): as they are, then with both drawn anew; equal similarities count half.

    Quantiles of the hold-out lie at the ranks alpha (n + 1) and (1 - alpha)(n + 1), linear between
    two images, so that the rate of new real images is alpha whatever n.
    """
    samples, held = _redrawn(len(gen), len(test), draws)
    s, t = np.sort(gen)[::-1], np.sort(test)[::-1]
    passed = np.pad(samples.cumsum(1), ((0, 0), (1, 0))) / len(s)
    more, as_much = (passed[:, np.searchsorted(-s, -t, side)] for side in ("left", "right"))
    above = (more + as_much) / 2
    ends = (_at_rank(above, held, rank * (len(t) + 1)) for rank in (alpha, 1 - alpha))
    near, farther = ends
    return np.stack([near, (held * above).sum(1) / len(t), 1 - farther])


def _at_rank(above: np.ndarray, held: np.ndarray, rank: float) -> np.ndarray:
    """The share of samples above the held-out image of a rank, counted from the most similar one:
    none above rank 0, all above rank n + 1.
    """
    first, rest = int(rank), rank - int(rank)
    upto, rows = held.cumsum(1), np.arange(len(held))

    def share_above(k: int) -> np.ndarray:
        place = (upto < k).sum(1)
        inside = above[rows, np.minimum(place, above.shape[1] - 1)]
        return np.where(k < 1, 0.0, np.where(place < above.shape[1], inside, 1.0))

    return (1 - rest) * share_above(first) + rest * share_above(first + 1)


@lru_cache(maxsize=4)
def _redrawn(samples: int, held: int, draws: int) -> tuple[np.ndarray, np.ndarray]:
    """How often each sample and each held-out image counts, (1 + draws, ...): once, then as drawn;
    the same for all models, so that they are paired.
    """
    source = np.random.default_rng(derive(0))
    counts = (source.multinomial(k, np.full(k, 1 / k), draws) for k in (samples, held))
    first, second = (np.vstack([np.ones((1, c.shape[1])), c]) for c in counts)
    return first, second


def curves(drawn: Readings, samples: int) -> Readings:
    """Both sides and GLc by N for each width, as estimates over subsets, hold-outs and samples;
    what has no width (a closed form) for its training sets alone.
    """
    made = [
        replace(r, value=partial(_exact_ends, r.value, samples))
        for some in (drawn.of(width=bool), drawn.without("width"))
        for r in pooled(some)
    ]
    found = Readings(made, drawn.quantities)
    return found + found.of("nearer").map(lambda near: partial(_calibrated, near), "curve")


def transitions(drawn: Readings, alpha: float = TAIL) -> Readings:
    """``n_star`` and ``n_middle`` of each width, and the ``growth`` of N* from one width to the
    next as a ratio.
    """
    copies = drawn.of("nearer", width=bool)
    stars = _crossed(copies.map(lambda p: (1 - p) / (1 - alpha)), "n_star")
    middles = _crossed(drawn.of("as_near", width=bool).map(lambda p: 1 - p), "n_middle")
    sizes = {width: some.along("n") for width, some in copies.by("width")}
    points = [
        replace(r, value=r.value.map(partial(_inside, sizes[r.at["width"]])))
        for r in (*pooled(stars), *pooled(middles))
    ]
    growth = [replace(r, value=r.value.map(as_size)) for r in ratios(stars)]
    return Readings([*points, *growth], drawn.quantities)


def _inside(sizes: Sequence[int], logs: np.ndarray) -> np.ndarray:
    """Sizes by their log2; what lies beyond those that were measured is infinite."""
    found = as_size(logs)
    return np.where(found < sizes[0], -np.inf, np.where(found > sizes[-1], np.inf, found))


def _crossed(rising: Readings, name: str) -> Readings:
    """log2 of the size at which the curve of every width and subset reaches 1/2, in every draw;
    beyond the sizes that fit into a subset its curve goes on as the others'.
    """
    found = []
    for width, subset, some in rising.by("width", "subset"):
        every = rising.of(width=width)
        sizes = [n for n in every.along("n") if n in some.along("n") or n > max(some.along("n"))]
        if len(sizes) > 1:
            curve = [[r.value for r in some.of(n=n) or every.of(n=n)] for n in sizes]
            at = rises(sizes, np.stack([np.mean(values, 0) for values in curve], 1))
            found.append(Reading(name, {"width": width, "subset": subset}, at))
    return Readings(found, rising.quantities)


def pooled(drawn: Readings) -> Readings:
    """Over subsets: draws (1 + r,) at a width and a subset become one :class:`Resampled` for each
    width, with the scatter of subsets pooled over widths.
    """
    found = []
    rest = [
        c for c in dict.fromkeys(c for r in drawn for c in r.at) if c not in ("width", "subset")
    ]
    for name in dict.fromkeys(r.name for r in drawn):
        for *place, some in drawn.of(name).by(*rest):
            units = {w: np.stack([r.value for r in part]) for w, part in some.by("width")}
            spread, freedom = scatter([u[:, 0] for w, u in units.items() if w is not None])
            for width, u in units.items():
                at = {"width": width, **dict(zip(rest, place))}
                at = {k: v for k, v in at.items() if v is not None}
                found.append(Reading(name, at, over_subsets(u, spread, freedom)))
    return Readings(found, drawn.quantities)


def ratios(logs: Readings) -> Readings:
    """The log2 ratio of N* of every width to that of the one before, paired by subset and by draw;
    scatter is what neither widths nor subsets have in common.
    """
    units = {width: {r.at["subset"]: r.value for r in some} for width, some in logs.by("width")}
    common = sorted(set.intersection(*(set(u) for u in units.values()))) if units else []
    table = {w: np.stack([u[s] for s in common]) for w, u in units.items()} if common else {}
    spread, freedom = interaction(np.array([u[:, 0] for u in table.values()]))
    found = []
    for one, two in pairwise(table):
        with np.errstate(invalid="ignore"):  # inf - inf: neither crosses
            less = table[two] - table[one]
        made = over_subsets(less, math.sqrt(2) * spread, freedom)
        found.append(Reading("growth", {"width": (one, two)}, made))
    return Readings(found, logs.quantities)


def scatter(groups: Sequence[np.ndarray]) -> tuple[float, int]:
    """The standard deviation of units (k,) within groups, pooled, and its degrees of freedom;
    groups that are not finite are left out.
    """
    known = [g for g in groups if np.isfinite(g).all()]
    freedom = sum(len(g) - 1 for g in known)
    squares = sum(float(((g - g.mean()) ** 2).sum()) for g in known)
    return (math.sqrt(squares / freedom) if freedom else 0.0), freedom


def interaction(table: np.ndarray) -> tuple[float, int]:
    """The standard deviation of a table (rows, columns) about the sum of its margins, and its
    degrees of freedom; rows that are not finite are left out.
    """
    if table.ndim == 2:
        table = table[np.isfinite(table).all(1)]
    freedom = (table.shape[0] - 1) * (table.shape[1] - 1) if table.ndim == 2 else 0
    if freedom < 1:
        return 0.0, 0
    left = table - table.mean(1, keepdims=True) - table.mean(0) + table.mean()
    return math.sqrt(float((left**2).sum()) / freedom), freedom


def over_subsets(units: np.ndarray, spread: float, freedom: int) -> Resampled:
    """The mean of ``units`` (k, 1 + draws), values first, with ``spread`` between subsets by t of
    so many degrees of ``freedom``; a draw of which some units are infinite says nothing.
    """
    k, draws = units.shape[0], units.shape[1] - 1
    with np.errstate(invalid="ignore"):
        middle = units.mean(0)
    unknown = np.isinf(units).any(0) & ~(units == units[0]).all(0)
    drawn = np.where(unknown, np.nan, middle)[1:]
    method = f"draws of hold-out and samples, {k} training subset{'s' if k > 1 else ''}"
    if not freedom:
        return Resampled(float(middle[0]), drawn, k, f"{method}, retraining on others not included")
    order = np.random.default_rng(derive(0, 1)).permutation(draws)
    t = stdtrit(freedom, (order + 0.5) / draws)
    method += f" by t, {freedom} degree{'s' if freedom > 1 else ''} of freedom over all widths"
    return Resampled(float(middle[0]), drawn + spread / math.sqrt(k) * t, k, method)


def _exact_ends(drawn: Resampled, samples: int, level: float = 0.95) -> Estimate:
    """An estimate in [0, 1]; where all samples lie on one side its end is exact."""
    made = drawn(level)
    e = replace(made, low=max(0.0, made.low), high=min(1.0, made.high))
    if 0 < e.value < 1:
        return e
    alone = proportion(round(samples * e.value), samples, level)
    return replace(e, low=min(e.low, alone.low), high=max(e.high, alone.high), method=alone.method)


def _calibrated(near: Any, level: float = 0.95) -> Estimate:
    return calibrated(near(level=level))
