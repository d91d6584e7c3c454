"""The state of a training: one step of it, members that stop, and checkpoints."""

from __future__ import annotations

import hashlib
import json
import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from denoscope.files import content_hash
from denoscope.fitting.batches import Draw
from denoscope.fitting.loss import Loss, Weight, denoising_loss
from denoscope.guidance import given
from denoscope.networks.archive import read_tensors, write_tensors
from denoscope.networks.dropout import dropping, dropping_layers
from denoscope.networks.ema import Averaged
from denoscope.networks.fleet import Fleet

MOMENTS = ("step", "exp_avg", "exp_avg_sq")


class State:
    """Everything that a training changes: parameters, Adam's moments, averages, stopped members,
    steps and seconds.

    A checkpoint of it, a safetensors file, resumes bit for bit on the same machine and thread
    count. ``settings`` are what besides the initial weights must be equal for a checkpoint to
    belong to this training.
    """

    def __init__(
        self,
        net: nn.Module,
        lr: float,
        ema: Averaged | None,
        weight: Weight | None,
        settings: Mapping[str, Any],
        loss: Loss = denoising_loss,
        weight_decay: float = 0.0,
    ):
        self.net, self.lr, self.ema, self.weight, self.loss = net, lr, ema, weight, loss
        self.parameters = [p for p in net.parameters() if p.requires_grad]
        if not self.parameters:
            raise ValueError(
                "there is nothing to train: the network has no parameter that requires a gradient"
            )
        self.averages = list(ema.net.parameters()) if ema else []
        self.optimizer = (
            torch.optim.AdamW(self.parameters, lr, weight_decay=weight_decay, fused=True)
            if weight_decay
            else torch.optim.Adam(self.parameters, lr, fused=True)
        )
        self.dropping = dropping_layers(net)
        self.device = self.parameters[0].device
        self.members = net.size if isinstance(net, Fleet) else None
        self.step, self.seconds = 0, 0.0
        self.stopped: dict[int, str] = {}
        self._kept: dict[int, list[Tensor]] = {}
        weights = content_hash(*(p.detach().cpu().numpy() for p in self.parameters))
        self.fingerprint = hashlib.sha256(
            json.dumps([weights, dict(settings)]).encode()
        ).hexdigest()

    @property
    def over(self) -> bool:
        """Whether every member has stopped."""
        return len(self.stopped) == (self.members or 1)

    def advance(self, draw: Draw, factor: float) -> Tensor:
        """One step of Adam at ``factor`` times the learning rate; returns the losses before it,
        (m,) for a fleet, NaN where stopped.
        """
        x0, sigma, noise, *label = (part.to(self.device) for part in draw)
        D = given(self.net, *label) if label else self.net
        at = getattr(self.loss, "at", lambda step: self.loss)
        with dropping(self.dropping, noise, self.step, self.members is not None):
            loss = at(self.step)(D, x0, sigma, noise, self.weight)
            loss.sum().backward()
        loss = loss.detach()
        self._stop_broken(loss)
        self.optimizer.param_groups[0]["lr"] = self.lr * factor
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.ema:
            self.ema.update()
        self._hold_stopped()
        self.step += 1
        return loss

    def _stop_broken(self, loss: Tensor) -> None:
        """Stops members whose loss or gradient is not finite, before it reaches parameters."""
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        for i in self.stopped:
            self._silence(i, loss, gradients)
        if bool(
            torch.isfinite(loss.nansum() if self.stopped else loss.sum())
            & torch.isfinite(nn.utils.get_total_norm(gradients))
        ):
            return
        for i in range(self.members or 1):
            value = float(self._row(loss, i))
            if i in self.stopped or (
                math.isfinite(value)
                and all(bool(self._row(g, i).isfinite().all()) for g in gradients)
            ):
                continue
            self.stopped[i] = (
                f"stopped at step {self.step}: "
                f"{'the gradient is not finite' if math.isfinite(value) else f'loss is {value}'}"
            )
            self._keep(i)
            self._silence(i, loss, gradients)

    def _row(self, tensor: Tensor, i: int) -> Tensor:
        return tensor if self.members is None else tensor[i]

    def _silence(self, i: int, loss: Tensor, gradients: Sequence[Tensor]) -> None:
        self._row(loss, i).fill_(math.nan)
        for gradient in gradients:
            self._row(gradient, i).zero_()

    @torch.no_grad()
    def _keep(self, i: int) -> None:
        """Freezes member i at its present parameters and averages."""
        self._kept[i] = [
            self._row(tensor, i).clone() for tensor in (*self.parameters, *self.averages)
        ]

    @torch.no_grad()
    def _hold_stopped(self) -> None:
        for i, rows in self._kept.items():
            for tensor, row in zip((*self.parameters, *self.averages), rows):
                self._row(tensor, i).copy_(row)

    def save(self, path: Path | str) -> None:
        """Writes a checkpoint, atomically."""
        groups: dict[str, Sequence[Tensor]] = {
            "parameter": self.parameters,
            "average": self.averages,
        }
        if self.optimizer.state:
            groups |= {
                name: [self.optimizer.state[p][name] for p in self.parameters] for name in MOMENTS
            }
        tensors = {
            f"{name}.{k}": tensor
            for name, group in groups.items()
            for k, tensor in enumerate(group)
        }
        about = {
            "step": self.step,
            "seconds": self.seconds,
            "stopped": self.stopped,
            "updates": self.ema.updates if self.ema else 0,
        }
        if hasattr(self.loss, "learned"):
            about["learned"] = self.loss.learned()  # pyright: ignore[reportAttributeAccessIssue]
        write_tensors(path, tensors, {"kind": "training", "fingerprint": self.fingerprint, **about})

    @torch.no_grad()
    def load(self, path: Path | str) -> None:
        """Takes up the checkpoint at ``path`` if there is one. A damaged one is a warning and a new
        start, another training's a ValueError.
        """
        try:
            tensors, about = read_tensors(path)
        except FileNotFoundError:
            return
        except ValueError as error:
            warnings.warn(f"the training starts anew: {error}", stacklevel=3)
            return
        if about.get("fingerprint") != self.fingerprint:
            raise ValueError(
                f"{path} is the checkpoint of another training (data, seeds, network or "
                "settings differ); delete it or name another"
            )
        for name, group in (("parameter", self.parameters), ("average", self.averages)):
            for k, tensor in enumerate(group):
                tensor.copy_(tensors[f"{name}.{k}"])
        for k, parameter in enumerate(self.parameters):
            if f"step.{k}" in tensors:
                self.optimizer.state[parameter] = {
                    name: tensors[f"{name}.{k}"].to(self.device) for name in MOMENTS
                }
        self.step, self.seconds = about["step"], about["seconds"]
        self.stopped = {int(i): reason for i, reason in about["stopped"].items()}
        if "learned" in about:
            self.loss.take_up(about["learned"])  # pyright: ignore[reportAttributeAccessIssue]
        if self.ema:
            self.ema.updates = about["updates"]
        for i in self.stopped:
            self._keep(i)
