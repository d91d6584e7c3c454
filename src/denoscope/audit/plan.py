"""What an audit would do and about how long it takes: sets are read and little is timed, nothing is
sampled or written.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from denoscope import describe
from denoscope.audit.evidence.metric_table import NAMES
from denoscope.audit.examination import sampled, sets, understood
from denoscope.audit.findings import MOVED, NEAR
from denoscope.audit.options import AuditOptions
from denoscope.audit.sets.generated import asked, opened, steps_of
from denoscope.audit.sets.inputs import InputSet
from denoscope.describe.protocols import Protocol
from denoscope.files import harmless
from denoscope.metrics.costs import PATIENCE, SetSizes, passes, seconds
from denoscope.models import Model
from denoscope.progress import Voice, duration
from denoscope.threads import one_thread

_CALLS = {"heun": 2}
_TIMED = 32  # images


def plan(options: AuditOptions, say: Voice) -> list[str]:
    """One line a stage. The estimates take a machine for granted where nothing could be timed."""
    rules = understood(options)
    models = {role: getattr(options, role) for role in ("gen", "twin") if sampled(options, role)}
    read = sets(replace(options, **dict.fromkeys(models, "")), rules, say)
    lines = [
        f"{role}: {len(one)} {'images' if one.images is not None else 'rows of features'} "
        f"of {one.path}"
        for role, one in read.items()
    ]
    drawn = [_sampling(role, path, options, rules, read["train"]) for role, path in models.items()]
    counts = {
        **{role: len(one) for role, one in read.items()},
        **dict.fromkeys(models, len(options.seeds or rules.seeds)),
    }
    described = _describing(options, rules, read["train"], counts)
    total = sum(cost for _, cost in [*drawn, *described])
    return [
        *lines,
        *(f"{text}: about {duration(cost)}" for text, cost in [*drawn, *described]),
        f"in all about {duration(total)}",
    ]


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
) -> list[tuple[str, float]]:
    """What each descriptor is asked, by a few images."""
    images = train.images
    if images is None:
        assert train.features is not None
        return [
            _comparing("features", train.features.shape[1], counts, options.metrics)
            for _ in range(2)
        ]
    copies = min(options.planted, len(images)) * len(NEAR + MOVED)
    found = []
    for word in options.descriptors or rules.descriptors:
        descriptor = describe.by_name(
            word, images, seed=options.seed, sscd=options.sscd, held_out="test" in counts
        )
        few = images[:_TIMED]
        descriptor(few[:1])
        begun = time.monotonic()
        width = descriptor(few).shape[1]
        each = (time.monotonic() - begun) / len(few)
        many = sum(counts.values()) + copies
        found.append(
            (f"{many} images described by {descriptor.name} ({width} features)", each * many)
        )
        found.append(_comparing(descriptor.name, width, counts, options.metrics))
    return found


def _comparing(
    name: str, width: int, counts: Mapping[str, int], wanted: Sequence[str]
) -> tuple[str, float]:
    sizes = SetSizes(counts["gen"], counts["train"], counts.get("test", 0), width)
    each = {metric: seconds(metric, sizes) for metric in wanted or NAMES}
    taken = {metric: cost for metric, cost in each.items() if wanted or cost <= PATIENCE}
    left_out = sorted(set(each) - set(taken))
    text = f"nearest training images and {len(taken)} metrics by {name}" + (
        f", without {', '.join(left_out)}" if left_out else ""
    )
    return text, passes(sizes) + sum(taken.values())
