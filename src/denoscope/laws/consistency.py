"""Laws of consistency models f(x, sigma): where the flow ends they change nothing, and all states
of one path of the flow have one answer.

Each takes a model, raises an AssertionError that says by how much it is missed, and returns that
number, root mean squared per pixel.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from denoscope.sampling import trajectory
from denoscope.types import Denoiser


def check_boundary(f: Denoiser, x: Tensor, *, low: float = 0.002, tolerance: float = 1e-6) -> float:
    """f(x, low) = x, for states ``x`` (b, *shape)."""
    return _within(f(x, torch.tensor(low, dtype=x.dtype)) - x, tolerance, "boundary, f(x, low) = x")


def check_self_consistency(
    f: Denoiser, D: Denoiser, x: Tensor, sigmas: Tensor | Sequence[float], *, tolerance: float
) -> float:
    """f is the same along the paths of the flow of ``D`` that begin at ``x`` (b, *shape) at the
    first of ``sigmas`` (falling, the last above 0), as at their ends.
    """
    levels = torch.as_tensor(sigmas).to(x)
    answers = [f(state, sigma) for state, sigma in zip(trajectory(D, x, levels), levels)]
    gaps = torch.stack(answers[:-1]) - answers[-1]
    return _within(gaps, tolerance, "self-consistency along a path of the flow")


def _within(gap: Tensor, tolerance: float, law: str) -> float:
    error = float(gap.detach().square().mean().sqrt())
    if not error <= tolerance:
        raise AssertionError(f"{law}: off by {error:.3g}, allowed {tolerance:.3g}")
    return error
