"""Shared by all tests: one thread, so that numbers repeat, and the folder of test helpers on the path."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))
torch.set_num_threads(1)
