"""Traces and norms of Jacobians, projection, posterior covariances: dense matrices, closed forms,
unbiasedness and honest standard errors.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from rates import sigmas
from scipy import stats
from torch import Tensor
from torch.func import jacrev
from zoo import ZOO, bases, covariances, normal

from denoscope.distributions import Empirical, Gaussian, MoLRG
from denoscope.distributions.mixture import Mixture
from denoscope.geometry.field import rows_at_once
from denoscope.geometry.posterior import log_determinant, posterior_covariance, posterior_spectrum
from denoscope.geometry.subspaces import project_out
from denoscope.geometry.traces import score_divergence, squared_norm, sure, trace
from denoscope.networks import UNet
from denoscope.random import generator
from denoscope.types import Denoiser, pad


def linear(A: Tensor) -> Denoiser:
    """The denoiser ``A x`` on flattened points."""
    return lambda x, sigma: (x.flatten(1) @ A.T).reshape(x.shape)


def planted(n: int, rank: int = 5, rest: float = 0.02) -> Tensor:
    """A matrix that is not symmetric: ``rank`` large directions and a small full remainder."""
    return normal(n, rank, seed=1) @ normal(rank, n, seed=2) / math.sqrt(n) + rest * normal(
        n, n, seed=3
    )


def points(D: Gaussian | Mixture | Empirical) -> Tensor:
    return normal(4, *D.event_shape)


def dense(D: Denoiser, x: Tensor, sigma: Tensor) -> Tensor:
    """Jacobians (b, n, n) of points (b, *event) by reverse mode, one point at a time."""
    n = x[0].numel()

    def one(point: Tensor, level: Tensor) -> Tensor:
        return jacrev(lambda y: D(y[None], level[None])[0])(point).reshape(n, n)

    return torch.stack([one(*pair) for pair in zip(x, sigma)])


LEVELS = torch.tensor([0.05, 0.4, 1.5, 8.0], dtype=torch.float64)


# projection


@pytest.mark.parametrize(
    "shapes",
    [
        ((9,), (9, 3)),
        ((9, 4), (9, 3)),
        ((5, 9), (5, 9, 3)),
        ((5, 9, 2), (1, 9, 3)),
        ((1, 9), (2, 9, 9)),
    ],
)
def test_projection_is_that_of_the_formed_matrix(shapes: tuple[tuple[int, ...], tuple[int, ...]]):
    v, V = normal(*shapes[0]), torch.linalg.qr(normal(*shapes[1], seed=1)).Q
    matrix = torch.eye(9, dtype=torch.float64) - V @ V.mT
    want = matrix @ v if v.ndim == V.ndim else (matrix @ v[..., None])[..., 0]
    assert torch.allclose(project_out(v, V), want, atol=1e-14)


def test_what_is_left_of_a_vector_almost_in_the_span_is_orthogonal_to_it():
    V = torch.linalg.qr(normal(50, 7)).Q
    v = V @ normal(7, seed=1) + 1e-9 * normal(50, seed=2)
    left = project_out(v, V)
    once = v - V @ (V.T @ v)
    assert (
        float((V.T @ left).norm() / left.norm()) < 1e-14 < float((V.T @ once).norm() / once.norm())
    )


def test_a_subspace_of_no_dimensions_leaves_everything():
    v = normal(6, 2)
    assert torch.equal(project_out(v, torch.empty(6, 0, dtype=torch.float64)), v)


@pytest.mark.parametrize(
    ("v", "V", "words"),
    [
        (normal(9), normal(9, 2), "orthonormal"),
        (normal(8), bases(9, 2)[0], "same n"),
        (normal(3, 2, 9), bases(9, 2)[0], "one fewer"),
        (normal(3, 9), bases(9, 2)[0].expand(2, 9, 2), "leading axes"),
    ],
)
def test_projections_that_make_no_sense_are_refused(v: Tensor, V: Tensor, words: str):
    with pytest.raises(ValueError, match=words):
        project_out(v, V)


# exact traces and norms


@pytest.mark.parametrize("name", ZOO)
def test_few_numbers_are_exact(name: str):
    D = ZOO[name]
    x = points(D)
    J = dense(D, x, LEVELS)
    norm, total = squared_norm(D, x, LEVELS), trace(D, x, LEVELS)
    assert torch.allclose(norm.value, J.square().sum((1, 2)), rtol=1e-9, atol=1e-14)
    assert torch.allclose(total.value, J.diagonal(dim1=1, dim2=2).sum(1), rtol=1e-9, atol=1e-13)
    assert norm.probes == total.probes == 0
    assert not bool(norm.error.any())
    assert not bool(total.error.any())


def test_the_trace_of_a_gaussian_is_the_sum_of_its_wiener_factors():
    cov = covariances(1, 300)[0]
    D, lam = Gaussian(normal(300), cov), torch.linalg.eigvalsh(cov)
    x = normal(3, 300, seed=4)
    level = torch.tensor([0.1, 1.0, 10.0], dtype=torch.float64)
    factors = lam / (lam + level[:, None] ** 2)
    exact = trace(D, x, level, probes=100)
    assert exact.probes == 0
    assert torch.allclose(exact.value, factors.sum(1))
    found = trace(D, x, level)
    assert found.probes == 32
    assert bool(
        ((found.value - factors.sum(1)).abs() < float(stats.t.isf(1e-7, 31)) * found.error).all()
    )
    norm = squared_norm(D, x, level)
    assert bool(
        (
            (norm.value - factors.square().sum(1)).abs() < float(stats.t.isf(1e-7, 31)) * norm.error
        ).all()
    )


@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_answers_have_the_shape_of_the_levels(shape: tuple[int, ...]):
    A = planted(40)
    x, level = normal(*shape, 2, 4, 5), torch.full(shape, 0.5, dtype=torch.float64)
    basis = torch.linalg.qr(normal(*shape, 40, 6)).Q
    for found in (
        squared_norm(linear(A), x, level, probes=4),
        squared_norm(linear(A), x, level, probes=4, basis=basis),
        trace(linear(A), x, level, probes=4),
        score_divergence(linear(A), x, level),
        sure(linear(A), x, level),
    ):
        assert found.value.shape == found.error.shape == shape
    covariance, spectrum = (
        posterior_covariance(linear(A), x, level),
        posterior_spectrum(linear(A), x, level),
    )
    assert covariance.shape == (*shape, 40, 40)
    assert spectrum.shape == (*shape, 40)
    assert log_determinant(linear(A), x, level).value.shape == shape


# random directions


MANY = 600  # points at one place: as many independent estimates


def fair(values: Tensor) -> bool:
    """Whether independent values have the mean 0."""
    return abs(float(values.mean())) < sigmas(20) * float(values.std()) / math.sqrt(len(values))


@pytest.mark.parametrize("probes", [3, 12])
@pytest.mark.parametrize("known", [0, 4])
def test_squared_norms_are_unbiased_with_honest_errors(probes: int, known: int):
    A = planted(60, rest=0.3)
    basis = (
        torch.linalg.qr(A.T @ normal(60, known, seed=7)).Q.expand(MANY, 60, known)
        if known
        else None
    )
    found = squared_norm(
        linear(A),
        torch.zeros(MANY, 60, dtype=torch.float64),
        torch.ones(MANY),
        probes=probes,
        basis=basis,
        seed=3,
    )
    off = found.value - A.square().sum()
    assert found.probes == probes
    assert float(off.std()) > 0
    assert fair(off)
    assert fair(found.error**2 - off**2)


@pytest.mark.parametrize("probes", [3, 12])
def test_traces_are_unbiased_with_honest_errors(probes: int):
    A = planted(60, rest=0.3) + torch.eye(60)
    x, level = (
        torch.zeros(MANY, 60, dtype=torch.float64),
        torch.full((MANY,), 0.5, dtype=torch.float64),
    )
    off = trace(linear(A), x, level, probes=probes, seed=5)
    assert off.probes == probes
    assert fair(off.value - A.trace())
    assert fair(off.error**2 - (off.value - A.trace()) ** 2)
    slope = score_divergence(linear(A), x, level, probes=probes, seed=6)
    truth = (A.trace() - 60) / 0.25
    assert fair(slope.value - truth)
    assert fair(slope.error**2 - (slope.value - truth) ** 2)


def test_a_sketch_and_a_basis_leave_little_to_chance():
    A, x = planted(300), torch.zeros(300, dtype=torch.float64)
    plain, V = squared_norm(linear(A), x, 1.0, probes=16), torch.linalg.svd(A).Vh[:5].T
    helped = squared_norm(linear(A), x, 1.0, probes=16, basis=V)
    assert float(helped.error) < 0.1 * float(plain.error)
    low = planted(300, rest=0.0)
    exact = squared_norm(linear(low), x, 1.0, probes=4, basis=torch.linalg.svd(low).Vh[:5].T)
    assert torch.allclose(exact.value, low.square().sum())
    assert float(exact.error) < 1e-12 * float(exact.value)
    found = trace(linear(low), x, 1.0, probes=6)
    assert found.probes == 6
    assert torch.allclose(found.value, low.trace())
    assert float(found.error) < 1e-9


def test_multiples_of_the_identity_and_diagonals_have_no_error():
    x = torch.zeros(2, 400, dtype=torch.float64)
    found = trace(linear(2.5 * torch.eye(400, dtype=torch.float64)), x, torch.ones(2), probes=5)
    assert torch.allclose(found.value, torch.full((2,), 1000.0, dtype=torch.float64))
    assert float(found.error.max()) < 1e-9
    diagonal = torch.linspace(0, 1, 400, dtype=torch.float64)
    norm = squared_norm(linear(diagonal.diag()), x, torch.ones(2), probes=5)
    assert torch.allclose(norm.value, diagonal.square().sum().expand(2))
    assert float(norm.error.max()) < 1e-9


def test_directions_are_a_function_of_the_seed_and_the_point_alone():
    A, x = planted(60), normal(5, 60)
    level = torch.ones(5)
    for estimate in (squared_norm, trace, score_divergence, sure):
        whole, again = (
            estimate(linear(A), x, level, probes=4),
            estimate(linear(A), x, level, probes=4),
        )
        part, other = (
            estimate(linear(A), x[:2], level[:2], probes=4),
            estimate(linear(A), x, level, probes=4, seed=1),
        )
        assert torch.equal(whole.value, again.value)
        assert torch.allclose(whole.value[:2], part.value, rtol=1e-12)
        assert not bool((whole.value == other.value).any())
    same = squared_norm(linear(A), x[:1].expand(5, 60), level, probes=4)
    assert len(same.value.unique()) == 5


def test_calls_stay_small():
    sizes, A = [], planted(200)

    def watched(x: Tensor, sigma: Tensor) -> Tensor:
        sizes.append(len(x))
        return linear(A)(x, sigma)

    trace(watched, normal(3, 200), torch.ones(3))
    squared_norm(watched, normal(3, 200), torch.ones(3), probes=150)
    assert max(sizes) <= rows_at_once(normal(3, 200))


# what follows from the trace


@pytest.mark.parametrize("law", ["mixture", "molrg", "molrg, general"])
def test_score_divergence_is_the_derivative_of_the_score(law: str):
    D = ZOO[law]
    assert isinstance(D, Mixture)
    x = points(D)
    want = dense(D.score, x, LEVELS).diagonal(dim1=1, dim2=2).sum(1)
    assert torch.allclose(score_divergence(D, x, LEVELS).value, want, rtol=1e-8)


def test_score_divergence_in_single_precision_at_low_noise():
    """There ``tr J`` is close to n, and its difference to n small."""
    n, sigma = 250, 1e-2
    D = Gaussian(torch.zeros(n), 1e-1 * torch.eye(n))
    want = -n / (1e-1 + sigma**2)
    assert float(score_divergence(D, torch.ones(n), sigma).value) == pytest.approx(want, rel=1e-3)


@pytest.mark.parametrize("sigma", [0.3, 2.0])
def test_sure_expects_the_squared_error_whatever_the_denoiser(sigma: float):
    n, count = 12, 4000
    truth, wrong = Gaussian(normal(n), covariances(1, n)[0]), Empirical(normal(30, n, seed=3))
    clean = truth.sample(count, generator(1))
    x, level = (
        clean + sigma * normal(count, n, seed=8),
        torch.full((count,), sigma, dtype=torch.float64),
    )
    for D in (truth, wrong):
        risk = sure(D, x, level)
        assert fair(risk.value - (D(x, level) - clean).square().sum(1))
    least = float((truth(x, level) - clean).square().sum(1).mean())
    assert least == pytest.approx(sigma**2 * float(trace(truth, x[0], sigma).value), rel=0.2)


def test_sure_carries_the_error_of_its_trace():
    A, x = planted(60, rest=0.3), normal(3, 60)
    level = torch.tensor([0.1, 0.5, 2.0], dtype=torch.float64)
    risk, total = sure(linear(A), x, level, probes=4), trace(linear(A), x, level, probes=4)
    assert torch.allclose(risk.error, 2 * level**2 * total.error)
    want = (x - x @ A.T).square().sum(1) - level**2 * 60 + 2 * level**2 * total.value
    assert torch.allclose(risk.value, want)


# the posterior covariance


def test_the_posterior_covariance_of_a_gaussian_is_the_inverse_of_the_summed_precisions():
    cov = covariances(1, 7)[0]
    D, x = Gaussian(normal(7), cov), normal(4, 7, seed=2)
    want = np.stack(
        [np.linalg.inv(np.linalg.inv(cov.numpy()) + np.eye(7) / s**2) for s in LEVELS.tolist()]
    )
    assert np.allclose(posterior_covariance(D, x, LEVELS).numpy(), want, rtol=1e-8, atol=1e-12)
    result = log_determinant(D, x, LEVELS)
    assert np.allclose(result.value.numpy(), np.linalg.slogdet(want)[1])
    assert result.rank.tolist() == [7] * 4
    assert np.allclose(posterior_spectrum(D, x, LEVELS).numpy(), np.linalg.eigvalsh(want)[:, ::-1])


def test_the_posterior_covariance_of_points_is_their_weighted_covariance():
    D = Empirical(normal(9, 1, 2, 3))
    x, rows = points(D), D.data.flatten(1)
    weights = D.weights(x, LEVELS)
    centred = rows - (weights @ rows)[:, None]
    want = torch.einsum("bi,bij,bik->bjk", weights, centred, centred)
    assert torch.allclose(posterior_covariance(D, x, LEVELS), want, rtol=1e-7, atol=1e-11)


def test_the_posterior_covariance_of_a_mixture_is_its_own():
    D = ZOO["molrg, general"]
    assert isinstance(D, MoLRG)
    x = points(D)
    want = LEVELS[:, None, None] ** 2 * D.jacobian(x, LEVELS)
    assert torch.allclose(posterior_covariance(D, x, LEVELS), want, rtol=1e-8, atol=1e-12)


def test_a_singular_posterior_has_a_pseudo_determinant_and_its_rank():
    variances = torch.tensor([2.0, 1.0, 0.5], dtype=torch.float64)
    U = bases(8, 3)[0]
    result = log_determinant(
        Gaussian(torch.zeros(8, dtype=torch.float64), U * variances @ U.T), normal(8), 0.7
    )
    want = float((variances * 0.49 / (variances + 0.49)).log().sum())
    assert int(result.rank) == 3
    assert float(result.value) == pytest.approx(want)
    assert abs(float(result.least)) < 1e-12


def test_eigenvalues_that_are_not_positive_are_counted_out_and_shown():
    A = (
        torch.diag(torch.tensor([2.0, 1.0, 1e-3, 0.0, -3.0], dtype=torch.float64))
        + torch.ones(5, 5).triu(1)
        - torch.ones(5, 5).tril(-1)
    )
    x = torch.zeros(5, dtype=torch.float64)
    assert torch.equal(posterior_covariance(linear(A), x, 2.0), 4 * A.diagonal().diag())
    result = log_determinant(linear(A), x, 2.0)
    assert int(result.rank) == 3
    assert float(result.value) == pytest.approx(math.log(8 * 4 * 4e-3))
    assert float(result.least) == -12
    assert int(log_determinant(linear(A), x, 2.0, threshold=0.1).rank) == 2


@pytest.mark.parametrize("sign", [0.0, -1.0])
def test_a_covariance_without_positive_eigenvalues_has_rank_0(sign: float):
    result = log_determinant(linear(sign * torch.eye(4)), torch.ones(2, 4), torch.ones(2))
    assert result.rank.tolist() == [0, 0]
    assert result.value.tolist() == [0.0, 0.0]
    assert result.least.tolist() == [sign, sign]


# networks and bad input


def test_a_random_network_agrees_with_its_dense_jacobian():
    net = UNet((1, 8, 8), 8, seed=0)
    with torch.no_grad():
        for index, parameter in enumerate(net.parameters()):
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator(4, index))
    x, level = torch.randn(3, 1, 8, 8, generator=generator(1)), torch.tensor([0.1, 0.6, 3.0])
    J = dense(net, x, level).detach()
    assert torch.allclose(
        squared_norm(net, x, level, probes=64).value, J.square().sum((1, 2)), rtol=1e-4
    )
    assert torch.allclose(trace(net, x, level).value, J.diagonal(dim1=1, dim2=2).sum(1), rtol=1e-4)
    assert torch.allclose(
        posterior_covariance(net, x, level),
        pad(level, J) ** 2 * (J + J.mT) / 2,
        atol=1e-4 * float(J.abs().max()) * 9,
    )
    Vh = torch.linalg.svd(J).Vh
    helped = squared_norm(net, x, level, probes=20, basis=Vh.mT[..., :20].contiguous())
    wide = float(stats.t.isf(1e-7, 19))
    assert bool(
        (
            (helped.value - J.square().sum((1, 2))).abs()
            < wide * helped.error + 1e-4 * helped.value
        ).all()
    )


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda D, x: squared_norm(D, x, 1.0, probes=1), "probes"),
        (lambda D, x: trace(D, x, 1.0, probes=0), "probes"),
        (lambda D, x: trace(D, x, 1.0, probes=-3), "probes"),
        (lambda D, x: squared_norm(D, x, 1.0, basis=normal(6, 2)), "orthonormal"),
        (lambda D, x: squared_norm(D, x, 1.0, basis=bases(5, 2)[0]), "basis must have shape"),
        (lambda D, x: squared_norm(D, x, 1.0, basis=bases(6, 2)[0][None]), "basis must have shape"),
        (lambda D, x: trace(D, x, 0.0), "sigma"),
        (lambda D, x: sure(D, x, -1.0), "sigma"),
        (lambda D, x: trace(lambda y, s: y[..., :-1], x, 1.0), "shape"),
        (lambda D, x: squared_norm(lambda y, s: y * math.nan, x, 1.0), "finite"),
        (lambda D, x: posterior_covariance(lambda y, s: y * math.nan, x, 1.0), "finite"),
        (lambda D, x: log_determinant(D, x, 1.0, threshold=1.0), "threshold"),
        (lambda D, x: log_determinant(D, x, 1.0, threshold=-0.1), "threshold"),
    ],
)
def test_bad_input_is_one_clear_line(call, words: str):
    with pytest.raises(ValueError, match=words) as caught:
        call(linear(planted(6)), normal(6))
    assert "\n" not in str(caught.value)
