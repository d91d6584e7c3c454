"""What models share beyond a covariance: their samples less all that is linear in the noise, and
all that clipping adds to the samples of the Gaussian of their training images.

Two models of one noise agree already where both are nearly the Gaussian of their data. Differences
from it will not do: two models that ignore the noise share what is subtracted (cosine 1/2), and two
clipped Gaussians share the clipping. So samples are regressed on [1, z, clip(g)], z the noise and g
the Gaussian's sample, an affine function of z: all that [1, g, clip(g)] tells, and what networks
leave of the noise where their images have no variance. Each fold is fitted by the others, so models
that ignore the noise have nothing in common either.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from scipy.linalg import lstsq
from torch import Tensor
from torch.nn.functional import normalize

from denoscope.random import derive
from denoscope.readings import Reading

FOLDS = 5
LEAST = 2.0
"""Noises for each coefficient of a fold; with fewer the fit itself is noise."""
_ROUNDED = 1e-6  # of the largest pivot: noise of rounding to float32
_NONE = 1e-4  # of the largest pixel: what many rounded steps of a solver leave


def enough(noises: int, numbers: int) -> bool:
    """Whether so many noises tell the remainders of images of so many numbers."""
    return noises * (FOLDS - 1) / FOLDS >= LEAST * (2 * numbers + 1)


def remainder(
    samples: np.ndarray,
    noise: np.ndarray,
    gaussian: np.ndarray,
    ends: tuple[float, float] = (-1.0, 1.0),
    seed: int = 0,
) -> np.ndarray:
    """A model's ``samples`` (m, d) less their least-squares fit by [1, z, clip(g)] of rows of other
    folds; z ``noise`` and g = ``gaussian`` of the same rows, clipped to the ``ends`` of pixels.

    Rows of unlike numbers are a ValueError.
    """
    x, z, g = (np.asarray(rows, np.float64) for rows in (samples, noise, gaussian))
    if not x.shape == z.shape == g.shape or x.ndim != 2:
        shapes = f"{x.shape}, {z.shape} and {g.shape}"
        raise ValueError(f"row i of all comes from noise i: got shapes {shapes}")
    design = np.hstack([np.ones((len(g), 1)), z, np.clip(g, *ends)])
    left = np.empty_like(x)
    order = np.random.default_rng(derive(seed)).permutation(len(x))
    for rows in np.array_split(order, FOLDS):
        others = np.setdiff1d(order, rows)
        fit = lstsq(design[others], x[others], cond=_ROUNDED, lapack_driver="gelsy")[0]  # pyright: ignore[reportOptionalSubscript]
        left[rows] = x[rows] - design[rows] @ fit
    return np.where(np.abs(left).max() > _NONE * np.abs(x).max(), left, 0.0)


def likeness(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The cosine of row i of both, less its mean over all pairs of unlike rows, (m,); rows that are
    zero are like nothing.
    """
    a, b = (normalize(torch.as_tensor(rows, dtype=torch.float64), dim=1) for rows in (one, other))
    paired = (a * b).sum(1)
    unlike = (a.sum(0) @ b.sum(0) - paired.sum()) / (len(a) * (len(a) - 1))
    return (paired - unlike).numpy()


def left_share(samples: np.ndarray, left: np.ndarray) -> np.ndarray:
    """The squared norms of remainders over the mean of samples' about their mean, (m,): their mean
    is the share of variance that noise and Gaussian do not tell, 1 or more where noises are unlike.
    """
    return (left**2).sum(1) / samples.var(0).sum()


def beyond(made: Tensor, noise: Tensor, gaussian: Tensor) -> Iterator[Reading]:
    """A model's ``remainder`` and the share of variance that is ``left``, also where noises are
    unlike, of its samples, the noise and the Gaussian's samples (samples, *event), both clipped to
    the range of their images; nothing of too few noises.
    """
    x, z, g = (images.flatten(1).double().numpy() for images in (made, noise, gaussian))
    if enough(*x.shape):
        as_given = (-np.inf, np.inf)
        rest = remainder(x, z, g, as_given)
        unlike = remainder(x, np.roll(z, 1, 0), np.roll(g, 1, 0), as_given)
        yield Reading("remainder", {}, rest.astype(np.float16))
        yield Reading("left", {}, left_share(x, rest).astype(np.float32))
        yield Reading("left", {"pair": "unlike"}, left_share(x, unlike).astype(np.float32))
