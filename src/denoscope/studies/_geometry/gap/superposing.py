"""The linearity score of denoisers at one noise level, pair by pair, on three kinds of input.

``noisy`` and ``noise`` are those of Li, Dai and Qu 2024: noisy unseen images, and noise alone. The
score asks for ``D(a x1 + b x2) = a D(x1) + b D(x2)``, which an affine map with an offset fails, so
that the Wiener filter itself scores below 1 where the mean image is not zero. ``centred`` asks the
same about the mean image m of the training set, of ``x -> D(x + m) - m`` at ``x - m``: every Wiener
filter scores 1.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from torch import Tensor

from denoscope.geometry.linearization import superposition
from denoscope.studies._geometry.gap.distances import points
from denoscope.studies._geometry.subject import Subject
from denoscope.types import Denoiser

INPUTS = ("noisy", "noise", "centred")


class _About:
    """A denoiser in coordinates whose origin is ``mean``."""

    def __init__(self, denoiser: Denoiser, mean: Tensor):
        self.denoiser, self.mean = denoiser, mean

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        return self.denoiser(x + self.mean, sigma) - self.mean


def linearities(
    subject: Subject, models: Mapping[str, Denoiser], level: float
) -> dict[str, np.ndarray]:
    """``linearity_KIND_MODEL`` (the size of the cosine) and ``nonlinearity_KIND_MODEL`` (the
    relative error), each (pairs,).
    """
    count = points(subject)
    noisy, mean = subject.noisy("test", count, level), subject.data.train().mean(0)
    inputs = {"noisy": noisy, "noise": level * subject.noise(count), "centred": noisy - mean}
    found = {}
    for kind in INPUTS:
        x1, x2 = inputs[kind].split(count // 2)
        for name, model in models.items():
            compared = superposition(
                _About(model, mean) if kind == "centred" else model, x1, x2, level
            )
            found[f"linearity_{kind}_{name}"] = compared.cosine.abs().numpy()
            found[f"nonlinearity_{kind}_{name}"] = compared.error.numpy()
    return found
