"""The base of the studies of a denoiser's geometry: one cell is one denoiser, trained here or given
as a file, and what it is asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

from torch import Tensor

from denoscope.coordinates import name_of, order_of
from denoscope.data.sources import Source, load
from denoscope.data.splits import Split
from denoscope.files import file_hash
from denoscope.readings import Reading, Readings, collected, stored
from denoscope.store import Row, Value
from denoscope.studies._reported import Reported, finished, sortable
from denoscope.studies._subject import Subject, given, model_file
from denoscope.studies._trained import Trained
from denoscope.study import Result, Work, axis, option
from denoscope.types import Denoiser


@dataclass(frozen=True, kw_only=True)
class Probed(Trained, Reported):
    """One denoiser: a network trained by the house recipe, or with ``model`` the
    one in a file.
    """

    seconds: ClassVar[float] = 1.0
    """Of one core to measure a denoiser of 8 x 8 images, beside training it."""

    places: ClassVar[tuple[str, ...]] = ("n", "width", "subset", "seed", "model")

    n: int = axis(
        64, "number of training images; with --model, 0: all that are not held out", (16, 1024)
    )
    width: int = axis(64, "width of the network, the one capacity dial")
    subset: int = axis(0, "which of two training subsets: 0 or 1, disjoint as long as both fit")
    seed: int = axis(0, "training seed: initialisation, batches and noise", (0, 1))
    model: str = axis(
        "",
        "file of a trained network, or folder of a cell that keeps one, to measure "
        "instead of training",
    )
    test: str = option("", "with --model: images that it never saw; none: --held images of --data")
    net: str = option("mlp", "network", ("mlp", "unet"))
    samples: int = option(100, "samples drawn from each model, from the same noises")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.test and not self.model:
            raise ValueError(
                "--test goes with --model: networks that are trained here hold out "
                "--held images of --data"
            )
        if self.model:
            model_file(self.model)

    def where(self) -> Split:
        test = self.source(self.test) if self.test else None
        return Split(self.source(self.data), test, self.held, self.n, self.subset)

    def infeasible(self) -> str:
        if not self.model:
            return super().infeasible()
        where = self.where()
        try:
            where.train()
            where.unseen()
        except ValueError as error:
            return f"--n {self.n} --subset {self.subset} of --data {self.data}: {error}"
        return ""

    def inputs(self) -> dict[str, str]:
        found = super().inputs()
        if self.test:
            found[self.test] = load(self.source(self.test)).sha256
        if self.model:
            found[self.model] = file_hash(model_file(self.model))
        return found

    def estimated(self, *, trained: bool) -> float:
        asked = self.seconds * self.where().images().data[0].numel() / 64
        return asked + (0 if self.model else super().estimated(trained=trained))

    @classmethod
    def plan(cls, cells: Sequence[Self]) -> list[list[Self]]:
        """Networks that are given, each alone; those to train in fleets of alike cells, as large as
        pays but two where that keeps two cores busy.
        """
        given = [[cell] for cell in cells if cell.model]
        return given + cls.fleets([cell for cell in cells if not cell.model], 2)

    @classmethod
    def batch(cls, cells: Sequence[Self], work: Work = Work()) -> Iterator[tuple[Self, Result]]:  # noqa: B008
        """Trains the cells as one fleet, or reads their networks, and measures each."""
        for item, (denoiser, generated, stopped) in zip(cells, cls.denoisers(cells, work)):
            if stopped:
                yield item, Result({"stopped": stopped})
            else:
                yield (
                    item,
                    item.measure(
                        Subject(denoiser, item.where(), item.samples, item.solver_steps, generated)
                    ),
                )

    @classmethod
    def denoisers(
        cls, cells: Sequence[Self], work: Work
    ) -> Iterator[tuple[Denoiser, Tensor | None, str]]:
        """Each cell's denoiser, its samples where they are made already, and why its training
        stopped, if it did.
        """
        if cells[0].model:
            return ((given(cell.model, cell.where()), None, "") for cell in cells)
        return (
            (member.requires_grad_(False), generated, stopped)  # pyright: ignore[reportReturnType]
            for member, generated, stopped in cls.learned(cells, work)
        )

    def readings(self, subject: Subject) -> Iterator[Reading]:
        """What this cell's denoiser is asked, by coordinates."""
        raise NotImplementedError

    def measure(self, subject: Subject) -> Result:
        """Every reading of this cell's denoiser, and its values, one for each column of a table."""
        readings = list(self.readings(subject))
        return Result(self.values(readings), stored(readings))

    def values(self, readings: Sequence[Reading]) -> dict[str, Value]:
        """The cell's row of ``table.csv``."""
        return {}

    @classmethod
    def found(cls, rows: Sequence[Row]) -> Readings:
        """The readings of all cells; a plain file is told by its name, any other model by the width
        of its network, so that its coordinate ``model`` is left out.
        """
        good = finished(rows)
        placed = [replace(row, fields=at) for row, at in zip(good, places_of(good))]
        placed.sort(key=lambda row: [sortable(value) for value in row.fields.values()])
        found = (r for row in placed for r in collected([row], cls.quantities, *row.fields))
        return Readings(found, cls.quantities)

    @classmethod
    def subtitle(cls, rows: Sequence[Row]) -> str:
        places = places_of(rows)
        values = {name: [p[name] for p in places if name in p] for name in ("n", "width", "model")}
        told = [name_of(c, value) for c, some in values.items() for value in order_of(c, some)]
        return f"{len(rows)} networks on {rows[0].fields['data']}: {', '.join(told)}"

    @classmethod
    def about(cls, rows: Sequence[Row]) -> dict[str, object]:
        fields, data = rows[0].fields, _split(rows[0])
        shape = " × ".join(map(str, data.train().shape[1:]))
        unseen = f"images of {fields['test']}" if fields["test"] else "images held out"
        words = (
            f"{fields['data']}, images of {shape} in [−1, 1]; unseen: {len(data.unseen())} {unseen}"
        )
        return {"data": f"{words}; smaller training sets lie within larger ones"}


def _split(row: Row) -> Split:
    """The images of a cell's model."""
    fields: dict[str, Any] = row.fields
    reading = (fields["skip_bad"], fields["resize"], tuple(fields["range"]))
    test = Source(fields["test"], *reading) if fields["test"] else None
    source = Source(fields["data"], *reading)
    return Split(source, test, fields["held"], fields["n"], fields["subset"])


def is_file(row: Row) -> bool:
    """Whether the model is a plain file, of which size and width of training are not known; a
    stored cell's are among the fields.
    """
    model = str(row.fields["model"])
    return bool(model) and Path(model).parent.name != "cells"


def places_of(rows: Sequence[Row]) -> list[dict[str, object]]:
    """Where each cell's readings are: a plain file is told by its name, and by the fields in which
    its own cells differ; N is left out where it is all of the set.
    """
    found = []
    for row in rows:
        same = [other for other in rows if other.fields["model"] == row.fields["model"]]
        told = ["n", "subset", "seed"]
        if is_file(row):
            told = [name for name in told if len({other.fields[name] for other in same}) > 1]
        at = {name: row.fields[name] for name in told if name != "n" or row.fields["n"]}
        own = (
            {"model": Path(str(row.fields["model"])).stem}
            if is_file(row)
            else {"width": row.fields["width"]}
        )
        found.append({**at, **own})
    return found
