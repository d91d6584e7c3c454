"""Shared by all tests: one thread, so that numbers repeat, the folder of test helpers on the path,
and what several tests need but only one worker of a run makes.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # read by numpy's libraries too, and by child processes

import pytest
import torch
from torch import Tensor

from denoscope import execute, files, run
from denoscope.report import svg
from denoscope.store import Row, Store

Once = Callable[[str, Callable[[Path], object]], Path]
Tiny = Callable[[str, str], list[Row]]

sys.path.insert(0, str(Path(__file__).parent))
torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with the most slow tests first, so that no worker idles at the end."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """Makes a named folder that all tests of a run share: the first who asks makes it, workers who
    ask meanwhile wait; nobody may change it afterwards.
    """
    root = tmp_path_factory.getbasetemp()
    root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root

    def folder(name: str, make: Callable[[Path], object]) -> Path:
        with Store(root / "once").claim(name, wait=True):
            if not (root / "once" / name).is_dir():
                with files.folder(root / "once" / name) as fresh:
                    make(fresh)
        return root / "once" / name

    return folder


@pytest.fixture(scope="session")
def tiny(once: Once) -> Tiny:
    """The rows of a study's tiny sweep by its name, as ``tiny("disjoint_halves", "molrg")``."""
    from tiny import networks, sweeps

    def rows(study: str, sweep: str) -> list[Row]:
        cells = sweeps(study, once("networks", networks))[sweep]
        return Store(once(f"{study}-{sweep}", lambda folder: run(cells, Store(folder)))).rows()

    return rows


@pytest.fixture
def sketched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are laid out but not rendered: for tests of what is around them."""
    nothing = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"/>'
    monkeypatch.setattr(svg, "_render", lambda *_, **__: nothing)


@pytest.fixture
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sweeps run in the test's own process, whatever the words of a command say."""
    monkeypatch.setattr(execute, "processes", lambda *_, **__: execute.serial)


@pytest.fixture(scope="session")
def memorizing_pipeline(once: Once) -> tuple[Path, Tensor]:
    """The folder of a pipeline of diffusers that was trained until it memorized, and its 8 training
    images in [-1, 1].
    """
    from pipelines import memorizing

    from denoscope.data.embedded import digits

    images = digits().data[:8]
    return once("memorizing", lambda folder: memorizing(folder, images)), images
