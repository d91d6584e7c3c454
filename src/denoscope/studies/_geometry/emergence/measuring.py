"""What a network is asked at every snapshot of its training, on points, pairs and starting noises
that all networks share.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from denoscope.distributions import Gaussian
from denoscope.estimate import mean
from denoscope.geometry.distances import outputs
from denoscope.geometry.linearization import superposition
from denoscope.metrics import memorized
from denoscope.sampling import sample
from denoscope.store import Value
from denoscope.studies._geometry.emergence.course import Course, turn
from denoscope.studies._geometry.subject import Subject
from denoscope.study import Result
from denoscope.types import Denoiser

LEVELS = (0.02, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 50.0)
"""One level in the low regime, eight in the intermediate one, one in the high one."""

POINTS = 100
"""Unseen images, training images, and pairs of unseen images at every level."""

EVALUATIONS = 5 * POINTS * len(LEVELS)
"""Calls of a network, one image each, at a snapshot, beside its samples."""


@dataclass(frozen=True, eq=False)
class Asked:
    """Noisy points, levels beside each other, (L P, *event), with their ``sigma`` (L P,) and clean
    images (P, n).
    """

    noisy: Tensor
    others: Tensor
    sigma: Tensor
    clean: Tensor

    def answers(self, D: Denoiser) -> Tensor:
        """D at the points, (L, P, n)."""
        return outputs(D, self.noisy, self.sigma).reshape(len(LEVELS), *self.clean.shape)

    def error(self, answers: Tensor) -> np.ndarray:
        """Mean squared difference from the clean images, a pixel, (L, P)."""
        return _squared(answers, self.clean)

    def linearity(self, D: Denoiser) -> np.ndarray:
        """|cos(D((x1 + x2)/sqrt 2), (D(x1) + D(x2))/sqrt 2)| over pairs of points and others, (L,
        P).
        """
        return (
            superposition(D, self.noisy, self.others, self.sigma)
            .cosine.abs()
            .reshape(len(LEVELS), -1)
            .numpy()
        )


def asked(subject: Subject, kind: str) -> Asked:
    """``POINTS`` images of that kind, "train" or "test", as many others to pair them with, and the
    noises that go with them.
    """
    assert kind in ("train", "test")
    both = torch.stack([subject.noisy(kind, 2 * POINTS, level) for level in LEVELS])
    noisy, others = (part.flatten(0, 1) for part in both.split(POINTS, 1))
    return Asked(
        noisy,
        others,
        torch.tensor(LEVELS).repeat_interleave(POINTS),
        subject.clean(kind, POINTS).flatten(1).double(),
    )


def _squared(first: Tensor, second: Tensor) -> np.ndarray:
    return (first - second).square().mean(-1).numpy()


@dataclass(frozen=True, eq=False)
class Shared:
    """What is the same at every snapshot: the points, and what the closed-form denoisers answer
    there.
    """

    test: Asked
    train: Asked
    closed: dict[str, Tensor]
    samples: Tensor
    centre: Tensor
    arrays: dict[str, np.ndarray]


def shared(subject: Subject) -> Shared:
    """Points and closed forms of a subject's images; ``samples`` are those of the Gaussian of its
    training images, (S, c, h, w).
    """
    test, train = asked(subject, "test"), asked(subject, "train")
    closed = {name: make() for name, make in subject.others().items()}
    answers = {name: test.answers(D) for name, D in closed.items()}
    arrays = {f"error_test_{name}": test.error(found) for name, found in answers.items()}
    arrays |= {
        f"linearity_{name}": test.linearity(closed[name]) for name in ("gaussian", "gaussian_all")
    }
    arrays["between"] = np.sqrt(_squared(answers["gaussian"], answers["gaussian_all"]))
    samples = sample(closed["gaussian"], subject.start(), subject.sigmas)
    arrays |= {
        "levels": np.array(LEVELS),
        "leading": np.array([deviation(subject.data.gaussian_all())]),
    }
    arrays["samples_gaussian"] = samples.flatten(1).half().numpy()
    return Shared(test, train, answers, samples, subject.data.pool().mean(0), arrays)


def deviation(law: Gaussian) -> float:
    """The standard deviation along the leading principal component."""
    return float(torch.linalg.eigvalsh(law.cov.double())[-1].clamp(min=0).sqrt())


def measure(course: Mapping[int, Subject]) -> Result:
    """Every value and array of a network along its training: subjects of the same images, by
    training step.
    """
    first = next(iter(course.values()))
    known = shared(first)
    parts = [snapshot(subject, known) for subject in course.values()]
    if any(not np.isfinite(part["samples"]).all() for part in parts):
        return Result({"stopped": "its samples are not finite"})
    arrays = (
        {name: np.stack([part[name] for part in parts]) for name in parts[0]}
        | known.arrays
        | {"steps": np.array(list(course))}
    )
    arrays = {
        name: array.astype(np.float32) if array.dtype == np.float64 and array.ndim > 1 else array
        for name, array in arrays.items()
    }
    return Result(values(arrays), arrays)


def snapshot(subject: Subject, known: Shared) -> dict[str, np.ndarray]:
    """Distances (L, P) to the closed forms, linearity (L, P), denoising errors (L, P), samples (S,
    n), their agreement with the Gaussian's (S,), copies.
    """
    D = subject.denoiser
    answers, made = known.test.answers(D), subject.samples()
    return {
        **{f"to_{name}": np.sqrt(_squared(answers, other)) for name, other in known.closed.items()},
        "linearity": known.test.linearity(D),
        "error_test": known.test.error(answers),
        "error_train": known.train.error(known.train.answers(D)),
        "samples": made.flatten(1).half().numpy(),
        "with_gaussian": cosines(made - known.centre, known.samples - known.centre).numpy(),
        "copies": np.array(
            float(memorized(made.flatten(1), subject.data.train().flatten(1)))
            if made.isfinite().all()
            else np.nan
        ),
    }


def cosines(first: Tensor, second: Tensor) -> Tensor:
    """The cosine of every image of one stack with that of the other, (..., S)."""
    return torch.cosine_similarity(first.flatten(-3), second.flatten(-3), dim=-1)


def values(arrays: Mapping[str, np.ndarray]) -> dict[str, Value]:
    """One number each, at the end of training and, where there is a course, at the snapshots
    nearest to the Gaussian and of least held-out error.
    """
    course = Course(arrays.__getitem__)
    distance, error = course.average("to_gaussian"), course.error("test")
    found: dict[str, Value] = {
        "distance": mean(distance[-1]),
        "distance_all": mean(course.average("to_gaussian_all")[-1]),
        "distance_memorizer": mean(course.average("to_memorizer")[-1]),
        "linearity": mean(course.average("linearity")[-1]),
        "held_out": mean(error[-1]),
        "agreement": mean(arrays["with_gaussian"][-1]),
        "copies": float(arrays["copies"][-1]),
        "regime": float(course.edges[1]),
    }
    if len(course.steps) > 1:
        nearest, best = turn(distance), turn(error)
        found |= {
            "closest_step": int(course.steps[nearest.index]),
            "closest": nearest.value,
            "rise": nearest.rise,
        }
        found |= {
            "best_step": int(course.steps[best.index]),
            "held_out_closest": mean(error[nearest.index]),
        }
    return found
