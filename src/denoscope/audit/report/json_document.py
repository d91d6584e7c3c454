"""An audit as one JSON document: what could not be computed is null, with a reason; nothing is NaN
or infinite.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from denoscope.audit.findings import Audit, Combined, Evidence, MetricResult
from denoscope.audit.options import AuditOptions
from denoscope.audit.report.matches import hits
from denoscope.audit.report.verdict import verdict
from denoscope.audit.sets.inputs import InputSet
from denoscope.audit.sets.overlap import SharedRows
from denoscope.describe.identity import key
from denoscope.estimate import Estimate
from denoscope.files import harmless
from denoscope.metrics.calibrate import CopyRates
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
        "metrics": {name: _metric(audit, found) for name, found in audit.metrics.items() if found},
        "descriptors": {found.name: _descriptor(found) for found in audit.evidence},
        "combined": _combined(audit.combined),
        "duplicates": _duplicates(audit),
        "overlap": [_shared(one) for one in audit.overlap.shared.values()],
        "hits": _hits(audit),
        "inputs": {role: _input(one) for role, one in audit.inputs.items()},
        "protocol": audit.protocol,
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


def _descriptor(found: Evidence) -> dict[str, Any]:
    """What a descriptor is, what it can see, and what it counted."""
    near, identity = found.near, found.identity
    return {
        **_of(found, "score", "decides"),
        "auc": near and near.auc,
        "power": near and near.power,
        "threshold": found.rates.folds[0].threshold,
        "preprocessing": identity.get("preprocessing"),
        "sha256": identity.get("sha256") or key(identity),
        "identity": identity,
        "quality": {
            name: _of(one, "auc", "power", "threshold") for name, one in found.quality.items()
        },
        "null": "leave-one-out" if found.test is None else "test",
        "spacing": found.spacing,
        **_rates(found.rates),
    }


def _rates(rates: CopyRates) -> dict[str, Any]:
    return {
        "false_alarm": rates.false_alarm,
        "false_alarm_asked": rates.asked,
        **_of(rates, "p_gen", "p_test", "excess", "p_value"),
    }


def _combined(found: Combined | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "descriptors": found.descriptors,
        "alpha": found.rates.false_alarm,
        "flagged": int(found.copies.sum()),
        **_of(found, "detectable", "near_power", "power"),
        **_rates(found.rates),
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


def _question(options: AuditOptions) -> dict[str, Any]:
    return _of(options, *(name for name in AuditOptions.__dataclass_fields__ if name != "seeds"))
