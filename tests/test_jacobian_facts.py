"""Facts of Jacobians: planted spectra, dense and by products, closed forms against derivatives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from denoscope.distributions import Empirical
from denoscope.geometry.jacobian_facts import DENSE, jacobian_facts, memorizer_facts
from denoscope.geometry.jacobians import jacobian
from denoscope.types import Denoiser


def _planted(values: Tensor) -> tuple[Denoiser, Tensor]:
    """A linear denoiser whose Jacobian has these singular values, not symmetric, and that
    Jacobian.
    """
    n = len(values)
    left, right = (
        torch.linalg.qr(
            torch.randn(n, n, generator=torch.Generator().manual_seed(i), dtype=torch.float64)
        ).Q
        for i in (1, 2)
    )
    J = (left * values) @ right.T
    return lambda x, sigma: (x.flatten(1).double() @ J.T).reshape(x.shape).to(x.dtype), J


@pytest.mark.parametrize("shape", [(1, 6, 6), (1, 33, 33)])
def test_facts_are_those_of_a_planted_spectrum(shape: tuple[int, ...]) -> None:
    """Dense for the small image, by products for the large one; against the matrix itself."""
    n = int(np.prod(shape))
    values = torch.where(torch.arange(n) < 9, 1.0, 0.01).double()
    D, J = _planted(values)
    batch = (2, 3) if n <= DENSE else (1, 2)
    x, sigma = (
        torch.randn(*batch, *shape, generator=torch.Generator().manual_seed(0)),
        torch.full(batch, 0.7),
    )
    found = jacobian_facts(D, x, sigma)
    assert found.norm.shape == batch
    energy = values.square().cumsum(0) / values.square().sum()
    for rule, threshold in (("energy", 0.99), ("norm", 0.9801)):
        assert (getattr(found, rule) - (1 + int((energy <= threshold).sum()))).abs().max() <= (
            0 if n <= DENSE else 1
        )
    assert torch.allclose(found.size, J.norm().expand(batch), rtol=1e-4 if n <= DENSE else 0.05)
    skew = float((J - J.T).norm() / J.norm())
    assert torch.allclose(
        found.asymmetry.double(),
        torch.full(batch, skew).double(),
        rtol=1e-4 if n <= DENSE else 0.4,
    )
    assert torch.allclose(
        found.trace.double(), J.trace().expand(batch), atol=1e-4 if n <= DENSE else 0.5
    )


def test_a_numerically_zero_jacobian_has_rank_zero() -> None:
    def still(x: Tensor, sigma: Tensor) -> Tensor:
        return 1e-8 * x

    found = jacobian_facts(still, torch.ones(2, 1, 4, 4), torch.tensor([0.1, 80.0]))
    assert found.norm.tolist() == [0, 16]
    assert found.energy.tolist() == [0, 16]


@pytest.mark.parametrize("count", [5, 90])
def test_the_memorizers_closed_form_is_its_jacobian(count: int) -> None:
    """Fewer images than pixels, and more, against derivatives of the empirical denoiser."""
    data = torch.randn(
        count, 1, 5, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64
    )
    memorizer = Empirical(data)
    x = torch.randn(4, 1, 5, 5, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    sigma = torch.tensor([0.9, 2.0, 5.0, 40.0], dtype=torch.float64)
    found = memorizer_facts(memorizer, x, sigma)
    S = torch.linalg.svdvals(jacobian(memorizer, x, sigma))
    for i in range(4):
        share = S[i].square().cumsum(0) / S[i].square().sum()
        assert int(found.norm[i]) == 1 + int((share <= 0.9801).sum())
        assert int(found.energy[i]) == 1 + int((share <= 0.99).sum())
    assert torch.allclose(found.size, S.square().sum(1).sqrt(), rtol=1e-6)
    assert torch.allclose(found.trace, S.sum(1), rtol=1e-6)
