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
from denoscope.describe.identity import key
from denoscope.estimate import Estimate
from denoscope.files import harmless
from denoscope.metrics.calibrate import CopyRates, Quality
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
        "overlap": [
            _shared(one.first, one.second, one.exact, one.near, one.threshold)
            for one in audit.overlap.shared.values()
        ],
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
    numbers = _plain(
        {"value": one.value, "low": one.low, "high": one.high, "level": one.level, "n": one.n}
    )
    if numbers["value"] is None:
        return {
            **numbers,
            "low": None,
            "high": None,
            "method": "",
            "reason": one.method or "not finite",
        }
    return {**numbers, "method": one.method}


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


def _descriptor(found: Evidence) -> dict[str, Any]:
    """What a descriptor is, what it can see, and what it counted."""
    return {
        "score": found.score,
        "decides": found.decides,
        "auc": found.near.auc if found.near else None,
        "power": found.near.power if found.near else None,
        "threshold": found.rates.folds[0].threshold,
        "preprocessing": found.identity.get("preprocessing"),
        "sha256": found.identity.get("sha256") or key(found.identity),
        "identity": found.identity,
        "quality": {name: _quality(one) for name, one in found.quality.items()},
        "null": "leave-one-out" if found.test is None else "test",
        "spacing": found.spacing,
        **_rates(found.rates),
    }


def _quality(one: Quality) -> dict[str, Any]:
    return {"auc": one.auc, "power": one.power, "threshold": one.threshold}


def _rates(rates: CopyRates) -> dict[str, Any]:
    return {
        "false_alarm": rates.false_alarm,
        "false_alarm_asked": rates.asked,
        "p_gen": rates.p_gen,
        "p_test": rates.p_test,
        "excess": rates.excess,
        "p_value": rates.p_value,
    }


def _combined(found: Combined | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "descriptors": found.descriptors,
        "alpha": found.rates.false_alarm,
        "flagged": int(found.copies.sum()),
        "detectable": found.detectable,
        "near_power": found.near_power,
        "power": found.power,
        **_rates(found.rates),
    }


def _duplicates(audit: Audit) -> dict[str, Any]:
    found = audit.duplicates
    sizes = {
        name: getattr(found, name)
        for name in ("exact", "links", "images", "largest", "threshold", "quantile", "warnings")
    }
    return {**sizes, "descriptor": audit.first.name}


def _shared(first: str, second: str, exact: Tensor, near: int, threshold: float) -> dict[str, Any]:
    return {
        "first": first,
        "second": second,
        "count": len(exact),
        "exact": int(exact.sum()),
        "near": near,
        "threshold": threshold,
    }


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
    found: dict[str, Any] = {
        "path": one.path,
        "count": len(one),
        "sha256": one.sha256,
        "protocol": one.protocol,
        "made": one.made,
    }
    return {
        **found,
        "kind": "features" if one.images is None else "images",
        "warnings": one.warnings,
    }


def _question(options: AuditOptions) -> dict[str, Any]:
    return {
        name: getattr(options, name)
        for name in AuditOptions.__dataclass_fields__
        if name != "seeds"
    }
