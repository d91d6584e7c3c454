"""What several cells say together: agreement of models from the same noises, and where each width
turns from copying to generalizing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from denoscope.estimate import Estimate
from denoscope.metrics import (
    TrainingRun,
    Transition,
    agreement_rate,
    chance_level,
    growth,
    paired_similarity,
    transition_point,
    u_shape,
)
from denoscope.store import Row
from denoscope.studies._source import Source
from denoscope.studies._transition.cell import Place, memorizer
from denoscope.studies._transition.setting import FIXED_THRESHOLD, Setting, prepare


def at(row: Row, name: str) -> int:
    """A whole-number field of a row."""
    return int(str(row.fields[name]))


@dataclass(frozen=True)
class Model:
    """A cell with its samples' features, (samples, k)."""

    row: Row
    features: Tensor

    @property
    def n(self) -> int:
        return at(self.row, "n")

    @property
    def width(self) -> int:
        return at(self.row, "width")

    @property
    def subset(self) -> int:
        return at(self.row, "subset")

    @property
    def seed(self) -> int:
        return at(self.row, "seed")


@dataclass(frozen=True)
class Agreement:
    """How often models of one kind of pair agree at one size.

    kind: "seeds" (same width and training subset), "widths" (same subset, widths ``width`` <
    ``other``), "halves" (same width, disjoint subsets). ``same``: (pairs, samples) bool, the two
    samples of one noise are alike; ``chance``: the rate over samples of unlike noises.
    """

    kind: str
    width: int
    other: int
    n: int
    same: np.ndarray
    chance: float
    fixed: float

    @cached_property
    def rp(self) -> Estimate:
        """The RP score: share of agreeing samples over all pairs of models."""
        return agreement_rate(self.same)

    @property
    def corrected(self) -> float:
        """(RP - chance) / (1 - chance): 0 is chance, 1 is full agreement."""
        return (
            (self.rp.value - self.chance) / (1 - self.chance) if self.chance < 1 else float("nan")
        )


def source_of(row: Row) -> Source:
    """Which images a cell was measured on."""
    fields: dict[str, Any] = row.fields
    return Source(fields["data"], fields["skip_bad"], fields["resize"], tuple(fields["range"]))


def setting_of(row: Row) -> Setting:
    """The setting in which a cell was measured."""
    fields: dict[str, Any] = row.fields
    return prepare(source_of(row), fields["held"], fields["samples"], fields["solver_steps"])


def memorizer_features(model: Model) -> Tensor:
    """The features of what the closed-form memorizer of this model's training set makes from the
    same noises.
    """
    fields: dict[str, Any] = model.row.fields
    place = Place(
        source_of(model.row),
        fields["held"],
        fields["samples"],
        fields["solver_steps"],
        model.n,
        model.subset,
    )
    return setting_of(model.row).pixels(memorizer(place))


def finished(rows: Sequence[Row]) -> list[Row]:
    """The rows whose training did not stop."""
    return [row for row in rows if not row.values.get("stopped")]


def models(rows: Sequence[Row]) -> list[Model]:
    """Finished cells with their features."""
    return [
        Model(row, setting_of(row).pixels(torch.from_numpy(row.arrays()["samples"])))
        for row in finished(rows)
    ]


def agreements(all_models: Sequence[Model]) -> list[Agreement]:
    """Every kind of agreement at every size and width for which there are models."""
    pairs: dict[tuple[str, int, int, int], list[tuple[Model, Model]]] = defaultdict(list)
    for a, b in combinations(sorted(all_models, key=lambda m: (m.width, m.n, m.subset, m.seed)), 2):
        if a.n != b.n:
            continue
        if a.width == b.width:
            pairs["seeds" if a.subset == b.subset else "halves", a.width, b.width, a.n].append(
                (a, b)
            )
        elif a.subset == b.subset:
            pairs["widths", a.width, b.width, a.n].append((a, b))
    return [_agreement(key, members) for key, members in sorted(pairs.items())]


def _agreement(key: tuple[str, int, int, int], members: Sequence[tuple[Model, Model]]) -> Agreement:
    threshold = setting_of(members[0][0].row).same
    cosines = [paired_similarity(a.features, b.features).numpy() for a, b in members]
    chances = [chance_level(a.features, b.features, threshold=threshold) for a, b in members]
    same = np.stack([cosine > threshold for cosine in cosines])
    return Agreement(
        *key, same, float(np.mean(chances)), float(np.mean(np.stack(cosines) > FIXED_THRESHOLD))
    )


def training_runs(rows: Sequence[Row], width: int) -> list[TrainingRun]:
    """The finished runs of one width with their copy rates."""
    fields: list[dict[str, Any]] = [{**row.fields, **row.values} for row in finished(rows)]
    return [
        TrainingRun(
            item["n"], item["subset"], item["seed"], item["p_gen"], item["p_test"], item["samples"]
        )
        for item in fields
        if item["width"] == width
    ]


@dataclass(frozen=True)
class Verdicts:
    """What a sweep says: N* with its curve for each width, log2 growth of N* between neighbouring
    widths, and the two U-shape tests.
    """

    transitions: dict[int, Transition]
    growths: dict[tuple[int, int], Estimate]
    dips: dict[int, tuple[Estimate, Estimate]]


def verdicts(rows: Sequence[Row], pairs: Sequence[Agreement]) -> Verdicts:
    """Transitions, growth and dips of all widths in ascending order."""
    widths = sorted({at(row, "width") for row in finished(rows)})
    runs = {width: training_runs(rows, width) for width in widths}
    transitions = {width: transition_point(runs[width]) for width in widths}
    growths = {
        (small, large): growth(runs[small], runs[large]) for small, large in pairwise(widths)
    }
    dips = {}
    for width in widths:
        tables = {
            item.n: item.same for item in pairs if item.kind == "seeds" and item.width == width
        }
        if tables:
            dips[width] = u_shape(tables, transitions[width].point.value)
    return Verdicts(transitions, growths, dips)


def rows_of(study: str, version: int, rows: Sequence[Row]) -> list[Row]:
    """Agreements and transitions as rows, for tables: one a kind, pair of widths and size, and one
    a width.
    """
    pairs = agreements(models(rows))
    found = verdicts(rows, pairs)
    results = [
        Row(
            f"rp-{item.kind}-{item.width}-{item.other}-{item.n}",
            study,
            version,
            {"compared": item.kind, "width": item.width, "other": item.other, "n": item.n},
            {
                "rp": item.rp,
                "chance": item.chance,
                "rp_corrected": item.corrected,
                "rp_fixed": item.fixed,
                "pairs": len(item.same),
            },
        )
        for item in pairs
    ]
    for width, item in found.transitions.items():
        results.append(
            Row(
                f"transition-{width}",
                study,
                version,
                {"compared": "transition", "width": width},
                {"n_star": item.point},
            )
        )
    return results
