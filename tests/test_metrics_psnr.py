"""Decibels by their definition, and the coverage of their intervals."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch

from denoscope.estimate import Estimate
from denoscope.metrics import psnr


def test_decibels_are_those_of_images_in_the_unit_interval() -> None:
    """By definition, on images moved to [0, 1]: 10 log10(1 / MSE)."""
    generator = torch.Generator().manual_seed(0)
    clean = torch.rand(40, 64, generator=generator, dtype=torch.float64) * 2 - 1
    for db in (-10.0, 0.0, 15.0, 40.0):
        noise = torch.randn(40, 64, generator=generator, dtype=torch.float64)
        noisy = clean + float(psnr.noise_level(db)) * noise
        moved = ((noisy + 1) / 2 - (clean + 1) / 2).square()
        found = psnr.output((noisy - clean).square().mean(1).numpy())
        assert found.value == pytest.approx(-10 * math.log10(float(moved.mean())))
        assert abs(found.value - db) < found.high - found.low


@pytest.mark.parametrize("paired", [False, True])
def test_the_interval_of_a_difference_covers(paired: bool) -> None:
    """Log-normal errors with a known ratio of means, of two sets of images or of two denoisers on
    one set: the share of covering intervals over 1 000 draws.
    """
    rng, covered = np.random.default_rng(0), 0
    for _ in range(1000):
        first, second = (s * rng.lognormal(sigma=0.6, size=n) for s, n in ((1.0, 40), (3.0, 100)))
        if paired:
            second = 3 * first * rng.lognormal(-0.02, 0.2, size=40)
        found = (psnr.gain if paired else psnr.gap)(first, second)
        covered += found.low <= 10 * math.log10(3) <= found.high
    assert 0.91 < covered / 1000 < 0.98


def test_a_paired_interval_is_that_of_the_same_images() -> None:
    """Errors that go together are told apart where two sets of images would not be."""
    errors = np.random.default_rng(0).lognormal(sigma=1.0, size=50)
    pair, sets = psnr.gain(errors, 1.1 * errors), psnr.gap(errors, 1.1 * errors)
    assert pair.value == pytest.approx(sets.value) == pytest.approx(10 * math.log10(1.1))
    assert pair.low > 0 > sets.low
    with pytest.raises(ValueError, match="as many, got 50 and 49"):
        psnr.gain(errors, errors[1:])


def test_errors_without_spread_or_without_error() -> None:
    for make in (psnr.gap, psnr.gain):
        found = make(np.full(5, 0.1), np.full(5, 0.2))
        assert found.low == found.value == pytest.approx(10 * math.log10(2))
        assert math.isnan(make(np.zeros(4), np.ones(4)).value)
    assert math.isnan(psnr.output(np.zeros(4)).value)
    assert math.isinf(psnr.gap(np.array([0.1]), np.full(9, 0.2)).high)


@pytest.mark.parametrize("make", [psnr.gap, psnr.gain])
def test_intervals_widen_with_their_level(make: Callable[..., Estimate]) -> None:
    errors = np.random.default_rng(0).lognormal(size=(2, 20))
    for measured in (partial(make, *errors), partial(psnr.output, errors[0])):
        narrow, wide = measured(level=0.8), measured(level=0.99)
        assert wide.low < narrow.low < narrow.value == wide.value < narrow.high < wide.high


def test_a_difference_to_what_is_known_is_the_ratio_moved() -> None:
    errors = np.random.default_rng(0).gamma(2.0, size=40)
    plain, moved = psnr.output(errors), psnr.beyond(errors, np.array([20.0]))
    ends = (plain.value, plain.low, plain.high)
    assert (moved.value, moved.low, moved.high) == pytest.approx([end - 20 for end in ends])
