"""Audits to write about: of real digits, put together with nothing but nearest neighbours, and of
chosen counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from denoscope import read_images
from denoscope.audit.evidence.by_descriptor import areas, calibrated, descriptor_evidence
from denoscope.audit.findings import (
    MOVED,
    NEAR,
    Audit,
    Evidence,
    MetricResult,
    TrainingDuplicates,
)
from denoscope.audit.options import AuditOptions
from denoscope.audit.sets.inputs import InputSet
from denoscope.audit.sets.overlap import Overlap, SharedRows
from denoscope.data.images import Images
from denoscope.data.perturb import PERTURBATIONS
from denoscope.describe import PCA, Pixels
from denoscope.estimate import Estimate, proportion, unavailable
from denoscope.metrics.controlled_rates import SPENT, Calibrated, Rates
from denoscope.metrics.copy_scores import CopyScores
from denoscope.metrics.grouped import Share


def digits(n: int, start: int = 0) -> Tensor:
    """Real digits (n, 1, 8, 8) in a fixed random order."""
    data = read_images("digits").data
    return data[torch.randperm(len(data), generator=torch.Generator().manual_seed(3))][
        start : start + n
    ]


def noisy(images: Tensor, level: float = 0.03, seed: int = 0) -> Tensor:
    """What a memorizing model samples: the images with a little noise."""
    return (
        images + level * torch.randn(images.shape, generator=torch.Generator().manual_seed(seed))
    ).clamp(-1, 1)


def given(
    role: str,
    images: Tensor | None,
    *,
    path: str = "",
    names: Sequence[str] = (),
    features: Tensor | None = None,
    seeds: Sequence[int] = (),
) -> InputSet:
    """A set as the readers would give it."""
    rows = images if images is not None else features
    assert rows is not None
    shown = tuple(names) or tuple(f"{role}/{i:05d}.png" for i in range(len(rows)))
    held = None if images is None else Images(images, path or role)
    return InputSet(role, path or f"/data/{role}", held, features, shown, "ab12" * 16, tuple(seeds))


def weighed(
    name: str,
    kind: str,
    features: Mapping[str, Tensor],
    copies: Mapping[str, Tensor],
    first: Evidence | None = None,
) -> Evidence:
    """One descriptor's evidence; what repeats is what repeats to the ``first``."""
    identity = {"name": name, "version": 1, "preprocessing": "as they are"}
    one = descriptor_evidence(name, kind, identity, features, copies, quantile=0.01)
    one = replace(one, aside=(first or one).aside, groups=(first or one).groups)
    return replace(one, areas=areas(one), rates=calibrated([one], false_alarm=0.01, seed=0))


def share(flags: Tensor) -> Estimate:
    """The share of rows that are true."""
    return proportion(int(flags.sum()), len(flags))


def exactly(first: Tensor, second: Tensor) -> Tensor:
    """Which rows of the first are rows of the second."""
    known = {bytes(row.numpy().tobytes()) for row in second.flatten(1)}
    return torch.tensor([row.numpy().tobytes() in known for row in first.flatten(1)])


def audit(
    gen: Tensor,
    train: Tensor,
    test: Tensor | None = None,
    *,
    twin: Tensor | None = None,
    names: Mapping[str, Sequence[str]] | None = None,
    as_features: bool = False,
    cluster: Tensor | None = None,
    warnings: tuple[str, ...] = (),
    options: AuditOptions | None = None,
) -> Audit:
    """A whole audit of images."""
    sets = (
        {"gen": gen, "train": train}
        | ({"test": test} if test is not None else {})
        | ({"twin": twin} if twin is not None else {})
    )
    shown = names or {}
    if as_features:
        held = {
            role: given(role, None, features=x.flatten(1), names=shown.get(role, ()))
            for role, x in sets.items()
        }
        copies = {"noise": noisy(train[:100])}
    else:
        held = {role: given(role, x, names=shown.get(role, ())) for role, x in sets.items()}
        copies = {name: PERTURBATIONS[name](train[:100], seed=7) for name in (*NEAR, *MOVED)}
    pca = PCA.fit(train, min(20, len(train) - 1))
    evidence: list[Evidence] = []
    for name, kind, describe in (("pixels", "ratio", Pixels()), ("pca", "cosine", pca)):
        features = {role: describe(x) for role, x in sets.items()}
        planted = {label: describe(x) for label, x in copies.items()}
        evidence.append(weighed(name, kind, features, planted, *evidence[:1]))
    deciding = [one for one in evidence if one.decides]
    combined = calibrated(deciding, false_alarm=0.01, seed=0) if deciding else None
    links = torch.full((len(train),), -1, dtype=torch.int64) if cluster is None else cluster
    sizes = links[links >= 0].bincount() if (links >= 0).any() else torch.tensor([1])
    pairs = {("gen", "train"): SharedRows("gen", "train", exactly(gen, train), 3, 0.1)}
    if test is not None:
        pairs[("test", "train")] = SharedRows("test", "train", exactly(test, train), 0, 0.1)
        pairs[("test", "gen")] = SharedRows("test", "gen", exactly(test, gen), 0, 0.1)
    return Audit(
        options or AuditOptions(gen="/data/gen", train="/data/train"),
        held,
        {"name": "denoscope-1", "version": 1, "descriptors": ["pixels", "pca"]},
        tuple(evidence),
        combined,
        table(evidence, combined, twin is not None, test is not None),
        TrainingDuplicates(0, int((links >= 0).sum()) // 2, 0.1, 0.01, links, int(sizes.max()), ()),
        Overlap(pairs, ()),
        warnings,
    )


def table(
    evidence: Sequence[Evidence], combined: Calibrated | None, twin: bool, test: bool
) -> dict[str, dict[str, MetricResult]]:
    """A few metrics, one of them not available."""
    found: dict[str, dict[str, MetricResult]] = {
        "memorized": {
            one.name: MetricResult(
                share(one.gen.ratio < 1 / 3), share(one.null.ratio < 1 / 3), 1 / 3
            )
            for one in evidence
        },
        "excess": {one.name: MetricResult(one.rates.excess) for one in evidence if one.rates},
        "generalization": {
            one.name: MetricResult(
                share(~(one.gen.cosine > 0.6)), share(~(one.null.cosine > 0.6)), 0.6
            )
            for one in evidence
        },
        "frechet": {"pixels": MetricResult(unavailable("held-out images are missing: pass --test"))}
        if not test
        else {},
    }
    if combined:
        found["excess_combined"] = {"all": MetricResult(combined.excess)}
    if twin:
        found["reproducibility"] = {
            "pixels": MetricResult(proportion(180, 200), None, 0.95, {"chance": 0.015})
        }
    return {name: by for name, by in found.items() if by}


def rates(
    copies: int,
    n: int,
    alarms: int,
    held_out: int,
    *,
    own: tuple[int, int] | None = None,
    planted: tuple[int, int] = (95, 100),
    crossed: tuple[Share, Share] | None = None,
    flagged: int | None = None,
) -> Calibrated:
    """Two descriptors that counted so many at both thresholds; training images left out pass as
    held-out ones do, unless ``own`` says how many of how many.
    """
    count, rows = own or (round(alarms * 2000 / held_out), 2000)
    marked = (torch.arange(n) < (copies if flagged is None else flagged)).double()
    controls = {
        "test": Share(alarms / held_out, held_out, held_out),
        "own": Share(count / rows, rows, rows),
    }
    found = Share(planted[0] / planted[1], planted[1], planted[1])
    seen: dict[str, Share] = dict.fromkeys((*NEAR, "near"), found)
    at = [Rates(0.9, Share(copies / n, n, n), controls, seen, marked, spent) for spent in SPENT]
    p = torch.where(marked > 0, 0.001, 0.5).double()
    even = crossed or (controls["own"], controls["own"])
    return Calibrated(("pixels", "pca"), tuple(at), p, 0.01, 0.01, even)


def counted(
    base: Audit,
    *,
    n: int,
    copies: int,
    held_out: int,
    alarms: int,
    flagged: int | None = None,
    of: Sequence[int] = (),
    own: tuple[int, int] | None = None,
    planted: tuple[int, int] = (95, 100),
    crossed: tuple[Share, Share] | None = None,
    **changes: Any,
) -> Audit:
    """``base`` with chosen counts, so that a verdict's words can be foreseen; ``of`` are training
    images of the flagged.
    """
    combined = rates(
        copies, n, alarms, held_out, own=own, planted=planted, crossed=crossed, flagged=flagged
    )
    index = torch.arange(n) % len(base.inputs["train"])
    if len(of):
        index[: len(of)] = torch.tensor(of)
    filled = torch.where(combined.copies, 0.99, 0.1).double()
    test = base.first.null.nearest
    away = torch.full((n,), float(test.median())).double()
    gen = CopyScores(filled, away, index, torch.ones(n).double(), filled, 1 - filled)
    alone = {"gen": torch.arange(n)}
    none = {"gen": torch.zeros(n, dtype=torch.bool)}
    evidence = tuple(
        replace(one, gen=gen, groups={**one.groups, **alone}, aside={**one.aside, **none})
        for one in base.evidence
    )
    shared = dict(base.overlap.shared)
    shared["gen", "train"] = SharedRows("gen", "train", torch.zeros(n, dtype=torch.bool), 0, 0.1)
    return replace(
        base,
        **{"evidence": evidence, "combined": combined, "overlap": Overlap(shared, ()), **changes},
    )
