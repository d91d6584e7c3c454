"""The same monitor in other people's loops: weights are bit for bit those of a training that nobody
watched, though these draw from the global generators.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pipelines import unet
from torch import Tensor, nn

from denoscope.data.embedded import digits
from denoscope.distributions import Empirical
from denoscope.integrations.diffusers import AsSampled, from_unet
from denoscope.monitor import MemorizationMonitor, lightning
from denoscope.networks import FiLM, Preconditioned
from denoscope.types import Denoiser

TRAIN, HELD = digits().data[:32], digits().data[100:300]
STEPS = 6


def monitor(**how: Any) -> MemorizationMonitor:
    return MemorizationMonitor(TRAIN, HELD, **{"every": 2, "samples": 16, **how})


def plain(watching: MemorizationMonitor | None) -> nn.Module:
    """diffusers' own example of a training, on batches and noise from the global generator."""
    from diffusers import DDPMScheduler

    net, scheduler = unet(attention=True, dropout=0.1), DDPMScheduler()
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
    loader = torch.utils.data.DataLoader(list(TRAIN), batch_size=8, shuffle=True)
    step = 0
    while step < STEPS:
        for clean in loader:
            noise, times = torch.randn_like(clean), torch.randint(0, 1000, (len(clean),))
            answer = net(scheduler.add_noise(clean, noise, times), times).sample
            nn.functional.mse_loss(answer, noise).backward()
            optimizer.step()
            optimizer.zero_grad()
            step += 1
            if watching is not None and step in watching.steps:
                watching.look(step, AsSampled(net, scheduler))
    return net


def accelerated(watching: MemorizationMonitor | None) -> nn.Module:
    """The same under accelerate, gradients of two batches a step."""
    from accelerate import Accelerator
    from diffusers import DDIMScheduler

    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=2)
    net, scheduler = unet(dropout=0.1), DDIMScheduler(prediction_type="v_prediction")
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
    loader = torch.utils.data.DataLoader(list(TRAIN), batch_size=8, shuffle=True)
    net, optimizer, loader = accelerator.prepare(net, optimizer, loader)
    step = 0
    while step < STEPS:
        for clean in loader:
            with accelerator.accumulate(net):
                noise, times = torch.randn_like(clean), torch.randint(0, 1000, (len(clean),))
                answer = net(scheduler.add_noise(clean, noise, times), times).sample
                target = scheduler.get_velocity(clean, noise, times)
                accelerator.backward(nn.functional.mse_loss(answer, target))
                optimizer.step()
                optimizer.zero_grad()
            step += accelerator.sync_gradients
            if watching is not None and step in watching.steps:
                watching.look(step, AsSampled(accelerator.unwrap_model(net), scheduler))
    return accelerator.unwrap_model(net)


def with_lightning(
    watching: MemorizationMonitor | None, denoiser: Callable[[Any], Denoiser] = lambda m: m
) -> nn.Module:
    import pytorch_lightning as pl

    class Trained(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.drop = Preconditioned(FiLM((1, 8, 8), 16, seed=0)), nn.Dropout(0.1)

        def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
            return self.drop(self.net(x, sigma))

        def training_step(self, clean: Tensor) -> Tensor:
            sigma = torch.rand(len(clean)) + 0.1
            noisy = clean + sigma[:, None, None, None] * torch.randn_like(clean)
            return nn.functional.mse_loss(self(noisy, sigma), clean)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.parameters(), lr=1e-3)

    module = Trained()
    trainer = pl.Trainer(
        max_steps=STEPS,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accumulate_grad_batches=2,
        callbacks=[] if watching is None else [lightning(watching, denoiser)],
    )
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore",
            "The .train_dataloader. does not have many workers|The number of training batches",
        )
        trainer.fit(module, torch.utils.data.DataLoader(list(TRAIN), batch_size=8, shuffle=True))
    return module


LOOPS = [plain, accelerated, with_lightning]


@pytest.mark.parametrize("loop", LOOPS, ids=lambda loop: loop.__name__)
def test_weights_are_those_of_a_training_that_nobody_watched(
    loop: Callable[[MemorizationMonitor | None], nn.Module], tmp_path: Path
) -> None:
    def trained(watching: MemorizationMonitor | None) -> list[Tensor]:
        torch.manual_seed(0)
        return [*loop(watching).state_dict().values(), torch.rand(3)]

    watching = monitor(log=tmp_path / "looks.jsonl")
    alone, seen = trained(None), trained(watching)
    assert list(watching.steps)[:3] == [2, 4, 6]
    assert all(torch.equal(a, b) for a, b in zip(alone, seen, strict=True))
    assert watching.choice.step in watching.steps.seconds
    assert (tmp_path / "looks.svg").is_file()


def test_what_is_looked_at_is_what_the_scheduler_would_sample() -> None:
    from diffusers import DDPMScheduler

    net, scheduler = unet().eval(), DDPMScheduler()
    x, sigma = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(0)), torch.ones(3)
    seen = AsSampled(net, scheduler)(x, sigma)
    assert torch.equal(seen, from_unet(net, scheduler).sampled(x, sigma))
    assert float(seen.abs().max().detach()) <= 1


def test_lightning_stops_where_copying_is_certain() -> None:
    watching = monitor(stop=True, samples=64)
    with_lightning(watching, lambda module: Empirical(TRAIN))
    assert list(watching.steps) == [2]
    assert watching.stopped


def test_a_training_of_lightning_without_a_look_is_a_warning() -> None:
    with pytest.warns(UserWarning, match="ended at step 6 without a look"):
        with_lightning(monitor(every=50))
