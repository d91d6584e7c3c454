"""Samples of a model that was given in place of images: one generator per seed, stored as they
come, so that the same command goes on.

The samples are what saved images would be: clipped to [-1, 1] and rounded to 8 bits. Row i depends
on seed i (and in its last bits on the batch it was computed in), so the same seeds give two models
the same noise. Small networks are sampled by one-threaded processes, as many as torch may use
threads: two threads of one process share their work badly.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from denoscope import execute
from denoscope.audit.options import AuditOptions
from denoscope.audit.sets.inputs import InputSet
from denoscope.audit.sets.sample_store import SampleStore
from denoscope.data.images import Images, digest, to_uint8
from denoscope.data.prepare import AS_STORED, MIDDLE, Preparation, prepared
from denoscope.files import harmless
from denoscope.models import ONE_STEP, Model, is_model
from denoscope.models.labels import LabelChoice, chosen
from denoscope.models.opening import unlabelled
from denoscope.progress import Voice
from denoscope.random import Seeds
from denoscope.sampling import ancestral, dpmpp, euler, heun, trajectory
from denoscope.threads import one_thread
from denoscope.types import Step

__all__ = ["SAMPLERS", "generate", "is_model"]

SAMPLERS: Mapping[str, Callable[[], Step]] = {
    "ddim": lambda: euler,
    "heun": lambda: heun,
    "dpmpp": dpmpp,
    "ddpm": lambda: ancestral,
}
"""The steps by name; a multistep one is fresh for every batch."""
_WORTH = 30.0  # seconds of work from which processes, which take seconds to begin, are faster


def generate(
    role: str,
    path: str,
    options: AuditOptions,
    say: Voice,
    *,
    like: InputSet,
    prepare: Preparation = AS_STORED,
) -> InputSet:
    """Samples of the model at ``path`` at ``options``'s seeds, sampler and steps, stored below
    ``options.out``/samples; ``like`` is the training set.

    ``prepare`` changes them as it does images. A model that cannot be opened, images of
    another size than the training set's, and samples that are not finite are a one-line ValueError.
    """
    seeds = options.seeds
    shape = _checked(role, path, options, seeds, like)
    whole = opened(role, path, shape, options.device)
    labels = asked(role, path, whole, options, like)
    model = whole.given(labels and labels.of(seeds[:1]))
    steps = steps_of(role, path, model, options)
    pixels = _pixels(model, shape)
    size = prepare.shaped(torch.zeros(pixels, dtype=torch.uint8)).shape[1:]
    if size != shape[1:]:
        height, width = pixels[1:]
        raise ValueError(
            f"--{role} {path} makes images of {width}x{height} pixels, --train has "
            f"{shape[2]}x{shape[1]}: say how training files became what the model saw, such as "
            f"--prepare-train {MIDDLE.at(width, height)}"
        )
    way = {
        "model": dict(whole.identity),
        "sampler": options.sampler,
        "steps": steps,
        "device": torch.device(options.device).type,
        **({"labels": labels.json()} if labels else {}),
    }
    blocks = SampleStore(options.out / "samples", way, pixels)
    stored = blocks.get()
    missing = [seed for seed in seeds if seed not in stored]
    made = f"{options.sampler}, {steps} step{'s' if steps > 1 else ''}, {model.spacing}"
    made += f", {labels}" if labels else ""
    for line in model.said:
        say(f"{role}: {harmless(line)}")
    say(
        f"{role}: sampling {harmless(path)} ({made}): {len(missing)} of {len(seeds)} samples"
        + (", the others are stored" if len(missing) < len(seeds) else "")
    )
    if missing:
        blocks.describe()
        parts = [
            tuple(missing[i : i + options.batch]) for i in range(0, len(missing), options.batch)
        ]
        _draw(
            [
                _Batch(
                    role, path, shape, options.sampler, steps, part, blocks, labels, options.device
                )
                for part in parts
            ],
            say,
        )
        stored = blocks.get()
    found = _given(role, path, seeds, _finite(role, path, seeds, stored), prepare, made)
    classes = labels.of(seeds) if labels else torch.empty(0)
    whole = classes if classes.dtype == torch.int64 else None
    images = found.images and replace(found.images, labels=whole)
    said = tuple(f"{role}: {harmless(line)}" for line in model.said)
    return replace(found, images=images, warnings=said)


def opened(role: str, path: str, shape: tuple[int, int, int], device: str) -> Model:
    """The model that a path names, if it makes images, of ``shape`` where its network is one of
    flat vectors; what cannot be opened is a one-line ValueError naming ``--role``.
    """
    try:
        model = unlabelled(path, device)
        if math.prod(model.shape) != math.prod(shape) and len(model.shape) != 3:
            raise ValueError(
                f"its network makes {math.prod(model.shape)} numbers, and images of the training "
                f"set have {math.prod(shape)}"
            )
        return model
    except ValueError as error:
        raise ValueError(f"--{role} {path}: {error}") from error


def _pixels(model: Model, shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """(c, h, w) of the images of a model."""
    channels, height, width = model.shape if len(model.shape) == 3 else shape
    return channels, height, width


def _checked(
    role: str, path: str, options: AuditOptions, seeds: Sequence[int], like: InputSet
) -> tuple[int, int, int]:
    """The shape of the training images, if the question is one that can be answered."""
    if options.sampler not in SAMPLERS:
        raise ValueError(f"--sampler {options.sampler}: there are {', '.join(SAMPLERS)}")
    if not seeds:
        raise ValueError(f"--{role} {path} is a model: give the --seeds of its samples")
    if len(set(seeds)) < len(seeds):
        raise ValueError("--seeds names a seed twice; every sample needs its own")
    if not all(0 <= seed < 1 << 32 for seed in (min(seeds), max(seeds))):
        raise ValueError("--seeds must lie between 0 and 4294967295")
    if like.images is None:
        raise ValueError(
            f"--{role} {path} is a model, whose samples are images, and --train "
            f"{like.path} holds features: give its images"
        )
    return like.images.shape


def asked(
    role: str, path: str, model: Model, options: AuditOptions, like: InputSet
) -> LabelChoice | None:
    """The labels that a model is sampled with, tried; what it does not take is a ValueError."""
    train = like.images.labels if like.images else None
    try:
        labels = chosen(model, options.label, train)
        model.given(labels and labels.every())
        return labels
    except ValueError as error:
        raise ValueError(f"--{role} {path}: {error}") from error


def steps_of(role: str, path: str, model: Model, options: AuditOptions) -> int:
    """How many steps a model is sampled in: those that are asked for, one of a one-step map."""
    steps = 1 if model.kind == ONE_STEP and options.steps == AuditOptions.steps else options.steps
    try:
        model.levels(steps)
        return steps
    except ValueError as error:
        said = f"--{role} {path}: " if model.kind == ONE_STEP else ""
        raise ValueError(f"{said}--steps {steps}: {error}") from error


@dataclass(frozen=True)
class _Batch:
    """One job: the samples of some seeds, from the model's path to the stored block."""

    role: str
    path: str
    shape: tuple[int, int, int]
    sampler: str
    steps: int
    seeds: tuple[int, ...]
    blocks: SampleStore
    labels: LabelChoice | None = None
    device: str = "cpu"

    def __call__(self, tell: execute.Tell) -> bool:
        """Stores the samples; whether any of them is finite."""
        model = _kept(self.role, self.path, self.shape, self.device)
        if dict(model.identity) != self.blocks.way["model"]:
            raise ValueError(
                f"--{self.role} {self.path} has changed while it was sampled; start again"
            )
        model = model.given(self.labels and self.labels.of(self.seeds))
        images = self._samples(model, tell).reshape(-1, *self.blocks.shape)
        finite = images.isfinite().flatten(1).all(1)
        self.blocks.put(
            self.seeds, to_uint8(images.where(finite[:, None, None, None], torch.zeros(()))), finite
        )
        return bool(finite.any())

    def _samples(self, model: Model, tell: execute.Tell) -> Tensor:
        draws = Seeds(self.seeds)
        state = model.start(draws.randn(model.shape).to(self.device))
        with torch.inference_mode():
            states = trajectory(
                model.sampled,
                state,
                model.levels(self.steps),
                SAMPLERS[self.sampler](),
                draws.noise(),
            )
            for done, state in enumerate(states):  # noqa: B007, only the last one is wanted
                tell(done / self.steps)
        return state.clone().cpu()


@lru_cache(maxsize=1)
def _kept(role: str, path: str, shape: tuple[int, int, int], device: str) -> Model:
    return opened(role, path, shape, device)


@dataclass(frozen=True)
class _Drawing:
    """Jobs on their way, with how many samples of each are done."""

    jobs: Sequence[_Batch]
    told: Callable[[int, int], None]
    done: list[float]

    def run(self, executor: execute.Executor, first: int, last: int) -> None:
        """Runs jobs ``first`` to ``last``; what one raises, or a batch without a finite sample,
        ends it.
        """

        def progress(index: int, fraction: float) -> None:
            self.done[first + index] = fraction * len(self.jobs[first + index].seeds)
            self.told(int(sum(self.done)), sum(len(job.seeds) for job in self.jobs))

        for index, result in executor(self.jobs[first:last], progress):
            if isinstance(result, Exception):
                raise result
            if not result:
                job = self.jobs[first + index]
                raise ValueError(
                    f"--{job.role} {job.path}: none of {len(job.seeds)} samples is "
                    "finite; try another --sampler or more --steps"
                )


def _draw(jobs: Sequence[_Batch], say: Voice) -> None:
    """Draws and stores the samples of all jobs: the first one here, and the others on processes if
    that is faster.
    """
    workers = torch.get_num_threads() if jobs[0].device == "cpu" else 1
    _kept.cache_clear()
    with one_thread(), say.counting("samples", sum(len(job.seeds) for job in jobs)) as told:
        drawing, started = _Drawing(jobs, told, [0.0] * len(jobs)), time.monotonic()
        drawing.run(execute.serial, 0, 1)
        long = (time.monotonic() - started) * (len(jobs) - 1) > _WORTH
        drawing.run(
            execute.processes(workers) if long and workers > 1 else execute.serial, 1, len(jobs)
        )


def _finite(
    role: str, path: str, seeds: Sequence[int], stored: Mapping[int, tuple[Tensor, bool]]
) -> Tensor:
    """The images of these seeds, (n, c, h, w) uint8; if some are not finite, a ValueError that says
    which.
    """
    wrong = [seed for seed in seeds if not stored[seed][1]]
    if wrong:
        shown = ", ".join(map(str, wrong[:5])) + (", …" if len(wrong) > 5 else "")
        raise ValueError(
            f"--{role} {path}: {len(wrong)} of {len(seeds)} samples are not finite (seeds "
            f"{shown}); try another --sampler or more --steps"
        )
    return torch.stack([stored[seed][0] for seed in seeds])


def _given(
    role: str, path: str, seeds: Sequence[int], pixels: Tensor, prepare: Preparation, made: str
) -> InputSet:
    names = tuple(f"seed {seed}" for seed in seeds)
    images = Images(pixels, Path(path).name or path, files=names)
    images = prepared(images, prepare)
    identity = digest(images.contents, images.shape)
    return InputSet(
        role, harmless(path), images, None, names, identity, seeds=tuple(seeds), made=made
    )
