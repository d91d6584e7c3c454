"""What the nearest-to-second ratio reads where nothing was generated: 1 on the training set, and
its known null off it.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from rates import sigmas
from torch import Tensor

from denoscope.metrics import memorized


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("d", [1, 2, 8, 64])
def test_the_training_set_has_copied_itself(d: int) -> None:
    train = normal(300, d)
    assert memorized(train, train).value == 1.0
    assert memorized(train[:20], train, ratio=1e-9).value == 1.0


@pytest.mark.parametrize("d", [32, 64, 256])
def test_independent_data_of_many_dimensions_hold_no_copy(d: int) -> None:
    """The chance is about k^d: 5e-16 at d = 32 and k = 1/3."""
    assert memorized(normal(500, d, seed=1), normal(2000, d, seed=2)).value == 0.0


@pytest.mark.parametrize(
    ("d", "k", "n"),
    [(1, 1 / 3, 20000), (2, 1 / 3, 60000), (2, 1 / 2, 60000), (3, 1 / 2, 60000), (3, 1 / 3, 60000)],
)
def test_points_of_few_dimensions_look_copied_at_the_rate_k_to_the_d(
    d: int, k: float, n: int
) -> None:
    """Of locally uniform points, given the second nearest, the nearest is uniform in its ball:
    P(r1/r2 < k) = k^d, 11.1 % for d = 2, k = 1/3.
    """
    source = np.random.default_rng(d)
    train, gen = source.random((n, d)), source.uniform(0.1, 0.9, (1500, d))
    measured = memorized(gen, train, ratio=k)
    assert abs(measured.value - k**d) < sigmas(5) * np.sqrt(k**d * (1 - k**d) / len(gen))


def test_the_dimension_of_the_null_is_the_intrinsic_one() -> None:
    source = np.random.default_rng(5)
    frame = np.linalg.qr(source.standard_normal((40, 2)))[0].T
    train, gen = source.random((30000, 2)), source.uniform(0.1, 0.9, (1500, 2))
    assert memorized(gen @ frame, train @ frame).value == memorized(gen, train).value
    assert abs(memorized(gen @ frame, train @ frame).value - 1 / 9) < sigmas() * np.sqrt(
        8 / 81 / len(gen)
    )
