"""Noise is a function of a sample's own seed; derived seeds do not collide or repeat along
paths.
"""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from denoscope import Seeds
from denoscope.random import derive
from denoscope.types import pad


@given(st.integers(0, 2**63 - 1), st.lists(st.integers(0, 2**40), max_size=4))
def test_derived_seeds_are_63_bit_and_repeatable(seed: int, path: list[int]) -> None:
    assert 0 <= derive(seed, *path) < 2**63
    assert derive(seed, *path) == derive(seed, *path)


def test_derived_seeds_differ_by_place_order_and_depth() -> None:
    places = [(a, b) for a in range(100) for b in range(100)]
    assert (
        len(
            {derive(0, a, b) for a, b in places}
            | {derive(a, b) for a, b in places}
            | {derive(a) for a in range(100)}
        )
        == 20_100
    )
    assert derive(0, 1, 2) != derive(0, 2, 1)


def test_a_row_of_noise_depends_on_its_seed_alone() -> None:
    together = Seeds([3, 1, 4]).randn((2, 5))
    assert torch.equal(together[1], Seeds([1]).randn((2, 5))[0])
    assert torch.equal(together[0], torch.randn(2, 5, generator=torch.Generator().manual_seed(3)))
    assert Seeds([]).randn((2, 5)).shape == (0, 2, 5)


def test_seeds_wrap_at_32_bits_as_in_edm() -> None:
    assert torch.equal(Seeds([2**32 + 7]).randn((4,)), Seeds([7]).randn((4,)))


def test_noise_for_steps_goes_on_after_the_initial_noise() -> None:
    x = torch.zeros(2, 3)
    source = Seeds([5, 6]).noise()
    first, second = source(x), source(x)
    stream = torch.Generator().manual_seed(5)
    expected = [torch.randn(3, generator=stream) for _ in range(3)]
    assert torch.equal(first[0], expected[1])
    assert torch.equal(second[0], expected[2])
    with pytest.raises(ValueError, match="2 seeds"):
        source(torch.zeros(3, 3))


def test_pad_broadcasts_from_the_left_and_refuses_what_is_no_prefix() -> None:
    x = torch.zeros(2, 3, 4)
    assert pad(torch.tensor(1.0), x).shape == (1, 1, 1)
    assert pad(torch.ones(2), x).shape == (2, 1, 1)
    assert pad(torch.ones(2, 3), x).shape == (2, 3, 1)
    with pytest.raises(ValueError, match=r"\(3,\) is not a prefix"):
        pad(torch.ones(3), x)
