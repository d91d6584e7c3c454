"""Geometry-adaptive harmonics: eigenpairs of symmetrised Jacobians against closed forms, planted
spectra and dense eigendecompositions.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.func import jacrev
from zoo import ZOO, normal

from denoscope.distributions import Empirical, Gaussian, MoLRG
from denoscope.geometry.field import rows_at_once
from denoscope.geometry.harmonic_basis import Harmonics, harmonics
from denoscope.geometry.subspaces import project_out, projector_distance
from denoscope.networks import UNet
from denoscope.random import generator
from denoscope.types import Denoiser

LEVELS = torch.tensor([0.1, 0.6, 4.0], dtype=torch.float64)


def linear(A: Tensor) -> Denoiser:
    """The denoiser ``A x`` on flattened points."""
    return lambda x, sigma: (x.flatten(1) @ A.T).reshape(x.shape)


def planted(values: Tensor, twist: float = 0.3) -> Tensor:
    """A matrix whose symmetric part has these eigenvalues, with an antisymmetric part beside it."""
    n = len(values)
    Q, other = torch.linalg.qr(normal(n, n, seed=3)).Q, normal(n, n, seed=4)
    return (Q * values) @ Q.T + twist * (other - other.T) / math.sqrt(n)


def decaying(n: int, power: float = 1.0) -> Tensor:
    return torch.arange(1, n + 1, dtype=torch.float64) ** -power


def dense(D: Denoiser, x: Tensor, sigma: Tensor) -> Tensor:
    """Jacobians (b, n, n) of points (b, *event) by reverse mode, one point at a time."""
    n = x[0].numel()

    def one(point: Tensor, level: Tensor) -> Tensor:
        return jacrev(lambda y: D(y[None], level[None])[0])(point).reshape(n, n)

    return torch.stack([one(*pair) for pair in zip(x, sigma)])


def residuals(A: Tensor, found: Harmonics) -> Tensor:
    """``|H e - lambda e|`` of every pair, H the symmetric part of A."""
    rows = found.vectors.reshape(*found.values.shape, -1)
    return (rows @ (0.5 * (A + A.mT)) - found.values[..., None] * rows).norm(dim=-1)


def proper(found: Harmonics) -> bool:
    """Orthonormal vectors, descending values, and the entry of largest modulus positive."""
    rows = found.vectors.reshape(*found.values.shape, -1)
    gram = rows @ rows.mT - torch.eye(rows.shape[-2], dtype=rows.dtype)
    peaks = rows.gather(-1, rows.abs().argmax(-1, keepdim=True))
    descending = bool((found.values.diff(dim=-1) <= 1e-6 * found.values.abs().max()).all())
    return (
        float(gram.abs().max()) < 1e3 * torch.finfo(rows.dtype).eps
        and descending
        and bool((peaks > 0).all())
    )


# closed forms


@pytest.mark.parametrize("n", [12, 250])
def test_a_gaussian_has_the_eigenvectors_of_its_covariance_at_every_point(n: int):
    lam, Q = decaying(n, 1.5), torch.linalg.qr(normal(n, n)).Q
    found = harmonics(Gaussian(normal(n, seed=1), (Q * lam) @ Q.T), normal(3, n, seed=2), LEVELS, 5)
    assert proper(found)
    assert torch.allclose(found.values, lam[:5] / (lam[:5] + LEVELS[:, None] ** 2), atol=1e-9)
    assert torch.allclose(
        (found.vectors @ Q[:, :5]).abs(),
        torch.eye(5, dtype=torch.float64).expand(3, 5, 5),
        atol=1e-6,
    )


@pytest.mark.parametrize("k", [3, 7, 11, 14])
@pytest.mark.parametrize("n", [40, 200])
def test_a_mixture_of_subspaces_has_them_in_full_with_equal_eigenvalues(n: int, k: int):
    """At low noise the eigenvalues are 1/(1 + sigma^2) on the subspace at hand, seven times, and 0
    off it.
    """
    D = MoLRG.random(n, [7, 4], seed=2)
    x = D.labelled([2, 1], generator(3)).points[:1] + 0.05 * normal(1, n)
    found = harmonics(D, x, torch.tensor([0.05]), k)
    assert proper(found)
    want = torch.zeros(14, dtype=torch.float64)
    want[:7] = 1 / (1 + 0.05**2)
    assert torch.allclose(found.values[0], want[:k], atol=1e-6)
    inside = found.vectors[0, : min(k, 7)].T
    assert float(project_out(inside, D.bases[0]).abs().max()) < 1e-6
    if k >= 7:
        assert float(projector_distance(found.vectors[0, :7].T, D.bases[0])) < 1e-6


def test_points_have_the_principal_axes_of_their_weighted_covariance():
    D, sigma = Empirical(normal(6, 1, 12, 13)), torch.tensor([4.0, 9.0], dtype=torch.float64)
    x = 4 * normal(2, 1, 12, 13, seed=1)
    found = harmonics(D, x, sigma, 8)
    rows, weights = D.data.flatten(1), D.weights(x, sigma)
    centred = rows - (weights @ rows)[:, None]
    cov = torch.einsum("bi,bij,bik->bjk", weights, centred, centred) / sigma[:, None, None] ** 2
    assert proper(found)
    assert found.vectors.shape == (2, 8, 1, 12, 13)
    assert torch.allclose(found.values, torch.linalg.eigvalsh(cov).flip(1)[:, :8], atol=1e-9)
    assert float(found.values[:, 5:].abs().max()) < 1e-9 < float(found.values[:, 4].min()), (
        "six points span five directions"
    )
    assert (
        float(
            torch.stack(
                [residuals(c, Harmonics(v, e)) for c, v, e in zip(cov, found.values, found.vectors)]
            ).max()
        )
        < 1e-8
    )


@pytest.mark.parametrize("name", ZOO)
def test_every_closed_form_agrees_with_its_dense_jacobian(name: str):
    D = ZOO[name]
    x = normal(3, *D.event_shape, seed=5)
    n = x[0].numel()
    J = dense(D, x, LEVELS)
    found = harmonics(D, x, LEVELS, n)
    assert proper(found)
    rebuilt = torch.einsum(
        "bk,bki,bkj->bij", found.values, found.vectors.flatten(2), found.vectors.flatten(2)
    )
    assert torch.allclose(rebuilt, 0.5 * (J + J.mT), atol=1e-9)


# planted spectra


@pytest.mark.parametrize(
    "values",
    [
        decaying(300),
        torch.cat([-3 * decaying(150), decaying(150)]),
        torch.cat([torch.ones(5), 0.5 * torch.ones(6), torch.zeros(189)]).double(),
        torch.linspace(-1, 1, 180, dtype=torch.float64),
        -decaying(200),
        torch.ones(200, dtype=torch.float64),
        torch.zeros(200, dtype=torch.float64),
    ],
    ids=["decaying", "of both signs", "equal ones", "flat", "negative", "identity", "zero"],
)
@pytest.mark.parametrize("k", [1, 6, 13])
def test_a_planted_spectrum_is_found_by_value(values: Tensor, k: int):
    A = planted(values)
    found = harmonics(linear(A), normal(2, len(values)), torch.ones(2), k)
    want = values.sort(descending=True).values[:k]
    assert proper(found)
    assert torch.allclose(found.values, want.expand(2, k), atol=1e-8)
    assert float(residuals(A, found).max()) < 1e-8


def test_small_points_and_all_of_the_spectrum():
    values = torch.tensor([2.0, 1.0, 0.0, -1.0], dtype=torch.float64)
    A = planted(values)
    found = harmonics(linear(A), normal(4), 1.0, 4)
    assert proper(found)
    assert torch.allclose(found.values, values)
    assert float(residuals(A, found).max()) < 1e-12
    assert harmonics(linear(torch.ones(1, 1)), torch.ones(1), 1.0, 1).vectors.tolist() == [[1.0]]


@pytest.mark.parametrize("scale", [1e-12, 1e-33, 1e-42])
def test_a_jacobian_below_rounding_has_finite_answers(scale: float):
    """As that of points has where one of them has all the weight."""
    A = scale * planted(decaying(300)).float()
    found = harmonics(linear(A), normal(2, 300).float(), torch.ones(2), 4)
    assert proper(found)
    assert float(found.values.abs().max()) <= 2 * scale


def test_low_rank_costs_products_of_the_order_of_the_rank():
    """Rows through the derivatives of a denoiser that is not symmetric, at least n the dense way;
    and never more at once than the bound.
    """
    products, n = [], 1000
    U, V = torch.linalg.qr(normal(n, 6)).Q, normal(n, 6, seed=1) / math.sqrt(n)
    A = U @ (U + 0.5 * V).T

    class Counted(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x: Tensor, matrix: Tensor) -> Tensor:
            ctx.save_for_backward(matrix)
            return x @ matrix.T

        @staticmethod
        def backward(ctx, *grad: Tensor) -> tuple[Tensor, None]:
            products.append(len(grad[0]))
            return Counted.apply(grad[0], ctx.saved_tensors[0].T), None

    found = harmonics(lambda x, sigma: Counted.apply(x, A), normal(1, n), torch.ones(1), 6)
    assert torch.allclose(found.values[0], torch.linalg.eigvalsh(0.5 * (A + A.T)).flip(0)[:6])
    assert sum(products) < n // 5
    assert max(products) <= rows_at_once(normal(1, n))


def test_points_go_their_own_way():
    """Points that settle at different steps, together and alone, give the same pairs."""
    slow, fast = (
        planted(decaying(200, 0.6)),
        planted(torch.cat([decaying(8), torch.zeros(192)]), 0.0),
    )

    def D(x: Tensor, sigma: Tensor) -> Tensor:
        return torch.where(sigma[:, None] > 1, x @ slow.T, x @ fast.T)

    x, level = normal(5, 200), torch.tensor([0.5, 2.0, 0.6, 3.0, 0.7], dtype=torch.float64)
    together = harmonics(D, x, level, 4)
    for i in range(5):
        alone = harmonics(D, x[i], level[i], 4)
        assert torch.allclose(together.values[i], alone.values, atol=1e-9)
        assert torch.allclose(together.vectors[i], alone.vectors, atol=1e-6)


def test_the_seed_moves_nothing_but_rounding():
    A, x = planted(decaying(200)), normal(2, 200)
    first, again, other = (
        harmonics(linear(A), x, torch.ones(2), 5, seed=seed) for seed in (0, 0, 9)
    )
    assert torch.equal(first.vectors, again.vectors)
    assert torch.allclose(first.values, other.values, atol=1e-10)
    assert torch.allclose(first.vectors, other.vectors, atol=1e-7)


@pytest.mark.parametrize("n", [(3, 4), (12, 12)])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_answers_have_the_shape_of_the_levels(shape: tuple[int, ...], n: tuple[int, int]):
    A = planted(decaying(math.prod(n)))
    found = harmonics(linear(A), normal(*shape, 1, *n), torch.full(shape, 0.5), 3)
    assert found.values.shape == (*shape, 3)
    assert found.vectors.shape == (*shape, 3, 1, *n)
    assert proper(found)
    clean = normal(*shape, 1, *n, seed=2)
    want = np.einsum("...kchw,...chw->...k", found.vectors.numpy(), clean.numpy())
    assert np.allclose(found.coefficients(clean).numpy(), want)
    level = torch.full(shape, 0.5, dtype=torch.float64)
    assert np.allclose(found.oracle(clean, level).numpy(), want**2 / (want**2 + 0.25))


# shrinkage


def test_a_denoiser_without_constants_shrinks_its_harmonics_by_their_values():
    H = planted(decaying(150), twist=0.0)
    x = normal(3, 150)
    found = harmonics(linear(H), x, LEVELS, 20)
    assert torch.allclose(
        found.coefficients(linear(H)(x, LEVELS)), found.values * found.coefficients(x), atol=1e-8
    )


def test_no_shrinkage_has_less_risk_than_the_oracle():
    """Of diagonal rules ``a_k <x, e_k>`` the oracle's has the least expected squared error for this
    image, and it depends on it.
    """
    clean, sigma = 2 * normal(30), 0.7
    found = harmonics(linear(planted(decaying(30))), normal(30, seed=1), sigma, 10)
    signal, best = found.coefficients(clean), found.oracle(clean, sigma)

    def risk(a: Tensor) -> Tensor:
        return (1 - a) ** 2 * signal**2 + a**2 * sigma**2

    for other in (best + 0.01, best - 0.01, found.values, torch.zeros(10), torch.ones(10)):
        assert bool((risk(best) <= risk(other)).all())
    assert torch.equal(
        found.oracle(torch.zeros(30, dtype=torch.float64), sigma),
        torch.zeros(10, dtype=torch.float64),
    )


# networks and bad input


@pytest.mark.parametrize(("size", "k"), [(8, 6), (12, 5)])
def test_a_random_network_agrees_with_its_dense_jacobian(size: int, k: int):
    net = UNet((1, size, size), 8, seed=0)
    with torch.no_grad():
        for index, parameter in enumerate(net.parameters()):
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator(4, index))
    x, level = torch.randn(2, 1, size, size, generator=generator(1)), torch.tensor([0.1, 2.0])
    J = dense(net, x, level).detach().double()
    values = torch.linalg.eigvalsh(0.5 * (J + J.mT)).flip(1)[:, :k]
    found = harmonics(net, x, level, k)
    assert found.values.dtype == torch.float32
    assert proper(found)
    assert torch.allclose(found.values.double(), values, atol=1e-4 * float(values.max()))
    for matrix, pair in zip(J, zip(found.values.double(), found.vectors.double())):
        assert float(residuals(matrix, Harmonics(*pair)).max()) < 1e-4 * float(values.max())


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda D, x: harmonics(D, x, 1.0, 0), "k must be"),
        (lambda D, x: harmonics(D, x, 1.0, 7), "k must be"),
        (lambda D, x: harmonics(D, x, 0.0, 2), "sigma"),
        (lambda D, x: harmonics(D, x, torch.ones(3), 2), "sigma"),
        (lambda D, x: harmonics(lambda y, s: y[:, :3], x, 1.0, 2), "shape"),
        (lambda D, x: harmonics(lambda y, s: y * math.nan, x, 1.0, 2), "finite"),
        (lambda D, x: harmonics(D, x, 1.0, 2).coefficients(x[:5]), "image"),
        (lambda D, x: harmonics(D, x, 1.0, 2).oracle(x[None], 1.0), "image"),
        (lambda D, x: harmonics(D, x, 1.0, 2).oracle(x, 0.0), "sigma"),
        (lambda D, x: harmonics(D, x, 1.0, 2).oracle(x, torch.ones(3)), "sigma"),
    ],
)
def test_bad_input_is_one_clear_line(call, words: str):
    with pytest.raises(ValueError, match=words) as caught:
        call(linear(torch.eye(6, dtype=torch.float64)), normal(6))
    assert "\n" not in str(caught.value)
