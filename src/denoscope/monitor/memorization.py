"""The monitor: what a training loop asks."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from denoscope import files
from denoscope.monitor.choice import Choice, choose
from denoscope.monitor.figure import drawn
from denoscope.monitor.log import LookAt, MonitorLog, Sink
from denoscope.monitor.measured import LookedAt
from denoscope.monitor.moments import LookSteps
from denoscope.monitor.untouched import untouched
from denoscope.networks import Fleet
from denoscope.types import Denoiser

_SAMPLES = 320
_RARELY = 20.0  # drawings take at most one part in so many of all time


class MemorizationMonitor:
    """Watches a training for copies of its images and says which checkpoint to keep.

    ``train`` (N, *shape) is what is trained on, as the network sees it, and ``held`` images like
    these that it never sees; rows of latents will do. ``every``: look after every so many steps, or
    after the steps in it; ``budget``: look as often as this share of all time allows (default 0.05
    where neither is given). ``log``: a file that takes one line of JSON per look, with a figure
    beside it (the same name with .svg), and from which the same monitor goes on after a kill; or a
    callable that takes a dictionary of numbers. ``stop``: end the training when copying is certain.
    Looks take ``samples`` samples, noises from ``seed``, nothing from the training's generators.
    """

    def __init__(
        self,
        train: Tensor,
        held: Tensor | None = None,
        *,
        every: int | Iterable[int] | None = None,
        budget: float | None = None,
        log: Path | str | Sink | None = None,
        stop: bool = False,
        seed: int = 0,
        samples: int = _SAMPLES,
    ):
        self.steps = LookSteps(every, budget)
        self._sets, self._stop = LookedAt(train, held, samples, seed), stop
        self._log = MonitorLog(log, self._sets.identity())
        self._looks = {look.step: look for look in self._log.looks()}
        for look in self._looks.values():
            self.steps.took(look.step, look.seconds, look.elapsed)
        self._drawn, self._drawing = -math.inf, 0.0

    @property
    def looks(self) -> list[LookAt]:
        """The looks so far, in the order of their steps."""
        return [self._looks[step] for step in sorted(self.steps)]

    @property
    def choice(self) -> Choice:
        """Which checkpoint to keep of those that were looked at, and why; step 0 before the first
        look.
        """
        return choose(self.looks, self._sets.held is not None)

    @property
    def stopped(self) -> bool:
        """Whether the training is to end: ``stop`` was asked for and copying is certain, at a level
        that allows for as many looks as there are.
        """
        return self._stop and any(look.estimates["certain"].low > 0 for look in self.looks)

    def look(self, step: int, D: Denoiser) -> LookAt:
        """Measures D, what would be sampled after ``step`` steps, and logs it; D may be on any
        device, and is found as it was left.

        A fleet is a ValueError: look at each of its members with a monitor of its own.
        """
        if isinstance(D, Fleet):
            raise ValueError(
                f"D is a fleet of {D.size} networks: watch each of D.members() by its own monitor"
            )
        self.steps.begin(step)
        if self.steps.resumed is not None:
            self._log.add({"resumed": self.steps.resumed, "note": self._note()})
            self.steps.resumed = None
        began = time.perf_counter()
        with untouched(D):
            found = self._sets.look(D, 1 + sum(k < step for k in self.steps))
            self._looks[step] = LookAt(step, 0.0, 0.0, 0.0, found.estimates, found.errors)
            self.steps.took(step, time.perf_counter() - began, self.steps.elapsed)
            self._draw_now_and_then()
        seconds, elapsed = time.perf_counter() - began, self.steps.elapsed
        self.steps.took(step, seconds, elapsed)
        look = replace(self._looks[step], seconds=seconds, elapsed=elapsed, share=self.steps.share)
        self._looks[step] = look
        self._log.tell(look, self.choice)
        return look

    def _note(self) -> str:
        """What a resumed training may have changed."""
        again = "looks from here on are made again"
        if self.steps.budget is None:
            return f"{again}, at the steps of an undisturbed training"
        return f"{again}; with a budget they may fall on other steps than undisturbed ones"

    def figure(self, path: Path | str | None = None) -> Path:
        """Draws the looks so far, beside the log or into ``path`` (.png, or else SVG)."""
        target = self._log.figure if path is None else Path(path)
        if target is None or not self.looks:
            missing = "a path, as there is no log" if target is None else "the monitor a look first"
            raise ValueError(f"a figure cannot be drawn: give {missing}")
        form = "png" if target.suffix == ".png" else "svg"
        return files.write(target, drawn(self.looks, self.choice, form))

    def ended(self, step: int) -> None:
        """What is done when a training has ended at ``step``: the last looks are drawn where the
        budget allows; that there were none is a warning.
        """
        if not self.looks:
            warnings.warn(
                f"the training ended at step {step} without a look: give training "
                "at=monitor.steps, and the monitor an every that is less than the steps",
                stacklevel=3,
            )
        elif self.steps.fits():
            self._draw()

    def _draw_now_and_then(self) -> None:
        if time.perf_counter() - self._drawn >= _RARELY * self._drawing:
            self._draw()

    def _draw(self) -> None:
        began = time.perf_counter()
        if self._log.figure is not None:
            with suppress(OSError):  # the log, beside it, warns
                self.figure()
        self._drawn = time.perf_counter()
        self._drawing = self._drawn - began
