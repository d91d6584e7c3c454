"""When a monitor looks: every so many steps, at chosen ones, or as often as its budget allows."""

from __future__ import annotations

import math
import time
from bisect import bisect_right
from collections.abc import Container, Iterable, Iterator

FIRST, GROWTH = 32, math.sqrt(2)
"""Without ``every``: the first step that may be looked at, and the ratio to each next."""
BUDGET = 0.05


def _planned(every: int | Iterable[int] | None) -> int | list[int] | None:
    """``every`` as it is used; what is no step is a ValueError."""
    if every is None:
        return None
    steps = [every] if isinstance(every, int) else sorted(set(every))
    if not steps or not all(isinstance(step, int) and step >= 1 for step in steps):
        raise ValueError(
            f"every is a number of steps, or the steps to look at, each at least 1; got {every!r}"
        )
    return every if isinstance(every, int) else steps


class LookSteps(Container[int]):
    """The steps of a monitor's looks: ``step in steps`` says whether a look is due now, and
    iterating gives those that were looked at.

    A look is due as soon as a planned step has come since the last one (multiples of ``every``, the
    steps in it, or 32, 45, 64, 91 ... without it) and it fits in the ``budget``, the share of all
    time that looks may take. The first look is apart, in what was spent and in all time: it pays
    for what is made once. What the next will cost is taken from the last three, or from the first.
    """

    def __init__(self, every: int | Iterable[int] | None, budget: float | None):
        self.every = _planned(every)
        self.budget = BUDGET if budget is None and every is None else budget
        if self.budget is not None and not 0 < self.budget <= 1:
            raise ValueError(
                f"budget is the share of all time that looks may take, above 0 and at most 1 "
                f"(0.05 is 5 %), got {budget}"
            )
        self.seconds: dict[int, float] = {}
        self.resumed: int | None = None
        self._ends: dict[int, float] = {}
        self._before, self._started = 0.0, math.nan

    def __contains__(self, step: object) -> bool:
        if not isinstance(step, int):
            return False
        self.begin(step)
        return self.plan(step) > max(self.seconds, default=0) and self.fits()

    def __iter__(self) -> Iterator[int]:
        return iter(self.seconds)

    def __len__(self) -> int:
        return len(self.seconds)

    def begin(self, step: int) -> None:
        """The clock starts at the first question; looks from an earlier process that are not before
        ``step`` are forgotten, as the training has gone back.
        """
        if not math.isnan(self._started):
            return
        self._started = time.perf_counter()
        self.resumed = step if self.seconds else None
        self.seconds = {k: v for k, v in self.seconds.items() if k < step}
        self._before = max((self._ends[k] for k in self.seconds), default=0.0)

    def plan(self, step: int) -> int:
        """The last planned step up to ``step``, 0 if there is none."""
        if isinstance(self.every, int):
            return step // self.every * self.every
        if self.every is not None:
            place = bisect_right(self.every, step)
            return self.every[place - 1] if place else 0
        if step < FIRST:
            return 0
        power = math.floor(math.log(step / FIRST, GROWTH) + 1e-9)
        return max(k for p in (power, power + 1) if (k := round(FIRST * GROWTH**p)) <= step)

    def fits(self) -> bool:
        """Whether one more look fits in the budget."""
        if self.budget is None or not self.seconds:
            return True
        first, *rest = self.seconds.values()
        cost = max(rest[-3:], default=first)
        return sum(rest) + cost <= self.budget * (self.elapsed - first + cost)

    @property
    def elapsed(self) -> float:
        """Seconds since the first question, over resumes."""
        running = 0.0 if math.isnan(self._started) else time.perf_counter() - self._started
        return self._before + running

    @property
    def share(self) -> float:
        """The share of all time that looks took, the first apart; 0 before the second."""
        first, *rest = self.seconds.values() or [0.0]
        return sum(rest) / max(self.elapsed - first, 1e-9) if rest else 0.0

    def took(self, step: int, seconds: float, elapsed: float) -> None:
        """Notes a look and the time at its end."""
        self.seconds[step], self._ends[step] = seconds, elapsed
