"""Kills a command at an event, not after some seconds."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence


def killed(command: Sequence[str], when: Callable[[], bool]) -> None:
    """Starts a command and kills it (SIGKILL) as soon as ``when`` holds."""
    with subprocess.Popen(command, start_new_session=True) as process:
        try:
            while not when():
                assert process.poll() is None, "it ended before it could be killed"
                time.sleep(0.01)
        finally:
            process.kill()
