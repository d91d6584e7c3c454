"""An ONNX graph in torch, node by node: what onnxruntime computes, with derivatives.

It knows the operators of the graphs that the tests and benchmarks run, and no others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import helper, numpy_helper
from torch import Tensor, nn


def _reshape(x: Tensor, shape: Tensor, *, allowzero: int = 0) -> Tensor:
    sides = [x.shape[i] if n == 0 and not allowzero else n for i, n in enumerate(shape.tolist())]
    return x.reshape(sides)


def _conv(x: Tensor, w: Tensor, b: Tensor | None = None, **how: Any) -> Tensor:
    pads, axes = how["pads"], w.ndim - 2
    assert pads[:axes] == pads[axes:], "unequal padding"
    convolve = F.conv2d if axes == 2 else F.conv1d
    return convolve(x, w, b, how["strides"], pads[:axes], how["dilations"], how["group"])


def _gemm(a: Tensor, b: Tensor, c: Tensor, *, alpha: float, beta: float, transA: int, transB: int):
    return alpha * (a.T if transA else a) @ (b.T if transB else b) + beta * c


def _split(x: Tensor, *_: Tensor, axis: int, num_outputs: int) -> tuple[Tensor, ...]:
    return x.chunk(num_outputs, axis)


def _resize(x: Tensor, roi: Any, scales: Tensor, *_: Any, **how: Any) -> Tensor:
    assert (how["mode"], how["nearest_mode"]) == (b"nearest", b"floor")
    return F.interpolate(x, scale_factor=tuple(scales[2:].tolist()), mode="nearest")


def _unsqueeze(x: Tensor, axes: Tensor) -> Tensor:
    for axis in sorted(axis % (x.ndim + len(axes)) for axis in axes.tolist()):
        x = x.unsqueeze(axis)
    return x


def _norm(x: Tensor, weight: Tensor, bias: Tensor, *, epsilon: float) -> Tensor:
    mean, var = x.mean(-1, keepdim=True), x.var(-1, keepdim=True, unbiased=False)
    return (x - mean) * torch.rsqrt(var + epsilon) * weight[:, None] + bias[:, None]


OPERATORS: Mapping[str, Callable[..., Any]] = {
    "Add": torch.add,
    "AveragePool": lambda x, **how: F.avg_pool2d(x, how["kernel_shape"], how["strides"]),
    "Clip": lambda x, low=None, high=None: x.clamp(low, high),
    "Concat": lambda *parts, axis: torch.cat(parts, axis),
    "Conv": _conv,
    "Cos": torch.cos,
    "Div": torch.div,
    "Einsum": lambda *parts, equation: torch.einsum(equation.decode(), *parts),
    "Gemm": _gemm,
    "InstanceNormalization": _norm,
    "Log": torch.log,
    "Mul": torch.mul,
    "Pow": torch.pow,
    "Reciprocal": torch.reciprocal,
    "Reshape": _reshape,
    "Resize": _resize,
    "Shape": lambda x, start=0, end=None: torch.tensor(x.shape[start:end]),
    "Sigmoid": torch.sigmoid,
    "Sin": torch.sin,
    "Softmax": lambda x, axis: x.softmax(axis),
    "Split": _split,
    "Sqrt": torch.sqrt,
    "Squeeze": lambda x, axes=None: x.squeeze(*([] if axes is None else [tuple(axes.tolist())])),
    "Sub": torch.sub,
    "Unsqueeze": _unsqueeze,
}


class GraphInTorch(nn.Module):
    """The graph of an ONNX file as a module, called with its inputs in order."""

    def __init__(self, file: Path | str):
        super().__init__()
        graph = onnx.load(file).graph
        self.inputs = [put.name for put in graph.input]
        self.output = graph.output[0].name
        self.nodes = [
            (node.op_type, list(node.input), list(node.output), _attributes(node))
            for node in graph.node
        ]
        self.names = {w.name: f"weight{i}" for i, w in enumerate(graph.initializer)}
        for weight in graph.initializer:
            values = torch.from_numpy(np.array(numpy_helper.to_array(weight)))
            self.register_buffer(self.names[weight.name], values)

    def forward(self, *given: Tensor) -> Tensor:
        known: dict[str, Any] = {n: getattr(self, at) for n, at in self.names.items()}
        known |= {"": None, **dict(zip(self.inputs, given, strict=True))}
        for operator, taken, made, how in self.nodes:
            found = OPERATORS[operator](*(known[name] for name in taken), **how)
            known.update(zip(made, found if isinstance(found, tuple) else (found,), strict=True))
        return known[self.output]


def _attributes(node: Any) -> dict[str, Any]:
    return {item.name: helper.get_attribute_value(item) for item in node.attribute}
