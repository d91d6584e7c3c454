"""Laws known by their second moments: images keep theirs, twins have them and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from rates import sigmas

from denoscope.data.embedded import digits
from denoscope.data.population import MeanCovariance, Population, TrainingSet, gaussian_twin
from denoscope.theory.spectra import power_law

POWER = Population("power1", power_law(12, 1))


@pytest.fixture(scope="module")
def images() -> Population:
    return Population.of_images(digits().data, "digits")


def test_images_are_their_coefficients_along_directions_that_vary(images: Population) -> None:
    assert images.rows is not None
    assert images.basis is not None
    assert images.center is not None
    assert images.spectrum.sum() == pytest.approx(images.d)
    assert images.d == int((digits().data.flatten(1).double().std(0) > 0).sum())
    own = MeanCovariance.of(images.rows)
    assert np.abs(own.cov - np.diag(images.spectrum)).max() < 1e-10
    pixels = images.center + images.rows @ images.basis.T / images.scale
    assert np.abs(pixels - digits().data.flatten(1).numpy()).max() < 1e-6
    assert images.images(np.eye(images.d)[:2]).shape == (2, 1, 8, 8)
    with pytest.raises(ValueError, match="its directions are no pictures"):
        POWER.images(np.eye(12))


def test_images_are_drawn_without_replacement_and_tested_on_the_others(images: Population) -> None:
    assert images.rows is not None
    train, test = images.draw(100, 3)
    left = [row for row in images.rows if not (np.abs(train - row).sum(1) == 0).any()]
    assert np.allclose(test.cov, MeanCovariance.of(np.array(left)).cov, atol=0.02)
    assert images.most == len(images.rows) // 2
    assert POWER.most is None
    assert np.array_equal(POWER.draw(5, 1)[0], POWER.draw(5, 1)[0])
    assert not np.array_equal(POWER.draw(5, 1)[0], POWER.draw(5, 2)[0])


def test_a_twin_has_the_moments_and_nothing_else(images: Population) -> None:
    twin = gaussian_twin(images)
    assert images.rows is not None
    assert twin.rows is not None
    assert twin.rows.shape == images.rows.shape
    own = MeanCovariance.of(twin.rows)
    assert np.abs(own.mean).max() < 1e-10
    assert np.abs(own.cov - np.diag(images.spectrum)).max() < 1e-9
    kurtosis = np.mean((twin.rows / np.sqrt(images.spectrum)) ** 4, 0)
    assert (np.abs(kurtosis - 3) < sigmas(61) * np.sqrt(96 / len(twin.rows))).all()
    real = np.mean((images.rows / np.sqrt(images.spectrum)) ** 4, 0)
    assert real.max() > 50  # pixels that few images use
    with pytest.raises(ValueError, match="no Gaussian twin"):
        gaussian_twin(POWER)


def test_modes_fall_and_groups_are_single_modes_and_the_mean_of_those_unseen() -> None:
    item = TrainingSet.draw(POWER, 6, 0)
    assert (np.diff(item.modes.lam) <= 0).all()
    assert item.seen == 5
    values = np.arange(12.0)
    assert item.grouped(values).tolist() == [0, 2, 4, values[5:].mean()]
    assert item.unseen_variance == pytest.approx(item.other[5:].mean())
    assert item.other.sum() == pytest.approx(
        np.trace(item.test.cov) + ((item.test.mean - item.train.mean) ** 2).sum()
    )
    full = TrainingSet.draw(POWER, 30, 0)
    assert full.seen == 12
    assert np.isnan(full.grouped(values)[-1])
    assert torch.from_numpy(full.modes.vectors.copy()).shape == (12, 12)
