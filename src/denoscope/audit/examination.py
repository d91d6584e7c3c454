"""The audit itself: sets in, everything that was found out. What it writes are features and
samples, to go on from there.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
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
from denoscope.audit.findings import ROUND_TRIP, Audit, Evidence
from denoscope.audit.options import AuditOptions, check_control, check_pairs, check_used
from denoscope.audit.sets.as_files import as_files
from denoscope.audit.sets.as_sampled import as_sampled
from denoscope.audit.sets.classes import within_classes
from denoscope.audit.sets.generated import generate, is_model
from denoscope.audit.sets.inputs import SAMPLED, InputSet, read, uncut
from denoscope.audit.sets.inside import apart
from denoscope.audit.sets.matching import matched
from denoscope.audit.sets.mirrored import mirrored_copies
from denoscope.audit.sets.overlap import exact_rows, overlap
from denoscope.audit.sets.preparations import ROLES
from denoscope.audit.sets.round_trip import round_trip
from denoscope.audit.sets.settled import AS_READ, Settled, settle
from denoscope.data.images import is_small
from denoscope.data.prepare import AS_STORED
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
    apart({role: path for role in ROLES if (path := getattr(options, role))})
    settled = settle(options, say, options.seeds or rules.seeds)
    return judge(options, rules, sets(options, rules, settled, say), say, settled)


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
    options: AuditOptions,
    rules: Protocol,
    inputs: Mapping[str, InputSet],
    say: Voice,
    settled: Settled = AS_READ,
) -> Audit:
    """What an audit finds in sets that were read already and match each other."""
    exact = {
        role: exact_rows(inputs[role], inputs["train"])
        for role in ("gen", "test")
        if role in inputs
    }
    views = _described(options, rules, inputs, settled, say)
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
        options,
        inputs,
        {**rules.json(), **settled.json()},
        evidence,
        together,
        measured,
        duplicates,
        shared,
        warnings,
        settled,
        _mirrored(options, settled, inputs),
    )


def _mirrored(
    options: AuditOptions, settled: Settled, inputs: Mapping[str, InputSet]
) -> tuple[int, int]:
    """How many samples repeat training images mirrored, where that is not compared anyway."""
    if options.flips or settled.flips:
        return 0, len(inputs["gen"])
    return mirrored_copies(inputs["gen"], inputs["train"], inputs.get("test"))


def sets(
    options: AuditOptions, rules: Protocol, settled: Settled, say: Voice, *, few: int = 0
) -> dict[str, InputSet]:
    """The sets of the question, read or sampled, and made comparable; with ``few`` only so many
    images of those that are too many to be kept in memory.
    """
    shown = options.range and (options.range[0], options.range[1])
    drawing = replace(options, seeds=options.seeds or rules.seeds)
    found: dict[str, InputSet] = {}
    for role in sorted(
        ("train", "test", "gen", "twin"), key=lambda role: sampled(options, role)
    ):  # what is long comes last
        path = getattr(options, role)
        if not path:
            continue
        if sampled(options, role):
            check_pairs(role, drawing.seeds, found)
            found[role] = generate(
                role, path, drawing, say, like=found["train"], prepare=settled.how[role]
            )
        else:
            with say.counting(f"files of {role} read") as told:
                found[role] = read(
                    role,
                    path,
                    prepare=settled.how[role],
                    grid=settled.grid if role in SAMPLED else None,
                    value_range=shown or None,
                    skip_bad=options.skip_bad,
                    progress=told,
                    expect=partial(_expected, say, role),
                    few=few,
                )
        say(f"{role}: {len(found[role])} rows of {harmless(path)}")
        if role in ("train", "test"):
            check_control(options, found[role])
    rest = matched(found)
    if "gen" not in rest:  # a model, which is not sampled for a plan
        return rest
    rest = _without(rest, settled.chose)
    return within_classes(rest, options.seed) if options.by_class else rest


def _without(inputs: dict[str, InputSet], chose: Collection[str]) -> dict[str, InputSet]:
    """The sets without the samples that chose a preparation, and their twins."""
    rows = [i for i, name in enumerate(inputs["gen"].names) if uncut(name) not in chose]
    if len(rows) == len(inputs["gen"]):
        return inputs
    return {role: one.at(rows) if role in SAMPLED else one for role, one in inputs.items()}


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
    options: AuditOptions,
    rules: Protocol,
    inputs: Mapping[str, InputSet],
    settled: Settled,
    say: Voice,
) -> list[DescribedSets]:
    if inputs["train"].images is None:
        if options.descriptors:
            raise ValueError(
                "--descriptor describes images, and these sets are features already: leave it out"
            )
        _check_protocol(rules, inputs)
        return described_sets.of_features(inputs, planted=options.planted, seed=options.seed)
    born = None if options.by_class else as_sampled(options, settled)
    images = inputs["train"].images[:1] if born is None else born
    trip = round_trip(options, inputs["train"], images) if sampled(options, "gen") else None
    return described_sets.of_images(
        inputs,
        options.descriptors or rules.descriptors,
        born=born,
        by_class=options.by_class,
        own={ROUND_TRIP: trip} if trip else {},
        prepare=settled.how.get("gen", AS_STORED),
        flips=options.flips or settled.flips,
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
                mirrored=view.mirrored,
                classes=view.classes,
            )
            first = found[0] if found else one
            one = replace(one, groups=first.groups, aside=first.aside)
            rates = calibrated([one], false_alarm=false_alarm, seed=options.seed)
            found.append(replace(one, areas=areas(one), rates=rates))
        except ValueError as error:
            raise ValueError(f"by {view.name}: {error}") from error
    return tuple(found)
