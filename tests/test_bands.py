"""Two denoisers switched by noise level: each inside its band, row by row, with its derivative."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from torch.func import jvp
from zoo import ZOO, normal

from denoscope.networks import switched

INSIDE, OUTSIDE = ZOO["gaussian"], ZOO["empirical"]
D = switched(INSIDE, OUTSIDE, 0.5, 2.0)
LEVELS = torch.tensor([0.1, 0.5, 1.0, 2.0, 9.0], dtype=torch.float64)
IN = torch.tensor([False, True, True, False, False])


def test_each_answers_inside_its_band() -> None:
    x = normal(5, 5)
    found = D(x, LEVELS)
    assert torch.equal(found[IN], INSIDE(x, LEVELS)[IN])
    assert torch.equal(found[~IN], OUTSIDE(x, LEVELS)[~IN])


@pytest.mark.parametrize(("low", "high"), [(0.0, math.inf), (0.0, 9.5)])
def test_a_band_of_all_levels_is_the_one_denoiser(low: float, high: float) -> None:
    x = normal(5, 5)
    assert torch.equal(switched(INSIDE, OUTSIDE, low, high)(x, LEVELS), INSIDE(x, LEVELS))


def test_levels_are_a_prefix_of_the_states() -> None:
    x = normal(2, 3, 5)
    for sigma in (torch.tensor(1.0), LEVELS[:2], LEVELS[[0, 1, 2, 3, 4, 2]].reshape(2, 3)):
        one = torch.stack([D(a, s) for a, s in zip(x.reshape(-1, 5), _each(sigma))])
        torch.testing.assert_close(D(x, sigma.double()).reshape(-1, 5), one)
    with pytest.raises(ValueError, match="prefix"):
        D(x, LEVELS[:3])


def _each(sigma: torch.Tensor) -> torch.Tensor:
    return sigma.double().reshape(*sigma.shape, *[1] * (2 - sigma.ndim)).expand(2, 3).reshape(-1)


def test_its_derivative_is_that_of_the_one_that_answers() -> None:
    x, v = normal(5, 5), normal(5, 5, seed=1)
    found, *rest = (jvp(partial(f, sigma=LEVELS), (x,), (v,))[1] for f in (D, INSIDE, OUTSIDE))
    torch.testing.assert_close(found, torch.where(IN[:, None], *rest))


@pytest.mark.parametrize(("low", "high"), [(2.0, 1.0), (-1.0, 1.0), (1.0, 1.0), (math.nan, 1.0)])
def test_a_band_that_does_not_rise_is_refused(low: float, high: float) -> None:
    with pytest.raises(ValueError, match="a band of noise levels rises from at least 0"):
        switched(INSIDE, OUTSIDE, low, high)
