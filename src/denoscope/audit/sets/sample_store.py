"""Samples on disk: blocks of 8-bit images with their seeds, each whole or absent, all of one model
sampled in one way.

A folder belongs to one *way*: the model's identity (its weights' hash among it), the sampler and
its steps. Its name is the hash of that, so what lies there never answers for another model, sampler
or number of steps; each block repeats it. Seeds that are there are not drawn again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from denoscope import files
from denoscope.networks.archive import read_tensors, write_tensors

VERSION = 1


@dataclass(frozen=True)
class SampleStore:
    """The stored samples of images of ``shape`` made in one ``way`` (JSON) below ``root``."""

    root: Path
    way: Mapping[str, Any]
    shape: tuple[int, int, int]

    @property
    def key(self) -> str:
        """The hash of the way, 16 hex digits."""
        text = json.dumps({"version": VERSION, "shape": self.shape, **self.way}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def folder(self) -> Path:
        """Where the blocks lie."""
        return self.root / self.key

    def put(self, seeds: Sequence[int], images: Tensor, finite: Tensor) -> None:
        """Stores the uint8 ``images`` (n, c, h, w) of these seeds, and which of them are
        ``finite``, bool (n,).
        """
        name = hashlib.sha256(json.dumps(list(seeds)).encode()).hexdigest()[:8]
        tensors = {
            "seeds": torch.tensor(seeds, dtype=torch.int64),
            "images": images,
            "finite": finite,
        }
        write_tensors(
            self.folder / f"{seeds[0]:06d}-{len(seeds)}-{name}.safetensors",
            tensors,
            {"kind": "samples", "key": self.key},
        )

    def describe(self) -> None:
        """Writes beside the blocks what they are of."""
        files.write_json(self.folder / "about.json", {"shape": self.shape, **self.way})

    def get(self) -> dict[int, tuple[Tensor, bool]]:
        """Every stored seed's image (c, h, w) uint8 and whether it is finite; a damaged block
        counts as absent.
        """
        found: dict[int, tuple[Tensor, bool]] = {}
        for path in sorted(self.folder.glob("*.safetensors")):
            found.update(self._block(path))
        return found

    def _block(self, path: Path) -> dict[int, tuple[Tensor, bool]]:
        try:
            tensors, about = read_tensors(path)
            seeds, images, finite = (
                tensors["seeds"].tolist(),
                tensors["images"],
                tensors["finite"].tolist(),
            )
        except (ValueError, KeyError, OSError):
            return {}
        whole = (
            about == {"kind": "samples", "key": self.key}
            and images.shape == (len(seeds), *self.shape)
            and images.dtype == torch.uint8
        )
        return dict(zip(seeds, zip(images, finite))) if whole and len(finite) == len(seeds) else {}
