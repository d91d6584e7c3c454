"""Evidence of one descriptor: its null, its planted copies, and what its excess covers on real
images.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from digit_views import TRAIN, draw, pixels, split, views
from rates import sigmas
from torch import Tensor

from denoscope.audit.evidence.by_descriptor import (
    areas,
    calibrated,
    descriptor_evidence,
    training_duplicates,
)
from denoscope.audit.evidence.planted_copies import drawn, left_out, plant, plant_features
from denoscope.audit.findings import MOVED, NEAR, Evidence
from denoscope.audit.sets.inputs import InputSet
from denoscope.data import Images
from denoscope.metrics.controlled_rates import Calibrated
from denoscope.metrics.copy_scores import scores, space
from denoscope.metrics.crossfit import folds_of
from denoscope.nearest import neighbors


def one(
    features: Mapping[str, Tensor],
    planted: Mapping[str, Tensor] | None = None,
    *,
    kind: str = "ratio",
    quantile: float = 0.01,
) -> Evidence:
    return descriptor_evidence("rows", kind, {}, features, planted or {}, quantile=quantile)


def rates(evidence: Evidence, false_alarm: float = 0.02) -> Calibrated:
    return calibrated([evidence], false_alarm=false_alarm, seed=0)


def test_the_null_is_the_test_set_or_each_training_image_against_the_others() -> None:
    with_test, without = draw(0)[0], draw(0, test=False)[0]
    assert with_test.null is with_test.test
    assert without.null is without.leave_one_out
    assert len(with_test.null) == 500
    assert torch.equal(without.gen.nearest, with_test.gen.nearest)
    train = pixels(split(0)["train"])
    found = neighbors(train, train, 1, exclude_self=True).distance[:, 0]
    assert (without.leave_one_out.nearest >= found).all()
    assert without.leave_one_out.nearest.eq(found).double().mean() > 0.98
    assert without.spacing == pytest.approx(np.quantile(found.double().numpy(), 0.01))


@pytest.mark.parametrize("kind", ["ratio", "cosine"])
@pytest.mark.parametrize("dim", [16, 64])
def test_left_one_out_independent_rows_look_like_fresh_ones(dim: int, kind: str) -> None:
    """Else every set without held-out images would seem to hold copies: here a share 0.05 of fresh
    rows passes the threshold of 0.05.
    """
    passing = []
    for seed in range(40):
        rows = torch.randn(1200, dim, generator=torch.Generator().manual_seed(seed))
        evidence = one({"train": rows[:600], "gen": rows[600:]}, kind=kind, quantile=0.05)
        asked = rates(evidence, 0.05).at[0]
        passing.append(asked.gen.value - asked.control.value)
    error = np.std(passing, ddof=1) / np.sqrt(len(passing))
    assert (
        abs(np.mean(passing)) < sigmas(4) * error + 0.004
    )  # 3**-dim of close pairs are taken for near-duplicates


def test_planted_copies_stand_out_and_moved_ones_are_reported_beside() -> None:
    sets = split(1)
    planted = plant(sets["train"], 60, 1)
    first, second = views({name: sets[name] for name in ("train", "test", "gen")}, planted)
    for evidence in (first, second):
        found, area = rates(evidence), areas(evidence)
        assert found.sees
        assert set(area) == {*NEAR, *MOVED, "near"}
        assert area["near"].n == found.power["near"].n == 60  # images, not copies
        pooled = np.mean([found.power[word].value for word in NEAR])
        assert found.power["near"].value == pytest.approx(pooled)
        assert area["flip"].value < 0.9
    bare = one({name: pixels(sets[name]) for name in ("train", "test", "gen")})
    assert not rates(bare).sees  # nothing planted, nothing known


def test_planted_rows_are_the_same_images_for_every_perturbation_and_seed() -> None:
    images = split(2)["train"]
    planted = plant(images, 25, 7)
    assert list(planted) == [*NEAR, *MOVED]
    assert torch.equal(planted["flip"], images[drawn(len(images), 25, 7)].flip(-1))
    assert all(torch.equal(planted[word], plant(images, 25, 7)[word]) for word in planted)
    assert not torch.equal(planted["noise"], plant(images, 25, 8)["noise"])
    assert len(plant(images[:9], 25, 7)["noise"]) == 9


def test_a_perturbation_that_cannot_be_is_left_out_with_its_reason() -> None:
    two = torch.rand(5, 2, 8, 8) * 2 - 1
    assert "channels" in left_out(two)["jpeg"]
    assert "jpeg" not in plant(two, 5, 0)
    assert "as they are" in left_out(torch.rand(5, 1, 4, 4))["crop"]
    assert not left_out(torch.rand(5, 3, 8, 8))


def test_planted_features_are_a_tenth_of_the_usual_distance_away() -> None:
    train = 50 * torch.randn(400, 300, generator=torch.Generator().manual_seed(0))
    copies = plant_features(train, 100, 3)["noise"]
    at = drawn(400, 100, 3)
    away = torch.linalg.vector_norm(copies - train[at], dim=1)
    usual = neighbors(train, train, exclude_self=True).distance[at, 0].median()
    assert float(away.mean() / usual) == pytest.approx(0.1, rel=0.02)
    repeated = plant_features(torch.ones(4, 3), 4, 0)["noise"]
    assert torch.equal(repeated, torch.ones(4, 3))


def test_a_training_set_copied_twice_does_not_hide_a_model_that_copies() -> None:
    sets = split(3)
    gen = plant(sets["train"], 300, 3)["noise"]
    noisy = sets["train"] + 0.01 * torch.randn(
        sets["train"].shape, generator=torch.Generator().manual_seed(1)
    )
    for second, test in ((sets["train"], False), (sets["train"], True), (noisy.clamp(-1, 1), True)):
        chosen = {"train": torch.cat([sets["train"], second]), "gen": gen} | (
            {"test": sets["test"]} if test else {}
        )
        for evidence in views(chosen, {}):
            assert rates(evidence).excess.low > 0.9
            assert (evidence.near_duplicates.counts >= 1).all()
            assert evidence.near_duplicates.links >= TRAIN
            assert not evidence.aside["gen"].any()  # where all repeat, nothing is set aside


def test_a_doubled_training_set_that_cannot_be_grouped_is_warned_about() -> None:
    sets = split(4)
    noisy = sets["train"] + 0.01 * torch.randn(
        sets["train"].shape, generator=torch.Generator().manual_seed(1)
    )
    train = torch.cat([sets["train"], noisy.clamp(-1, 1)])
    given = InputSet(
        "train", "digits", Images(train, "digits"), None, tuple(map(str, range(len(train)))), ""
    )
    without = training_duplicates(
        one({"train": pixels(train), "gen": pixels(sets["gen"])}), given, quantile=0.01
    )
    assert any("--test" in line for line in without.warnings)
    with_test = training_duplicates(
        one({"train": pixels(train), "gen": pixels(sets["gen"]), "test": pixels(sets["test"])}),
        given,
        quantile=0.01,
    )
    assert not with_test.warnings
    assert with_test.exact == 0
    assert with_test.images == len(train)
    assert with_test.links >= TRAIN


def test_exact_repeats_and_a_large_cluster_are_counted() -> None:
    train = torch.cat([split(5)["train"][:90], split(5)["train"][:1].repeat(30, 1, 1, 1)])
    given = InputSet(
        "train", "digits", Images(train, "digits"), None, tuple(map(str, range(len(train)))), ""
    )
    found = training_duplicates(
        one({"train": pixels(train), "gen": pixels(split(5)["gen"])}), given, quantile=0.01
    )
    assert found.exact == 30
    assert found.largest >= 31
    assert found.links >= 31 * 30 // 2
    assert "31 of 120" in found.warnings[0]
    rows = InputSet("train", "file", None, pixels(train), given.names, "")
    assert (
        training_duplicates(
            one({"train": pixels(train), "gen": pixels(split(5)["gen"])}), rows, quantile=0.01
        ).exact
        == 30
    )


def test_near_duplicates_among_held_out_images_stay_on_one_side() -> None:
    sets = split(6)
    test = torch.cat([sets["test"], sets["test"]])
    evidence = one(
        {name: pixels(x) for name, x in {**sets, "test": test}.items() if name != "rest"}
    )
    groups = evidence.groups["test"]
    assert torch.equal(groups[:500], groups[500:])
    for seed in range(5):
        fold = folds_of(groups, seed)
        assert torch.equal(fold[:500], fold[500:])


def test_seed_order_and_scale_change_nothing_that_they_should_not() -> None:
    sets = {name: pixels(x) for name, x in split(7).items() if name != "rest"}
    whole = one(sets)
    assert rates(one(sets)).excess == rates(whole).excess
    moved = one({**sets, "gen": sets["gen"].flip(0)})
    assert torch.equal(moved.gen.score.flip(0), whole.gen.score)
    assert rates(moved).excess == rates(whole).excess
    larger = one({name: 4 * x for name, x in sets.items()})
    torch.testing.assert_close(larger.gen.score, whole.gen.score)
    assert rates(larger).excess.value == pytest.approx(rates(whole).excess.value)


@pytest.mark.parametrize("kind", ["ratio", "cosine"])
def test_the_parts_are_those_of_the_functions_they_are_made_of(kind: str) -> None:
    sets = split(8)
    evidence = one(
        {name: pixels(x) for name, x in sets.items()},
        {"noise": pixels(plant(sets["train"], 50, 0)["noise"])},
        kind=kind,
    )
    train, gen = space(pixels(sets["train"]), kind), space(pixels(sets["gen"]), kind)
    assert torch.equal(
        evidence.gen.score, scores(gen, train, kind=kind, spacing=evidence.spacing).score
    )
    assert evidence.near_duplicates.counts.sum() % 2 == 0


def test_too_few_images_are_one_line() -> None:
    rows = torch.randn(50, 4)
    with pytest.raises(ValueError, match="at least 4 held-out"):
        rates(one({"train": rows, "gen": rows[:5] + 1, "test": rows[:3] + 2}))
    with pytest.raises(ValueError, match="at least 2 rows"):
        one({"train": rows[:1], "gen": rows})
    with pytest.raises(ValueError, match="near-duplicates of one another"):
        one({"train": torch.ones(30, 4), "gen": rows, "test": rows})
