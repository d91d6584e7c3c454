"""The closed-form denoisers beside a network: exact eigenvalues of their Jacobians, which are
posterior covariances over sigma^2.

The memorizer's is the covariance of the training images by their posterior weights; that of a
Gaussian has ``lam/(lam + sigma^2)`` everywhere, lam an eigenvalue of its covariance. As sigma grows
both tend to ``Cov/sigma^2``.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from denoscope.data.sources import truth
from denoscope.data.splits import Split
from denoscope.distributions import Empirical, Gaussian
from denoscope.geometry.dimension import flipd
from denoscope.sampling import trajectory
from denoscope.studies._geometry.rank.facts import Facts, of_denoiser, of_spectrum
from denoscope.studies._geometry.rank.points import KINDS, Points
from denoscope.studies._geometry.subject import Subject
from denoscope.types import Denoiser

_WEIGHT = 1e-16  # of a posterior: what is left out of its covariance


@lru_cache(maxsize=16)
def references(data: Split, points: Points) -> dict[str, np.ndarray]:
    """All arrays of the memorizer and, where it is known, the true denoiser at the same points, and
    the eigenvalues of both covariances.
    """
    arrays = {
        "spectrum_train": spectrum(data.gaussian()),
        "spectrum_all": spectrum(data.gaussian_all()),
    }
    memorizer = Empirical(data.train().double())
    arrays |= _everywhere("memorizer", memorizer, data, points)
    if (known := truth(data.source)) is not None:
        arrays |= _everywhere("truth", known, data, points)
        x, levels = points.clean(Subject(known, data))
        arrays["flipd_truth"] = (
            flipd(known, x.double(), levels.double()).value.numpy().astype(np.float32)
        )
    return arrays


def spectrum(gaussian: Gaussian) -> np.ndarray:
    """The eigenvalues of the covariance, falling, of the directions that the data span."""
    values = gaussian.modes.variances.double().clamp_min(0).sort(descending=True).values
    return values.numpy()


def gaussian_values(lam: np.ndarray, sigma: np.ndarray) -> Tensor:
    """The eigenvalues of a Gaussian denoiser's J at each level, (levels, k)."""
    return torch.from_numpy(lam / (lam + np.asarray(sigma)[:, None] ** 2))


def memorizer_facts(memorizer: Empirical, x: Tensor, sigma: Tensor) -> Facts:
    """The facts of the empirical denoiser at points x (*b, *event) and levels (*b)."""
    n = memorizer.event_shape.numel()
    flat, levels = x.double().reshape(-1, *memorizer.event_shape), sigma.double().reshape(-1)
    rows = memorizer.data.flatten(1)
    values = torch.stack(
        [
            _values(rows, memorizer.weights(flat[i : i + 1], levels[i])[0]) / levels[i] ** 2
            for i in range(len(flat))
        ]
    )
    return Facts(*(part.reshape(sigma.shape) for part in of_spectrum(values, levels, n)))


def _values(rows: Tensor, weights: Tensor) -> Tensor:
    """Eigenvalues of the weighted covariance of rows (N, n), as many as the smaller of N and n;
    zeros for what the weights leave out.
    """
    kept = weights > _WEIGHT
    share, chosen = weights[kept, None], rows[kept]
    centred = share.sqrt() * (chosen - (share * chosen).sum(0))
    gram = centred @ centred.T if len(centred) < centred.shape[1] else centred.T @ centred
    found = torch.linalg.eigvalsh(gram).clamp_min(0)
    return torch.nn.functional.pad(found, (0, min(rows.shape) - len(found)))


def _everywhere(name: str, known: Denoiser, data: Split, points: Points) -> dict[str, np.ndarray]:
    """The facts of a closed form at noisy images and along its own sampling paths."""
    subject = Subject(known, data, points.noises, points.steps)
    arrays: dict[str, np.ndarray] = {}
    for kind in KINDS:
        arrays |= _facts(known, *points.noisy(subject, kind)).arrays(kind, name)
    start = subject.start()[: points.count].double()
    states = list(trajectory(known, start, subject.sigmas.double()))
    return arrays | _facts(known, *points.path(states, subject.sigmas)).arrays("path", name)


def _facts(known: Denoiser, x: Tensor, sigma: Tensor) -> Facts:
    return (
        memorizer_facts(known, x, sigma)
        if isinstance(known, Empirical)
        else of_denoiser(known, x.double(), sigma.double())
    )
