"""Claims: verdicts are three-valued, monotone in the intervals, simultaneous, and controlled."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from denoscope.estimate import Estimate, mean, median, unavailable
from denoscope.readings import Quantity, Reading, Readings
from denoscope.report.claims import Claim, Expected, above, below, claims, said, within

QUANTITIES = {"x": Quantity("x", form=".2f")}


def interval(low: float, high: float, level: float = 1.0) -> Estimate:
    return Estimate((low + high) / 2, low, high, 10, level, "given")


def numbers(*units: np.ndarray) -> Readings:
    return Readings([Reading("x", {"n": i}, u) for i, u in enumerate(units)], QUANTITIES)


@pytest.mark.parametrize(
    ("low", "high", "region", "verdict"),
    [
        (0.1, 0.2, above(0), "supported"),
        (-0.2, -0.1, above(0), "contradicted"),
        (-0.1, 0.2, above(0), "undecided"),
        (0.0, 0.2, above(0), "undecided"),
        (-0.2, 0.0, above(0), "contradicted"),
        (-1.0, 1.0, within(-2, 2), "supported"),
        (2.5, 3.0, within(-2, 2), "contradicted"),
        (1.0, 3.0, within(-2, 2), "undecided"),
        (-3.0, 3.0, within(-2, 2), "undecided"),
        (1536.0, math.inf, above(100), "supported"),
        (1536.0, math.inf, below(100), "contradicted"),
        (-math.inf, math.inf, above(0), "undecided"),
        (5.0, math.inf, within(0, 10), "undecided"),
    ],
)
def test_verdicts_of_one_interval(low: float, high: float, region: Expected, verdict: str) -> None:
    value = low if math.isinf(high) else high if math.isinf(low) else (low + high) / 2
    assert Claim("it is so", Estimate(value, low, high, 9, 1.0), region).verdict() == verdict


ENDS = st.tuples(st.floats(-5, 5), st.floats(-5, 5)).map(sorted)


@given(ENDS, ENDS, st.floats(0, 1), st.floats(0, 1))
def test_a_narrower_interval_never_turns_a_verdict_over(
    ends: list[float], region: list[float], a: float, b: float
) -> None:
    (low, high), expected = ends, within(*region)
    inner = sorted(low + t * (high - low) for t in (a, b))
    inner = [min(max(x, low), high) for x in inner]
    wide, narrow = (Claim("", interval(*pair), expected).verdict() for pair in ((low, high), inner))
    assert wide in ("undecided", narrow)


def test_nothing_is_not_tested_and_what_is_unavailable_hides_nothing() -> None:
    assert Claim("", Readings([], QUANTITIES), above(0)).verdict() == "not tested"
    assert Claim("", unavailable("too few"), above(0)).verdict() == "not tested"
    bad = Readings(
        [Reading("x", {}, unavailable("too few")), Reading("x", {"n": 1}, interval(-2, -1))],
        QUANTITIES,
    )
    assert Claim("", bad, above(0)).verdict() == "contradicted"


def test_all_and_any() -> None:
    rng = np.random.default_rng(0)
    high, low = (rng.normal(size=50) + shift for shift in (3.0, -3.0))
    mixed, good, bad = numbers(high, low), numbers(high, high), numbers(low, low)
    assert Claim("", good, above(0)).verdict() == "supported"
    assert Claim("", mixed, above(0)).verdict() == "contradicted"
    assert Claim("", mixed, above(0), any=True).verdict() == "supported"
    assert Claim("", bad, above(0), any=True).verdict() == "contradicted"


def test_many_numbers_share_one_failure_rate() -> None:
    """A true claim over 40 numbers on its edge is contradicted, and a false one over any of 40
    supported, at most one time in twenty.
    """
    rng = np.random.default_rng(0)
    wrong = naive = falsely = 0
    for _ in range(300):
        found = numbers(*rng.normal(size=(40, 12)))
        wrong += Claim("all are at least 0", found, above(0)).verdict() == "contradicted"
        falsely += Claim("some is above 0", found, above(0), any=True).verdict() == "supported"
        naive += any(mean(r.value).high < 0 for r in found)
    assert max(wrong, falsely) <= 24
    assert naive > 100


def test_what_was_made_at_one_level_cannot_contradict_among_many() -> None:
    narrow = [Reading("x", {"n": i}, interval(-2, -1, 0.95)) for i in range(3)]
    assert Claim("", Readings(narrow, QUANTITIES), above(0)).verdict() == "undecided"
    assert Claim("", Readings(narrow[:1], QUANTITIES), above(0)).verdict() == "contradicted"


@pytest.mark.parametrize("n", [5, 6])
def test_a_median_of_fewer_than_six_decides_nothing(n: int) -> None:
    """The extremes of 5 cover their median in 15 of 16: less than 95 %."""
    few = Readings([Reading("m", {}, np.arange(n) + 1.0)], {"m": Quantity("m", interval=median)})
    for region, decided in ((above(0), "supported"), (below(0), "contradicted")):
        for some in (False, True):
            verdict = Claim("", few, region, any=some).verdict()
            assert verdict == (decided if n == 6 else "undecided")


@pytest.mark.parametrize("control", [interval(-2, -1), interval(-1, 1), unavailable("none")])
def test_a_claim_whose_control_fails_is_never_supported(control: Estimate) -> None:
    says = Claim(
        "samples agree", interval(1, 2), above(0), control=Claim("learned", control, above(0))
    )
    assert says.verdict() == "undecided"
    assert says.uncontrolled()
    assert "Its control does not hold: learned" in says.row().detail
    held = Claim("", interval(1, 2), above(0), control=Claim("", interval(1, 2), above(0)))
    assert held.verdict() == "supported"


def test_a_row_says_the_decisive_number() -> None:
    rng = np.random.default_rng(0)
    found = numbers(*(rng.normal(size=(3, 30)) + np.array([[5.0], [1.0], [3.0]])))
    row = Claim("all are positive", found, above(0), published="always").row()
    assert row.agreement == "agrees"
    assert row.expected == "always"
    assert row.here.endswith("(least of 3)")
    assert row.intervals[0][1] == pytest.approx(mean(found[1].value).value)
    assert row.region == (0, math.inf)
    assert Claim("how many", interval(1, 2)).row().agreement == "new"


def test_details_list_the_numbers_that_decide_first() -> None:
    found = numbers(*(np.full((40, 3), 2.0) + np.arange(40)[:, None]))
    detail = Claim("all are large", found, above(30)).row().detail
    assert detail.startswith("The 30 that decide first, of 40: 2.00 (N = 0); ")
    assert "31.00 (N = 29)" in detail
    assert "32.00" not in detail
    assert len(Claim("", found, above(30)).json()["numbers"]) == 40  # pyright: ignore[reportArgumentType]


def test_what_is_not_tested_stands_in_one_line() -> None:
    block = claims(
        [
            Claim("this is so", interval(1, 2), above(0)),
            Claim("that is so", Readings([], QUANTITIES), above(0)),
            Claim("so is that", unavailable("no pairs"), above(0)),
        ]
    )
    assert [row.says for row in block.rows] == ["this is so"]
    assert block.foot == "Not tested here: that is so; so is that."


def test_one_way_to_say_a_number() -> None:
    assert said(Estimate(-0.5, -0.75, 0.0, 9), ".2f") == "−0.50 [−0.75, 0.00]"
    assert said(Estimate(3.0, 3.0, 3.0, 1, 1.0, "exact"), ".0f") == "3"
    assert said(Estimate(math.inf, 1536.0, math.inf, 9), ".0f") == "∞ [1536, ∞]"
    assert said(unavailable("too few")) == "not available (too few)"
    assert said(Estimate(-0.04, -0.36, 0.02, 9), ".1f") == "0.0 [−0.4, 0.0]"


def test_a_claim_as_data_has_no_infinity() -> None:
    data = Claim("", Estimate(math.inf, 2.0, math.inf, 4, 1.0), above(0)).json()
    assert data["expected_high"] is None
    assert data["numbers"][0]["value"] is None  # pyright: ignore[reportIndexIssue]
    assert data["verdict"] == "supported"
