"""Convolutions whose second derivative costs one convolution: with constant weights y = w * x is
linear in x, and the derivative of u -> w^T u is v -> w * v.

torch's own double backward also computes the weights' share of it, wanted or not, which doubles the
cost of a product ``J v``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

Settings = tuple[list[int], list[int], list[int], bool, list[int], int]


class ConstantWeights(TorchFunctionMode):
    """Inside of it two-dimensional convolutions take their weights as constants, unless those are
    computed from something that wants a derivative.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func is torch.conv2d:
            return _conv2d(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def _conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] | str = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Tensor:
    constant = weight.grad_fn is None and (bias is None or bias.grad_fn is None)
    if (
        not constant
        or isinstance(padding, str)
        or input.ndim != 4
        or torch.is_autocast_enabled(input.device.type)
    ):
        # - as it came
        return torch.conv2d(input, weight, bias, stride, padding, dilation, groups)  # pyright: ignore[reportCallIssue, reportArgumentType]
    settings = (_pair(stride), _pair(padding), _pair(dilation), False, [0, 0], groups)
    out = _Forward.apply(input, weight.detach(), settings)
    return out if bias is None else out + bias.detach()[:, None, None]


def _pair(number: int | Sequence[int]) -> list[int]:
    return [number, number] if isinstance(number, int) else list(number)


class _Forward(torch.autograd.Function):
    """``w * x``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, settings: Settings) -> Tensor:
        ctx.given = (x.detach(), weight, settings)
        return torch.ops.aten.convolution(x, weight, None, *settings)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        transposed = _Backward.apply if torch.is_grad_enabled() else _transposed
        return transposed(grads[0], *ctx.given), None, None


class _Backward(torch.autograd.Function):
    """``w^T u``."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, x: Tensor, weight: Tensor, settings: Settings) -> Tensor:
        ctx.given = (weight, settings)
        return _transposed(u, x, weight, settings)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        weight, settings = ctx.given
        return torch.ops.aten.convolution(grads[0], weight, None, *settings), None, None, None


def _transposed(u: Tensor, x: Tensor, weight: Tensor, settings: Settings) -> Tensor:
    """``w^T u``; of x only the shape is used."""
    return torch.ops.aten.convolution_backward(u, x, weight, None, *settings, [True, False, False])[
        0
    ]
