"""Denoisers on growing training sets of a known mixture: closed forms, networks, theory."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from rates import sigmas
from scipy.special import softmax

from denoscope import GaussianMixture
from denoscope.data.mixtures import MixtureDraw, MixtureSetting
from denoscope.fitting import estimators, growing
from denoscope.theory.scaling import gaussian_excess


def _draw(
    d: int,
    n: int,
    clusters: int,
    *,
    sigma: float = 0.3,
    noise: float = 0.0,
    probes: int = 64,
    index: int = 0,
) -> MixtureDraw:
    return MixtureDraw(MixtureSetting(d, n, clusters, sigma, noise, probes, 0), index)


def test_a_draw_is_nested_and_its_truth_has_no_excess() -> None:
    draw, again = _draw(3, 10, 2), _draw(3, 10, 2)
    assert torch.equal(draw.train(300)[:20], again.train(20))
    assert not torch.equal(draw.train(5), _draw(3, 10, 2, index=1).train(5))
    assert float(draw.excess(draw.wanted)) == 0
    assert float(draw.excess(torch.zeros_like(draw.wanted))) == pytest.approx(1)


def test_the_empirical_denoiser_is_a_softmax_average() -> None:
    draw = _draw(2, 6, 1)
    points, x = draw.train(9).numpy(), draw.noisy.numpy()
    weights = softmax(-((x[:, None] - points) ** 2).sum(2) / (2 * 0.3**2), axis=1)
    assert np.abs(estimators.empirical(draw, 9)[0].numpy() - weights @ points).max() < 1e-5


def test_a_smoother_is_the_posterior_mean_of_a_kernel_density_estimate() -> None:
    """Against a mixture of full-rank Gaussians about the training points, which knows nothing of
    the shortcut.
    """
    draw, sigma = _draw(2, 5, 2), 0.3
    points = draw.train(7)
    answers = estimators.kernel(draw, 7).unflatten(0, (len(estimators.FACTORS), 2))
    for factor, (regression, density) in zip(estimators.FACTORS, answers):
        width = sigma**2 * (factor**2 - 1)
        law = GaussianMixture(points, width * torch.eye(5, dtype=torch.float64).expand(7, 5, 5))
        assert (density - law(draw.noisy, torch.tensor(sigma))).abs().max() < 1e-5
        weights = softmax(
            -((draw.noisy[:, None] - points) ** 2).sum(2).numpy() / (2 * (factor * sigma) ** 2),
            axis=1,
        )
        assert np.abs(regression.numpy() - weights @ points.numpy()).max() < 1e-5


@pytest.mark.parametrize(("clusters", "count"), [(1, 4), (1, 9), (3, 40)])
def test_without_noise_enough_points_give_the_truth(clusters: int, count: int) -> None:
    draw = _draw(4, 16, clusters)
    assert float(draw.excess(estimators.molrg(draw, count))) < 1e-12


def test_fewer_points_than_dimensions_do_not() -> None:
    for clusters in (1, 3):
        draw = _draw(4, 16, clusters)
        assert float(draw.excess(estimators.molrg(draw, 3))) > 0.1
        assert float(draw.excess(estimators.gaussian(draw, 3))) > 0.1
    assert torch.isfinite(estimators.gaussian(draw, 1)).all()
    assert torch.isfinite(estimators.molrg(draw, 1)).all()


def test_a_gaussian_fit_cannot_be_a_mixture() -> None:
    draw = _draw(2, 8, 3, sigma=0.5, probes=400)
    errors = [float(draw.excess(estimators.gaussian(draw, count))) for count in (2000, 20000)]
    assert errors[1] > 0.05
    assert abs(errors[1] - errors[0]) < 0.02


def test_the_excess_of_a_gaussian_fit_is_what_equivalents_expect() -> None:
    draws = [_draw(10, 40, 1, noise=0.1, probes=300, index=i) for i in range(30)]
    errors = np.array([float(draw.excess(estimators.gaussian(draw, 25))) for draw in draws])
    wanted = float(gaussian_excess(np.array([25.0]), 10, 40, 0.3, 0.1)[0])
    assert abs(errors.mean() - wanted) < sigmas() * errors.std(ddof=1) / np.sqrt(30) + 0.1 * wanted


def test_sizes_are_where_methods_are_quick_or_slow() -> None:
    assert growing.sizes_for("empirical", 100) == [1, 2, 4, 8, 16, 32, 64, 100]
    fits = growing.sizes_for("molrg", 10**6)
    assert fits[:32] == list(range(1, 33))
    assert fits[-1] == growing.MOST_FITTED


def test_networks_are_asked_along_the_way() -> None:
    draws = [_draw(2, 6, 1, index=i) for i in range(2)]
    found, again = (
        growing.trained(draws, width=8, steps=12, batch_size=8, lr=1e-2) for _ in range(2)
    )
    assert found.sizes.tolist() == [2, 4, 8, 16, 32]
    assert found.end is not None
    assert found.error.shape == found.end.shape == (5, 2)
    assert (found.error.mean(1) <= found.end.mean(1) + 1e-12).all()
    assert set(found.dial) <= set(growing.marks(12))
    assert np.array_equal(found.error, again.error)
