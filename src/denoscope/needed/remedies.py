"""What helps while there are too few images, by cross-validation: the ridge and the training time,
and the held-out loss with each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from denoscope.needed.spectrum import SpectrumFold
from denoscope.theory.linear.dynamics import best_stopping, early_stopped


def held_out(
    folds: Sequence[SpectrumFold],
    abar: float,
    *,
    ridge: float | np.ndarray = 0.0,
    k: float | np.ndarray | None = None,
) -> np.ndarray:
    """The mean loss per dimension on held-out images, of ridge c = ``ridge`` and training time
    ``k`` (None: to the end).
    """
    return np.mean(
        [
            early_stopped(f.lam, abar, k, f.other, abar * np.asarray(ridge)) / len(f.lam)
            for f in folds
        ],
        0,
    )


def surprise(folds: Sequence[SpectrumFold], c: np.ndarray) -> np.ndarray:
    """``1/2 [Tr (Sigma_0 + c)^-1 M + ln |Sigma_0 + c|]`` per dimension, M the moment of held-out
    images: the divergence true||model up to a constant.
    """
    c = np.asarray(c)[..., None]
    return np.mean([0.5 * (f.other / (f.lam + c) + np.log(f.lam + c)).mean(-1) for f in folds], 0)


def best_ridge(folds: Sequence[SpectrumFold]) -> float:
    """The ridge c under which held-out images are least surprising; 0 where none helps."""
    tried = np.geomspace(1e-10, 10, 221) * max(max(f.lam.max(), f.other.max()) for f in folds)
    place = int(surprise(folds, tried).argmin())
    ends = np.log(tried[[max(place - 1, 0), min(place + 1, len(tried) - 1)]])
    found: Any = minimize_scalar(
        lambda x: float(surprise(folds, np.exp(x))),
        bounds=tuple(ends),
        method="bounded",
        options={"xatol": 1e-6},
    )
    without = (
        float(surprise(folds, np.zeros(()))) if all(f.lam.min() > 0 for f in folds) else math.inf
    )
    return 0.0 if without <= found.fun else float(np.exp(found.x))


def best_time(folds: Sequence[SpectrumFold], abar: float) -> float:
    """The training time k = 2 eta tau with the least held-out loss, one for all folds; +inf where
    training on is best.
    """
    return float(
        best_stopping(
            np.concatenate([f.lam for f in folds]), np.concatenate([f.other for f in folds]), abar
        )
    )


def gains(folds: Sequence[SpectrumFold], abar: float) -> dict[str, np.ndarray]:
    """The held-out loss with a ridge and with an early stop, each chosen on the other folds, in
    parts of that trained to the end; (folds,) each. One fold alone has no others: none.
    """
    found: dict[str, list[float]] = {"ridge": [], "stop": []}
    for i, one in enumerate(folds if len(folds) > 1 else []):
        others = [*folds[:i], *folds[i + 1 :]]
        trained = float(held_out([one], abar))
        with_ridge = float(held_out([one], abar, ridge=best_ridge(others)))
        found["ridge"].append(with_ridge / trained)
        found["stop"].append(float(held_out([one], abar, k=best_time(others, abar))) / trained)
    return {name: np.array(values) for name, values in found.items() if values}
