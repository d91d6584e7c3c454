"""ONNX files: a graph from an image and a noise level, and perhaps one number or class, to an
image. It is data, and no code of the file runs; it has no derivatives.

A graph does not say whether its answer is a posterior mean. Its metadata may (``kind``, or words
such as *consistency* and *distillation*; ``sigma_min`` and ``sigma_max``); otherwise it is asked:
at the highest level a posterior mean hardly depends on the noise, a one-step map makes images.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from denoscope.files import file_hash
from denoscope.levels import karras
from denoscope.models.model import ONE_STEP, POSTERIOR_MEAN, Kind, Label, Model
from denoscope.random import Seeds
from denoscope.sampling import euler, sample
from denoscope.types import Denoiser, pad

SUFFIX = ".onnx"
_DISTILLED = re.compile(r"consistency|distill|one.?step", re.IGNORECASE)
_NEEDED = "an image (batch, c, h, w), a noise level (batch,), perhaps a number or class (batch,)"
_WAY_OUT = "give module:function, a function that returns a denoiser or a denoscope.models.Model"
_MEAN, _MAP = 0.05, 0.2
"""Shares of the samples' variance that answers at the highest level have, below which they are a
posterior mean's (tr Cov^2/sigma^2 of tr Cov), above which a one-step map's."""
_GIVEN_BACK = 0.1
"""What a pixel of an image may move by at the lowest level."""


_TYPES = {"tensor(float)": np.float32, "tensor(double)": np.float64}
_TYPES |= {"tensor(int64)": np.int64, "tensor(int32)": np.int32}


@dataclass(frozen=True, eq=False)
class OnnxDenoiser:
    """A graph as a denoiser, on the CPU in the type of its inputs; ``label`` is its third one."""

    session: Any
    shape: tuple[int, ...]
    label: Label | None = None

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        places = x[..., 0, 0, 0]
        rows = [pad(sigma, places).expand_as(places).reshape(-1)]
        if self.label is not None:
            rows.append(pad(torch.as_tensor(self.label), places).expand_as(places).reshape(-1))
        given = [x.reshape(-1, *self.shape), *rows]
        puts, arrays = self.session.get_inputs(), [one.detach().cpu().numpy() for one in given]
        feeds = {p.name: a.astype(_TYPES[p.type]) for p, a in zip(puts, arrays, strict=True)}
        one_by_one = puts[0].shape[0] == 1
        parts = [slice(i, i + 1) for i in range(len(given[0]))] if one_by_one else [slice(None)]
        each = [self._run({name: a[part] for name, a in feeds.items()}) for part in parts]
        return torch.from_numpy(np.concatenate(each)).reshape(x.shape).to(x)

    def _run(self, feeds: Mapping[str, np.ndarray]) -> np.ndarray:
        return np.asarray(self.session.run(None, feeds)[0])


def graph(file: Path) -> Model:
    """The model in an ONNX file; what is no such graph is a one-line ValueError."""
    session = _session(file)
    about = session.get_modelmeta().custom_metadata_map
    shape = _shape(session.get_inputs(), session.get_outputs())
    low, high = float(about.get("sigma_min", 0.002)), float(about.get("sigma_max", 80.0))
    hash_, third = file_hash(file), [put.name for put in session.get_inputs()][2:]

    @lru_cache(maxsize=1)
    def kind(label: int | float | None) -> Kind:
        return stated(about) or measured(OnnxDenoiser(session, shape, label), shape, low, high)

    def made(label: Label | None) -> Model:
        missing = bool(third) and label is None
        told = None if label is None else torch.as_tensor(label).flatten()[0].item()
        return Model(
            OnnxDenoiser(session, shape, label),
            shape,
            {"file": "onnx", "sha256": hash_, "label": None if label is None else told},
            POSTERIOR_MEAN if missing else kind(told),
            levels=lambda n: karras(n, low, high),
            differentiable=False,
            labelled=made if third else None,
            wants=f"it has a third input, {third[0]!r}: give --label, what it takes"
            if missing
            else "",
        )

    return made(None)


def stated(about: Mapping[str, str]) -> Kind | None:
    """What a graph's metadata say of its kind; None where they say nothing."""
    for kind in (POSTERIOR_MEAN, ONE_STEP):
        if about.get("kind") == kind:
            return kind
    return ONE_STEP if _DISTILLED.search(" ".join(about.values())) else None


def measured(D: Denoiser, shape: tuple[int, ...], low: float, high: float) -> Kind:
    """The kind of a denoiser by its answers to four noises: their variance at the highest level
    over that of what six steps of sampling make.

    One that does not give back an image at the lowest level, or lies in between, is a ValueError.
    """
    noise = Seeds(range(4)).randn(shape)
    first = D(high * noise, torch.tensor(high))
    moved = float((D(first + low * noise, torch.tensor(low)) - first).square().mean().sqrt())
    if not moved < _GIVEN_BACK:
        raise ValueError(
            f"at the noise level {low:g} it does not give back an image (it moves a pixel by "
            f"{moved:.2g}): it predicts something else, or is told something else: {_WAY_OUT}"
        )
    made = sample(D, high * noise, karras(6, low, high), euler)
    share = float(first.var(0).mean() / made.var(0).mean().clamp(min=1e-12))
    if _MEAN < share < _MAP:
        raise ValueError(
            "it does not say whether it is a posterior mean or a one-step map, and its answers do "
            "not tell: write that into its metadata as kind, or " + _WAY_OUT
        )
    return POSTERIOR_MEAN if share <= _MEAN else ONE_STEP


def _session(file: Path) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise ValueError("it needs ONNX Runtime: pip install 'denoscope[onnx]'") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the library's errors share no class
        said = " ".join(str(error).split())[-200:]
        raise ValueError(f"it is not a readable ONNX file: {said}") from error


def _shape(inputs: Any, outputs: Any) -> tuple[int, ...]:
    """(c, h, w), if the inputs are an image, a level and perhaps a number, the output an image."""
    shapes = [tuple(put.shape) for put in inputs]
    event = shapes[0][1:] if shapes else ()
    fits = (
        len(inputs) in (2, 3)
        and len(outputs) >= 1
        and len(event) == 3
        and all(isinstance(side, int) for side in event)
        and all(len(shape) == 1 for shape in shapes[1:])
        and all(put.type in _TYPES for put in inputs)
        and tuple(outputs[0].shape)[1:] == event
        and len({shape[0] for shape in shapes}) == 1
        and (shapes[0][0] == 1 or not isinstance(shapes[0][0], int))
    )
    if not fits:
        took = ", ".join(f"{put.name} {put.type} {list(put.shape)}" for put in inputs)
        raise ValueError(
            f"it takes {took} and answers with {[list(put.shape) for put in outputs]}; needed are "
            f"{_NEEDED}, of any batch, and an image of that shape: {_WAY_OUT}"
        )
    return event
