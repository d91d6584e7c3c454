"""The audit itself: sets in, everything that was found out. What it writes are features and
samples, to go on from there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from denoscope.audit.evidence import described_sets, metric_table
from denoscope.audit.evidence.by_descriptor import (
    areas,
    calibrated,
    descriptor_evidence,
    training_duplicates,
)
from denoscope.audit.evidence.described_sets import DescribedSets
from denoscope.audit.findings import Audit, Evidence
from denoscope.audit.options import AuditOptions, check_control, check_pairs, check_used
from denoscope.audit.sets.as_files import as_files
from denoscope.audit.sets.generated import generate, is_model
from denoscope.audit.sets.inputs import InputSet, read
from denoscope.audit.sets.matching import matched
from denoscope.audit.sets.overlap import exact_rows, overlap
from denoscope.data.images import is_small
from denoscope.data.prepare import Preparation
from denoscope.describe.protocols import DEFAULT, Protocol, protocol
from denoscope.files import harmless
from denoscope.metrics.copy_scores import space
from denoscope.progress import Voice


def examine(options: AuditOptions, say: Voice) -> Audit:
    """Reads, describes, compares: everything an audit finds. Whatever is wrong with the question or
    the sets is a one-line ValueError.
    """
    options = as_files(options)
    rules = understood(options)
    return judge(options, rules, sets(options, rules, say), say)


def understood(options: AuditOptions) -> Protocol:
    """The protocol of a question, after all that can be seen to be wrong with it before anything is
    read.
    """
    options.check()
    metric_table.check_names(options.metrics)
    rules = protocol(options.protocol)
    check_used(
        options,
        options.descriptors or rules.descriptors,
        [role for role in ("gen", "twin") if sampled(options, role)],
    )
    return rules


def judge(
    options: AuditOptions, rules: Protocol, inputs: Mapping[str, InputSet], say: Voice
) -> Audit:
    """What an audit finds in sets that were read already and match each other."""
    exact = {
        role: exact_rows(inputs[role], inputs["train"])
        for role in ("gen", "test")
        if role in inputs
    }
    views = _described(options, rules, inputs, say)
    alarm = options.false_alarm or rules.false_alarm
    evidence = _weighed(options, views, alarm, say)
    deciding = [one for one in evidence if one.decides]
    together = calibrated(deciding, false_alarm=alarm, seed=options.seed) if deciding else None
    spaces = {
        role: space(rows, views[0].kind, name=role) for role, rows in views[0].features.items()
    }
    shared = overlap(
        inputs, spaces, evidence[0].spacing, nearest={("gen", "train"): evidence[0].gen.nearest}
    )
    measured = metric_table.measure_all(
        evidence,
        {view.name: view.features for view in views},
        together,
        wanted=options.metrics,
        thresholds=rules.thresholds,
        exact=exact,
        seed=options.seed,
        say=say,
    )
    duplicates = training_duplicates(evidence[0], inputs["train"], quantile=options.duplicates)
    warnings = tuple(
        dict.fromkeys(
            [
                *(line for one in inputs.values() for line in one.warnings),
                *shared.warnings,
                *duplicates.warnings,
            ]
        )
    )
    return Audit(
        options, inputs, rules.json(), evidence, together, measured, duplicates, shared, warnings
    )


def sets(
    options: AuditOptions, rules: Protocol, say: Voice, *, few: int = 0
) -> dict[str, InputSet]:
    """The sets of the question, read or sampled, and made comparable; with ``few`` only so many
    images of those that are too many to be kept in memory.
    """
    shown = options.range and (options.range[0], options.range[1])
    drawing = replace(
        options, resize=options.resize or rules.resize or 0, seeds=options.seeds or rules.seeds
    )
    found: dict[str, InputSet] = {}
    for role in sorted(
        ("train", "test", "gen", "twin"), key=lambda role: sampled(options, role)
    ):  # what is long comes last
        path = getattr(options, role)
        if not path:
            continue
        if sampled(options, role):
            check_pairs(role, drawing.seeds, found)
            found[role] = generate(role, path, drawing, say, like=found["train"])
        else:
            with say.counting(f"files of {role} read") as told:
                found[role] = read(
                    role,
                    path,
                    prepare=Preparation.square(drawing.resize),
                    value_range=shown or None,
                    skip_bad=options.skip_bad,
                    progress=told,
                    expect=partial(_expected, say, role),
                    few=few,
                )
        say(f"{role}: {len(found[role])} rows of {harmless(path)}")
        if role in ("train", "test"):
            check_control(options, found[role])
    return matched(found)


def _expected(say: Voice, role: str, n: int, shape: tuple[int, ...]) -> None:
    """Says how much there is of a set that is not kept in memory, after its first image."""
    if not is_small((n, *shape), torch.uint8):
        size = n * math.prod(shape) / 2**30
        sides = " × ".join(map(str, shape))
        say(f"{role}: {n} images of {sides}, {size:.1f} GiB at 8 bits: read when they are needed")


def sampled(options: AuditOptions, role: str) -> bool:
    """Whether a set is drawn from a model, and not read."""
    return role in ("gen", "twin") and is_model(getattr(options, role))


def _described(
    options: AuditOptions, rules: Protocol, inputs: Mapping[str, InputSet], say: Voice
) -> list[DescribedSets]:
    if inputs["train"].images is None:
        if options.descriptors:
            raise ValueError(
                "--descriptor describes images, and these sets are features already: leave it out"
            )
        _check_protocol(rules, inputs)
        return described_sets.of_features(inputs, planted=options.planted, seed=options.seed)
    return described_sets.of_images(
        inputs,
        options.descriptors or rules.descriptors,
        sscd=options.sscd,
        folder=Path(options.cache) if options.cache else options.out / "features",
        planted=options.planted,
        seed=options.seed,
        say=say,
    )


def _check_protocol(rules: Protocol, inputs: Mapping[str, InputSet]) -> None:
    """A ValueError if features were made under another protocol than the one that was asked for;
    the default describes images and asks nothing of features.
    """
    if rules.name == DEFAULT:
        return
    for role, one in inputs.items():
        if one.protocol != rules.name:
            stated = (
                f"was described by {one.protocol!r}"
                if one.protocol
                else "does not say by what it was described"
            )
            raise ValueError(
                f"--{role} {stated}, and --protocol {rules.name} takes no other features: "
                "give images, or leave --protocol out"
            )


def _weighed(
    options: AuditOptions, views: Sequence[DescribedSets], false_alarm: float, say: Voice
) -> tuple[Evidence, ...]:
    """The evidence of each descriptor; what repeats is what repeats to the first one."""
    found: list[Evidence] = []
    for view in views:
        say(f"nearest training images by {view.name}")
        try:
            one = descriptor_evidence(
                view.name,
                view.kind,
                view.identity,
                view.features,
                view.planted,
                quantile=options.duplicates,
            )
            first = found[0] if found else one
            one = replace(one, groups=first.groups, aside=first.aside)
            rates = calibrated([one], false_alarm=false_alarm, seed=options.seed)
            found.append(replace(one, areas=areas(one), rates=rates))
        except ValueError as error:
            raise ValueError(f"by {view.name}: {error}") from error
    return tuple(found)
