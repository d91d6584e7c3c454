"""Matrices of pairs: every model by every other, at the two ends of a coordinate."""

from __future__ import annotations

from denoscope.estimate import unavailable
from denoscope.readings import Reading, Readings
from denoscope.report.plots import Map


def sided(pairs: Readings) -> Readings:
    """Pairs by their first and their second model."""
    sides = pairs.named(one=lambda at: at["maker"][0], other=lambda at: at["maker"][1])
    return sides.dropped("maker")


def triangles(pairs: Readings) -> Readings:
    """The matrix with the fewest images below its diagonal, and with the most above it."""
    sizes, half = pairs.along("n"), sided(pairs)
    names = list(dict.fromkeys(name for r in pairs for name in r.at["maker"]))
    itself = unavailable("a model and itself", 0)
    lower = half.of(n=sizes[:1]).moved({"one": "other", "other": "one"})
    diagonal = [Reading(pairs[0].name, {"one": k, "other": k}, itself) for k in names]
    return (Readings(diagonal, pairs.quantities) + half.of(n=sizes[-1:]) + lower).dropped("n")


def matrix(pairs: Readings) -> Map:
    """Every model by every other, both sizes."""
    return Map(triangles(pairs) if pairs else pairs, "one", "other")


def sides(pairs: Readings) -> str:
    """Which triangle is which."""
    sizes = pairs.along("n")
    return f"above the diagonal N = {sizes[-1]}, below N = {sizes[0]}" if sizes else ""
