"""What the study says of intrinsic dimension, and of ranks where the true denoiser is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from denoscope.data.synthetic import SPREAD, SUBSPACES
from denoscope.estimate import Estimate, mean, median
from denoscope.report import Finding
from denoscope.studies._geometry.groups import Group
from denoscope.studies._geometry.rank.dimension_drawings import SHORT, flipd, traces
from denoscope.studies._geometry.rank.measuring import BUNDLE
from denoscope.studies._geometry.rank.reading import PLACES, facts, has, levels, number, said

LOW_NOISE, HIGH_NOISE = 0.3 * SPREAD, 8 * SPREAD
"""Noise levels up to which, and from which, the true rank is that of one subspace, and of all."""

CLOSE = 1.0
"""How far a dimension may be from the known one to count as found."""


def known_dimension(groups: Sequence[Group]) -> int | None:
    """The true dimension, where the data's law is known."""
    return SUBSPACES[0] if has(groups[0], "truth") else None


def claims(groups: Sequence[Group]) -> list[Finding]:
    """Every claim on dimension, and on the exact ranks of the true denoiser."""
    return [
        *([_exact(groups), _network(groups)] if has(groups[0], "truth") else []),
        _dimension(groups),
    ]


def _phase(group: Group, who: str, place: str) -> tuple[np.ndarray, np.ndarray]:
    """Medians over points by the published rule in the low-noise and the high-noise phase."""
    sigma = levels(group, place)
    found = np.median(facts(group, place, who, "norm"), 1)
    return found[sigma <= LOW_NOISE], found[sigma >= HIGH_NOISE]


def _exact(groups: Sequence[Group]) -> Finding:
    d, total = SUBSPACES[0], sum(SUBSPACES)
    phases = [_phase(groups[-1], "truth", place) for place in PLACES]
    good = all((low == d).all() and (high == total).all() for low, high in phases)
    return Finding(
        f"The true denoiser has rank {d} = d at low and {total} = Kd at high noise, "
        f"{'exactly' if good else 'but not at every level'}.",
        "good" if good else "absent",
        f"Medians over points at σ ≤ {LOW_NOISE:.2g} and σ ≥ {HIGH_NOISE:.2g}, on "
        f"{', '.join(PLACES.values())}.",
    )


def _network(groups: Sequence[Group]) -> Finding:
    d, total = SUBSPACES[0], sum(SUBSPACES)
    many = groups[-1]
    sigma, found = levels(many, "test"), facts(many, "test", "network", "norm")
    medians = [median(row) for row in found]
    low = [
        f"{level:.2g}"
        for level, rank in zip(sigma, medians)
        if abs(rank.value - d) <= 1 and level <= 2 * SPREAD
    ]
    high = [
        f"{level:.2g}"
        for level, rank in zip(sigma, medians)
        if abs(rank.value - total) <= 1 and level > 2 * SPREAD
    ]
    each = ", ".join(f"{rank.value:.3g} (σ = {level:.2g})" for level, rank in zip(sigma, medians))
    where = [f"about {rank} at σ = {', '.join(at)}" for rank, at in ((d, low), (total, high)) if at]
    return Finding(
        f"{many.label} has the true rank, within 1, at {len(low)} low and {len(high)} "
        f"high levels of {len(sigma)}{': ' if where else ''}{'; '.join(where)}.",
        "good" if low and high else "absent",
        f"Median ranks on noisy unseen images: {each}. At the other levels the network's "
        "rank is not that of the data.",
    )


def images(group: Group) -> dict[str, Estimate]:
    """The estimates from the images, those that could be made."""
    found = {name: group.rows[0].values[f"dimension_{name}"] for name in SHORT}
    return {
        name: value
        for name, value in found.items()
        if isinstance(value, Estimate) and np.isfinite(value.value)
    }


def _dimension(groups: Sequence[Group]) -> Finding:
    many, known = groups[-1], known_dimension(groups)
    sigma, stated = levels(many, "test"), flipd(many).mean(1)
    of_data = (
        ", ".join(f"{SHORT[name]} {said(value, '.3g')}" for name, value in images(many).items())
        or "none could be made"
    )
    bundles = "; ".join(
        f"{group.label}: {np.median(group.mean('bundle_network')):.3g}" for group in groups
    )
    status, told = _plateau(many, known) if known else ("neutral", _passes(sigma, stated, many))
    return Finding(
        f"{many.label} states a dimension that falls with the noise level, from "
        f"{stated[0]:.3g} at σ = {sigma[0]:.2g} to {number(stated[-1], '.2g')} at σ = "
        f"{sigma[-1]:.3g}{told}.",
        status,
        f"From the images: {of_data}. FLIPD of {many.label}, by level: {_listed(stated)}; "
        f"trace of J: {_listed(traces(many).mean(1))}. "
        f"Normal bundle at σ = {BUNDLE:g}, median over clean images: {bundles} (n − 1 "
        "where no direction stands out as across).",
    )


def _listed(values: np.ndarray) -> str:
    return ", ".join(number(value, ".3g") for value in values)


def _plateau(group: Group, known: int) -> tuple[Literal["good", "absent"], str]:
    """What is stated where it changes least, against the known dimension."""
    at = flattest(flipd(group).mean(1))
    there = mean(flipd(group)[at])
    said_there = (
        f"; where it changes least, at σ = {levels(group, 'test')[at]:.2g}, it "
        f"is {said(there, '.3g')}; the known dimension is {known}"
    )
    return "good" if abs(there.value - known) <= CLOSE else "absent", said_there


def _passes(sigma: np.ndarray, stated: np.ndarray, group: Group) -> str:
    """Between which levels what is stated lies between the estimates from the images."""
    values = [estimate.value for estimate in images(group).values()]
    inside = (stated >= min(values, default=np.nan)) & (stated <= max(values, default=np.nan))
    if not inside.any():
        return ""
    return (
        f"; it lies between the images' own estimates, {min(values):.2g} to "
        f"{max(values):.2g}, at σ = "
        f"{', '.join(f'{level:.2g}' for level in sigma[inside])} only"
    )


def flattest(values: np.ndarray) -> int:
    """The level at which the values change least against the logarithm of the level, of those where
    they are above 1.
    """
    change = np.abs(np.gradient(np.log(np.maximum(values, 1e-3))))
    return int(np.where(values > 1, change, np.inf).argmin())
