"""What was measured, by its coordinates: the units behind a number stay with it until an interval
is made of them.

A reading is one quantity at one place (n, seed, noise level, who, ...). Its value is an array whose
first axis are the *units* that an interval speaks about (images, noises, trials), a function of the
level that makes the estimate of several such arrays, or an :class:`~denoscope.estimate.Estimate`
that was made already. A study declares its quantities once, each with the interval that fits its
kind, and the verb says how many numbers become one:

* ``over``: readings that share their units are averaged unit by unit;
* ``joined``: readings whose units differ stand side by side;
* ``crossed``: readings that share their units, and are a sample themselves (runs);
* ``against``, ``change``, ``pairs``: two readings make a third, paired unit by unit;
* ``across``: the readings along a coordinate become one (a crossing, an exponent, a maximum).

Nothing is an error where a sweep lacks a place; a name that was never declared is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import combinations, count
from typing import Any

import numpy as np

from denoscope.coordinates import COORDINATES, check, nearest, order_of
from denoscope.display import html_table, shortened, sized
from denoscope.estimate import Estimate, bounded, exact, mean, share
from denoscope.estimate import crossed as crossed_mean
from denoscope.store import Row

Units = np.ndarray
_SHOWN = 20  # rows of the table that a notebook shows


def _ends(values: Sequence[Any]) -> str:
    return f"{values[0]} … {values[-1]}" if len(values) > 2 else ", ".join(map(str, values))


@dataclass(frozen=True)
class Quantity:
    """A measured number: ``label`` and ``unit`` name axes and columns, ``form`` writes its values.

    ``interval`` is its kind: :func:`~denoscope.estimate.share` of units in [0, 1], ``mean``,
    ``median``, ``exact`` (counts, ranks, theory), or any function of units and ``level``. ``tip``
    says in words what it is.
    """

    label: str
    unit: str = ""
    interval: Callable[..., Estimate] = mean
    form: str = ".2f"
    tip: str = ""

    @property
    def axis(self) -> str:
        """The label with its unit."""
        return f"{self.label} ({self.unit})" if self.unit else self.label


@dataclass(frozen=True, eq=False, repr=False)
class Reading:
    """A quantity called ``name`` at the coordinates ``at``.

    In a cell a coordinate may be an array: one of the leading axes of ``value``, in their order.
    """

    name: str
    at: Mapping[str, Any]
    value: Any

    def __repr__(self) -> str:
        place = ", ".join(f"{name}={value}" for name, value in self.at.items())
        found = f"{sized(self.value.shape) or 1} numbers" if _is_array(self.value) else self.value
        return shortened(f"Reading({self.name}{' at ' * bool(place)}{place}: {found})")


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray)


class Readings(tuple[Reading, ...]):
    """Readings of declared ``quantities``, in the order of their cells."""

    quantities: Mapping[str, Quantity]

    def __new__(
        cls, items: Iterable[Reading] = (), quantities: Mapping[str, Quantity] | None = None
    ) -> Readings:
        self = super().__new__(cls, items)
        self.quantities = {} if quantities is None else quantities
        return self

    def __repr__(self) -> str:
        names = ", ".join(dict.fromkeys(r.name for r in self))
        places = " ".join(f"{c}={_ends(self.along(c))}" for c in self.varied())
        told = f": {names}" * bool(names) + f"; {places}" * bool(places)
        return shortened(f"Readings({len(self)}{told})")

    def _repr_html_(self) -> str:
        shown, places = self[:_SHOWN], list(dict.fromkeys(c for r in self for c in r.at))
        rows = [[self._label(r), *(r.at.get(c, "") for c in places), self._shown(r)] for r in shown]
        more = f", the first {_SHOWN} of them" if len(self) > _SHOWN else ""
        return html_table(["quantity", *places, "value"], rows, f"{len(self)} readings{more}")

    def _label(self, r: Reading) -> str:
        return self.quantities[r.name].axis if r.name in self.quantities else r.name

    def _shown(self, r: Reading) -> object:
        try:
            return self.estimate(r)
        except (ValueError, TypeError):  # units that no interval is made of
            return f"{sized(np.shape(r.value))} numbers"

    def _like(self, items: Iterable[Reading]) -> Readings:
        return Readings(items, self.quantities)

    def _declared(self, *names: str) -> None:
        for name in names:
            if name not in self.quantities:
                raise ValueError(f"no quantity {name!r}: {nearest(name, self.quantities)}")

    def of(self, *names: str, **at: Any) -> Readings:
        """Those of these quantities (none: all) at these coordinates; a list is any of its values,
        a function is asked.
        """
        self._declared(*names)
        tests = {key: _test(key, wanted) for key, wanted in at.items()}
        return self._like(
            r
            for r in self
            if (not names or r.name in names)
            and all(key in r.at and test(r.at[key]) for key, test in tests.items())
        )

    def without(self, *coordinates: str) -> Readings:
        """Those that lack all of these coordinates."""
        check_names(coordinates)
        return self._like(r for r in self if not any(c in r.at for c in coordinates))

    def along(self, coordinate: str) -> list[Any]:
        """The values of a coordinate: as declared, numbers ascending, else in order of use."""
        check_names([coordinate])
        return order_of(coordinate, (r.at[coordinate] for r in self if coordinate in r.at))

    def varied(self) -> list[str]:
        """The coordinates that have several values here."""
        names = dict.fromkeys(c for r in self for c in r.at)
        return [c for c in names if len(self.along(c)) > 1]

    def by(self, *coordinates: str) -> Iterator[tuple[Any, ...]]:
        """(value of each coordinate, the readings there), in the order of :meth:`along`; what lacks
        a coordinate has None and comes first.
        """
        ranks = [{v: i for i, v in enumerate([None, *self.along(c)])} for c in coordinates]
        places = _grouped(self, lambda r: tuple(r.at.get(c) for c in coordinates))
        key = partial(_ranked, ranks)
        for place in sorted(places, key=key):
            yield (*place, self._like(places[place]))

    def first(self, coordinate: str) -> Readings:
        """Those at the smallest value of a coordinate, for each quantity and place by the other
        coordinates, samples together; none where it has one value.
        """
        return self._end(coordinate, 0)

    def last(self, coordinate: str) -> Readings:
        """Those at its largest value."""
        return self._end(coordinate, -1)

    def _end(self, coordinate: str, which: int) -> Readings:
        check_names([coordinate])
        places = _grouped((r for r in self if coordinate in r.at), partial(_run, coordinate))
        values = {
            place: order_of(coordinate, (r.at[coordinate] for r in some))
            for place, some in places.items()
        }
        ends = {place: some[which] for place, some in values.items() if len(some) > 1}
        return self._like(
            r
            for r in self
            if (place := _run(coordinate, r)) in ends and r.at.get(coordinate) == ends[place]
        )

    def thinned(self, coordinate: str, most: int) -> Readings:
        """Those at ``most`` values of a coordinate or fewer, its ends and evenly spread ones, or
        the first alone; and those that lack it.
        """
        values = self.along(coordinate)
        places = np.linspace(0, len(values) - 1, min(most, len(values)))
        kept = [values[round(place)] for place in places]
        return self._like(r for r in self if coordinate not in r.at or r.at[coordinate] in kept)

    def map(self, make: Callable[[Any], Any], name: str = "") -> Readings:
        """``make`` of every value, called ``name`` from then on."""
        self._declared(*([name] if name else []))
        return self._like(Reading(name or r.name, r.at, make(r.value)) for r in self)

    def named(self, name: str = "", **at: Any) -> Readings:
        """The same under another name and at further coordinates; a function is given those that a
        reading has: ``named(excess=lambda at: at["n"] - at["d"])``.
        """
        self._declared(*([name] if name else []))
        found = [
            Reading(name or r.name, {**r.at, **{k: _at(v, r.at) for k, v in at.items()}}, r.value)
            for r in self
        ]
        for r in found:
            check({key: r.at[key] for key in at})
        return self._like(found)

    def moved(self, names: Mapping[str, str]) -> Readings:
        """The same with coordinates called otherwise: a study's field by the house's name."""
        check_names(names.values())
        return self._like(
            Reading(r.name, {names.get(k, k): v for k, v in r.at.items()}, r.value) for r in self
        )

    def dropped(self, *coordinates: str) -> Readings:
        """The same without these coordinates."""
        check_names(coordinates)
        return self._like(
            Reading(r.name, {k: v for k, v in r.at.items() if k not in coordinates}, r.value)
            for r in self
        )

    def over(self, *coordinates: str) -> Readings:
        """Averaged, unit by unit, over readings that differ in these coordinates alone; those must
        share their units. The interval is for these: it says nothing of others.
        """
        return self._merged(coordinates, lambda values: np.mean(_stack(values), 0))

    def joined(self, *coordinates: str) -> Readings:
        """The units of readings that differ in these coordinates alone, one after the other."""
        return self._merged(
            coordinates, lambda values: np.concatenate([np.atleast_1d(v) for v in values])
        )

    def crossed(self, *coordinates: str) -> Readings:
        """The mean over coordinates whose values are a sample (runs), crossed with the units that
        these share; one value alone is averaged over its units, by the quantity's own interval.
        That of a share never leaves [0, 1].
        """
        together = self._merged(coordinates, list)
        return self._like(replace(r, value=self._crossed(r.name, r.value)) for r in together)

    def _crossed(self, name: str, values: list[Any]) -> Any:
        if len(values) == 1:
            return values[0]
        self._declared(name)
        inside = self.quantities[name].interval is share
        return partial(bounded(crossed_mean) if inside else crossed_mean, _stack(values))

    def runs(self, *coordinates: str) -> Readings:
        """One unit a reading: the mean of its units, side by side over these coordinates."""
        return self.map(lambda v: np.atleast_1d(np.mean(np.asarray(v, np.float64)))).joined(
            *coordinates
        )

    def _merged(self, coordinates: Sequence[str], make: Callable[[list[Any]], Any]) -> Readings:
        check_names(coordinates)
        groups = _grouped(
            self,
            lambda r: (r.name, *((k, v) for k, v in r.at.items() if k not in coordinates)),
        )
        return self._like(
            Reading(name, dict(at), make([r.value for r in some]))
            for (name, *at), some in groups.items()
        )

    def against(
        self,
        other: Readings,
        using: Callable[[Any, Any], Any] = np.subtract,
        name: str = "",
        *,
        apart: str | Sequence[str] = (),
    ) -> Readings:
        """``using(mine, other's)`` wherever the two meet: by default the paired difference.

        They meet where all coordinates that both have are equal, but those that are ``apart``,
        which stay mine; what the other lacks it has everywhere. ``using`` gives units, or an
        estimate if it takes ``level``: pass it as :func:`estimated`. Two of the other's at one
        place, or units whose numbers differ, or a coordinate without a common value are a
        ValueError.
        """
        apart = [apart] if isinstance(apart, str) else list(apart)
        check_names(apart)
        if not self or not other:
            return self._like(())
        keys = self._shared(other, apart)
        self._meet(other, keys)
        theirs = _unique(other, keys)
        found = []
        for r in self:
            if (place := tuple(r.at.get(k) for k in keys)) in theirs:
                found.append(Reading(r.name, r.at, _combined(using, r.value, theirs[place])))
        return self._like(found).named(name)

    def meeting(self, other: Readings) -> Readings:
        """Those that stand where the other has a reading, by the coordinates that both have: what
        else is read at a place that was chosen.
        """
        if not self or not other:
            return self._like(())
        shared = self._shared(other)
        places = {tuple(r.at.get(k) for k in shared) for r in other}
        return self._like(r for r in self if tuple(r.at.get(k) for k in shared) in places)

    def _shared(self, other: Readings, apart: Sequence[str] = ()) -> list[str]:
        """The coordinates that both have, some of their readings at least."""
        theirs = {k for r in other for k in r.at} - set(apart)
        return [k for k in dict.fromkeys(k for r in self for k in r.at) if k in theirs]

    def _meet(self, other: Readings, keys: Sequence[str]) -> None:
        for key in keys:
            if not set(self.along(key)) & set(other.along(key)):
                raise ValueError(
                    f"these readings never meet: {key} is {self.along(key)} in the one and "
                    f"{other.along(key)} in the other; name {key!r} in apart"
                )

    def change(self, coordinate: str, name: str = "") -> Readings:
        """The value at the largest less that at the smallest of a coordinate, paired by unit."""
        last, first = self.last(coordinate), self.first(coordinate)
        return last.against(first, name=name, apart=coordinate).dropped(coordinate)

    def pairs(
        self,
        using: Callable[[Mapping[str, Any], Mapping[str, Any]], Any],
        differing: str,
        name: str,
        *needed: str,
        free: Sequence[str] = (),
    ) -> Readings:
        """``using(a, b)`` of every two places that differ in one coordinate, in its order, whatever
        the ``free`` ones are, and agree in all others; the pairs of both values stay. a and b hold
        the values of the ``needed`` quantities by name.
        """
        self._declared(name, *needed)
        paired = (differing, *free)
        some = self.of(*needed)
        others = [c for c in dict.fromkeys(c for r in some for c in r.at) if c not in paired]
        found = []
        for *place, group in some.by(*others):
            each = [(values, members) for *values, members in group.by(*paired)]
            for (p, a), (q, b) in combinations(each, 2):
                first, second = ({r.name: r.value for r in members} for members in (a, b))
                if (
                    None in (p[0], q[0])
                    or p[0] == q[0]
                    or not all(part.keys() == set(needed) for part in (first, second))
                ):
                    continue
                at = {k: v for k, v in zip(others, place) if v is not None}
                both = {k: v for k, v in zip(paired, zip(p, q)) if None not in v}
                found.append(Reading(name, {**at, **both}, using(first, second)))
        return self._like(found)

    def across(self, coordinate: str, using: Callable[..., Estimate], name: str) -> Readings:
        """The readings along a coordinate as one: ``using(values, [units, ...], level=)`` gives its
        estimate; a crossing, an exponent, N*. One value alone gives none.
        """
        self._declared(name)
        check_names([coordinate])
        found = []
        rest = [c for c in dict.fromkeys(c for r in self for c in r.at) if c != coordinate]
        for *place, some in self.by(*rest):
            at = {k: v for k, v in zip(rest, place) if v is not None}
            values = some.along(coordinate)
            if len(values) > 1:
                units = [some.of(**{coordinate: value}).one for value in values]
                found.append(Reading(name, at, cache(partial(using, values, units))))
        return self._like(found)

    def largest(self, coordinate: str, sign: int = 1) -> Readings:
        """At the value of a coordinate where the mean is largest: chosen on every second unit and
        read on the others, so that the choice favours nothing; none where it has one value, or
        fewer than 4 units.
        """
        if len(self.along(coordinate)) < 2 or any(np.size(r.value) < 4 for r in self):
            return self._like(())
        rest = [c for c in dict.fromkeys(c for r in self for c in r.at) if c != coordinate]
        found = []
        for *_, some in self.by(*rest):
            best = max(some, key=lambda r: sign * float(np.mean(r.value[::2])))
            found.append(replace(best, value=best.value[1::2]))
        return self._like(found)

    def smallest(self, coordinate: str) -> Readings:
        """The same where the mean is smallest."""
        return self.largest(coordinate, -1)

    def least(self, coordinate: str) -> Readings:
        """Their least along a coordinate, unit by unit: each unit is read where the other half of
        the units has its least mean, so that the choice favours nothing.
        """
        return self._merged([coordinate], lambda values: least_units(_stack(values)))

    def estimate(self, r: Reading, level: float = 0.95) -> Estimate:
        """A reading's estimate at a level; one that was made before keeps its own."""
        if isinstance(r.value, Estimate):
            return r.value
        if callable(made := r.value):
            return made(level=level)  # pyright: ignore[reportReturnType]
        self._declared(r.name)
        return self.quantities[r.name].interval(np.asarray(r.value), level=level)

    def estimates(self, level: float = 0.95) -> Readings:
        """Every value's units as an estimate."""
        return self._like(Reading(r.name, r.at, self.estimate(r, level)) for r in self)

    @property
    def one(self) -> Any:
        """The only value as it is; none or several are a ValueError."""
        if len(self) != 1:
            raise ValueError(
                f"{len(self)} readings where one is wanted: {[r.at for r in self[:2]]}"
            )
        return self[0].value

    @property
    def quantity(self) -> Quantity:
        """What all of these are readings of."""
        names = {r.name for r in self}
        if len(names) != 1:
            raise ValueError(f"one quantity is wanted, there are {sorted(names) or 'no readings'}")
        self._declared(*names)
        return self.quantities[names.pop()]

    def __add__(self, other: Iterable[Reading]) -> Readings:  # pyright: ignore[reportIncompatibleMethodOverride]
        more = other.quantities if isinstance(other, Readings) else {}
        return Readings((*self, *other), {**more, **self.quantities})


def estimated(make: Callable[..., Estimate]) -> Callable[..., Callable[..., Estimate]]:
    """An interval maker as the ``using`` of a verb: the arrays now, the level later."""
    return lambda *units: partial(make, *units)


def least_units(values: np.ndarray) -> np.ndarray:
    """From each unit of (places, units) its value at the place where the units of other parity have
    their least mean; a unit alone is read at its own.
    """
    odd = np.arange(values.shape[1]) % 2 == 1
    if not odd.any():
        return values[values.mean(1).argmin()]
    even_choice, odd_choice = (values[:, half].mean(1).argmin() for half in (~odd, odd))
    return np.where(odd, values[even_choice], values[odd_choice])


def check_names(coordinates: Iterable[str]) -> None:
    """A ValueError for a coordinate that was never declared."""
    for name in coordinates:
        if name not in COORDINATES:
            raise ValueError(f"no coordinate {name!r}: {nearest(name, COORDINATES)}")


def _test(key: str, wanted: Any) -> Callable[[Any], bool]:
    check_names([key])
    if callable(wanted):
        return lambda value: bool(wanted(value))
    some = wanted if isinstance(wanted, list) else [wanted]
    for value in some:
        check({key: value})
    return lambda value: value in some


def _at(value: Any, at: Mapping[str, Any]) -> Any:
    return value(at) if callable(value) else value


def _run(coordinate: str, r: Reading) -> tuple[str, frozenset[tuple[str, Any]]]:
    """Where a reading stands but for one coordinate and for which of a sample it is."""
    at = (item for item in r.at.items() if item[0] != coordinate)
    return r.name, frozenset((k, v) for k, v in at if not COORDINATES[k].sample)


def _ranked(ranks: Sequence[Mapping[Any, int]], place: tuple[Any, ...]) -> list[int]:
    return [rank[value] for rank, value in zip(ranks, place)]


def _grouped(
    readings: Iterable[Reading], key: Callable[[Reading], tuple[Any, ...]]
) -> dict[tuple[Any, ...], list[Reading]]:
    groups: dict[tuple[Any, ...], list[Reading]] = {}
    for r in readings:
        groups.setdefault(key(r), []).append(r)
    return groups


def _unique(readings: Readings, keys: Sequence[str]) -> dict[tuple[Any, ...], Any]:
    places = _grouped(readings, lambda r: tuple(r.at.get(k) for k in keys))
    for place, some in places.items():
        if len(some) > 1:
            raise ValueError(
                f"{len(some)} readings at {dict(zip(keys, place))} where one is wanted"
            )
    return {place: some[0].value for place, some in places.items()}


def _combined(using: Callable[[Any, Any], Any], mine: Any, theirs: Any) -> Any:
    if using is np.subtract:
        mine, theirs = np.asarray(mine, np.float64), np.asarray(theirs, np.float64)
        if mine.shape != theirs.shape and 1 not in (mine.size, theirs.size):
            raise ValueError(f"paired units need equal shapes, got {mine.shape} and {theirs.shape}")
    return using(mine, theirs)


def _stack(values: Sequence[Any]) -> np.ndarray:
    shapes = {np.shape(value) for value in values}
    if len(shapes) > 1:
        raise ValueError(f"readings that share their units have one shape, got {sorted(shapes)}")
    return np.stack([np.asarray(value, np.float64) for value in values])


def stacked(*, at: Callable[[Any], Iterable[Reading]], **axis: np.ndarray) -> Iterator[Reading]:
    """Readings made value by value of one axis, as float32 readings along it."""
    (name, values), *_ = axis.items()
    for same in zip(*(at(value) for value in values.tolist()), strict=True):
        value = np.stack([np.asarray(r.value, np.float32) for r in same])
        yield Reading(same[0].name, {name: values, **same[0].at}, value)


def stored(readings: Iterable[Reading]) -> dict[str, np.ndarray]:
    """A cell's readings as arrays whose names are JSON: quantity, coordinates, and the array that
    holds the values of each axis; an estimate is its five numbers with its method.
    """
    arrays: dict[str, np.ndarray] = {}
    for r in readings:
        axes = {k: v for k, v in r.at.items() if isinstance(v, np.ndarray)}
        plain = {k: v for k, v in r.at.items() if k not in axes}
        check(plain)
        check_names(axes)
        value = _numbers(r.value) if isinstance(r.value, Estimate) else _array(r.value)
        lengths = tuple(len(values) for values in axes.values())
        if value.shape[: len(axes)] != lengths:
            raise ValueError(f"{r.name} of shape {value.shape} has axes of {lengths} values")
        kept = {k: _axis(arrays, k, values) for k, values in axes.items()}
        method = [r.value.method] if isinstance(r.value, Estimate) else []
        name = json.dumps([r.name, plain, kept, *method])
        if name in arrays:
            raise ValueError(f"two readings of {r.name} at {plain}")
        arrays[name] = value
    return arrays


def _numbers(e: Estimate) -> np.ndarray:
    return np.array([e.value, e.low, e.high, e.n, e.level])


def _array(value: Any) -> np.ndarray:
    array = np.asarray(value)
    return array if array.ndim else array.reshape(1)


def _axis(arrays: dict[str, np.ndarray], coordinate: str, values: np.ndarray) -> str:
    """The name of the array that holds the values of an axis, put there if none does yet."""
    names = (f"@{coordinate}{i or ''}" for i in count())
    name = next(n for n in names if n not in arrays or np.array_equal(arrays[n], values))
    arrays[name] = values
    return name


def expanded(readings: Iterable[Reading], quantities: Mapping[str, Quantity]) -> Readings:
    """A cell's readings as they will be collected: one at every value of an axis."""
    made = Readings(_read(stored(readings), {}), quantities)
    made._declared(*dict.fromkeys(r.name for r in made))
    return made


def collected(rows: Sequence[Row], quantities: Mapping[str, Quantity], *fields: str) -> Readings:
    """Every reading of these cells, at the cell's own ``fields`` and at its own coordinates; and
    those of its values that are declared quantities and no reading of it.
    """
    found: list[Reading] = []
    for row in rows:
        cell = {name: row.fields[name] for name in fields}
        read = list(_read(row.arrays(), cell))
        known = {r.name for r in read}
        found += read
        found += [
            Reading(
                name, cell, value if isinstance(value, Estimate) else exact([float(str(value))])
            )
            for name, value in row.values.items()
            if name in quantities.keys() - known and isinstance(value, int | float | Estimate)
        ]
    made = Readings(found, quantities)
    made._declared(*dict.fromkeys(r.name for r in found))
    return made


def _read(arrays: Mapping[str, np.ndarray], cell: Mapping[str, Any]) -> Iterator[Reading]:
    for key in (key for key in arrays if not key.startswith("@")):
        name, at, axes, *method = json.loads(key)
        values = [arrays[kept].tolist() for kept in axes.values()]
        for place in np.ndindex(arrays[key].shape[: len(axes)]):
            here = {axis: vs[i] for axis, vs, i in zip(axes, values, place)}
            value: Any = arrays[key][place]
            if method:
                e, low, high, n, level = (float(x) for x in value)
                value = Estimate(e, low, high, int(n), level, method[0])
            yield Reading(name, {**cell, **at, **here}, value)
