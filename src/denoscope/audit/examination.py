"""The audit itself: sets in, everything that was found out. What it writes are features and
samples, to go on from there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from denoscope.audit.asked import Asked
from denoscope.audit.checks import check_control, check_pairs, check_used
from denoscope.audit.findings import Audit, Evidence
from denoscope.audit.sets.generated import generate, is_model
from denoscope.audit.sets.inputs import Given, matched, read
from denoscope.audit.sets.overlap import exact_rows, overlap
from denoscope.audit.weighing import combined, table, views
from denoscope.audit.weighing.evidence import weigh
from denoscope.audit.weighing.repeats import repeats
from denoscope.audit.weighing.views import View
from denoscope.describe.protocols import DEFAULT, Protocol, protocol
from denoscope.files import harmless
from denoscope.metrics.stars import space
from denoscope.progress import Voice


def examine(asked: Asked, say: Voice) -> Audit:
    """Reads, describes, compares: everything an audit finds. Whatever is wrong with the question or
    the sets is a one-line ValueError.
    """
    rules = understood(asked)
    return judge(asked, rules, sets(asked, rules, say), say)


def understood(asked: Asked) -> Protocol:
    """The protocol of a question, after all that can be seen to be wrong with it before anything is
    read.
    """
    asked.check()
    table.check_names(asked.metrics)
    rules = protocol(asked.protocol)
    check_used(
        asked,
        asked.descriptors or rules.descriptors,
        [role for role in ("gen", "twin") if sampled(asked, role)],
    )
    return rules


def judge(asked: Asked, rules: Protocol, given: Mapping[str, Given], say: Voice) -> Audit:
    """What an audit finds in sets that were read already and match each other.

    Held-out images that are training images too are no control: they are counted, and left out of
    every metric.
    """
    exact = {
        role: exact_rows(given[role], given["train"]) for role in ("gen", "test") if role in given
    }
    whole = _views(asked, rules, given, say)
    seen = [view.without("test", exact["test"]) if "test" in exact else view for view in whole]
    evidence = tuple(_weighed(asked, rules, view, say) for view in seen)
    together = combined.combine(
        evidence, false_alarm=asked.false_alarm or rules.false_alarm, seed=asked.seed
    )
    spaces = {
        role: space(rows, whole[0].kind, name=role) for role, rows in whole[0].features.items()
    }
    shared = overlap(
        given, spaces, evidence[0].spacing, nearest={("gen", "train"): evidence[0].gen.nearest}
    )
    measured = table.measure_all(
        evidence,
        {view.name: view.features for view in seen},
        together,
        wanted=asked.metrics,
        thresholds=rules.thresholds,
        exact={role: int(rows.sum()) for role, rows in exact.items()},
        seed=asked.seed,
        say=say,
    )
    duplicated = repeats(evidence[0], given["train"], quantile=asked.duplicates)
    warnings = tuple(
        dict.fromkeys(
            [
                *(line for one in given.values() for line in one.warnings),
                *shared.warnings,
                *duplicated.warnings,
            ]
        )
    )
    return Audit(
        asked, given, rules.json(), evidence, together, measured, duplicated, shared, warnings
    )


def sets(asked: Asked, rules: Protocol, say: Voice) -> dict[str, Given]:
    """The sets of the question, read or sampled, and made comparable."""
    shown = asked.range and (asked.range[0], asked.range[1])
    drawing = replace(
        asked, resize=asked.resize or rules.resize or 0, seeds=asked.seeds or rules.seeds
    )
    found: dict[str, Given] = {}
    for role in sorted(
        ("train", "test", "gen", "twin"), key=lambda role: sampled(asked, role)
    ):  # what is long comes last
        path = getattr(asked, role)
        if not path:
            continue
        if sampled(asked, role):
            check_pairs(role, drawing.seeds, found)
            found[role] = generate(role, path, drawing, say, like=found["train"])
        else:
            with say.counting(f"files of {role} read") as told:
                found[role] = read(
                    role,
                    path,
                    resize=drawing.resize,
                    value_range=shown or None,
                    skip_bad=asked.skip_bad,
                    progress=told,
                )
        say(f"{role}: {len(found[role])} rows of {harmless(path)}")
        if role in ("train", "test"):
            check_control(asked, found[role])
    return matched(found)


def sampled(asked: Asked, role: str) -> bool:
    """Whether a set is drawn from a model, and not read."""
    return role in ("gen", "twin") and is_model(getattr(asked, role))


def _views(asked: Asked, rules: Protocol, given: Mapping[str, Given], say: Voice) -> list[View]:
    if given["train"].images is None:
        if asked.descriptors:
            raise ValueError(
                "--descriptor describes images, and these sets are features already: leave it out"
            )
        _check_protocol(rules, given)
        return views.of_features(given, planted=asked.planted, seed=asked.seed)
    return views.of_images(
        given,
        asked.descriptors or rules.descriptors,
        sscd=asked.sscd,
        folder=Path(asked.cache) if asked.cache else asked.out / "features",
        planted=asked.planted,
        seed=asked.seed,
        say=say,
    )


def _check_protocol(rules: Protocol, given: Mapping[str, Given]) -> None:
    """A ValueError if features were made under another protocol than the one that was asked for;
    the default describes images and asks nothing of features.
    """
    if rules.name == DEFAULT:
        return
    for role, one in given.items():
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


def _weighed(asked: Asked, rules: Protocol, view: View, say: Voice) -> Evidence:
    say(f"nearest training images by {view.name}")
    try:
        return weigh(
            view.name,
            view.kind,
            view.identity,
            view.features,
            view.planted,
            false_alarm=asked.false_alarm or rules.false_alarm,
            quantile=asked.duplicates,
            seed=asked.seed,
        )
    except ValueError as error:
        raise ValueError(f"by {view.name}: {error}") from error
