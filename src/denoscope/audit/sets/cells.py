"""A stored cell of `denoscope run` as a source of images: those its network was trained on, and
those it never saw.
"""

from __future__ import annotations

import json
import os

import torch

from denoscope import studies
from denoscope.data.images import Images
from denoscope.files import located
from denoscope.store import MODEL
from denoscope.studies._geometry.subject import Data
from denoscope.studies.phase_transition import PhaseTransition


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
    folder = located(source)
    try:
        kept = json.loads((folder / "result.json").read_text())
        study, inputs = kept["study"], kept["made"]["inputs"]
        fields = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in kept["fields"].items()
        }
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise ValueError(
            f"{source} is damaged ({error}); run `denoscope store check` on its store"
        ) from error
    if study != PhaseTransition.title():
        raise ValueError(
            f"{source} is a cell of {study}; only those of {PhaseTransition.title()} say "
            "what their network was trained on"
        )
    cell = studies.load(study)(**fields)
    assert isinstance(cell, PhaseTransition)
    if cell.inputs() != inputs:
        raise ValueError(
            f"{source}: the images of {cell.data} are not those its network was trained on any more"
        )
    which = Data(cell.source(), None, cell.held, cell.n, cell.subset)
    train, unseen = which.train(), which.unseen()
    name = f"{cell.data}, {cell.n} training images of subset {cell.subset}"
    return Images(torch.cat([train, unseen]), name, test_from=len(train))
