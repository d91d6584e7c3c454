"""Closed forms against independent implementations: scipy, numpy brute force and each other."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from rates import FAILURE_RATE, sigmas
from scipy import stats
from torch.func import jacfwd, jacrev, vmap
from zoo import GENERAL, WEIGHTS, ZOO, bases, covariances, normal, spread

from denoscope.distributions import Empirical, Gaussian, GaussianMixture, MoLRG
from denoscope.random import generator

LEVELS = (0.002, 0.05, 0.7, 6.0, 80.0)
level = pytest.mark.parametrize("sigma", LEVELS)
zoo = pytest.mark.parametrize("D", ZOO.values(), ids=ZOO.keys())


def scalar(value, dtype=torch.float64):
    return torch.tensor(value, dtype=dtype)


def brute(x, y, sigma):
    """Softmax weights (b, N) in float64 from explicit differences."""
    x, y = x.double().flatten(1).numpy(), y.double().flatten(1).numpy()
    logits = -((x[:, None] - y[None]) ** 2).sum(-1) / (2 * sigma**2)
    shares = np.exp(logits - logits.max(1, keepdims=True))
    return shares / shares.sum(1, keepdims=True)


@level
def test_gaussian_is_the_wiener_filter_and_its_density_scipys(sigma):
    mean, cov, x = normal(5), covariances(1, 5)[0], normal(7, 5, seed=3) * (1 + sigma)
    D, total = Gaussian(mean, cov), cov + sigma**2 * torch.eye(5).double()
    torch.testing.assert_close(
        D(x, scalar(sigma)),
        mean + (x - mean) @ torch.linalg.solve(total, cov),
        rtol=1e-9,
        atol=1e-9,
    )
    np.testing.assert_allclose(
        D.log_prob(x, scalar(sigma)), stats.multivariate_normal(mean, total).logpdf(x), rtol=1e-9
    )
    torch.testing.assert_close(D.cov, cov)


@pytest.mark.parametrize("count", [3, 40])
@pytest.mark.parametrize("ridge", [0.0, 0.3])
def test_gaussian_from_data_has_their_moments(count, ridge):
    data = normal(count, 2, 4) + 3
    D = Gaussian.from_data(data, ridge=ridge)
    cov = np.cov(data.flatten(1).numpy(), rowvar=False, bias=True) + ridge * np.eye(8)
    np.testing.assert_allclose(D.cov, cov, atol=1e-12)
    torch.testing.assert_close(D.mean, data.mean(0))
    torch.testing.assert_close(
        D(data, scalar(0.5)), Gaussian(data.mean(0), torch.as_tensor(cov))(data, scalar(0.5))
    )


def test_one_point_is_a_gaussian_without_width():
    data = normal(1, 4)
    torch.testing.assert_close(
        Gaussian.from_data(data)(normal(3, 4, seed=1), scalar(0.2)), data.expand(3, 4)
    )


@level
def test_mixture_density_is_scipys(sigma):
    means, covs, x = normal(3, 4), covariances(3, 4), normal(6, 4, seed=5) * (1 + sigma)
    D = GaussianMixture(means, covs, 10 * WEIGHTS)  # weights are normalised
    logs = [
        np.log(w) + stats.multivariate_normal(m, c + sigma**2 * np.eye(4)).logpdf(x.numpy())
        for w, m, c in zip(*map(np.asarray, (WEIGHTS, means, covs)))
    ]
    np.testing.assert_allclose(D.log_prob(x, scalar(sigma)), np.logaddexp.reduce(logs), rtol=1e-9)
    np.testing.assert_allclose(
        D.responsibilities(x, scalar(sigma)), np.exp(logs - np.logaddexp.reduce(logs)).T, atol=1e-9
    )


@pytest.mark.parametrize("noise", [0.0, 0.2])
@pytest.mark.parametrize("sigma", [0.05, 0.7, 6.0, 80.0])
def test_molrg_is_the_mixture_with_full_covariances(noise, sigma):
    low = MoLRG(bases(6, 1, 2, 3), WEIGHTS, **GENERAL, noise=noise)
    covs = torch.stack(
        [
            (U * v) @ U.T + noise**2 * torch.eye(6).double()
            for U, v in zip(bases(6, 1, 2, 3), spread(1, 2, 3))
        ]
    )
    full = GaussianMixture(GENERAL["means"], covs, WEIGHTS)
    x = normal(9, 6, seed=7) * (1 + sigma)
    torch.testing.assert_close(
        low(x, scalar(sigma)), full(x, scalar(sigma)), rtol=1e-10, atol=1e-10
    )
    torch.testing.assert_close(
        low.log_prob(x, scalar(sigma)), full.log_prob(x, scalar(sigma)), rtol=1e-10, atol=1e-8
    )
    torch.testing.assert_close(low.covs, covs)


@pytest.mark.parametrize("sigma", [0.05, 0.7, 6.0])
def test_molrg_is_the_published_softmax_of_projections(sigma):
    Us, x = bases(7, 2, 2, 3), normal(5, 7, seed=2)
    phi = 1 / (
        2 * sigma**2 * (1 + sigma**2)
    )  # Wang et al., lemma 1, with s = 1 and gamma = sigma; unequal dimensions
    logits = torch.stack(
        [
            phi * (x @ U).square().sum(1) + 0.5 * U.shape[1] * np.log(sigma**2 / (1 + sigma**2))
            for U in Us
        ],
        1,
    )
    want = sum(w[:, None] * (x @ U) @ U.T for w, U in zip(logits.softmax(1).unbind(1), Us)) / (
        1 + sigma**2
    )
    torch.testing.assert_close(MoLRG(Us)(x, scalar(sigma)), want, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("sigma", [0.02, 0.3])
def test_molrg_in_float32_is_right_near_its_subspaces(sigma):
    Us = bases(48, 6, 6)
    x = (MoLRG(Us).sample(20, generator(0)) + sigma * normal(20, 48)).float()
    single = MoLRG([U.float() for U in Us])
    torch.testing.assert_close(
        single(x, scalar(sigma, torch.float32)),
        MoLRG(Us)(x.double(), scalar(sigma)).float(),
        rtol=1e-4,
        atol=1e-4,
    )


def test_empirical_is_the_mixture_of_vanishing_covariances():
    data, x = normal(6, 3), normal(5, 3, seed=1)
    tiny = GaussianMixture(data, 1e-12 * torch.eye(3).double().expand(6, 3, 3))
    for sigma in (0.1, 1.0, 10.0):
        torch.testing.assert_close(
            Empirical(data)(x, scalar(sigma)), tiny(x, scalar(sigma)), rtol=1e-7, atol=1e-7
        )
        torch.testing.assert_close(
            Empirical(data).log_prob(x, scalar(sigma)),
            tiny.log_prob(x, scalar(sigma)),
            rtol=1e-7,
            atol=1e-7,
        )


@level
@pytest.mark.parametrize("shape", [(64,), (1, 28, 28)])
def test_float32_weights_are_right_to_1e_4(sigma, shape):
    near = normal(1, *shape, seed=1) + 0.4 * min(sigma, 1.0) * normal(40, *shape, seed=2) / np.sqrt(
        np.prod(shape)
    )
    data = torch.cat([near, normal(60, *shape, seed=3)]).float()
    x = (data[:10].double() + sigma * normal(10, *shape, seed=4)).float()
    weights = Empirical(data).weights(x, scalar(sigma, torch.float32))
    want = brute(x, data, float(scalar(sigma, torch.float32)))
    assert (
        2 < 1 / (want**2).sum(1).mean() <= 100
    )  # several points share the weight, or the test says nothing
    np.testing.assert_allclose(weights.double(), want, rtol=1e-4, atol=1e-7)
    answer = Empirical(data)(x, scalar(sigma, torch.float32)).flatten(1)
    np.testing.assert_allclose(answer, want @ data.flatten(1).double().numpy(), atol=1e-5)


@level
@pytest.mark.parametrize("bound", [5_000, 40_000])
def test_empirical_does_not_depend_on_its_memory_bound(sigma, bound):
    data, x = normal(300, 2, 4), normal(70, 2, 4, seed=1) * (1 + sigma)
    small, large = Empirical(data, max_memory=bound), Empirical(data)
    for call in ("__call__", "weights", "log_prob"):
        torch.testing.assert_close(
            getattr(small, call)(x, scalar(sigma)),
            getattr(large, call)(x, scalar(sigma)),
            rtol=1e-9,
            atol=1e-12,
        )


@pytest.mark.parametrize(
    "D",
    [Empirical(normal(12, 4)), Empirical(normal(12, 4), max_memory=1000), ZOO["molrg, general"]],
)
def test_jacobians_by_every_mode_agree(D):
    x, sigma = normal(3, *D.event_shape, seed=8), torch.tensor([0.3, 0.8, 2.0]).double()
    forward, backward = vmap(jacfwd(D))(x, sigma), vmap(jacrev(D))(x, sigma)
    plain = torch.autograd.functional.jacobian(lambda z: D(z, sigma).sum(0), x).movedim(1, 0)
    torch.testing.assert_close(forward, backward)
    torch.testing.assert_close(plain, backward)


def test_empirical_jacobian_is_the_covariance_of_its_weights():
    data, x = normal(10, 4), normal(1, 4, seed=1)
    D, sigma = Empirical(data), scalar(0.7)
    w = D.weights(x, sigma)[0]
    centred = data - w @ data
    torch.testing.assert_close(jacrev(D)(x, sigma)[0, :, 0], (centred.T * w) @ centred / sigma**2)


@zoo
def test_nothing_is_nan_at_level_zero(D):
    x = normal(4, *D.event_shape, seed=3)
    at_zero, near_zero = D(x, scalar(0.0)), D(x, scalar(1e-7))
    torch.testing.assert_close(at_zero, near_zero, rtol=1e-6, atol=1e-6)
    try:
        assert not D.log_prob(x).isnan().any()
    except ValueError as error:
        assert "singular" in str(error)  # noqa: PT017


@zoo
def test_samples_have_the_mean_of_the_law_and_the_generator_decides(D):
    drawn = D.sample(4000, generator(1))
    assert drawn.shape == (4000, *D.event_shape)
    assert torch.equal(drawn, D.sample(4000, generator(1)))
    errors = (drawn.mean(0) - D.mean).abs() / (drawn.std(0) / np.sqrt(4000))
    assert float(errors.max()) < sigmas(drawn[0].numel())


def test_noised_samples_have_the_density():
    D = ZOO["molrg, general"]
    one = GaussianMixture(
        D.means[:, :1], D.covs[:, :1, :1], WEIGHTS
    )  # the first coordinate's own law
    grid = torch.linspace(-12, 12, 4001).double()
    cumulative = torch.cumulative_trapezoid(one.log_prob(grid[:, None], 0.5).exp(), grid)
    assert float(cumulative[-1]) == pytest.approx(1, abs=1e-9)
    drawn = D.sample(3000, generator(5))[:, 0] + 0.5 * normal(3000, seed=6)
    assert stats.kstest(np.interp(drawn, grid[1:], cumulative), "uniform").pvalue > FAILURE_RATE


def test_types_follow_x_and_batches_may_be_empty():
    D = Empirical(normal(9, 2, 2).float())
    assert D(normal(3, 2, 2), scalar(0.5)).dtype == torch.float64
    assert Empirical(normal(9, 2, 2))(normal(3, 2, 2).float(), scalar(0.5)).dtype == torch.float32
    assert ZOO["mixture"](normal(2, 3, 5).half(), scalar(0.5)).dtype == torch.float16
    assert D(normal(2, 2), scalar(0.5)).shape == (2, 2)
    for every in ZOO.values():
        assert every(torch.empty(0, *every.event_shape).double(), scalar(0.5)).shape == (
            0,
            *every.event_shape,
        )


MISTAKES = {
    "event shape": lambda: ZOO["gaussian"](normal(2, 6), scalar(1.0)),
    "more axes": lambda: ZOO["gaussian"](normal(5), torch.ones(5)),
    "not a prefix": lambda: ZOO["gaussian"](normal(2, 5), torch.ones(3)),
    "symmetric": lambda: Gaussian(normal(2), torch.tensor([[1.0, 0.5], [0.0, 1.0]])),
    "negative eigenvalue": lambda: Gaussian(normal(2), torch.diag(torch.tensor([1.0, -1.0]))),
    "cov must have shape": lambda: Gaussian(normal(2), torch.eye(3)),
    "ridge": lambda: Gaussian.from_data(normal(3, 2), ridge=-1.0),
    "same K": lambda: GaussianMixture(normal(2, 3), covariances(3, 3)),
    "weights": lambda: GaussianMixture(normal(2, 3), covariances(2, 3), torch.tensor([1.0, -0.5])),
    "orthonormal": lambda: MoLRG([normal(4, 2)]),
    "same n": lambda: MoLRG([*bases(4, 2), *bases(5, 2)]),
    "one number for each column": lambda: MoLRG(bases(4, 2), variances=[torch.ones(3)]),
    "means must": lambda: MoLRG(bases(4, 2), means=normal(2, 4)),
    "noise": lambda: MoLRG(bases(4, 2), noise=-1.0),
    "no density": lambda: MoLRG(bases(4, 2)).log_prob(normal(4)),
    "finite floats": lambda: Empirical(torch.full((2, 2), torch.nan)),
    "got torch.uint8": lambda: Empirical(torch.zeros(2, 2, dtype=torch.uint8)),
    "too small": lambda: Empirical(normal(3, 784), max_memory=1000)(normal(1, 784), scalar(1.0)),
}


@pytest.mark.parametrize(("message", "mistake"), MISTAKES.items())
def test_mistakes_are_named(message, mistake):
    with pytest.raises(ValueError, match=message):
        mistake()


BOUNDED = """
from pathlib import Path
import torch
from denoscope import Empirical

def peak():
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))

data = torch.randn(60_000, 784, generator=torch.Generator().manual_seed(0))
x = data[:300] + 0.3 * torch.randn(300, 784, generator=torch.Generator().manual_seed(1))
Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
before = peak()
answer = Empirical(data, max_memory="256MiB")(x, torch.tensor(0.3))
extra = peak() - before
torch.testing.assert_close(answer, data[:300])
print(extra)
"""


@pytest.mark.slow
@pytest.mark.skipif(
    not os.access("/proc/self/clear_refs", os.W_OK), reason="peak memory is reset through /proc"
)
def test_sixty_thousand_images_fit_a_bounded_memory():
    """In a process of its own: what earlier tests freed would be used again, and no growth would
    show.
    """
    done = subprocess.run([sys.executable, "-c", BOUNDED], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert 2**20 < int(done.stdout) < 256 * 2**20, f"{int(done.stdout) / 2**20:.0f} MiB"
