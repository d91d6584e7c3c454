"""What a model makes of a training image at its least noise: the nearest copy that it can make."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from denoscope.audit.options import AuditOptions
from denoscope.audit.sets.generated import asked, opened, steps_of
from denoscope.audit.sets.inputs import InputSet
from denoscope.data.images import from_uint8, to_uint8
from denoscope.models import ONE_STEP, Model
from denoscope.models.labels import LabelChoice
from denoscope.random import Seeds, derive


@dataclass(frozen=True, eq=False)
class RoundTrip:
    """Images (n, c, h, w) in [-1, 1] with noise ``sigma`` and denoised, clipped, at 8 bits; row i
    has the label of seed i.
    """

    model: Model
    sigma: Tensor
    labels: LabelChoice | None
    batch: int

    def __call__(self, images: Tensor, seed: int) -> Tensor:
        rows = torch.arange(len(images)).split(self.batch)
        return torch.cat([self._denoised(images[part], part.tolist(), seed) for part in rows])

    @torch.inference_mode()
    def _denoised(self, images: Tensor, rows: list[int], seed: int) -> Tensor:
        model = self.model.given(self.labels and self.labels.of(rows))
        noise = Seeds([derive(seed, row) for row in rows]).randn(model.shape).to(self.sigma)
        x = images.reshape(-1, *model.shape).to(self.sigma) + self.sigma * noise
        clean = model.sampled(x, self.sigma.expand(len(x)))
        return from_uint8(to_uint8(clean.cpu().float().clamp(-1, 1))).reshape(images.shape)


def round_trip(options: AuditOptions, train: InputSet, images: Tensor) -> RoundTrip | None:
    """The round trip of the model --gen on images like these (n, c, h, w); None of a one-step map,
    whose one noise is the highest, and where the model makes images of other shapes.
    """
    shape = images.shape[1:]
    model = opened("gen", options.gen, (shape[0], shape[1], shape[2]), options.device)
    if model.kind == ONE_STEP or math.prod(model.shape) != math.prod(shape):
        return None
    sigma = model.levels(steps_of("gen", options.gen, model, options))[-2]
    labels = asked("gen", options.gen, model, options, train)
    return RoundTrip(model, sigma.to(options.device, torch.float32), labels, options.batch)
