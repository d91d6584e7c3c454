"""The page of an audit: the verdict first, then everything that it rests on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Literal

from denoscope.audit.evidence.metric_table import MEANINGS
from denoscope.audit.findings import Audit
from denoscope.audit.report import figures, galleries, tables
from denoscope.audit.report.caveats import called, caveats, thing
from denoscope.audit.report.matches import hits
from denoscope.audit.report.verdict import Status, details, headline
from denoscope.files import harmless
from denoscope.metrics.protocol import available, citations
from denoscope.references import AUDIT, DATA, Reference, references
from denoscope.report import Finding, KeyValues, Page, ReferenceList, Section, Text
from denoscope.report.blocks import Block
from denoscope.report.words import count, listed, percent

_LABELS: dict[Status, tuple[Literal["good", "neutral", "absent"], str]] = {
    "copies": ("absent", "Copies"),
    "not seen": ("neutral", "Not seen"),
    "undecided": ("neutral", "Undecided"),
}


def build(audit: Audit, called: str, versions: Mapping[str, str]) -> Page:
    """The whole page of an audit; ``called`` is the command line."""
    sections = [
        Section("The verdict", _verdict(audit)),
        Section(
            "What was compared",
            [tables.inputs(audit), tables.descriptors(audit), *_warnings(audit)],
        ),
        Section(
            "How near samples come to the training set",
            [figures.nearness(audit), tables.rates(audit)],
        ),
        Section("Can the descriptors see copies?", _sharpness(audit)),
        *_pairs(audit),
        *_copied(audit),
        Section("All metrics", [tables.metrics(audit), _meanings(audit)]),
        Section("Duplicates and overlap", [_duplicates(audit), *tables.overlap(audit)]),
        Section("What was run", [KeyValues(conditions(audit, called, versions))]),
        Section("References", [ReferenceList(_works(audit))]),
    ]
    sizes = (
        f"{count(len(audit.inputs['gen']))} samples, "
        f"{count(len(audit.inputs['train']))} training {thing(audit)}"
    )
    held = f", {count(len(audit.inputs['test']))} held out" if "test" in audit.inputs else ""
    return Page("Does this model copy its training data?", sizes + held, sections)


def _verdict(audit: Audit) -> list[Block]:
    status, text = headline(audit)
    answer, _, rest = text.removeprefix("**").partition("**")
    shown, label = _LABELS[status]
    return [
        Finding(answer, shown, "\n\n".join([rest.strip(), *details(audit)]), label),
        Text("\n\n".join(caveats(audit))),
    ]


def _warnings(audit: Audit) -> list[Block]:
    return [Finding(harmless(line), "absent", label="Warning") for line in audit.warnings]


def _sharpness(audit: Audit) -> list[Block]:
    if not audit.first.planted:
        return [Text("No copies were planted, so this is not known.")]
    return [figures.sharpness(audit), tables.areas(audit), tables.powers(audit)]


def _pairs(audit: Audit) -> list[Section]:
    found = galleries.galleries(audit)
    if not found:
        return []
    contrast = (
        "Held-out images that come as close as the samples do show what is ordinary here. "
        if len(found) > 1
        else ""
    )
    text = (
        f"{contrast}Names are shortened; `audit.csv` has them all, with every sample. "
        "“2 alike” is a training image in a cluster of two near-duplicates."
    )
    return [Section("The closest pairs", [Text(text), *found])]


def _copied(audit: Audit) -> list[Section]:
    """Training images by flagged samples."""
    found = hits(audit)
    if not found:
        return []
    gallery = galleries.most_copied(audit)
    table = tables.copied(audit, found)
    return [
        Section(f"Training {thing(audit)} copied most", [gallery, table] if gallery else [table])
    ]


def _meanings(audit: Audit) -> KeyValues:
    return KeyValues({name: MEANINGS[name] for name in audit.metrics if name in MEANINGS})


def _duplicates(audit: Audit) -> KeyValues:
    found = audit.duplicates
    n = len(found.cluster)
    return KeyValues(
        {
            f"training {thing(audit)} with a duplicate": f"{count(found.images)} of {count(n)} "
            f"({percent(found.images / n)})",
            "exact repeats of earlier ones": count(found.exact),
            "near-duplicate pairs": f"{count(found.links)}, nearer than "
            f"{found.threshold:.3g} by {audit.first.name} "
            f"(quantile {found.quantile:g})",
            "largest cluster": count(found.largest),
        }
    )


def conditions(audit: Audit, called: str, versions: Mapping[str, str]) -> dict[str, object]:
    """What a reader needs to run the command again, and the conventions of its numbers."""
    options = audit.options
    return {
        "command": f"`{harmless(called)}`",
        "protocol": f"`{harmless(json.dumps(audit.protocol, ensure_ascii=False, default=str))}`",
        **{
            f"descriptor {found.name}": f"`{harmless(json.dumps(found.identity, ensure_ascii=False, default=str))}`"
            for found in audit.evidence
        },
        **{
            f"features of {role}": harmless(one.protocol)
            for role, one in audit.inputs.items()
            if one.protocol
        },
        **{f"samples of {role}": one.made for role, one in audit.inputs.items() if one.made},
        "content hashes": "; ".join(f"{role} `{one.sha256}`" for role, one in audit.inputs.items()),
        "planted copies": _planted(audit),
        "seed": options.seed,
        "versions": ", ".join(f"{name} {value}" for name, value in versions.items()),
    }


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
    measured = citations(name for name in audit.metrics if name in available())
    keys = ["denoscope", *AUDIT]
    keys += ["pizzi2022"] if any(found.name.startswith("sscd") for found in audit.evidence) else []
    keys += [
        DATA[one.images.name]
        for one in audit.inputs.values()
        if one.images is not None and one.images.name in DATA
    ]
    return list(dict.fromkeys([*references(keys), *measured]))
