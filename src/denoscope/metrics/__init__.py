"""Metrics of copying, agreement and distance, each with its interval; :func:`measure` runs them by
name.
"""

from __future__ import annotations

from denoscope.metrics.agreement import (
    agreements,
    chance_level,
    corrected,
    mae_score,
    reproducibility,
)
from denoscope.metrics.calibrate import (
    CopyRates,
    Fold,
    auc,
    copy_rates,
    detectable,
    pair_threshold,
)
from denoscope.metrics.copying import authenticity, excess, generalization, memorized
from denoscope.metrics.copying_cells import CopyingTest, copying_test
from denoscope.metrics.divergence import FrechetDistance, frechet, frechet_floor, mifid
from denoscope.metrics.diversity import vendi
from denoscope.metrics.kernel_distance import kernel
from denoscope.metrics.likelihood import FeatureLikelihood, feature_likelihood
from denoscope.metrics.novelty import REAL_LIKE, TAIL, Nearness, nearness, nearness_of
from denoscope.metrics.probability_flow import flow_distance, sample_distance
from denoscope.metrics.protocol import available, citations, measure, metric
from denoscope.metrics.similarity import nearest_similarity, paired_similarity, unlike_similarity
from denoscope.metrics.support import prdc
from denoscope.metrics.transition import calibrated

__all__ = [
    "REAL_LIKE",
    "TAIL",
    "CopyRates",
    "CopyingTest",
    "FeatureLikelihood",
    "Fold",
    "FrechetDistance",
    "Nearness",
    "agreements",
    "auc",
    "authenticity",
    "available",
    "calibrated",
    "chance_level",
    "citations",
    "copy_rates",
    "copying_test",
    "corrected",
    "detectable",
    "excess",
    "feature_likelihood",
    "flow_distance",
    "frechet",
    "frechet_floor",
    "generalization",
    "kernel",
    "mae_score",
    "measure",
    "memorized",
    "metric",
    "mifid",
    "nearest_similarity",
    "nearness",
    "nearness_of",
    "pair_threshold",
    "paired_similarity",
    "prdc",
    "reproducibility",
    "sample_distance",
    "unlike_similarity",
    "vendi",
]
