"""What an audit found, as plain data: the verdict, the page, the JSON and the CSV are all made from
it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from denoscope.audit.options import AuditOptions
from denoscope.audit.sets.inputs import InputSet
from denoscope.audit.sets.overlap import Overlap
from denoscope.audit.sets.settled import Settled
from denoscope.display import html_table, shortened
from denoscope.estimate import Estimate
from denoscope.metrics.controlled_rates import Calibrated
from denoscope.metrics.copy_scores import CopyScores
from denoscope.metrics.near_duplicates import NearDuplicates, SelfNeighbors

NEAR = ("noise", "blur", "jpeg", "colour")
"""Training images as sampling and storing change a copy."""
ROUND_TRIP = "round trip"
"""Training images at the least noise of a model that was given, denoised by it."""
PLANTED = (*NEAR, ROUND_TRIP)
"""Planted copies that a descriptor must tell from held-out images to decide."""
MOVED = ("shift", "crop", "flip")
"""Planted copies that were moved: reported beside the verdict, since many descriptors cannot see
them.
"""


@dataclass(frozen=True, eq=False)
class Evidence:
    """What one descriptor says. Scores are larger for copies: 1 - d1/d2 of a ``"ratio"``, the
    largest cosine of a ``"cosine"``.

    ``identity`` says what the features are; ``gen`` and ``test`` are the scores of samples and
    held-out images, ``leave_one_out`` those of each training image against the others. ``planted``
    maps names of perturbations to the scores of perturbed training images, ``areas`` to the chance
    that these outscore real ones, "near" over all of :data:`PLANTED`. Of training images nearer
    than ``spacing`` one is a near-duplicate of the other; rows nearer than ``tight`` nearly repeat
    each other, whatever the hold-out is. By set, "gen", "test" and "own", ``groups``
    labels rows that nearly repeat each other and ``aside`` marks those that are nearest to repeated
    content. ``training_neighbors`` is the pass over pairs of training images, ``near_duplicates``
    what it found, ``rates`` what the descriptor counts alone.
    """

    name: str
    score: str
    identity: Mapping[str, Any]
    gen: CopyScores
    test: CopyScores | None
    leave_one_out: CopyScores
    planted: Mapping[str, CopyScores]
    areas: Mapping[str, Estimate]
    spacing: float
    tight: float
    groups: Mapping[str, Tensor]
    aside: Mapping[str, Tensor]
    training_neighbors: SelfNeighbors
    near_duplicates: NearDuplicates
    rates: Calibrated | None = None

    @property
    def held_out(self) -> Tensor:
        """The scores that calibrate, (m,)."""
        return self.null.score[~self.aside["own" if self.test is None else "test"]]

    @property
    def null(self) -> CopyScores:
        """What real images that are no copies score."""
        return self.leave_one_out if self.test is None else self.test

    @property
    def decides(self) -> bool:
        """Whether planted copies stand out from the null, by the whole interval."""
        return self.rates is not None and self.rates.sees


@dataclass(frozen=True, repr=False)
class MetricResult:
    """One metric with one descriptor: the ``estimate`` (not available: NaN, its method is the
    reason) and the ``control``, the same of held-out images.
    """

    estimate: Estimate
    control: Estimate | None = None
    threshold: float | None = None
    extra: Mapping[str, Any] | None = None

    def __repr__(self) -> str:
        beside = "" if self.control is None else f", held-out {self.control}"
        return shortened(f"MetricResult({self.estimate}{beside})")


@dataclass(frozen=True, eq=False)
class TrainingDuplicates:
    """What repeats in the training set, by the first descriptor: ``exact`` repeats of earlier
    images, ``links`` pairs nearer than ``threshold``, and ``cluster`` int64 (n_train,) the
    connected component of each image, -1 for an image that has no duplicate.
    """

    exact: int
    links: int
    threshold: float
    quantile: float
    cluster: Tensor
    largest: int
    warnings: tuple[str, ...]

    @property
    def images(self) -> int:
        """How many training images have a duplicate."""
        return int((self.cluster >= 0).sum())


@dataclass(frozen=True, eq=False, repr=False)
class Audit:
    """Everything that was found. ``mirrored`` is how many samples, of how many, repeat training
    images mirrored where only images as they are were compared. ``metrics`` maps a metric's name
    to descriptors and what each measured; ``combined`` is None if no descriptor decides.
    """

    options: AuditOptions
    inputs: Mapping[str, InputSet]
    protocol: Mapping[str, Any]
    evidence: tuple[Evidence, ...]
    combined: Calibrated | None
    metrics: Mapping[str, Mapping[str, MetricResult]]
    duplicates: TrainingDuplicates
    overlap: Overlap
    warnings: tuple[str, ...]
    settled: Settled = field(default_factory=lambda: Settled({}))
    mirrored: tuple[int, int] = (0, 0)

    def __repr__(self) -> str:
        from denoscope.audit.report.verdict import state  # which is told of what is found here

        counts = ", ".join(f"{role} {len(one)}" for role, one in self.inputs.items())
        excess = f", excess {self.combined.excess}" if self.combined else ""
        return shortened(f"Audit({state(self)}{excess}; {counts})")

    def _repr_html_(self) -> str:
        from denoscope.audit.report.verdict import state

        rows = [
            [name, descriptor, one.estimate, one.control or ""]
            for name, each in self.metrics.items()
            for descriptor, one in each.items()
        ]
        header = ["metric", "descriptor", "samples", "held-out images"]
        return html_table(header, rows, f"{state(self)}, of these metrics")

    @property
    def flips(self) -> bool:
        """Whether mirrored training images were compared too."""
        return self.options.flips or self.settled.flips

    @property
    def first(self) -> Evidence:
        """The descriptor whose numbers stand first."""
        return self.evidence[0]
