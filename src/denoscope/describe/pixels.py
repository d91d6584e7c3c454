"""Descriptors without a network: pixels, random projections of them, their principal components.

A descriptor is called with images (n, c, h, w) in [-1, 1] and returns float32 features (n, k). Its ``name`` is short, its ``protocol``
says in words what was done, for reports: scores of different protocols must not be compared.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod, sqrt

import torch
from torch import Tensor

from denoscope.files import content_hash
from denoscope.random import generator


def _rows(images: Tensor) -> Tensor:
    """Images (n, c, h, w) as float32 rows (n, c h w)."""
    if images.ndim != 4:
        raise ValueError(f"a descriptor takes images of shape (n, c, h, w), got {tuple(images.shape)}")
    return images.flatten(1).to(torch.float32)


class Pixels:
    """Each image less its own mean over all channels and pixels; a constant image gives exactly zeros."""

    name = "pixels"
    protocol = "pixels in [-1, 1] less the image's own mean over all channels and pixels"

    def __call__(self, images: Tensor) -> Tensor:
        rows = _rows(images)
        return rows - rows.mean(1, keepdim=True, dtype=torch.float64).to(rows.dtype)  # in float64 the mean of equal numbers is that number


class RandomProjection:
    """Pixels times a Gaussian matrix with entries N(0, 1/k): squared lengths and distances are kept on average.

    Johnson and Lindenstrauss (1984). ``shape`` is that of one image, (c, h, w); ``k >= 1`` features; the matrix depends on shape, k and
    seed alone. Images of another shape are a ValueError.
    """

    def __init__(self, shape: Iterable[int], k: int, seed: int = 0):
        if k < 1:
            raise ValueError(f"a projection has at least 1 feature, got {k}")
        self.shape = tuple(shape)
        self.matrix = torch.randn(prod(self.shape), k, generator=generator(seed), dtype=torch.float32) / sqrt(k)
        self.name = f"projection-{k}"
        self.protocol = f"pixels in [-1, 1] of shape {'x'.join(map(str, self.shape))} times a Gaussian matrix N(0, 1/{k}) of seed {seed}"

    def __call__(self, images: Tensor) -> Tensor:
        _same_shape(images, self.shape)
        return _rows(images) @ self.matrix.to(images.device)


@dataclass(frozen=True, eq=False)
class PCA:
    """Centred pixels on principal axes, by :meth:`fit`, each divided by its standard deviation where whitened.

    ``mean`` (d,), ``axes`` (d, k) orthonormal columns by falling variance, ``scale`` (k,) by which each feature is multiplied. Images of
    another shape than those of the fit are a ValueError.
    """

    mean: Tensor
    axes: Tensor
    scale: Tensor
    shape: tuple[int, ...]
    name: str
    protocol: str

    @staticmethod
    def fit(images: Tensor, k: int, whiten: bool = True) -> PCA:
        """The first k principal axes of images; the sign of an axis makes its largest entry positive.

        Whitening divides by the standard deviation with n - 1; an axis on which the images do not vary (below float32's rounding of the
        first axis) gives zeros instead. ``k`` outside 1..min(n, d) or fewer than 2 images are a ValueError.
        """
        rows = _rows(images).cpu().double()
        n, d = rows.shape
        if n < 2 or not 1 <= k <= min(n, d):
            raise ValueError(
                f"{k} principal axes cannot be fitted to {n} images of {d} numbers: at least 2 images, at most {min(n, d)} axes"
            )
        mean = rows.mean(0)
        triangle = torch.linalg.qr(rows - mean, mode="r").R  # same singular values and axes, but d x d
        _, singular, axes = torch.linalg.svd(triangle, full_matrices=False)
        axes, deviation = axes[:k].T, singular[:k] / sqrt(n - 1)
        largest = axes.gather(0, axes.abs().argmax(0, keepdim=True))
        axes = axes * largest.sign()
        varies = deviation > torch.finfo(torch.float32).eps * deviation[0]
        scale = torch.where(varies, 1 / deviation, 0.0) if whiten else torch.ones(k, dtype=torch.float64)
        source = f"{n} images (sha256 {content_hash(images.cpu().numpy())[:12]})"
        protocol = f"{'whitened ' if whiten else ''}projection of centred pixels on {k} principal axes of {source}"
        single = [x.to(torch.float32) for x in (mean, axes, scale)]
        return PCA(*single, shape=tuple(images.shape[1:]), name=f"pca-{k}{'' if whiten else '-plain'}", protocol=protocol)

    def __call__(self, images: Tensor) -> Tensor:
        _same_shape(images, self.shape)
        mean, axes, scale = (x.to(images.device) for x in (self.mean, self.axes, self.scale))
        return (_rows(images) - mean) @ axes * scale


def _same_shape(images: Tensor, shape: tuple[int, ...]) -> None:
    if tuple(images.shape[1:]) != shape:
        raise ValueError(f"this descriptor takes images of shape (n, {', '.join(map(str, shape))}), got {tuple(images.shape)}")
