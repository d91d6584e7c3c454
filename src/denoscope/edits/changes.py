"""What directions change: the images along them, and where, how linearly and how evenly."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from denoscope.apply.changes import cosine, proportional, share, size
from denoscope.apply.edit import BEYOND, Directions, Edited, directions, edited, toward
from denoscope.edits.asked import EditRequest, EditSubject
from denoscope.edits.kept import Kept
from denoscope.sampling import invert

TOLERANCE = 1e-2
"""Radians between a direction and the true one."""
DIRECTIONS, PROJECT = 5, 10
"""How many are found, and how many of the outside are projected off, where nothing is asked for."""
PLACES = 13
"""Of a slider."""
REFINED = 5


@dataclass(frozen=True)
class Change:
    """Of one direction at the largest strengths of either sign: root mean square change ``inside``
    and ``outside`` the mask, the ``share`` of the squared change inside; over all strengths the
    share that is proportional to the strength (``linear``), and the cosine of what it changes and
    of minus what its opposite changes (``symmetry``, None with one sign); the largest ``reach``.
    """

    inside: float
    outside: float
    share: float
    linear: float
    symmetry: float | None
    reach: float


def find(asked: EditRequest, about: EditSubject) -> Kept:
    """The directions of the first image: those of the mask, then those toward labels."""
    D, x0, mask = about.model.denoiser, about.images[0], about.mask
    x = invert(D, x0[None], about.levels.to(x0), refine=REFINED)[0]
    rank = PROJECT if asked.project is None else asked.project
    how = {"project": rank > 0, "rank": rank, "tolerance": TOLERANCE, "seed": asked.seed}
    k = min(DIRECTIONS if asked.directions is None else asked.directions, int(mask.sum()))
    numbers = directions(D, x, about.sigma, mask, max(k, 1), **how)
    numbers = Directions(*(part[:k] for part in numbers))
    labels = [toward(D, target, x, about.sigma, mask, **how) for target in about.targets]
    names = [*(f"direction {i + 1}" for i in range(k)), *(f"toward {n}" for n in asked.toward)]
    return Kept(
        names, torch.stack([*numbers.vectors, *labels]), numbers, mask, about.sigma,
        about.fingerprint, about.names[0], list(asked.mask), TOLERANCE, rank,
    )  # fmt: skip


def moved(
    about: EditSubject, kept: Kept, images: Tensor, places: Sequence[float], batch: int
) -> Edited:
    """Images (n, c, h, w) along every direction at every place: ``images`` (k, P, n, c, h, w)."""
    k = len(kept.names)
    strengths = torch.einsum("ij,p->ipj", torch.eye(k), torch.tensor(places)).reshape(-1, k)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "the edit of strength")  # told by direction instead
        found = edited(
            about.model.denoiser, images, kept.vectors.to(images), strengths, kept.sigma,
            about.levels, refine=REFINED, batch=batch,
        )  # fmt: skip
    return Edited(found.images.reshape(k, len(places), *images.shape), found.unedited)


def beyond(names: Sequence[str], changes: Sequence[Change]) -> list[str]:
    """What is said of directions that leave the range of images, if any do."""
    far = [(one.reach, name) for name, one in zip(names, changes) if one.reach > 1 + BEYOND]
    if not far:
        return []
    which = "every direction" if len(far) == len(names) > 1 else ", ".join(n for _, n in far)
    most, worst = max(far)
    where = f" ({worst})" if worst != which else ""
    return [f"{which}: edited images leave [−1, 1], up to ±{most:.2f}{where}; shown clipped"]


def change(delta: Tensor, places: Sequence[float], mask: Tensor, images: Tensor) -> Change:
    """The numbers of one direction: its change ``delta`` (P, c, h, w) and its images."""
    delta, strengths = delta.double(), torch.tensor(places, dtype=torch.float64)
    low, high = delta[int(strengths.argmin())], delta[int(strengths.argmax())]
    ends = torch.hypot(low, high)
    signs = float(strengths.min()) < 0 < float(strengths.max())
    return Change(
        float(size(ends, mask)) / 2**0.5,
        float(size(ends, ~mask)) / 2**0.5,
        float(share(ends, mask)),
        float(proportional(delta, strengths)),
        float(cosine(-low, high)) if signs else None,
        float(images.abs().max()),
    )
