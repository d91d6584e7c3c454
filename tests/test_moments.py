"""Moments: those of numpy, whatever the chunks; additive over parts; exact where nothing varies."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import denoscope.data.moments as room
from denoscope.data import Moments
from denoscope.data.moments import gather, whole


def _images(n: int, *shape: int, seed: int = 0) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    return torch.rand(n, *shape, generator=g) * 2 - 1


def _same(a: Moments, b: Moments, tolerance: float = 1e-12) -> None:
    assert a.count == b.count
    assert (a.mean - b.mean).abs().max() <= tolerance
    assert (a.cov - b.cov).abs().max() <= tolerance


def test_moments_are_those_of_numpy_far_from_zero() -> None:
    x = 0.9 + 0.01 * _images(300, 3, 4, 5)
    found = Moments.of(x)
    rows = x.flatten(1).double().numpy()
    np.testing.assert_allclose(found.mean, rows.mean(0), atol=1e-15)
    np.testing.assert_allclose(found.cov, np.cov(rows.T, bias=True), atol=1e-18)
    assert torch.equal(found.cov, found.cov.T)


def test_the_chunk_size_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    x, part = _images(101, 1, 4, 4), torch.arange(101) % 3
    whole_chunks = gather(x, part, 3)
    for chunk in (1, 16 * 7, 16 * 100):
        monkeypatch.setattr(room, "_CHUNK", chunk)
        for a, b in zip(gather(x, part, 3), whole_chunks):
            _same(a, b)


@settings(max_examples=30, deadline=None)
@given(labels=st.lists(st.integers(-1, 3), min_size=1, max_size=40))
def test_parts_add_up_and_their_rest_is_the_difference(labels: list[int]) -> None:
    x, part = _images(len(labels), 2, 3), torch.tensor(labels)
    made = gather(x, part, 4)
    assert [item.count for item in made] == [labels.count(i) for i in range(4)]
    total = whole(made)
    assert total.count == sum(label >= 0 for label in labels)
    for index, item in enumerate(made):
        if item.count:
            _same(item, Moments.of(x[part == index], origin=x[0]))
        if total.count > item.count:
            _same(total - item, Moments.of(x[(part >= 0) & (part != index)], origin=x[0]), 1e-11)


def test_a_pixel_that_never_changes_has_no_variance_and_is_left_out() -> None:
    x = _images(1000, 10)
    x[:, 3] = 0.1  # no float32 sum of 0.1 is exact
    found = Moments.of(x)
    assert (found.cov[3] == 0).all()
    varies = found.cov.diagonal() > 0
    assert varies.sum() == 9
    _same(found.kept(varies), Moments.of(x[:, varies]))


def test_turned_moments_are_those_of_turned_images() -> None:
    x = _images(50, 6)
    basis = torch.linalg.qr(_images(6, 4, seed=1).double())[0]
    _same(Moments.of(x).turned(basis), Moments.of(x.double() @ basis))


def test_progress_ends_at_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_CHUNK", 30)
    told: list[float] = []
    gather(_images(25, 3), torch.zeros(25, dtype=torch.int64), 1, progress=told.append)
    assert told == sorted(told)
    assert told[-1] == 1.0


def test_mistakes_are_named() -> None:
    x = _images(5, 3)
    with pytest.raises(ValueError, match="no image"):
        Moments.of(x[:0])
    with pytest.raises(ValueError, match="NaN"):
        Moments.of(torch.tensor([[0.0], [float("nan")]]))
    with pytest.raises(ValueError, match="part"):
        gather(x, torch.zeros(4, dtype=torch.int64), 1)
    with pytest.raises(ValueError, match="part"):
        gather(x, torch.tensor([0, 1, 2, 0, 1]), 2)
    with pytest.raises(ValueError, match="one origin"):
        _ = Moments.of(x) + Moments.of(x[1:])
    with pytest.raises(ValueError, match="cannot be part"):
        _ = Moments.of(x[:2]) - Moments.of(x)
    nothing = gather(x, torch.zeros(5, dtype=torch.int64), 2)[1]
    with pytest.raises(ValueError, match="no image"):
        _ = nothing.cov
