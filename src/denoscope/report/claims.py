"""A claim: one sentence that the numbers cannot change, what was measured, and where the numbers
must lie for it to hold.

The verdict follows from the intervals and nothing else. Over *all* of m numbers a claim is
*supported* where every 95 % interval lies inside what is expected, and *contradicted* where an
interval of level 1 - 0.05/m lies outside; over *any* of them the two change places. An interval
that covers less, such as that of a median of few, decides nothing. Both err with a probability of
at most 5 % whatever the numbers have in common (Berger 1982; Bonferroni). A claim whose control is
not supported says nothing, whatever its own numbers are.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from denoscope.coordinates import name_of
from denoscope.estimate import Estimate
from denoscope.readings import Reading, Readings
from denoscope.report.blocks import Agreement, ClaimRow, Claims

Verdict = Literal["supported", "contradicted", "undecided", "not tested"]
AGREEMENT: dict[Verdict, Agreement] = {"supported": "agrees", "contradicted": "disagrees"}
AGREEMENT |= {"undecided": "undecided", "not tested": "undecided"}
MOST_DRAWN = 12
MOST_SAID = 30


@dataclass(frozen=True)
class Expected:
    """The open region in which a value must lie; an infinite end is part of it."""

    low: float = -math.inf
    high: float = math.inf

    def holds(self, e: Estimate) -> bool:
        """Whether the whole interval lies inside."""
        above = e.low > self.low or self.low == -math.inf
        return above and (e.high < self.high or self.high == math.inf)

    def fails(self, e: Estimate) -> bool:
        """Whether the whole interval lies outside, on one side."""
        below = e.high <= self.low > -math.inf
        return below or e.low >= self.high < math.inf

    def margin(self, e: Estimate) -> float:
        """How far inside the interval's nearer end is; negative where a part of it is outside."""
        above = [] if math.isinf(self.low) else [e.low - self.low]
        below = [] if math.isinf(self.high) else [self.high - e.high]
        return min([*above, *below], default=math.inf)

    def __str__(self) -> str:
        if math.isinf(self.low) and math.isinf(self.high):
            return ""
        if math.isinf(self.high):
            return f"above {self.low:g}".replace("-", "−")
        if math.isinf(self.low):
            return f"below {self.high:g}".replace("-", "−")
        return f"between {self.low:g} and {self.high:g}".replace("-", "−")


def above(low: float) -> Expected:
    return Expected(low=low)


def below(high: float) -> Expected:
    return Expected(high=high)


def within(low: float, high: float) -> Expected:
    return Expected(low, high)


@dataclass(frozen=True)
class Claim:
    """``says``, in the words of its source; ``measured``, readings of one quantity or one estimate.

    ``expected`` is the region; without one the claim is a fact. ``published`` is what the source
    reports, in its words and numbers. ``any`` asks for one number inside the region instead of all.
    ``control`` must be supported first. ``beside`` and ``note`` are unfolded: other readings by a
    label, and what a reader must know to read the numbers.
    """

    says: str
    measured: Readings | Estimate
    expected: Expected | None = None
    published: str = ""
    any: bool = False
    control: Claim | None = None
    beside: Mapping[str, Readings] = field(default_factory=dict)
    note: str = ""
    form: str = ""

    def each(self, level: float = 0.95) -> list[Reading]:
        """Every number that decides and is available."""
        if isinstance(self.measured, Estimate):
            found = [Reading("", {}, self.measured)]
        else:
            found = list(self.measured.estimates(level))
        return [r for r in found if not math.isnan(r.value.value)]

    def verdict(self) -> Verdict:
        """From whole intervals; see the module."""
        m = len(self.each())
        if not m:
            return "not tested"
        if self.uncontrolled():
            return "undecided"
        region, whole = self.expected or Expected(), self._covering(0.95)
        strict = self._covering(1 - 0.05 / m)
        if self.any:
            inside = any(map(region.holds, strict))
            outside = len(strict) > 0 and len(whole) == m and all(map(region.fails, whole))
        else:
            inside = len(whole) == m and all(map(region.holds, whole))
            outside = any(map(region.fails, strict))
        return "supported" if inside else "contradicted" if outside else "undecided"

    def _covering(self, level: float) -> list[Estimate]:
        """The numbers whose intervals cover so much: what was made at less cannot be widened."""
        return [r.value for r in self.each(level) if r.value.level >= level - 1e-9]

    def uncontrolled(self) -> bool:
        """Whether there is a control and it is not supported."""
        return self.control is not None and self.control.verdict() != "supported"

    def decisive(self) -> list[Reading]:
        """The numbers, the one that decides first: of all the least inside, of any the most."""
        region = self.expected or Expected()
        order = sorted(self.each(), key=lambda r: region.margin(r.value), reverse=self.any)
        return order if self.expected else self.each()

    def row(self) -> ClaimRow:
        """The claim as a line of a table."""
        verdict, region = self.verdict(), self.expected or Expected()
        numbers = self.decisive()
        ends = [(r.value.low, r.value.value, r.value.high) for r in numbers[:MOST_DRAWN]]
        agreement = AGREEMENT[verdict] if self.expected else "new"
        expected = self.published or str(region)
        detail = "\n\n".join(part for part in self._details(numbers) if part)
        bounds = (region.low, region.high)
        return ClaimRow(self.says, agreement, expected, self.here(), ends, bounds, detail)

    def here(self) -> str:
        """The decisive number with its interval and its place, and how many there are."""
        numbers = self.decisive()
        if not numbers:
            return "not tested"
        first, form = numbers[0], self._form()
        place = ", ".join(name_of(c, first.at[c]) for c in self._varied() if c in first.at)
        where = f" at {place}" if place else ""
        count = (
            f" ({'best' if self.any else 'least'} of {len(numbers)})" if len(numbers) > 1 else ""
        )
        return f"{said(first.value, form)}{where}{count if self.expected else ''}"

    def _details(self, numbers: Sequence[Reading]) -> Iterable[str]:
        if self.control is not None:
            met = "Its control holds" if not self.uncontrolled() else "Its control does not hold"
            yield f"{met}: {self.control.says}: {self.control.here()}."
        if self.published and self.expected:
            yield f"It holds if the interval lies {self.expected}."
        if len(numbers) > 1 and not isinstance(self.measured, Estimate):
            some = Readings(numbers[:MOST_SAID], self.measured.quantities)
            rest = f" that decide first, of {len(numbers)}" if len(numbers) > len(some) else ""
            words = f"The {MOST_SAID}{rest}" if rest else "All"
            yield f"{words}: {series(some, self._form())}."
        yield from (f"{label}: {series(some)}." for label, some in self.beside.items() if some)
        yield self.note
        methods = dict.fromkeys(r.value.method for r in numbers if r.value.method)
        yield f"Intervals: {', '.join(methods)}." if methods else ""

    def _varied(self) -> list[str]:
        return [] if isinstance(self.measured, Estimate) else self.measured.varied()

    def _form(self) -> str:
        known = not isinstance(self.measured, Estimate) and self.measured
        return self.form or (self.measured.quantity.form if known else ".3g")  # pyright: ignore[reportAttributeAccessIssue]

    def json(self) -> dict[str, object]:
        """The claim as data: sentence, verdict, expected region, and every number at its place."""
        region = self.expected or Expected()
        ends = [end if math.isfinite(end) else None for end in (region.low, region.high)]
        return {
            "claim": self.says,
            "verdict": self.verdict() if self.expected else "fact",
            "published": self.published,
            "expected_low": ends[0],
            "expected_high": ends[1],
            "over": "any" if self.any else "all",
            "control": self.control.says if self.control else "",
            "control_holds": None if self.control is None else not self.uncontrolled(),
            "numbers": [{"at": dict(r.at), **r.value.json()} for r in self.decisive()],
        }


def claims(some: Sequence[Claim]) -> Claims:
    """Claims as one table; those that these cells do not test stand in one line at its foot."""
    absent = [claim.says for claim in some if claim.verdict() == "not tested"]
    foot = f"Not tested here: {'; '.join(absent)}." if absent else ""
    return Claims([claim.row() for claim in some if claim.verdict() != "not tested"], foot)


def said(e: Estimate, form: str = ".2f") -> str:
    """A value with its interval: the one way in which the house says a number."""
    if math.isnan(e.value):
        return f"not available ({e.method})"
    value, low, high = (number(x, form) for x in (e.value, e.low, e.high))
    return value if e.low == e.high else f"{value} [{low}, {high}]"


def number(x: float, form: str = ".2f") -> str:
    """A number with a true minus sign, none before zero; infinite ones as such."""
    if math.isinf(x):
        return "∞" if x > 0 else "−∞"
    text = f"{x:z{form}}"
    text = "0" if form.endswith("g") and float(text) == 0 else text
    return text.replace("-", "−").replace("%", "\u00a0%")


def series(readings: Readings, form: str = "") -> str:
    """Estimates with the coordinates in which they differ."""
    varied = readings.varied()
    found = [r for *_, some in readings.by(*varied) for r in some] if varied else list(readings)
    form = form or readings.quantity.form
    parts = [(said(readings.estimate(r), form), [(c, r.at.get(c)) for c in varied]) for r in found]
    each = [(text, [name_of(c, v) for c, v in at if v is not None]) for text, at in parts]
    return "; ".join(f"{text} ({', '.join(at)})" if at else text for text, at in each)
