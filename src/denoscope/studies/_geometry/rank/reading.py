"""Ranks read back from stored cells: of a group of models, over points, at every level, beside the
closed forms.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from denoscope.estimate import Estimate, median
from denoscope.geometry.ranks import energy_rank
from denoscope.schedule import VPSDE
from denoscope.studies._geometry import words
from denoscope.studies._geometry.groups import Group
from denoscope.studies._geometry.rank.closed import gaussian_values

PLACES = {"test": "noisy unseen images", "train": "noisy training images", "path": "sampling paths"}
RULES = {"norm": "0.99 of the norm", "energy": "0.99 of the energy"}
PUBLISHED = "norm"
"""The rule of the article."""


def size(group: Group) -> int:
    """Numbers of an image."""
    return int(str(group.rows[0].values["size"]))


def levels(group: Group, place: str) -> np.ndarray:
    """The noise levels of a place, rising."""
    return np.sort(group.first["path_levels" if place == "path" else "levels"])


def facts(group: Group, place: str, who: str, fact: str) -> np.ndarray:
    """One fact of a denoiser averaged over the group's members, (levels, points), levels rising."""
    found = group.mean(f"{place}_{who}_{fact}")
    return found[::-1] if place == "path" else found


def ratios(group: Group, place: str, who: str = "network", rule: str = PUBLISHED) -> np.ndarray:
    """Ranks over the numbers of an image, (levels, points), averaged over members."""
    return facts(group, place, who, rule) / size(group)


def has(group: Group, who: str) -> bool:
    """Whether that denoiser was measured: the true one is known of some data only."""
    return f"test_{who}_norm" in group.first


def medians(found: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Medians over points with their intervals, (levels,) each."""
    each = [median(row) for row in found]
    return tuple(
        np.array([getattr(estimate, part) for estimate in each])
        for part in ("value", "low", "high")
    )  # pyright: ignore[reportReturnType] -- three parts


def gaussian_ratios(group: Group, of: str, sigma: np.ndarray, rule: str = PUBLISHED) -> np.ndarray:
    """The rank ratio of the Gaussian of the training ("train") or of all ("all") images at any
    levels.
    """
    return energy_rank(
        gaussian_values(group.first[f"spectrum_{of}"], sigma), rule=rule
    ).numpy() / size(group)


def limit(group: Group, of: str, rule: str = PUBLISHED) -> float:
    """The rank ratio of that covariance itself, to which J tends as sigma grows."""
    return int(energy_rank(torch.from_numpy(group.first[f"spectrum_{of}"]), rule=rule)) / size(
        group
    )


def covariance_norm(group: Group, of: str) -> float:
    """The Frobenius norm of that covariance: the limit of sigma^2 |J|_F."""
    return float(np.linalg.norm(group.first[f"spectrum_{of}"]))


def times(sigma: Sequence[float] | np.ndarray) -> np.ndarray:
    """The times of the linear variance-preserving diffusion at which these levels are reached."""
    return VPSDE().time(torch.as_tensor(np.asarray(sigma, dtype=np.float64))).numpy()


def between(group: Group, place: str, low: float, high: float) -> np.ndarray:
    """Which levels of a place lie between two times, (levels,) bool."""
    t = times(levels(group, place))
    return (t >= low) & (t <= high)


def said(estimate: Estimate, form: str = ".2f") -> str:
    """A value with its interval, to the two decimals that ranks over pixels are known to."""
    return words.said(estimate, form)


def number(value: float, form: str = ".2f") -> str:
    """A number, to as many."""
    return words.number(value, form)
