"""Every value and array of one denoiser: facts of its Jacobian at all points, beside the closed
forms, and dimensions.
"""

from __future__ import annotations

import numpy as np
import torch

from denoscope.estimate import median
from denoscope.geometry.dimension import flipd, normal_bundle_dimension
from denoscope.metrics import memorized
from denoscope.sampling import trajectory
from denoscope.store import Value
from denoscope.studies._geometry.rank.closed import references
from denoscope.studies._geometry.rank.dimensions import of_images
from denoscope.studies._geometry.rank.facts import PROBES, of_denoiser
from denoscope.studies._geometry.rank.points import KINDS, LEVELS, SMALL, Points
from denoscope.studies._geometry.subject import Subject
from denoscope.study import Result

BUNDLE = 0.05
"""The noise level at which the normal bundle is taken."""

_BUNDLES = 6  # clean points of the normal bundle


def measure(subject: Subject, count: int) -> Result:
    """The whole cell: ``count`` points a level, 0 for as many as the size of an image allows."""
    points = Points.of(subject, count)
    arrays = {
        "levels": LEVELS,
        "path_levels": subject.sigmas.numpy()[points.visited()].astype(np.float64),
    }
    arrays |= references(subject.data, points)
    for kind in KINDS:
        arrays |= of_denoiser(subject.denoiser, *points.noisy(subject, kind)).arrays(
            kind, "network"
        )
    states = list(trajectory(subject.denoiser, subject.start()[: points.count], subject.sigmas))
    arrays |= of_denoiser(subject.denoiser, *points.path(states, subject.sigmas)).arrays(
        "path", "network"
    )
    arrays |= _dimensions(subject, points)
    return Result(_values(subject, points, arrays), arrays)


def _dimensions(subject: Subject, points: Points) -> dict[str, np.ndarray]:
    x, levels = points.clean(subject)
    probes = None if points.size <= SMALL else PROBES
    found = {"flipd_network": flipd(subject.denoiser, x, levels, probes=probes).value}
    few = x[0, :_BUNDLES]
    found["bundle_network"] = normal_bundle_dimension(
        subject.denoiser, few, torch.full((len(few),), BUNDLE)
    ).dimension
    return {name: value.numpy().astype(np.float32) for name, value in found.items()}


def _values(subject: Subject, points: Points, arrays: dict[str, np.ndarray]) -> dict[str, Value]:
    """What the table shows of a cell: ends and minimum of its ranks, copies among its samples,
    dimensions of the images.
    """
    ratios = arrays["test_network_norm"] / points.size
    least = int(np.median(ratios, 1).argmin())
    train = subject.data.train()
    return {
        "size": points.size,
        "points": points.count,
        "least_level": float(LEVELS[least]),
        "least": median(ratios[least]),
        "low_end": median(ratios[0]),
        "high_end": median(ratios[-1]),
        "asymmetry": median(arrays["test_network_asymmetry"][least]),
        "zeros": int(sum((arrays[f"{kind}_network_norm"] == 0).sum() for kind in (*KINDS, "path"))),
        "memorized": memorized(subject.samples().flatten(1), train.flatten(1))
        if len(train) > 1
        else None,
        **of_images(subject.data),
    }
