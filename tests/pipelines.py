"""Small pipelines of diffusers, saved as its users save them: untrained ones of any kind, and one
that memorizes its few images.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel
from torch import Tensor


def unet(
    channels: int = 1,
    size: Any = 8,
    widths: tuple[int, ...] = (8, 16),
    *,
    attention: bool = False,
    seed: int = 0,
    **more: Any,
) -> UNet2DModel:
    """An untrained UNet2D whose answers are far from zero."""
    torch.manual_seed(seed)
    down, up = ("AttnDownBlock2D", "AttnUpBlock2D") if attention else ("DownBlock2D", "UpBlock2D")
    settings: dict[str, Any] = {
        "sample_size": size,
        "in_channels": channels,
        "out_channels": channels,
        "layers_per_block": 1,
        "block_out_channels": widths,
        "norm_num_groups": 4,
        "add_attention": attention,
        "down_block_types": (down,) * len(widths),
        "up_block_types": (up,) * len(widths),
    }
    return UNet2DModel(**{**settings, **more})


def saved(
    folder: Path,
    scheduler: Any,
    net: UNet2DModel | None = None,
    pipeline: Any = DDPMPipeline,
    **how: Any,
) -> Path:
    """The folder of a pipeline of an untrained network (or ``net``) with this scheduler."""
    pipeline(unet() if net is None else net, scheduler).save_pretrained(
        folder, safe_serialization=True, **how
    )
    return folder


def memorizing(folder: Path, images: Tensor, steps: int = 250) -> Path:
    """The folder of the pipeline of a DDPM that was trained until it memorized its few images.

    The recipe of the library's own training examples (noise prediction, linear betas, 1 000 times)
    on the smallest network that does it.
    """
    net, scheduler = unet(widths=(16, 32)), DDPMScheduler()
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(net.parameters(), lr=8e-3, betas=(0.9, 0.99), fused=True)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, 8e-3, total_steps=steps)
    for _ in range(steps):
        clean = images[torch.randint(len(images), (64,), generator=generator)]
        noise = torch.randn(clean.shape, generator=generator)
        times = torch.randint(len(scheduler), (64,), generator=generator)
        loss = (net(scheduler.add_noise(clean, noise, times), times).sample - noise).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rate.step()
    return saved(folder, scheduler, net)
