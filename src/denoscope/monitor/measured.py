"""What a look measures, on noises that are the same at every look.

With s the standard deviation of the training data, the denoising error of D at the level sigma is

    |D(x0 + sigma n, sigma) - x0|^2 / d * (sigma^2 + s^2) / (sigma^2 s^2),

of training and of held-out images at a small level (s/4) and at a middle one (s): 1 is what a
denoiser makes that knows the mean and s alone. At held-out points D is also compared with two
closed forms of the training set, its Gaussian and its memorizer, as the root mean square of the
difference over s. Copies are counted among samples from fixed noises by the ratio of the distances
to the nearest and second nearest training images, above a threshold that held-out images choose;
without these, that training images choose, each compared with all others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from denoscope.distributions import Empirical, Gaussian
from denoscope.estimate import Estimate, mean, proportion_ratio, unavailable
from denoscope.files import content_hash
from denoscope.levels import karras
from denoscope.metrics import copy_rates
from denoscope.metrics.calibrate import CopyRates
from denoscope.metrics.copy_scores import scores
from denoscope.metrics.near_duplicates import SelfNeighbors, near_duplicate_distance
from denoscope.monitor.comparable import as_images, refuse_unlike
from denoscope.nearest import neighbors
from denoscope.random import generator
from denoscope.sampling import dpmpp, sample
from denoscope.types import Denoiser

LEVELS = {"small": 0.25, "middle": 1.0}
"""Noise levels, in standard deviations of the data."""
CLOSED = ("gaussian", "memorizer")
_POINTS, _COMPARED = 256, 64  # images of a set that are denoised, points for closed forms
_STEPS, _LOW, _HIGH = 16, 0.004, 160.0  # of the sampler; its levels in standard deviations
_TOGETHER = 1 << 21  # numbers in one call of D
_SPACING = 0.01  # the quantile of nearest distances below which images are near-duplicates
_WIDE = 4096  # numbers per image beyond which a covariance is that of so many images


@dataclass(frozen=True)
class Findings:
    """The ``estimates`` of a look by name, and ``errors``, the held-out error image by image, or
    the training error where nothing is held out.
    """

    estimates: Mapping[str, Estimate]
    errors: tuple[float, ...]


class LookedAt:
    """Training and held-out images, and all that looks at one training have in common."""

    def __init__(self, train: Tensor, held: Tensor | None, samples: int, seed: int):
        self.train = as_images(train, "train")
        self.held = None if held is None else as_images(held, "held")
        self.samples, self.seed = samples, seed
        self.spread = float((self.train - self.train.mean(0)).std())
        if not self.spread > 0:
            raise ValueError("train has images that are all equal: there is nothing to learn")
        if samples < 1:
            raise ValueError(f"samples must be at least 1, got {samples}")
        if self.held is not None:
            refuse_unlike(self.held, self.train, self.spread)
        self.spacing, self.null = self._calibrated()

    def _calibrated(self) -> tuple[float, Tensor]:
        """The distance of near-duplicates, and the scores of what is no copy."""
        rows = self.train.flatten(1)
        if self.held is None:
            found = SelfNeighbors.of(rows)
            spacing = near_duplicate_distance(rows, found, _SPACING)
            own = scores(
                rows, rows, kind="ratio", spacing=spacing, exclude_self=True, found=found.found
            )
            return spacing, own.score
        apart = neighbors(self.held.flatten(1), rows).distance[:, 0].double()
        spacing = float(apart.quantile(_SPACING))
        return spacing, self._score(self.held, spacing)

    def _score(self, x: Tensor, spacing: float) -> Tensor:
        return scores(x.flatten(1), self.train.flatten(1), kind="ratio", spacing=spacing).score

    @cached_property
    def levels(self) -> dict[str, float]:
        """The small and the middle noise level."""
        return {name: factor * self.spread for name, factor in LEVELS.items()}

    def identity(self) -> dict[str, object]:
        """What the looks of one training have in common, as JSON."""
        hashes = (None if x is None else content_hash(x.numpy()) for x in (self.train, self.held))
        named = dict(zip(("train", "held"), hashes))
        return {"monitor": 1, **named, "samples": self.samples, "seed": self.seed}

    def whole(self, kind: str) -> Tensor:
        """The images of a set, "train" or "held"; without held-out ones the training images."""
        return self.train if kind == "train" or self.held is None else self.held

    def noisy(self, kind: str, level: str) -> tuple[Tensor, Tensor]:
        """At most 256 images of a set, repeated where they are fewer than 64; the same with
        noise.
        """
        images = self.whole(kind)
        place = (list(LEVELS).index(level), int(images is self.train))
        drawn = torch.randperm(len(images), generator=generator(self.seed, 1, place[1]))[:_POINTS]
        clean = images[drawn.repeat(self._times(kind))]
        noise = torch.randn(clean.shape, generator=generator(self.seed, 2, *place))
        return clean, clean + self.levels[level] * noise

    def _times(self, kind: str) -> int:
        return max(1, _COMPARED // len(self.whole(kind)))

    @cached_property
    def closed(self) -> dict[str, dict[str, Tensor]]:
        """What Gaussian and memorizer answer at the first points, by name and level."""
        some = self.train
        if self.train[0].numel() > _WIDE and len(some) > _WIDE:
            drawn = torch.randperm(len(some), generator=generator(self.seed, 3))
            some = some[drawn[:_WIDE]]
        laws = dict(zip(CLOSED, (Gaussian.from_data(some), Empirical(self.train))))
        return {
            name: {
                level: law(self.noisy("held", level)[1][:_COMPARED], torch.tensor(sigma))
                for level, sigma in self.levels.items()
            }
            for name, law in laws.items()
        }

    def look(self, D: Denoiser, count: int) -> Findings:
        """Everything of D, at the look number ``count`` = 1, 2 ..."""
        kinds = ["train"] if self.held is None else ["train", "held"]
        found = {kind: self._answers(D, kind) for kind in kinds}
        errors = {
            kind: {level: self._errors(kind, level, x) for level, x in answers.items()}
            for kind, answers in found.items()
        }
        estimates = {
            f"{kind}_error_{level}": averaged(x)
            for kind, some in errors.items()
            for level, x in some.items()
        }
        over = {kind: torch.stack(list(some.values())).mean(0) for kind, some in errors.items()}
        estimates |= {f"{kind}_error": averaged(x) for kind, x in over.items()}
        last = kinds[-1]
        estimates |= {f"to_{name}": averaged(self._apart(found[last], name)) for name in CLOSED}
        each = tuple(float(f"{e:.6g}") for e in over[last].tolist())
        return Findings(estimates | self._copies(D, count), each)

    def _answers(self, D: Denoiser, kind: str) -> dict[str, Tensor]:
        return {
            level: in_parts(lambda x, s=sigma: D(x, x.new_tensor(s)), self.noisy(kind, level)[1], D)
            for level, sigma in self.levels.items()
        }

    def _errors(self, kind: str, level: str, answers: Tensor) -> Tensor:
        """The relative error of each image, float64 (n,)."""
        sigma, error = self.levels[level], answers - self.noisy(kind, level)[0]
        scale = (sigma**2 + self.spread**2) / (sigma * self.spread) ** 2
        mean_square = error.double().square().flatten(1).mean(1)
        return scale * mean_square.reshape(self._times(kind), -1).mean(0)

    def _apart(self, answers: Mapping[str, Tensor], name: str) -> Tensor:
        """How far D is from a closed form at each point, over levels, (n,)."""
        apart = [answers[level][:_COMPARED] - x for level, x in self.closed[name].items()]
        mean_square = torch.stack([x.double().square().flatten(1).mean(1) for x in apart])
        return mean_square.mean(0).sqrt() / self.spread

    def _copies(self, D: Denoiser, count: int) -> dict[str, Estimate]:
        """The excess of copies, and the same at the level that look ``count`` may spend."""
        sigmas = karras(_STEPS, _LOW * self.spread, _HIGH * self.spread)
        shape = (self.samples, *self.train.shape[1:])
        start = sigmas[0].float() * torch.randn(shape, generator=generator(self.seed, 4))
        made = in_parts(lambda x: sample(D, x, sigmas, dpmpp()), start, D)
        if not bool(torch.isfinite(made).all()):
            nothing = unavailable("samples are not finite", self.samples)
            return {"excess": nothing, "certain": nothing}
        rates = copy_rates(self._score(made, self.spacing), self.null, seed=self.seed)
        return {"excess": rates.excess, "certain": spent(rates, count)}


def averaged(values: Tensor) -> Estimate:
    """The mean over images by t; not available where a value is not finite."""
    if not bool(torch.isfinite(values).all()):
        return unavailable("answers are not finite", len(values))
    return mean(values.numpy())


def in_parts(make: Callable[[Tensor], Tensor], x: Tensor, D: Denoiser) -> Tensor:
    """``make`` of x, a part at a time, on the device of D's parameters; on the CPU again."""
    device = next((p.device for p in getattr(D, "parameters", tuple)()), x.device)
    size = max(1, _TOGETHER // x[0].numel())
    return torch.cat([make(part.to(device)).cpu() for part in x.split(size)])


def spent(rates: CopyRates, count: int) -> Estimate:
    """The excess at the first threshold, at a level that can be asked at every look: the lower ends
    of all looks together are wrong with a probability of 2.5 % at most, as sum 1/k^2 = pi^2/6.
    """
    level = 1 - 2 * 0.025 * 6 / (math.pi * count) ** 2
    fold = rates.folds[0]
    novel = (fold.generated - fold.copies, fold.generated)
    return proportion_ratio(*novel, fold.held_out - fold.alarms, fold.held_out, level).complement()
