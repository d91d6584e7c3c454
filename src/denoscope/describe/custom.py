"""Descriptors of the user's own: any function ``module:function`` from images to features.

DINOv2, for example, as ``dino.py`` in the current directory, named ``--descriptor dino:small``::

    import torch
    from transformers import AutoModel

    network = AutoModel.from_pretrained("facebook/dinov2-small").eval()

    @torch.no_grad()
    def small(images):                                    # (n, c, h, w) in [-1, 1]
        x = torch.nn.functional.interpolate(images.expand(-1, 3, -1, -1), size=(224, 224),
        mode="bicubic", antialias=True) mean, std = (torch.tensor(v)[:, None, None] for v in
        ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))) return network(pixel_values=(x / 2 + 0.5 -
        mean) / std).last_hidden_state[:, 0]

    small.identity = {"weights": "facebook/dinov2-small"}  # optional: what the features depend on
    beside this file small.score = "cosine"                                 # optional: or "ratio"

The module's source file is part of the identity, so that features of an edited one are made anew;
weights that it loads are not, unless ``identity`` names them.
"""

from __future__ import annotations

import importlib
import inspect
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from denoscope.describe.identity import Score
from denoscope.files import file_hash


class Custom:
    """The function ``module:function`` as a descriptor, imported from the current directory too.

    Its attributes ``score`` ("cosine" unless given), ``protocol`` (words) and ``identity`` (JSON)
    are taken over. What it gives must be 2-D, finite, one row per image, always as wide. Each
    failure is a one-line ValueError naming the function.
    """

    costly = True

    def __init__(self, word: str):
        self.name = word
        self.function = imported(word)
        self.score: Score = _score(word, getattr(self.function, "score", "cosine"))
        first = (inspect.getdoc(self.function) or "").partition("\n")[0]
        words = getattr(self.function, "protocol", "") or first
        self.protocol = f"{word}{f': {words}' if words else ''}"
        module, qualified = (
            getattr(self.function, name, "") for name in ("__module__", "__qualname__")
        )
        about = {"module": module, "function": qualified or word.partition(":")[2]}
        about["sha256"] = source_hash(word)
        named = {"name": word, "version": 1, "score": self.score}
        own = _own(word, self.function)
        self.identity: Mapping[str, Any] = {**named, **about, "own": own}
        self._width: int | None = None

    def __call__(self, images: Tensor) -> Tensor:
        try:
            with here():
                given = self.function(images)
            array = given if isinstance(given, Tensor) else np.asarray(given)
            features = torch.as_tensor(array).detach().to("cpu", torch.float32)
        except (Exception, SystemExit) as error:
            raise ValueError(
                f"{self.name} failed: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
            ) from error
        return self._checked(features, len(images))

    def _checked(self, features: Tensor, rows: int) -> Tensor:
        if features.ndim != 2 or len(features) != rows or not features.shape[1]:
            raise ValueError(
                f"{self.name} gave features of shape {tuple(features.shape)} for {rows} "
                f"images; needed is ({rows}, k)"
            )
        if not bool(features.isfinite().all()):
            row = int((~features.isfinite()).any(1).nonzero()[0])
            raise ValueError(
                f"{self.name} gave a value that is not finite for image {row} of its batch"
            )
        if self._width not in (None, features.shape[1]):
            raise ValueError(
                f"{self.name} gave {features.shape[1]} features per image, and "
                f"{self._width} before; the number must not change"
            )
        self._width = features.shape[1]
        return features


@contextmanager
def here() -> Iterator[None]:
    """The current directory as the last place to import from, for the time being."""
    place = str(Path.cwd())
    sys.path.append(place)
    try:
        yield
    finally:
        sys.path.reverse()
        sys.path.remove(place)
        sys.path.reverse()


def is_function(word: str) -> bool:
    """Whether the word has the form ``module:function``."""
    module, _, function = word.partition(":")
    return all(part.isidentifier() for part in (*module.split("."), *function.split(".")))


def imported(word: str) -> Callable[..., Any]:
    """The function ``module:function``, imported from the current directory too."""
    if not is_function(word):
        raise ValueError(
            f"{word!r} is not module:function, such as dino:small for the function small in dino.py"
        )
    module, _, function = word.partition(":")
    try:
        with here():
            found: Any = importlib.import_module(module)
    except (Exception, SystemExit) as error:  # a module may fail in any way while it is imported
        raise ValueError(
            f"{word}: cannot import {module}: {type(error).__name__}: "
            f"{' '.join(str(error).split())[:200]}"
        ) from error
    for part in function.split("."):
        if not hasattr(found, part):
            raise ValueError(f"{word}: {module} has no {function}")
        found = getattr(found, part)
    if not callable(found):
        raise ValueError(f"{word} is not callable; name a function")
    return found


def _score(word: str, score: object) -> Score:
    if score == "ratio":
        return "ratio"
    if score == "cosine":
        return "cosine"
    raise ValueError(f"{word}.score is 'ratio' or 'cosine', got {score!r}")


def _own(word: str, function: object) -> Any:
    own = getattr(function, "identity", {})
    try:
        return json.loads(json.dumps(own, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{word}.identity must be what JSON can hold: {error}") from error


def source_hash(word: str) -> str:
    """The hash of the file that the named module was read from; empty for one without a file."""
    file = getattr(sys.modules.get(word.partition(":")[0]), "__file__", None)
    return file_hash(file) if file and Path(file).is_file() else ""
