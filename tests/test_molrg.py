"""The mixture of low-rank Gaussians: posterior, score and Jacobian against brute force, instances,
samples, and the rank of its Jacobian.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from rates import sigmas
from torch import Tensor
from torch.func import jacrev, vmap
from zoo import WEIGHTS, ZOO, bases, normal, spread

from denoscope.distributions import GaussianMixture, MoLRG
from denoscope.laws import denoiser as laws
from denoscope.random import generator

SIGMAS = [1e-3, 3e-2, 0.4, 1.0, 7.0, 90.0, 1e3]


def law(noise: float = 0.0, n: int = 9) -> MoLRG:
    """Unequal dimensions, weights, means and variances; subspaces that are not orthogonal to each
    other.
    """
    dims = (1, 3, 4)
    return MoLRG(
        bases(n, *dims, seed=4),
        WEIGHTS,
        means=0.5 * normal(3, n, seed=9),
        variances=spread(*dims),
        noise=noise,
    )


def level_of(sigma: float) -> Tensor:
    return torch.tensor(sigma, dtype=torch.float64)


def points(D: MoLRG, sigma: float, count: int = 6, seed: int = 0) -> Tensor:
    """Noisy points of the law, points far off it, and points where the components compete."""
    near = D.sample(count, generator(seed)) + sigma * normal(count, len(D.mean), seed=seed + 1)
    far = 3 * (1 + sigma) * normal(count, len(D.mean), seed=seed + 2)
    between = D.means.mean(0) + (1e-3 + sigma) * normal(count, len(D.mean), seed=seed + 3)
    return torch.cat([near, far, between])


def brute_posterior(D: MoLRG, x: Tensor, sigma: float) -> np.ndarray:
    """The posterior mean of a mixture of full covariances, by dense solves and explicit log
    densities in numpy.
    """
    logs, means = [], []
    for k, basis in enumerate(D.bases):
        U, variances, mean = (
            basis.numpy(),
            D.components[k].variances.numpy() - D.noise**2,
            D.means[k].numpy(),
        )
        cov = (U * variances) @ U.T + D.noise**2 * np.eye(len(U))
        total, r = cov + sigma**2 * np.eye(len(U)), x.numpy() - mean
        solved = np.linalg.solve(total, r.T).T
        logs.append(
            float(D.log_weights[k]) - 0.5 * np.linalg.slogdet(total)[1] - 0.5 * (r * solved).sum(1)
        )
        means.append(mean + solved @ cov)
    shares = np.exp(np.array(logs) - np.max(logs, 0))
    shares /= shares.sum(0)
    return np.einsum("kb,kbn->bn", shares, np.array(means))


@pytest.mark.parametrize("sigma", SIGMAS)
@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_the_posterior_mean_is_that_of_a_brute_force_mixture(sigma: float, noise: float):
    D = law(noise)
    x = points(D, sigma)
    want = brute_posterior(D, x, sigma)
    error = np.abs(D(x, level_of(sigma)).numpy() - want).max(1)
    assert (error <= 1e-9 * (1 + np.abs(want).max())).all()
    shares = D.responsibilities(x, level_of(sigma))
    assert float(shares.max(1).values.min()) < 0.9 or sigma < 0.1, (
        "components must compete, or the test says little"
    )


@pytest.mark.parametrize("sigma", [0.05, 0.4, 1.0, 7.0, 90.0])
@pytest.mark.parametrize(
    "D",
    [law(), law(0.2), ZOO["mixture"], ZOO["mixture of images"]],
    ids=["low rank", "ambient", "full", "images"],
)
def test_jacobian_and_score_are_the_derivatives(D: MoLRG | GaussianMixture, sigma: float):
    level = level_of(sigma)
    x = (1 + sigma) * normal(5, *D.event_shape, seed=3)
    n = D.event_shape.numel()
    want = vmap(jacrev(lambda z: D(z[None], level)[0]))(x).reshape(5, n, n)
    torch.testing.assert_close(D.jacobian(x, level), want, rtol=1e-9, atol=1e-11)
    slope = vmap(jacrev(lambda z: D.log_prob(z[None], level)[0]))(x)
    torch.testing.assert_close(D.score(x, level), slope, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("sigma", [1e-3, 0.3, 1e3])
def test_the_score_is_tweedies_and_keeps_its_digits_at_low_noise(sigma: float):
    D, level = law(), level_of(sigma)
    x = points(D, sigma)
    torch.testing.assert_close(
        sigma**2 * D.score(x, level),
        D(x, level) - x,
        rtol=0,
        atol=1e-12 * (1 + float(x.abs().max())),
    )
    U = bases(9, 2)[0]
    one = MoLRG([U])
    off = 1e-7 * normal(4, 9, seed=2)
    outside = (
        off - off @ U @ U.T
    )  # at sigma = 1e-3 the score is outside/sigma^2 next to -inside/(1 + sigma^2)
    inside = normal(4, 2, seed=5) @ U.T
    want = -outside / sigma**2 - inside / (1 + sigma**2)
    torch.testing.assert_close(one.score(inside + outside, level), want, rtol=1e-9, atol=1e-9)


def test_jacobians_take_levels_and_batches_by_the_prefix_rule():
    D, levels = law(), torch.tensor([[0.2, 1.0], [3.0, 9.0]]).double()
    x = normal(2, 2, 9)
    whole = D.jacobian(x, levels)
    assert whole.shape == (2, 2, 9, 9)
    torch.testing.assert_close(whole[1, 0], D.jacobian(x[1, 0], levels[1, 0]))
    torch.testing.assert_close(D.score(x, levels)[1, 0], D.score(x[1, 0], levels[1, 0]))
    assert D.jacobian(x.float(), levels.float()).dtype == torch.float32


@pytest.mark.parametrize("sigma", [0.0, 1e-30, 1e30])
def test_no_level_gives_nan(sigma: float):
    x, level = torch.cat([normal(3, 9), torch.zeros(1, 9).double()]), level_of(sigma)
    for D in (law(), law(0.1)):
        assert bool(D(x, level).isfinite().all())
        assert bool(D.jacobian(x, level).isfinite().all())


@pytest.mark.parametrize(
    ("n", "d", "count"), [(48, 6, 2), (48, 3, 3), (30, 5, 2), (64, 2, 6), (20, 4, 1)]
)
def test_the_jacobian_has_rank_d_at_low_noise_and_kd_at_high_noise(n: int, d: int, count: int):
    D = MoLRG.random(n, [d] * count, seed=n + d)
    for sigma, rank in [(0.02, d), (0.1, d), (0.3, d), (8.0, count * d), (50.0, count * d)]:
        x = D.sample(15, generator(1)) + sigma * normal(15, n, seed=2)
        energy = torch.linalg.svdvals(D.jacobian(x, level_of(sigma))) ** 2
        ranks = (energy.cumsum(1) / energy.sum(1, keepdim=True) <= 0.99).sum(
            1
        ) + 1  # the least r with more than 0.99 of the energy
        assert float(ranks.double().median()) / n == rank / n, sigma


def test_random_instances_are_orthonormal_seeded_and_orthogonal_where_asked():
    dims = [2, 5, 3]
    D = MoLRG.random(12, dims, weights=WEIGHTS, noise=0.1, seed=3)
    columns = torch.cat(D.bases, 1)
    torch.testing.assert_close(columns.T @ columns, torch.eye(10).double())
    assert [basis.shape[1] for basis in D.bases] == dims
    assert D.noise == 0.1
    torch.testing.assert_close(D.log_weights.exp(), WEIGHTS)
    again, other = (
        MoLRG.random(12, dims, weights=WEIGHTS, noise=0.1, seed=seed) for seed in (3, 4)
    )
    assert all(torch.equal(a, b) for a, b in zip(D.bases, again.bases))
    assert not torch.allclose(D.bases[0], other.bases[0])
    free = MoLRG.random(6, [3, 4], orthogonal=False)
    assert float((free.bases[0].T @ free.bases[1]).abs().max()) > 0.1
    for basis in free.bases:
        torch.testing.assert_close(basis.T @ basis, torch.eye(basis.shape[1]).double())


def test_random_subspaces_have_no_preferred_direction():
    projectors = torch.stack([MoLRG.random(5, [2, 1], seed=seed).bases[1] for seed in range(600)])
    energy = (projectors**2).squeeze(-1)  # Beta(1/2, 2): mean 1/5
    errors = (energy.mean(0) - 0.2) / (energy.std(0) / math.sqrt(600))
    assert float(errors.abs().max()) < sigmas(5)


def test_labelled_draws_lie_in_the_subspace_of_their_label_up_to_the_perturbation():
    D = MoLRG.random(14, [2, 3, 4], seed=1)
    drawn = D.labelled([4, 1, 6], generator(2), perturbation=0.05)
    assert drawn.labels.tolist() == [0] * 4 + [1] + [2] * 6
    clean = drawn.points - drawn.perturbations
    for x, k in zip(clean, drawn.labels):
        torch.testing.assert_close(D.bases[k] @ (D.bases[k].T @ x), x)
    assert float(drawn.perturbations.std()) == pytest.approx(0.05, rel=0.25)
    again = D.labelled([4, 1, 6], generator(2), perturbation=0.05)
    assert all(torch.equal(a, b) for a, b in zip(drawn, again))
    still = D.labelled(7, generator(2))
    assert still.points.shape == (7, 14)
    assert not still.perturbations.any()


def test_labels_follow_the_weights_and_samples_their_component():
    D = law(0.1)
    drawn = D.labelled(20_000, generator(6))
    shares = torch.bincount(drawn.labels, minlength=3) / 20_000
    assert float(
        ((shares - WEIGHTS) / (WEIGHTS * (1 - WEIGHTS) / 20_000).sqrt()).abs().max()
    ) < sigmas(3)
    for k, points_of in enumerate(drawn.points[drawn.labels == k] for k in range(3)):
        error = (points_of.mean(0) - D.means[k]) / (points_of.std(0) / math.sqrt(len(points_of)))
        assert float(error.abs().max()) < sigmas(27)
        products = (points_of - D.means[k])[:, :, None] * (points_of - D.means[k])[:, None, :]
        error = (products.mean(0) - D.covs[k]) / (products.std(0) / math.sqrt(len(products)))
        assert float(error.abs().max()) < sigmas(3 * 81)


def test_random_instances_obey_the_laws_of_a_posterior_mean():
    D = MoLRG.random(7, [2, 3], weights=[0.25, 0.75], noise=0.05, seed=2)
    laws.check_denoiser(D, D.event_shape)
    laws.check_closed_form(D)
    laws.check_posterior_mean(D, z=sigmas(3 * 49 + 7))


MISTAKES = {
    "do not fit n = 10": lambda: MoLRG.random(10, [6, 5]),
    "dims must": lambda: MoLRG.random(4, []),
    "from 1 to n": lambda: MoLRG.random(4, [5], orthogonal=False),
    "sum to 1": lambda: MoLRG(bases(6, 2, 2), torch.tensor([0.5, 0.6])),
    r"non-negative numbers that sum to 1": lambda: MoLRG(bases(6, 2, 2), [1.5, -0.5]),
    "2 non-negative": lambda: MoLRG(bases(6, 2, 2), WEIGHTS),
    "must be orthonormal": lambda: MoLRG([2 * bases(6, 2)[0]]),
    "counts must be at least 1": lambda: MoLRG.random(6, [2, 2]).labelled([3, 0]),
    "counts must hold one number": lambda: MoLRG.random(6, [2, 2]).labelled([3, 1, 2]),
    "perturbation": lambda: MoLRG.random(6, [2, 2]).labelled(3, perturbation=-1.0),
    "noise must": lambda: MoLRG.random(6, [2], noise=math.nan),
}


@pytest.mark.parametrize(("message", "mistake"), MISTAKES.items())
def test_mistakes_are_named_in_one_line(message: str, mistake):
    with pytest.raises(ValueError, match=message) as caught:
        mistake()
    assert "\n" not in str(caught.value)
