"""Principal components of training images: a copy's place among what varies in the data, and little
of its pixel noise.

The axes are the eigenvectors of the covariance of the images, after those with a side longer than
32 pixels are reduced to 32 x 32: the leading components are smooth, so that nothing is lost that 64
of them could hold, and 3 x 32 x 32 numbers keep the covariance exact and small.

How many: as many as hold 99 % of the variance, from 8 to 64. Whitened axes count alike, so that
axes beyond that, on which a few pixels barely vary, would drown the rest: on 8 x 8 digits the area
under the ROC curve of near copies is 0.999 with 41 whitened axes and 0.61 with all 64; on 32 x 32
emoji it rises from 0.978 with 16 to 0.998 with 64 and then stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from scipy.linalg import eigh
from torch import Tensor

from denoscope.data.images import Pictures, batches, shape_of
from denoscope.data.moments import Moments
from denoscope.describe.identity import Score
from denoscope.describe.rows import expect_shape, projected, reduced, reduction
from denoscope.files import content_hash
from denoscope.random import generator

SIDE = 32
"""The longest side, in pixels, of images whose components are taken."""
MOST = 10_000
"""The most images that a fit looks at; of more, as many are drawn by seed."""
HELD = 0.99
"""The share of variance that components hold if their number is not given, in :data:`COUNTS`."""
COUNTS = (8, 64)
"""The least and the most components where their number is not given."""


@dataclass(frozen=True, eq=False)
class PCA:
    """Centred pixels on principal axes, by :meth:`fit`, each divided by its standard deviation
    where whitened.

    ``mean`` (d,), ``axes`` (d, k) orthonormal columns by falling variance, ``scale`` (k,) by which
    each feature is multiplied; d counts the numbers of an image of ``shape`` (c, h, w), at most 32
    x 32 pixels. Images of another shape than those of the fit are a ValueError.
    """

    mean: Tensor
    axes: Tensor
    scale: Tensor
    shape: tuple[int, ...]
    name: str
    protocol: str
    score: Score = "cosine"
    identity: Mapping[str, Any] = field(default_factory=dict)
    costly: bool = False

    @staticmethod
    def fit(
        images: Pictures,
        k: int | None = None,
        whiten: bool = True,
        *,
        score: Score = "cosine",
        seed: int = 0,
        most: int = COUNTS[1],
    ) -> PCA:
        """The first k principal axes of images; the sign of an axis makes its largest entry
        positive.

        Without ``k`` as many as hold 99 % of the variance, from 8 to 64, and no more than ``most``.
        Of more than 10 000 images as many are drawn by ``seed``. Whitening divides by the standard
        deviation with n - 1; an axis on which the images do not vary (below float32's rounding of
        the first axis) gives zeros instead. ``k`` outside 1..min(n, d) or fewer than 2 images are a
        ValueError.
        """
        n, shape = len(images), shape_of(images)[1:]
        there = min(n, reduced(images[:1], SIDE).numel())
        if n < 2 or (k is not None and not 1 <= k <= there):
            asked = "" if k is None else f"{k} "
            raise ValueError(
                f"{asked}principal axes cannot be fitted to {n} images: at least 2 images "
                f"are needed, and at most {there} axes"
            )
        rows = _drawn(images, seed)
        moments = Moments.of(rows)
        variances, axes = _principal(moments, min(most, n - 1, there) if k is None else k)
        if k is None:
            enough = _enough(variances, moments)
            variances, axes = variances[:enough], axes[:, :enough]
        varies = variances.sqrt() > torch.finfo(torch.float32).eps * variances[0].sqrt()
        scale = (
            torch.where(varies, variances.rsqrt(), 0.0) if whiten else torch.ones_like(variances)
        )
        digest = content_hash(rows.numpy())
        of = f"{MOST} of {n} images drawn by seed {seed}" if n > MOST else f"{n} images"
        made = (
            f"{'whitened ' if whiten else ''}projection of centred pixels{reduction(shape, SIDE)}"
        )
        protocol = f"{made} on {len(variances)} principal axes of {of} (sha256 {digest[:12]})"
        name = f"pca{'' if k is None else f'-{k}'}{'' if whiten else '-plain'}"
        identity = {"name": name, "version": 1, "preprocessing": protocol, "shape": list(shape)}
        identity |= {"score": score, "sha256": digest}
        single = [x.to(torch.float32) for x in (moments.mean, axes, scale)]
        return PCA(
            *single, shape=shape, name=name, protocol=protocol, score=score, identity=identity
        )

    def __call__(self, images: Tensor) -> Tensor:
        expect_shape(images, self.shape)
        return projected(images, self.mean, self.axes, SIDE) * self.scale.to(images.device)


def _drawn(images: Pictures, seed: int) -> Tensor:
    """The images that a fit looks at, reduced."""
    n, shape = len(images), shape_of(images)[1:]
    drawn = torch.randperm(n, generator=generator(seed))[:MOST].sort().values
    chosen = drawn if n > MOST else torch.arange(n)
    parts = (images[chosen[rows]] for rows in batches((len(chosen), *shape)))
    return torch.cat([reduced(part, SIDE).cpu() for part in parts])


def _principal(moments: Moments, k: int) -> tuple[Tensor, Tensor]:
    """The k largest variances with n - 1, falling, (k,) and their axes (d, k), float64."""
    d = len(moments.origin)
    values, vectors = eigh(moments.cov.numpy(), subset_by_index=(d - k, d - 1), overwrite_a=True)
    variances = torch.from_numpy(values.copy()).flip(0).clamp_min(0) * _unbiased(moments)
    axes = torch.from_numpy(vectors.copy()).flip(1)
    return variances, axes * axes.gather(0, axes.abs().argmax(0, keepdim=True)).sign()


def _enough(variances: Tensor, moments: Moments) -> int:
    """How many of the largest variances hold the declared share, at least the least count."""
    total = moments.cov.diagonal().sum() * _unbiased(moments)
    holding = int((variances.cumsum(0) < HELD * total).sum()) + 1
    return min(len(variances), max(COUNTS[0], holding))


def _unbiased(moments: Moments) -> float:
    """n/(n - 1)."""
    return moments.count / (moments.count - 1)
