"""Networks from files the user gives: ONNX graphs, and TorchScript archives.

Neither is unpickled. An ONNX graph is data; a TorchScript archive holds code, which runs in
TorchScript's own interpreter and not as Python, yet it is code: take such files from their authors
only. A graph says what it takes: 8-bit pixels, which it normalises by itself, or numbers.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from denoscope.describe.preprocessing import Preprocessing

_ENDINGS = (".onnx", ".pt", ".pth", ".torchscript", ".ts", ".jit")


@dataclass(frozen=True, eq=False)
class Graph:
    """A network: ``run`` maps a batch of the kind that ``prepare`` makes from uint8 (n, 3, h, w) to
    features (n, k).

    ``normalises``: it takes 8-bit pixels and normalises them by itself. ``workers``: how many
    batches run at once, each in one thread.
    """

    file: Path
    run: Callable[[Tensor], Tensor]
    normalises: bool
    workers: int

    def features(self, pixels: Callable[[int], Tensor], batches: int) -> list[Tensor]:
        """The features of batch 0, 1, ... in order; ``pixels(i)`` makes batch i, in its thread."""
        if self.workers == 1:
            return [self._run(pixels(i)) for i in range(batches)]
        with ThreadPoolExecutor(self.workers) as pool:
            return list(pool.map(lambda i: self._run(pixels(i)), range(batches)))

    def _run(self, pixels: Tensor) -> Tensor:
        """The features of one batch; a failure, or none, is a one-line ValueError."""
        try:
            features = self.run(pixels)
        except Exception as error:  # neither library's errors share a class
            size = "x".join(map(str, pixels.shape[2:]))
            said = f"{self.file} failed on {len(pixels)} images of {size}"
            raise ValueError(f"{said}: {_line(error)}") from error
        if (
            features.ndim != 2
            or len(features) != len(pixels)
            or not bool(features.isfinite().all())
        ):
            rows = len(features.shape) == 2 and len(features) == len(pixels)
            what = "numbers that are not finite" if rows else f"{tuple(features.shape)}"
            raise ValueError(
                f"{self.file} gave {what} for {len(pixels)} images; needed are "
                f"({len(pixels)}, k) finite features"
            )
        return features


def load(file: Path, prepared: Preprocessing) -> Graph:
    """The network in this file, checked; whatever is wrong with it is a one-line ValueError."""
    if not file.is_file():
        raise ValueError(f"{file} is no file; give an SSCD network as .onnx or TorchScript (.pt)")
    if file.suffix.lower() not in _ENDINGS:
        raise ValueError(f"{file} has an unknown ending; a network is .onnx or TorchScript (.pt)")
    return (_onnx if file.suffix.lower() == ".onnx" else _torchscript)(file, prepared)


def _line(error: Exception) -> str:
    """An error's message, what comes before its cause left out, as one short line."""
    return " ".join(str(error).split()).rpartition("Error: ")[2][:200]


def _onnx(file: Path, prepared: Preprocessing) -> Graph:
    try:
        import onnxruntime
    except ImportError as error:
        raise ValueError(f"{file} needs ONNX Runtime: pip install 'denoscope[sscd]'") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = (
        1  # two threads in a graph are slower than two graphs at once
    )
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the library's errors share no class
        raise ValueError(f"{file} is not a readable ONNX file: {_line(error)}") from error
    bytes_in = _input(file, session, prepared)
    name = session.get_inputs()[0].name

    def run(pixels: Tensor) -> Tensor:
        batch = pixels.permute(0, 2, 3, 1).contiguous() if bytes_in else prepared.normalised(pixels)
        found = session.run(None, {name: batch.cpu().numpy()})[0]
        return torch.from_numpy(np.asarray(found, dtype=np.float32))

    ours = getattr(os, "sched_getaffinity", None)
    return Graph(file, run, bytes_in, len(ours(0)) if ours else os.cpu_count() or 1)


def _input(file: Path, session: Any, prepared: Preprocessing) -> bool:
    """Whether the graph takes uint8 (n, h, w, 3) or float (n, 3, h, w); others are a ValueError."""
    inputs = session.get_inputs()
    kind, shape = inputs[0].type, inputs[0].shape
    bytes_in = kind == "tensor(uint8)"
    square = [prepared.side, prepared.side]
    expected = ["n", *square, 3] if bytes_in else ["n", 3, *square]
    sizes = zip(shape, expected)
    fits = len(shape) == 4 and all(not isinstance(n, int) or n == want for n, want in sizes)
    if len(inputs) != 1 or kind not in ("tensor(uint8)", "tensor(float)") or not fits:
        raise ValueError(
            f"{file} takes {kind} of shape {shape}; needed is one input, uint8 (n, "
            "height, width, 3) or float (n, 3, height, width), with any n, "
            f"of {prepared.side}x{prepared.side} pixels for {prepared.name}"
        )
    if bytes_in and not prepared.imagenet:
        raise ValueError(
            f"{file} takes 8-bit pixels and normalises them itself, so that "
            f"{prepared.name} with {prepared.normalisation} is impossible; "
            "give a network that takes numbers, such as the TorchScript file of SSCD's authors"
        )
    return bytes_in


def _torchscript(file: Path, prepared: Preprocessing) -> Graph:
    try:
        module = torch.jit.load(file, map_location="cpu")
    except (RuntimeError, ValueError, OSError) as error:
        raise ValueError(f"{file} is not a readable TorchScript archive: {_line(error)}") from error
    module.train(False)

    @torch.no_grad()
    def run(pixels: Tensor) -> Tensor:
        return module.to(pixels.device)(prepared.normalised(pixels)).float()

    return Graph(file, run, False, 1)
