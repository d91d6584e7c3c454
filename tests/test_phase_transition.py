"""The main job in small: known models get the scores they must, cells do not depend on their fleet,
kills change nothing.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from kills import killed, wait_for

from denoscope import Empirical, Estimate, grid, run
from denoscope.cli import main
from denoscope.data.sources import load
from denoscope.estimate import bounded, crossed
from denoscope.execute import processes
from denoscope.metrics import calibrated, nearest_similarity, nearness_of
from denoscope.report import Gallery, write_table
from denoscope.store import Row, Store
from denoscope.studies.phase_transition import PhaseTransition
from denoscope.study import pending, swept
from denoscope.sweep import table

SMALL = {"steps": 60, "samples": 40, "solver_steps": 5, "held": 80}


def _number(value: object) -> float:
    assert isinstance(value, Estimate | float | int)
    return float(value)


@pytest.fixture
def rows(tiny: Callable[[str, str], list[Row]]) -> list[Row]:
    """A tiny sweep, measured once."""
    return tiny("phase_transition", "digits")


def test_keys_and_defaults_are_frozen() -> None:
    """Golden, written by this class: defaults are part of a key's meaning, so a change of either
    must raise ``version``.
    """
    golden = json.loads((Path(__file__).parent / "golden_keys.json").read_text())
    cells = {
        "default": PhaseTransition(),
        "n=8": PhaseTransition(n=8),
        "fashion": PhaseTransition(data="fashion_mnist", net="unet"),
    }
    assert golden["version"] == PhaseTransition.version
    assert golden["keys"] == {name: item.key() for name, item in cells.items()}
    assert golden["defaults"] == json.loads(json.dumps(PhaseTransition().fields()))


def test_the_sweep_has_36_models_a_width() -> None:
    cells = grid(PhaseTransition, **swept(PhaseTransition))
    assert [sum(c.width == width for c in cells) for width in (32, 64, 128)] == [36, 36, 36]
    assert len({c.member().initial for c in cells}) == 108


def test_the_memorizer_is_a_memorizer() -> None:
    item = PhaseTransition(n=32, samples=200)
    values, _ = item.asked(Empirical(item.where().train()), item.closed("memorizer"))
    assert _number(values["glc"]) < 0.02
    assert _number(values["nearness"]) > 0.98
    assert _number(values["gl_fixed"]) < 0.02
    assert _number(values["memorized"]) > 0.98
    assert _number(values["rp_memorizer"]) == 1.0
    assert _number(values["copies_p_value"]) < 1e-6


@pytest.mark.parametrize("size", [8, 64, 512])
def test_real_images_score_as_novel_as_real_images(size: int) -> None:
    """Real images that no one trained on are the perfect generalizer: over 100 splits, the
    interval of GLc holds 1 and that of nearness one half at least 88 times.
    """
    item = PhaseTransition()
    features = item.seen_by.pixels(item.where().images().data)
    covered = [0, 0]
    for seed in range(100):
        order = torch.randperm(len(features), generator=torch.Generator().manual_seed(seed))
        train, test, fresh = features[order].split([size, 261, len(order) - size - 261])
        near = nearness_of(
            *(1 - nearest_similarity(images, train) for images in (fresh[:700], test))
        )
        for number, (estimate, truth) in enumerate(((calibrated(near.near), 1.0), (near, 0.5))):
            covered[number] += estimate.low <= truth <= estimate.high
    assert min(covered) >= 88


def test_a_cell_does_not_depend_on_its_fleet(rows: list[Row]) -> None:
    row = rows[-1]
    alone = PhaseTransition.of(row.fields).run()
    name = next(name for name in alone.arrays if name.startswith('["sample"'))
    assert np.abs(alone.arrays[name] - row.arrays()[name]).max() < 1e-3
    assert _number(alone.values["error_test"]) == pytest.approx(
        _number(row.values["error_test"]), rel=1e-4
    )


def test_a_plan_covers_every_cell_once_and_does_not_depend_on_order() -> None:
    cells = grid(PhaseTransition, **swept(PhaseTransition))
    jobs = PhaseTransition.plan(cells)
    assert sorted(c.key() for job in jobs for c in job) == sorted(c.key() for c in cells)
    assert all(len({c.width for c in job}) == 1 for job in jobs)
    assert {tuple(c.key() for c in job) for job in PhaseTransition.plan(cells[::-1])} == {
        tuple(c.key() for c in job) for job in jobs
    }


def test_rows_hold_finite_numbers_in_order(rows: list[Row]) -> None:
    assert len(rows) == 24
    for row in rows:
        for name in ("p_gen", "p_test", "frechet", "error_test"):
            assert np.isfinite(_number(row.values[name])), (row.fields, name)
        found = PhaseTransition.found([row])
        assert found.of("sample").one.shape == (330, 1, 8, 8)
        error = found.of("error")
        assert all(np.isfinite(r.value).all() for r in error)
        seen = error.of(images="train", who="network")
        worse = seen.against(error.of(images="train", who="memorizer"), apart="who")
        for r in worse:  # the memorizer is the optimum there
            assert r.value.mean() >= -4 * r.value.std() / len(r.value) ** 0.5


def test_comparisons_name_every_kind(rows: list[Row]) -> None:
    compared = PhaseTransition.compare(rows)
    kinds = {str(row.fields["compared"]) for row in compared}
    assert kinds == {"seeds", "widths", "halves", "gaussian", "transition"}
    found, item = PhaseTransition.found(rows), PhaseTransition.of(rows[0].fields)
    same = found.of("rp", pair="seeds", width=item.width, n=item.n)
    a, b = (
        item.seen_by.pixels(torch.from_numpy(r.value))
        for r in found.of("sample", width=item.width, n=item.n, subset=0)
    )
    assert np.array_equal(same[0].value, (torch.cosine_similarity(a, b) > item.seen_by.same))
    row = next(r for r in compared if r.key == f"rp-seeds-{item.width}-{item.width}-{item.n}")
    assert row.values["rp"] == bounded(crossed)(np.stack([r.value for r in same]))


def test_a_model_agrees_with_itself_and_chance_is_exact(rows: list[Row]) -> None:
    twin = dataclasses.replace(rows[0], fields={**rows[0].fields, "seed": 99})
    found, seen = PhaseTransition.found([rows[0], twin]), PhaseTransition.of(rows[0].fields).seen_by
    assert found.of("rp").one.all()
    unit = seen.pixels(torch.from_numpy(found.of("sample")[0].value)).double()
    unit = unit / unit.norm(dim=1, keepdim=True)
    above = (unit @ unit.T > seen.same).fill_diagonal_(False)
    assert found.of("chance").one[0] == pytest.approx(float(above.sum()) / (330 * 329))


def test_a_sweep_that_turns_is_told_so(rows: list[Row]) -> None:
    """What has no copies at the middle size of the smaller width turns there, and later at the
    larger one; galleries show three sizes.
    """
    told = PhaseTransition.told(rows)
    star, turns = (
        next(c for c in told.claims if words in c.says) for words in ("Wider", "go from copying")
    )
    assert [r.at["width"] for r in star.each()] == [(16, 32)]
    assert [r.at["width"] for r in turns.each()] == [16, 32]
    assert all(2 < r.value.value < 256 for r in turns.each())
    blocks = [block for part in told.sections for block in part.blocks]
    assert sum(isinstance(block, Gallery) for block in blocks) == 3


def test_the_gaussian_is_a_row_and_agrees_with_itself(rows: list[Row]) -> None:
    found = PhaseTransition.found(rows)
    sizes = found.of("sample").along("n")
    for name in ("curve", "as_near"):
        assert found.of(name, who="gaussian").along("n") == sizes
        assert found.of(name, width=bool).along("width") == [16, 32]
    item = PhaseTransition.of(rows[-1].fields)
    gaussian = item.closed("gaussian")
    values, readings = item.asked(item.where().gaussian(), gaussian)
    assert _number(values["rp_gaussian"]) == 1
    left = {str(r.at.get("pair")): r.value.mean() for r in readings if r.name == "left"}
    assert left["None"] == 0
    assert left["unlike"] > 0.9
    near = {str(r.at.get("who")): r.value for r in readings if r.name == "similarity"}
    np.testing.assert_array_equal(near["network"], near["gaussian"])


def test_stopped_cells_are_listed_and_left_out(rows: list[Row]) -> None:
    broken = dataclasses.replace(rows[0], values={"stopped": "stopped at step 3: loss is nan"})
    built = PhaseTransition.page([broken, *rows[1:]], {})
    run = next(part for part in built.sections if part.title == "What was run").blocks[0]
    assert "loss is nan" in str(run)
    with pytest.raises(ValueError, match="training of every cell stopped"):
        PhaseTransition.page([broken], {})


def test_a_diverging_training_is_recorded_not_raised(tmp_path: Path) -> None:
    rows = run(grid(PhaseTransition, n=8, width=8, lr=1e30, **SMALL), tmp_path)
    assert "step" in str(rows[0].values["stopped"])


def _table(store: Path) -> list[dict[str, str]]:
    with open(store / "table.csv", newline="") as stream:
        return [
            {name: value for name, value in row.items() if name != "seconds"}
            for row in csv.DictReader(stream)
        ]


@pytest.mark.slow
def test_killed_sweeps_end_with_the_table_of_an_undisturbed_one(tmp_path: Path) -> None:
    sweep = "--n 8 64 --width 8 16 --seed 0 --steps 300 --samples 30 --solver-steps 4 --held 60"
    words = ["run", "phase_transition", *sweep.split(), "--on", "serial", "--quiet"]
    root = tmp_path / "killed"
    command = [sys.executable, "-m", "denoscope.cli", *words, "--store", str(root)]
    for wanted, count in (("work/*", 1), ("cells/*/result.json", 1), ("cells/*/result.json", 3)):
        killed(command, lambda wanted=wanted, count=count: len([*root.glob(wanted)]) >= count)
        assert Store(root).check() == []
    assert subprocess.run(command, capture_output=True).returncode == 0
    small = {"steps": 300, "samples": 30, "solver_steps": 4, "held": 60}
    cells = grid(PhaseTransition, n=[8, 64], width=[8, 16], subset=[0, 1], seed=0, **small)
    write_table(table(run(cells, tmp_path / "quiet")), tmp_path / "quiet")
    assert _table(root) == _table(tmp_path / "quiet")


@pytest.mark.slow
def test_interrupting_says_how_to_go_on(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "denoscope.cli",
        "run",
        "phase_transition",
        "--n",
        "8",
        "--width",
        "8",
        "--steps",
        "200000",
        "--store",
        str(tmp_path / "s"),
    ]
    heard = partial(
        signal.signal, signal.SIGINT, signal.SIG_DFL
    )  # what runs in a shell's background is born deaf to it
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=heard
    ) as process:
        try:
            wait_for(lambda: any((tmp_path / "s" / "work").glob("*")), process)
            process.send_signal(signal.SIGINT)
            _, error = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 130
    assert "the same command goes on from there" in error
    assert "Traceback" not in error


def test_other_data_under_the_same_name_is_refused(tmp_path: Path) -> None:
    folder, rng = tmp_path / "images.npz", np.random.default_rng(0)
    np.savez(folder, arr_0=rng.integers(0, 255, (60, 6, 6, 1), dtype=np.uint8))
    words = [
        "run",
        "phase_transition",
        "--data",
        str(folder),
        "--n",
        "8",
        "--width",
        "8",
        "--subset",
        "0",
        "--steps",
        "5",
        "--samples",
        "8",
        "--solver-steps",
        "2",
        "--held",
        "20",
        "--store",
        str(tmp_path / "s"),
        "--on",
        "serial",
        "--quiet",
    ]
    assert main(words) == 0
    np.savez(folder, arr_0=rng.integers(0, 255, (60, 6, 6, 1), dtype=np.uint8))

    load.cache_clear()
    assert main(words) == 2


def test_unets_train_on_colour_images_of_odd_size(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    np.savez(tmp_path / "colour.npz", arr_0=rng.integers(0, 255, (40, 9, 9, 3), dtype=np.uint8))
    cells = grid(
        PhaseTransition,
        data=str(tmp_path / "colour.npz"),
        net="unet",
        n=[8, 12],
        width=8,
        steps=3,
        samples=6,
        solver_steps=2,
        held=16,
    )
    assert [len(job) for job in pending(cells, Store(tmp_path / "s"))] == [1, 1]
    rows = run(cells, tmp_path / "s", processes(2))
    assert PhaseTransition.found(rows[:1]).of("sample").one.shape == (6, 3, 9, 9)


def test_the_page_says_how_it_was_made(rows: list[Row]) -> None:
    runs = [{"command": "denoscope run x", "seconds": 1.0, "processes": 2}]
    page = PhaseTransition.page(rows, {"runs": runs})
    assert page.answer.startswith(
        "Wider networks need more images until they stop copying (ratio of"
    )
    titles = [section.title for section in page.sections]
    assert titles[-3:] == ["All cells", "What was run", "References"]
    assert {"Controls", "Quality", "Samples", "Reproducibility", "Memorization"} < set(titles)
    assert "denoscope run x" in str(page.sections[-2].blocks[0])
