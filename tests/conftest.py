"""Shared by all tests: one thread, so that numbers repeat, and the folder of test helpers on the
path.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent))
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def memorizing_pipeline(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Tensor]:
    """The folder of a pipeline of diffusers that was trained until it memorized, and its 8 training
    images in [-1, 1]; about 15 s once.
    """
    from pipelines import memorizing

    folder = tmp_path_factory.mktemp("memorizing")
    return folder, memorizing(folder)
