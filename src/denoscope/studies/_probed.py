"""The base of the studies of geometry: one cell is one denoiser, and what it is asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

from torch import Tensor

from denoscope.coordinates import name_of, order_of
from denoscope.data.sources import Source, load
from denoscope.data.splits import Split
from denoscope.models import Model as Opened
from denoscope.readings import Reading, Readings, collected, stored
from denoscope.store import Row, Value
from denoscope.studies._reported import finished, sortable
from denoscope.studies._subject import Subject, given, known, opened, unasked
from denoscope.studies._trained import Model, Trained
from denoscope.study import Result, Work, axis, option
from denoscope.types import Denoiser


@dataclass(frozen=True, kw_only=True)
class Probed(Trained):
    """One denoiser: a network trained by the house recipe, or the one of the file ``model``."""

    seconds: ClassVar[float] = 1.0
    """Of one core to measure a denoiser of 8 x 8 images, beside training it."""

    differentiates: ClassVar[bool] = True
    """Whether it asks for derivatives, which models that run forward alone do not have."""

    places: ClassVar[tuple[str, ...]] = ("n", "width", "subset", "seed", "model")

    n: int = axis(64, "training images; with --model, 0: all that are not held out", (16, 1024))
    width: int = axis(64, "width of the network, the one capacity dial")
    subset: int = axis(0, "which of two training subsets: 0 or 1, disjoint as long as both fit")
    seed: int = axis(0, "training seed: initialisation, batches and noise", (0, 1))
    model: str = axis("", "a model to be measured: any word that audit takes as one")
    test: str = option("", "with --model: images that it never saw; none: --held images of --data")
    label: str = option("", "with --model: the class, or the number, that it is asked for")
    net: str = option("film", "network", ("film", "mlp", "unet", "uvit"))
    samples: int = option(100, "samples drawn from each model, from the same noises")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.test and not self.model:
            raise ValueError(
                "--test goes with --model: networks that are trained here hold out "
                "--held images of --data"
            )
        if self.model:
            known(self.model)

    @classmethod
    def combined(cls, axes: Mapping[str, Sequence[Any]]) -> Sequence[Self]:
        """Each model that is there already once: seeds and widths are those of training here."""
        once: dict[Self, Self] = {}
        for cell in super().combined(axes):
            once.setdefault(replace(cell, seed=0, width=1) if cell.model else cell, cell)
        return list(once.values())

    def where(self) -> Split:
        test = self.source(self.test) if self.test else None
        return Split(self.source(self.data), test, self.held, self.n, self.subset)

    def infeasible(self) -> str:
        if not self.model:
            return super().infeasible()
        where = self.where()
        if reason := unasked(opened(self.model, self.label), self.title(), self.differentiates):
            return f"--model {self.model} {reason}"
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
            found[self.model] = known(self.model)
        return found

    def estimated(self, *, trained: bool) -> float:
        asked = self.seconds * self.where().images().data[0].numel() / 64
        return asked + (0 if self.model else super().estimated(trained=trained))

    @classmethod
    def plan(cls, cells: Sequence[Any]) -> list[list[Any]]:
        """Networks that are given, each alone; those to train in fleets."""
        given = [[cell] for cell in cells if cell.model]
        return given + super().plan([cell for cell in cells if not cell.model])

    @classmethod
    def learned(cls, cells: Sequence[Any], work: Work) -> Iterator[Model]:
        """Trained networks, or those that are given, which have no samples yet."""
        if cells[0].model:
            return ((cell.given().denoiser, None, "") for cell in cells)
        return super().learned(cells, work)

    def subject(self, D: Denoiser, generated: Tensor | None = None) -> Subject:
        """A denoiser with this cell's images."""
        model = self.given() if self.model else None
        return Subject(D, self.where(), self.samples, self.solver_steps, generated, model)

    def given(self) -> Opened:
        """The model that is given."""
        return given(self.model, self.where(), self.label)

    def measured(self, net: Any, generated: Any) -> Result:
        return self.measure(self.subject(net, generated))

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
        networks = f"{len(rows)} network{'s' * (len(rows) > 1)}"
        return f"{networks} on {rows[0].fields['data']}: {', '.join(told)}"

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
    test = Source.of(fields, fields["test"]) if fields["test"] else None
    source = Source.of(fields, fields["data"])
    return Split(source, test, fields["held"], fields["n"], fields["subset"])


def is_file(row: Row) -> bool:
    """Whether the model is a plain file: its training is not known, as that of a stored cell is."""
    model = str(row.fields["model"])
    return bool(model) and Path(model).parent.name != "cells"


def places_of(rows: Sequence[Row]) -> list[dict[str, object]]:
    """Where each cell's readings are: a plain file is told by its name, and by the fields in which
    its own cells differ, a network as if it had been trained here, and by its store where another
    one is at its place; N is left out where it is all of the set.
    """
    places = [_place(row, rows) for row in rows]
    models = [str(row.fields["model"]) for row in rows]
    every, files = list(zip(models, places)), {m for m, at in zip(models, places) if "model" in at}
    found = []
    for model, at in every:
        near = files if "model" in at else {other for other, place in every if place == at}
        told = model and (model in files or len(near) > 1)
        found.append(at | ({"model": called(model, near)} if told else {}))
    return found


def _place(row: Row, rows: Sequence[Row]) -> dict[str, object]:
    model, told = row.fields["model"], ["n", "subset", "seed"]
    own = {"model": model} if is_file(row) else {"width": row.fields["width"]}
    if is_file(row):
        same = [other.fields for other in rows if other.fields["model"] == model]
        told = [name for name in told if len({fields[name] for fields in same}) > 1]
    return {name: row.fields[name] for name in told if name != "n" or row.fields["n"]} | own


def called(model: str, among: Collection[str]) -> str:
    """The shortest end of a file's path, or of the path of a cell's store, that no other has."""
    taken = Counter(end for other in {model, *among} for end in _ends(Path(other)))
    return next((end for end in _ends(Path(model)) if taken[end] == 1), model)


def _ends(path: Path) -> list[str]:
    stored = path.parent.name == "cells"
    parts = path.parent.parent.parts if stored else path.with_suffix("").parts
    ends = ["/".join(parts[-count:]) for count in range(1, len(parts) + 1)]
    return [*ends, f"{parts[-1]}/{path.name}"] if stored else ends
