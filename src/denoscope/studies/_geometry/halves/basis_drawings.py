"""The figures of the geometry-adaptive harmonic bases: eigenvalues, and how much bases share."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from denoscope.estimate import mean
from denoscope.report import INK, Level, Panel, Series, ordered
from denoscope.report.blocks import Figure
from denoscope.studies._geometry.groups import Group
from denoscope.studies._geometry.halves import psnr
from denoscope.studies._geometry.halves.basis_findings import adaptation
from denoscope.studies._geometry.halves.drawings import (
    IMAGES,
    TEST,
    over_linear,
    over_sizes,
    present,
    series,
    tones,
    widths,
)
from denoscope.studies._geometry.halves.measuring import HARMONIC, LEADING
from denoscope.studies._geometry.halves.reading import Growth

_SEEDS, _GAUSSIAN, _PLACES = ordered(6)[5], ordered(6)[2], ordered(6)[0]
_LIMITS = (-0.25, 2.25)
_KINDS = {
    "": "Models",
    "_memorizer": "Memorizers",
    "_gaussian": "Gaussians",
    "_truth": "True denoiser",
}


def eigenvalues(groups: Sequence[Group]) -> Figure:
    """The decay of the eigenvalues, of models, memorizers and Gaussians, a line a size."""
    panels = []
    known = {
        ending: title for ending, title in _KINDS.items() if f"values{ending}" in groups[0].first
    }
    for ending, title in known.items():
        lines = []
        for group, tone in zip(groups, tones(len(groups))):
            found = [mean(column) for column in group.mean(f"values{ending}").T]
            lines.append(series(np.arange(1, len(found) + 1), found, group.label, tone, "line"))
        panels.append(
            Panel(lines, title, "rank k", "eigenvalue λₖ", limits=_LIMITS, levels=[Level(0.0)])
        )
    caption = (
        "**Shrinkage factors**: eigenvalues of the symmetrised Jacobian at noisy unseen "
        f"images, input {HARMONIC:g} dB (σ = {psnr.level(HARMONIC):.2f}); means over "
        "images, bands 95 % by t over them, models averaged "
        "over seeds and halves. The memorizer's are Cov(x₀ | x)/σ² of training images: "
        "zero where one image has all the weight, and far above 1 (outside of the frame) "
        "where two that are far apart share it."
    )
    return Figure("disjoint_halves_eigenvalues", caption, partial(over_linear, panels))


def overlaps(grown: Sequence[Growth]) -> Figure:
    """Overlap of leading harmonics over N, a panel a width."""
    panels = []
    for item, title in zip(grown, widths(grown)):
        halves, seeds = item.pairs.get("halves", []), item.pairs.get("seeds", [])
        places = [adaptation(group) for group in item.groups]
        lines = present(
            [
                series(
                    [p.n for p in halves],
                    [p.shared for p in halves],
                    "disjoint halves, one image",
                    TEST,
                ),
                series(
                    [p.n for p in seeds],
                    [p.shared for p in seeds],
                    "two seeds of one half, one image",
                    _SEEDS,
                ),
                series(
                    [group.n for group in item.groups], places, "one model, two images", _PLACES
                ),
                Series(
                    [p.n for p in halves],
                    [p.overlaps("vectors_gaussian").mean() for p in halves],
                    "principal components of the halves",
                    tone=_GAUSSIAN,
                ),
            ]
        )
        chance = [Level(LEADING / item.groups[0].first["vectors"].shape[-1], "chance", INK)]
        panels.append(Panel(lines, title, IMAGES, "overlap", levels=chance, limits=(0.0, 1.03)))
    caption = (
        f"**Do models share their harmonics?** Overlap of the spans of the {LEADING} "
        "leading eigenvectors of the symmetrised Jacobian (mean squared cosine of their "
        f"principal angles) at input {HARMONIC:g} dB: of models of "
        "disjoint halves at the same noisy image; of two seeds; of one model at two "
        "images, which is 1 if a basis does not adapt to the image, as the principal "
        "components do not. Bands: 95 % by t over images, after "
        "averaging over pairs of models."
    )
    return Figure("disjoint_halves_overlap", caption, partial(over_sizes, panels))
