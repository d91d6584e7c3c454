"""Snapshots of a training: evenly spaced, and the same whatever kills the process."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from denoscope import fitting
from denoscope.fitting import snapshots
from denoscope.fitting.snapshots import CHECKPOINT, Snapshots, Training, snapshot_steps
from denoscope.levels import log_normal
from denoscope.networks import MLP, Fleet, Preconditioned

IMAGES = torch.rand(40, 1, 4, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1
STEPS = [5, 11, 26, 60]


def trained(steps: list[int], members: int = 2, **options: Any) -> Training:
    """A fleet of tiny networks on nested sets of images."""

    def untrained(device: str) -> Fleet:
        nets = [Preconditioned(MLP((1, 4, 4), 4, seed=i), "edm", 0.5) for i in range(members)]
        return Fleet(nets).to(device)

    sets = [torch.arange(size) for size in (16, 40)[:members]]
    data = fitting.draws(IMAGES, sets, [1, 2][:members], batch=8, levels=log_normal(-0.6, 1.4))
    return Training(untrained, data, steps, 2e-3, 0.999, **options)


@pytest.mark.parametrize(
    ("first", "last", "count"), [(30, 8000, 12), (5, 60, 4), (1, 3, 9), (50, 20, 5), (10, 100, 1)]
)
def test_snapshots_are_evenly_spaced_in_the_logarithm(first: int, last: int, count: int) -> None:
    steps = snapshot_steps(first, last, count)
    assert steps == sorted(set(steps))
    assert steps[-1] == last
    assert len(steps) <= count
    if len(steps) > 3 and first > 1:
        ratios = np.diff(np.log(steps))
        assert ratios.max() < 1.3 * ratios.min()


def _weights(
    found: Iterator[tuple[dict[int, nn.Module], str]],
) -> list[dict[int, list[torch.Tensor]]]:
    return [
        {step: [p.clone() for p in net.parameters()] for step, net in course.items()}
        for course, _ in found
    ]


def _same(
    first: list[dict[int, list[torch.Tensor]]], other: list[dict[int, list[torch.Tensor]]]
) -> bool:
    return all(
        a.keys() == b.keys()
        and all(torch.equal(p, q) for step in a for p, q in zip(a[step], b[step]))
        for a, b in zip(first, other)
    )


@pytest.mark.parametrize(
    "lost", ["nothing", "the snapshot of the checkpoint", "an early snapshot", "half of a snapshot"]
)
def test_a_killed_training_goes_on_as_if_undisturbed(
    lost: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between two snapshots, or at one before it was written; an early one that is gone or
    damaged means a new start.
    """
    undisturbed = _weights(trained(STEPS).denoisers())
    monkeypatch.setattr(snapshots, "training", partial(fitting.training, every=0.0))

    def killed(fraction: float) -> None:
        if fraction >= 0.45:
            raise KeyboardInterrupt

    taken = Snapshots.take

    def killed_before(self: Snapshots, step: int, net: nn.Module) -> None:
        if step == 26:
            raise KeyboardInterrupt
        taken(self, step, net)

    with monkeypatch.context() as patch:
        if lost == "the snapshot of the checkpoint":
            patch.setattr(Snapshots, "take", killed_before)
        with pytest.raises(KeyboardInterrupt):
            list(trained(STEPS, folder=tmp_path, tell=killed).denoisers())
    assert (tmp_path / CHECKPOINT).is_file()
    assert (tmp_path / "step-26.safetensors").is_file() == (
        lost != "the snapshot of the checkpoint"
    )
    if lost == "an early snapshot":
        (tmp_path / "step-5.safetensors").unlink()
    if lost == "half of a snapshot":
        (tmp_path / "step-5.safetensors").write_bytes(
            (tmp_path / "step-5.safetensors").read_bytes()[:100]
        )
    begun: list[float] = []
    assert _same(
        undisturbed, _weights(trained(STEPS, folder=tmp_path, tell=begun.append).denoisers())
    )
    assert (begun[0] > 0.4) == (lost in ("nothing", "the snapshot of the checkpoint"))
    assert _same(
        undisturbed, _weights(trained(STEPS, folder=tmp_path).denoisers())
    )  # killed while measuring


def test_snapshots_are_those_of_shorter_trainings() -> None:
    """Under a constant rate the weights at step 20 of 60 are those at the end of 20."""
    ((course, _),) = trained([20, 60], 1).denoisers()
    ((short, _),) = trained([20], 1).denoisers()
    assert all(torch.equal(p, q) for p, q in zip(course[20].parameters(), short[20].parameters()))
