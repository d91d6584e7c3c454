"""A training looked at on its way: averaged weights kept at steps that are evenly spaced in the
logarithm.

The learning rate is constant: under a falling rate a network would be seen to change because its
rate does, not because it has trained for long. The average has the decay ``min(decay, (1 + k)/(10 +
k))`` at update k, so that it lags behind the weights by at most a ninth of the steps done, at every
snapshot; decay 0 keeps the weights themselves.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from denoscope.fitting.batches import Draws
from denoscope.fitting.loop import Progress, training
from denoscope.fitting.loss import Loss, denoising_loss
from denoscope.networks import Averaged, Fleet
from denoscope.networks.archive import read_tensors, write_tensors

CHECKPOINT = "training.safetensors"
_TOLD = 200  # times that progress is told


def snapshot_steps(first: int, last: int, count: int) -> list[int]:
    """At most ``count`` steps from ``first`` to ``last``, even in the logarithm, with ``last``."""
    return (
        np.unique(np.geomspace(min(first, last), last, count).round().astype(int)).tolist()
        if count > 1
        else [last]
    )


class Snapshots:
    """The weights of a fleet by training step, in memory and, where a ``folder`` is given, in one
    file per step that outlives the process.
    """

    def __init__(self, folder: Path | None):
        self.folder = folder
        self.weights: dict[int, dict[str, Tensor]] = {}

    def take(self, step: int, net: nn.Module) -> None:
        """Keeps the present weights of ``net``, on the CPU."""
        self.weights[step] = {
            name: parameter.detach().cpu().clone() for name, parameter in net.named_parameters()
        }
        if self.folder is not None:
            write_tensors(
                self._file(self.folder, step),
                self.weights[step],
                {"kind": "snapshot", "step": step},
            )

    def recall(self, steps: Sequence[int]) -> bool:
        """Reads the files of ``steps``; False where one is absent or damaged."""
        if self.folder is None:
            return not steps
        try:
            self.weights = {step: read_tensors(self._file(self.folder, step))[0] for step in steps}
        except (FileNotFoundError, ValueError):
            return False
        return True

    def members(self, step: int, like: nn.Module) -> list[nn.Module]:
        """Copies of all members at ``step`` as ordinary denoisers, in ``like``, a fleet or one
        network, which takes the weights of that step.
        """
        like.load_state_dict(self.weights[step])
        return like.members() if isinstance(like, Fleet) else [copy.deepcopy(like)]

    @staticmethod
    def _file(folder: Path, step: int) -> Path:
        return folder / f"step-{step}.safetensors"


@dataclass(frozen=True, eq=False)
class Training:
    """A training at a constant rate whose weights are kept at ``steps``, the last of which ends it.

    ``untrained`` makes the fleet, or the one network, on a device, ``data`` is what it is trained
    on, by the ``loss`` that is made; ``folder`` holds the checkpoint and the snapshots, ``tell``
    takes the fraction done.
    """

    untrained: Callable[[str], nn.Module]
    data: Draws
    steps: Sequence[int]
    lr: float
    ema: float
    weight_decay: float = 0.0
    device: str = "cpu"
    folder: Path | None = None
    tell: Callable[[float], None] = lambda fraction: None
    loss: Callable[[], Loss] = lambda: denoising_loss

    def denoisers(self) -> Iterator[tuple[dict[int, nn.Module], str]]:
        """Each member's denoisers by step, and why its training stopped, if it did.

        A killed training goes on from its checkpoint and has the same snapshots, bit for bit.
        """
        snapshots, stopped = self._train()
        like = self.untrained("cpu")
        found = {
            step: snapshots.members(step, like) for step in self.steps if step in snapshots.weights
        }
        for index in range(like.size if isinstance(like, Fleet) else 1):
            course = {step: members[index] for step, members in found.items()}
            yield (
                {k: net.requires_grad_(False) for k, net in course.items()},
                stopped.get(index, ""),
            )

    def _train(self) -> tuple[Snapshots, dict[int, str]]:
        """The snapshots, and why members stopped; resumed where the folder holds all before."""
        snapshots = Snapshots(self.folder)
        averaged, run = self._begun()
        if not snapshots.recall([step for step in self.steps if step < averaged.updates]):
            assert self.folder is not None  # only a checkpoint is past a snapshot
            (self.folder / CHECKPOINT).unlink()
            averaged, run = self._begun()
        if averaged.updates in self.steps:  # the checkpoint was written at a snapshot's step
            snapshots.take(averaged.updates, averaged.net)
        stopped: dict[int, str] = {}
        for progress in run:
            if progress.step in self.steps:
                snapshots.take(progress.step, averaged.net)
            if progress.step * _TOLD % self.steps[-1] < _TOLD:
                self.tell(progress.step / self.steps[-1])
            stopped = progress.stopped
        return snapshots, stopped

    def _begun(self) -> tuple[Averaged, Iterator[Progress]]:
        """The averaged network and its training from the checkpoint on: the progress by step."""
        net = self.untrained(self.device)
        averaged = Averaged(net, self.ema)
        run = training(
            net,
            self.data,
            steps=self.steps[-1],
            lr=self.lr,
            rate="constant",
            weight_decay=self.weight_decay,
            ema=averaged,
            checkpoint=None if self.folder is None else self.folder / CHECKPOINT,
            report=0.0,
            loss=self.loss(),
        )
        return averaged, run
