"""The loops that a monitor watches: the library's own, and Lightning's.

Any other loop asks it itself, in three lines::

    monitor = MemorizationMonitor(train, held, log="monitor.jsonl")
    ...
    if step in monitor.steps:
        monitor.look(step, D)
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from denoscope.fitting import Progress
from denoscope.monitor.memorization import MemorizationMonitor
from denoscope.types import Denoiser


def watched(run: Iterable[Progress], monitor: MemorizationMonitor) -> Iterator[Progress]:
    """The progress of ``training(..., at=monitor.steps)``, looked at where a look is due; ends
    early where the monitor stops it.

    A training that ends without a look is a warning.
    """
    step = 0
    for progress in run:
        step = progress.step
        if step in monitor.steps:
            monitor.look(step, progress.denoiser)
        yield progress
        if monitor.stopped:
            break
    monitor.ended(step)


def lightning(
    monitor: MemorizationMonitor, denoiser: Callable[[Any], Denoiser] = lambda module: module
) -> Any:
    """A callback for Lightning's Trainer: looks at ``denoiser(module)``, the LightningModule itself
    by default, after the batches where a look is due, in the first process alone, and stops the
    trainer where the monitor says so. Steps are those of the optimizer.
    """
    Callback: Any = _callback_class()

    class Watching(Callback):
        def on_train_batch_end(self, trainer: Any, pl_module: Any, *rest: Any) -> None:
            if trainer.is_global_zero and trainer.global_step in monitor.steps:
                monitor.look(trainer.global_step, denoiser(pl_module))
            trainer.should_stop = trainer.should_stop or monitor.stopped

        def on_train_end(self, trainer: Any, pl_module: Any) -> None:
            if trainer.is_global_zero:
                monitor.ended(trainer.global_step)

    return Watching()


def _callback_class() -> Any:
    """Of the Lightning that is imported already, under either name, else of pytorch_lightning."""
    if (known := sys.modules.get("lightning.pytorch")) is not None:
        return known.Callback
    try:
        from pytorch_lightning import Callback
    except ImportError as error:
        raise ImportError(
            "a callback for Lightning needs pytorch-lightning: pip install pytorch-lightning"
        ) from error
    return Callback
