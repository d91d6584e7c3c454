"""What every formula does with its arguments: numpy or torch in, the same kind out, float64 inside,
one clear line on bad input.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np
import torch
from torch import Tensor

P = ParamSpec("P")
R = TypeVar("R")

# of the largest entry: what a covariance that was once float32 may be off symmetry or below zero
_ROUNDING = 1e-7


def numeric(function: Callable[P, R]) -> Callable[P, R]:
    """``function`` on float64 arrays, for callers with numbers, lists, numpy arrays or torch
    tensors.

    With a tensor among the arguments every array of the answer is a float64 tensor; otherwise it is
    a numpy array, and a Python float where it has no axes. Named tuples are taken and answered as
    such, whole numbers and text as they are.
    """

    @wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        tensors = any(_is_tensor(value) for value in (*args, *kwargs.values()))
        result = function(
            *map(_inward, args), **{name: _inward(value) for name, value in kwargs.items()}
        )  # pyright: ignore[reportCallIssue] -- the same arguments, as arrays
        return _outward(result, tensors)

    return wrapped


def _is_tensor(value: Any) -> bool:
    return any(map(_is_tensor, value)) if hasattr(value, "_fields") else isinstance(value, Tensor)


def _inward(value: Any) -> Any:
    if hasattr(value, "_fields"):
        return type(value)(*map(_inward, value))
    if isinstance(value, Tensor):
        return value.detach().cpu().double().numpy()
    if isinstance(value, np.ndarray):
        return value.astype(np.float64, copy=False)
    if isinstance(value, list | tuple | range):
        return np.asarray(value, np.float64)
    return value


def _outward(value: Any, tensors: bool) -> Any:
    if isinstance(value, tuple):
        parts = [_outward(part, tensors) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    if isinstance(value, np.ndarray | np.floating):
        if tensors:
            return torch.from_numpy(np.array(value, np.float64))
        return float(value) if np.ndim(value) == 0 else value
    return value


def covariance(name: str, value: Any) -> np.ndarray:
    """``value`` as an exactly symmetric float64 matrix; NaN, another shape or asymmetry is a
    ValueError naming the argument.

    Negative eigenvalues show only in :func:`eigen`, which most formulas need anyway.
    """
    matrix = finite(name, value)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
        raise ValueError(f"{name} must be a square matrix, got shape {matrix.shape}")
    if np.abs(matrix - matrix.T).max() > _ROUNDING * np.abs(matrix).max():
        raise ValueError(
            f"{name} must be symmetric; it differs from its transpose by "
            f"{np.abs(matrix - matrix.T).max():.3g}"
        )
    return 0.5 * (matrix + matrix.T)


def eigen(name: str, value: Any) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues (ascending; those that are zero to rounding are zero) and eigenvectors (columns)
    of a covariance; a negative one is a ValueError.
    """
    values, vectors = np.linalg.eigh(covariance(name, value))
    if values[0] < -_ROUNDING * max(abs(values[-1]), abs(values[0])):
        raise ValueError(f"{name} must have no negative eigenvalue, got {values[0]:.3g}")
    rounding = len(values) * np.finfo(np.float64).eps * values[-1]
    return np.where(values > rounding, values, 0.0), vectors


def variances(name: str, value: Any) -> np.ndarray:
    """``value`` as finite numbers of at least 0 with at least one axis, such as a spectrum; else a
    ValueError naming the argument.
    """
    numbers = np.atleast_1d(finite(name, value))
    if not numbers.size or (numbers < 0).any():
        raise ValueError(
            f"{name} must hold variances of at least 0, got "
            f"{numbers.min() if numbers.size else 'nothing'}"
        )
    return numbers


def finite(name: str, value: Any) -> np.ndarray:
    """``value`` as float64; NaN or infinity is a ValueError naming the argument."""
    numbers = np.asarray(value, np.float64)
    if not np.isfinite(numbers).all():
        raise ValueError(
            f"{name} must be finite, got {int((~np.isfinite(numbers)).sum())} value(s) "
            "that are NaN or infinite"
        )
    return numbers


def within(name: str, value: Any, low: float, high: float, *, closed: bool = False) -> np.ndarray:
    """``value`` as float64 in the open interval (low, high), with ``closed`` in [low, high]; else a
    ValueError naming the argument.

    An infinite end is never reached: the numbers are finite in any case.
    """
    numbers = finite(name, value)
    inside = (numbers >= low) & (numbers <= high) if closed else (numbers > low) & (numbers < high)
    if not inside.all():
        brackets = "[]" if closed else "()"
        raise ValueError(
            f"{name} must lie in {brackets[0]}{low:g}, {high:g}{brackets[1]}, got "
            f"{np.extract(~inside, numbers)[0]:g}"
        )
    return numbers
