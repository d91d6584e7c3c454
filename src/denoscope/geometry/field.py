"""A denoiser at given points as a map between rows of n numbers, with its products with directions:
what all of geometry is built on.

A point x of n numbers at the level sigma has the Jacobian J = dD/dx (n, n), row = output. The
leading ``sigma.ndim`` axes of x index points, the rest is one point; the denoiser is called with
exactly one leading batch axis and sigma of shape (batch,), so it sees the same shapes as in
sampling. Products with several directions of one point are one call on as many copies of its row;
never a vmap, whose rules some operations get wrong without a word. What the denoiser keeps for its
derivatives is bounded by working on few rows at once (:func:`rows_at_once`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.func import jvp as forward_product
from torch.nn.attention import SDPBackend, sdpa_kernel

from denoscope.geometry.convolutions import ConstantWeights
from denoscope.types import Denoiser

MEMORY = 2**28
"""Bytes that a denoiser may keep for its derivatives, about."""

KEPT = 640
"""Numbers that a U-Net of 16 to 32 channels keeps for each number of a picture."""


def rows_at_once(rows: Tensor) -> int:
    """Rows like those (b, n) that pass a denoiser at once: of some 256 MiB, at least 1."""
    return max(1, MEMORY // (KEPT * rows.shape[1] * rows.element_size()))


def check_event(D: Denoiser, x: Tensor, sigma: Tensor) -> None:
    """A ValueError where a denoiser that says the shape of its states is given several as one."""
    stated = getattr(D, "event_shape", None) or getattr(D, "shape", None)
    event = tuple(stated) if isinstance(stated, tuple | list) else ()
    lead = x.shape[sigma.ndim : x.ndim - len(event)]
    if event and lead and x.shape[x.ndim - len(event) :] == event:
        points = tuple(x.shape[: x.ndim - len(event)])
        raise ValueError(
            f"x of shape {tuple(x.shape)} holds several states of {event}, and sigma of shape "
            f"{tuple(sigma.shape)} makes one point of them: for a level at each give "
            f"torch.full({points}, sigma)"
        )


class Field:
    """``D`` at the points ``x`` (*batch, *event), ``sigma`` (*batch): ``rows`` (b, n) and ``sigma``
    (b,), b = 1 for a single point.

    A level that is not positive and finite, points that are not finite numbers, or a ``sigma``
    whose shape is not a prefix of that of ``x``, are a ValueError; so is a denoiser that answers
    with another shape, with numbers that are not finite, or without derivatives.
    """

    def __init__(self, D: Denoiser, x: Tensor, sigma: Tensor | float):
        sigma = torch.as_tensor(sigma, dtype=x.dtype, device=x.device)
        if sigma.shape != x.shape[: sigma.ndim] or not x.numel():
            raise ValueError(
                f"sigma of shape {tuple(sigma.shape)} must be a prefix of x of shape "
                f"{tuple(x.shape)}, and x not empty"
            )
        if not x.is_floating_point() or not bool(x.isfinite().all()):
            raise ValueError("x must hold finite floating-point numbers")
        if not bool(((sigma > 0) & (sigma < math.inf)).all()):
            ends = f"{float(sigma.min()):g} to {float(sigma.max()):g}"
            raise ValueError(f"sigma must be positive and finite, got {ends}")
        check_event(D, x, sigma)
        self.D, self.batch, self.event = D, sigma.shape, x.shape[sigma.ndim :]
        self.whole = sigma.ndim == 0
        self.rows = x.detach().reshape(math.prod(self.batch), -1)
        self.sigma = sigma.detach().reshape(-1)

    @property
    def n(self) -> int:
        """Numbers of one point."""
        return self.rows.shape[1]

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, index: Tensor) -> Field:
        """The same denoiser at some of the points, named by index (k,); one batch axis."""
        some = Field(self.D, self.rows[index].reshape(-1, *self.event), self.sigma[index])
        some.whole = self.whole
        return some

    def value(self) -> Tensor:
        """D at the points, (b, n)."""
        with torch.no_grad():
            return checked(self.call(self.rows, self.sigma))

    def times(self, directions: Tensor) -> Tensor:
        """``J V``: directions (b, n, k) to (b, n, k)."""
        return self._in_parts(directions, Linearized.times)

    def transposed_times(self, directions: Tensor) -> Tensor:
        """``J^T U``: directions (b, n, k) to (b, n, k)."""
        return self._in_parts(directions, Linearized.transposed_times)

    def call(self, rows: Tensor, sigma: Tensor) -> Tensor:
        """The denoiser at rows (r, n), levels (r,); attention written out, for derivatives."""
        with sdpa_kernel(SDPBackend.MATH):
            out = self._answer(rows.reshape(-1, *self.event), sigma)
        if out.shape != (len(rows), *self.event):
            raise ValueError(
                "the denoiser must answer with the shape of x, "
                f"{(len(rows), *self.event)}, but gave {tuple(out.shape)}"
            )
        return out.reshape(rows.shape).to(rows.dtype)

    def _answer(self, x: Tensor, sigma: Tensor) -> Tensor:
        try:
            return self.D(x, sigma)
        except (RuntimeError, IndexError) as error:
            if not self.whole or len(self.event) < 2:
                raise
            raise ValueError(
                f"the denoiser fails for x of shape {tuple(self.event)} as one point, which sigma "
                f"of shape () makes it ({str(error).splitlines()[0]}); for a level at each of "
                f"{self.event[0]} states give torch.full(({self.event[0]},), sigma)"
            ) from error

    def _in_parts(
        self, directions: Tensor, product: Callable[[Linearized, Tensor], Tensor]
    ) -> Tensor:
        if directions.ndim != 3 or directions.shape[:2] != self.rows.shape:
            wanted = f"({len(self)}, {self.n}, k)"
            raise ValueError(f"directions must have shape {wanted}, got {tuple(directions.shape)}")
        most = rows_at_once(self.rows)
        copies = max(1, min(directions.shape[2], most // len(self)))
        parts = torch.arange(len(self), device=self.rows.device).split(max(1, most // copies))
        each = ((Linearized(self.take(part), copies), directions[part]) for part in parts)
        return torch.cat([product(*one) for one in each])


class Linearized:
    """A field with its graph kept, ``copies`` rows per point: further products cost a pass
    backward, not a pass through the denoiser.

    ``J^T u`` is the reverse-mode derivative; it is linear in u, and ``J v`` its own reverse-mode
    derivative, which costs a third of a forward-mode product; that is taken where an operation
    cannot be differentiated twice.
    """

    def __init__(self, field: Field, copies: int):
        self.field, self.copies = field, copies
        self.levels = field.sigma.repeat_interleave(copies)
        with torch.enable_grad(), ConstantWeights():
            self.leaf = field.rows.repeat_interleave(copies, 0).requires_grad_()
            self.out = field.call(self.leaf, self.levels)
        if not self.out.requires_grad:
            raise ValueError(
                "the denoiser's answer has no derivative by x: is it computed under "
                "torch.no_grad or detached?"
            )
        checked(self.out)
        self.dual, self.pulled = torch.zeros_like(self.leaf, requires_grad=True), None

    def times(self, directions: Tensor) -> Tensor:
        """``J V``: directions (b, n, k) to (b, n, k)."""
        return self._by_copies(directions, self._forward)

    def transposed_times(self, directions: Tensor) -> Tensor:
        """``J^T U``: directions (b, n, k) to (b, n, k)."""
        return self._by_copies(directions, self._reverse)

    def _reverse(self, flat: Tensor) -> Tensor:
        kept = {"retain_graph": True, "materialize_grads": True}
        return torch.autograd.grad(self.out, self.leaf, flat, **kept)[0]

    def _forward(self, flat: Tensor) -> Tensor:
        try:
            if self.pulled is None:
                (self.pulled,) = torch.autograd.grad(
                    self.out, self.leaf, self.dual, create_graph=True
                )
            return torch.autograd.grad(self.pulled, self.dual, flat, retain_graph=True)[0]
        except RuntimeError:
            with torch.no_grad():
                called = partial(self.field.call, sigma=self.levels)
                return forward_product(called, (self.leaf.detach(),), (flat,))[1]

    def _by_copies(self, directions: Tensor, product: Callable[[Tensor], Tensor]) -> Tensor:
        """The product of (rows, n) with ``copies`` directions at a time, padded by zeros."""
        parts = []
        for part in directions.to(self.leaf.dtype).split(self.copies, 2):
            full = torch.nn.functional.pad(part, (0, self.copies - part.shape[2]))
            flat = product(full.mT.reshape(self.leaf.shape))
            parts.append(flat.reshape(len(self.field), self.copies, -1).mT[..., : part.shape[2]])
        return checked(torch.cat(parts, 2))


def checked(out: Tensor) -> Tensor:
    """The numbers without their graph; a ValueError where some are not finite."""
    if not bool(out.isfinite().all()):
        raise ValueError("the denoiser or its derivative gave numbers that are not finite")
    return out.detach()
