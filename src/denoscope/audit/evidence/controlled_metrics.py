"""Each metric of the audit for one descriptor, with its control: the same of real images in place
of the generated ones.

Copy metrics put held-out images there, or without these each training image against the others.
Metrics of quality put training images there, as many as were generated, drawn without replacement.
Where held-out images are the measure already, one half of them stands for what is controlled, and
the value is taken by the other half as well. What repeats in the real sets is set aside everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from denoscope.audit.findings import Evidence, MetricResult
from denoscope.describe.protocols import published
from denoscope.estimate import Estimate
from denoscope.metrics.agreement import chance_level, corrected, reproducibility
from denoscope.metrics.calibrate import pair_threshold
from denoscope.metrics.controlled_rates import Calibrated
from denoscope.metrics.copy_scores import CopyScores
from denoscope.metrics.copying_cells import copying_test
from denoscope.metrics.divergence import frechet, mifid
from denoscope.metrics.diversity import vendi
from denoscope.metrics.kernel_distance import kernel
from denoscope.metrics.likelihood import feature_likelihood
from denoscope.metrics.novelty import nearness as nearness_to
from denoscope.metrics.novelty import nearness_of
from denoscope.metrics.one_score import score_at
from denoscope.metrics.shares import authentic_share, memorized_share, novel_share
from denoscope.metrics.similarity import nearest_similarity
from denoscope.metrics.support import prdc
from denoscope.nearest import neighbors
from denoscope.random import derive, generator

RATIO = 1 / 3
"""Nearest over second nearest distance below which the 1/3 rule calls a sample memorized."""

_FIXED = 0.6  # where nothing was published for a descriptor
_FIXEDLY = "fixed by the protocol, as published, not calibrated here"
_ELSEWHERE = "fixed at 0.6, published for SSCD alone, not calibrated here: compare with the control"
_PAIRED = 5000  # real images whose pairs say which similarity is rare


@dataclass(frozen=True, eq=False)
class MetricCase:
    """What one descriptor sees: its evidence, and features (n, k) by role. ``fixed`` is the
    protocol's published threshold, if it has one.
    """

    evidence: Evidence
    sets: Mapping[str, Tensor]
    fixed: float | None
    seed: int

    @staticmethod
    def of(
        evidence: Evidence, sets: Mapping[str, Tensor], fixed: float | None, seed: int
    ) -> MetricCase:
        """The case without what is set aside."""
        kept = {role: ~rows for role, rows in evidence.aside.items()}
        kept["twin"] = kept["gen"]  # row by row
        rest = {
            role: rows[kept[role]] if len(kept.get(role, ())) == len(rows) else rows
            for role, rows in sets.items()
        }
        seen = replace(
            evidence,
            gen=evidence.gen.at(kept["gen"]),
            test=evidence.test and evidence.test.at(kept["test"]),
            leave_one_out=evidence.leave_one_out.at(kept["own"]),
            groups={role: labels[kept[role]] for role, labels in evidence.groups.items()},
        )
        return MetricCase(seen, rest, fixed, seed)

    def __getitem__(self, role: str) -> Tensor:
        return self.sets[role]

    @cached_property
    def halves(self) -> tuple[Tensor, Tensor]:
        """The held-out images in two parts, drawn."""
        rows = self["test"]
        order = torch.randperm(len(rows), generator=generator(derive(self.seed, 3)))
        return rows[order[: len(rows) // 2]], rows[order[len(rows) // 2 :]]

    @cached_property
    def drawn(self) -> Tensor | None:
        """As many training images as were generated, None if there are not so many."""
        n = len(self["gen"])
        order = torch.randperm(len(self["train"]), generator=generator(derive(self.seed, 1)))
        return self["train"][order[:n]] if n <= len(order) else None

    @cached_property
    def alone(self) -> bool:
        """Whether controls are each training image against the others, for want of held-out
        ones.
        """
        return self.evidence.test is None

    def controlled(self, share: Callable[[CopyScores], Estimate]) -> MetricResult:
        """A share by the 1/3 rule of generated samples, beside that of the null."""
        return MetricResult(
            share(self.evidence.gen), self.labelled(share(self.evidence.null)), RATIO
        )

    def labelled(self, control: Estimate) -> Estimate:
        """A control that says so if it is leave-one-out."""
        return (
            replace(control, method=f"{control.method}, each training image against the others")
            if self.alone
            else control
        )


def generalization(case: MetricCase) -> dict[str, MetricResult]:
    """GL at a fixed threshold. The nearest by cosine is looked for where the evidence has the
    nearest by distance alone.
    """
    known = published(case.evidence.identity)
    threshold, words = (
        (known.threshold, known.words)
        if known
        else (case.fixed or _FIXED, _FIXEDLY if case.fixed else _ELSEWHERE)
    )
    found, control = (
        replace(one, method=f"{one.method}; threshold {words}") for one in _novel(case, threshold)
    )
    return {"generalization": MetricResult(found, case.labelled(control), threshold)}


def _novel(case: MetricCase, threshold: float) -> tuple[Estimate, Estimate]:
    if case.evidence.score == "cosine":
        return novel_share(case.evidence.gen.cosine, threshold), novel_share(
            case.evidence.null.cosine, threshold
        )
    train = case["train"]
    found = nearest_similarity(case["gen"], train)
    if case.alone:
        other = 1 - neighbors(train, train, metric="cosine", exclude_self=True).distance[:, 0]
    else:
        other = nearest_similarity(case["test"], train)
    return novel_share(found, threshold), novel_share(other, threshold)


def agreement(case: MetricCase) -> dict[str, MetricResult]:
    """RP at a threshold that one pair of distinct real images in a hundred passes, and at the fixed
    one.
    """
    gen, twin = case["gen"], case["twin"]
    real = case["train"] if case.alone else case["test"]
    real = real[torch.randperm(len(real), generator=generator(derive(case.seed, 2)))[:_PAIRED]]
    threshold = pair_threshold(real, 0.99)
    found, chance = (
        reproducibility(gen, twin, threshold=threshold),
        chance_level(gen, twin, threshold=threshold),
    )
    known = published(case.evidence.identity)
    fixed = known.threshold if known else case.fixed or _FIXED
    extra = {"chance": chance, "corrected": corrected(found, chance), "fixed_threshold": fixed}
    extra |= {
        "fixed": reproducibility(gen, twin, threshold=fixed),
        "fixed_chance": chance_level(gen, twin, threshold=fixed),
    }
    words = f"{found.method}; threshold passed by 1 % of pairs of {len(real)} real images"
    return {
        "reproducibility": MetricResult(
            replace(found, method=words), threshold=threshold, extra=extra
        )
    }


def memorized(case: MetricCase) -> dict[str, MetricResult]:
    """The 1/3 rule, the second nearest no near-duplicate of the nearest."""
    found = case.controlled(lambda scores: memorized_share(scores.ratio, RATIO))
    return {"memorized": replace(found, extra={"spacing": case.evidence.spacing})}


def memorized_plain(case: MetricCase) -> dict[str, MetricResult]:
    """The 1/3 rule as published."""
    return {"memorized_plain": case.controlled(lambda scores: memorized_share(scores.plain, RATIO))}


def excess(case: MetricCase) -> dict[str, MetricResult]:
    """Copies beyond both controls' false alarms at the calibrated thresholds."""
    rates = case.evidence.rates
    if rates is None:
        raise ValueError("this evidence was not calibrated")
    threshold = score_at(case.evidence.score, rates.best.threshold)
    return {"excess": replace(excess_of(rates), threshold=threshold)}


def excess_of(rates: Calibrated) -> MetricResult:
    """The excess, and what it was made of."""
    names = ("p_gen", "p_test", "own", "p_value", "false_alarm", "detectable", "copies_at_most")
    extra = {name: getattr(rates, name) for name in names}
    return MetricResult(rates.excess, extra={**extra, "power": rates.power["near"]})


def nearness(case: MetricCase) -> dict[str, MetricResult]:
    """Nearness with its tails; by half of the held-out images in place of the training images it is
    what samples read that are near to all real images.
    """
    one = case.evidence
    assert one.test is not None  # a metric's needs are looked at before
    found = nearness_of(
        one.gen.nearest,
        one.test.nearest,
        gen_groups=one.groups["gen"],
        test_groups=one.groups["test"],
    )
    control = nearness_to(case["gen"], *case.halves)
    parts = {"near": found.near, "far": found.far}
    real = {"near": control.near, "far": control.far}
    return {"nearness": MetricResult(found, control, extra={**parts, "real": real})}


def authenticity(case: MetricCase) -> dict[str, MetricResult]:
    """Samples farther from their nearest training image than that is from its own nearest other
    one.
    """
    evidence, training = case.evidence, case.evidence.training_neighbors
    found = authentic_share(evidence.gen.nearest, training.nearest[evidence.gen.index])
    if evidence.test is not None:
        return {
            "authenticity": MetricResult(
                found, authentic_share(evidence.test.nearest, training.nearest[evidence.test.index])
            )
        }
    return {
        "authenticity": MetricResult(
            found, case.labelled(authentic_share(training.nearest, training.rival))
        )
    }


def copying(case: MetricCase) -> dict[str, MetricResult]:
    """C_T with its cells. Its control has half of the held-out images in place of the training
    images: dull samples are near to these too.
    """
    unseen, test = case.halves
    found, control = (
        copying_test(case["gen"], known, test, seed=case.seed) for known in (case["train"], unseen)
    )
    told = {"nearer": found.nearer, "cells": found.json()["cells"]}
    return {
        "copying_test": MetricResult(
            found, control, extra={**told, "real": {"nearer": control.nearer}}
        )
    }


def likelihood(case: MetricCase) -> dict[str, MetricResult]:
    """FLD with its gap. Its control are held-out images, half of them, in place of as many samples:
    both depend on numbers.
    """
    unseen, test = case.halves
    n = min(len(case["gen"]), len(unseen))
    order = torch.randperm(len(case["gen"]), generator=generator(derive(case.seed, 4)))
    found, control = (
        feature_likelihood(rows, case["train"], test, seed=case.seed)
        for rows in (case["gen"][order[:n]], unseen[:n])
    )
    told = {"gap": found.gap, "spread": found.spread, "splits": list(found.splits)}
    return {
        "feature_likelihood": MetricResult(
            found, control, extra={**told, "real": {"gap": control.gap}}
        )
    }


def informed(case: MetricCase) -> dict[str, MetricResult]:
    """MiFID; of held-out images as its control."""
    control = None if case.alone else mifid(case["test"], case["train"], seed=case.seed)
    return {"mifid": MetricResult(mifid(case["gen"], case["train"], seed=case.seed), control)}


def support(case: MetricCase) -> dict[str, MetricResult]:
    """Precision, recall, density, coverage."""
    found = prdc(case["gen"], case["test"])
    control = {} if case.drawn is None else prdc(case.drawn, case["test"])
    return {name: MetricResult(one, control.get(name)) for name, one in found.items()}


def distance(case: MetricCase) -> dict[str, MetricResult]:
    """FD and its limit; of training images, as many as were generated, as its control."""
    found = frechet(case["gen"], case["test"], seed=case.seed)
    control = None if case.drawn is None else frechet(case.drawn, case["test"], seed=case.seed)
    plain = Estimate(found.value, found.low, found.high, found.n, found.level, found.method)
    extra = {"limit": found.limit, "real": {"limit": control.limit} if control else {}}
    return {"frechet": MetricResult(plain, control, extra=extra)}


def discrepancy(case: MetricCase) -> dict[str, MetricResult]:
    """KID."""
    control = None if case.drawn is None else kernel(case.drawn, case["test"], seed=case.seed)
    return {"kernel": MetricResult(kernel(case["gen"], case["test"], seed=case.seed), control)}


def diversity(case: MetricCase) -> dict[str, MetricResult]:
    """The Vendi score."""
    control = None if case.drawn is None else vendi(case.drawn, seed=case.seed)
    return {"vendi": MetricResult(vendi(case["gen"], seed=case.seed), control)}
