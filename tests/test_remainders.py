"""Remainders: what is left of samples beyond the Gaussian of their training images, and what two
models share of it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from rates import sigmas

from denoscope.metrics.remainders import enough, left_share, likeness, remainder

NOISES, D = 400, 12
RNG = np.random.default_rng(0)
NOISE = RNG.standard_normal((NOISES, D))


def gaussian(seed: int) -> np.ndarray:
    """The samples of a Gaussian model: an affine map of the noise of its own."""
    rng = np.random.default_rng([7, seed])
    return 0.9 * NOISE @ (np.eye(D) + 0.1 * rng.standard_normal((D, D)))


def image(seed: int) -> np.ndarray:
    """Samples that know nothing of the noise."""
    return np.random.default_rng([8, seed]).uniform(-1, 1, (NOISES, D))


def clipped(seed: int) -> np.ndarray:
    return np.clip(gaussian(seed), -1, 1)


def flat(seed: int) -> np.ndarray:
    """A Gaussian without variance in half of the pixels, where the model leaves noise as it is."""
    return gaussian(seed) * (np.arange(D) < D // 2)


def z(units: np.ndarray) -> float:
    return float(units.mean() / (units.std(ddof=1) / len(units) ** 0.5))


def left(model: Callable[[int], np.ndarray], seed: int) -> np.ndarray:
    return remainder(model(seed), NOISE, gaussian(seed))


@pytest.mark.parametrize("model", [image, clipped, gaussian])
def test_models_that_share_a_covariance_alone_share_no_remainder(
    model: Callable[[int], np.ndarray],
) -> None:
    """Plain differences from the Gaussian would read much: they share what is taken away."""
    alike = likeness(left(model, 0), left(model, 1))
    plain = likeness(*(model(seed) - gaussian(seed) for seed in (0, 1)))
    if model is image:
        assert abs(z(alike)) < sigmas(3)
        assert plain.mean() > 0.2
    else:
        assert np.all(alike == 0)
        assert np.all(left_share(model(0), left(model, 0)) == 0)
    if model is clipped:
        assert plain.mean() > 0.4


def test_noise_that_is_left_where_images_have_no_variance_is_no_agreement() -> None:
    one, other = (flat(seed) + 0.1 * NOISE * (np.arange(D) >= D // 2) for seed in (0, 1))
    assert np.all(likeness(remainder(one, NOISE, flat(0)), remainder(other, NOISE, flat(1))) == 0)


def test_what_two_models_add_alike_is_found() -> None:
    """The same nonlinear function of the noise in both, and as much again of their own."""
    common = 0.3 * np.sin(3 * NOISE)
    one, other = (clipped(seed) + common + 0.2 * image(seed) for seed in (0, 1))
    alike = likeness(remainder(one, NOISE, gaussian(0)), remainder(other, NOISE, gaussian(1)))
    assert alike.mean() > 0.6
    np.testing.assert_allclose(likeness(common, common) + _unlike(common), 1.0)


def _unlike(rows: np.ndarray) -> float:
    a = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return float((a @ a.T)[~np.eye(len(a), dtype=bool)].mean())


def test_the_share_that_is_left_is_of_the_variance_and_all_where_noises_are_shuffled() -> None:
    own = image(0)
    half = gaussian(0) + own * gaussian(0).std() / own.std()
    share = left_share(half, remainder(half, NOISE, gaussian(0)))
    assert share.mean() == pytest.approx(0.5, abs=0.1)
    other = RNG.permutation(NOISES)
    assert left_share(half, remainder(half, NOISE[other], gaussian(0)[other])).mean() > 0.95


def test_rows_are_fitted_by_others() -> None:
    """With as many coefficients as rows a fit of its own would leave nothing."""
    rows, noise, many = (x[:40, :10] for x in (image(0), NOISE, gaussian(0)))
    assert (remainder(rows, noise, many) ** 2).mean() > (rows - rows.mean(0)).var()
    assert not enough(40, 10)
    assert enough(NOISES, D)


def test_noises_must_be_the_same() -> None:
    with pytest.raises(ValueError, match="row i of all comes from noise i"):
        remainder(image(0), NOISE, gaussian(0)[1:])
