"""What one model is asked: how well it denoises seen and unseen images, what it makes from shared
noises, and its harmonics at shared points.

Arrays of one model; ``levels`` are those of
:data:`~denoscope.studies._geometry.halves.psnr.INPUTS`, ``points`` noisy unseen images:

* ``error_{train,test}``, with ``_NAME`` for the closed forms: mean squared errors a number,
  averaged over the noises of an image, (levels, images);
* ``answers``, ``answers_gaussian``: D at the first points, (levels, points, n);
* ``samples``, ``samples_memorizer``, ``samples_gaussian``: from the shared noises, (noises, n);
* ``nearest``, ``similarity``: index of the training image nearest to a sample and its mean-removed
  cosine, (noises,); ``similarity_plain`` by the cosine of images in [0, 1] as they are;
  ``similarity_unseen``: that of unseen images;
* ``values``, ``vectors``, with ``_NAME``: eigenvalues (points, k) of the symmetrised Jacobian at
  ``HARMONIC`` dB and its leading eigenvectors (points, ``LEADING``, n).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from denoscope.describe import Pixels
from denoscope.estimate import mean
from denoscope.geometry.distances import outputs
from denoscope.geometry.harmonic_basis import harmonics
from denoscope.metrics import nearest_similarity
from denoscope.nearest import neighbors
from denoscope.sampling import sample
from denoscope.studies._geometry.halves import psnr
from denoscope.studies._geometry.subject import Subject
from denoscope.study import Result
from denoscope.types import Denoiser

POINTS = 128
"""Noisy images of each kind at every level."""

COMPARED = 64
"""Points at which the answers are kept, to compare denoisers."""

HARMONIC = 15.0
"""Input PSNR in dB of the points of harmonics: sigma = 0.36."""

PLACES = 16
"""Points of harmonics."""

LEADING = 8
"""Eigenvectors that are kept and compared."""

_WHOLE = 128  # numbers of an image up to which all eigenvalues are found
_SOME = 24  # eigenvalues else
CLOSED = ("memorizer", "gaussian")
Kind = Literal["train", "test"]


def measure(subject: Subject) -> Result:
    """Every value and array of one model."""
    closed = {name: make() for name, make in subject.others().items()}
    arrays = (
        _errors(subject, closed)
        | _answers(subject, closed)
        | _samples(subject, closed)
        | _harmonics(subject, closed)
    )
    values = {
        "similarity": mean(arrays["similarity"]),
        "similarity_unseen": mean(arrays["similarity_unseen"]),
        **{
            f"psnr_{kind}": psnr.output(arrays[f"error_{kind}"][psnr.at(HARMONIC)])
            for kind in ("train", "test")
        },
        "psnr_gap": psnr.gap(
            *(arrays[f"error_{kind}"][psnr.at(HARMONIC)] for kind in ("train", "test"))
        ),
    }
    return Result(values, arrays)


def _rows(tensor: Tensor) -> np.ndarray:
    return tensor.flatten(1).float().numpy()


def _errors(subject: Subject, closed: dict[str, Denoiser]) -> dict[str, np.ndarray]:
    found = {}
    available: dict[Kind, int] = {
        "train": len(subject.data.train()),
        "test": len(subject.data.unseen()),
    }
    for kind, count in available.items():
        images = min(count, POINTS)
        count = images * (POINTS // images)
        clean = subject.clean(kind, count).flatten(1)
        for name, D in {"": subject.denoiser, **closed}.items():
            each = [
                (outputs(D, subject.noisy(kind, count, s), s) - clean).square().mean(1)
                for s in psnr.level(psnr.INPUTS).tolist()
            ]
            averaged = torch.stack(each).reshape(len(each), -1, images).mean(1)
            found[f"error_{kind}" + (f"_{name}" if name else "")] = averaged.float().numpy()
    return found


def _answers(subject: Subject, closed: dict[str, Denoiser]) -> dict[str, np.ndarray]:
    asked = {"answers": subject.denoiser, "answers_gaussian": closed["gaussian"]}
    levels = psnr.level(psnr.INPUTS).tolist()
    return {
        name: np.stack([_rows(outputs(D, subject.noisy("test", COMPARED, s), s)) for s in levels])
        for name, D in asked.items()
    }


def _samples(subject: Subject, closed: dict[str, Denoiser]) -> dict[str, np.ndarray]:
    made, train = subject.samples(), subject.data.train()
    pixels = Pixels()
    alike = neighbors(pixels(made), pixels(train), metric="cosine")
    found = {
        "samples": _rows(made),
        "nearest": alike.index[:, 0].numpy(),
        "similarity": (1 - alike.distance[:, 0]).float().numpy(),
        "similarity_plain": nearest_similarity(unsigned(made), unsigned(train)).float().numpy(),
        "similarity_unseen": nearest_similarity(pixels(subject.data.unseen()), pixels(train))
        .float()
        .numpy(),
    }
    return found | {
        f"samples_{name}": _rows(sample(closed[name], subject.start(), subject.sigmas))
        for name in CLOSED
    }


def unsigned(images: Tensor) -> Tensor:
    """Images as rows in [0, 1], as they are: features of the plain cosine."""
    return (images.flatten(1) + 1) / 2


def _harmonics(subject: Subject, closed: dict[str, Denoiser]) -> dict[str, np.ndarray]:
    s = float(psnr.level(HARMONIC))
    noisy = subject.noisy("test", PLACES, s)
    n = noisy[0].numel()
    found: dict[str, np.ndarray] = {
        "harmonic_clean": _rows(subject.clean("test", PLACES)),
        "harmonic_noisy": _rows(noisy),
    }
    for name, D in {
        "": subject.denoiser,
        **{name: D for name, D in closed.items() if name != "gaussian_all"},
    }.items():
        ending = f"_{name}" if name else ""
        basis = harmonics(D, noisy, torch.full((PLACES,), s), n if n <= _WHOLE else _SOME)
        found[f"values{ending}"] = basis.values.float().numpy()
        found[f"vectors{ending}"] = basis.vectors[:, :LEADING].flatten(2).float().numpy()
        found[f"harmonic_answer{ending}"] = _rows(outputs(D, noisy, s))
    return found
