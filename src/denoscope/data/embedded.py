"""Image sets that need no download: in this package, in another's wheel, or one Debian package
away.
"""

from __future__ import annotations

import gzip
import importlib.util
import struct
import zlib
from math import prod
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from denoscope.data.images import Images, check_memory

EMBEDDED = ("digits", "fashion_mnist", "emoji", "faces")
"""The sets that have a name."""
_DIGITS = Path(__file__).with_name("digits.safetensors")
_FASHION = Path("/usr/share/datasets/fashion-mnist")


def missing(name: str, looked: list[Path], command: str) -> ValueError:
    """A set is not on this machine: where was looked, and the command that installs it."""
    return ValueError(
        f"{name} is not on this machine (looked for {', '.join(map(str, looked))}); "
        f"install it with: {command}"
    )


def digits() -> Images:
    """1 797 handwritten digits, 8 x 8 grey, x / 8 - 1 of 0..16 (Alpaydin and Kaynak 1998)."""
    raw = load_file(_DIGITS)
    data = raw["images"][:, None].to(torch.float32) / 8 - 1
    return Images(data, "digits", labels=raw["labels"].to(torch.int64))


def fashion_mnist(root: Path | None = None) -> Images:
    """60 000 training, then 10 000 test pictures of clothes, 28 x 28 grey (Xiao et al. 2017)."""
    places = [*([root, root / "fashion-mnist", root / "fashion_mnist"] if root else []), _FASHION]
    for place in places:
        if has_idx(place):
            return read_idx(place, "fashion_mnist")
    raise missing("fashion_mnist", places, "apt-get install dataset-fashion-mnist")


def faces(root: Path | None = None) -> Images:
    """100 faces (label 1), then 100 patches (0), 25 x 25 grey, Labeled Faces in the Wild."""
    package = importlib.util.find_spec("skimage")  # located, not imported: it takes a second
    found = (package and package.submodule_search_locations) or ["skimage"]
    folders = [*([root] if root else []), *(Path(place) / "data" for place in found)]
    places = [folder / "lfw_subset.npy" for folder in folders]
    file = next((place for place in places if place.is_file()), None)
    if file is None:
        raise missing("faces", places, "pip install 'denoscope[data]'")
    try:
        pixels = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(f"{file} cannot be read: {error}") from error
    data = torch.from_numpy(pixels)[:, None].to(torch.float32) * 2 - 1
    return Images(data, "faces", labels=(torch.arange(len(data)) < 100).to(torch.int64))


def has_idx(folder: Path) -> bool:
    """Whether a folder has the IDX files of a training set, gzipped or not."""
    return _idx_file(folder, "train-images-idx3-ubyte") is not None


def read_idx(folder: Path, name: str) -> Images:
    """Pictures and labels of a folder of IDX files as MNIST's: training set, then test set."""
    splits = [_split(folder, split) for split in ("train", "t10k")]
    (data, labels), (test, test_labels) = splits
    if data is None:
        raise ValueError(f"{folder} has no train-images-idx3-ubyte")
    if test is None:
        return Images(data, name, labels=labels)
    both = None if labels is None or test_labels is None else torch.cat([labels, test_labels])
    return Images(torch.cat([data, test]), name, labels=both, test_from=len(data))


def _split(folder: Path, split: str) -> tuple[Tensor | None, Tensor | None]:
    images = _idx_file(folder, f"{split}-images-idx3-ubyte")
    labels = _idx_file(folder, f"{split}-labels-idx1-ubyte")
    pixels = images and _read_idx_file(images, 3)[:, None]
    return pixels, labels and _read_idx_file(labels, 1).to(torch.int64)


def _idx_file(folder: Path, stem: str) -> Path | None:
    return next((file for file in (folder / stem, folder / f"{stem}.gz") if file.is_file()), None)


def _read_idx_file(file: Path, axes: int) -> Tensor:
    """An IDX file of bytes: two zeros, type 8, number of axes, lengths (big-endian), values."""
    try:
        with gzip.open(file) if file.suffix == ".gz" else open(file, "rb") as stream:
            zero, kind, found = struct.unpack(">HBB", stream.read(4))
            if (zero, kind, found) != (0, 8, axes):
                raise ValueError(
                    f"not an IDX file of bytes with {axes} {'axis' if axes == 1 else 'axes'}"
                )
            shape = struct.unpack(f">{axes}I", stream.read(4 * axes))
            check_memory(prod(shape), file)
            content = stream.read(prod(shape) + 1)
        if len(content) != prod(shape):
            raise ValueError(
                f"{'more' if len(content) > prod(shape) else 'fewer'} than the "
                f"{prod(shape)} values it announces: damaged"
            )
    except (OSError, EOFError, struct.error, zlib.error, ValueError) as error:
        raise ValueError(f"{file} cannot be read: {error}") from error
    return torch.from_numpy(np.frombuffer(content, np.uint8).reshape(shape).copy())
