"""How far a denoiser is from closed forms and from its best affine map, point by point at one noise
level.

The distance of two denoisers at y is ``|D_1(y) - D_2(y)|/sqrt(d)``, that of their score fields
times sigma^2, in units of a pixel; relative, it is ``|D_1 - D_2|/|D_1|``. All are measured at the
same noisy images that no model saw. As sigma -> 0 a denoiser that keeps clean images leaves them
where they are, while the Wiener filter of N <= d images projects onto their affine span: the
distance tends to that from the span.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from denoscope.geometry.distances import outputs, relative_error, rmse
from denoscope.geometry.distillation import Affine, distill, weight_error
from denoscope.studies._geometry.subject import Data, Subject
from denoscope.types import Denoiser

POINTS = 200
_IMAGES, _ROWS = 8, 2048  # images for each number of a row of W, and least rows, of a distillation
# images of a memorizer that is distilled, beside the network, to see what distillation alone does
_MOST_CONTROLLED = 4096
_PAIRS = (("memorizer", "gaussian"), ("distillate", "gaussian"), ("control", "gaussian"))


def points(subject: Subject) -> int:
    """How many noisy unseen images are used: at most 200, an even number, and each image once where
    there are two.
    """
    return max(2, min(POINTS, len(subject.data.unseen())) // 2 * 2)


def neutral(data: Data) -> Tensor:
    """The images that every model is distilled on: the unseen ones, filled up with the first of the
    pool to 8 (d + 1).
    """
    unseen = data.unseen()[: wanted(data)]
    return torch.cat([unseen, data.pool()[: wanted(data) - len(unseen)]])


def wanted(data: Data) -> int:
    """How many images a distillation takes where there are so many."""
    return _IMAGES * (data.unseen()[0].numel() + 1)


def distances(
    subject: Subject, models: Mapping[str, Denoiser], level: float
) -> dict[str, np.ndarray]:
    """``rmse_A_B`` and ``relative_A_B`` (points,) between the network and all else, and between
    some others; ``weight_A`` () of distillates.
    """
    affine = _distilled(subject, models, level)
    y = subject.noisy("test", points(subject), level)
    values = {name: outputs(model, y, level) for name, model in {**models, **affine}.items()}
    pairs = [("network", name) for name in values if name not in ("network", "control")] + [
        p for p in _PAIRS if p[0] in values
    ]
    found = {f"rmse_{a}_{b}": rmse(values[a], values[b]) for a, b in pairs}
    found |= {f"relative_{a}_{b}": relative_error(values[a], values[b]) for a, b in pairs}
    wiener = _wiener(subject.data, level)
    found |= {
        f"weight_{name}": torch.tensor(weight_error(map_.weight, wiener))
        for name, map_ in affine.items()
    }
    return {name: value.numpy() for name, value in found.items()}


def _distilled(subject: Subject, models: Mapping[str, Denoiser], level: float) -> dict[str, Affine]:
    """The best affine maps to the network and, where the training set is not too large, to the
    memorizer, on the same inputs.
    """
    images = neutral(subject.data)
    repeats = -(-_ROWS // len(images))
    found = {"distillate": distill(models["network"], images, level, repeats=repeats)}
    if len(subject.data.train()) <= _MOST_CONTROLLED:
        found["control"] = distill(models["memorizer"], images, level, repeats=repeats)
    return found


def _wiener(data: Data, level: float) -> Tensor:
    """The matrix of the Wiener filter of the training set at one level, (d, d)."""
    cov = data.gaussian().cov.double()
    return torch.linalg.solve(cov + level**2 * torch.eye(len(cov), dtype=torch.float64), cov)


def beyond_span(data: Data, count: int) -> tuple[np.ndarray, int]:
    """The distance of ``count`` unseen images from the affine span of the training images, a pixel
    (count,), and that span's dimension.
    """
    train, x = data.train().flatten(1).double(), data.unseen().flatten(1).double()
    x = x[torch.arange(count) % len(x)] - train.mean(0)
    centred = train - train.mean(0)
    variances, basis = torch.linalg.eigh(centred.T @ centred / len(train))
    basis = basis[
        :, variances > len(basis) * torch.finfo(torch.float32).eps * variances[-1].clamp(min=1e-30)
    ]
    rest = x - x @ basis @ basis.T
    return (rest.norm(dim=1) / rest.shape[1] ** 0.5).numpy(), basis.shape[1]
