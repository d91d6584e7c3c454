"""One score of all descriptors, and the thresholds that planted copies and held-out images choose.

Each descriptor gives the logarithm of a nearness: -log of the ratio of distances, or of the chord
that a cosine is. Where data fill k dimensions evenly, their tail is exponential with rate k (the
share of ratios below r is r^k), so that a few of the nearest say how rare it is to be nearer still.
The weights are those of the linear discriminant between held-out images and planted copies, none
negative: nearer is never less like a copy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import ndtri
from torch import Tensor

from denoscope.metrics.copy_scores import CopyScores

_NEAREST = 1e-4  # what is nearer counts as that near
_Z = float(ndtri(0.975))


def log_nearness(kind: str, scores: CopyScores) -> Tensor:
    """-log of the ratio of distances, or of the chord between unit rows; float64 (n,)."""
    apart = 1 - scores.score.double()
    distance = apart if kind == "ratio" else (2 * apart).clamp_min(0).sqrt()
    return -distance.clamp_min(_NEAREST).log()


def score_at(kind: str, nearness: float) -> float:
    """The score that has this logarithm of a nearness."""
    return 1 - math.exp(-nearness if kind == "ratio" else -2 * nearness - math.log(2))


@dataclass(frozen=True, eq=False)
class OneScore:
    """A weighted sum of nearnesses."""

    weights: Tensor

    @staticmethod
    def fitted(null: Tensor, planted: Tensor) -> OneScore:
        """The discriminant of rows (m, D) from rows (p, D), both kinds weighing the same; each
        descriptor counts the same where there is nothing to tell.
        """
        from scipy.optimize import nnls  # takes half a second to import

        scale = null.std(0).clamp_min(1e-9)
        even = OneScore(1 / scale)
        if null.shape[1] == 1:
            return OneScore(torch.ones(1, dtype=torch.float64))
        if not len(planted):
            return even
        rows = torch.cat([null, planted]) / scale
        share = torch.cat([torch.full((len(x),), 0.5 / len(x)) for x in (null, planted)]).double()
        target = torch.cat([torch.full((len(null),), -0.5), torch.full((len(planted),), 0.5)])
        root = share.sqrt()[:, None]
        weights, _ = nnls(
            ((rows - share @ rows) * root).numpy(), (target[:, None] * root)[:, 0].numpy()
        )
        return OneScore(torch.as_tensor(weights) / scale) if weights.any() else even

    def __call__(self, rows: Tensor) -> Tensor:
        """Of rows (..., D)."""
        return rows @ self.weights


def thresholds(
    null: Tensor, planted: Tensor, samples: int, held_out: int, false_alarm: float
) -> tuple[float, float]:
    """The threshold that a share ``false_alarm`` of ``null`` (m,) passes, and, not below it, the
    one at which the share of copies that stands out is least.

    A share c of copies, found with power π, stands out among so many ``samples`` and ``held_out``
    images if c (π - p) = z √((p + c (π - p)) s), s the sum of both numbers' inverses.
    """
    ordered = null.double().sort(descending=True).values.numpy()
    asked = float(ordered[min(len(ordered) - 1, int(false_alarm * len(ordered) + 1e-9))])
    copies = np.sort(planted.double().flatten().numpy())
    tried = np.unique(np.concatenate([ordered[ordered >= asked], copies[copies >= asked]]))
    power = 1 - np.searchsorted(copies, tried, side="right") / max(1, len(copies))
    p, noise = _passing(tried, ordered), _Z**2 * (1 / samples + 1 / held_out)
    apart = np.maximum(power - p, 1e-12)
    least = (noise / 2 + np.sqrt(noise * p + noise**2 / 4)) / apart
    return asked, float(tried[least.argmin()])


def _passing(at: np.ndarray, ordered: np.ndarray) -> np.ndarray:
    """The share of null scores, ``ordered`` from above, beyond each value: counted, and of the
    √m largest by the exponential tail that they have (Hill 1975).
    """
    m = len(ordered)
    k = min(m - 1, int(np.ceil(np.sqrt(m))))
    start = ordered[k]
    scale = max(float(ordered[:k].mean() - start), 1e-12)
    counted = np.searchsorted(-ordered, -at, side="left") / m
    return np.where(at < start, counted, k / m * np.exp(-np.maximum(at - start, 0) / scale))
