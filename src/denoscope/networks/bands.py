"""Two denoisers as one: which is asked depends on the noise level."""

from __future__ import annotations

import torch
from torch import Tensor

from denoscope.types import Denoiser, pad


def switched(inside: Denoiser, outside: Denoiser, low: float, high: float) -> Denoiser:
    """``inside`` where low <= sigma < high, ``outside`` at all other levels, row by row; low 0 and
    high inf are no ends.

    Not the posterior mean of any law. A band that does not rise from at least 0 is a ValueError.
    """
    if not 0 <= low < high:
        raise ValueError(f"a band of noise levels rises from at least 0, got {low:g} to {high:g}")

    def switched(x: Tensor, sigma: Tensor) -> Tensor:
        sigma = torch.as_tensor(sigma)
        here = pad((low <= sigma) & (sigma < high), x)
        return torch.where(here, inside(x, sigma), outside(x, sigma))

    return switched
