"""Denoisers made smoother: what averaging over noise and mixing leave alone, and what they add."""

from __future__ import annotations

import pytest
import torch

from denoscope import Empirical, Gaussian
from denoscope.random import generator
from denoscope.smoothing import blurred, mixed

SHAPE = (2, 3)
X = torch.randn(5, *SHAPE, generator=generator(0), dtype=torch.float64)
LEVELS = torch.tensor([0.1, 0.3, 1.0, 2.0, 5.0], dtype=torch.float64)


def test_a_linear_denoiser_stays_as_it_is() -> None:
    D = Gaussian.from_data(torch.randn(40, *SHAPE, generator=generator(1), dtype=torch.float64))
    for width in (0.0, 0.5, 3.0):
        torch.testing.assert_close(blurred(D, width, SHAPE)(X, LEVELS), D(X, LEVELS))


def test_what_is_curved_gains_the_variance_of_the_moves() -> None:
    noise = torch.randn((3, *SHAPE), generator=generator(7)).double()
    found = blurred(lambda x, sigma: x**2, 0.5, SHAPE, noises=3, seed=7)(X, LEVELS)
    added = (0.5 * LEVELS[:, None, None]) ** 2 * noise.square().mean(0)
    torch.testing.assert_close(found, X**2 + added)


def test_a_row_does_not_depend_on_its_batch_and_a_level_may_be_alone() -> None:
    smooth = blurred(Empirical(X), 1.0, SHAPE)
    torch.testing.assert_close(smooth(X, LEVELS)[2:3], smooth(X[2:3], LEVELS[2]))


def test_a_mixture_lies_between_its_two() -> None:
    D, other = Empirical(X), Gaussian.from_data(X)
    a, b = D(X, LEVELS), other(X, LEVELS)
    torch.testing.assert_close(mixed(D, other, 0.25)(X, LEVELS), 0.75 * a + 0.25 * b)
    assert torch.equal(mixed(D, other, 0.0)(X, LEVELS), a)


@pytest.mark.parametrize(("width", "noises"), [(-1.0, 4), (1.0, 0)])
def test_impossible_blurs_are_refused(width: float, noises: int) -> None:
    with pytest.raises(ValueError, match="width must be at least 0 and noises 1"):
        blurred(Empirical(X), width, SHAPE, noises=noises)
