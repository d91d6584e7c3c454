"""Where the path of a network leaves the memorizer's, and the copies that two networks make of one
training set where each acts in bands of noise levels of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from denoscope.distributions import Empirical
from denoscope.networks import switched
from denoscope.readings import Reading
from denoscope.studies._decided import Scale
from denoscope.studies._paths import Path, settled, staying, walked
from denoscope.studies._subject import Subject
from denoscope.types import Denoiser

FAR = 0.25
"""Posterior means this far apart, over the spread of the data, have parted."""
BANDS = (1 / 8, 1 / 2, 2.0, 8.0)
"""Edges between bands of noise levels, over the spread."""


def followed(subject: Subject, scale: Scale) -> Iterator[Reading]:
    """How far the paths of the network, and of the Gaussian, are from the memorizer's."""
    path = partial(walked, start=subject.start(), sigmas=subject.sigmas)
    theirs = path(Empirical(subject.data.train()))
    for who, D in (("network", subject.denoiser), ("gaussian", subject.data.gaussian())):
        yield from parted(path(D), theirs, scale, {"who": who})


def parted(path: Path, other: Path, scale: Scale, at: Mapping[str, Any]) -> Iterator[Reading]:
    """The distance of the posterior means on two paths, and the time from which on it is far."""
    apart = (path.means - other.means).flatten(2).square().mean(2).sqrt() / scale.spread
    levels = path.sigmas.double().numpy()
    yield Reading("apart", {"sigma": levels, **at}, apart.numpy())
    far = torch.cat([apart > FAR, torch.ones_like(apart[:1], dtype=torch.bool)])
    yield Reading("kept", at, (~far[-2]).numpy())
    yield Reading("left", at, scale.time(settled(staying(far), path.sigmas).exp2().numpy()))


def banded(few: Subject, many: Subject, scale: Scale) -> Iterator[Reading]:
    """Copies of the few images by both networks as one denoiser, switched at each band."""
    nets = {"memorizing": few.denoiser, "generalizing": many.denoiser}
    for kind, inside in nets.items():
        other = next(D for name, D in nets.items() if name != kind)
        yield Reading("whole", {"switched": kind}, copies(few, inside))
        middles, each = [], []
        for low, high in pairwise((0.0, *BANDS, math.inf)):
            middles.append(high / 2 if high < math.inf else 2 * low)
            D = switched(inside, other, low * scale.spread, high * scale.spread)
            each.append(copies(few, D))
        yield Reading("copied", {"band": np.array(middles), "switched": kind}, np.stack(each))
    yield Reading("control", {}, replace(few, generated=few.data.unseen()).copies().numpy())


def copies(subject: Subject, D: Denoiser) -> np.ndarray:
    return replace(subject, denoiser=D, generated=None).copies().numpy()
