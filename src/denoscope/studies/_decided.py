"""When a path decides: by theory, by the data alone, and by the paths themselves.

Time is that of the Ornstein-Uhlenbeck process of the images over their *spread*, the root mean
variance of a number: ``t = ln(1 + (sigma/spread)^2)/2``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from denoscope.data.sources import MIXTURE
from denoscope.data.splits import Split
from denoscope.data.synthetic import CENTRE
from denoscope.distributions import Empirical
from denoscope.estimate import Estimate, exact
from denoscope.random import Seeds
from denoscope.readings import Reading
from denoscope.sampling import ancestral, sample
from denoscope.studies._paths import Known, Path, settled, staying
from denoscope.theory import times
from denoscope.types import Denoiser

CLONES = 1 << 21
"""Seed of the first noise of clones."""
KINDS = 4096
"""Images by which the class of an end is told: that of the nearest of them."""
BRANCHES = 16
REACH = (0.03, 40.0)
"""Levels over the spread between which paths part."""


@dataclass(frozen=True)
class Scale:
    """What levels and times are measured by: the ``spread`` of all images that may be trained on,
    and the eigenvalues (d,) of their covariance over its square.
    """

    spread: float
    spectrum: np.ndarray

    @classmethod
    def of(cls, data: Split) -> Scale:
        return _scale(data.whole())

    def time(self, sigma: Any) -> np.ndarray:
        """The time of a noise level."""
        return 0.5 * np.log1p(np.square(np.asarray(sigma, np.float64) / self.spread))

    def sigma(self, time: Any) -> np.ndarray:
        """The noise level of a time."""
        return self.spread * np.sqrt(np.expm1(2 * np.asarray(time, np.float64)))


@lru_cache(maxsize=4)
def _scale(whole: Split) -> Scale:
    values = spectrum(whole)
    spread = float(np.sqrt(values.mean()))
    return Scale(spread, values / spread**2)


def spectrum(data: Split) -> np.ndarray:
    """The eigenvalues (d,) of the covariance of the training images."""
    return torch.linalg.eigvalsh(data.gaussian().cov.double()).clamp_min(0).numpy()


def classes_of(data: Split) -> Known | None:
    """Images that tell the class of an end, where there are classes."""
    every = Known.of(data.whole())
    return None if every.labels is None else Known(every.images[:KINDS], every.labels[:KINDS])


# By theory


def predicted(data: Split, sigmas: np.ndarray) -> Iterator[Reading]:
    """Speciation and collapse, and the curves of which they are points, in closed form: of the
    mixture itself, or of a Gaussian with the covariance of all images.
    """
    scale, n, at = Scale.of(data), len(data.train()), {"source": "theory"}
    ladder, d = scale.time(sigmas), len(scale.spectrum)
    largest, law = float(scale.spectrum.max()), {}
    if data.source.data == MIXTURE:
        part = CENTRE / scale.spread
        law = {"separation": part, "variance": part**2}
        largest = part**2 * (d + 1)
        agree = times.clone_agreement(ladder, d, **law)
        yield Reading("agree", {"sigma": sigmas, "choice": "class", **at}, agree[:, None])
        excess = times.excess_entropy_mixture(ladder, n, d, **law)
        collapse = times.collapse_time(n / 2, d, law["variance"])
    else:
        excess = times.excess_entropy_gaussian(scale.spectrum, n, ladder)
        collapse = times.collapse_time_from(scale.spectrum, n)
    yield Reading("excess", {"sigma": sigmas, **at}, excess[:, None])
    yield Reading("speciation", at, exact([times.speciation_time([largest])]))
    yield Reading("collapse", at, exact([float(collapse)]))


# By the data


def expected(data: Split, sigmas: np.ndarray, draws: int) -> Iterator[Reading]:
    """The same of the training images alone: their largest variance, the weight of each on itself,
    and how often two draws of the posterior under a noised one have one class.
    """
    scale, images, at = Scale.of(data), data.train(), {"source": "data"}
    rows = images.flatten(1).double().numpy() / scale.spread
    draws, ladder = max(draws, len(rows)), scale.time(sigmas)
    weight = times.self_weight(rows, ladder, draws=draws)
    excess = times.excess_entropy(rows, ladder, draws=draws)
    for i, sigma in enumerate(sigmas.tolist()):
        here = {"sigma": sigma, **at}
        yield Reading("agree", {**here, "choice": "image"}, _normal(weight, i, draws))
        yield Reading("excess", here, _normal(excess, i, draws))
    known = Known.of(data)
    if known.labels is not None:
        each = [same_class(known, s, draws).numpy() for s in sigmas.tolist()]
        yield Reading("agree", {"sigma": sigmas, **at, "choice": "class"}, np.stack(each))
    speciation = times.speciation_time(spectrum(data) / scale.spread**2)
    yield Reading("speciation", at, exact([speciation]))
    yield Reading("collapse", at, exact([times.measured_collapse_time(rows, draws=draws)]))


def _normal(found: times.Measured, i: int, n: int) -> Estimate:
    value, half = float(found.value[i]), 1.96 * float(found.error[i])
    return Estimate(value, max(0.0, value - half), min(1.0, value + half), n, method="normal")


def same_class(known: Known, sigma: float, draws: int) -> Tensor:
    """The probability that two draws of the posterior under a noised training image have one class,
    (draws,): what clones of the memorizer do, without a path.
    """
    assert known.labels is not None
    clean = known.images[torch.arange(draws) % len(known.images)]
    noisy = clean + sigma * Seeds(range(CLONES, CLONES + draws)).randn(clean.shape[1:])
    member = torch.nn.functional.one_hot(known.labels).to(clean)
    shares = Empirical(known.images).weights(noisy, torch.tensor(sigma)) @ member
    return shares.square().sum(1).clamp(max=1)


# By paths


def decided(
    D: Denoiser, path: Path, known: Known, kinds: Known | None, scale: Scale, at: Mapping[str, Any]
) -> Iterator[Reading]:
    """By the stochastic paths of a denoiser: whether two clones that part at a level end alike, the
    time of the last change of the nearest training image, and how little of the training set the
    posterior under a state leaves.
    """
    levels, ends = cloned(D, path, scale)
    told: dict[str, Tensor] = {"image": known.nearest(ends)}
    if kinds is not None and kinds.labels is not None:
        told["class"] = kinds.labels[kinds.nearest(ends)]
    for choice, each in told.items():
        same = (each[:, 0] == each[:, 1]).numpy()
        yield Reading("agree", {"sigma": levels, "choice": choice, **at}, same)
    chosen = torch.cat([known.nearest(path.states), known.nearest(path.end)[None]])
    last = settled(staying(chosen), path.sigmas)
    yield Reading("fixed", at, scale.time(last.exp2().numpy()))
    sigmas = path.sigmas.double().numpy()
    yield Reading("excess", {"sigma": sigmas, **at}, left(path, known.images))


def cloned(D: Denoiser, path: Path, scale: Scale) -> tuple[np.ndarray, Tensor]:
    """The levels at which paths part, and the ends of two clones of each, (levels, 2, m, c, h,
    w).
    """
    sigmas = torch.cat([path.sigmas, path.sigmas.new_zeros(1)])
    some = parting(path.sigmas / scale.spread)
    each = []
    for k in some:
        state = torch.cat([path.states[k]] * 2)
        noise = Seeds(range(CLONES, CLONES + len(state))).noise()
        each.append(sample(D, state, sigmas[k:], ancestral, noise).unflatten(0, (2, -1)))
    return path.sigmas[some].double().numpy(), torch.stack(each)


def parting(levels: Tensor) -> Sequence[int]:
    """Which of the levels are parted at: evenly spread over those within reach, or all of them."""
    rows = ((levels > REACH[0]) & (levels < REACH[1])).nonzero()[:, 0]
    rows = rows if len(rows) else torch.arange(len(levels))
    return rows[torch.linspace(0, len(rows) - 1, min(BRANCHES, len(rows))).round().long()].tolist()


def left(path: Path, images: Tensor) -> np.ndarray:
    """The entropy of the posterior under each state over that of all images, (levels, m)."""
    memorizer = Empirical(images)
    weights = (memorizer.weights(x, s).double() for x, s in zip(path.states, path.sigmas))
    each = [torch.special.entr(w).sum(1) for w in weights]
    return (torch.stack(each) / np.log(len(images))).clamp(0, 1).numpy()
