"""An audit as JSON and CSV: the keys that were promised, nothing that is not finite, and names of
files that do no harm.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from denoscope.audit.evidence.by_descriptor import (
    areas,
    calibrated,
    descriptor_evidence,
    training_duplicates,
)
from denoscope.audit.evidence.metric_table import NAMES, measure_all
from denoscope.audit.findings import Audit, MetricResult
from denoscope.audit.options import AuditOptions
from denoscope.audit.report.csv_table import COLUMNS, as_csv, cell
from denoscope.audit.report.json_document import as_json
from denoscope.audit.sets.inputs import InputSet
from denoscope.audit.sets.overlap import exact_rows, overlap
from denoscope.estimate import Estimate
from denoscope.metrics.one_score import score_at

KEYS = {
    "schema",
    "verdict",
    "metrics",
    "descriptors",
    "duplicates",
    "inputs",
    "command",
    "seed",
    "versions",
    "warnings",
}
FIELDS = {
    "value",
    "low",
    "high",
    "level",
    "n",
    "method",
    "threshold",
    "descriptor",
    "protocol",
    "control",
    "by_descriptor",
}


def normal(n: int, seed: int, d: int = 6) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


TRAIN = torch.cat([normal(200, 1), normal(200, 1)[:3]])  # three exact repeats
TEST = normal(150, 2)
GEN = torch.cat([TRAIN[:2], TRAIN[5:20] + 1e-3 * normal(15, 4), normal(83, 3)])


def given(
    role: str, rows: Tensor, names: Sequence[str] = (), seeds: Sequence[int] = ()
) -> InputSet:
    return InputSet(
        role,
        f"/data/{role}.npz",
        None,
        rows,
        tuple(names) or tuple(f"{role}-{i}" for i in range(len(rows))),
        role * 8,
        tuple(seeds),
    )


def audited(
    gen: Tensor = GEN,
    train: Tensor = TRAIN,
    test: Tensor | None = TEST,
    *,
    twin: Tensor | None = None,
    wanted: Sequence[str] = (),
    blind: bool = False,
    names: Sequence[str] = (),
    seeds: Sequence[int] = (),
) -> Audit:
    """An audit of features; ``blind``: its planted copies look like strangers, so that nothing
    decides.
    """
    rows = {"gen": gen, "train": train, "test": test, "twin": twin}
    sets = {role: given(role, x) for role, x in rows.items() if x is not None}
    if names or seeds:
        sets["gen"] = given("gen", gen, names, seeds)
    features = {role: one.features for role, one in sets.items() if one.features is not None}
    planted = {
        "noise": normal(60, 8) if blind else train[:60] + 1e-3 * normal(60, 8, train.shape[1])
    }
    raw = [
        descriptor_evidence(
            name, kind, {"name": name, "preprocessing": "none"}, features, planted, quantile=0.01
        )
        for name, kind in (("features", "ratio"), ("features-cosine", "cosine"))
    ]
    evidence = []
    for one in raw:
        same = replace(one, groups=raw[0].groups, aside=raw[0].aside)
        rates = calibrated([same], false_alarm=0.02, seed=0)
        evidence.append(replace(same, rates=rates, areas=areas(same)))
    evidence = tuple(evidence)
    deciding = [one for one in evidence if one.decides]
    combined = calibrated(deciding, false_alarm=0.02, seed=0) if deciding else None
    exact = {
        role: exact_rows(sets[role], sets["train"]) for role in ("gen", "test") if role in sets
    }
    metrics = measure_all(
        evidence,
        {one.name: features for one in evidence},
        combined,
        wanted=wanted,
        thresholds={},
        exact=exact,
        seed=0,
        say=lambda text: None,
    )
    options = AuditOptions(
        gen="/data/gen.npz",
        train="/data/train.npz",
        test="" if test is None else "/data/test.npz",
        seed=5,
    )
    protocol = {"name": "denoscope-1", "version": 1}
    shared = overlap(sets, features, evidence[0].spacing)
    return Audit(
        options,
        sets,
        protocol,
        evidence,
        combined,
        metrics,
        training_duplicates(evidence[0], sets["train"], quantile=0.01),
        shared,
        ("careful",),
    )


@pytest.fixture(scope="module")
def whole() -> Audit:
    return audited(twin=GEN.roll(1, 0), seeds=range(100, 200))


def document(audit: Audit) -> dict[str, Any]:
    """Through the text of a file and back."""
    return json.loads(json.dumps(as_json(audit, "denoscope audit --gen x"), allow_nan=False))


def test_the_document_has_the_promised_keys(whole: Audit) -> None:
    found = document(whole)
    assert found.keys() >= KEYS
    assert (found["schema"], found["seed"], found["command"]) == (1, 5, "denoscope audit --gen x")
    assert found["warnings"] == ["careful"]
    assert found["verdict"]
    assert all(isinstance(text, str) and "**" not in text for text in found["verdict"])
    assert found["inputs"]["gen"] == {
        **found["inputs"]["gen"],
        "path": "/data/gen.npz",
        "count": 100,
        "sha256": "gen" * 8,
        "kind": "features",
    }
    assert found["versions"].keys() >= {"denoscope", "python", "torch", "numpy"}
    assert set(found["metrics"]) == set(NAMES)


def test_a_metric_is_that_of_the_first_descriptor_and_of_each(whole: Audit) -> None:
    for name, found in document(whole)["metrics"].items():
        assert found.keys() >= FIELDS, name
        assert found["protocol"] == "denoscope-1"
        each = found["by_descriptor"]
        assert {key: value for key, value in found.items() if key != "by_descriptor"} == next(
            iter(each.values())
        )
        wanted = {"excess_combined": ["combined"], "exact_duplicates": ["content"]}.get(
            name, ["features", "features-cosine"]
        )
        assert list(each) == [each[word]["descriptor"] for word in wanted] == wanted
        if found["value"] is None:
            assert found["reason"]
        else:
            assert found["low"] is None or found["low"] <= found["value"] <= found["high"]
    memorized = document(whole)["metrics"]["memorized"]
    assert memorized["value"] == whole.metrics["memorized"]["features"].estimate.value
    assert memorized["control"]["value"] == pytest.approx(0.0, abs=0.05)
    assert memorized["threshold"] == pytest.approx(1 / 3)


def test_descriptors_say_what_they_are_and_what_they_see(whole: Audit) -> None:
    found = document(whole)["descriptors"]["features"]
    assert found["decides"] is True
    assert found["auc"]["value"] > 0.99
    rates = whole.first.rates
    assert rates is not None
    assert found["threshold"] == score_at("ratio", rates.best.threshold)
    assert set(found["aside"]) == {"gen", "test", "own"}
    assert found["preprocessing"] == "none"
    assert len(found["sha256"]) == 64
    assert found["quality"]["noise"]["power"]["value"] > 0.9
    assert found["false_alarm"] == pytest.approx(rates.false_alarm)
    assert found["excess"]["value"] == rates.excess.value


def test_together_duplicates_overlap_and_hits(whole: Audit) -> None:
    found, combined = document(whole), whole.combined
    assert combined is not None
    assert found["combined"]["alpha"] == combined.false_alarm
    assert found["combined"]["p_value"] == combined.p_value < 0.02
    assert found["combined"]["own"] == combined.own
    assert found["copies_at_most"] == combined.copies_at_most
    assert found["state"] == "copies"
    assert "gate" not in found
    assert found["combined"]["power"]["noise"]["value"] > 0.9
    assert found["combined"]["flagged"] == int(combined.copies.sum())
    assert found["duplicates"]["exact"] == 3
    pairs = {(one["first"], one["second"]): one["exact"] for one in found["overlap"]}
    assert pairs["gen", "train"] == 2
    hits = {hit["index"]: hit for hit in found["hits"]}
    assert len(set(range(5, 20)) - set(hits)) <= 1  # one is near a held-out row by chance
    assert hits[7]["samples"] == [4]
    assert (hits[7]["name"], hits[7]["count"], hits[7]["cluster"]) == ("train-7", 1, None)
    assert sum(hit["count"] for hit in found["hits"]) == found["combined"]["flagged"]
    counts = [hit["count"] for hit in found["hits"]]
    assert counts == sorted(counts, reverse=True)


@pytest.mark.parametrize(
    "options",
    [
        {"test": None},
        {"blind": True},
        {"gen": TRAIN[:100]},
        {"gen": GEN[:1]},
        {"gen": torch.zeros(30, 6)},
        {"wanted": ["mifid", "kernel"]},
        {"gen": normal(40, 3) * 1e12},
        {"gen": normal(40, 3) * 1e-12},
    ],
    ids=["no test", "blind", "copies", "one sample", "zeros", "two metrics", "huge", "tiny"],
)
def test_nothing_is_nan_or_infinite(options: dict[str, Any]) -> None:
    audit = audited(**options)
    found = document(audit)
    for name, metric in found["metrics"].items():
        for one in (metric, *metric["by_descriptor"].values()):
            assert (one["value"] is None) == ("reason" in one), name
            assert one.get("reason", "said"), name
    lines = list(csv.DictReader(io.StringIO(as_csv(audit))))
    assert len(lines) == len(audit.inputs["gen"])
    assert not any(
        word in value.lower()
        for line in lines
        for value in line.values()
        for word in ("nan", "inf")
    )


def test_copies_without_end_are_null_with_a_reason() -> None:
    found = document(audited(TRAIN[:100], wanted=["mifid"]))["metrics"]["mifid"]
    assert (found["value"], found["low"], found["high"], found["method"]) == (None, None, None, "")
    assert "multiple of a training row" in found["reason"]


def test_whatever_is_measured_becomes_json(whole: Audit) -> None:
    odd = MetricResult(
        Estimate(1.0, -math.inf, math.inf, 3, 0.95, "t"),
        Estimate(math.nan, math.nan, math.nan, 0, 0.95, "none"),
        -math.inf,
        {
            "tensor": torch.tensor([1.0, math.nan]),
            "one": Estimate(0.5, 0.4, 0.6, 9),
            "text": "a\x1b[2Jb\udcff",
            "none": None,
            "pair": (True, 2),
        },
    )
    found = document(replace(whole, metrics={"vendi": {"features": odd}}))["metrics"]["vendi"]
    assert (found["value"], found["low"], found["high"], found["threshold"]) == (
        1.0,
        None,
        None,
        None,
    )
    assert found["control"]["reason"] == "none"
    assert found["extra"]["tensor"] == [1.0, None]
    assert found["extra"]["one"]["value"] == 0.5
    assert found["extra"]["text"] == "a\\x1b[2Jb\\udcff"
    assert found["extra"]["pair"] == [True, 2]
    json.dumps(found, ensure_ascii=False).encode()


def test_the_csv_reads_back(whole: Audit) -> None:
    text = as_csv(whole)
    lines = list(csv.DictReader(io.StringIO(text)))
    assert text.splitlines()[0] == ",".join(COLUMNS)
    assert (
        ",".join(COLUMNS)
        == "sample,file,seed,nearest,nearest_file,similarity,second,ratio,p_value,verdict,"
        "duplicate_cluster"
    )
    assert whole.combined is not None
    for row, line in enumerate(lines):
        nearest = int(whole.first.gen.index[row])
        assert (int(line["sample"]), line["file"], int(line["seed"])) == (
            row,
            f"gen-{row}",
            100 + row,
        )
        assert (int(line["nearest"]), line["nearest_file"]) == (nearest, f"train-{nearest}")
        for name, values in (
            ("similarity", whole.first.gen.cosine),
            ("second", whole.first.gen.second),
            ("ratio", whole.first.gen.ratio),
        ):
            assert float(line[name]) == float(values[row])
        assert float(line["p_value"]) == float(whole.combined.p_values[row])
        copied = "copy" if whole.combined.copies[row] else "novel"
        aside = "set aside" if whole.first.aside["gen"][row] else copied
        assert line["verdict"] == ("exact copy" if row < 2 else aside)
    assert [line["verdict"] for line in lines[2:17]].count("copy") >= 14
    assert lines[0]["duplicate_cluster"] == str(int(whole.duplicates.cluster[0])) != ""
    assert lines[10]["duplicate_cluster"] == ""


def test_where_nothing_decides_samples_are_undecided_but_exact_copies() -> None:
    audit = audited(blind=True)
    assert audit.combined is None
    found = document(audit)
    assert found["combined"] is None
    assert found["metrics"]["excess_combined"]["value"] is None
    assert "no descriptor" in found["metrics"]["excess_combined"]["reason"]
    lines = list(csv.DictReader(io.StringIO(as_csv(audit))))
    aside = audit.first.aside["gen"].tolist()[2:]
    others = ["set aside" if away else "undecided" for away in aside]
    assert [line["verdict"] for line in lines] == ["exact copy"] * 2 + others
    assert {line["p_value"] for line in lines} == {""}
    assert {line["seed"] for line in lines} == {""}


HOSTILE = [
    '=HYPERLINK("http://x","y")',
    "+1",
    "-2+3",
    "@SUM(A1)",
    'a,"b"\nc',
    "\x1b[2J",
    "<b>&",
    "  =1",
    "\t=1",
    "\u202egnp.exe",
    "plain.png",
    "\udcff.png",
]


def test_names_of_files_do_no_harm() -> None:
    audit = audited(GEN[: len(HOSTILE)], names=HOSTILE, wanted=["memorized"])
    text = as_csv(audit)
    text.encode()
    read = [line["file"] for line in csv.DictReader(io.StringIO(text))]
    assert read[:4] == ["'" + name for name in HOSTILE[:4]]
    assert read[4:] == [
        'a,"b"\\nc',
        "\\x1b[2J",
        "<b>&",
        "'  =1",
        "\\t=1",
        "\\u202egnp.exe",
        "plain.png",
        "\\udcff.png",
    ]
    assert len(text.splitlines()) == 1 + len(HOSTILE)
    json.dumps(as_json(audit, "x"), ensure_ascii=False, allow_nan=False).encode()


@pytest.mark.parametrize("name", ["a.png", "folder/b c.png", "übung.png", "1-2.png", "x" * 5000])
def test_ordinary_names_stay_as_they_are(name: str) -> None:
    assert cell(name) == name
