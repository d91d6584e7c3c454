"""The variance that the truth has along an eigenvector of the training covariance, given its
eigenvalue (Ledoit and Péché).

Symbols as in :mod:`denoscope.theory.linear.equivalents`, continued to c = -z: ``kappa (1 -
df1(kappa)/n) = -z`` has, for Im z > 0, exactly one root with Im kappa < 0 (1/kappa is the Stieltjes
transform of the n x n companion of S_0). At z = x + i0 the expected variance e^T S e along an
eigenvector e of S_0 with eigenvalue x is ``|kappa|^2 / x``, which is x/|1 - phi - phi x m(x +
i0)|^2. With it any spectral filter (early stopping, ridge, truncation) has its expected test loss:
replace the variance S_nu of each mode by the oracle at lambda_nu.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from denoscope.theory.inputs import numeric, variances, within
from denoscope.theory.linear.equivalents import unseen_variance

_CHUNK = 2**21  # complex numbers in one block of eigenvalues times variances
_DESCENT = np.linspace(0, 1, 17)


@numeric
def oracle_variances(spectrum: ArrayLike, n: float, x: ArrayLike) -> Any:
    """``E[e^T S e | eigenvalue x]`` for sample eigenvalues ``x`` (m,) of n degrees of freedom, true
    ``spectrum`` (d,); x's shape.

    At x = 0 the mean variance of an unseen direction, n kappa(0)/(d - n), and 0 where n >= d.
    Eigenvalues outside the limiting support, where none is expected, are answered by analytic
    continuation. For S_0 normalised by 1/N with N - 1 degrees of freedom pass n = N - 1 and x N/(N
    - 1). Source: Ledoit and Péché 2011.
    """
    given = np.ravel(variances("spectrum", spectrum))
    count = float(within("n", n, 0, np.inf))
    at = within("x", x, 0, np.inf, closed=True)
    flat = np.ravel(at)
    positive = np.where(flat > 0, flat, 1.0)
    width = max(1, _CHUNK // len(given))
    roots = np.concatenate(
        [_companion(given, count, positive[i : i + width]) for i in range(0, len(flat), width)]
        or [flat]
    )
    unseen = (
        float(unseen_variance(given, count)) / (len(given) - count) if count < len(given) else 0.0
    )
    return np.where(flat > 0, np.abs(roots) ** 2 / positive, unseen).reshape(at.shape)


def _companion(spectrum: np.ndarray, n: float, x: np.ndarray) -> np.ndarray:
    """kappa at x + i0, x > 0, followed down from far above the axis, where it is about -z."""
    high, low = 10 * (x + spectrum.sum() / n), 1e-13 * x
    root = -(x + 1j * high)
    for part in _DESCENT:
        root = _newton(spectrum, n, x + 1j * high ** (1 - part) * low**part, root)
    return root


def _newton(spectrum: np.ndarray, n: float, z: np.ndarray, root: np.ndarray) -> np.ndarray:
    """Newton's method that halves the distance to the real axis where a step would cross it."""
    for _ in range(50):
        shares = spectrum / (spectrum + root[:, None])
        error = root * (1 - shares.sum(-1) / n) + z
        step = error / (1 - (shares**2).sum(-1) / n)
        new = root - step
        new = np.where(np.imag(new) < 0, new, np.real(new) + 0.5j * np.imag(root))
        moved = np.abs(new - root) > 1e-13 * np.abs(root)
        root = new
        if not moved.any():
            break
    return root
