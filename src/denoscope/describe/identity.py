"""What a descriptor is, beyond a callable: its names, how its features are scored, and an identity
by which features are told apart.

Scores of two descriptors must never be compared, nor features be used that another descriptor made.
So each has an ``identity``: plain data that JSON can hold, with the name, a version, the
preprocessing and the SHA-256 of weights or of fitted data. Two descriptors with equal identities
give equal features, up to rounding between machines.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal, Protocol

from torch import Tensor

Score = Literal["ratio", "cosine"]
"""How closeness is scored: ``"ratio"`` 1 - d1/d2, or ``"cosine"``; larger is nearer."""


class Describer(Protocol):
    """A descriptor: images (n, c, h, w) in [-1, 1] to float32 features (n, k).

    ``name`` is short, ``protocol`` says in words what was done, ``costly`` whether features are
    worth keeping on disk.
    """

    @property
    def name(self) -> str: ...
    @property
    def protocol(self) -> str: ...
    @property
    def score(self) -> Score: ...
    @property
    def identity(self) -> Mapping[str, Any]: ...
    @property
    def costly(self) -> bool: ...
    def __call__(self, images: Tensor, /) -> Tensor: ...


def key(identity: Mapping[str, Any]) -> str:
    """SHA-256 of an identity's canonical JSON: features belong together iff keys are equal."""
    text = json.dumps(identity, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def same_identity(
    first: Mapping[str, Any], second: Mapping[str, Any], roles: tuple[str, str]
) -> None:
    """A ValueError naming the first difference, if the ``roles`` had different descriptors."""
    for name in (*first, *(name for name in second if name not in first)):
        one, other = (json.dumps(each.get(name), sort_keys=True) for each in (first, second))
        if one != other:
            raise ValueError(
                f"{roles[0]} and {roles[1]} were described differently, {name}: {one} and "
                f"{other}; scores of different descriptors or "
                "protocols must not be compared"
            )
