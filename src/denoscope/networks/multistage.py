"""A U-Net with one encoder for all noise levels and a decoder of its own width for each stage.

Denoising at little noise and at much noise pull shared weights in different directions; a decoder
for each interval of levels does not, and may be as wide as its interval needs. Zhang et al. 2024
(CVPR; arXiv 2312.09181) train on batches of one stage; here every row finds its own.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from denoscope.estimate import Estimate, proportion
from denoscope.networks.layers import noise_features, over
from denoscope.networks.precondition import Preconditioned
from denoscope.networks.unet import (
    UNet,
    add_decoder,
    add_encoder,
    decoded,
    encoded,
    level_channels,
)
from denoscope.random import derive, generator
from denoscope.types import Levels, pad

DRAWN = 100_000
"""Levels by which the visits of stages are counted."""


class Decoder(nn.Module):
    """Bottom and way up of a U-Net."""

    def __init__(
        self,
        pixels: int,
        given: Sequence[int],
        channels: Sequence[int],
        embedding: int,
        draw: torch.Generator,
    ):
        super().__init__()
        add_decoder(self, pixels, given, channels, embedding, draw)


class MultiStage(nn.Module):
    """``net(x, c)`` for x (*lead, channels, height, width) and c = ln(sigma)/4 of a prefix of
    ``lead``: the U-Net whose decoder is chosen row by row, to be :class:`Preconditioned`.

    Stage k has edges[k - 1] <= sigma < edges[k] and ``widths[k]`` channels at full resolution; the
    encoder has ``encoder``, by default the largest of them. Within ``blend``/2 of an edge in ln
    sigma both decoders are mixed, linearly in ln sigma; 0 leaves a jump, see :func:`jumps`. Without
    edges it is ``UNet(shape, width, seed=seed)``. Edges that do not rise above 0, widths below 1,
    or blends that overlap are a ValueError. Under vmap over levels, where rows cannot be told
    apart, all decoders are computed at all rows.
    """

    embed: nn.ModuleList

    def __init__(
        self,
        shape: Iterable[int],
        edges: Sequence[float],
        widths: Sequence[int],
        *,
        encoder: int = 0,
        blend: float = 0.0,
        seed: int = 0,
    ):
        super().__init__()
        self.shape, self.edges, self.widths = tuple(shape), tuple(edges), tuple(widths)
        self.blend = float(blend)
        _check(self.shape, self.edges, self.widths, self.blend)
        if encoder < 0:
            raise ValueError(f"the encoder's width must be at least 1, or 0: the widest, {encoder}")
        self.encoder = encoder or max(self.widths)
        (pixels, *sides), draw, embedding = self.shape, generator(seed), 4 * self.encoder
        given = level_channels(self.encoder, *sides)
        add_encoder(self, pixels, given, embedding, draw)
        each = (level_channels(width, *sides) for width in self.widths)
        self.stages = nn.ModuleList(
            Decoder(pixels, given, channels, embedding, draw) for channels in each
        )

    @property
    def config(self) -> dict[str, object]:
        lists = {name: list(getattr(self, name)) for name in ("shape", "edges", "widths")}
        return {"class": "MultiStage", **lists, "encoder": self.encoder, "blend": self.blend}

    def shares(self, c: Tensor) -> Tensor:
        """How much of each stage a row at c = ln(sigma)/4 takes, (*c.shape, stages); sums to 1."""
        return _shares(c, self.edges, self.blend)

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        c = over(c, x.shape[:-3]).reshape(-1)
        embedding = F.silu(self.embed[1](F.silu(self.embed[0](noise_features(c)))))
        h, maps = encoded(self, x.reshape(-1, *self.shape), embedding)
        shares = self.shares(c)
        out = torch.zeros_like(x.reshape(-1, *self.shape))
        for stage, rows, share in zip(self.stages, _rows(shares), shares.unbind(-1)):
            if rows is None:
                some = decoded(stage, h, maps, embedding)
                out = out + pad(share, some) * some
            elif len(rows):
                some = decoded(stage, h[rows], [m[rows] for m in maps], embedding[rows])
                out = out.index_add(0, rows, pad(share[rows], some) * some)
        return out.reshape(x.shape)

    def alone(self, stage: int) -> MultiStage:
        """The network that uses one stage's decoder at every level; it shares the parameters."""
        one = MultiStage(self.shape, (), [self.widths[stage]], encoder=self.encoder)
        ours, own = self.state_dict(keep_vars=True), f"stages.{stage}."
        named = {k.replace(own, "stages.0."): v for k, v in ours.items() if k.startswith(own)}
        shared = {k: v for k, v in ours.items() if not k.startswith("stages.")}
        one.load_state_dict({**shared, **named}, assign=True)
        return one

    def visits(self, levels: Levels, *, seed: int = 0) -> list[Estimate]:
        """The share of training rows that each stage sees when ``levels`` draws them, counted in
        100 000; a stage without any is a warning that names it.
        """
        found = self.shares(levels(DRAWN, generator(seed)).log() / 4) > 0
        counts = found.sum(0).tolist()
        for stage, count in enumerate(counts):
            if not count:
                said = stage_name(stage, self.edges)
                warnings.warn(f"{said} is never trained at these levels", stacklevel=2)
        return [proportion(count, DRAWN) for count in counts]


class Experts(nn.Module):
    """``net(x, c)`` as :class:`MultiStage`, of stages that share nothing: stage k is a
    ``UNet(shape, widths[k])`` of its own, trained by its rows alone.
    """

    def __init__(
        self, shape: Iterable[int], edges: Sequence[float], widths: Sequence[int], *, seed: int = 0
    ):
        super().__init__()
        self.shape, self.edges, self.widths = tuple(shape), tuple(edges), tuple(widths)
        _check(self.shape, self.edges, self.widths, 0.0)
        each = (UNet(self.shape, w, seed=derive(seed, k)) for k, w in enumerate(self.widths))
        self.stages = nn.ModuleList(each)

    @property
    def config(self) -> dict[str, object]:
        lists = {name: list(getattr(self, name)) for name in ("shape", "edges", "widths")}
        return {"class": "Experts", **lists}

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        c, flat = over(c, x.shape[:-3]).reshape(-1), x.reshape(-1, *self.shape)
        shares = _shares(c, self.edges)
        out = torch.zeros_like(flat)
        for stage, rows, share in zip(self.stages, _rows(shares), shares.unbind(-1)):
            if rows is None:
                out = out + pad(share, flat) * stage(flat, c)
            elif len(rows):
                out = out.index_add(0, rows, stage(flat[rows], c[rows]))
        return out.reshape(x.shape)

    def alone(self, stage: int) -> nn.Module:
        """The network of one stage, which shares the parameters."""
        return self.stages[stage]


def jumps(D: Preconditioned, x0: Tensor, noise: Tensor) -> Tensor:
    """By how much the two decoders that meet at each edge differ at x0 + edge noise, root mean
    square per pixel, (edges, b): the jump of a :class:`MultiStage` denoiser, or what a blend
    spreads.
    """
    net = D.net
    if not isinstance(net, MultiStage):
        raise ValueError(f"jumps are those of a MultiStage network, not of {type(net).__name__}")
    each = [Preconditioned(net.alone(k), D.kind, D.sigma_data) for k in range(len(net.widths))]
    found = x0.new_zeros(len(net.edges), len(x0))
    for k, edge in enumerate(net.edges):
        x, sigma = x0 + edge * noise, x0.new_full((len(x0),), edge)
        found[k] = (each[k + 1](x, sigma) - each[k](x, sigma)).flatten(1).square().mean(1).sqrt()
    return found


def stage_name(stage: int, edges: Sequence[float]) -> str:
    """A stage by its number and its levels."""
    low, high = (0.0, *edges, math.inf)[stage : stage + 2]
    return f"stage {stage} (sigma from {low:g} to {high:g})"


def _shares(c: Tensor, edges: Sequence[float], blend: float = 0.0) -> Tensor:
    beyond = c.unsqueeze(-1) - torch.tensor(edges, dtype=c.dtype, device=c.device).log() / 4
    passed = (4 * beyond / blend + 0.5).clamp(0, 1) if blend else beyond >= 0
    ends = torch.ones_like(c).unsqueeze(-1)
    return -torch.cat([ends, passed.to(c), 0 * ends], -1).diff(dim=-1)


def _rows(shares: Tensor) -> list[Tensor | None]:
    """The rows of each stage; None, for all, where vmap or the meta device has no values."""
    try:
        return [(share > 0).nonzero()[:, 0] for share in shares.unbind(-1)]
    except RuntimeError:
        return [None] * shares.shape[-1]


def _check(
    shape: tuple[int, ...], edges: tuple[float, ...], widths: tuple[int, ...], blend: float
) -> None:
    if not all(a < b for a, b in pairwise((0.0, *edges, math.inf))):
        raise ValueError(f"edges between stages must rise, above 0 and finite, got {list(edges)}")
    if len(widths) != len(edges) + 1:
        raise ValueError(
            f"{len(edges)} edges make {len(edges) + 1} stages: give as many widths, "
            f"got {len(widths)}"
        )
    if len(shape) != 3 or min(*shape, *widths) < 1:
        raise ValueError(
            "a MultiStage network needs a shape (channels, height, width) and widths of at least 1,"
            f" got shape {shape}, widths {list(widths)}"
        )
    least = min((math.log(b / a) for a, b in pairwise(edges)), default=math.inf)
    if not 0 <= blend <= least:
        raise ValueError(
            f"blend must lie between 0 and the least distance of edges in ln sigma, {least:.3g}, "
            f"got {blend:g}"
        )
