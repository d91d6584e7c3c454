"""What the studies that draw training sets from a law share: the law, and names of its cells."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from denoscope.data.population import Population
from denoscope.data.sources import Source, load
from denoscope.estimate import Estimate
from denoscope.fitting.recipe import at_least
from denoscope.metrics.crossings import apart, crossing, less
from denoscope.readings import Readings, collected
from denoscope.report.plots import Plot
from denoscope.store import Row
from denoscope.studies._trained import Imaged
from denoscope.theory.spectra import power_law

_FINE = 40  # sizes on a line of theory, and near N = d half as many more
_POWER = re.compile(r"power(\d+(?:\.\d+)?)")


@dataclass(frozen=True, kw_only=True)
class Drawn(Imaged):
    """Training sets of n rows from a law of d dimensions; ``least``: the least values of fields."""

    least: ClassVar[dict[str, int]] = {}
    places: ClassVar[tuple[str, ...]] = ("data", "n")

    n: int  # stated here for its type alone, as d: each study has its own default and help
    d: int

    def __post_init__(self) -> None:
        at_least(self, self.least)

    def law(self) -> Population:
        """The law of the data."""
        return population(self.source(), self.d)

    def infeasible(self) -> str:
        if self.n < 2:
            return f"--n {self.n}: a training set needs at least 2 rows"
        most = self.law().most
        if most is not None and self.n > most:
            return (
                f"--n {self.n}: {self.data} has {2 * most} images, half of which test; "
                f"at most {most} train"
            )
        return ""

    def inputs(self) -> dict[str, str]:
        return super().inputs() if synthetic(self.data) is None else {}

    @classmethod
    def subtitle(cls, rows: Sequence[Row]) -> str:
        sets = rows[0].fields["draws"]
        return f"{', '.join(named(rows))}: {len(rows)} cells of {sets} training sets"

    @classmethod
    def spectra(cls, rows: Sequence[Row]) -> dict[str, np.ndarray]:
        """The eigenvalues (d,) of the law's covariance, by the name of the data."""
        first = {name: collected(some[:1], cls.quantities) for name, some in named(rows).items()}
        return {name: found.of("spectrum").one for name, found in first.items()}

    @classmethod
    def found(cls, rows: Sequence[Row]) -> Readings:
        """The readings of all cells at their n and at the name of their data."""
        found = Readings([], cls.quantities)
        for name, some in named(rows).items():
            found += collected(some, cls.quantities, "n").named(data=name)
        return found


def named(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Cells that differ in n alone by the name of their data, synthetic laws first; data that
    appear with several settings are named after what differs.
    """
    groups: dict[tuple[tuple[str, str], ...], list[Row]] = {}
    for row in rows:
        said = tuple((k, str(v)) for k, v in row.fields.items() if k != "n")
        groups.setdefault(said, []).append(row)
    every: list[dict[str, Any]] = [dict(key) for key in groups]
    counts = Counter(each["data"] for each in every)
    varied = [k for k in every[0] if k != "data" and len({each[k] for each in every}) > 1]
    told = [[f"{k} {each[k]}" for k in varied if counts[each["data"]] > 1] for each in every]
    names = [", ".join([each["data"], *more]) for each, more in zip(every, told)]
    found = dict(zip(names, groups.values()))
    images = {name: synthetic(str(some[0].fields["data"])) is None for name, some in found.items()}
    return {name: found[name] for name in sorted(found, key=lambda name: (images[name], name))}


def between(sizes: Sequence[float], d: int) -> np.ndarray:
    """The sizes and others between them, or around one that is alone; more around N = d."""
    first, last = float(sizes[0]), float(sizes[-1])
    if first == last:
        first, last = max(2.0, first / 1.5), 1.5 * last
    near = d * np.linspace(0.8, 1.3, _FINE // 2)
    fine = np.concatenate([np.geomspace(first, last, _FINE), near[(near > first) & (near < last)]])
    return np.union1d(fine, sizes)


def curves(readings: Readings, x: str, most: int = 1000, **look: Any) -> Plot:
    """Over ``x``: dots with intervals (``most`` a kind of data) measured, lines for theory."""
    drawn = ["simulation", "twin"]
    lines = readings.of(source=lambda source: source not in drawn)
    each = (some.thinned(x, most) for _, some in readings.of(source=drawn).by("data"))
    dots = sum(each, readings.of(data=[]))
    return Plot(dots, x, look="source", theory=lines, **{"scale": "log", **look})


def closing(
    sizes: Sequence[float], units: Sequence[np.ndarray], level: float = 0.95, *, height: float
) -> Estimate:
    """Where the mean over sets is below ``height`` for good; its interval keeps to the sizes."""
    e = crossing(sizes, units, level, height=height, falling=True)
    return replace(e, low=min(e.low, sizes[-1]), high=max(e.high, sizes[0]))


def sooner(
    sizes: Sequence[float], units: Sequence[np.ndarray], level: float = 0.95, *, height: float
) -> Estimate:
    """Where the first of a set's two numbers (sets, 2) falls below, over where the second does."""
    one, other = (apart(sizes, [u[:, i] for u in units]).fall(height) for i in (0, 1))
    return less(one, other).map(np.exp2)(level)


def synthetic(data: str) -> float | None:
    """The exponent k of ``powerK``, the law with eigenvalues nu^-k; None for a set of images."""
    match = _POWER.fullmatch(data)
    return float(match[1]) if match else None


@lru_cache(maxsize=4)
def population(source: Source, d: int) -> Population:
    """The law of that name; ``d`` is the dimension of a synthetic one and ignored for images."""
    k = synthetic(source.data)
    if k is not None:
        return Population(source.data, np.sort(power_law(d, k))[::-1])
    images = load(source)
    return Population.of_images(images.data[: images.test_from], images.name)
