"""The feature likelihood divergence: its likelihood, its fit, what copies do to it, and its
interval.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from rates import sigmas
from scipy import optimize, special, stats
from scipy.spatial.distance import cdist
from torch import Tensor
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from denoscope.laws import metric as laws
from denoscope.metrics import likelihood
from denoscope.metrics.likelihood import (
    FeatureLikelihood,
    feature_likelihood,
    fit_variances,
    log_likelihood,
    squared_distances,
)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def clustered(n: int, d: int, seed: int) -> Tensor:
    """Ten clusters, the same for every seed."""
    place = torch.randint(10, (n,), generator=torch.Generator().manual_seed(seed))
    return normal(10, d, seed=99)[place] + 0.4 * normal(n, d, seed=seed)


GEN, TRAIN, TEST = (clustered(n, 6, seed) for n, seed in ((120, 1), (130, 2), (110, 3)))
COPIES = TRAIN[:120]


def objective(log_v: np.ndarray, rows: np.ndarray, centres: np.ndarray) -> float:
    """The mean log p of the rows with the extra law of weight 1 at their mean, log_v[-1] its
    variance.
    """
    d = rows.shape[1]
    squared = np.concatenate(
        [cdist(rows, centres) ** 2, 0.81 * cdist(rows, rows.mean(0)[None]) ** 2], 1
    )
    weight = np.append(np.full(len(centres), 1 / len(centres)), 1.0)
    return float(
        special.logsumexp(
            -d / 2 * np.log(2 * np.pi * np.exp(log_v)) - squared / (2 * np.exp(log_v)),
            axis=1,
            b=weight,
        ).mean()
    )


def by_autograd(rows: Tensor, centres: Tensor, passes: int = 50) -> tuple[Tensor, list[float]]:
    """The fit as it is defined, gradients by automatic differentiation; log v with the extra law's
    last, and the objective before each step.
    """
    d = rows.shape[1]
    squared = torch.cat(
        [
            (rows[:, None] - centres).square().sum(2),
            0.81 * (rows - rows.mean(0)).square().sum(1, keepdim=True),
        ],
        1,
    )
    log_weight = torch.cat(
        [
            torch.full((len(centres),), -math.log(len(centres)), dtype=torch.float64),
            torch.zeros(1).double(),
        ]
    )
    log_v = ((squared.min(0).values + 1e-3) / d).log().requires_grad_()
    adam, trace = torch.optim.Adam([log_v], lr=0.5), []
    for _ in range(passes):
        adam.zero_grad()
        loss = (
            -(log_weight - d / 2 * (math.log(2 * math.pi) + log_v) - squared / (2 * log_v.exp()))
            .logsumexp(1)
            .mean()
        )
        trace.append(loss.item())
        if len(trace) > 1 and abs(trace[-1] - trace[-2]) < 5e-4:
            break
        loss.backward()
        adam.step()
        with torch.no_grad():
            log_v.clamp_(-40, 40)
    return log_v.detach(), trace


def test_squared_distances_are_those_of_differences_also_of_near_and_equal_rows() -> None:
    centres = normal(40, 7).double() + 30
    rows = torch.cat(
        [centres[:9], centres[:20] + 1e-7 * normal(20, 7, seed=1), normal(10, 7, seed=2).double()]
    )
    want = cdist(rows, centres) ** 2
    found = squared_distances(rows, centres).numpy()
    np.testing.assert_allclose(found, want, rtol=1e-6, atol=0)
    assert (found[np.arange(9), np.arange(9)] == 0).all()
    assert (squared_distances(torch.ones(3, 2).double(), torch.ones(4, 2).double()) == 0).all()


@pytest.mark.parametrize(("n", "m", "d"), [(5, 1, 1), (20, 9, 3), (30, 40, 17)])
def test_the_likelihood_is_that_of_scipy_and_torch(n: int, m: int, d: int) -> None:
    rows, centres, log_v = (
        normal(n, d, seed=1).double(),
        normal(m, d, seed=2).double(),
        2 * normal(m, seed=3).double(),
    )
    found = log_likelihood(rows, centres, log_v)
    each = [
        stats.multivariate_normal(c, np.exp(v)).logpdf(rows).reshape(n)
        for c, v in zip(centres.numpy(), log_v.numpy())
    ]
    np.testing.assert_allclose(found, special.logsumexp(each, axis=0) - math.log(m), rtol=1e-10)
    mixture = MixtureSameFamily(
        Categorical(torch.ones(m).double()),
        Independent(Normal(centres, (log_v / 2).exp()[:, None].expand(m, d)), 1),
    )
    torch.testing.assert_close(found, mixture.log_prob(rows), rtol=1e-10, atol=0)


def test_a_row_far_from_every_tiny_law_has_a_finite_likelihood() -> None:
    found = log_likelihood(
        1e3 * torch.ones(1, 50).double(),
        torch.zeros(2, 50).double(),
        torch.full((2,), -40.0).double(),
    )
    assert torch.isfinite(found).all()


@pytest.mark.parametrize(
    ("n", "m", "d", "copies"), [(40, 30, 3, 0), (60, 25, 10, 5), (50, 1, 2, 0)]
)
def test_the_fit_is_its_definition_with_automatic_gradients(
    n: int, m: int, d: int, copies: int
) -> None:
    rows, centres = normal(n, d, seed=1).double(), normal(m, d, seed=2).double()
    centres[:copies] = rows[:copies]
    log_v, passes = fit_variances(rows, centres)
    want, trace = by_autograd(rows, centres)
    assert passes == len(trace)
    torch.testing.assert_close(log_v, want[:-1], rtol=0, atol=1e-6)


def test_the_fit_stops_when_it_is_settled_near_the_maximum_that_scipy_finds() -> None:
    rows, centres = clustered(150, 4, seed=1).double(), clustered(60, 4, seed=2).double()
    log_v, trace = by_autograd(rows, centres)
    assert len(trace) < likelihood.PASSES
    assert abs(trace[-1] - trace[-2]) < likelihood.SETTLED <= abs(trace[-2] - trace[-3])
    assert fit_variances(rows, centres)[1] == len(trace)
    best = optimize.minimize(
        lambda v: -objective(v, rows.numpy(), centres.numpy()),
        log_v,
        method="L-BFGS-B",
        bounds=[(-40, 40)] * 61,
    )
    assert -objective(log_v.numpy(), rows.numpy(), centres.numpy()) == pytest.approx(
        trace[-1], abs=1e-9
    )
    assert trace[-1] - best.fun < 0.05 < trace[0] - trace[-1]


def test_a_copy_has_a_tiny_variance_and_no_variance_leaves_its_bounds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gen = torch.cat([TRAIN[:10], GEN[10:]])
    variances = feature_likelihood(gen, TRAIN, TEST).variances
    assert float(variances[:10].max()) < 1e-6 * float(variances[10:].median())
    monkeypatch.setattr(likelihood, "PASSES", 120)
    log_v, _ = fit_variances(TRAIN.double(), gen.double())
    assert float(log_v[:10].max()) == -40
    assert float(log_v.max()) <= 40


def reference(gen: Tensor, train: Tensor, test: Tensor) -> tuple[float, float]:
    """nll(test) and nll(train), from the definition."""
    mean, deviation = test.double().mean(0), test.double().std(0)
    a, b, c = ((x.double() - mean) / deviation for x in (gen, train, test))
    v = by_autograd(b, a)[0][:-1].exp().numpy()
    d = gen.shape[1]

    def nll(rows: Tensor) -> float:
        terms = -d / 2 * np.log(2 * np.pi * v) - cdist(rows, a) ** 2 / (2 * v)
        return float(-(special.logsumexp(terms, axis=1) - math.log(len(a))).mean() / d)

    return nll(c), nll(b)


def test_the_gap_and_the_divergence_are_their_definitions() -> None:
    result = feature_likelihood(GEN, TRAIN, TEST)
    test, train = reference(GEN, TRAIN, TEST)
    assert result.gap.value == pytest.approx(100 * (train - test), abs=1e-4)
    assert result.value == pytest.approx(np.mean(result.splits))
    assert result.spread == pytest.approx(np.std(result.splits, ddof=1))
    assert len(result.splits) == 5
    halves = [
        torch.randperm(130, generator=torch.Generator().manual_seed(seed)) for seed in range(25)
    ]
    base = [reference(TRAIN[h[:65]], TRAIN[h[65:]], TEST)[0] for h in halves]
    own = 100 * (test - np.array(base))
    error = math.sqrt(own.var(ddof=1) * (1 / 25 + 1 / 5))
    assert abs(result.value - own.mean()) < sigmas() * error


def test_copies_make_the_gap_negative_far_beyond_a_fresh_generators() -> None:
    fresh = feature_likelihood(GEN, TRAIN, TEST)
    copied = feature_likelihood(torch.cat([COPIES[:24], GEN[24:]]), TRAIN, TEST)
    assert copied.gap.high < fresh.gap.low - 50
    assert feature_likelihood(COPIES, TRAIN, TEST).value > 1e6
    near = COPIES + 0.02 * normal(120, 6, seed=5)
    assert feature_likelihood(near, TRAIN, TEST).low > fresh.high


def test_more_planted_copies_never_read_as_fewer() -> None:
    laws.check_monotone(
        lambda gen: feature_likelihood(gen, TRAIN, TEST, splits=2).gap,
        GEN,
        COPIES,
        range(0, 121, 20),
        rising=False,
    )


def test_missing_modes_and_bad_samples_read_worse() -> None:
    fresh = feature_likelihood(GEN, TRAIN, TEST)
    place = (GEN - normal(10, 6, seed=99)[0]).norm(dim=1)
    dropped = GEN[place.argsort()[:12]].repeat(10, 1) + 0.1 * normal(120, 6, seed=6)
    assert feature_likelihood(dropped, TRAIN, TEST).low > fresh.high
    assert feature_likelihood(GEN + 2 * normal(120, 6, seed=7), TRAIN, TEST).low > fresh.high


def test_the_order_of_rows_the_units_and_the_memory_are_of_no_matter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    laws.check_estimate(feature_likelihood, GEN, TRAIN, TEST)
    laws.check_permutation(feature_likelihood, GEN, TRAIN, TEST, move=(0, 1, 2), tolerance=1e-5)
    laws.check_scale(feature_likelihood, GEN, TRAIN, TEST, tolerance=1e-9)
    whole = feature_likelihood(GEN, TRAIN, TEST)
    units, origin = torch.tensor([0.1, 1, 2, 30, 5, 0.7]).double(), 3 * normal(6, seed=8).double()
    moved = feature_likelihood(*(x.double() * units + origin for x in (GEN, TRAIN, TEST)), splits=2)
    assert moved.gap.value == pytest.approx(whole.gap.value, abs=1e-4)
    for held in (0, 5000):
        monkeypatch.setattr(likelihood, "_NUMBERS", 700)
        monkeypatch.setattr(likelihood, "_HELD", held)
        cut = feature_likelihood(GEN, TRAIN, TEST)
        assert cut.value == pytest.approx(whole.value, abs=1e-6)
        assert cut.gap.low == pytest.approx(whole.gap.low, abs=1e-6)


def test_a_feature_that_never_changes_does_no_harm() -> None:
    gen, train, test = (
        torch.cat([x, torch.full((len(x), 1), 0.25)], 1) for x in (GEN, TRAIN, TEST)
    )
    result = feature_likelihood(gen, train, test)
    assert all(
        math.isfinite(number)
        for number in (result.value, result.low, result.high, result.gap.low, result.gap.high)
    )


def test_the_same_seed_gives_the_same_numbers_and_json_holds_no_nan() -> None:
    first, second, other = (
        feature_likelihood(GEN.numpy(), TRAIN, TEST, seed=seed) for seed in (1, 1, 2)
    )
    assert first == second
    assert other.value != first.value
    assert other.gap.value == first.gap.value
    document = json.loads(json.dumps(first.json(), allow_nan=False))
    assert document["gap"]["value"] == first.gap.value
    assert document["splits"] == list(first.splits)
    assert document["spread"] == first.spread


@pytest.mark.slow
def test_the_intervals_cover_the_mean_over_models_samples_and_held_out_sets() -> None:
    train = clustered(120, 4, seed=1)

    def draw(seed: int) -> FeatureLikelihood:
        gen, test = clustered(120, 4, seed=1000 + seed), clustered(120, 4, seed=2000 + seed)
        return feature_likelihood(gen, train, test, seed=seed)

    results = [draw(seed) for seed in range(100)]
    for estimates in (results, [result.gap for result in results]):
        truth = float(np.mean([estimate.value for estimate in estimates]))
        assert np.mean([estimate.low <= truth <= estimate.high for estimate in estimates]) >= 0.88


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: feature_likelihood(GEN[:, :4], TRAIN, TEST),
            "gen has 4 features per row and train has 6",
        ),
        (lambda: feature_likelihood(GEN[:7], TRAIN, TEST), "at least 8 rows of gen, got 7"),
        (lambda: feature_likelihood(GEN, TRAIN[:3], TEST), "at least 4 rows of train, got 3"),
        (lambda: feature_likelihood(GEN, TRAIN, TEST[:1]), "at least 2 rows of test, got 1"),
        (lambda: feature_likelihood(GEN, TRAIN, TEST, splits=1), "at least 2 splits"),
        (
            lambda: feature_likelihood(GEN, torch.full_like(TRAIN, torch.inf), TEST),
            "train has a value that is not finite",
        ),
        (lambda: feature_likelihood(torch.zeros(9, 1, 4, 4), TRAIN, TEST), "describe first"),
    ],
)
def test_mistakes_are_named(call: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()
