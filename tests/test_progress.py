"""What a command says while it works: on standard error alone, nothing if it is to be quiet, whole
lines where there is no terminal.
"""

from __future__ import annotations

import io
import re
import sys

import pytest

from denoscope import progress
from denoscope.progress import Voice, bar, duration


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, to be set."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.2, "0 s"), (89, "89 s"), (90, "1.5 min"), (5399, "90.0 min"), (5400, "1.5 h")],
)
def test_durations(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_quiet_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    say = Voice(quiet=True)
    say("something")
    with say.counting("images", 2) as told:
        told(2, 2)
    with bar(2, "images", quiet=True) as tell:
        tell(1.0, 2)
    assert capsys.readouterr() == ("", "")


def test_lines_are_stamped(capsys: pytest.CaptureFixture[str], clock: list[float]) -> None:
    say = Voice(started=clock[0])
    clock[0] += 75
    say("drawing")
    assert capsys.readouterr() == ("", "  75.0 s  drawing\n")


def test_lines_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str], clock: list[float]
) -> None:
    """One every ten seconds and the last one, with rate and time left."""
    with bar(100, "images", quiet=False) as tell:
        for done in range(1, 101):
            clock[0] += 0.5
            tell(done / 100, done)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[0] for line in lines] == ["20%", "40%", "60%", "80%", "100%"]
    assert lines[0].strip() == "20%  20/100 images, 120/min, 10 s spent, 40 s left"
    assert lines[-1].endswith("100/100 images, 120/min, 50 s spent, 0 s left")


def test_rates_are_said_a_second_where_they_are_high(
    capsys: pytest.CaptureFixture[str], clock: list[float]
) -> None:
    with bar(5000, "files", quiet=False) as tell:
        clock[0] += 10
        tell(1.0, 5000)
    assert "500/s" in capsys.readouterr().err


def test_a_total_that_is_learnt_with_the_first_call(
    capsys: pytest.CaptureFixture[str], clock: list[float]
) -> None:
    with Voice().counting("files") as told:
        assert capsys.readouterr().err == ""
        told(0, 40)
        clock[0] += 20
        told(10, 40)
        told(40, 40)
    assert re.fullmatch(r" 25%  10/40 files, .*\n100%  40/40 files, .*\n", capsys.readouterr().err)


def test_a_total_of_the_caller_goes_before_what_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with Voice().counting("images", 30) as told:
        told(30, 10)
    assert "30/30 images" in capsys.readouterr().err


@pytest.mark.parametrize("calls", [[], [(0, 0)]])
def test_nothing_to_count_is_no_error(calls: list[tuple[int, int]]) -> None:
    with Voice().counting("images") as told:
        for call in calls:
            told(*call)


def test_an_error_inside_goes_through() -> None:
    def work() -> None:
        with Voice().counting("images", 3) as told:
            told(1, 3)
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        work()


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = _Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    with bar(4, "images", quiet=False) as tell:
        tell(0.5, 2)
        tell(1.0, 4)
    text = shown.getvalue()
    assert "4/4 images" in text
    assert "100%" in text
