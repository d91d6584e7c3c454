"""The metric table of an audit: known answers, controls by hand, the public functions' numbers, and
reasons where there is no number.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from torch import Tensor

from denoscope import metrics
from denoscope.audit.evidence import controlled_metrics, metric_table
from denoscope.audit.evidence.by_descriptor import calibrated, descriptor_evidence
from denoscope.audit.evidence.metric_table import NAMES, check_names, measure_all
from denoscope.audit.findings import Evidence, MetricResult
from denoscope.estimate import Estimate, proportion
from denoscope.metrics.costs import PATIENCE, SetSizes, seconds

D = 8
KINDS = ("ratio", "cosine")
QUALITY = (
    "precision",
    "recall",
    "density",
    "coverage",
    "frechet",
    "kernel",
    "copying_test",
    "feature_likelihood",
    "nearness",
)


def normal(n: int, seed: int, d: int = D) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


TRAIN, TEST, GEN, TWIN = normal(300, 1), normal(240, 2), normal(200, 3), normal(200, 4)


def seen(
    sets: Mapping[str, Tensor],
    kind: str = "ratio",
    identity: Mapping[str, str] | None = None,
) -> Evidence:
    train = sets["train"]
    planted = {"noise": train[:60] + 1e-3 * normal(len(train[:60]), 9, train.shape[1])}
    one = descriptor_evidence(kind, kind, identity or {"name": kind}, sets, planted, quantile=0.01)
    return replace(one, rates=calibrated([one], false_alarm=0.02, seed=0))


def measured(
    gen: Tensor,
    train: Tensor = TRAIN,
    test: Tensor | None = TEST,
    twin: Tensor | None = None,
    *,
    kinds: Sequence[str] = KINDS,
    wanted: Sequence[str] = (),
    thresholds: Mapping[str, float] | None = None,
    exact: Mapping[str, Tensor] | None = None,
    identity: Mapping[str, str] | None = None,
) -> dict[str, dict[str, MetricResult]]:
    given = {"gen": gen, "train": train, "test": test, "twin": twin}
    sets = {role: rows for role, rows in given.items() if rows is not None}
    evidence = [seen(sets, kind, identity) for kind in kinds]
    first = evidence[0]
    evidence = [replace(one, aside=first.aside, groups=first.groups) for one in evidence]
    together = calibrated(evidence, false_alarm=0.02, seed=0)
    return measure_all(
        evidence,
        dict.fromkeys(kinds, sets),
        together,
        wanted=wanted,
        thresholds=thresholds or {},
        exact=exact or {"gen": torch.zeros(len(gen), dtype=torch.bool)},
        seed=0,
        say=lambda text: None,
    )


@pytest.fixture(scope="module")
def whole() -> dict[str, dict[str, MetricResult]]:
    return measured(GEN, twin=TWIN)


@pytest.fixture(scope="module")
def alone() -> dict[str, dict[str, MetricResult]]:
    return measured(GEN, test=None)


def numbers(estimate: Estimate | None) -> tuple[float, float, float, int]:
    assert estimate is not None
    return estimate.value, estimate.low, estimate.high, estimate.n


def same(found: Estimate | None, wanted: Estimate) -> None:
    assert numbers(found) == pytest.approx(numbers(wanted), rel=1e-9)


def test_every_metric_is_there_for_every_descriptor(
    whole: dict[str, dict[str, MetricResult]],
) -> None:
    assert tuple(whole) == NAMES
    special = {"excess_combined": {"combined"}, "exact_duplicates": {"content"}}
    for name, found in whole.items():
        assert set(found) == special.get(name, set(KINDS)), name
        for one in found.values():
            assert math.isfinite(one.estimate.value), (name, one.estimate.method)
            assert one.estimate.low <= one.estimate.value <= one.estimate.high


def test_the_numbers_are_those_of_the_public_functions(
    whole: dict[str, dict[str, MetricResult]],
) -> None:
    found = {name: by["ratio"].estimate for name, by in whole.items() if "ratio" in by}
    gen, test = kept()
    same(found["generalization"], metrics.generalization(gen, TRAIN, threshold=0.6))
    same(found["memorized_plain"], metrics.memorized(gen, TRAIN))
    same(found["authenticity"], metrics.authenticity(gen, TRAIN))
    same(found["mifid"], metrics.mifid(gen, TRAIN))
    same(found["frechet"], metrics.frechet(gen, test))
    same(found["kernel"], metrics.kernel(gen, test))
    same(found["vendi"], metrics.vendi(gen))
    assert found["nearness"].value == metrics.nearness(gen, TRAIN, test).value
    for name, one in metrics.prdc(gen, test).items():
        same(found[name], one)
    rates = seen_ratio().rates
    assert rates is not None
    same(found["excess"], rates.excess)


def test_where_held_out_rows_are_the_measure_half_of_them_is_the_control(
    whole: dict[str, dict[str, MetricResult]],
) -> None:
    gen, _ = kept()
    unseen, test = case().halves
    assert abs(len(unseen) - len(test)) <= 1
    copying, likelihood = whole["copying_test"]["ratio"], whole["feature_likelihood"]["ratio"]
    same(copying.estimate, metrics.copying_test(gen, TRAIN, test))
    same(copying.control, metrics.copying_test(gen, unseen, test))
    same(likelihood.control, metrics.feature_likelihood(unseen, TRAIN, test))
    same(whole["nearness"]["ratio"].control, metrics.nearness(gen, unseen, test))


def test_dull_samples_read_as_copies_by_c_t_and_so_does_their_control() -> None:
    dull = measured(0.6 * GEN, wanted=["copying_test", "nearness"], kinds=["ratio"])
    for name, end in (("copying_test", -2.0), ("nearness", 0.6)):
        one = dull[name]["ratio"]
        assert one.control is not None
        assert (one.control.value < end) == (name == "copying_test")
        assert (one.estimate.value < end) == (name == "copying_test")


def test_a_perfect_generator_reads_as_its_controls_at_any_number() -> None:
    train, test, gen = normal(2400, 21), normal(800, 22), normal(2400, 23)
    wanted = ["feature_likelihood", "frechet", "copying_test"]
    found = measured(gen, train, test, kinds=["ratio"], wanted=wanted)
    for name in wanted:
        one = found[name]["ratio"]
        assert one.control is not None
        assert one.estimate.low <= one.control.high
        assert one.control.low <= one.estimate.high
    floor = found["frechet"]["ratio"].control
    assert floor is not None
    assert floor.low < floor.value < floor.high  # as many samples as training rows
    extra = found["feature_likelihood"]["ratio"].extra or {}
    assert extra["gap"].low <= extra["real"]["gap"].high
    assert extra["real"]["gap"].low <= extra["gap"].high


def kept() -> tuple[Tensor, Tensor]:
    """GEN and TEST without what is set aside."""
    aside = seen_ratio().aside
    return GEN[~aside["gen"]], TEST[~aside["test"]]


def case() -> controlled_metrics.MetricCase:
    sets = {"gen": GEN, "train": TRAIN, "test": TEST}
    return controlled_metrics.MetricCase.of(seen_ratio(), sets, None, 0)


def seen_ratio() -> Evidence:
    return seen({"gen": GEN, "train": TRAIN, "test": TEST})


def test_by_cosine_everything_is_as_on_rows_of_length_one(
    whole: dict[str, dict[str, MetricResult]],
) -> None:
    gen, test = kept()
    same(
        whole["generalization"]["cosine"].estimate,
        metrics.generalization(gen, TRAIN, threshold=0.6),
    )
    same(
        whole["generalization"]["cosine"].control,
        metrics.generalization(test, TRAIN, threshold=0.6),
    )
    same(whole["kernel"]["cosine"].estimate, metrics.kernel(gen, test))
    gen, train, test = (torch.nn.functional.normalize(x.double()) for x in (gen, TRAIN, test))
    same(whole["memorized_plain"]["cosine"].estimate, metrics.memorized(gen, train))
    same(whole["authenticity"]["cosine"].estimate, metrics.authenticity(gen, train))
    same(whole["authenticity"]["cosine"].control, metrics.authenticity(test, train))


def test_controls_of_copy_metrics_are_the_metrics_of_held_out_rows(
    whole: dict[str, dict[str, MetricResult]],
) -> None:
    control = {name: by["ratio"].control for name, by in whole.items() if "ratio" in by}
    _, test = kept()
    same(control["generalization"], metrics.generalization(test, TRAIN, threshold=0.6))
    same(control["memorized_plain"], metrics.memorized(test, TRAIN))
    same(control["authenticity"], metrics.authenticity(test, TRAIN))
    same(control["mifid"], metrics.mifid(test, TRAIN))


def test_controls_of_quality_are_as_many_training_rows(
    whole: dict[str, dict[str, MetricResult]],
) -> None:
    (gen, test), drawn = kept(), case().drawn
    assert drawn is not None
    assert len(drawn) == len(gen) == len(drawn.unique(dim=0))
    assert {tuple(row) for row in drawn.tolist()} <= {tuple(row) for row in TRAIN.tolist()}
    same(whole["kernel"]["ratio"].control, metrics.kernel(drawn, test))
    same(whole["vendi"]["ratio"].control, metrics.vendi(drawn))
    same(whole["coverage"]["ratio"].control, metrics.prdc(drawn, test)["coverage"])
    same(whole["frechet"]["ratio"].control, metrics.frechet(drawn, test))
    few = measured(normal(320, 5), wanted=["kernel", "frechet"], kinds=["ratio"])
    assert few["kernel"]["ratio"].control is few["frechet"]["ratio"].control is None


def test_the_duplicate_aware_rule_skips_the_star_of_the_nearest() -> None:
    """Every training row twice, a little apart: copies are seen by the star rule alone, and fresh
    samples are no copies.
    """
    train = torch.cat([TRAIN, TRAIN + 1e-4 * normal(300, 7)])
    gen = torch.cat([TRAIN[:80] + 1e-4 * normal(80, 8), GEN[:120]])
    found = measured(gen, train, kinds=["ratio"], wanted=["memorized", "memorized_plain"])
    star, plain = found["memorized"]["ratio"], found["memorized_plain"]["ratio"]
    spacing = (star.extra or {})["spacing"]
    assert spacing > 1e-4
    distance, within = (torch.from_numpy(cdist(x.double(), train.double())) for x in (gen, train))
    nearest, index = distance.min(1)
    second = distance.where(within[index] >= spacing, torch.inf).min(1).values
    same(star.estimate, proportion(int((nearest / second < 1 / 3).sum()), 200))
    assert star.estimate.value == pytest.approx(0.4, abs=0.02)
    assert plain.estimate.value < 0.1


def test_without_held_out_rows_controls_are_leave_one_out(
    alone: dict[str, dict[str, MetricResult]],
) -> None:
    within = cdist(TRAIN.double(), TRAIN.double())
    np.fill_diagonal(within, np.inf)
    first, second = np.sort(within, 1)[:, :2].T
    same(
        alone["memorized_plain"]["ratio"].control,
        proportion(int((first / second < 1 / 3).sum()), 300),
    )
    authentic = sum(
        first[row] > np.delete(within[index], row).min()
        for row, index in enumerate(within.argmin(1))
    )
    found = alone["authenticity"]["ratio"].control
    assert found is not None
    assert found.value == pytest.approx(
        authentic / 300, abs=3 / 300
    )  # near-duplicates of a row do not count as its nearest
    assert "each training image against the others" in found.method
    cosine = torch.nn.functional.normalize(TRAIN.double())
    matrix = (cosine @ cosine.T).fill_diagonal_(-2)
    same(
        alone["generalization"]["ratio"].control,
        proportion(int((matrix.max(1).values <= 0.6).sum()), 300),
    )
    assert alone["mifid"]["ratio"].control is None


def test_without_held_out_rows_what_needs_them_is_not_available(
    alone: dict[str, dict[str, MetricResult]],
) -> None:
    for name in QUALITY:
        for one in alone[name].values():
            assert math.isnan(one.estimate.value)
            assert one.estimate.method == "needs --test"
            assert one.control is None
    assert alone["reproducibility"]["ratio"].estimate.method == "needs --twin"
    for name in (
        "generalization",
        "memorized",
        "memorized_plain",
        "excess",
        "excess_combined",
        "authenticity",
        "mifid",
        "vendi",
    ):
        assert all(math.isfinite(one.estimate.value) for one in alone[name].values()), name


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("held", [True, False])
def test_planted_copies_read_as_their_share(share: float, held: bool) -> None:
    count = round(share * 200)
    gen = torch.cat([TRAIN[:count], GEN[count:]])
    found = measured(
        gen,
        test=TEST if held else None,
        wanted=["memorized", "memorized_plain", "excess", "excess_combined", "authenticity"],
    )
    for kind in KINDS:
        assert found["memorized"][kind].estimate.value == pytest.approx(share, abs=0.03)
        assert found["memorized_plain"][kind].estimate.value == pytest.approx(share, abs=0.03)
        assert found["excess"][kind].estimate.value == pytest.approx(share, abs=0.05)
        assert found["authenticity"][kind].estimate.value <= 1 - share
    assert found["excess_combined"]["combined"].estimate.value == pytest.approx(share, abs=0.05)
    control = found["memorized"]["ratio"].control
    assert control is not None
    assert control.value < 0.03


def test_copies_by_distributions() -> None:
    copied = measured(
        TRAIN[:200],
        wanted=["copying_test", "feature_likelihood", "mifid", "generalization"],
        kinds=["ratio"],
    )
    fresh = measured(
        GEN,
        wanted=["copying_test", "feature_likelihood", "mifid", "generalization"],
        kinds=["ratio"],
    )
    assert copied["generalization"]["ratio"].estimate.value == 0
    assert (
        copied["copying_test"]["ratio"].estimate.high
        < -5
        < fresh["copying_test"]["ratio"].estimate.low
    )
    assert copied["mifid"]["ratio"].estimate.value == math.inf
    assert copied["feature_likelihood"]["ratio"].estimate.value > 1e3
    gap, other = (
        (found["feature_likelihood"]["ratio"].extra or {})["gap"] for found in (copied, fresh)
    )
    assert gap.high < other.low
    nearer = (copied["copying_test"]["ratio"].extra or {})["nearer"]
    assert nearer.value == pytest.approx(1.0)


def test_reproducibility_has_its_own_threshold_and_its_chance() -> None:
    twin = torch.cat([GEN[:100], normal(100, 11)])
    found = measured(GEN, twin=twin, kinds=["ratio"], wanted=["reproducibility"])[
        "reproducibility"
    ]["ratio"]
    threshold = metrics.pair_threshold(TEST, 0.99)
    assert found.threshold == pytest.approx(threshold)
    same(found.estimate, metrics.reproducibility(GEN, twin, threshold=threshold))
    extra = found.extra or {}
    assert extra["chance"] == metrics.chance_level(GEN, twin, threshold=threshold)
    assert extra["corrected"].value == pytest.approx(0.5, abs=0.04)
    same(extra["fixed"], metrics.reproducibility(GEN, twin, threshold=0.6))


def test_unequal_twins_are_a_reason_and_no_crash() -> None:
    found = measured(GEN, twin=TWIN[:-1], kinds=["ratio"], wanted=["reproducibility"])
    assert "gen has 200 rows and twin has 199" in found["reproducibility"]["ratio"].estimate.method


@pytest.mark.parametrize(
    ("identity", "thresholds", "threshold", "words"),
    [
        ({"name": "sscd", "preprocessing": "rpgl-2024"}, {}, 0.6, "sscd_disc_large at 320x320"),
        ({"name": "sscd", "preprocessing": "dcr-2023"}, {"cosine": 0.7}, 0.5, "at 224x224"),
        ({"name": "own"}, {"cosine": 0.7}, 0.7, "fixed by the protocol"),
        ({"name": "own"}, {}, 0.6, "published for SSCD alone"),
    ],
)
def test_fixed_thresholds_say_whose_they_are(
    identity: dict[str, str], thresholds: dict[str, float], threshold: float, words: str
) -> None:
    found = measured(
        GEN, identity=identity, thresholds=thresholds, kinds=["cosine"], wanted=["generalization"]
    )
    one = found["generalization"]["cosine"]
    assert one.threshold == threshold
    same(one.estimate, metrics.generalization(GEN, TRAIN, threshold=threshold))
    assert words in one.estimate.method
    assert "not calibrated here" in one.estimate.method


def test_exact_duplicates_are_counts_of_content() -> None:
    found = measured(
        GEN,
        wanted=["exact_duplicates"],
        kinds=["ratio"],
        exact={"gen": torch.arange(200) < 12, "test": torch.arange(240) < 10},
    )["exact_duplicates"]["content"]
    same(found.estimate, proportion(12, 200))
    same(found.control, proportion(10, 240))
    lonely = measured(GEN, test=None, wanted=["exact_duplicates"], kinds=["ratio"])[
        "exact_duplicates"
    ]["content"]
    assert (lonely.estimate.value, lonely.control) == (0.0, None)


def test_the_frechet_distance_has_its_limit_and_its_floor_beside_it(
    whole: dict[str, dict[str, MetricResult]],
) -> None:
    found = whole["frechet"]["ratio"]
    limit = (found.extra or {})["limit"]
    assert limit == metrics.frechet(*kept()).limit
    assert limit.low < 0.3
    assert found.control is not None
    assert found.control.low < found.estimate.value < 2 * found.control.high


def test_too_small_sets_give_reasons() -> None:
    found = measured(GEN[:2], TRAIN[:12], TEST[:6], kinds=["ratio"])
    reasons = {
        name: by["ratio"].estimate.method
        for name, by in found.items()
        if "ratio" in by and math.isnan(by["ratio"].estimate.value)
    }
    assert set(reasons) >= {"copying_test", "feature_likelihood", "frechet", "precision", "mifid"}
    assert reasons["frechet"] == "a Fréchet distance needs at least 3 rows, gen has 2"
    assert "at least 6 rows, gen has 2" in reasons["coverage"]
    assert math.isfinite(found["memorized"]["ratio"].estimate.value)


def test_rows_without_variance_do_not_stop_the_audit() -> None:
    found = measured(torch.zeros(40, D), kinds=["ratio"])
    assert len(found) == len(NAMES)


def test_what_takes_hours_is_left_until_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    large = SetSizes(10_000, 50_000, 5_000, 512)
    assert seconds("feature_likelihood", large) > 3600
    assert seconds("authenticity", large) == 0
    assert all(seconds(name, SetSizes(1000, 1000, 500, 64)) < PATIENCE for name in NAMES)
    assert seconds("frechet", SetSizes(5000, 5000, 5000, 3072)) > PATIENCE
    monkeypatch.setattr(metric_table, "PATIENCE", 1e-12)
    left = measured(GEN, kinds=["ratio"])
    assert (
        "name it in --metrics to compute it" in left["feature_likelihood"]["ratio"].estimate.method
    )
    assert math.isfinite(left["memorized"]["ratio"].estimate.value)
    named = measured(GEN, kinds=["ratio"], wanted=["vendi"])
    assert list(named) == ["vendi"]
    assert math.isfinite(named["vendi"]["ratio"].estimate.value)


def test_distances_that_are_known_are_not_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    sets = {"gen": GEN, "train": TRAIN, "test": TEST}
    evidence = [seen(sets, kind) for kind in KINDS]

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("neighbours are known already")

    for name in ("neighbors", "nearest_similarity"):
        monkeypatch.setattr(controlled_metrics, name, refuse)
    options = {
        "thresholds": {},
        "exact": {"gen": torch.zeros(200, dtype=torch.bool)},
        "seed": 0,
        "say": lambda text: None,
    }
    names = [
        "memorized",
        "memorized_plain",
        "excess",
        "authenticity",
        "excess_combined",
        "exact_duplicates",
    ]
    measure_all(evidence, dict.fromkeys(KINDS, sets), None, wanted=names, **options)
    measure_all(evidence[1:], {"cosine": sets}, None, wanted=["generalization"], **options)


def test_nothing_decides_nothing_combined() -> None:
    sets = {"gen": GEN, "train": TRAIN, "test": TEST}
    found = measure_all(
        [seen(sets)],
        {"ratio": sets},
        None,
        wanted=["excess_combined"],
        thresholds={},
        exact={"gen": torch.zeros(200, dtype=torch.bool)},
        seed=0,
        say=lambda text: None,
    )
    assert "no descriptor" in found["excess_combined"]["combined"].estimate.method


@pytest.mark.parametrize(
    ("name", "close"),
    [("memorised", "memorized"), ("fid", "mifid"), ("excess_combine", "excess_combined")],
)
def test_unknown_names_are_refused_with_the_nearest(name: str, close: str) -> None:
    with pytest.raises(ValueError, match=f"did you mean {close}"):
        check_names([name])
    with pytest.raises(ValueError, match=f"--metrics {name}"):
        measured(GEN, wanted=["vendi", name])
