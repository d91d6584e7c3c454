"""Exact nearest neighbours in bounded memory: the one primitive under all copy metrics.

Squared distances of whole tiles come from one matrix product, |q - b|² = |q|² + |b|² - 2 q·b on
centred rows, which is fast but rounded. So the product only proposes: every pair whose *lower*
bound (the rounded value less its rounding error) is below the k-th smallest *upper* bound stays a
candidate, and candidates are decided by distances computed from differences in float64. What comes
out is therefore the exact answer, the same to the last bit for every memory bound.
"""

from __future__ import annotations

from denoscope.nearest.ball import within
from denoscope.nearest.rows import Metric, bytes_of, distances, features, paired, same_space, unit
from denoscope.nearest.search import Neighbors, neighbors

__all__ = [
    "Metric",
    "Neighbors",
    "bytes_of",
    "distances",
    "features",
    "neighbors",
    "paired",
    "same_space",
    "unit",
    "within",
]
