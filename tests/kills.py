"""Kills a command at an event, not after some seconds."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence
from typing import Any


def wait_for(event: Callable[[], bool], process: subprocess.Popen[Any]) -> None:
    """Returns as soon as ``event`` holds; that the process ends before is a failure."""
    while not event():
        assert process.poll() is None, "it ended before the event"
        time.sleep(0.01)


def killed(command: Sequence[str], when: Callable[[], bool]) -> None:
    """Starts a command and kills it (SIGKILL) as soon as ``when`` holds."""
    with subprocess.Popen(command, start_new_session=True) as process:
        try:
            wait_for(when, process)
        finally:
            process.kill()
