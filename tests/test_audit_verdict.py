"""The verdict says what the intervals say: each case of counts has its words, and no word stands
without its number.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any

import audit_cases as cases
import pytest
import torch

from denoscope.audit.findings import Audit, TrainingDuplicates
from denoscope.audit.report.matches import closest, hits, origins
from denoscope.audit.report.verdict import headline, verdict
from denoscope.audit.sets.overlap import Overlap, SharedRows
from denoscope.estimate import Estimate, proportion, proportion_ratio
from denoscope.metrics.calibrate import Quality
from denoscope.report.words import (
    decimals,
    numbers,
    percent,
    percents,
    probability,
    rounded,
    span,
    upper,
)


@pytest.fixture(scope="module")
def base() -> Audit:
    return cases.audit(cases.noisy(cases.digits(60)), cases.digits(300), cases.digits(300, 400))


def _said(audit: Audit) -> str:
    return " ".join(verdict(audit)).replace("\u00a0", " ").replace("**", "")


def _exactly(audit: Audit, **counts: tuple[int, int]) -> Audit:
    """The audit with so many rows of gen and test that are exactly training images, of how many."""
    shared: dict[tuple[str, str], SharedRows] = dict(audit.overlap.shared)
    for role, (many, n) in counts.items():
        shared[role, "train"] = SharedRows(role, "train", torch.arange(n) < many, 0, 0.1)
    return replace(audit, overlap=Overlap(shared, ()))


def _clustered(audit: Audit, *clusters: list[int], exact: int = 0) -> Audit:
    """The audit with these clusters of duplicated training images."""
    labels = torch.full((len(audit.inputs["train"]),), -1)
    for label, rows in enumerate(clusters):
        labels[rows] = label
    return replace(
        audit,
        duplicates=TrainingDuplicates(exact, 3, 0.1, 0.01, labels, max(map(len, clusters)), ()),
    )


def _blind(audit: Audit, auc: float = 0.71) -> Audit:
    """The audit with descriptors that cannot decide."""
    area = Estimate(auc, auc - 0.05, auc + 0.05, 100)
    evidence = tuple(
        replace(one, near=Quality(area, proportion(5, 100), 0.9)) for one in audit.evidence
    )
    return replace(audit, evidence=evidence, combined=None)


def test_copies_are_said_with_share_count_interval_and_source(base: Audit) -> None:
    found = _clustered(
        cases.counted(
            base,
            n=2000,
            copies=32,
            held_out=1000,
            alarms=10,
            of=[4] * 3 + [5] * 2 + [9] * 4 + [11, 12],
            flagged=20,
        ),
        [4, 5],
        [9, 10],
        [20, 21],
    )
    said = headline(found)
    status, text = said.status, said.text
    excess = proportion_ratio(1968, 2000, 990, 1000).complement()
    assert status == "not seen"  # 32 of 2000 against 10 of 1000 is chance
    assert excess.low < 0
    # a deciding audit
    found = replace(found, combined=replace(found.combined, rates=cases.folds(32, 2000, 0, 1000)))  # pyright: ignore[reportArgumentType]
    said = headline(found)
    status, text = said.status, said.text
    excess = proportion_ratio(1968, 2000, 1000, 1000).complement()
    assert status == "copies"
    low, high = f"{100 * excess.low:.1f}", f"{100 * excess.high:.1f}"
    beyond = "are copies of training images beyond what real held-out images show.**"
    assert text.startswith(
        f"**32 of 2\u00a0000 samples (1.6\u00a0%, 95\u00a0% {low}–{high}) {beyond}"
    )
    assert "Copies below 0.4\u00a0% could not be seen at this size." in text
    assert (
        "20 samples of 2 000 are flagged; of as many real images about 20 would be. 9 of "
        "the 20 come from 2 duplicated training images." in _said(found)
    )


def test_the_p_value_is_fishers(base: Audit) -> None:
    found = cases.counted(base, n=400, copies=40, held_out=200, alarms=2)
    p = sum(math.comb(400, k) * math.comb(200, 42 - k) for k in range(40, 43)) / math.comb(600, 42)
    assert f"Fisher's exact test: {probability(p)}." in headline(found).text


def test_none_seen_is_an_upper_end_and_never_no_copying(base: Audit) -> None:
    found = cases.counted(base, n=2000, copies=20, held_out=1000, alarms=10)
    said = headline(found)
    status, text = said.status, said.text
    high = proportion_ratio(1980, 2000, 990, 1000).complement().high
    assert status == "not seen"
    said = re.findall(r"below ([\d.]+)\u00a0% of the 2\u00a0000 samples", text)
    assert high <= float(said[0]) / 100 <= 1.1 * high  # a bound is rounded up
    assert 0 < high < 0.01
    assert "is found in 4 of 5 audits" in text
    assert "no copying" not in _said(found).lower()
    assert "no copies" not in _said(found).lower()


def test_samples_farther_than_real_images_are_no_clean_bill(base: Audit) -> None:
    said = headline(cases.counted(base, n=2000, copies=0, held_out=1000, alarms=60))
    status, text = said.status, said.text
    assert status == "not seen"
    assert text.startswith(
        "**Fewer of the 2\u00a0000 samples than of real held-out images come near "
        "training images.**"
    )
    assert "noisy or blurred" in text
    assert "below" not in text.split(".**")[0]


def test_blind_descriptors_cannot_decide(base: Audit) -> None:
    said = headline(_blind(base))
    status, text = said.status, said.text
    assert status == "undecided"
    assert text.startswith("**The audit cannot decide whether there are copies.**")
    assert text.count("AUC 0.710") == 2
    assert "--descriptor sscd" in text
    assert "% of the" not in _said(_blind(base)).split("What this does not show")[0]


def test_a_descriptor_without_an_area_is_said(base: Audit) -> None:
    assert (
        "no planted copies"
        in headline(
            replace(
                base,
                combined=None,
                evidence=tuple(replace(one, near=None) for one in base.evidence),
            )
        ).text
    )


def test_every_real_image_passing_cannot_decide(base: Audit) -> None:
    said = headline(cases.counted(base, n=100, copies=100, held_out=50, alarms=50))
    status, text = said.status, said.text
    assert status == "undecided"
    assert "p_test = 1" in text


@pytest.mark.parametrize(
    ("gen", "test", "status"),
    [
        ((40, 2000), (0, 1000), "copies"),
        ((40, 2000), (20, 1000), "not seen"),
        ((1, 2000), (0, 9), "copies"),
    ],
)
def test_exact_copies_count_unless_real_images_show_as_many(
    base: Audit, gen: tuple[int, int], test: tuple[int, int], status: str
) -> None:
    plain = cases.counted(base, n=2000, copies=20, held_out=1000, alarms=10)
    found = _exactly(plain, gen=gen, test=test)
    assert headline(found).status == status
    many = gen[0]
    assert (
        f"{many} sample{'s' if many > 1 else ''} of 2 000 "
        f"repeat{'s' if many == 1 else ''} a training image exactly; of the {test[1]:,} "
        "held-out".replace(",", " ")
        in _said(found)
    )
    assert ("not counted as copies" in _said(found)) == (status == "not seen")


def test_exact_copies_decide_where_no_descriptor_can(base: Audit) -> None:
    found = _blind(_exactly(base, gen=(30, 60), test=(0, 300)))
    said = headline(found)
    status, text = said.status, said.text
    assert status == "copies"
    assert text.startswith("**30 samples of 60 are exact copies of training images.**")
    assert "cannot be decided" in text


def test_without_held_out_images_a_set_of_repeats_excuses_as_many(base: Audit) -> None:
    alone = replace(
        base, evidence=tuple(replace(one, test=None) for one in base.evidence), combined=None
    )
    alone = _blind(_exactly(alone, gen=(6, 60)))
    assert headline(alone).status == "copies"
    assert headline(_clustered(alone, [0, 1], exact=40)).status == "undecided"


def test_without_a_test_set_the_null_is_named() -> None:
    alone = cases.audit(cases.noisy(cases.digits(60)), cases.digits(300))
    assert "beyond what training images show among themselves" in headline(alone).text
    assert "No held-out images were given:" in _said(alone)
    assert "real held-out images" not in _said(alone)


def test_a_leaking_test_set_is_loud(base: Audit) -> None:
    found = _exactly(base, test=(13, 300))
    shared = dict(found.overlap.shared)
    shared["test", "train"] = replace(shared["test", "train"], near=4)
    text = _said(replace(found, overlap=Overlap(shared, ())))
    assert (
        "The test set leaks: 13 images of 300 are in the training set too and were left "
        "out of the control. 4 more nearly repeat training images" in text
    )
    assert (
        "The test set leaks: 1 image of 300 is in the training set too and was left out"
        in _said(_exactly(base, test=(1, 300)))
    )
    assert "leaks" not in _said(base)


def test_a_duplicated_training_set_is_loud(base: Audit) -> None:
    found = _clustered(base, list(range(20)), [30, 31], exact=7)
    assert (
        "The training set is duplicated: 22 of the 300 training images (7.3 %) have a "
        "duplicate or near-duplicate, 7 repeat" in _said(found)
    )
    assert "the largest cluster has 20" in _said(found)
    assert "duplicated:" not in _said(_clustered(base, [0, 1]))


def test_a_raised_false_alarm_rate_is_said(base: Audit) -> None:
    found = cases.counted(base, n=400, copies=40, held_out=30, alarms=1, alpha=0.0645, asked=0.01)
    assert (
        "Only 60 held-out images calibrate the thresholds: the false alarm rate is 6.5 % "
        "instead of the 1 % asked." in _said(found)
    )
    assert "instead of" not in _said(cases.counted(base, n=400, copies=40, held_out=200, alarms=1))


def test_what_is_missed_is_said(base: Audit) -> None:
    found = cases.counted(
        base, n=400, copies=40, held_out=200, alarms=1, near_power=proportion(50, 100)
    )
    assert "the true share of copies may be 2 times as large" in _said(found)
    assert "times as large" not in _said(
        cases.counted(
            base, n=400, copies=40, held_out=200, alarms=1, near_power=proportion(99, 100)
        )
    )
    assert (
        "Copies that were moved can be missed here: shift (0 % found), crop (0 % found) "
        "and flip (0 % found)." in _said(base)
    )
    assert base.combined is not None
    seen = {name: proportion(95, 100) for name in base.combined.power}
    assert "moved" not in _said(replace(base, combined=replace(base.combined, power=seen)))


def test_a_size_that_sees_nothing_says_so(base: Audit) -> None:
    assert "At this size no share of copies is found for sure" in _said(
        cases.counted(base, n=20, copies=1, held_out=10, alarms=0, seen=math.inf)
    )


def test_two_runs_stand_beside_chance(base: Audit) -> None:
    twin = cases.audit(
        cases.noisy(cases.digits(60)),
        cases.digits(300),
        cases.digits(300, 400),
        twin=cases.noisy(cases.digits(60), seed=5),
    )
    assert "in 90 % (95 % 85–94) of pairs; chance alone gives 1.5 % (pixels)." in _said(twin)
    assert "two runs" not in _said(base)


def test_a_descriptor_left_out_is_named(base: Audit) -> None:
    assert base.combined is not None
    second = _blind(base).evidence[1]
    text = _said(
        replace(
            base,
            evidence=(base.evidence[0], second),
            combined=replace(base.combined, descriptors=("pixels",)),
        )
    )
    assert "pca (AUC 0.710, 95 % 0.660–0.760) cannot decide here and was left out." in text


def test_held_out_images_among_the_samples_are_asked_about(base: Audit) -> None:
    shared = dict(base.overlap.shared)
    shared["test", "gen"] = SharedRows("test", "gen", torch.arange(300) < 2, 0, 0.1)
    assert "2 samples equal a held-out image exactly: are these samples of a model?" in _said(
        replace(base, overlap=Overlap(shared, ()))
    )


def test_rows_of_features_are_not_called_images() -> None:
    text = _said(
        cases.audit(
            cases.noisy(cases.digits(60)),
            cases.digits(300),
            cases.digits(300, 400),
            as_features=True,
        )
    )
    assert "image" not in text
    assert "training rows" in text


def test_origins_are_the_noisy_images_and_hits_are_counted(base: Audit) -> None:
    assert (origins(base) == torch.arange(60)).double().mean() > 0.95
    assert sorted(closest(base).tolist()) == list(range(60))
    found = cases.counted(base, n=100, copies=6, held_out=50, alarms=0, of=[7, 7, 3, 7, 3, 1])
    assert [(hit.image, len(hit.samples)) for hit in hits(found)] == [(7, 3), (3, 2), (1, 1)]


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: rounded(0.0123, 1), "0.01"),
        (lambda: rounded(-0.04, 1), "−0.04"),
        (lambda: rounded(0.0, 2), "0"),
        (lambda: rounded(99.97, 1, ends=(0.0, 100.0)), "99.97"),
        (lambda: span(-0.2, 0.4, 1), "−0.2 to 0.4"),
        (lambda: span(0.3, math.inf, 1), "0.3–∞"),
        (lambda: percents(Estimate(0.006, 0.003, 0.0101, 2000)), "0.6 %, 95 % 0.3–1.0"),
        (lambda: percents(Estimate(1.0, 0.96, 1.0, 90), bracket=True), "100 % (95 % 96–100)"),
        (lambda: percents(proportion(0, 100)), "0 %, 95 % 0–4"),
        (lambda: percents(proportion(1, 100000)), "0.001 %, 95 % 0.00003–0.006"),
        (lambda: percent(0.5), "50 %"),
        (lambda: percent(0.01), "1 %"),
        (lambda: percent(0.00001), "0.001 %"),
        (lambda: percent(0.99996), "99.996 %"),
        (lambda: percent(1.0), "100 %"),
        (lambda: percent(-0.021), "−2.1 %"),
        (lambda: upper(0.02401), "2.5 %"),
        (lambda: upper(0.024), "2.4 %"),
        (lambda: upper(0.997), "100 %"),
        (lambda: numbers(Estimate(0.9, 0.85, 0.95, 9)), "0.900, 95 % 0.850–0.950"),
        (lambda: probability(0.0312), "p = 0.031"),
        (lambda: probability(2.3e-7), "p = 2·10⁻⁷"),
        (lambda: probability(0.0), "p < 10⁻³⁰⁰"),
        (lambda: str(decimals(0.7)), "1"),
    ],
)
def test_numbers_read_as_they_are(call: Any, text: str) -> None:
    assert call().replace("\u00a0", " ") == text
