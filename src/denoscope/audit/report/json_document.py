"""An audit as one JSON document: what could not be computed is null, with a reason; nothing is NaN
or infinite.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from denoscope.audit.findings import Audit, Evidence, MetricResult
from denoscope.audit.options import AuditOptions
from denoscope.audit.report.matches import hits
from denoscope.audit.report.verdict import gate, state, verdict
from denoscope.audit.sets.inputs import InputSet
from denoscope.audit.sets.overlap import SharedRows
from denoscope.describe.identity import key
from denoscope.estimate import Estimate
from denoscope.files import harmless
from denoscope.metrics.controlled_rates import Calibrated
from denoscope.metrics.one_score import score_at
from denoscope.study import versions

SCHEMA = 1
_LONGEST = 1 << 16


def as_json(audit: Audit, called: str) -> dict[str, Any]:
    """Everything that was found; ``called`` is the command line.

    ``metrics.NAME`` is what the first descriptor measured, ``by_descriptor`` what each did;
    ``hits`` are training images that flagged samples are nearest to, most copied first.
    """
    document = {
        "schema": SCHEMA,
        "verdict": [text.replace("\u00a0", " ").replace("**", "") for text in verdict(audit)],
        "state": state(audit),
        "copies_at_most": audit.combined.copies_at_most if audit.combined else 1.0,
        **_gate(audit),
        "metrics": {name: _metric(audit, found) for name, found in audit.metrics.items() if found},
        "descriptors": {found.name: _descriptor(found) for found in audit.evidence},
        "combined": _combined(audit.combined),
        "duplicates": _duplicates(audit),
        "overlap": [_shared(one) for one in audit.overlap.shared.values()],
        "hits": _hits(audit),
        "inputs": {role: _input(one) for role, one in audit.inputs.items()},
        "protocol": audit.protocol,
        "prepared": _prepared(audit),
        "question": _question(audit.options),
        "command": called,
        "seed": audit.options.seed,
        "versions": versions(),
        "warnings": audit.warnings,
    }
    return {name: _plain(value) for name, value in document.items()}


def _plain(value: Any) -> Any:
    """``value`` as JSON holds it: estimates and containers opened, numbers that are not finite
    null.
    """
    if isinstance(value, Estimate):
        return _estimate(value)
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (Tensor, np.ndarray, np.generic)):
        return _plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int)) else _text(str(value))


def _text(text: str) -> str:
    """A text without what a terminal would obey, its lines kept."""
    return "\n".join(harmless(line, _LONGEST) for line in text.split("\n"))


def _estimate(one: Estimate) -> dict[str, Any]:
    """Value, interval, level, units and method; of a value that is not finite the method is the
    reason.
    """
    numbers = _plain(_of(one, "value", "low", "high", "level", "n"))
    if numbers["value"] is not None:
        return {**numbers, "method": one.method}
    reason = {"method": "", "reason": one.method or "not finite"}
    return {**numbers, "low": None, "high": None, **reason}


def _metric(audit: Audit, found: Mapping[str, MetricResult]) -> dict[str, Any]:
    protocol = str(audit.protocol.get("name", ""))
    each = {name: _measured(one, name, protocol) for name, one in found.items()}
    first = each.get(audit.first.name) or next(iter(each.values()))
    return {**first, "by_descriptor": each}


def _measured(one: MetricResult, descriptor: str, protocol: str) -> dict[str, Any]:
    extra = {"extra": one.extra} if one.extra else {}
    return {
        **_estimate(one.estimate),
        "threshold": one.threshold,
        "descriptor": descriptor,
        "protocol": protocol,
        "control": one.control,
        **extra,
    }


def _of(one: object, *names: str) -> dict[str, Any]:
    return {name: getattr(one, name) for name in names}


def _gate(audit: Audit) -> dict[str, Any]:
    """What ``--fail-above`` says, and about how many samples and held-out images would decide where
    that is undecided, null if no number would.
    """
    limit = audit.options.fail_above
    if limit is None:
        return {}
    found = gate(audit, limit)
    if found != "undecided":
        return {"gate": found}
    enough = audit.combined and audit.combined.would_decide(limit)
    return {"gate": found, "gate_needs": enough and dict(zip(("samples", "held_out"), enough))}


def _descriptor(found: Evidence) -> dict[str, Any]:
    """What a descriptor is, what it can see, and what it counted."""
    identity, rates = found.identity, found.rates
    return {
        **_of(found, "score", "decides"),
        "auc": found.areas.get("near"),
        "power": rates and rates.power["near"],
        "threshold": rates and score_at(found.score, rates.best.threshold),
        "preprocessing": identity.get("preprocessing"),
        "sha256": identity.get("sha256") or key(identity),
        "identity": identity,
        "quality": {
            name: {"auc": found.areas[name], "power": rates and rates.power[name]}
            for name in found.planted
        },
        "null": "leave-one-out" if found.test is None else "test",
        "spacing": found.spacing,
        "aside": {name: int(rows.sum()) for name, rows in _aside(found).items()},
        **(_rates(rates) if rates else {}),
    }


def _aside(found: Evidence) -> dict[str, Tensor]:
    """What is set aside, of the sets."""
    return {name: rows for name, rows in found.aside.items() if name in ("gen", "test", "own")}


def _rates(rates: Calibrated) -> dict[str, Any]:
    return {
        "false_alarm": rates.false_alarm,
        "false_alarm_asked": rates.asked,
        **_of(rates, "p_gen", "p_test", "own", "excess", "p_value", "copies_at_most"),
    }


def _combined(found: Calibrated | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "descriptors": found.descriptors,
        "alpha": found.false_alarm,
        "flagged": int(found.copies.sum()),
        **_of(found, "detectable", "power", "sight"),
        "near_power": found.power["near"],
        "control_unlike_p": found.unlike,
        "holdout_near_p": found.close,
        **_rates(found),
    }


def _duplicates(audit: Audit) -> dict[str, Any]:
    names = ("exact", "links", "images", "largest", "threshold", "quantile", "warnings")
    return {**_of(audit.duplicates, *names), "descriptor": audit.first.name}


def _shared(one: SharedRows) -> dict[str, Any]:
    counts = {"count": len(one.exact), "exact": int(one.exact.sum())}
    return {**_of(one, "first", "second"), **counts, **_of(one, "near", "threshold")}


def _hits(audit: Audit) -> list[dict[str, Any]]:
    names, cluster = audit.inputs["train"].names, audit.duplicates.cluster.tolist()
    return [
        {
            "index": hit.image,
            "name": names[hit.image],
            "count": len(hit.samples),
            "cluster": cluster[hit.image] if cluster[hit.image] >= 0 else None,
            "samples": hit.samples,
        }
        for hit in hits(audit)
    ]


def _input(one: InputSet) -> dict[str, Any]:
    kind = "features" if one.images is None else "images"
    counted = {"path": one.path, "count": len(one), **_of(one, "sha256", "protocol", "made")}
    return {**counted, "kind": kind, "warnings": one.warnings}


def _prepared(audit: Audit) -> dict[str, Any]:
    """How files became images, what did not fit, what was tried, and the samples that chose."""
    found = audit.settled
    tried = [{"words": words, **vars(one)} for words, one in found.tried]
    return {
        **found.json(),
        "flips": audit.flips,
        "misfits": found.misfits,
        "tried": tried,
        "left_out": sorted(found.chose),
    }


def _question(options: AuditOptions) -> dict[str, Any]:
    return _of(options, *(name for name in AuditOptions.__dataclass_fields__ if name != "seeds"))
