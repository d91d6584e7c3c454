"""A stored cell of `denoscope run` as a source of images: those its network was trained on, and
those it never saw.
"""

from __future__ import annotations

import json
import os
from typing import Any

import torch

from denoscope.data.images import Images
from denoscope.data.sources import Source, load
from denoscope.data.splits import Split
from denoscope.files import located
from denoscope.store import MODEL

STUDY = "phase_transition"
"""Whose cells say what their networks were trained on."""


def is_cell(source: str) -> bool:
    """Whether a path is the folder of a cell that keeps its network."""
    folder = located(source)
    return os.path.isfile(folder / "result.json") and os.path.isfile(folder / MODEL)


def read_cell(source: str) -> Images:
    """The training images of a cell, and then as its test split the ones held out; ``--train CELL``
    and ``--test CELL`` take each their part.

    A cell that cannot be read, of another study, or whose image set has changed since it was
    trained is a one-line ValueError.
    """
    kept = _kept(source)
    if kept["study"] != STUDY:
        raise ValueError(
            f"{source} is a cell of {kept['study']}; only those of {STUDY} say what their network "
            "was trained on"
        )
    which, data = kept["split"], kept["split"].source
    if {data.data: load(data).sha256} != kept["inputs"]:
        raise ValueError(
            f"{source}: the images of {data.data} are not those its network was trained on any more"
        )
    train, unseen = which.train(), which.unseen()
    name = f"{data.data}, {which.size} training images of subset {which.which}"
    return Images(torch.cat([train, unseen]), name, test_from=len(train))


def _kept(source: str) -> dict[str, Any]:
    """The ``study`` of a cell, the hashes of its ``inputs`` and, of ``STUDY``, its ``split``."""
    try:
        kept = json.loads((located(source) / "result.json").read_text())
        study, fields = kept["study"], kept["fields"]
        split = _split(fields) if study == STUDY else None
        return {"study": study, "inputs": kept["made"]["inputs"], "split": split}
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise ValueError(
            f"{source} is damaged ({error}); run `denoscope store check` on its store"
        ) from error


def _split(fields: dict[str, Any]) -> Split:
    source = Source.of(fields, fields["data"])
    return Split(source, None, fields["held"], fields["n"], fields["subset"])
