"""How far apart two models carry the same noises: the probability-flow distance, and its parts of
bias and variance over training sets.

``PFD(1, 2)^2 = E |x_1(z) - x_2(z)|^2`` over unit noises z, x(z) what the deterministic flow of a
model makes of z; images as they are, or their features. The norm is over *all* numbers: divide by
the root of their number for a distance a pixel. To the truth it is a model's generalization error,
to the memorizer of its training images its memorization error. Over training sets S of one size

    E |x_S - x|^2  =  |E x_S - x|^2 (bias)  +  E |x_S - E x_S|^2 (variance).

Zhang et al. 2025 (arXiv 2505.20123).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from denoscope.estimate import Estimate
from denoscope.metrics.log_means import root_mean
from denoscope.nearest import paired
from denoscope.sampling import heun, sample
from denoscope.types import Denoiser, Descriptor, Step


def flow_distance(
    D1: Denoiser,
    D2: Denoiser,
    noise: Tensor,
    sigmas: Tensor,
    *,
    step: Step = heun,
    descriptor: Descriptor | None = None,
) -> Estimate:
    """The root mean square distance of what two denoisers make of each unit ``noise`` (k, *shape)
    along ``sigmas`` by one ``step``, over all numbers of an image, or of its features.

    A metric: 0 to itself, symmetric, and the triangle holds for the same noises. Interval by t over
    noises on the logarithm. Denoisers that answer in another shape than they are asked are a
    ValueError.
    """
    first, second = (sample(D, float(sigmas[0]) * noise, sigmas, step) for D in (D1, D2))
    return sample_distance(*(_described(x, descriptor) for x in (first, second)))


def sample_distance(gen: Tensor | np.ndarray, twin: Tensor | np.ndarray) -> Estimate:
    """:func:`flow_distance` of samples (k, d) that were drawn already, row i of both from the same
    noise; unequal lengths are a ValueError.
    """
    return root_mean(squared_distances(gen, twin))


def squared_distances(gen: Tensor | np.ndarray, twin: Tensor | np.ndarray) -> np.ndarray:
    """The squared distance of row i to row i, (k,): the units of :func:`sample_distance`."""
    return paired(gen, twin, names=("gen", "twin")).double().square().numpy()


def _described(x: Tensor, descriptor: Descriptor | None) -> Tensor:
    return x.flatten(1) if descriptor is None else descriptor(x)


def bias(samples: Tensor | np.ndarray, truth: Tensor | np.ndarray) -> np.ndarray:
    """Squared bias of the models of several training sets, ``samples`` (sets, k, d) of the same k
    noises, against the samples ``truth`` (k, d) of a model that is no estimate of theirs.

    Without the variance that a mean over few sets still has: the mean product of the errors of two
    *different* sets. It can fall below 0 where there is no bias. Units (sets, k), for
    :func:`denoscope.estimate.crossed`: their mean is the estimate.
    """
    errors = torch.as_tensor(samples).double() - torch.as_tensor(truth).double()
    return _pairs(torch.einsum("akd,bkd->abk", errors, errors))


def variance(samples: Tensor | np.ndarray) -> np.ndarray:
    """Variance over training sets, summed over numbers: half the mean squared distance of the
    ``samples`` (sets, k, d) of two different sets. Units as for :func:`bias`.
    """
    x = torch.as_tensor(samples).double()
    return _pairs(torch.stack([(x - one).square().sum(2) / 2 for one in x]))


def _pairs(kernel: Tensor) -> np.ndarray:
    """Pseudo-values (sets, k) of the mean of ``kernel`` (sets, sets, k) over pairs of different
    sets: that mean less what each set alone makes of it, delete-one jackknife.
    """
    sets = len(kernel)
    if sets < 3:
        raise ValueError(f"bias and variance need the samples of at least 3 sets, got {sets}")
    own = kernel.sum(1) - torch.einsum("aak->ak", kernel)
    total = own.sum(0) / 2
    return (2 * total / (sets - 1) - 2 * (total - own) / (sets - 2)).numpy()
