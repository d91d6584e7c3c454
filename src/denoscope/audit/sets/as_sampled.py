"""Training images as a model would make them: of the size and colours of samples before these are
prepared. Copies planted there are prepared as samples are, so what is found of them is the power of
this comparison.
"""

from __future__ import annotations

import torch
from torch import Tensor

from denoscope.audit.options import AuditOptions
from denoscope.audit.sets.looked import look
from denoscope.audit.sets.settled import Settled
from denoscope.data.images import from_uint8
from denoscope.data.prepare import Preparation
from denoscope.random import derive

_PLACE = 3


def as_sampled(options: AuditOptions, settled: Settled) -> Tensor | None:
    """As many training images (n, c, h, w) as are planted; None where preparing changes no sample,
    or where it is not known what these were before.
    """
    if settled.born is None or not _changes(settled.how["gen"], settled.born):
        return None
    how = _saw(settled)
    found = look(
        "train",
        options.train,
        options.planted,
        seed=derive(options.seed, _PLACE),
        skip_bad=options.skip_bad,
        value_range=options.range or None,
    )
    if found is None:
        return None
    pictures = [one[0] for one in found.raw([how])]
    width, height = settled.born
    if any(x.shape[-2:] != (height, width) for x in pictures):
        return None
    channels = max(map(len, pictures))
    return torch.stack([_unit(x).expand(channels, -1, -1) for x in pictures])


def _saw(settled: Settled) -> Preparation:
    """What made training files what the model saw: sizes are those of samples, colours theirs."""
    width, height = settled.born or (1, 1)
    words = settled.how["train"].sized(width, height).words
    grey = settled.how["gen"].has("grey")  # then samples may have colours
    return Preparation(tuple(word for word in words if not (grey and word == "grey")))


def _changes(how: Preparation, born: tuple[int, int]) -> bool:
    """Whether a preparation changes pictures of this size."""
    width, height = born
    probe = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0)) * 2 - 1
    made = how.shaped(probe)
    return made.shape != probe.shape or not torch.equal(made, probe)


def _unit(x: Tensor) -> Tensor:
    return from_uint8(x) if x.dtype == torch.uint8 else x
