"""Features that were computed elsewhere: one row for each image, as several tools store them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from denoscope.data.arrays import Arrays, arrays, keyed, rows_key
from denoscope.files import harmless


@dataclass(frozen=True, eq=False)
class Features:
    """``rows`` float32 (n, k), all finite, n and k at least 1. ``names`` and ``seeds`` have one
    entry per row or are empty; ``protocol`` says how the rows were made, empty if the file does
    not; ``source`` what kind of file it was; ``warnings`` what was changed in reading.
    """

    rows: Tensor
    source: str
    names: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    protocol: str = ""
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)


def read_features(path: str | Path, *, skip_bad: bool = False) -> Features:
    """The rows of an ``.npz``, an ``.npy`` or a torch-fidelity cache (``.pt``); ``FILE.npz::KEY``
    names the array.

    * ``.npz``: ``features``, else ``reps`` (dgm-eval, whose ``model`` is taken as protocol), else a
      two-dimensional ``arr_0``: real numbers (n, k). Beside them, where present: ``protocol``, one
      text; ``names``, texts (n,); ``seeds``, whole numbers (n,). A file that holds only moments
      (``mu`` and ``sigma``, as EDM's reference statistics) has no rows and is refused.
    * ``.npy``: a matrix (n, k).
    * ``.pt``: a tensor (n, k), or a dictionary with one, as PyTorch saves them; read without
      unpickling (:mod:`denoscope.data.tensors`).

    ``skip_bad`` leaves out rows that are not finite. Whatever else is wrong is a one-line
    ValueError that begins with the file's name.
    """
    file, key = keyed(path)
    if not os.path.isfile(file):
        said = "is no regular file" if os.path.exists(file) else "does not exist"
        raise ValueError(f"{harmless(file)} {said}")
    with arrays(file, key) as found:
        return _read(found, key, file.suffix.lower().removeprefix("."), skip_bad)


def _read(found: Arrays, named: str, kind: str, skip_bad: bool) -> Features:
    key = rows_key(found, named)
    if key is None:
        raise ValueError(_nothing(found))
    values = found.load(key)
    stated = found.load("model") if key == "reps" and _is_text(found, "model") else None
    protocol = "" if stated is None else f"dgm-eval {stated}"
    if _is_text(found, "protocol"):
        protocol = str(found.load("protocol"))
    beside: dict[str, Any] = {}
    for name, kinds in (("names", "U"), ("seeds", "iu")):
        if name in found and not found.channels_first:
            shape, dtype = found.header(name)
            if shape != values.shape[:1] or dtype.kind not in kinds:
                raise ValueError(
                    f"{name} has the shape {shape} and type {dtype}, not one entry for "
                    f"each of {len(values)} rows"
                )
            beside[name] = found.load(name).tolist()
    said = harmless(key, 60) or "the array"
    return _checked(values, said, f"{kind}: {said}", harmless(protocol), skip_bad, **beside)


def _nothing(found: Arrays) -> str:
    if "mu" in found and "sigma" in found:
        return (
            "holds only moments (mu, sigma), no rows: copies can be found in "
            "features or images, not in their mean"
        )
    if found.channels_first:
        return (
            f"holds no plain tensor of images or features, or several: {found.listed()}. Name one "
            "as FILE.pt::KEY, or save rows with numpy.savez(FILE, features=ROWS)"
        )
    lacks = "neither features (features, reps) nor images (arr_0, images)"
    return f"holds {lacks}, only {found.listed()}: name the array that is meant as FILE.npz::KEY"


def _is_text(found: Arrays, name: str) -> bool:
    return name in found and found.header(name)[0] == () and found.header(name)[1].kind == "U"


def _checked(
    values: np.ndarray,
    key: str,
    source: str,
    protocol: str,
    skip_bad: bool,
    names: list[str] | None = None,
    seeds: list[int] | None = None,
) -> Features:
    if values.ndim != 2 or 0 in values.shape:
        raise ValueError(
            f"{key} has the shape {values.shape}; features are an array (n, k), one row "
            "for each image"
        )
    if values.dtype.kind not in "fiu":
        raise ValueError(f"{key} has the type {values.dtype}; features are real numbers")
    with np.errstate(over="ignore"):
        rows = torch.from_numpy(np.require(values, np.float32, ["C", "W"]))
    bad = (~rows.isfinite()).any(1)
    count = int(bad.sum())
    if count and (not skip_bad or count == len(rows)):
        raise ValueError(
            f"row {int(bad.nonzero()[0])} of {key} is not finite in single precision "
            f"({count} of {len(rows)} rows are not): "
            "describe those images again, or leave such rows out (--skip-bad)"
        )
    kept = (~bad).nonzero()[:, 0].tolist() if count else range(len(rows))
    return Features(
        rows[~bad] if count else rows,
        source,
        names=tuple(harmless(names[i]) for i in kept)
        if names
        else tuple(str(i) for i in kept)
        if count
        else (),
        seeds=tuple(seeds[i] for i in kept) if seeds else (),
        protocol=protocol,
        warnings=(f"{count} of {len(bad)} rows are not finite and were skipped",) if count else (),
    )
