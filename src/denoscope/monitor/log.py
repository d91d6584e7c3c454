"""The log of a monitor: one line of JSON per look, the file whole at any moment."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from denoscope import files
from denoscope.estimate import Estimate

if TYPE_CHECKING:
    from denoscope.monitor.choice import Choice

Sink = Callable[[dict[str, float]], object]


@dataclass(frozen=True)
class LookAt:
    """One look: after ``step`` steps; ``seconds`` it took; ``elapsed`` seconds of all time then;
    the ``share`` of it that looks took, the first apart; what was measured.
    """

    step: int
    seconds: float
    elapsed: float
    share: float
    estimates: Mapping[str, Estimate]
    errors: tuple[float, ...]

    def line(self) -> dict[str, Any]:
        """As JSON."""
        estimates = {name: e.json() for name, e in self.estimates.items()}
        kept = {item.name: getattr(self, item.name) for item in fields(self)}
        return {
            **kept,
            "estimates": estimates,
            "errors": [e if math.isfinite(e) else None for e in self.errors],
        }

    @staticmethod
    def read(line: Mapping[str, Any]) -> LookAt:
        """What :meth:`line` wrote."""
        estimates = {name: _estimate(e) for name, e in line["estimates"].items()}
        kept = {item.name: line[item.name] for item in fields(LookAt)}
        errors = tuple(math.nan if e is None else e for e in line["errors"])
        return LookAt(**{**kept, "estimates": estimates, "errors": errors})

    def numbers(self) -> dict[str, float]:
        """As a logger takes it: values and the ends of their intervals by name."""
        flat = {"step": self.step, "seconds": self.seconds, "share": self.share}
        for name, e in self.estimates.items():
            flat |= {name: e.value, f"{name}/low": e.low, f"{name}/high": e.high}
        return flat


def _estimate(stored: Mapping[str, Any]) -> Estimate:
    unknown = {"value": math.nan, "low": -math.inf, "high": math.inf}
    known: dict[str, Any] = {k: unknown[k] if v is None else v for k, v in stored.items()}
    return Estimate(**known)


class MonitorLog:
    """The lines of one training, in a file that is written anew at every look or handed on to a
    ``sink``; without either they are kept in memory alone.

    The file of another training (other images, seed or samples: ``about``) and one that cannot be
    written are a ValueError.
    """

    def __init__(self, to: Path | str | Sink | None, about: Mapping[str, Any]):
        self.path = None if to is None or callable(to) else Path(to)
        self.sink = to if callable(to) else None
        self._lines: list[dict[str, Any]] = []
        if self.path is not None:
            self._lines = _read(self.path)
        if self._lines and self._lines[0] != about:
            raise ValueError(
                f"{self.path} is the log of another training (its images, seed or samples differ): "
                "name another file"
            )
        if not self._lines:
            self.add(about)

    def looks(self) -> list[LookAt]:
        """The looks that stand: those from a step to which the training went back do not."""
        found: list[LookAt] = []
        for line in self._lines:
            if "estimates" in line:
                found.append(LookAt.read(line))
            elif "resumed" in line:
                found = [look for look in found if look.step < line["resumed"]]
        return found

    @property
    def figure(self) -> Path | None:
        """Where the figure is kept."""
        return None if self.path is None else self.path.with_suffix(".svg")

    def tell(self, look: LookAt, choice: Choice) -> None:
        """Logs a look and what it makes the choice; a file that cannot be written any more is a
        warning, since the training is worth more.
        """
        kept = {"keep": choice.step}
        try:
            self.add({**look.line(), **kept, "reason": choice.reason})
        except ValueError as error:
            warnings.warn(str(error), stacklevel=4)
        if self.sink is not None:
            self.sink({**look.numbers(), **kept})

    def add(self, line: Mapping[str, Any]) -> None:
        """One more line; the file is the old one or has it, whenever the process is killed."""
        self._lines.append(dict(line))
        if self.path is None:
            return
        text = "".join(json.dumps(one, allow_nan=False) + "\n" for one in self._lines)
        try:
            files.write(self.path, text)
        except OSError as error:
            raise ValueError(
                f"the log {self.path} cannot be written ({error.strerror or error}): name a file "
                "in a folder that is yours"
            ) from error


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in path.read_text().splitlines()]
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} is no log of a monitor: name another file") from error
