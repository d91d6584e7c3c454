"""A denoiser as a map between rows: its products are those of its Jacobian, and what is wrong is
said in one line.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from zoo import ZOO, normal

from denoscope import MLP, Preconditioned, UNet
from denoscope.geometry.field import Field


def _case(name: str) -> tuple[Field, Tensor]:
    """Three points at three levels, and the dense Jacobian at each by finite differences of the
    denoiser itself.
    """
    D = ZOO[name]
    sigma = torch.tensor([0.4, 1.0, 3.0], dtype=torch.float64)
    x = normal(3, *D.event_shape, seed=5)
    step = 1e-5
    n = x[0].numel()
    columns = []
    for i in range(n):
        e = torch.zeros(n, dtype=torch.float64)
        e[i] = step
        e = e.reshape(D.event_shape)
        columns.append(((D(x + e, sigma) - D(x - e, sigma)) / (2 * step)).flatten(1))
    return Field(D, x, sigma), torch.stack(columns, 2)


@pytest.mark.parametrize("name", ZOO)
def test_products_are_those_of_the_jacobian(name: str) -> None:
    field, J = _case(name)
    V = normal(3, field.n, 4, seed=6)
    assert torch.allclose(field.times(V), J @ V, atol=1e-6)
    assert torch.allclose(field.transposed_times(V), J.mT @ V, atol=1e-6)


def test_batches_prefixes_and_single_points_are_rows() -> None:
    D = Preconditioned(UNet((1, 8, 8), 4, seed=1)).double()
    x, sigma = (
        normal(2, 3, 1, 8, 8),
        torch.tensor([[0.3, 1.0, 2.0], [0.5, 4.0, 0.1]], dtype=torch.float64),
    )
    field = Field(D, x, sigma)
    V = normal(6, 64, 2, seed=1)
    assert (len(field), field.n, field.batch, field.event) == (6, 64, (2, 3), (1, 8, 8))
    for i in range(6):
        single = Field(D, x.reshape(6, 1, 8, 8)[i], sigma.flatten()[i])
        assert single.batch == ()
        assert torch.allclose(single.times(V[i : i + 1]), field.times(V)[i : i + 1], atol=1e-10)
        assert torch.allclose(single.value(), field.value()[i : i + 1], atol=1e-10)
    part = field.take(torch.tensor([4, 1]))
    assert torch.equal(part.rows, field.rows[[4, 1]])
    assert torch.allclose(
        part.transposed_times(V[[4, 1]]), field.transposed_times(V)[[4, 1]], atol=1e-10
    )


def test_a_denoiser_without_forward_derivatives_is_differentiated_twice_backward() -> None:
    def D(x: Tensor, sigma: Tensor) -> Tensor:
        rows = x.reshape(len(x), 1, 4, 3)
        return scaled_dot_product_attention(rows, rows, rows).reshape(x.shape) / (
            1 + sigma[:, None]
        )

    x, sigma = normal(2, 12), torch.tensor([0.5, 2.0], dtype=torch.float64)
    field, V = Field(D, x, sigma), normal(2, 12, 3, seed=2)
    J = torch.stack(
        [
            torch.autograd.functional.jacobian(lambda y, i=i: D(y[None], sigma[i : i + 1])[0], x[i])
            for i in range(2)
        ]
    )
    assert torch.allclose(field.times(V), J @ V, atol=1e-12)


def test_parameters_and_points_are_left_as_they_were() -> None:
    net = Preconditioned(MLP((5,), 8, seed=1))
    x = torch.randn(3, 5, requires_grad=True)
    field = Field(net, x, torch.ones(3))
    field.times(torch.randn(3, 5, 2))
    field.transposed_times(torch.randn(3, 5, 2))
    assert x.grad is None
    assert all(p.grad is None and p.requires_grad for p in net.parameters())
    assert not field.rows.requires_grad


GOOD = ZOO["gaussian"]
POINTS = normal(2, 5)


@pytest.mark.parametrize(
    ("D", "x", "sigma", "said"),
    [
        (GOOD, POINTS, torch.tensor([0.0, 1.0]), "sigma must be positive and finite, got 0 to 1"),
        (GOOD, POINTS, torch.tensor([-1.0, 1.0]), "sigma must be positive"),
        (GOOD, POINTS, torch.tensor([1.0, torch.inf]), "sigma must be positive and finite"),
        (GOOD, POINTS, torch.ones(3), r"sigma of shape \(3,\) must be a prefix"),
        (GOOD, POINTS.long(), torch.ones(2), "finite floating-point numbers"),
        (GOOD, POINTS * torch.nan, torch.ones(2), "finite floating-point numbers"),
        (
            lambda x, s: x[:, :3],
            POINTS,
            torch.ones(2),
            r"must answer with the shape of x, \(2, 5\), but gave \(2, 3\)",
        ),
        (lambda x, s: x / 0, POINTS, torch.ones(2), "not finite"),
    ],
)
def test_mistakes_are_one_line(D: object, x: Tensor, sigma: Tensor, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        Field(D, x, sigma).value()  # pyright: ignore[reportArgumentType] -- mistakes on purpose
    assert "\n" not in str(caught.value)


def test_directions_of_another_shape_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"directions must have shape \(2, 5, k\), got \(2, 4, 1\)"
    ):
        Field(GOOD, POINTS, torch.ones(2)).times(torch.ones(2, 4, 1))
