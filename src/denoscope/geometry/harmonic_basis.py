"""The geometry-adaptive harmonic basis: the directions that a denoiser keeps and shrinks at a point
(Kadkhodaie et al. 2024).

The symmetric part of the Jacobian at the noisy x is ``(J + J^T)/2 = sum_k lambda_k e_k e_k^T``: for
a posterior mean ``Cov(x0 | x)/sigma^2``. A denoiser without additive constants is ``D(x) = J x =
sum_k lambda_k <x, e_k> e_k``, shrinkage by lambda_k in a basis that adapts to x; the best shrinkage
of a clean image x0 in that basis would be ``<x0, e_k>^2 / (<x0, e_k>^2 + sigma^2)``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from denoscope.geometry.field import Field
from denoscope.geometry.lanczos import largest_eigenpairs
from denoscope.types import Denoiser, pad


@dataclass(frozen=True)
class Harmonics:
    """``values`` (*b, k), the k largest eigenvalues lambda in descending order, and ``vectors``
    (*b, k, *event), e_k of norm 1.

    Of e_k and -e_k it is the one whose entry of largest modulus is positive. Vectors of equal
    eigenvalues are any basis of their span.
    """

    values: Tensor
    vectors: Tensor

    def coefficients(self, image: Tensor) -> Tensor:
        """``<image, e_k>``, (*b, k), of images (*b, *event); another shape is a ValueError."""
        batch = self.values.ndim - 1
        if image.shape != self.vectors.shape[:batch] + self.vectors.shape[batch + 1 :]:
            raise ValueError(
                f"image must have the shape of the points, got {tuple(image.shape)} for "
                f"vectors {tuple(self.vectors.shape)}"
            )
        flat = image.to(self.vectors).flatten(batch)[..., None]
        return (self.vectors.flatten(batch + 1) @ flat)[..., 0]

    def oracle(self, clean: Tensor, sigma: Tensor | float) -> Tensor:
        """``<x0, e_k>^2 / (<x0, e_k>^2 + sigma^2)``, (*b, k): the shrinkage of least squared error
        in this basis, given the clean images.

        ``sigma`` (*b) or a number, positive; else a ValueError. To be compared with ``values``.
        Source: Kadkhodaie et al. 2024.
        """
        energy = self.coefficients(clean) ** 2
        level = pad(torch.as_tensor(sigma).to(energy), energy)
        if not bool((level > 0).all()):
            raise ValueError(f"sigma must be positive, got {float(level.min()):g}")
        return energy / (energy + level**2)


def harmonics(D: Denoiser, x: Tensor, sigma: Tensor | float, k: int, *, seed: int = 0) -> Harmonics:
    """The k largest eigenvalues, by value, of ``(J + J^T)/2`` at the points x and their
    eigenvectors; O(k n) memory where k is far below n.

    Residuals ``|(J + J^T)/2 e - lambda e|`` are at most eps^(2/3) times the largest ``|lambda|``
    (2e-5 in float32, 4e-11 in float64), so angles of vectors that are apart are of that size over
    the relative gap; where J is below the rounding of the identity its vectors are arbitrary. A
    point that has taken n products is finished from its matrix. ``k`` outside 1 ... n is a
    ValueError. Source: Kadkhodaie et al. 2024.
    """
    field = Field(D, x, sigma)
    if not 1 <= k <= field.n:
        raise ValueError(f"k must be from 1 to the n = {field.n} numbers of a point, got {k}")
    values, vectors = largest_eigenpairs(field, k, seed)
    peak = vectors.gather(1, vectors.abs().argmax(1, keepdim=True))
    rows = torch.where(peak < 0, -vectors, vectors).mT
    return Harmonics(values.reshape(*field.batch, k), rows.reshape(*field.batch, k, *field.event))
