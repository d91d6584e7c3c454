"""The page of an audit: the verdict first, then everything that it rests on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Literal

from denoscope.audit.findings import Audit
from denoscope.audit.telling import drawings, galleries, listings
from denoscope.audit.telling.circumstances import called, circumstances, thing
from denoscope.audit.telling.glossary import MEANINGS
from denoscope.audit.telling.sources import hits
from denoscope.audit.telling.verdict import Status, details, headline
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
            [listings.inputs(audit), listings.descriptors(audit), *_warnings(audit)],
        ),
        Section(
            "How near samples come to the training set",
            [drawings.nearness(audit), listings.rates(audit)],
        ),
        Section("Can the descriptors see copies?", _sharpness(audit)),
        *_pairs(audit),
        *_copied(audit),
        Section("All metrics", [listings.metrics(audit), _meanings(audit)]),
        Section("Duplicates and overlap", [_duplicates(audit), *listings.overlap(audit)]),
        Section("What was run", [KeyValues(conditions(audit, called, versions))]),
        Section("References", [ReferenceList(_works(audit))]),
    ]
    sizes = (
        f"{count(len(audit.given['gen']))} samples, "
        f"{count(len(audit.given['train']))} training {thing(audit)}"
    )
    held = f", {count(len(audit.given['test']))} held out" if "test" in audit.given else ""
    return Page("Does this model copy its training data?", sizes + held, sections)


def _verdict(audit: Audit) -> list[Block]:
    status, text = headline(audit)
    answer, _, rest = text.removeprefix("**").partition("**")
    shown, label = _LABELS[status]
    return [
        Finding(answer, shown, "\n\n".join([rest.strip(), *details(audit)]), label),
        Text("\n\n".join(circumstances(audit))),
    ]


def _warnings(audit: Audit) -> list[Block]:
    return [Finding(harmless(line), "absent", label="Warning") for line in audit.warnings]


def _sharpness(audit: Audit) -> list[Block]:
    if not audit.first.planted:
        return [Text("No copies were planted, so this is not known.")]
    return [drawings.sharpness(audit), listings.areas(audit), listings.powers(audit)]


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
    table = listings.copied(audit, found)
    return [
        Section(f"Training {thing(audit)} copied most", [gallery, table] if gallery else [table])
    ]


def _meanings(audit: Audit) -> KeyValues:
    return KeyValues({name: MEANINGS[name] for name in audit.metrics if name in MEANINGS})


def _duplicates(audit: Audit) -> KeyValues:
    found = audit.duplicated
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
    asked = audit.asked
    return {
        "command": f"`{harmless(called)}`",
        "protocol": f"`{harmless(json.dumps(audit.protocol, ensure_ascii=False, default=str))}`",
        **{
            f"descriptor {found.name}": f"`{harmless(json.dumps(found.identity, ensure_ascii=False, default=str))}`"
            for found in audit.evidence
        },
        **{
            f"features of {role}": harmless(one.protocol)
            for role, one in audit.given.items()
            if one.protocol
        },
        **{f"samples of {role}": one.made for role, one in audit.given.items() if one.made},
        "content hashes": "; ".join(f"{role} `{one.sha256}`" for role, one in audit.given.items()),
        "planted copies": _planted(audit),
        "seed": asked.seed,
        "versions": ", ".join(f"{name} {value}" for name, value in versions.items()),
    }


def _planted(audit: Audit) -> str:
    """How many training images were copied, and how."""
    found = audit.first.planted
    if not found:
        return "none"
    many = count(max(map(len, found.values())))
    return (
        f"{many} training {thing(audit)} drawn by seed {audit.asked.seed}, each "
        f"changed by {listed([called(name) for name in found])}"
    )


def _works(audit: Audit) -> list[Reference]:
    measured = citations(name for name in audit.metrics if name in available())
    keys = ["denoscope", *AUDIT]
    keys += ["pizzi2022"] if any(found.name.startswith("sscd") for found in audit.evidence) else []
    keys += [
        DATA[one.images.name]
        for one in audit.given.values()
        if one.images is not None and one.images.name in DATA
    ]
    return list(dict.fromkeys([*references(keys), *measured]))
