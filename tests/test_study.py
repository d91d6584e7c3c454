"""Identity, resumption and executors: what is stored is never done again, and a killed sweep ends
as an undisturbed one.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from kills import killed, wait_for
from toy_study import Toy

from denoscope import Estimate, grid, run
from denoscope.execute import processes, serial
from denoscope.store import Row, Store
from denoscope.study import Work, combinations, pending


def _table(store: Store) -> list[tuple[str, str, bytes]]:
    """Everything of a store but times."""
    rows = []
    for path in store.folders():
        text = json.loads((path / "result.json").read_text())
        text.pop("made")
        rows.append(
            (
                path.name,
                json.dumps(text, sort_keys=True),
                (path / "arrays.safetensors").read_bytes(),
            )
        )
    return rows


def test_keys_are_frozen() -> None:
    """Provenance: sha256 of ["toy_study", 3, {changed fields}] in sorted JSON, first 16 hex digits,
    by hand with hashlib.
    """
    import hashlib

    text = json.dumps(["toy_study", 3, {"n": 2, "scale": 0.5}])
    assert Toy(n=2, scale=0.5).key() == hashlib.sha256(text.encode()).hexdigest()[:16]
    assert Toy(n=4) == Toy()
    assert Toy(n=4).key() == Toy().key()
    assert len({Toy(n=n, seed=s).key() for n in range(20) for s in range(20)}) == 400


def test_a_grid_is_the_product_without_what_cannot_be() -> None:
    assert len(combinations(Toy, {"n": [1, 2, 4], "seed": [0, 1]})) == 6
    assert [(cell.n, cell.seed) for cell in grid(Toy, n=[1, 2, 4, 4], seed=range(2))] == [
        (2, 0),
        (2, 1),
        (4, 0),
        (4, 1),
    ]
    with pytest.raises(ValueError, match="at least 2"):
        grid(Toy, n=1)
    with pytest.raises(ValueError, match="no field 'widht'"):
        grid(Toy, widht=3)
    with pytest.raises(ValueError, match="without values"):
        grid(Toy, n=[])


@pytest.mark.parametrize("executor", [serial, processes(2)], ids=["serial", "processes"])
def test_rows_come_back_in_order_with_values_and_arrays(tmp_path: Path, executor) -> None:
    cells = grid(Toy, n=[2, 3], seed=[0, 1])
    told: list[tuple[float, int]] = []
    rows = run(
        cells, tmp_path, executor, progress=lambda fraction, done: told.append((fraction, done))
    )
    assert [row.key for row in rows] == [cell.key() for cell in cells]
    for cell, row in zip(cells, rows):
        numbers = row.arrays()["numbers"]
        assert np.array_equal(numbers, cell.run(Work()).arrays["numbers"])
        assert row.fields == cell.fields()
        assert isinstance(row.values["mean"], Estimate)
        assert row.values["mean"] == cell.run().values["mean"]
        assert np.isnan(float(row.values["none"]))  # pyright: ignore
    assert told[-1] == (1.0, 4)
    assert not (tmp_path / "work").exists() or not os.listdir(tmp_path / "work")


def test_what_is_stored_is_not_measured_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(grid(Toy, n=[2, 3]), tmp_path)
    before = _table(Store(tmp_path))
    monkeypatch.setattr(Toy, "run", lambda self, work=None: pytest.fail("measured again"))
    run(grid(Toy, n=[2, 3]), tmp_path)
    assert _table(Store(tmp_path)) == before


def test_more_cells_are_planned_among_themselves_and_a_begun_job_keeps_its_cells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worked: list[list[tuple[int, int]]] = []
    honest = Toy.batch.__func__  # pyright: ignore[reportFunctionMemberAccess]  (a classmethod)

    def stumbling(cls: type[Toy], cells: list[Toy], work: Work):
        worked.append([(cell.n, cell.seed) for cell in cells])
        for cell, result in honest(cls, cells, work):
            yield cell, result
            if stumble:
                raise RuntimeError("killed")

    monkeypatch.setattr(Toy, "batch", classmethod(stumbling))
    stumble = True
    with pytest.raises(RuntimeError, match="killed"):
        run(grid(Toy, n=[2, 3, 4], seed=0), tmp_path)
    stumble = False
    run(grid(Toy, n=[2, 3, 4, 5], seed=[0, 1]), tmp_path)
    assert worked[0] == [(2, 0), (3, 0), (4, 0)]
    assert sorted(map(sorted, worked[1:])) == [
        [(2, 0), (3, 0), (4, 0)],
        [(2, 1), (3, 1), (4, 1), (5, 1)],
        [(5, 0)],
    ]
    worked.clear()
    run(grid(Toy, n=[2, 3, 4, 5, 6], seed=[0, 1]), tmp_path)
    assert sorted(worked) == [[(6, 0)], [(6, 1)]]
    assert not (tmp_path / "plan.json").exists()
    assert not (tmp_path / "work").exists() or not os.listdir(tmp_path / "work")


def test_a_failing_job_stops_no_other_and_its_error_arrives(tmp_path: Path) -> None:
    cells = [Toy(scale=13.0, seed=1), Toy(n=2)]
    for executor in (serial, processes(1)):
        with pytest.raises(RuntimeError, match="unlucky"):
            run(cells, tmp_path, executor)
        assert Store(tmp_path).get(cells[1].key()) is not None
        assert Store(tmp_path).get(cells[0].key()) is None


def test_a_job_that_stores_nothing_is_an_error_not_an_endless_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Toy, "batch", classmethod(lambda cls, cells, work: iter(())))
    with pytest.raises(RuntimeError, match="without storing its cell"):
        run([Toy()], tmp_path)


def test_studies_in_a_script_have_the_same_identity_in_worker_processes(tmp_path: Path) -> None:
    script = tmp_path / "mine.py"
    text = (Path(__file__).parent / "toy_study.py").read_text()
    script.write_text(
        text + "\n\nif __name__ == '__main__':\n    from denoscope import run\n    from "
        "denoscope.execute import processes\n"
        f"    print(run([Toy()], {str(tmp_path / 's')!r}, processes(1))[0].study)\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=120
    )
    assert done.stdout.strip() == "Toy", done.stderr


def test_a_damaged_cell_is_named_not_believed(tmp_path: Path) -> None:
    cell = Toy(n=2)
    run([cell], tmp_path)
    store = Store(tmp_path)
    assert store.check() == []
    arrays = tmp_path / "cells" / cell.key() / "arrays.safetensors"
    arrays.write_bytes(arrays.read_bytes()[:-1] + b"\x01")
    assert any("does not match its recorded hash" in line for line in store.check())
    (arrays.parent / "result.json").write_text("{")
    with pytest.raises(ValueError, match=f"{cell.key()} is damaged"):
        run([cell], tmp_path)
    assert any("damaged" in line for line in store.check())


def test_whole_files_are_kept_beside_a_cell_and_watched(tmp_path: Path) -> None:
    store = Store(tmp_path)
    kept = store.put(Row("k", "s", 1, {}, {"a": 1.0}), {}, {"model.safetensors": b"weights"})
    assert kept.path is not None
    file = kept.path / "model.safetensors"
    assert file.read_bytes() == b"weights"
    assert store.check() == []
    file.write_bytes(b"Weights")
    assert store.check() == [f"{kept.path}: model.safetensors does not match its recorded hash"]
    file.unlink()
    with pytest.raises(ValueError, match=r"model\.safetensors is missing"):
        store.get("k")


def test_cells_written_before_files_were_kept_are_read(tmp_path: Path) -> None:
    run([Toy(n=2)], tmp_path)
    path = tmp_path / "cells" / Toy(n=2).key() / "result.json"
    text = json.loads(path.read_text())
    assert text.pop("files_sha256") == {}
    path.write_text(json.dumps(text))
    assert len(Store(tmp_path).rows()) == 1
    assert Store(tmp_path).check() == []


def test_the_first_result_stays(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put(Row("k", "s", 1, {}, {"a": 1.0}), {})
    assert store.put(Row("k", "s", 1, {}, {"a": 2.0}), {}).values["a"] == 1.0


def test_only_one_process_claims_a_job(tmp_path: Path) -> None:
    store = Store(tmp_path)
    script = (
        "from denoscope.store import Store\nwith "
        f"Store({str(tmp_path)!r}).claim('j') as mine: print(mine)"
    )
    with store.claim("j") as mine:
        assert mine
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
        assert done.stdout.strip() == "False", done.stderr
    with Store(tmp_path).claim("j") as mine:
        assert mine


HELD = """
import sys; sys.path.insert(0, {tests!r})
from toy_study import Toy
from denoscope import grid, run
run(grid(Toy, n=[2], seed=[0], wait=2.0), {store!r})
"""


def test_a_second_command_says_once_whom_it_waits_for(tmp_path: Path) -> None:
    script = HELD.format(tests=str(Path(__file__).parent), store=str(tmp_path))
    cells, said = grid(Toy, n=[2], seed=[0], wait=2.0), []
    with subprocess.Popen([sys.executable, "-c", script]) as other:
        work = tmp_path / "work"
        wait_for(lambda: work.is_dir() and any(work.iterdir()), other)
        assert len(run(cells, tmp_path, say=said.append)) == 1
    assert said == [f"waiting for process {other.pid}, which measures the rest"]


def test_a_claim_that_waits_says_for_whom(tmp_path: Path) -> None:
    store, said = Store(tmp_path), []
    with ThreadPoolExecutor() as threads:
        with store.claim("j"):

            def wait() -> bool:
                with Store(tmp_path).claim("j", wait=True, say=said.append) as mine:
                    return mine

            waiting = threads.submit(wait)
            while not said:
                time.sleep(0.01)
        assert waiting.result()
    assert said == [f"waiting for process {os.getpid()} in {tmp_path}"]


SWEEP = """
import sys; sys.path.insert(0, {tests!r})
from pathlib import Path
from toy_study import Toy
from denoscope import grid, run
from denoscope.execute import processes, serial
if __name__ == "__main__":
    run(grid(Toy, n=[2, 3, 4, 5], seed=[0, 1, 2], wait=0.3), {store!r}, {executor})
"""


@pytest.mark.slow
def test_after_any_number_of_kills_the_table_is_that_of_an_undisturbed_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = grid(Toy, n=[2, 3, 4, 5], seed=[0, 1, 2], wait=0.3)
    with monkeypatch.context() as patched:
        patched.setattr(time, "sleep", lambda seconds: None)
        run(cells, tmp_path / "quiet")
    store, tests = Store(tmp_path / "killed"), str(Path(__file__).parent)
    for name in ("processes(2)", "serial"):
        script = SWEEP.format(tests=tests, store=str(store.root), executor=name)
        (tmp_path / f"{name}.py").write_text(script)
    plan = store.root / "plan.json"
    for event in (plan.exists, lambda: len(store.folders()) >= 4):
        killed([sys.executable, str(tmp_path / "processes(2).py")], event)
        assert store.check() == []
    twins = [
        subprocess.Popen([sys.executable, str(tmp_path / "serial.py")]) for _ in range(2)
    ]  # and two at once on one store
    assert [twin.wait(timeout=120) for twin in twins] == [0, 0]
    assert _table(store) == _table(Store(tmp_path / "quiet"))
    assert pending(cells, store) == []


def test_a_worker_that_dies_is_reported(tmp_path: Path) -> None:
    outcomes = list(processes(1)([_die], lambda index, fraction: None))
    assert isinstance(outcomes[0][1], RuntimeError)
    assert "ended abruptly" in str(outcomes[0][1])


def _die(tell) -> None:
    os.kill(os.getpid(), signal.SIGKILL)
