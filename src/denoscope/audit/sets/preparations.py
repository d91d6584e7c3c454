"""How the files of each set become images, as it was asked."""

from __future__ import annotations

from dataclasses import replace

from denoscope.audit.options import AuditOptions
from denoscope.data.grids import written
from denoscope.data.prepare import Preparation

ROLES = ("train", "test", "gen", "twin")


def stated(options: AuditOptions) -> dict[str, Preparation]:
    """The preparation of each role in the words that were given, sizes perhaps left out.

    A word that is none, and ``resize`` beside words that say a size, are a ValueError.
    """
    if options.grid:
        written(options.grid)
    own = {role: _own(options, role) for role in ROLES}
    own["test"] = own["test"] or own["train"]
    own["twin"] = own["twin"] or own["gen"]
    common = Preparation.of(options.prepare)
    return {role: (own[role] or common).resized(options.resize) for role in ROLES}


def _own(options: AuditOptions, role: str) -> Preparation | None:
    """None where nothing was said of this role alone."""
    words = getattr(options, f"prepare_{role}")
    return Preparation.of(words) if words else None


def without_resize(options: AuditOptions) -> AuditOptions:
    """The question without ``resize``, which says a size and not what of a picture is kept."""
    return replace(options, resize=0)
