"""Denoisers of labelled images: that of one label, and classifier-free guidance toward it.

Both are functions of a denoiser that gives a denoiser: whatever samples, inverts or differentiates
one does so with the other.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from denoscope.networks.layers import NO_LABEL
from denoscope.types import Denoiser, pad


class Given:
    """See :func:`given`."""

    def __init__(self, D: Denoiser, label: Tensor):
        self.D, self.label = D, label

    @property
    def weight(self) -> Callable[[Tensor], Tensor]:
        """The denoiser's own loss weight, a function of sigma; an AttributeError if it has none."""
        return self.D.weight  # pyright: ignore[reportFunctionMemberAccess]

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        label = self.label.to(x.device)
        pad(label, x)
        return self.D(x, sigma, label)  # pyright: ignore[reportCallIssue]


def given(D: Denoiser, label: int | Tensor) -> Given:
    """The denoiser E[x0 | x, label] of a network that knows ``D.classes`` labels; without a label D
    itself is E[x0 | x].

    ``label`` holds integers from 0 on, -1 where there is none; its shape is a prefix of x's, as
    sigma's is. A label that does not exist, or a denoiser without labels, is a ValueError.
    """
    classes = getattr(D, "classes", 0)
    if not classes:
        raise ValueError("this denoiser was trained without labels: sample it without one")
    label = torch.as_tensor(label)
    there = torch.isin(label, torch.arange(NO_LABEL, classes, device=label.device))
    if label.is_floating_point() or not bool(there.all()):
        wrong = label.dtype if label.is_floating_point() else int(label[~there].flatten()[0])
        raise ValueError(f"label {wrong}: there are 0 to {classes - 1}, and {NO_LABEL} for none")
    return Given(D, label)


def guided(D: Denoiser, label: int | Tensor, scale: float) -> Denoiser:
    """D + scale (D given the label - D): 0 is D without a label, 1 with it, more exaggerates what
    the label changes. Ho and Salimans 2022, with scale = 1 + w.
    """
    conditional = given(D, label)

    def guiding(x: Tensor, sigma: Tensor) -> Tensor:
        return torch.lerp(D(x, sigma), conditional(x, sigma), scale)

    return guiding
