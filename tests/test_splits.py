"""Splits of an image set: nested and disjoint training subsets, a hold-out that nobody sees."""

from __future__ import annotations

import math

import pytest
import torch
from rates import sigmas

from denoscope.data import synthetic
from denoscope.data.sources import Source, load, truth
from denoscope.data.splits import Split
from denoscope.data.synthetic import SPREAD

DIGITS = Source("digits")


def test_subsets_are_nested_disjoint_and_never_held_out() -> None:
    held = {tuple(image.flatten().tolist()) for image in Split(DIGITS, None, 261, 8, 0).unseen()}
    for which in (0, 1):
        rows = [Split(DIGITS, None, 261, n, which).train_rows().tolist() for n in (8, 64, 768)]
        assert rows[1][:8] == rows[0]
        assert rows[2][:64] == rows[1]
        train = Split(DIGITS, None, 261, 768, which).train()
        assert not held & {tuple(image.flatten().tolist()) for image in train}
    first, second = (set(Split(DIGITS, None, 261, 768, w).train_rows().tolist()) for w in (0, 1))
    assert not first & second


def test_size_0_is_the_whole_pool() -> None:
    whole = Split(DIGITS, None, 60, 0, 0)
    assert torch.equal(whole.train_rows().sort().values, whole.pool_rows().sort().values)
    assert len(whole.pool()) + len(whole.unseen()) == len(whole.images())
    assert whole.spread() == Split(DIGITS, None, 60, 16, 1).spread()
    assert whole.gaussian() is Split(DIGITS, None, 60, 16, 1).gaussian_all()


def test_named_test_images_leave_all_others_to_train_on() -> None:
    split = Split(DIGITS, DIGITS, 60, 0, 0)
    assert len(split.train()) == len(split.unseen()) == len(load(DIGITS))
    with pytest.raises(
        ValueError, match=r"--test has images of \(3, 4, 4\), --data of \(1, 8, 8\)"
    ):
        Split(DIGITS, Source("molrg"), 60, 0, 0).unseen()


def test_the_synthetic_set_knows_its_truth() -> None:
    """The true denoiser leaves less than the best linear one, and images are in range."""
    images, D = load(Source("molrg")), truth(Source("molrg"))
    assert D is not None
    assert truth(DIGITS) is None
    assert images.data.abs().max() <= 3 * 2 * SPREAD
    x = images.data[:2000]
    noisy = x + 0.3 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    linear = Split(Source("molrg"), None, 100, 0, 0).gaussian()
    errors = [(f(noisy, torch.tensor(0.3)) - x).square().mean() for f in (D, linear)]
    assert errors[0] < 0.9 * errors[1]


def test_the_mixture_knows_its_truth_and_its_classes() -> None:
    """Within range, at two centres with unit covariance about them, and each label its side."""
    images, law = load(Source("mixture")), synthetic.mixture()
    rows, sides = images.data.flatten(1).double(), law.means.flatten(1)
    assert images.data.abs().max() < 1
    assert images.labels is not None
    assert torch.equal((rows @ sides.T).argmax(1), images.labels)
    within = (rows - sides[images.labels]) / synthetic.CENTRE
    error = within.T @ within / len(within) - torch.eye(64)
    assert float(error.abs().max()) < sigmas(64**2) * math.sqrt(2 / len(within))
    assert truth(Source("mixture")) is law
