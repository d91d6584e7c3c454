"""What an audit found, as plain data: the verdict, the page, the JSON and the CSV are all made from
it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from denoscope.audit.options import AuditOptions
from denoscope.audit.sets.inputs import InputSet
from denoscope.audit.sets.overlap import Overlap
from denoscope.estimate import Estimate
from denoscope.metrics.calibrate import CopyRates, Quality
from denoscope.metrics.copy_scores import CopyScores
from denoscope.metrics.near_duplicates import NearDuplicates, SelfNeighbors

NEAR = ("noise", "blur", "jpeg", "colour")
"""Planted copies that a descriptor must tell from held-out images to decide: what sampling and
storing do to a copy.
"""
MOVED = ("shift", "crop", "flip")
"""Planted copies that were moved: reported beside the verdict, since many descriptors cannot see
them.
"""
DECIDES = 0.9
"""The area under the ROC curve of near copies below which a descriptor is reported as unable to
decide.
"""


@dataclass(frozen=True, eq=False)
class Evidence:
    """What one descriptor says. Scores are larger for copies: 1 - d1/d2 of a ``"ratio"``, the
    largest cosine of a ``"cosine"``.

    ``identity`` says what the features are. ``null`` are the scores of held-out images
    (``"test"``), or of each training image against the others (``"leave-one-out"``);
    ``leave_one_out`` are always the latter. ``planted`` maps names of perturbations to the scores
    of perturbed training images, ``quality`` to what these say; ``near`` is the quality over all of
    :data:`NEAR`. ``copies_of`` counts for each training image, int64 (n_train,), how many others
    lie within ``spacing``, its near-duplicates in this space. ``counted`` are the rows of the null
    that calibrate, without exact repeats of training images, and ``groups`` labels each of them:
    those of one label are near-duplicates. ``training_neighbors`` is the pass over pairs of
    training images and ``near_duplicates`` what it found.
    """

    name: str
    score: str
    identity: Mapping[str, Any]
    gen: CopyScores
    test: CopyScores | None
    leave_one_out: CopyScores
    rates: CopyRates
    planted: Mapping[str, CopyScores]
    quality: Mapping[str, Quality]
    near: Quality | None
    spacing: float
    copies_of: Tensor
    counted: Tensor | None = None
    groups: Tensor | None = None
    training_neighbors: SelfNeighbors | None = None
    near_duplicates: NearDuplicates | None = None

    @property
    def held_out(self) -> Tensor:
        """The scores that calibrate, (m,)."""
        return self.null.score if self.counted is None else self.null.score[self.counted]

    @property
    def null(self) -> CopyScores:
        """What real images that are no copies score."""
        return self.leave_one_out if self.test is None else self.test

    @property
    def decides(self) -> bool:
        """Whether near copies stand out from the null; unknown counts as no."""
        return self.near is not None and self.near.auc.value >= DECIDES


@dataclass(frozen=True, eq=False)
class Combined:
    """All descriptors that decide, together: a sample is a copy if its smallest p-value, times
    their number, is at most ``rates.false_alarm``.

    ``descriptors`` names them; ``p_values`` (n_gen,) are each sample's Bonferroni-corrected
    conformal p-values, at most 1, and ``copies`` bool (n_gen,) marks those at most the false alarm
    rate. The threshold of a fold of ``rates`` is the p-value that a copy may at most have.
    ``power`` maps perturbations to the share of planted copies found. ``detectable`` is the
    smallest share of copies found with 80 % probability, infinite if none.
    """

    descriptors: tuple[str, ...]
    p_values: Tensor
    copies: Tensor
    rates: CopyRates
    power: Mapping[str, Estimate]
    near_power: Estimate
    detectable: float


@dataclass(frozen=True)
class MetricResult:
    """One metric with one descriptor: the ``estimate`` (not available: NaN, its method is the
    reason) and the ``control``, the same of held-out images.
    """

    estimate: Estimate
    control: Estimate | None = None
    threshold: float | None = None
    extra: Mapping[str, Any] | None = None


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


@dataclass(frozen=True, eq=False)
class Audit:
    """Everything that was found. ``metrics`` maps a metric's name to descriptors and what each
    measured; ``combined`` is None if no descriptor decides.
    """

    options: AuditOptions
    inputs: Mapping[str, InputSet]
    protocol: Mapping[str, Any]
    evidence: tuple[Evidence, ...]
    combined: Combined | None
    metrics: Mapping[str, Mapping[str, MetricResult]]
    duplicates: TrainingDuplicates
    overlap: Overlap
    warnings: tuple[str, ...]

    @property
    def first(self) -> Evidence:
        """The descriptor whose numbers stand first."""
        return self.evidence[0]
