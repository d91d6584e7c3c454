"""How far long work has come: a bar with rate and time left on standard error, plain lines where
there is no terminal.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

_SECONDS = 10.0  # between two lines where there is no terminal

Tell = Callable[[float, int], None]
"""``tell(fraction, done)``: the share of the work that is done, and how many units are complete."""


def duration(seconds: float) -> str:
    """Seconds in words: 42 s, 3.5 min, 2.0 h."""
    return (
        f"{seconds:.0f} s"
        if seconds < 90
        else f"{seconds / 60:.1f} min"
        if seconds < 5400
        else f"{seconds / 3600:.1f} h"
    )


@dataclass(frozen=True)
class Voice:
    """What a command says while it works: lines with the seconds since it began, and bars; nothing
    if ``quiet``.
    """

    quiet: bool = False
    started: float = field(default_factory=time.monotonic)

    def __call__(self, text: str) -> None:
        if not self.quiet:
            print(f"{time.monotonic() - self.started:6.1f} s  {text}", file=sys.stderr, flush=True)

    @contextmanager
    def counting(self, what: str, total: int = 0) -> Iterator[Callable[[int, int], None]]:
        """A bar over ``total`` units, or over as many as its first call says; yields ``told(done,
        total)``.
        """
        with ExitStack() as opened:
            shown: list[tuple[Tell, int]] = []

            def told(done: int, said: int) -> None:
                if not shown:
                    shown.append(
                        (opened.enter_context(bar(total or said, what, self.quiet)), total or said)
                    )
                tell, whole = shown[0]
                tell(done / max(whole, 1), done)

            yield told


@contextmanager
def bar(total: int, unit: str, quiet: bool) -> Iterator[Tell]:
    """A progress bar on standard error with rate and time left; plain lines every 10 s where there
    is no terminal.
    """
    if quiet:
        yield lambda fraction, done: None
        return
    started = time.monotonic()

    def words(fraction: float, done: int) -> str:
        spent = time.monotonic() - started
        left = duration(spent * (1 - fraction) / fraction) if fraction > 0.005 else "?"
        return (
            f"{done}/{total} {unit}, {_rate(fraction * total / max(spent, 1e-9))}, "
            f"{duration(spent)} spent, {left} left"
        )

    if not sys.stderr.isatty():
        last = started

        def line(fraction: float, done: int) -> None:
            nonlocal last
            if time.monotonic() - last >= _SECONDS or fraction >= 1:
                last = time.monotonic()
                print(f"{fraction:4.0%}  {words(fraction, done)}", file=sys.stderr, flush=True)

        yield line
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    columns = (BarColumn(bar_width=30), TaskProgressColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True), transient=False) as shown:
        task = shown.add_task("starting", total=1.0)
        yield lambda fraction, done: shown.update(
            task, completed=fraction, description=words(fraction, done)
        )


def _rate(a_second: float) -> str:
    """Units per minute, or a second where these are many."""
    return f"{a_second:.0f}/s" if a_second >= 10 else f"{60 * a_second:.0f}/min"
