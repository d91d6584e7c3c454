"""Which checkpoint to keep and why, in words that follow from whole intervals.

With held-out images it is the look of the least held-out error among those at which copies are not
seen: the excess's interval reaches 0. Without them it is the last such look. A choice therefore
only ever moves to the newest look, where its weights are still there to be saved.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from denoscope.display import shortened
from denoscope.estimate import Estimate, paired
from denoscope.monitor.log import LookAt

TOLERATED = 0.10
"""The excess that must be excluded for "no copies" to be said."""
_UNSEEN = (
    "Without held-out images it cannot be seen whether samples are as good as new images, nor "
    "whether training images are nearer to one another than new ones are: give held=..."
)
_GAP = 2.0  # looks whose steps have a larger ratio leave something unseen


@dataclass(frozen=True, repr=False)
class Choice:
    """The ``step`` whose checkpoint to keep, the ``reason`` in words, and its ``estimates``."""

    step: int
    reason: str
    estimates: Mapping[str, Estimate]

    def __repr__(self) -> str:
        return shortened(f"Choice(step {self.step}: {self.reason})")


def choose(looks: Sequence[LookAt], held: bool) -> Choice:
    """The choice among looks in the order of their steps."""
    if not looks:
        words = (
            "The monitor has not looked yet: in the loop, call monitor.look(step, D) whenever "
            "step in monitor.steps."
        )
        return Choice(0, words, {})
    needed = ("excess", "held_error" if held else "train_error")
    usable = [k for k in looks if all(math.isfinite(k.estimates[name].value) for name in needed)]
    if not usable:
        words = "No look has finite numbers: the training has broken down; lower its learning rate."
        return Choice(looks[-1].step, words, looks[-1].estimates)
    clean = [look for look in usable if not copies_seen(look)]
    if not clean:
        return _all_copy(usable)
    best = min(clean, key=lambda look: look.estimates["held_error"].value) if held else clean[-1]
    words = [
        _error(best, clean, len(usable)) if held else _latest(best),
        _copies(best, held),
        _after(best, usable),
        _falling(best, usable) if held else "",
        _gap(best, usable),
        "" if held else _UNSEEN,
    ]
    return Choice(best.step, " ".join(word for word in words if word), best.estimates)


def copies_seen(look: LookAt) -> bool:
    """Whether the excess lies above 0 with its whole interval."""
    return look.estimates["excess"].low > 0


def _all_copy(looks: Sequence[LookAt]) -> Choice:
    least = min(looks, key=lambda look: look.estimates["excess"].high)
    return Choice(
        least.step,
        f"Copies are seen at all {len(looks)} looks; step {least.step} has the fewest: "
        f"{least.estimates['excess']}. Keep no checkpoint of these: look earlier (every=...), or "
        "train on more images.",
        least.estimates,
    )


def _error(best: LookAt, clean: Sequence[LookAt], count: int) -> str:
    which = "" if len(clean) == count else f" of {count} looks at which copies are not seen"
    least = (
        f"is the least of {len(clean)}{which or ' looks'}" if count > 1 else "is that of one look"
    )
    same = [look.step for look in clean if look is not best and not _worse(look, best)]
    return (
        f"Keep step {best.step}: its held-out error, {best.estimates['held_error']} of that of a "
        f"denoiser which knows mean and spread alone, {least}."
    ) + (f" Not told from it: {_steps(same, clean)}." if same else "")


def _worse(look: LookAt, best: LookAt) -> bool:
    """Whether the held-out error is above the best one's, image by image, with its interval."""
    return paired(look.errors, best.errors).low > 0


def _steps(some: Sequence[int], looks: Sequence[LookAt]) -> str:
    runs = _runs(some, [look.step for look in looks])
    named = ", ".join(f"{a}" if a == b else f"{a} to {b}" for a, b in runs)
    return f"step{'s' if len(some) > 1 else ''} {named}"


def _latest(best: LookAt) -> str:
    return f"Keep step {best.step}: it is the last look at which copies are not seen."


def _copies(best: LookAt, held: bool) -> str:
    e = best.estimates["excess"]
    beyond = "held-out images" if held else "what training images show, each left out"
    if e.high <= TOLERATED:
        bound = (
            f"and more than {e.high:.1%} are excluded" if e.high > 0 else "fewer than these show"
        )
        return f"Copies beyond {beyond}: {e}, none seen, {bound}."
    return (
        f"Copies beyond {beyond}: {e}, none seen, but up to {e.high:.0%} cannot be excluded by so "
        f"few images: {'hold out' if held else 'give'} more."
    )


def _after(best: LookAt, looks: Sequence[LookAt]) -> str:
    """Where copies are seen after the choice."""
    later = [look for look in looks if look.step > best.step and copies_seen(look)]
    if not later:
        return ""
    first, last = later[0], later[-1]
    more = f", {last.estimates['excess']} at step {last.step}" if last is not first else ""
    return f"Copies are seen at step {first.step}: {first.estimates['excess']}{more}."


def _falling(best: LookAt, looks: Sequence[LookAt]) -> str:
    """Whether the newest look is the best one and better than that before, image by image."""
    if best is not looks[-1] or len(looks) < 2 or not _worse(looks[-2], best):
        return ""
    return "The error was still falling: train on."


def _gap(best: LookAt, looks: Sequence[LookAt]) -> str:
    """What nobody looked at on either side of the choice."""
    steps = [look.step for look in looks]
    wide = [pair for pair in pairwise(steps) if best.step in pair and pair[1] > _GAP * pair[0]]
    return " ".join(f"Nobody looked between steps {a} and {b}." for a, b in wide)


def _runs(steps: Sequence[int], among: Sequence[int]) -> list[tuple[int, int]]:
    """Runs of ``steps`` that are neighbours ``among`` all, as (first, last)."""
    runs: list[tuple[int, int]] = []
    for step in sorted(steps):
        before = among.index(step) - 1
        if runs and before >= 0 and among[before] == runs[-1][1]:
            runs[-1] = (runs[-1][0], step)
        else:
            runs.append((step, step))
    return runs
