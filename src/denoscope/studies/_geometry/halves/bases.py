"""How alike harmonic bases are: of two models at one point, of one model at two points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from denoscope.geometry.subspaces import principal_angles


def overlap(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """``|U^T V|_F^2 / r`` of orthonormal rows (*b, r, n), the mean squared cosine of the principal
    angles: 1 for equal subspaces, r/n by chance.
    """
    u, v = (
        torch.linalg.qr(torch.from_numpy(rows).double().mT).Q for rows in (first, second)
    )  # kept rows are orthonormal to single rounding
    return principal_angles(u, v).cos().square().mean(-1).numpy()


def with_truth(members: Sequence[Mapping[str, np.ndarray]]) -> np.ndarray:
    """Overlaps of models' bases with the true denoiser's, averaged over models, (points,)."""
    return np.mean([overlap(member["vectors"], member["vectors_truth"]) for member in members], 0)


def between_places(
    members: Sequence[Mapping[str, np.ndarray]], name: str = "vectors"
) -> np.ndarray:
    """Overlaps of a model's bases at two different points, averaged over models, for disjoint pairs
    of points: 1 if they do not adapt.
    """
    return np.mean([overlap(member[name][0::2], member[name][1::2]) for member in members], 0)
