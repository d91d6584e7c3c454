"""A training looked at on its way: averaged weights kept at steps that are evenly spaced in the
logarithm.

The learning rate is constant: under a falling rate a network would be seen to change because its
rate does, not because it has trained for long. The average has the decay ``min(decay, (1 + k)/(10 +
k))`` at update k, so that it lags behind the weights by at most a ninth of the steps done, at every
snapshot; decay 0 keeps the weights themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from denoscope.fitting import Progress, training
from denoscope.networks import Averaged, Fleet
from denoscope.networks.archive import read_tensors, write_tensors
from denoscope.studies.phase_transition import PhaseTransition, batches
from denoscope.study import Work

CHECKPOINT = "training.safetensors"
_TOLD = 200  # times that progress is told


def snapshot_steps(first: int, last: int, count: int) -> list[int]:
    """At most ``count`` different steps from ``first`` to ``last``, evenly spaced in the logarithm;
    ``last`` is always one.
    """
    return (
        np.unique(np.geomspace(min(first, last), last, count).round().astype(int)).tolist()
        if count > 1
        else [last]
    )


class Snapshots:
    """The weights of a fleet by training step, in memory and, where a ``folder`` is given, in one
    file a step that outlives the process.
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

    def members(self, step: int, like: Fleet) -> list[nn.Module]:
        """Copies of all members at ``step`` as ordinary denoisers, in the fleet ``like``, which
        takes the weights of that step.
        """
        like.load_state_dict(self.weights[step])
        return like.members()

    @staticmethod
    def _file(folder: Path, step: int) -> Path:
        return folder / f"step-{step}.safetensors"


def trajectories(
    cells: Sequence[PhaseTransition], steps: Sequence[int], work: Work, share: float
) -> Iterator[tuple[dict[int, nn.Module], str]]:
    """Trains the cells as one fleet: each one's denoisers by step, and why its training stopped, if
    it did.

    ``steps`` rise and end with the training; ``share`` of the job's time is training. A killed job
    goes on from its checkpoint and has the same snapshots, bit for bit.
    """
    snapshots, stopped = _train(cells, steps, work, share)
    fleet = _untrained(cells, "cpu")
    found = {step: snapshots.members(step, fleet) for step in steps if step in snapshots.weights}
    for index in range(len(cells)):
        yield (
            {step: members[index].requires_grad_(False) for step, members in found.items()},
            stopped.get(index, ""),
        )


def _untrained(cells: Sequence[PhaseTransition], device: str) -> Fleet:
    return Fleet([cell.denoiser() for cell in cells]).to(device)


def _train(
    cells: Sequence[PhaseTransition], steps: Sequence[int], work: Work, share: float
) -> tuple[Snapshots, dict[int, str]]:
    """The snapshots of a fleet, and why members stopped; resumed where the folder of the job holds
    a checkpoint and every snapshot before it.
    """
    first, snapshots = cells[0], Snapshots(work.folder)
    averaged, run = _begun(cells, work)
    if not snapshots.recall([step for step in steps if step < averaged.updates]):
        assert work.folder is not None  # only a checkpoint is past a snapshot
        (work.folder / CHECKPOINT).unlink()
        averaged, run = _begun(cells, work)
    if averaged.updates in steps:  # the checkpoint was written at a snapshot's step
        snapshots.take(averaged.updates, averaged.net)
    stopped: dict[int, str] = {}
    for progress in run:
        if progress.step in steps:
            snapshots.take(progress.step, averaged.net)
        if progress.step * _TOLD % first.steps < _TOLD:
            work.tell(share * progress.step / first.steps)
        stopped = progress.stopped
    return snapshots, stopped


def _begun(cells: Sequence[PhaseTransition], work: Work) -> tuple[Averaged, Iterator[Progress]]:
    """The averaged fleet and its training, taken up from the job's checkpoint: an iterator of the
    progress after every step.
    """
    first = cells[0]
    fleet = _untrained(cells, work.device)
    averaged = Averaged(fleet, first.ema)
    checkpoint = None if work.folder is None else work.folder / CHECKPOINT
    run = training(
        fleet,
        batches(cells),
        steps=first.steps,
        lr=first.lr,
        rate="constant",
        ema=averaged,
        checkpoint=checkpoint,
        report=0.0,
    )
    return averaged, run
