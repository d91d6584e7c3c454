"""A look that leaves no trace: the training goes on as if nobody had looked."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from denoscope.types import Denoiser


@contextmanager
def untouched(D: Denoiser) -> Iterator[None]:
    """Inside, the modules of D are set to evaluation and nothing is put on a graph; afterwards
    every module has the mode that it had, and the global generators of Python, numpy and torch (all
    devices in use) the states that they had.

    Modes are set one by one and not by ``eval()``, which some modules replace by work of their own.
    """
    modes = [(m, m.training) for m in D.modules()] if isinstance(D, torch.nn.Module) else []
    python, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002, what others use
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    try:
        with torch.random.fork_rng(devices), torch.no_grad():
            for module, _ in modes:
                module.training = False
            yield
    finally:
        for module, mode in modes:
            module.training = mode
        random.setstate(python)
        np.random.set_state(legacy)  # noqa: NPY002
