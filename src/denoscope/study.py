"""A study is a frozen dataclass whose fields make one cell of a sweep; its identity is a hash of
what differs from the defaults.

``grid`` makes cells, ``run`` brings a store to hold them all: what is there already is not done
again, so the same command resumes.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

import numpy as np

from denoscope.execute import Executor, Tell, serial
from denoscope.fields import axes_first
from denoscope.fields import axis as axis
from denoscope.fields import option as option
from denoscope.store import MODEL, Row, Store, Value

if TYPE_CHECKING:
    from denoscope.report.page import Page

S = TypeVar("S", bound="Study")


@dataclass(frozen=True)
class Result:
    """What one cell measured: ``values`` (numbers, text, Estimates) for tables, ``arrays`` for what
    is computed across cells.

    ``files`` holds whole files by name, such as the trained network as
    :func:`~denoscope.networks.dump` writes it.
    """

    values: Mapping[str, Value]
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Work:
    """What a job may use while it works: a ``folder`` that survives kills (None: keep nothing),
    ``tell(fraction done)``, a torch device; and ``trained``, which finds the file of a network that
    an earlier version of the study trained for a cell.
    """

    folder: Path | None = None
    tell: Tell = lambda fraction: None
    device: str = "cpu"
    trained: Callable[[Study], Path | None] = lambda cell: None

    @property
    def checkpoint(self) -> Path | None:
        """The file from which a training of this job is resumed."""
        return None if self.folder is None else self.folder / "training.safetensors"


def declared(study: type[Study]) -> list[Field[Any]]:
    """The fields of a study, axes first."""
    return axes_first(fields(study))


@dataclass(frozen=True, kw_only=True)
class Study:
    """Base of all studies: subclasses are frozen keyword-only dataclasses with ``run``, and
    ``version`` counts changes of meaning.
    """

    version: ClassVar[int] = 1
    trained_since: ClassVar[int] = 1
    """The first version whose networks are trained as today's: theirs need no training again."""

    references: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def title(cls) -> str:
        """The study's name: that of its file, or of the class where the file is a script."""
        module = cls.__module__.rpartition(".")[2]
        return (
            cls.__name__ if module in ("__main__", "__mp_main__") else module
        )  # worker processes rename the script's module

    def fields(self) -> dict[str, Any]:
        """Every field with its value, axes first."""
        return {item.name: getattr(self, item.name) for item in declared(type(self))}

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Self:
        """The cell with these fields, as a store has them."""
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in stored.items()})

    @classmethod
    def combined(cls, axes: Mapping[str, Sequence[Any]]) -> Sequence[Self]:
        """The cells that these values ask for: all of their combinations."""
        return [cls(**dict(zip(axes, values))) for values in itertools.product(*axes.values())]

    def key(self, version: int | None = None) -> str:
        """The identity of the cell: a hash of study, version (None: today's) and the fields that
        differ from their defaults (16 hex digits).
        """
        changed = {
            item.name: getattr(self, item.name)
            for item in fields(self)
            if getattr(self, item.name) != item.default
        }
        known = self.version if version is None else version
        text = json.dumps([self.title(), known, changed], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def infeasible(self) -> str:
        """Why this cell cannot be (its training set is larger than the data, say), or the empty
        string.
        """
        return ""

    def inputs(self) -> dict[str, str]:
        """Content hashes of what the cell reads, by name; a stored cell counts only while they are
        the same.
        """
        return {}

    def cost(self) -> float:
        """Estimated seconds of one core."""
        return 1.0

    def measuring(self) -> float:
        """Estimated seconds of one core where the cell's network is trained already."""
        return self.cost()

    def run(self, work: Work = Work()) -> Result:
        """Measures this cell."""
        raise NotImplementedError

    @classmethod
    def batch(cls, cells: Sequence[Any], work: Work = Work()) -> Iterator[tuple[Any, Result]]:
        """Measures several cells; a study that can do them at once overrides this, with results
        equal to ``run`` up to rounding.
        """
        for index, cell in enumerate(cells):
            part = Work(
                work.folder,
                lambda fraction, index=index: work.tell((index + fraction) / len(cells)),
                work.device,
                work.trained,
            )
            yield cell, cell.run(part)

    @classmethod
    def plan(cls, cells: Sequence[Any]) -> list[list[Any]]:
        """Which cells go into one job together; by default each alone."""
        return [[cell] for cell in cells]

    @classmethod
    def compare(cls, rows: Sequence[Row]) -> list[Row]:
        """What needs several cells, computed anew from stored arrays at every report."""
        return []

    @classmethod
    def page(cls, rows: Sequence[Row], noted: Mapping[str, Any]) -> Page:
        """The report on these cells; ``noted`` is what the store says of the commands that made
        them.
        """
        raise NotImplementedError


def combinations(study: type[S], axes: Mapping[str, Any]) -> list[S]:
    """Every cell that the given values ask for, feasible or not; a value that is no list or range
    counts as a list of one.
    """
    known = {item.name for item in fields(study)}
    for name in axes:
        if name not in known:
            raise ValueError(
                f"{study.title()} has no field {name!r}; it has {', '.join(sorted(known))}"
            )
    lists = {
        name: list(value) if isinstance(value, list | range) else [value]
        for name, value in axes.items()
    }
    return list(study.combined(lists))


def grid(study: type[S], **axes: Any) -> list[S]:
    """The feasible cells of the product of ``axes``, each once; none feasible is a ValueError with
    the reason.
    """
    cells = combinations(study, axes)
    reasons = [cell.infeasible() for cell in cells]
    feasible = [cell for cell, reason in zip(cells, reasons) if not reason]
    if not feasible:
        raise ValueError(
            next(
                (reason for reason in reasons if reason),
                "an axis without values leaves no cell to run",
            )
        )
    return list({cell.key(): cell for cell in feasible}.values())


def swept(study: type[Study]) -> dict[str, list[Any]]:
    """The values of every axis that the command line takes when none are given."""
    return {
        item.name: list(item.metadata["sweep"]) for item in fields(study) if item.metadata["axis"]
    }


def alike(cells: Sequence[S], *varied: str) -> list[list[S]]:
    """Groups of cells that differ in the fields ``varied`` alone, each sorted by them."""
    groups: dict[tuple[Any, ...], list[S]] = {}
    for cell in sorted(cells, key=lambda cell: tuple(getattr(cell, name) for name in varied)):
        groups.setdefault(
            tuple(value for name, value in cell.fields().items() if name not in varied), []
        ).append(cell)
    return list(groups.values())


def versions() -> dict[str, str]:
    """Versions of what decides the numbers."""
    import scipy
    import torch

    from denoscope import __version__

    return {
        "denoscope": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
    }


def _job_name(cells: Sequence[Study]) -> str:
    return hashlib.sha256(" ".join(cell.key() for cell in cells).encode()).hexdigest()[:16]


def _do(cells: Sequence[Study], root: Path, device: str, tell: Tell) -> bool:
    """Runs one job into the store; False when another process has it."""
    import torch

    store, job = Store(root), _job_name(cells)
    with store.claim(job) as mine:
        if not mine:
            return False
        if not missing(cells, store):  # another process finished it since this one looked
            return True
        started = time.monotonic()
        work = Work(store.work(job), tell, device, partial(trained, store=store))
        for cell, result in type(cells[0]).batch(cells, work):
            now = time.monotonic()
            made = {
                "seconds": round(now - started, 3),
                "job": job,
                "inputs": cell.inputs(),
                "threads": torch.get_num_threads(),
                "versions": versions(),
            }
            store.put(
                Row(
                    cell.key(), cell.title(), cell.version, cell.fields(), dict(result.values), made
                ),
                result.arrays,
                result.files,
            )
            started = now
        store.finish(job)
    return True


def trained(cell: Study, store: Store) -> Path | None:
    """The file of the network that an earlier version trained for a cell with equal fields on equal
    inputs; None where there is none, or where the study's networks are trained in another way now.
    """
    for version in range(cell.version - 1, cell.trained_since - 1, -1):
        row = store.get(cell.key(version))
        if row is None or row.path is None or row.made["inputs"] != cell.inputs():
            continue
        if (row.path / MODEL).is_file():
            return row.path / MODEL
    return None


def missing(cells: Sequence[S], store: Store) -> list[S]:
    """The cells that the store does not hold yet; one that is damaged, or was measured on other
    data, is a ValueError naming it.
    """
    absent = []
    for cell in cells:
        row = store.get(cell.key())
        if row is None:
            absent.append(cell)
        elif row.made["inputs"] != cell.inputs():
            changed = ", ".join(
                name
                for name in cell.inputs()
                if row.made["inputs"].get(name) != cell.inputs()[name]
            )
            raise ValueError(
                f"{row.path} was measured on other content of {changed}; choose another "
                "folder with --store"
            )
    return absent


def _kept(study: type[S], store: Store) -> list[list[S]]:
    """The jobs of this study and version that an earlier command began or planned, with all their
    cells.
    """
    names = {item.name for item in fields(study)}
    plan = store.plan()
    known = plan.get("study") == study.title() and plan.get("version") == study.version
    if not known or any(set(kept) != names for job in plan["jobs"] for kept in job):
        return []
    return [[study.of(kept) for kept in job] for job in plan["jobs"]]


def pending(cells: Sequence[S], store: Store) -> list[list[S]]:
    """The jobs, costliest first, that still have cells to deliver.

    Jobs that were planned before keep all their cells, stored ones too: what a resumed job trains
    together is what it began with. Cells that no kept job has are planned anew, among themselves.
    """
    absent = {cell.key(): cell for cell in missing(cells, store)}
    if not absent:
        return []
    kept = [
        job for job in _kept(type(cells[0]), store) if any(cell.key() in absent for cell in job)
    ]
    covered = {cell.key() for job in kept for cell in job}
    fresh = [cell for key, cell in absent.items() if key not in covered]
    jobs = kept + (type(cells[0]).plan(fresh) if fresh else [])
    return sorted(jobs, key=lambda job: -sum(cell.cost() for cell in job))


def _planned(cells: Sequence[S], store: Store) -> list[list[S]]:
    """:func:`pending`, with the plan written down beside what other commands on the store still
    have to do; done jobs lose their scratch.
    """
    with store.claim("plan", wait=True):
        jobs = pending(cells, store)
        names = {_job_name(job) for job in jobs}
        others = []
        for job in _kept(type(cells[0]), store) if cells else []:
            if _job_name(job) in names:
                continue
            if any(store.get(cell.key()) is None for cell in job):
                others.append(job)
            else:
                store.finish(_job_name(job))
        if jobs or others:
            study = type(cells[0])
            content = [[cell.fields() for cell in job] for job in [*jobs, *others]]
            store.keep_plan({"study": study.title(), "version": study.version, "jobs": content})
        elif cells:
            store.drop_plan()
    return jobs


def _teller(
    jobs: Sequence[Sequence[Study]], held: int, progress: Callable[[float, int], None]
) -> Callable[[int, float], None]:
    """Turns (job, its fraction) into (fraction of the cost of all jobs, cells done)."""
    costs = np.array([sum(cell.cost() for cell in job) for job in jobs])
    fractions = np.zeros(len(jobs))

    def tell(index: int, fraction: float) -> None:
        fractions[index] = fraction
        done = held + sum(len(job) for job, part in zip(jobs, fractions) if part >= 1)
        progress(float((costs * fractions).sum() / costs.sum()), done)

    return tell


def run(
    cells: Sequence[S],
    store: Store | Path | str,
    executor: Executor = serial,
    *,
    device: str = "cpu",
    progress: Callable[[float, int], None] = lambda fraction, done: None,
    say: Callable[[str], None] = lambda line: None,
) -> list[Row]:
    """Brings the store to hold every cell and returns their rows in order; ``progress(fraction of
    the cost, cells done)`` is called often.

    Cells already stored are kept. When jobs fail, the others still finish and then the first error
    is raised. Jobs that another process on the same store is doing are waited for, which ``say`` is
    told once.
    """
    store = store if isinstance(store, Store) else Store(store)
    waits = False
    while jobs := _planned(cells, store):
        taken = [job for job in jobs if not store.free(_job_name(job))]
        if len(taken) == len(jobs):  # another process on this store is doing all that is left
            if not waits:
                say(f"waiting for {store.holder(_job_name(taken[0]))}, which measures the rest")
            waits = True
            time.sleep(0.5)
            continue
        jobs = [job for job in jobs if job not in taken]
        errors = []
        tell = _teller(jobs, len(cells) - len(missing(cells, store)), progress)
        for index, outcome in executor(
            [partial(_do, job, store.root, device) for job in jobs], tell
        ):
            if isinstance(outcome, Exception):
                errors.append(outcome)
            elif outcome:
                tell(index, 1.0)
                if absent := missing(jobs[index], store):
                    errors.append(
                        RuntimeError(
                            f"a job ended without storing its cell {absent[0].key()} "
                            f"({absent[0].fields()})"
                        )
                    )
        if errors:
            raise errors[0]
    rows = [store.get(cell.key()) for cell in cells]
    return [row for row in rows if row is not None]
