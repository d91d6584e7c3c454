"""A few hundred pictures of a set as its files hold them, before anything is decided about them."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from denoscope.audit.sets.inputs import InputSet, holds_features, read
from denoscope.data.decoding import Held, decodings, stored
from denoscope.data.embedded import EMBEDDED, has_idx
from denoscope.data.folders import listed
from denoscope.data.grids import Grid
from denoscope.data.images import from_uint8
from denoscope.data.prepare import AS_STORED, Preparation
from denoscope.data.selection import select
from denoscope.data.shards import ENDINGS
from denoscope.files import Member, harmless, located
from denoscope.random import generator

SIDE = 16
"""Pixels per side at which pictures are compared here: what is cropped shows, what is blurred does
not.
"""


@dataclass(frozen=True, eq=False)
class Looked:
    """Pictures drawn from a set of ``total``: their ``names``, what is ``stored`` of each, and
    ``raw``, which prepares each of them in several ways: pictures (c, h, w) by picture and way.
    """

    total: int
    names: tuple[str, ...]
    stored: tuple[Held, ...]
    raw: Callable[[Sequence[Preparation]], list[list[Tensor]]]

    @property
    def sizes(self) -> set[tuple[int, int]]:
        """Width and height of what was looked at."""
        return {one.size for one in self.stored}

    def any(self, fact: str) -> bool:
        """Whether this holds of any picture."""
        return any(getattr(one, fact) for one in self.stored)

    def small(
        self, hows: Sequence[Preparation], grid: Grid | None = None
    ) -> list[tuple[Tensor, set[tuple[int, int]]]]:
        """By way: the pictures, or the cells that they are grids of, at :data:`SIDE` pixels (n, k),
        and their sizes.
        """
        ways: list[list[Tensor]] = [[] for _ in hows]
        sizes: list[set[tuple[int, int]]] = [set() for _ in hows]
        for picture in self.raw([AS_STORED] if grid else hows):
            cells = [grid.cut(picture[0][None])[0]] * len(hows) if grid else picture
            for i, (how, x) in enumerate(zip(hows, cells, strict=True)):
                made = how.shaped(x) if grid else x
                sizes[i].add((made.shape[-1], made.shape[-2]))
                ways[i].append(reduced(made.reshape(-1, *made.shape[-3:])))
        nothing = torch.empty(0, 3 * SIDE**2)
        return [(torch.cat([nothing, *rows]), size) for rows, size in zip(ways, sizes, strict=True)]


def reduced(x: Tensor) -> Tensor:
    """Pictures (n, c, h, w) at :data:`SIDE` pixels in colour, flat."""
    unit = from_uint8(x) if x.dtype == torch.uint8 else x
    small = interpolate(unit, (SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False)
    return small.expand(-1, 3, -1, -1).flatten(1)


def look(
    role: str,
    path: str,
    count: int,
    *,
    part: int = 1,
    seed: int,
    skip_bad: bool,
    value_range: Sequence[float] | None,
) -> Looked | None:
    """At most ``count`` pictures of a set and one in ``part``, drawn with ``seed``; None for a set
    of features.
    """
    chosen = select(path)
    root = located(chosen.source)
    plain = chosen.source not in EMBEDDED and _has_files(root)
    if plain and (members := listed(root)):
        some = [members[i] for i in chosen.rows(len(members), None)]
        return _of_files([some[i] for i in _drawn(len(some), count, part, seed)], len(some))
    if holds_features(chosen.source):
        return None
    found = read(role, path, skip_bad=skip_bad, value_range=value_range)
    return (
        None if found.images is None else _of_arrays(found, _drawn(len(found), count, part, seed))
    )


def _has_files(root: Path) -> bool:
    if os.path.isdir(root):
        return not has_idx(root) and not os.path.isfile(root / "result.json")
    return root.suffix.lower() in (".zip", *ENDINGS) and os.path.isfile(root)


def _drawn(total: int, count: int, part: int, seed: int) -> list[int]:
    order = torch.randperm(total, generator=generator(seed))
    return sorted(order[: min(count, max(1, total // part))].tolist())


def _of_files(members: Sequence[Member], total: int) -> Looked | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        told = [(member, _told(member[1])) for member in members]
    known = [(member, one) for member, one in told if one is not None]

    def raw(hows: Sequence[Preparation]) -> list[list[Tensor]]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return [_shown(read_file(), hows) for (_, read_file), _ in known]

    names = tuple(harmless(name) for (name, _), _ in known)
    return Looked(total, names, tuple(one for _, one in known), raw) if known else None


def _told(read_file: Callable[[], bytes]) -> Held | None:
    """None of what cannot be read: reading the set will say so."""
    try:
        return stored(read_file())
    except ValueError:
        return None


def _shown(content: bytes, hows: Sequence[Preparation]) -> list[Tensor]:
    pixels = decodings(content, hows)
    return [
        how.shaped(torch.from_numpy(x).permute(2, 0, 1))
        for how, x in zip(hows, pixels, strict=True)
    ]


def _of_arrays(found: InputSet, rows: Sequence[int]) -> Looked:
    assert found.images is not None
    data = found.images[rows]
    grey = (data == data[:, :1]).flatten(1).all(1).tolist()
    size = data.shape[-1], data.shape[-2]
    told = tuple(Held(size, grey=one) for one in grey)

    def raw(hows: Sequence[Preparation]) -> list[list[Tensor]]:
        return [[how.shaped(picture) for how in hows] for picture in data]

    return Looked(len(found), tuple(found.names[i] for i in rows), told, raw)
