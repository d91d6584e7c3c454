"""Files are whole or absent; hashes are of content alone."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from denoscope import files


def test_a_write_that_fails_leaves_the_old_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = files.write(tmp_path / "a" / "x.txt", "old")
    monkeypatch.setattr(files, "_sync", lambda file: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        files.write(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(path.parent) == ["x.txt"]


def test_json_refuses_what_json_has_not(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        files.write_json(tmp_path / "x.json", {"a": float("nan")})
    assert not (tmp_path / "x.json").exists()


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    def interrupted() -> None:
        with files.folder(tmp_path / "r") as folder:
            (folder / "part").write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        interrupted()
    assert os.listdir(tmp_path) == []
    for text in ("first", "second"):
        with files.folder(tmp_path / "r") as folder:
            (folder / "part").write_text(text)
    assert (tmp_path / "r" / "part").read_text() == "first"  # what is there stays
    assert os.listdir(tmp_path) == ["r"]


def test_a_kill_while_writing_leaves_the_old_file_readable(tmp_path: Path) -> None:
    target = tmp_path / "x.bin"
    files.write(target, b"0" * 1000)
    script = (
        "from denoscope import files\nfor i in range(10**6): "
        f"files.write({str(target)!r}, bytes([48 + i % 10]) * 1000)"
    )
    with subprocess.Popen([sys.executable, "-c", script]) as process:
        for _ in range(200):
            content = target.read_bytes()
            assert len(content) == 1000
            assert len(set(content)) == 1
        process.kill()
    assert len(set(target.read_bytes())) == 1


def test_content_hash_sees_values_shape_and_type_but_not_layout() -> None:
    a = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert (
        files.content_hash(a)
        == files.content_hash(np.asfortranarray(a))
        == files.content_hash(a.astype(">f4"))
    )
    others = [a.reshape(3, 2), a.astype(np.float64), a + 1e-6 * np.eye(2, 3, dtype=np.float32), a.T]
    assert len({files.content_hash(x) for x in [a, *others]}) == 5


def test_archives_are_read_in_order_and_bombs_and_damage_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("b.txt", "two")
        archive.writestr("a.txt", "one")
    members = files.archive(path)
    assert [(name, read()) for name, read in members] == [("a.txt", b"one"), ("b.txt", b"two")]
    with pytest.raises(ValueError, match="unpack to 3 bytes; the limit is 2"):
        files.archive(path, largest=2)[0][1]()
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(ValueError, match=r"a\.zip is not a readable zip archive"):
        files.archive(path)
