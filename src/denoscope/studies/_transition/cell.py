"""What one trained model of a sweep is asked: does it copy, does it agree with the memorizer, how
well does it denoise.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from torch import Tensor

from denoscope.data.duplicates import find_duplicates
from denoscope.data.sources import Source
from denoscope.distributions import Empirical, Gaussian
from denoscope.geometry.distances import denoising_errors
from denoscope.metrics import (
    authenticity,
    copy_rates,
    excess,
    frechet,
    generalization,
    memorized,
    nearest_similarity,
    reproducibility,
)
from denoscope.nearest import Neighbors, neighbors
from denoscope.readings import Reading
from denoscope.sampling import sample
from denoscope.store import Value
from denoscope.studies._transition.setting import FIXED_THRESHOLD, Setting, prepare
from denoscope.types import Denoiser

FALSE_ALARM = 0.05
LEVELS = np.geomspace(0.02, 20.0, 13)
SHOWN = 8
"""Samples that a page shows beside their nearest training images."""


@dataclass(frozen=True)
class Place:
    """Where a cell's training set comes from: the arguments of its setting, its size and which
    subset; all that the network does not change.
    """

    source: Source
    held: int
    samples: int
    solver_steps: int
    size: int
    which: int

    def setting(self) -> Setting:
        """The setting, made once a process."""
        return prepare(self.source, self.held, self.samples, self.solver_steps)


@lru_cache(maxsize=64)
def memorizer(place: Place) -> Tensor:
    """What the closed-form memorizer of the training set makes from the same noises with the same
    levels and solver.
    """
    setting = place.setting()
    return sample(
        Empirical(setting.train(place.size, place.which)),
        float(setting.sigmas[0]) * setting.noise,
        setting.sigmas,
    )


@lru_cache(maxsize=64)
def closed_errors(place: Place) -> list[Reading]:
    """The denoising errors of the memorizer and the Wiener denoiser of the training set, on it and
    on held-out images.
    """
    setting = place.setting()
    train = setting.train(place.size, place.which)
    denoisers = {"memorizer": Empirical(train), "gaussian": Gaussian.from_data(train)}
    return [r for who, D in denoisers.items() for r in errors_of(who, D, train, setting.test)]


def errors_of(who: str, D: Denoiser, train: Tensor, test: Tensor) -> Iterator[Reading]:
    """A denoiser's errors on training and on held-out images, by noise level."""
    for images, data in (("train", train), ("test", test)):
        at = {"who": who, "images": images, "sigma": LEVELS}
        yield Reading("error", at, denoising_errors(D, data, LEVELS).float().numpy())


@lru_cache(maxsize=4)
def linear_errors(source: Source, held: int, samples: int, solver_steps: int) -> np.ndarray:
    """The hold-out error of the Wiener denoiser of the whole pool, (levels,): what a linear model
    reaches with all the data.
    """
    setting = prepare(source, held, samples, solver_steps)
    return denoising_errors(Gaussian.from_data(setting.reals), setting.test, LEVELS).mean(1).numpy()


def measure(
    place: Place, denoiser: Denoiser, generated: Tensor
) -> tuple[dict[str, Value], list[Reading]]:
    """Every value and reading of one cell, from its trained denoiser and its samples (samples, c,
    h, w), both on the CPU.
    """
    setting = place.setting()
    train, test = setting.train(place.size, place.which), setting.test
    alike, values = _copying(setting, generated, train, test)
    flat = generated.flatten(1), train.flatten(1), test.flatten(1)
    groups = _groups(place)
    errors = list(errors_of("network", denoiser, train, test))
    linear = linear_errors(place.source, place.held, place.samples, place.solver_steps)
    unseen = errors[1].value.mean(1, dtype=np.float64)
    values |= {
        "memorized": memorized(flat[0], flat[1], groups=groups),
        "memorized_test": memorized(flat[2], flat[1], groups=groups),
        "authenticity": authenticity(flat[0], flat[1]),
        "frechet": frechet(flat[0], flat[2]),
        "rp_memorizer": reproducibility(
            setting.pixels(generated), setting.pixels(memorizer(place)), threshold=setting.same
        ),
        "error_test": float(np.exp(np.mean(np.log(unseen / linear)))),
    }
    nearest = alike.index[:, 0]
    return values, [
        Reading("sample", {}, generated.numpy().astype(np.float32)),
        Reading("nearest", {}, nearest.numpy()),
        Reading("similarity", {}, (1 - alike.distance[:, 0]).float().numpy()),
        Reading("training", {}, train[nearest[:SHOWN]].numpy().astype(np.float32)),
        *errors,
        *closed_errors(place),
    ]


def _copying(
    setting: Setting, generated: Tensor, train: Tensor, test: Tensor
) -> tuple[Neighbors, dict[str, Value]]:
    """Nearest training images by pixels, and the copy rates: calibrated by two descriptors, and at
    a fixed threshold.
    """
    values: dict[str, Value] = {}
    features = [setting.pixels(images) for images in (generated, train, test)]
    alike = neighbors(features[0], features[1], metric="cosine")
    similarity = 1 - alike.distance[:, 0]
    rates = copy_rates(
        similarity, nearest_similarity(features[2], features[1]), false_alarm=FALSE_ALARM
    )
    values |= {
        "glc": rates.generalization,
        "p_gen": rates.p_gen,
        "p_test": rates.p_test,
        "threshold": rates.folds[0].threshold,
    }
    values |= {
        "false_alarm": rates.false_alarm,
        "copies_p_value": rates.p_value,
        "detectable": rates.detectable(),
    }
    second = [setting.whitened(images) for images in (generated, train, test)]
    values["glc_pca"] = excess(*second, false_alarm=FALSE_ALARM).complement()
    values["gl_fixed"] = generalization(features[0], features[1], threshold=FIXED_THRESHOLD)
    values["gl_fixed_test"] = generalization(features[2], features[1], threshold=FIXED_THRESHOLD)
    return alike, values


def _groups(place: Place) -> Tensor:
    """Near-duplicate groups of a training set: the known ones, else those found by distance."""
    setting = place.setting()
    if setting.images.groups is not None:
        return setting.images.groups[setting.train_rows(place.size, place.which)]
    return find_duplicates(setting.train(place.size, place.which)).groups
