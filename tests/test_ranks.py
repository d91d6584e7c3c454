"""Numerical ranks: the two rules, planted spectra, closed forms, networks against dense
decompositions, and how often the bounds fail.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from rates import FAILURE_RATE
from scipy.stats import binom
from test_jacobians import linear, network, planted
from torch import Tensor
from zoo import normal

from denoscope.distributions import Empirical, Gaussian, MoLRG
from denoscope.geometry import bounds as module
from denoscope.geometry.bounds import CONFIDENCE, ceilings, remainder
from denoscope.geometry.jacobians import jacobian
from denoscope.geometry.ranks import Rank, energy_rank, gaussian_rank, numerical_rank
from denoscope.random import generator


def counted(S: Tensor, energy: float) -> int:
    """The rank by its words, one step at a time."""
    squares = sorted((S.double() ** 2).tolist(), reverse=True)
    return next((r for r in range(len(squares) + 1) if sum(squares[:r]) > energy * sum(squares)), 0)


@pytest.mark.parametrize("energy", [0.5, 0.9, 0.99, 0.999])
def test_the_rules_are_their_words(energy: float) -> None:
    for S in (
        0.9 ** torch.arange(80.0),
        1 / (1 + torch.arange(50.0)),
        torch.ones(150),
        normal(30).abs(),
        torch.zeros(4),
    ):
        assert energy_rank(S, energy) == counted(S, energy)
        assert energy_rank(S, energy, rule="norm") == counted(S, energy**2)
        assert energy_rank(S.flip(0) * 1e-30, energy) == counted(S, energy)


def test_the_rules_differ_by_their_thresholds() -> None:
    S = torch.tensor(
        [98.1, 1.2, 0.4, 0.3]
    ).sqrt()  # shares in percent: 98.01 is the norm's, 99 the energy's
    assert energy_rank(S, rule="norm") == 1
    assert energy_rank(S, rule="energy") == 2
    assert energy_rank(torch.ones(100)) == 100  # exactly 99 % is not more than 99 %
    assert torch.equal(
        energy_rank(torch.stack([S, torch.ones(4), torch.zeros(4)])), torch.tensor([2, 4, 0])
    )


def test_leading_values_with_the_total() -> None:
    S = 0.9 ** torch.arange(80.0, dtype=torch.float64)
    total = S.square().sum()
    assert energy_rank(S[:30], total=total) == energy_rank(S)
    assert energy_rank(S[:10], total=total) == 11  # more than 10


def spectrum(kind: int, n: int, draw: torch.Generator) -> Tensor:
    """A random spectrum: exponential, power, flat floor, one hidden direction, log-normal, or steps
    of equal values.
    """
    i, u = torch.arange(n, dtype=torch.float64), torch.rand(3, generator=draw, dtype=torch.float64)
    r = 2 + int(18 * u[0])
    return [
        (0.6 + 0.36 * u[0]) ** i,
        (1 + i) ** -(0.8 + 1.7 * u[0]),
        1.0 * (i < r) + 0.001 + 0.03 * u[1],
        1.0 * (i < r) + (0.05 + 0.45 * u[1]) * (i == r) + 1e-4,
        torch.exp(2 * torch.randn(n, generator=draw, dtype=torch.float64))
        .sort(descending=True)
        .values,
        1.0 * (i < r)
        + (0.2 + 0.4 * u[1]) * ((i >= r) & (i < 2 * r))
        + (0.02 + 0.08 * u[2]) * (i >= 2 * r),
    ][kind].double()


@pytest.mark.parametrize("kind", range(6))
def test_bounds_contain_the_rank_at_every_look(kind: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every time that bounds are computed they are checked; a search counts as failed when any of
    its looks was wrong, a harder test than is promised.
    """
    n, trials, looks, ranks, norms = 80, 50, [], 0, 0
    original = module.bounds
    monkeypatch.setattr(
        "denoscope.geometry.certificates.bounds",
        lambda *args: looks.append(original(*args)) or looks[-1],
    )
    draw = generator(7, kind)
    for trial in range(trials):
        S = spectrum(kind, n, draw)
        looks.clear()
        found = numerical_rank(
            linear(planted(S, seed=trial)), normal(n), 1.0, seed=trial, dense=False
        )
        true, norm = int(energy_rank(S)), float(S.norm())
        ranks += any(
            look.low > true or (look.high is not None and look.high < true) for look in looks
        )
        norms += abs(float(found.norm) - norm) > float(found.norm_error) + 1e-9 * norm
        assert abs(int(found.rank) - true) <= 1
        assert found.high - found.low <= 2
        assert (S[: len(found.S)] + 1e-9 >= found.S).all()
    most = binom.isf(FAILURE_RATE, trials, 1 - CONFIDENCE)
    assert ranks <= most
    assert norms <= most


@pytest.mark.parametrize(
    "spread", [[1.0], [1.0] * 4, [1.0] * 60, [1.0] + [0.02] * 100, list(1 / np.arange(1, 100) ** 2)]
)
def test_the_remainder_lies_in_its_bounds(spread: list[float]) -> None:
    squares, rng, trials = np.array(spread), np.random.default_rng(len(spread)), 1000
    wrong = 0
    for _ in range(trials):
        outside = np.sqrt(squares)[:, None] * rng.standard_normal((len(squares), 24))
        rest, low, high, largest, freedom = remainder(outside.T @ outside)
        assert low <= rest <= high
        assert freedom >= 1
        wrong += not (low <= squares.sum() <= high and largest >= squares.max())
    assert wrong <= binom.isf(FAILURE_RATE, trials, 1 - CONFIDENCE)


def test_ceilings_hold_for_any_matrix() -> None:
    """Against the singular values of random matrices, with the exact norms of what is outside of a
    random basis.
    """
    rng = np.random.default_rng(0)
    for trial in range(200):
        n, k = 30, int(rng.integers(1, 20))
        J = rng.standard_normal((n, n)) * rng.uniform(0.3, 1.0) ** np.arange(n)
        V = (
            np.linalg.qr(rng.standard_normal((n, k)))[0]
            if trial % 2
            else np.linalg.svd(J)[2][:k].T + 1e-3 * rng.standard_normal((n, k))
        )
        Q = np.linalg.qr(J @ V)[0]
        _, theta, right = np.linalg.svd(Q.T @ J)
        outside = J - Q @ (Q.T @ J)
        coupling = np.cumsum(np.square(outside @ right[:k].T).sum(0))
        captured, norm = (
            np.concatenate([[0.0], np.cumsum(theta**2)]),
            float(np.linalg.norm(outside, 2)) ** 2,
        )
        true = np.concatenate([[0.0], np.cumsum(np.linalg.svd(J)[1][:k] ** 2)])
        bound = ceilings(captured, coupling, norm, float(np.square(outside).sum()))
        assert (bound >= true - 1e-9).all()
        assert (captured <= true + 1e-9).all()


def certain(found: Rank, true: Tensor) -> None:
    assert (found.low <= true).all()
    assert (true <= found.high).all()
    assert ((found.rank - true).abs() <= 1).all()
    assert (found.high - found.low <= 2).all()


@pytest.mark.parametrize("rule", ["energy", "norm"])
def test_mixtures_have_the_rank_of_one_subspace_and_then_of_all(rule: str) -> None:
    K, d = 3, 5
    D = MoLRG.random(200, [d] * K, seed=2)
    points = D.sample(6, generator(1)).double()
    sigma = torch.tensor([0.05, 0.3, 8.0, 50.0], dtype=torch.float64)[:, None].expand(4, 6)
    x = points + sigma[..., None] * normal(4, 6, 200, seed=3)
    found = numerical_rank(D, x, sigma, rule=rule)
    assert found.rank.shape == (4, 6)
    assert torch.equal(found.rank.median(1).values, torch.tensor([d, d, K * d, K * d]))
    certain(found, energy_rank(torch.linalg.svdvals(D.jacobian(x, sigma)), rule=rule))
    assert not found.dense.any()
    assert found.products.max() < 120


def test_many_equal_singular_values_are_all_found() -> None:
    S = 1.0 * (torch.arange(200) < 40) + 0.002
    found = numerical_rank(linear(planted(S.double())), normal(200), 1.0, dense=False)
    certain(found, energy_rank(S))


def test_gaussian_and_memorizer_at_high_noise_have_the_rank_of_the_data() -> None:
    data = normal(12, 100) * (1 + torch.arange(100)) ** -0.5
    S = torch.linalg.eigvalsh(torch.cov(data.T, correction=0)).flip(0).clamp(min=0)
    for D in (Gaussian.from_data(data), Empirical(data)):
        found = numerical_rank(
            D, 1e4 * normal(2, 100), torch.tensor([1e4, 1e5], dtype=torch.float64)
        )
        assert torch.equal(found.rank, energy_rank(S).expand(2))
        assert (found.rank <= 11).all()


def test_the_gaussians_rank_is_that_of_its_jacobian_and_ends_at_its_covariance() -> None:
    law = Gaussian.from_data(normal(60, 12) * torch.linspace(2, 0.1, 12))
    lam, sigma = torch.linalg.eigvalsh(law.cov.double()).numpy(), np.array([0.05, 0.5, 5.0])
    for rule in ("energy", "norm"):
        x, levels = normal(3, 12), torch.from_numpy(sigma)
        found = numerical_rank(law, x, levels.to(x), rule=rule, dense=True).rank
        assert gaussian_rank(lam, sigma, rule).tolist() == found.tolist()
        end = energy_rank(torch.from_numpy(lam), rule=rule)
        assert gaussian_rank(lam, np.array([1e4, np.inf]), rule).tolist() == [end, end]


def test_a_collapsed_memorizer_has_rank_zero() -> None:
    data = normal(20, 30)
    x, sigma = data[:3] + 0, torch.tensor([1e-3, 1e-3, 1.0], dtype=torch.float64)
    found = numerical_rank(Empirical(data), x, sigma)
    assert found.rank[:2].tolist() == [0, 0]
    assert found.high[:2].tolist() == [0, 0]
    assert found.rank[2] > 0
    assert numerical_rank(Empirical(data), x, sigma, dense=True).rank[:2].tolist() == [0, 0]


@pytest.mark.parametrize(("shape", "width"), [((1, 6, 6), 4), ((40, 1, 1), 16)])
def test_networks_against_their_dense_decomposition(shape: tuple[int, ...], width: int) -> None:
    D, x = network(shape, width), normal(2, 3, *shape, seed=1)
    sigma = torch.tensor([[0.02, 0.5, 1.0], [2.0, 5.0, 20.0]], dtype=torch.float64)
    S = torch.linalg.svdvals(jacobian(D, x, sigma))
    for dense in (None, True, False):
        found = numerical_rank(D, x, sigma, dense=dense)
        certain(found, energy_rank(S))
        assert ((found.norm - S.norm(dim=-1)).abs() <= found.norm_error + 1e-9).all()
        assert found.S.shape[:2] == (2, 3)
        assert (found.S[..., 0] <= S[..., 0] + 1e-9).all()
    single = numerical_rank(D, x[1, 2], sigma[1, 2])
    batch = numerical_rank(D, x, sigma)
    for name in ("rank", "low", "high", "dense", "products"):
        assert torch.equal(getattr(single, name), getattr(batch, name)[1, 2]), name
    assert torch.allclose(single.norm, batch.norm[1, 2])


def test_masked_ranks() -> None:
    D, x, sigma = (
        network((1, 6, 6), 4),
        normal(3, 1, 6, 6),
        torch.tensor([0.1, 1.0, 9.0], dtype=torch.float64),
    )
    mask = torch.zeros(1, 6, 6, dtype=torch.bool)
    mask[:, :4] = True
    keep = mask.flatten()
    expected = torch.linalg.svdvals(jacobian(D, x, sigma)[:, keep])
    certain(numerical_rank(D, x, sigma, mask=(mask, torch.ones_like(mask))), energy_rank(expected))
    certain(
        numerical_rank(D, x, sigma, mask=mask),
        energy_rank(torch.linalg.svdvals(jacobian(D, x, sigma)[:, keep][..., keep])),
    )


def test_low_ranks_take_few_products_and_high_ones_the_matrix() -> None:
    n = 500
    i = torch.arange(n, dtype=torch.float64)
    few = numerical_rank(linear(planted(0.85**i)), normal(n), 1.0)
    assert few.rank == energy_rank(0.85**i)
    assert not few.dense
    assert few.products <= 80
    for S in (torch.ones(n, dtype=torch.float64), (1 + i) ** -0.4):
        many = numerical_rank(linear(planted(S)), normal(n), 1.0)
        assert many.dense
        assert many.rank == many.low == many.high == energy_rank(S)
        assert n < many.products <= n + 100
        assert many.S.shape == (n,)
        assert torch.allclose(many.S, S, atol=1e-9)
        assert many.norm_error == 0


def test_seeds_decide() -> None:
    D, x = linear(planted(0.9 ** torch.arange(300, dtype=torch.float64))), normal(300)
    first, again, other = (numerical_rank(D, x, 1.0, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(first.norm, again.norm)
    assert torch.equal(first.S, again.S)
    assert not torch.equal(first.norm, other.norm)


BAD = {
    "energy must lie between 0 and 1": lambda: energy_rank(torch.ones(3), 1.0),
    "energy must lie between 0 and 1.*got 0": lambda: numerical_rank(
        linear(torch.eye(3)), torch.ones(3), 1.0, energy=0
    ),
    "rule must be 'energy' or 'norm', got 'trace'": lambda: numerical_rank(
        linear(torch.eye(3)), torch.ones(3), 1.0, rule="trace"
    ),
    "S must hold at least one finite": lambda: energy_rank(torch.tensor([1.0, -1.0])),
    "S must hold at least one finite.*shape": lambda: energy_rank(torch.ones(3, 0)),
    "S must hold at least one finite singular": lambda: energy_rank(torch.tensor([1.0, torch.nan])),
    "mask keeps nothing": lambda: numerical_rank(
        linear(torch.eye(3)), torch.ones(3), 1.0, mask=torch.zeros(3, dtype=torch.bool)
    ),
    "sigma must be positive": lambda: numerical_rank(linear(torch.eye(3)), torch.ones(3), -1.0),
    "not finite": lambda: numerical_rank(lambda x, s: x / 0, torch.ones(3), 1.0),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_inputs_are_one_clear_line(message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        BAD[message]()
    assert "\n" not in str(caught.value)
