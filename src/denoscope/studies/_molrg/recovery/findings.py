"""What a sweep says of the published claims, in words and numbers, whether they appeared or not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from denoscope.estimate import Estimate, proportion
from denoscope.report import Finding
from denoscope.studies._molrg.equivalence import Departure
from denoscope.studies._molrg.recovery.maps import CLUSTERING, TRAINING, Case, Map, agreement

WORDS = {CLUSTERING: "clustering", TRAINING: "training"}
AGREEING = 0.95
"""Share of cells with overlapping intervals from which the two maps count as the same."""

RARE = 0.01
"""Share of instances up to which failures of the optimiser count as rare."""

SMALL = 0.01
"""Relative change of the loss that counts as none."""


def claims(every: Sequence[Case], found: Departure | None) -> list[Finding]:
    """Every claim that the sweep can test, with its numbers."""
    per_case = [
        item
        for case in every
        for item in (_edge(case), _agree(case), _optimiser(case), _free(case))
        if item
    ]
    return per_case + ([_departure(found)] if found else [])


def said(e: Estimate | None) -> str:
    """A share with its interval, in percent."""
    return (
        "no cell" if e is None else f"{100 * e.value:.0f} % [{100 * e.low:.0f}, {100 * e.high:.0f}]"
    )


def _of(maps: Sequence[Map], offset: int) -> str:
    return "; ".join(f"K = {of.k} {said(of.at_offset(offset))}" for of in maps)


def _edge(case: Case) -> Finding:
    """Nothing is recovered from fewer points than dimensions, and two more are enough."""
    few = [e for of in case.maps if (e := _pooled(of, -1))]
    more = [e for of in case.maps if (e := of.at_offset(2))]
    appeared = all(e.value < 0.05 for e in few) and all(e.value > 0.9 for e in more)
    lines = [
        f"{WORDS[name].capitalize()} at Nₖ = d: {_of(maps, 0)}; one point more: "
        f"{_of(maps, 1)}; two more: {_of(maps, 2)}."
        for name in WORDS
        if (maps := [pair.maps[name] for pair in case.pairs if name in pair.maps])
    ]
    words = (
        "changes from failure to success at Nₖ = d"
        if appeared
        else "does not change from failure to success at Nₖ = d alone"
    )
    most = (
        f" with fewer points at most {said(max(few, key=lambda e: e.value))} is recovered, and"
        if few
        else ""
    )
    width = max(_width(of) for of in case.maps)
    later = (
        f"every cell is above 90 % from Nₖ = d + {width:g} on"
        if width < np.inf
        else "some dimension stays below 90 % up to the largest Nₖ"
    )
    return Finding(
        f"At {case.name}, recovery {words}:{most} {later}.",
        "good" if appeared else "absent",
        " ".join(lines),
    )


def _pooled(of: Map, last: int) -> Estimate | None:
    """The share of success over all cells whose Nₖ - d is at most ``last``."""
    chosen = [
        of.success[i, j]
        for i, d in enumerate(of.ds)
        for j, count in enumerate(of.counts)
        if count - d <= last
    ]
    return proportion(int(np.sum(chosen)), int(np.size(chosen))) if chosen else None


def _width(of: Map) -> float:
    """The least offset from which on every cell of the map succeeds in more than 90 % of the
    trials; infinite where there is none.
    """
    failing = [
        count - d
        for i, d in enumerate(of.ds)
        for j, count in enumerate(of.counts)
        if of.share[i, j] <= 0.9
    ]
    reachable = [max(of.counts) - d for d in of.ds]
    least = max(failing, default=min(of.offsets()) - 1) + 1
    return least if least <= min(reachable) else np.inf


def _agree(case: Case) -> Finding | None:
    pairs = list(case.both())
    if not pairs:
        return None
    found = agreement(pairs)
    k, d, count, one, two = found.worst
    by_k = "; ".join(f"K = {a.k} {said(agreement([(a, b)]).overlap)}" for a, b in pairs)
    return Finding(
        f"At {case.name}, clustering and diffusion training agree within their binomial "
        f"intervals in {100 * found.overlap.value:.1f} % of "
        f"{found.cells} cells.",
        "good" if found.overlap.value >= AGREEING else "absent",
        f"Exact 95 % intervals of the two shares overlap: {by_k}. Each interval also "
        f"holds the other share in {100 * found.mutual.value:.1f} % of the cells. In "
        f"{100 * found.same.value:.1f} % [{100 * found.same.low:.1f}, "
        f"{100 * found.same.high:.1f}] of the instances both succeed or both fail. They "
        f"differ most at K = {k}, d = {d}, Nₖ = {count}: {100 * one:.0f} % by clustering, "
        ""
        f"{100 * two:.0f} % by training.",
    )


def _optimiser(case: Case) -> Finding:
    shares = {
        name: [
            (of.k, proportion(int(of.below.sum()), of.below.size))
            for pair in case.pairs
            if (of := pair.maps.get(name))
        ]
        for name in WORDS
    }
    most = max(e.value for values in shares.values() for _, e in values)
    failed = sum(int((~of.success).sum()) for of in case.maps)
    below = sum(int(of.below.sum()) for of in case.maps)
    detail = "; ".join(
        f"{WORDS[name]}: "
        + ", ".join(
            f"K = {k} {100 * e.value:.2f} % [{100 * e.low:.2f}, {100 * e.high:.2f}]"
            for k, e in values
        )
        for name, values in shares.items()
        if values
    )
    words = "are the data's, not the optimiser's" if most <= RARE else "are partly the optimiser's"
    return Finding(
        f"At {case.name}, failures {words}: {below} of {failed} end with an objective "
        "worse than the truth's.",
        "neutral",
        "Share of all instances that fail with an objective worse than the truth's, by "
        f"{detail}. The rest fail although their objective is at least as good.",
    )


def _free(case: Case) -> Finding | None:
    maps = [
        of
        for pair in case.pairs
        if pair.k > 1 and (of := pair.maps.get(CLUSTERING)) and of.free is not None
    ]
    if not maps:
        return None
    at = "; ".join(
        f"K = {of.k}: {said(of.at_offset(0, of.free))} at Nₖ = d and "
        f"{said(of.at_offset(1, of.free))} at d + 1, against {said(of.at_offset(0))} and "
        f"{said(of.at_offset(1))} with it"
        for of in maps
    )
    fewer = sum(int(of.success.sum()) - int(of.free.sum()) for of in maps if of.free is not None)
    return Finding(
        f"At {case.name}, without mutual orthogonality K-subspaces recovers {abs(fewer)} "
        f"{'fewer' if fewer >= 0 else 'more'} of "
        f"{sum(of.success.size for of in maps)} instances.",
        "neutral",
        f"Recovered without it, {at}. With d points a subspace any split into groups of d "
        "is then as good as the true one, and only the starts decide.",
    )


def _departure(found: Departure) -> Finding:
    soft, argmax = (np.abs(of.value / found.exact) for of in (found.soft, found.argmax))
    within = [float(sigma) for sigma, a, b in zip(found.sigma, soft, argmax) if max(a, b) <= SMALL]
    limit = max(
        (
            sigma
            for sigma in within
            if all(max(a, b) <= SMALL for s, a, b in zip(found.sigma, soft, argmax) if s <= sigma)
        ),
        default=None,
    )
    off = float(np.abs(found.clean.value - found.exact).max() / found.exact.max())
    words = f"up to σ = {limit:.2g}" if limit is not None else "at none of the levels"
    return Finding(
        f"Denoising is subspace clustering to within {100 * SMALL:g} % of the loss {words}.",
        "good" if limit is not None else "absent",
        f"At σ = {found.sigma[-1]:.2g} assigning by the noisy point changes the loss by "
        f"{100 * found.argmax.value[-1] / found.exact[-1]:+.0f} % and soft weights by "
        f"{100 * found.soft.value[-1] / found.exact[-1]:+.0f} %; "
        f"{100 * found.wrong.value[-1]:.0f} % of the noisy points are assigned elsewhere. "
        "With the clean assignment "
        f"simulation and formula differ by at most {off:.1e} of the largest loss.",
    )
