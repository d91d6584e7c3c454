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
from torch import Tensor

from denoscope.audit.findings import Audit, TrainingDuplicates
from denoscope.audit.report.matches import closest, hits, origins
from denoscope.audit.report.verdict import headline, verdict
from denoscope.audit.sets.overlap import Overlap, SharedRows
from denoscope.estimate import Estimate, proportion
from denoscope.metrics.grouped import Share
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


def _blind(audit: Audit) -> Audit:
    """The audit with descriptors that cannot decide."""
    rates = cases.rates(20, 2000, 10, 1000, planted=(1, 100))
    evidence = tuple(replace(one, rates=rates) for one in audit.evidence)
    return replace(audit, evidence=evidence, combined=None)


def test_copies_are_said_with_share_count_interval_and_source(base: Audit) -> None:
    found = _clustered(
        cases.counted(
            base,
            n=2000,
            copies=60,
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
    assert found.combined is not None
    excess = found.combined.excess
    assert said.state == "copies"
    low, high = f"{100 * excess.low:.1f}", f"{100 * excess.high:.1f}"
    beyond = "are copies of training images beyond what real held-out images show.**"
    assert said.text.startswith(
        f"**20 of 2\u00a0000 samples (2.0\u00a0%, 95\u00a0% {low}–{high}) {beyond}"
    )
    assert "3\u00a0% of samples, 1\u00a0% of held-out images and 1\u00a0% of training" in said.text
    assert f"At most {upper(found.combined.copies_at_most)} are copies" in said.text
    assert "20 samples are flagged, 9 from 2 duplicated training images." in _said(found)


def test_the_count_of_copies_never_exceeds_the_flagged_samples(base: Audit) -> None:
    found = cases.counted(base, n=50, copies=7, held_out=1000, alarms=0, flagged=6)
    assert headline(found).answer.startswith("6 of 50 samples")


def test_no_estimate_is_an_end_of_its_interval(base: Audit) -> None:
    for copies, alarms, own in ((1, 9, 3), (60, 1, 30), (20, 10, 10), (199, 40, 2)):
        found = cases.counted(
            base, n=200, copies=copies, held_out=100, alarms=alarms, own=(own, 300)
        ).combined
        assert found is not None
        assert found.excess.low < found.excess.value < found.excess.high


def test_the_p_value_is_fishers_against_both_controls(base: Audit) -> None:
    found = cases.counted(base, n=400, copies=40, held_out=200, alarms=2, own=(2, 200))
    p = sum(math.comb(400, k) * math.comb(200, 42 - k) for k in range(40, 43)) / math.comb(600, 42)
    assert f"{probability(p / 0.9)}." in headline(found).text


def test_none_seen_is_a_bound_and_never_no_copying(base: Audit) -> None:
    found = cases.counted(base, n=2000, copies=20, held_out=1000, alarms=10)
    said = headline(found)
    assert found.combined is not None
    bound = found.combined.copies_at_most
    assert said.state == "not seen"
    told = re.findall(r"below ([\d.]+)\u00a0% of the 2\u00a0000 samples", said.text)
    assert bound <= float(told[0]) / 100 <= 1.1 * bound  # a bound is rounded up
    assert found.combined.excess.high < bound < 0.02
    assert "is found in 4 of 5 audits" in said.text
    assert "no copying" not in _said(found).lower()
    assert "no copies" not in _said(found).lower()


def test_power_that_is_too_small_decides_nothing(base: Audit) -> None:
    found = cases.counted(base, n=2000, copies=20, held_out=1000, alarms=10, planted=(1, 100))
    assert headline(found).state == "undecided"
    assert "2 000 samples exclude no share of copies" in _said(found)


def test_a_control_that_is_unlike_claims_no_copies_and_names_causes(base: Audit) -> None:
    found = cases.counted(base, n=600, copies=200, held_out=300, alarms=4, own=(212, 600))
    said = headline(found)
    assert said.state == "control unlike"
    assert said.answer.startswith("The held-out images are unlike the training images: no copies")
    for words in ("35\u00a0%", "33\u00a0%", "1.3\u00a0%", "another source", "several shots"):
        assert words in said.because
    assert "flagged" not in _said(found)
    assert "below" in said.answer


@pytest.mark.parametrize("copies", [6, 90])
def test_a_holdout_that_is_too_near_keeps_claims_and_says_what_to_do(
    base: Audit, copies: int
) -> None:
    crossed = Share(0.1, 600, 600), Share(0.01, 600, 600)
    found = cases.counted(
        base, n=600, copies=copies, held_out=600, alarms=6, own=(0, 600), crossed=crossed
    )
    assert headline(found).state == ("copies" if copies > 50 else "hold-out near")
    assert "10 % of held-out images pass a threshold that 1 % of training images" in _said(found)
    assert _said(found).count("Leave these out of `--test`") == 1


def test_samples_unlike_real_images_are_said_by_nearness_and_its_tails(base: Audit) -> None:
    plain = cases.counted(base, n=300, copies=3, held_out=300, alarms=3)
    real = base.first.null.nearest

    def moved(nearest: Tensor) -> str:
        gen = replace(plain.first.gen, nearest=nearest)
        return _said(replace(plain, evidence=(replace(plain.first, gen=gen), *plain.evidence[1:])))

    assert "Unlike real images" not in moved(real)
    assert "farther from the training set" in moved(1.5 * real)
    assert "copied, or duller" in moved(0.6 * real)
    mixed = torch.cat([0.5 * real[:150], 2 * real[150:]])
    assert "Unlike real images" in moved(mixed)


def test_a_group_of_samples_nearer_than_any_real_image_is_named(base: Audit) -> None:
    found = cases.counted(base, n=300, copies=3, held_out=300, alarms=3)
    one = found.first
    nearest, groups = one.gen.nearest.clone(), torch.arange(300)
    nearest[:4], groups[:4] = 0.0, 0
    one = replace(one, gen=replace(one.gen, nearest=nearest), groups={**one.groups, "gen": groups})
    text = _said(replace(found, evidence=(one, *found.evidence[1:])))
    assert "4 near-identical samples lie nearer to train/00000.png than any held-out" in text


def test_blind_descriptors_cannot_decide(base: Audit) -> None:
    said = headline(_blind(base))
    assert said.state == "undecided"
    assert said.text.startswith("**The audit cannot decide whether there are copies.**")
    assert said.text.count("finds 1\u00a0%") == 2
    assert "--descriptor sscd" in said.text


def test_a_descriptor_without_planted_copies_is_said(base: Audit) -> None:
    bare = tuple(replace(one, areas={}) for one in base.evidence)
    assert "no planted copies" in headline(replace(base, combined=None, evidence=bare)).text


def test_every_real_image_passing_cannot_decide(base: Audit) -> None:
    said = headline(cases.counted(base, n=100, copies=100, held_out=50, alarms=50, own=(1, 100)))
    assert said.state == "undecided"
    assert "p_test = 1" in said.text


@pytest.mark.parametrize(
    ("gen", "test", "state"),
    [
        ((40, 2000), (0, 1000), "copies"),
        ((40, 2000), (20, 1000), "not seen"),
        ((1, 2000), (0, 9), "not seen"),
    ],
)
def test_exact_copies_count_if_they_are_more_than_among_real_images(
    base: Audit, gen: tuple[int, int], test: tuple[int, int], state: str
) -> None:
    plain = cases.counted(base, n=2000, copies=20, held_out=1000, alarms=10)
    one = plain.first
    held = {name: x[:1].repeat(test[1]) for name, x in (("nearest", one.null.nearest),)}
    scores = one.null.at(torch.zeros(test[1], dtype=torch.int64))
    aside = {**one.aside, "test": torch.zeros(test[1], dtype=torch.bool)}
    groups = {**one.groups, "test": torch.arange(test[1])}
    one = replace(one, test=replace(scores, **held), aside=aside, groups=groups)
    found = _exactly(replace(plain, evidence=(one, *plain.evidence[1:])), gen=gen, test=test)
    assert headline(found).state == state
    many = gen[0]
    assert (
        f"{many} sample{'s' if many > 1 else ''} of 2 000 "
        f"repeat{'s' if many == 1 else ''} a training image exactly; of {test[1]:,} held-out "
        f"images {test[0]}.".replace(",", " ")
        in _said(found)
    )


def test_exact_copies_decide_where_no_descriptor_can(base: Audit) -> None:
    found = _blind(_exactly(base, gen=(30, 60), test=(0, 300)))
    said = headline(found)
    assert said.state == "copies"
    assert said.text.startswith("**30 samples of 60 repeat training images.**")
    assert "cannot decide" in said.text


def test_without_a_test_set_the_null_is_named() -> None:
    alone = cases.audit(cases.noisy(cases.digits(60)), cases.digits(300))
    assert "beyond what training images show among themselves" in headline(alone).text
    assert "No held-out images were given:" in _said(alone)
    assert "real held-out images" not in _said(alone)


def test_a_leaking_test_set_is_loud(base: Audit) -> None:
    assert (
        "The test set leaks: 13 images of 300 are in the training set too and were set aside."
        in _said(_exactly(base, test=(13, 300)))
    )
    assert "The test set leaks: 1 image of 300 is in the training set too and was set" in _said(
        _exactly(base, test=(1, 300))
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


def test_moved_copies_that_are_missed_are_named(base: Audit) -> None:
    assert "Copies that were moved can be missed: shift (" in _said(base)
    assert "moved" not in _said(cases.counted(base, n=400, copies=40, held_out=200, alarms=1))


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
    text = _said(replace(base, combined=replace(base.combined, descriptors=("pixels",))))
    assert "pca cannot tell these from real ones and was left out." in text


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
        (lambda: percents(Estimate(0.999, 0.985, 0.999999999, 800)), "99.9 %, 95 % 98.5–100.0"),
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
