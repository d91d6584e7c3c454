"""Jacobians of denoisers: products, matrices and leading singular vectors against closed forms,
planted spectra and dense decompositions.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from zoo import ZOO, normal

from denoscope.distributions import Empirical, Gaussian, MoLRG
from denoscope.geometry.convolutions import ConstantWeights
from denoscope.geometry.field import Field
from denoscope.geometry.jacobians import asymmetry, jacobian, jvp, vjp
from denoscope.geometry.krylov import Krylov, Operator
from denoscope.geometry.singular import SVD, svd
from denoscope.networks import MLP, Preconditioned, UNet
from denoscope.types import Denoiser


def linear(A: Tensor) -> Denoiser:
    """x -> A x over flattened points, whatever their shape."""
    return lambda x, sigma: (x.flatten(1) @ A.mT).reshape(x.shape)


def planted(S: Tensor, seed: int = 0) -> Tensor:
    """A square matrix with these singular values and unrelated singular vectors on its two
    sides.
    """
    U, V = (torch.linalg.qr(normal(len(S), len(S), seed=2 * seed + side)).Q for side in (0, 1))
    return (U * S) @ V.mT


def network(shape: tuple[int, ...], width: int, seed: int = 0) -> Preconditioned:
    """A network whose Jacobian is no multiple of the identity: as initialised, plus noise on all
    weights.
    """
    net = Preconditioned(
        UNet(shape, width, seed=seed) if shape[-1] > 1 else MLP(shape, width, seed=seed)
    ).double()
    for place, weight in enumerate(net.parameters()):
        weight.data += 0.1 * normal(*weight.shape, seed=seed + place)
    return net


def each_row(D: Denoiser, x: Tensor, sigma: Tensor) -> Tensor:
    """The Jacobian at one point by a derivative an output, in plain autograd."""
    leaf = x.clone().requires_grad_()
    return torch.stack(
        [
            torch.autograd.grad(out, leaf, retain_graph=True)[0].flatten()
            for out in D(leaf[None], sigma[None]).flatten()
        ]
    )


I = torch.arange(60, dtype=torch.float64)  # noqa: E741 - the index of the spectra below
SPECTRA = {
    "exponential": 0.8**I,
    "power": 1 / (1 + I),
    "clustered": 1.0 * (I < 4) + 0.999 * ((I >= 4) & (I < 8)) + 0.1 * (I >= 8) / (1 + I),
    "equal": torch.ones(60, dtype=torch.float64),
    "many equal": 1.0 * (I < 12) + 0.5 * 0.95**I * (I >= 12),
    "low rank": 1.0 * (I < 6),
    "nearly flat": 1 - 0.001 * I,
    "zero": 0 * I,
}


@pytest.mark.parametrize("name", ZOO)
def test_products_are_those_of_the_matrix_in_either_mode(name: str) -> None:
    D = ZOO[name]
    x, sigma = normal(3, *D.event_shape, seed=3), torch.tensor([0.3, 1.0, 4.0], dtype=torch.float64)
    J, v = jacobian(D, x, sigma), normal(3, *D.event_shape, seed=4)
    for product, matrix in ((jvp, J), (vjp, J.mT)):
        assert torch.allclose(
            product(D, x, sigma, v).flatten(1),
            (matrix @ v.flatten(1)[..., None])[..., 0],
            rtol=1e-9,
            atol=1e-10,
        )
    assert torch.allclose(J[1], each_row(D, x[1], sigma[1]), rtol=1e-9, atol=1e-10)
    assert asymmetry(J).max() < 1e-8


def test_the_matrix_of_a_gaussian_is_its_wiener_filter() -> None:
    D = Gaussian.from_data(normal(50, 2, 3, 2), ridge=0.1)
    expected = D.cov @ torch.linalg.inv(D.cov + 0.49 * torch.eye(12, dtype=torch.float64))
    assert torch.allclose(jacobian(D, normal(2, 3, 2), 0.7), expected, rtol=0, atol=1e-10)


def test_the_matrix_of_a_mixture_is_its_closed_form() -> None:
    D = MoLRG.random(12, [2, 3, 2], noise=0.05, seed=1)
    x, sigma = normal(4, 12, seed=2), torch.tensor([0.1, 0.5, 1.0, 9.0], dtype=torch.float64)
    assert torch.allclose(jacobian(D, x, sigma), D.jacobian(x, sigma), rtol=0, atol=1e-10)


def test_the_matrix_of_the_memorizer_is_the_posterior_covariance() -> None:
    D = Empirical(normal(30, 7))
    x, sigma = normal(4, 7, seed=5), torch.tensor([0.4, 0.8, 1.5, 20.0], dtype=torch.float64)
    weights, spread = D.weights(x, sigma), D.data - D(x, sigma)[:, None]
    expected = (spread.mT * weights[:, None]) @ spread / sigma[:, None, None] ** 2
    assert torch.allclose(jacobian(D, x, sigma), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("shape", "width"), [((1, 8, 8), 4), ((2, 6, 5), 4), ((9, 1, 1), 8)])
def test_chunks_and_prefixes_change_nothing_for_a_network(
    shape: tuple[int, ...], width: int
) -> None:
    D, x = network(shape, width), normal(2, 3, *shape, seed=1)
    sigma = torch.linspace(0.2, 3, 6, dtype=torch.float64).reshape(2, 3)
    J = jacobian(D, x, sigma)
    n = x[0, 0].numel()
    assert J.shape == (2, 3, n, n)
    assert torch.allclose(jacobian(D, x, sigma, chunk=7), J, atol=1e-12)
    assert torch.allclose(jacobian(D, x[1], sigma[1]), J[1], atol=1e-12)
    assert torch.allclose(jacobian(D, x[1, 2], sigma[1, 2]), J[1, 2], atol=1e-12)
    assert torch.allclose(J[0, 1], each_row(D, x[0, 1], sigma[0, 1]), atol=1e-12)
    assert (asymmetry(J) > 1e-3).all()


def test_products_of_many_directions_pass_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    D, x = network((1, 4, 4), 4), normal(5, 1, 4, 4)
    field, V = Field(D, x, torch.full((5,), 0.7)), normal(5, 16, 9, seed=2)
    whole = field.times(V), field.transposed_times(V)
    monkeypatch.setattr("denoscope.geometry.field.MEMORY", 640 * 16 * 8 * 3)  # three rows at once
    for part, expected in zip((field.times(V), field.transposed_times(V)), whole):
        assert torch.allclose(part, expected, atol=1e-12)


class Once(torch.autograd.Function):
    """tanh with a derivative by hand in either mode, that cannot be differentiated again."""

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x.tanh()

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        ctx.save_for_backward(output)
        ctx.save_for_forward(output)

    @staticmethod
    @torch.autograd.function.once_differentiable
    # - one gradient, one answer
    def backward(ctx, u: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return u * (1 - ctx.saved_tensors[0] ** 2)

    @staticmethod
    # - one tangent, one answer
    def jvp(ctx, v: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return v * (1 - ctx.saved_tensors[0] ** 2)


def attention(x: Tensor, sigma: Tensor) -> Tensor:
    """A foreign denoiser with fused attention over the places of a picture."""
    h = x.flatten(2).mT
    return F.scaled_dot_product_attention(h, 2 * h, h).mT.reshape(x.shape)


def half(x: Tensor, sigma: Tensor) -> Tensor:
    """A foreign denoiser in another precision than its input."""
    return x.float().sin()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"stride": 2, "padding": 1},
        {"padding": (0, 2), "dilation": (2, 1), "groups": 2},
        {"padding": "same"},
    ],
)
@pytest.mark.parametrize("bias", [True, False])
def test_constant_weights_change_no_derivative(settings: dict[str, object], bias: bool) -> None:
    # - a settings dictionary
    conv = nn.Conv2d(4, 6, 3, bias=bias, **settings).double()  # pyright: ignore[reportArgumentType]
    x, leaves = normal(2, 4, 7, 6), []
    for mode in (nullcontext(), ConstantWeights()):
        leaf = x.clone().requires_grad_()
        with mode:
            out = conv(leaf.sin())
        dual = torch.zeros_like(out, requires_grad=True)
        (pulled,) = torch.autograd.grad(out, leaf, dual, create_graph=True)
        forward = torch.autograd.grad(pulled, dual, normal(*x.shape, seed=1), retain_graph=True)[0]
        leaves.append((out, forward, torch.autograd.grad(out, leaf, normal(*out.shape, seed=2))[0]))
    for plain, constant in zip(*leaves):
        assert torch.allclose(plain, constant, atol=1e-12)


def hyper(x: Tensor, sigma: Tensor) -> Tensor:
    """A foreign denoiser whose convolution weights are computed from its input."""
    weight = x.reshape(1, -1, 1, 1).mean() * torch.ones(1, 1, 3, 3, dtype=x.dtype)
    return F.conv2d(x, weight, padding=1)


@pytest.mark.filterwarnings(
    "ignore:.*torch.jit.script:DeprecationWarning"
)  # inside of torch's forward mode
@pytest.mark.parametrize(
    ("D", "shape"),
    [
        (lambda x, s: Once.apply(x), (5,)),
        (attention, (3, 2, 2)),
        (half, (6,)),
        (hyper, (1, 3, 4)),
        (lambda x, s: x, (4,)),
    ],
)
def test_foreign_denoisers(D: Denoiser, shape: tuple[int, ...]) -> None:
    x, sigma = normal(1, *shape), torch.ones(1, dtype=torch.float64)
    J, v = jacobian(D, x, sigma, chunk=1), normal(1, *shape, seed=1)
    assert torch.allclose(J[0], each_row(D, x[0], sigma[0]).to(J), atol=1e-6)
    assert torch.allclose(
        jvp(D, x, sigma, v).flatten(1), (J @ v.flatten(1)[..., None])[..., 0], atol=1e-6
    )


def check(found: SVD, A: Tensor, k: int, precision: float) -> None:
    """The leading triplets of A (*b, n, n), whatever their signs and turns."""
    size = torch.linalg.matrix_norm(A, 2)[..., None, None].clamp(min=1e-300)
    assert [side.shape for side in found] == [
        (*A.shape[:-1], k),
        (*A.shape[:-2], k),
        (*A.shape[:-1], k),
    ]
    assert (found.S - torch.linalg.svdvals(A)[..., :k]).abs().max() <= precision * size.max()
    assert ((A @ found.V - found.U * found.S[..., None, :]).abs() <= precision * size).all()
    assert ((A.mT @ found.U - found.V * found.S[..., None, :]).abs() <= precision * size).all()
    for side in (found.U, found.V):
        assert torch.allclose(
            side.mT @ side,
            torch.eye(k, dtype=A.dtype).expand(*A.shape[:-2], k, k),
            atol=max(precision, 1e-9),
        )


@pytest.mark.parametrize("name", SPECTRA)
@pytest.mark.parametrize("k", [1, 3, 14, 60])
def test_leading_vectors_of_planted_spectra(name: str, k: int) -> None:
    A = planted(SPECTRA[name], seed=len(name))
    check(svd(linear(A), normal(3, 4, 5), 1.0, k), A, k, 1e-9)


def test_leading_vectors_of_a_large_matrix_take_few_products(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    A, counted = planted(0.9 ** torch.arange(400, dtype=torch.float64)), []
    times = Operator.times
    monkeypatch.setattr(
        Operator, "times", lambda self, v: counted.append(v.shape[2]) or times(self, v)
    )
    check(svd(linear(A), normal(400), 1.0, 5), A, 5, 1e-9)
    assert 2 * sum(counted) <= 140


@pytest.mark.parametrize("tolerance", [0.3, 1e-2, 1e-4, 1e-8])
def test_a_tolerance_bounds_the_residuals_and_saves_products(
    tolerance: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    A, counted = planted(0.97 ** torch.arange(400, dtype=torch.float64)), []
    times = Operator.times
    monkeypatch.setattr(
        Operator, "times", lambda self, v: counted.append(v.shape[2]) or times(self, v)
    )
    svd(linear(A), normal(400), 1.0, 3)
    finest, _ = sum(counted), counted.clear()
    U, S, V = svd(linear(A), normal(400), 1.0, 3, tolerance=tolerance)
    residuals = torch.linalg.vector_norm(A.T @ U - V * S, dim=0)
    assert (residuals <= 1.01 * tolerance * S[0]).all()
    assert (A @ V - U * S).abs().max() < 1e-9
    assert sum(counted) < finest


def test_restarts_keep_memory_and_converge(monkeypatch: pytest.MonkeyPatch) -> None:
    A, widest, cuts = planted(1 / (1 + torch.arange(500, dtype=torch.float64)) ** 0.5), [], []
    grow, restart = Krylov.grow, Krylov.restart
    monkeypatch.setattr(Krylov, "grow", lambda self: (grow(self), widest.append(self.k))[0])
    monkeypatch.setattr(
        Krylov, "restart", lambda self, keep: (restart(self, keep), cuts.append(keep))[0]
    )
    monkeypatch.setattr(
        "denoscope.geometry.singular.dense", lambda one: pytest.fail("the matrix was formed")
    )
    check(svd(linear(A), normal(500), 1.0, 2), A, 2, 1e-9)
    assert cuts
    assert max(widest) <= 3 * 2 + 3 * 4


@pytest.mark.parametrize(("shape", "width"), [((1, 8, 8), 4), ((70, 1, 1), 16)])
def test_leading_vectors_of_networks_in_batches(shape: tuple[int, ...], width: int) -> None:
    D, x = network(shape, width), normal(2, 3, *shape, seed=1)
    sigma = torch.linspace(0.3, 3, 6, dtype=torch.float64).reshape(2, 3)
    J, found = jacobian(D, x, sigma), svd(D, x, sigma, 3)
    check(found, J, 3, 1e-8)
    single = svd(D, x[1, 0], sigma[1, 0], 3)
    check(single, J[1, 0], 3, 1e-8)
    assert torch.allclose(single.S, found.S[1, 0], atol=1e-10)
    again = svd(D, x, sigma, 3)
    assert all(torch.equal(a, b) for a, b in zip(found, again))
    other = svd(D, x, sigma, 3, seed=1)
    assert torch.allclose(other.S, found.S, atol=1e-8)
    assert not torch.equal(other.U, found.U)


def test_single_precision() -> None:
    D = network((1, 8, 8), 4).float()
    x, sigma = normal(2, 1, 8, 8).float(), torch.tensor([0.5, 2.0])
    found = svd(D, x, sigma, 4)
    assert found.S.dtype == torch.float32
    check(found, jacobian(D, x, sigma), 4, 1e-4)


@pytest.mark.parametrize("k", [1, 4, 9])
@pytest.mark.parametrize("sides", ["both", "output", "input"])
def test_masks_are_those_of_the_masked_matrix(k: int, sides: str) -> None:
    D, x, sigma = (
        network((1, 6, 6), 4),
        normal(2, 1, 6, 6),
        torch.tensor([0.4, 2.0], dtype=torch.float64),
    )
    mask, all_of_it = torch.zeros(1, 6, 6, dtype=torch.bool), torch.ones(1, 6, 6, dtype=torch.bool)
    mask[:, :3, 1:5] = True
    pair = {"both": (mask, mask), "output": (mask, all_of_it), "input": (all_of_it, mask)}[sides]
    out, into = (side.flatten().double() for side in pair)
    found = svd(D, x, sigma, k, mask=mask if sides == "both" else pair)
    check(found, out[:, None] * jacobian(D, x, sigma) * into, k, 1e-8)
    assert not (found.U * (1 - out)[:, None]).any()
    assert not (found.V * (1 - into)[:, None]).any()


def bad(**change: object) -> Callable[[], object]:
    """A call of svd with one bad argument."""
    arguments = {
        "D": linear(torch.eye(6).double()),
        "x": normal(2, 6),
        "sigma": torch.ones(2),
        "k": 2,
    } | change
    return lambda: svd(**arguments)  # pyright: ignore[reportArgumentType] - bad on purpose


def mask_of(*shape: int, value: bool = True) -> Tensor:
    return torch.full(shape, value)


BAD = {
    "k must be from 1 to 6.*got 7": bad(k=7),
    "k must be from 1 to 6.*got 0": bad(k=0),
    "k must be from 1 to 1": bad(mask=torch.arange(6) == 3),
    r"mask must be a bool tensor of shape \(6,\), got torch.bool of shape \(5,\)": bad(
        mask=mask_of(5)
    ),
    "mask must be a bool tensor.*got torch.float32": bad(mask=torch.ones(6)),
    "mask must be a bool tensor.*got str": bad(mask=("in", "out")),
    "mask must be one bool tensor or the pair": bad(mask=(mask_of(6),)),
    "tolerance must be positive, got 0": bad(tolerance=0),
    "mask keeps nothing": bad(mask=mask_of(6, value=False)),
    "sigma must be positive and finite": bad(sigma=torch.tensor([1.0, 0.0])),
    "must be a prefix": bad(sigma=torch.ones(3)),
    "finite floating-point": bad(x=normal(2, 6) / 0),
    "must answer with the shape of x": bad(D=lambda x, s: x[:, :3]),
    "not finite": bad(D=lambda x, s: x / 0),
    "no derivative by x": bad(D=lambda x, s: x.detach()),
    "chunk must be at least 1": lambda: jacobian(
        linear(torch.eye(3).double()), normal(3), 1.0, chunk=0
    ),
    "v must have x's shape": lambda: jvp(linear(torch.eye(3).double()), normal(3), 1.0, normal(4)),
    "u must have x's shape": lambda: vjp(
        linear(torch.eye(3).double()), normal(3), 1.0, normal(3, 1)
    ),
    "J must hold square matrices": lambda: asymmetry(normal(2, 3)),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_inputs_are_one_clear_line(message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        BAD[message]()
    assert "\n" not in str(caught.value)


def test_asymmetry_of_extremes() -> None:
    A = normal(3, 5, 5)
    assert torch.equal(asymmetry(torch.stack([torch.zeros(5, 5), torch.eye(5)])), torch.zeros(2))
    assert torch.allclose(asymmetry(A + A.mT), torch.zeros(3, dtype=torch.float64))
    assert torch.allclose(asymmetry(A - A.mT), torch.full((3,), 2.0, dtype=torch.float64))


def test_a_denoiser_that_ignores_x_has_no_derivative() -> None:
    net = nn.Linear(3, 3).double()
    assert not jacobian(lambda x, s: net(torch.zeros_like(x)), normal(3), 1.0).any()
    assert not jvp(lambda x, s: net(torch.zeros_like(x)), normal(3), 1.0, normal(3)).any()
