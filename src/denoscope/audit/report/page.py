"""The page of an audit: the verdict beside the closest pairs, then everything that it rests on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from denoscope.audit.evidence.metric_table import MEANINGS
from denoscope.audit.findings import MOVED, NEAR, ROUND_TRIP, Audit
from denoscope.audit.report import galleries, measured, tables
from denoscope.audit.report.caveats import SEEN, called, caveats, control, share_of, thing
from denoscope.audit.report.matches import hits
from denoscope.audit.report.measured import TOGETHER, readings
from denoscope.audit.report.verdict import Headline, details, headline, repeats
from denoscope.files import harmless
from denoscope.metrics.novelty import REAL_LIKE
from denoscope.metrics.protocol import available, citations
from denoscope.readings import Readings
from denoscope.references import AUDIT, DATA, Reference, references
from denoscope.report import Figure, KeyValues, Page, ReferenceList, Section, Text
from denoscope.report.blocks import Block
from denoscope.report.claims import Claim, above, below, within
from denoscope.report.plots import Distribution, Plot, figure
from denoscope.report.story import Told, crosstab, story, table
from denoscope.report.words import count, listed, percent

ASIDE = {"gen": "samples", "test": "held-out", "own": "training"}
FIRST, PAIRS = 4, 24
"""How many pairs open the page, and how many it shows."""


def build(audit: Audit, called: str, versions: Mapping[str, str]) -> Page:
    """The whole page of an audit; ``called`` is the command line."""
    said = headline(audit)
    told = story(_story(audit, said))
    sections = [
        *told.sections,
        Section("All metrics", [tables.metrics(audit), _meanings(audit)], folded=True),
        Section("Duplicates and overlap", [KeyValues(repetition(audit))], folded=True),
        Section(
            "What was run",
            [tables.inputs(audit), KeyValues(conditions(audit, called, versions))],
            folded=True,
        ),
        Section("References", [ReferenceList(_works(audit))], folded=True),
    ]
    sizes = (
        f"{count(len(audit.inputs['gen']))} samples, "
        f"{count(len(audit.inputs['train']))} training {thing(audit)}"
    )
    held = f", {count(len(audit.inputs['test']))} held out" if "test" in audit.inputs else ""
    opening = [*galleries.pairs(audit, slice(FIRST), named=False), *told.opening]
    title = "Does this model copy its training data?"
    return Page(title, f"{said.because}\n\n{sizes}{held}.", sections, said.answer, opening)


def _story(audit: Audit, said: Headline) -> Iterator[Told]:
    found = readings(audit)
    yield from _claims(audit, found)
    yield "How sure this is, and what it does not show"
    yield Text("\n\n".join([*details(audit), *caveats(audit)]))
    yield [Text(f"**Warning:** {harmless(line)}") for line in audit.warnings]
    yield "Samples called copies, by descriptor"
    yield _distances(audit, found)
    who = f"Samples called copies, and {control(audit)}"
    yield table(who, found, ["descriptor"], [*measured.RATES, "threshold", "spacing"])
    yield "Can the descriptors see copies?"
    yield from _sharpness(audit, found)
    yield "The closest pairs"
    yield _pairs(audit)
    yield f"Training {thing(audit)} copied most"
    if said.state == "copies" and (found := hits(audit)):
        yield [*galleries.most_copied(audit, found), tables.copied(audit, found)]


def _claims(audit: Audit, found: Readings) -> Iterator[Claim]:
    word, real = thing(audit), control(audit)
    together, alone = (found.of("excess", descriptor=own) for own in (TOGETHER, _single))
    sight = Claim(
        f"Planted copies are told from {real}",
        found.of("sight", descriptor=TOGETHER) or found.of("sight"),
        above(0),
        any=True,
    )
    alike = Claim(
        f"Training {word}, each left out, are flagged no more often than held-out ones",
        found.of("alike"),
        above(audit.combined.least if audit.combined else 0),
        control=sight,
    )
    yield Claim(
        f"Samples are copies of training {word} beyond what {real} show",
        together or alone,
        above(0),
        published="more than none",
        control=alike if audit.combined else sight,
        beside={"By each descriptor": alone},
        note="The excess is the share of samples that pass the threshold less that of real ones, "
        "against held-out and against left-out ones.",
    )
    yield Claim(
        f"As many samples as real {word} lie in either tail of nearness",
        found.of("tail"),
        within(*REAL_LIKE),
        published="a twentieth",
        beside={"Nearness, ½ as near as real ones": found.of("nearness")},
    )
    changed = "with noise, blur, JPEG or changed colours"
    own = "that the model itself makes at its least noise"
    for kinds, how in ((NEAR, changed), ([ROUND_TRIP], own), (MOVED, "that were moved")):
        if not set(kinds) & set(audit.first.planted):
            continue
        yield Claim(
            f"Planted copies {how} are found",
            found.of("power", descriptor=TOGETHER, copies=list(kinds)),
            above(SEEN),
            published=f"{percent(SEEN)} of each kind",
            note="The bound on copies is divided by this.",
        )
    yield Claim(
        f"Samples repeat training {word}, or what is set aside, more often than {real}",
        repeats(audit),
        above(0),
        published="not more",
        beside={"Exact repeats": found.of("repeats", set="gen")},
    )
    yield Claim(
        f"No held-out {word[:-1]} is in the training set",
        found.of("repeats", set="test"),
        below(1),
        published="none",
    )
    yield Claim(
        "Two runs give the same sample from the same noise more often than by chance",
        found.of("agreement"),
        above(_by_chance(audit)),
    )


def _single(descriptor: str) -> bool:
    return descriptor != TOGETHER


def _by_chance(audit: Audit) -> float:
    """The share of pairs that chance alone would make alike; 0 where no second run was given."""
    twin = audit.metrics.get("reproducibility", {}).get(audit.first.name)
    return float(((twin and twin.extra) or {}).get("chance", 0.0))


def _distances(audit: Audit, found: Readings) -> Figure | None:
    caption = (
        f"**How near samples come to the training {thing(audit)}.** Share of each set that is at "
        "most so far; copies lie left. What is nearer than the threshold passes that descriptor "
        "alone; the verdict is by one score of all."
    )
    near = [
        Distribution(found.of(kind), "set", "descriptor", scale="log", lines=found.of("threshold"))
        for kind in dict.fromkeys(one.score for one in audit.evidence)
    ]
    return figure("audit_nearness", caption, *near)


def _sharpness(audit: Audit, found: Readings) -> Iterator[Told]:
    """ROC curves of planted copies, then their AUC and power by kind."""
    if not found.of("auc"):
        yield Text("No copies were planted, so this is not known.")
        return
    rate = audit.options.false_alarm or audit.protocol.get("false_alarm", 0.01)
    caption = (
        "**Can the descriptors see copies?** Share of planted copies found against the share of "
        f"{control(audit)} flagged for it, as the threshold falls. The vertical line is the false "
        f"alarm rate of {percent(rate)}."
    )
    least = 1 / max(len(one.held_out) for one in audit.evidence)
    yield figure(
        "audit_roc",
        caption,
        Plot(
            found.of("found"),
            "alarms",
            look="copies",
            panel="descriptor",
            theory=measured.chance(least),
            positions={"false alarm rate": rate},
            limits=(-0.02, 1.02),
        ),
    )
    yield crosstab("Planted copies against real ones", found.of("auc"), "copies", "descriptor")
    yield crosstab("Planted copies", found.of("power"), "copies", "descriptor")


def _pairs(audit: Audit) -> list[Block]:
    found = galleries.pairs(audit, slice(PAIRS), named=True)
    text = (
        "Held-out images that come as close as the samples do show what is ordinary here. Names "
        "are shortened; `audit.csv` has them all, with every sample. “2 alike” is a training image "
        "in a cluster of two near-duplicates."
    )
    return [Text(text), *found] if found else []


def _meanings(audit: Audit) -> KeyValues:
    return KeyValues({name: MEANINGS[name] for name in audit.metrics if name in MEANINGS})


def repetition(audit: Audit) -> dict[str, str]:
    """What repeats within the training set, and between the sets."""
    found, n = audit.duplicates, len(audit.duplicates.cluster)
    return {
        f"training {thing(audit)} with a duplicate": f"{count(found.images)} of {count(n)} "
        f"({percent(found.images / n)}); the largest cluster has {count(found.largest)}",
        "exact repeats of earlier ones": count(found.exact),
        "set aside, being nearest to what repeats in the real sets": ", ".join(
            share_of(audit.first.aside[role], name)
            for role, name in ASIDE.items()
            if role in audit.first.aside
        ),
        "near-duplicate pairs": f"{count(found.links)}, nearer than {found.threshold:.3g} by "
        f"{audit.first.name} (quantile {found.quantile:g})",
        **{
            f"{a} in {b}": f"{count(int(one.exact.sum()))} of {count(len(one.exact))} exactly, "
            f"{count(one.near)} more nearer than {one.threshold:.3g}"
            for (a, b), one in audit.overlap.shared.items()
        },
    }


def conditions(audit: Audit, called: str, versions: Mapping[str, str]) -> dict[str, object]:
    """What a reader needs to run the command again, and the conventions of its numbers."""
    each = audit.inputs.items()
    return {
        "command": f"`{harmless(called)}`",
        "protocol": _code(audit.protocol),
        **{f"descriptor {one.name}": _code(one.identity) for one in audit.evidence},
        **{f"features of {role}": harmless(one.protocol) for role, one in each if one.protocol},
        **{f"samples of {role}": one.made for role, one in each if one.made},
        "planted copies": _planted(audit),
        "seed": audit.options.seed,
        "versions": ", ".join(f"{name} {value}" for name, value in versions.items()),
    }


def _code(value: Mapping[str, object]) -> str:
    return f"`{harmless(json.dumps(value, ensure_ascii=False, default=str))}`"


def _planted(audit: Audit) -> str:
    """How many training images were copied, and how."""
    found = audit.first.planted
    if not found:
        return "none"
    many = count(max(map(len, found.values())))
    return (
        f"{many} training {thing(audit)} drawn by seed {audit.options.seed}, each "
        f"changed by {listed([called(name) for name in found])}"
    )


def _works(audit: Audit) -> list[Reference]:
    keys = ["denoscope", *AUDIT]
    keys += ["pizzi2022"] if any(one.name.startswith("sscd") for one in audit.evidence) else []
    names = [one.images.name for one in audit.inputs.values() if one.images is not None]
    keys += [DATA[name] for name in names if name in DATA]
    measured = citations(name for name in audit.metrics if name in available())
    return list(dict.fromkeys([*references(keys), *measured]))
