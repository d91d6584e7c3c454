"""Descriptors: what they keep, what they drop, and agreement with scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA as Reference
from torch import Tensor

from denoscope.data import Images, read_images
from denoscope.describe import PCA, Pixels, RandomProjection


def images(n: int = 50, shape: tuple[int, ...] = (3, 4, 5), seed: int = 0) -> Tensor:
    return torch.rand((n, *shape), generator=torch.Generator().manual_seed(seed)) * 2 - 1


def images_hash(x: Tensor) -> str:
    return Images(x, "x").sha256[:12]


DESCRIPTORS = [Pixels(), RandomProjection((3, 4, 5), 7, seed=1), PCA.fit(images(), 6), PCA.fit(images(), 6, whiten=False)]


@pytest.mark.parametrize("describe", DESCRIPTORS, ids=lambda d: d.name)
def test_contract(describe: Pixels | RandomProjection | PCA) -> None:
    x = images(9, seed=2)
    features = describe(x)
    assert features.shape[0] == 9
    assert features.ndim == 2
    assert features.dtype == torch.float32
    assert torch.allclose(features[3:5], describe(x[3:5]), atol=1e-5)  # a row depends on its image alone
    assert describe.name
    assert describe.protocol
    with pytest.raises(ValueError, match=r"\(9, 60\)"):
        describe(x.flatten(1))


def test_pixels_drop_the_mean_and_nothing_else() -> None:
    x = images()
    features = Pixels()(x)
    assert features.mean(1).abs().max() < 1e-6
    assert torch.allclose(features, Pixels()(x * 0.5 + 0.3) * 2, atol=1e-6)
    flat = torch.full((4, 3, 32, 32), 1.0) * torch.tensor([0.1, -0.7, 1 / 3, 0.0])[:, None, None, None]
    assert (Pixels()(flat) == 0).all()


def test_projection_keeps_lengths_on_average() -> None:
    x = images(30, (1, 8, 8))
    squared = torch.stack([RandomProjection((1, 8, 8), 16, seed=s)(x).square().sum(1) for s in range(400)])
    ratio = (squared / x.square().sum((1, 2, 3))).mean(0)
    assert (ratio - 1).abs().max() < 5 * np.sqrt(2 / 16 / 400)  # a chi-square of 16 degrees over 16, 400 matrices
    matrix = RandomProjection((3, 32, 32), 64, seed=0).matrix
    assert abs(float(matrix.var()) * 64 - 1) < 0.02
    assert torch.equal(matrix, RandomProjection((3, 32, 32), 64, seed=0).matrix)
    assert not torch.equal(matrix, RandomProjection((3, 32, 32), 64, seed=1).matrix)
    with pytest.raises(ValueError, match="at least 1"):
        RandomProjection((1, 8, 8), 0)
    with pytest.raises(ValueError, match=r"\(n, 1, 8, 8\)"):
        RandomProjection((1, 8, 8), 3)(images())


@pytest.mark.parametrize("whiten", [True, False])
@pytest.mark.parametrize("n", [40, 500])
def test_pca_against_scikit_learn(whiten: bool, n: int) -> None:
    digits = read_images("digits").data
    fit = PCA.fit(digits[:n], 12, whiten)
    expected = (
        Reference(12, whiten=whiten, svd_solver="full")
        .fit(digits[:n].flatten(1).double().numpy())
        .transform(digits[500:600].flatten(1).double().numpy())
    )
    ours = fit(digits[500:600]).double().numpy()
    sign = np.sign((ours * expected).sum(0))
    assert np.abs(ours - expected * sign).max() < 1e-4
    assert images_hash(digits[:n]) in fit.protocol
    axes = fit.axes
    assert torch.allclose(axes.T @ axes, torch.eye(12), atol=1e-6)
    assert (axes.gather(0, axes.abs().argmax(0, keepdim=True)) > 0).all()


def test_pca_whitens_its_own_images() -> None:
    x = images(400)
    features = PCA.fit(x, 20)(x)
    assert torch.allclose(features.T.cov(), torch.eye(20), atol=1e-4)
    assert features.mean(0).abs().max() < 1e-5


def test_pca_without_variance() -> None:
    x = images(30, (1, 2, 2))
    x[:, :, 1] = 0.25  # two of four pixels never vary
    fit = PCA.fit(x, 4)
    assert (fit.scale[2:] == 0).all()
    assert (fit(images(5, (1, 2, 2)))[:, 2:] == 0).all()
    assert (PCA.fit(torch.ones(5, 1, 2, 2), 3)(torch.zeros(2, 1, 2, 2)) == 0).all()


def test_pca_impossible() -> None:
    for n, k in ((1, 1), (5, 6), (5, 0)):
        with pytest.raises(ValueError, match="principal axes"):
            PCA.fit(images(n), k)
    with pytest.raises(ValueError, match=r"takes images of shape \(n, 3, 4, 5\)"):
        PCA.fit(images(), 2)(images(2, (1, 8, 8)))
