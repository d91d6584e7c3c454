"""Features on disk: the same as computed, never those of others, whole or resumable after whatever
happens.
"""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from denoscope.describe import PCA, Cache, Pixels
from denoscope.describe import cache as caching


class Costly:
    """Columns of pixels, and a count of the images that were described."""

    protocol = "columns"
    score = "cosine"
    costly = True

    def __init__(self, name: str = "columns", width: int = 5, stop_after: int = 10**9):
        self.name, self.width, self.stop_after = name, width, stop_after
        self.seen = 0

    @property
    def identity(self) -> Mapping[str, Any]:
        return {"name": self.name, "version": 1, "preprocessing": "none"}

    def __call__(self, images: Tensor) -> Tensor:
        if self.seen + len(images) > self.stop_after:
            raise KeyboardInterrupt
        self.seen += len(images)
        return images.flatten(1)[:, : self.width]


def images(n: int = 50, seed: int = 0, shape: tuple[int, ...] = (1, 4, 4)) -> Tensor:
    return torch.rand((n, *shape), generator=torch.Generator().manual_seed(seed)) * 2 - 1


def stored(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if len(path.name) == 64)


def test_described_once(tmp_path: Path) -> None:
    x, describe = images(), Costly()
    told: list[tuple[int, int]] = []
    features = Cache(tmp_path).features(
        x, "a", describe, batch=20, progress=lambda done, total: told.append((done, total))
    )
    assert torch.equal(features, x.flatten(1)[:, :5])
    assert told == [(0, 50), (20, 50), (40, 50), (50, 50)]
    again = Cache(tmp_path).features(x, "a", describe, batch=7)
    assert torch.equal(again, features)
    assert describe.seen == 50
    (place,) = stored(tmp_path)
    assert sorted(file.name for file in place.iterdir()) == ["about.json", "features.npy"]
    plain = np.load(place / "features.npy", allow_pickle=False)
    assert plain.dtype == np.float32
    assert np.array_equal(plain, features.numpy())
    again[:] = 7  # what is written to memory stays there
    assert torch.equal(Cache(tmp_path).features(x, "a", describe), x.flatten(1)[:, :5])


def test_never_those_of_other_images_or_descriptors(tmp_path: Path) -> None:
    x, cache = images(), Cache(tmp_path)
    cache.features(x, "a", Costly())
    for content, name, data in (
        ("b", "columns", images(seed=1)),
        ("a", "others", x),
        ("a", "columns", x[:49]),
    ):
        describe = Costly(name)
        assert torch.equal(cache.features(data, content, describe), data.flatten(1)[:, :5])
        assert describe.seen == len(data)
    assert len(stored(tmp_path)) == 4
    assert not cache.notes


def test_a_file_under_anothers_name_does_not_answer(tmp_path: Path) -> None:
    cache, describe = Cache(tmp_path), Costly()
    cache.features(images(), "a", describe)
    (first,) = stored(tmp_path)
    cache.features(images(seed=1), "b", describe)
    (second,) = set(stored(tmp_path)) - {first}
    for name in ("features.npy", "about.json"):
        (second / name).write_bytes((first / name).read_bytes())
    assert torch.equal(
        cache.features(images(seed=1), "b", describe), images(seed=1).flatten(1)[:, :5]
    )
    assert len(cache.notes) == 1
    assert "made anew" in cache.notes[0]


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "gone", "unnoted", "json", "list"])
def test_damaged_features_are_made_anew(tmp_path: Path, damage: str) -> None:
    x, cache, describe = images(), Cache(tmp_path), Costly()
    cache.features(x, "a", describe)
    (place,) = stored(tmp_path)
    file, about = place / "features.npy", place / "about.json"
    content = bytearray(file.read_bytes())
    if damage == "flip":
        content[-3] ^= 1
        file.write_bytes(content)
    elif damage in ("cut", "empty"):
        file.write_bytes(content[: -4 if damage == "cut" else 0])
    elif damage in ("gone", "unnoted"):
        (file if damage == "gone" else about).unlink()
    else:
        about.write_text("{" if damage == "json" else "[]")
    assert torch.equal(cache.features(x, "a", describe), x.flatten(1)[:, :5])
    assert describe.seen == 100
    assert len(cache.notes) == 1
    cache.features(x, "a", describe)
    assert describe.seen == 100


def test_an_interrupted_run_goes_on(tmp_path: Path) -> None:
    x = images()
    with pytest.raises(KeyboardInterrupt):
        Cache(tmp_path).features(x, "a", Costly(stop_after=30), batch=10)
    assert not stored(tmp_path)
    describe = Costly()
    told: list[int] = []
    features = Cache(tmp_path).features(
        x, "a", describe, batch=8, progress=lambda done, total: told.append(done)
    )
    assert describe.seen == 20
    assert told[0] == 30
    assert torch.equal(features, x.flatten(1)[:, :5])
    assert torch.equal(Cache(tmp_path).features(x, "a", Costly(stop_after=0)), features)


@pytest.mark.parametrize("damage", ["rows", "more", "less", "about", "record"])
def test_what_an_interrupted_run_left_is_not_trusted(tmp_path: Path, damage: str) -> None:
    x = images()
    with pytest.raises(KeyboardInterrupt):
        Cache(tmp_path).features(x, "a", Costly(stop_after=30), batch=10)
    (part,) = tmp_path.glob(".*.part")
    file, record = part / "features.npy", part / "about.json"
    content = bytearray(file.read_bytes())
    if damage == "rows":
        content[-1] ^= 1
        file.write_bytes(content)
    elif damage in ("more", "less"):  # killed while a block was written; power lost
        file.write_bytes(bytes(content) + b"abc" if damage == "more" else content[:-1])
    elif damage == "about":
        record.write_text(json.dumps({**json.loads(record.read_text()), "about": {}}))
    else:
        record.write_text('{"rows": ')
    describe = Costly()
    assert torch.equal(Cache(tmp_path).features(x, "a", describe, batch=10), x.flatten(1)[:, :5])
    assert describe.seen == (20 if damage == "more" else 50)


KILLED = """
import sys, time, torch
sys.path.insert(0, {tests!r})
from test_feature_cache import Costly, images
from denoscope.describe import Cache
class Slow(Costly):
    def __call__(self, x):
        time.sleep(0.05)
        return super().__call__(x)
Cache({folder!r}).features(images(2000), "a", Slow(), batch=10, progress=lambda done, total:
print(done, flush=True))
"""


def test_a_killed_run_goes_on(tmp_path: Path) -> None:
    script = KILLED.format(tests=str(Path(__file__).parent), folder=str(tmp_path))
    run = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    while int(run.stdout.readline()) < 50:
        pass
    time.sleep(0.03)
    run.send_signal(signal.SIGKILL)
    run.wait()
    describe = Costly()
    assert torch.equal(
        Cache(tmp_path).features(images(2000), "a", describe), images(2000).flatten(1)[:, :5]
    )
    assert 100 < describe.seen <= 1950


def _describe_slowly(folder: str, seen: Any) -> None:
    class Slow(Costly):
        def __call__(self, x: Tensor) -> Tensor:
            time.sleep(0.02)
            seen.value += len(x)
            return super().__call__(x)

    Cache(folder).features(images(100), "a", Slow(), batch=10)


@pytest.mark.skipif(sys.platform == "win32", reason="there are no locks")
def test_two_processes_describe_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    seen = context.Value("i", 0)
    both = [context.Process(target=_describe_slowly, args=(str(tmp_path), seen)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    assert seen.value == 100


def test_a_full_disk_is_one_line_and_the_same_command_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, calls = images(), []

    def full(number: int) -> None:
        calls.append(number)
        if len(calls) > 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(caching.os, "fsync", full)
        with pytest.raises(
            OSError, match=rf"no space is left in the cache {tmp_path}: make room"
        ) as caught:
            Cache(tmp_path).features(x, "a", Costly(), batch=10)
    assert "\n" not in str(caught.value)
    describe = Costly()
    assert torch.equal(Cache(tmp_path).features(x, "a", describe, batch=10), x.flatten(1)[:, :5])
    assert 0 < describe.seen < 50


def test_folders_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="is a file; name a folder"):
        Cache(tmp_path / "file")
    with pytest.raises(
        OSError, match=r"the cache .*below cannot be used: Not a directory; name another folder"
    ) as caught:
        Cache(tmp_path / "file" / "below").features(images(), "a", Costly())
    assert "\n" not in str(caught.value)
    Cache(tmp_path).features(images(), "a", Costly())

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "mkdir", refused)
    assert (
        len(Cache(tmp_path).features(images(), "a", Costly(stop_after=0))) == 50
    )  # reading needs no writing
    with pytest.raises(OSError, match="Permission denied; name another folder"):
        Cache(tmp_path).features(images(), "b", Costly())


def test_cheap_features_are_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x = images(100, shape=(3, 5, 5))
    for describe in (Pixels(), PCA.fit(x, 9)):
        for folder in (None, tmp_path / "new"):
            small = Cache(folder).features(x, "a", describe, batch=30)
            with monkeypatch.context() as patched:
                patched.setattr(caching, "_SMALL", 4 * 75 * 7)
                large = Cache(folder).features(x, "a", describe)
            assert torch.equal(small, describe(x))
            assert torch.equal(large, describe(x))
    assert not list((tmp_path / "new").iterdir())
    assert torch.equal(Cache().features(x, "a", Costly()), x.flatten(1)[:, :5])


def test_features_of_changing_width_are_refused(tmp_path: Path) -> None:
    class Wild(Costly):
        def __call__(self, images: Tensor) -> Tensor:
            return super().__call__(images)[:, : len(images)]

    with pytest.raises(ValueError, match=r"shape \(3, 3\) after some of width 4"):
        Cache(tmp_path).features(images(7), "a", Wild(), batch=4)
    with pytest.raises(KeyboardInterrupt):
        Cache(tmp_path).features(images(), "a", Costly(stop_after=30), batch=10)
    with pytest.raises(
        ValueError, match="3 features per image, and 5 in the run that was interrupted"
    ):
        Cache(tmp_path).features(images(), "a", Costly(width=3), batch=10)


@pytest.mark.slow
def test_memory_is_bounded(tmp_path: Path) -> None:
    """The peak beside the images stays far below the features, which are 480 MB."""
    script = f"""
import resource, torch
from denoscope.describe import Cache, Pixels
x = torch.zeros(10_000, 3, 64, 64)
x[:, 0, 0, 0] = 1
Pixels()(x[:10])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
features = Cache({str(tmp_path)!r}).features(x, "a", Pixels())
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert features.shape == (10_000, 12_288)
print((after - before) // 1024)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 400
