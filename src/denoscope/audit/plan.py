"""What an audit would do, about how long it takes and how much memory: small sets are read, of
large ones a few images, and little is timed; nothing is sampled or written.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

import torch
from torch import Tensor

from denoscope import describe
from denoscope.audit.evidence.metric_table import NAMES
from denoscope.audit.evidence.planted_copies import plant
from denoscope.audit.examination import sampled, sets, understood
from denoscope.audit.options import AuditOptions
from denoscope.audit.sets.generated import asked, opened, steps_of
from denoscope.audit.sets.inputs import InputSet
from denoscope.audit.sets.inside import apart
from denoscope.audit.sets.preparations import ROLES
from denoscope.audit.sets.settled import settle
from denoscope.data.images import Images, OnDemand
from denoscope.describe.components import COUNTS, MOST, PCA
from denoscope.describe.naming import PER_AXIS
from denoscope.describe.protocols import Protocol
from denoscope.files import harmless
from denoscope.metrics.costs import PATIENCE, SetSizes, compared, passes, seconds
from denoscope.models import Model
from denoscope.nearest import neighbors
from denoscope.progress import Voice, duration
from denoscope.random import generator
from denoscope.threads import one_thread

_CALLS = {"heun": 2}
_FEW = 128  # images that are read of a large set
_TIMED = 32  # images that are described
_QUERY, _BANK = 256, 2048  # rows that are compared
_BASE = 0.5  # GiB of a process that has done nothing yet
_SEARCH = 1.25  # GiB in which rows are compared
_HELD = 4  # copies of planted images that are there at once


@dataclass(frozen=True)
class _Stage:
    """What is done, its seconds, and the GiB that it leaves behind."""

    text: str
    seconds: float
    memory: float = 0.0


def plan(options: AuditOptions, say: Voice) -> list[str]:
    """One line per stage. The estimates take a machine for granted where nothing could be timed."""
    rules = understood(options)
    models = {role: getattr(options, role) for role in ("gen", "twin") if sampled(options, role)}
    apart({role: path for role in ROLES if (path := getattr(options, role))})
    settled = settle(options, say)
    begun = time.monotonic()
    read = sets(replace(options, **dict.fromkeys(models, "")), rules, settled, say, few=_FEW)
    spent = time.monotonic() - begun
    counts = {
        **{role: one.total or len(one) for role, one in read.items()},
        **dict.fromkeys(models, len(options.seeds or rules.seeds)),
    }
    stages = [_reading(read, spent)]
    stages += [
        _Stage(*_sampling(role, path, options, rules, read["train"]))
        for role, path in models.items()
    ]
    stages += _describing(options, rules, read["train"], counts)
    lines = [
        f"{role}: {counts[role]} {'images' if one.images is not None else 'rows of features'} "
        f"of {one.path}"
        for role, one in read.items()
    ]
    memory = _BASE + max(_SEARCH, _planted(options, read["train"])) + sum(x.memory for x in stages)
    return [
        *lines,
        *(f"{stage.text}: about {duration(stage.seconds)}" for stage in stages),
        f"in all about {duration(sum(stage.seconds for stage in stages))} and {memory:.1f} GiB",
    ]


def _reading(read: Mapping[str, InputSet], spent: float) -> _Stage:
    """What was read already, and images on demand once to learn what they are."""
    images = {role: one.images for role, one in read.items() if one.images is not None}
    later = {role: one for role, one in images.items() if isinstance(one.stored, OnDemand)}
    again = sum(_each(one, lambda x: x) * read[role].total for role, one in later.items())
    kept = [one.stored for one in images.values() if isinstance(one.stored, Tensor)]
    memory = sum(x.numel() * x.element_size() for x in kept) / 2**30
    return _Stage(f"reading {', '.join(read)}", spent + again, memory)


def _each(images: Images, done: Callable[[Tensor], object]) -> float:
    """Seconds that something takes with an image, its reading included where it is on demand."""
    rows = slice(0, min(_TIMED, len(images)))
    done(images[:1])
    return _timed(lambda: done(images[rows])) / rows.stop


def _timed(done: Callable[[], object]) -> float:
    begun = time.monotonic()
    done()
    return time.monotonic() - begun


def _planted(options: AuditOptions, train: InputSet) -> float:
    """GiB of the training images that are planted, as they are perturbed."""
    rows = min(options.planted, train.total or len(train))
    return 0.0 if train.images is None else _HELD * 4 * rows * prod(train.images.shape) / 2**30


def _sampling(
    role: str, path: str, options: AuditOptions, rules: Protocol, train: InputSet
) -> tuple[str, float]:
    """What is drawn from a model, by one call of its network."""
    if train.images is None:
        raise ValueError(
            f"--{role} {path} is a model, whose samples are images, and --train "
            f"{train.path} holds features: give its images"
        )
    model = opened(role, path, train.images.shape, options.device)
    labels = asked(role, path, model, options, train)
    seeds = options.seeds or rules.seeds
    batch = min(options.batch, len(seeds))
    model = model.given(labels and labels.of(seeds[:batch]))
    state = torch.zeros(batch, *model.shape, device=options.device)
    with torch.inference_mode(), one_thread():
        call = min(_seconds(model, state) for _ in range(4)) / batch
    calls = steps_of(role, path, model, options) * _CALLS.get(options.sampler, 1)
    return (
        f"{role}: {len(seeds)} samples of {harmless(path)}, {calls} calls of its network "
        f"each ({options.sampler})",
        call * calls * len(seeds),
    )


def _seconds(model: Model, state: Tensor) -> float:
    begun = time.monotonic()
    model.sampled(state, torch.ones((), device=state.device))
    return time.monotonic() - begun


def _describing(
    options: AuditOptions, rules: Protocol, train: InputSet, counts: Mapping[str, int]
) -> Iterator[_Stage]:
    """What each descriptor is asked, by a few images."""
    images = train.images
    if images is None:
        for _ in range(2):
            yield _comparing("features", train.given.shape[1], counts, options.metrics)
        return
    copies = plant(images, _TIMED, options.seed)
    making = _timed(lambda: list(copies.values())) / len(copies.images)  # of all words
    planted = min(options.planted, counts["train"]) * len(copies)
    many = sum(counts.values())
    for word in options.descriptors or rules.descriptors:
        begun = time.monotonic()
        descriptor = describe.by_name(
            word,
            images,
            seed=options.seed,
            sscd=options.sscd,
            held_out="test" in counts,
            rows=many,
        )
        fitting = time.monotonic() - begun
        each = _each(images, descriptor)
        row = descriptor(images[:1])
        width = row.shape[1]
        if isinstance(descriptor, PCA):
            fitting += (min(MOST, counts["train"]) - len(images)) * (each + _moments(images))
            width = min(COUNTS[1], counts["train"] // PER_AXIS) if word == "pca" else width
        yield _Stage(
            f"{many + planted} images described by {descriptor.name} ({width} features)",
            max(fitting, 0.0) + each * (many + planted) + making * planted / len(copies),
            (many + planted) * width * row.element_size() / 2**30,
        )
        yield _comparing(descriptor.name, width, counts, options.metrics, planted)


def _moments(images: Images) -> float:
    """Seconds in which an image is added to second moments."""
    rows = torch.zeros(_BANK, min(prod(images.shape), 3 * 32 * 32), dtype=torch.float64)
    return _timed(lambda: rows.T @ rows) / _BANK


def _comparing(
    name: str, width: int, counts: Mapping[str, int], wanted: Sequence[str], planted: int = 0
) -> _Stage:
    sizes = SetSizes(counts["gen"], counts["train"], counts.get("test", 0), width)
    each = {metric: seconds(metric, sizes) for metric in wanted or NAMES}
    taken = {metric: cost for metric, cost in each.items() if wanted or cost <= PATIENCE}
    left_out = sorted(set(each) - set(taken))
    text = f"nearest training images and {len(taken)} metrics by {name}" + (
        f", without {', '.join(left_out)}" if left_out else ""
    )
    return _Stage(text, _slowness(width) * (passes(sizes, planted) + sum(taken.values())))


def _slowness(width: int) -> float:
    """How many times as long as there is taken for granted rows are compared here."""
    rows = torch.randn(_QUERY + _BANK, width, generator=generator(0))
    query, bank = rows[:_QUERY], rows[_QUERY:]
    return _timed(lambda: neighbors(query, bank, 4)) / compared(_QUERY, _BANK, width)
