"""The study of generic networks on mixtures of low-rank Gaussians: its cells do not depend on their
fleet, its claims follow what was planted, its figures are drawn.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from denoscope import Estimate, grid, run
from denoscope.cli import main
from denoscope.report.blocks import Figure
from denoscope.report.claims import Claim
from denoscope.report.story import Story
from denoscope.store import Row, Store
from denoscope.studies.molrg_network import MolrgNetwork, noises
from denoscope.study import pending, swept

TINY = {"n": 12, "width": 8, "steps": 30, "batch_size": 16, "samples": 40, "solver_steps": 4}


def _number(value: object) -> float:
    assert isinstance(value, Estimate | float | int)
    return float(value)


@pytest.fixture(scope="module")
def rows(tiny: Callable[[str, str], list[Row]]) -> list[Row]:
    """A small sweep that goes from copying to generalizing."""
    return tiny("molrg_network", "mixtures")


def test_keys_and_defaults_are_frozen() -> None:
    """Golden, written by this class: defaults are part of a key's meaning, so a change of either
    must raise ``version``.
    """
    golden = json.loads((Path(__file__).parent / "golden_keys.json").read_text())["molrg_network"]
    cells = {
        "default": MolrgNetwork(),
        "d=3": MolrgNetwork(d=3),
        "unet": MolrgNetwork(net="unet", n_k=16),
    }
    assert golden["version"] == MolrgNetwork.version
    assert golden["keys"] == {name: item.key() for name, item in cells.items()}
    assert golden["defaults"] == json.loads(json.dumps(MolrgNetwork().fields()))


def test_the_sweep_draws_every_cell_anew_and_plans_each_once() -> None:
    cells = grid(MolrgNetwork, **swept(MolrgNetwork))
    assert len(cells) == 4 * 7 * 3
    assert len({cell.run_seed() for cell in cells}) == len(cells)
    jobs = MolrgNetwork.plan(cells)
    assert sorted(cell.key() for job in jobs for cell in job) == sorted(
        cell.key() for cell in cells
    )
    assert all(len({cell.d for cell in job}) == 1 for job in jobs)
    assert {frozenset(cell.key() for cell in job) for job in MolrgNetwork.plan(cells[::-1])} == {
        frozenset(c.key() for c in job) for job in jobs
    }


@pytest.mark.parametrize(
    ("n", "made"), [(48, (3, 4, 4)), (64, (1, 8, 8)), (12, (3, 2, 2)), (50, (2, 5, 5))]
)
def test_unets_see_images(n: int, made: tuple[int, ...]) -> None:
    assert MolrgNetwork(net="unet", n=n).shape() == made
    assert MolrgNetwork(net="mlp", n=n).shape() == (n,)


def test_noises_of_a_sample_are_functions_of_its_number() -> None:
    assert torch.equal(noises(5, 4), noises(9, 4)[:5])


def test_a_cell_does_not_depend_on_its_fleet(rows: list[Row]) -> None:
    row = next(r for r in rows if (r.fields["d"], r.fields["n_k"], r.fields["seed"]) == (2, 8, 1))
    alone = MolrgNetwork(**row.fields).run()  # pyright: ignore[reportArgumentType]
    for name in ("gl", "nearest", "energy"):
        assert _number(alone.values[name]) == pytest.approx(_number(row.values[name]), rel=0.02)


def test_runs_are_the_units_of_every_value(rows: list[Row]) -> None:
    found = MolrgNetwork.found(rows)
    assert (found.of("gl").along("d"), found.of("gl").along("n_k")) == ([2, 3], [2, 8, 48])
    here = [r for r in rows if (r.fields["d"], r.fields["n_k"]) == (3, 8)]
    units = found.of("gl", d=3, n_k=8).one
    assert units[:, 0].tolist() == [_number(r.values["gl"]) for r in here]
    width = [v.high - v.low for r in here if isinstance(v := r.values["gl"], Estimate)]
    np.testing.assert_allclose(units[:, 1] * 2 * 1.959964, width, rtol=1e-6)
    added = [_number(r.values["distance"]) / _number(r.values["between"]) for r in here]
    np.testing.assert_allclose(found.of("added", d=3, n_k=8).one[:, 0], added)


def test_a_small_network_copies_few_points_and_not_many(rows: list[Row]) -> None:
    few, many = (
        [r.values for r in rows if (r.fields["d"], r.fields["n_k"]) == (2, n_k)] for n_k in (2, 48)
    )
    assert all(_number(v["gl"]) < 0.1 and _number(v["nearest"]) > 0.9 for v in few)
    assert all(min(_number(v["gl"]), _number(v["gl_within"])) > 0.4 for v in many)


def test_figures_are_drawn(rows: list[Row]) -> None:
    told = MolrgNetwork.told(rows)
    blocks = [*told.opening, *(block for part in told.sections for block in part.blocks)]
    figures = {block.name: block for block in blocks if isinstance(block, Figure)}
    assert set(figures) == {"transition", "half_points", "controls", "places"}
    for block in figures.values():
        assert block.figure(3.6).get_figwidth() == 3.6  # pyright: ignore[reportCallIssue]


def _row(d: int, n_k: int, seed: int, gl: float) -> Row:
    score = Estimate(gl, gl - 0.02, gl + 0.02, 100)
    values = dict.fromkeys(("gl", "gl_within", "gl_unsquared"), score)
    values |= {
        "gl_memorizer": Estimate(0.0, 0.0, 0.0, 100),
        "gl_truth": Estimate(1.0, 0.9, 1.1, 100),
    }
    numbers = dict.fromkeys(("inside", "nearest", "energy"), 0.98)
    numbers |= {"distance": 0.02, "distance_fresh": 0.0, "between": 0.5}
    fields = {**MolrgNetwork(d=d, n_k=n_k, seed=seed).fields()}
    made = {"seconds": 1.0, "versions": {}}
    return Row(f"{d}-{n_k}-{seed}", "molrg_network", 2, fields, {**values, **numbers}, made)


def _planted(shift: float, noise: float = 0.02) -> list[Row]:
    """GL is a logistic of log2 N_k, one half at 16 d^shift."""
    rng = np.random.default_rng(1)
    logits = {
        (d, size): (math.log2(size) - 4 - shift * math.log2(d)) * math.log(3)
        for d in (3, 4, 5, 6)
        for size in (2, 4, 8, 16, 32, 64, 128, 256, 512)
    }
    return [
        _row(d, size, seed, 1 / (1 + math.exp(-logit)) + noise * rng.standard_normal())
        for (d, size), logit in logits.items()
        for seed in range(3)
    ]


def _claim(told: Story, words: str) -> Claim:
    return next(claim for claim in told.claims if words in claim.says)


@pytest.mark.parametrize(("shift", "verdict"), [(1.0, "supported"), (0.0, "contradicted")])
def test_claims_know_whether_curves_collapse(shift: float, verdict: str) -> None:
    told = MolrgNetwork.told(_planted(shift))
    assert _claim(told, "Points per dimension decide").verdict() == verdict
    together = _claim(told, "the curves draw together")
    assert together.verdict() == verdict
    assert _claim(told, "samples lie near one subspace").verdict() == "supported"
    half = _claim(told, "for a GL of one half").each()[0].value
    middle = math.exp(np.mean(np.log([3, 4, 5, 6])))
    assert half.value == pytest.approx(16 * middle ** (shift - 1), rel=0.1)


def test_stopped_cells_are_listed_and_left_out(rows: list[Row]) -> None:
    broken = replace(rows[0], values={"stopped": "stopped at step 3: loss is nan"})
    assert len(MolrgNetwork.found([broken, *rows[1:]]).of("gl", d=2, n_k=2).one) == 1
    run_table = MolrgNetwork.page([broken, *rows[1:]], {}).sections[-2].blocks[0]
    assert "loss is nan" in str(run_table)
    with pytest.raises(ValueError, match="training of every cell stopped"):
        MolrgNetwork.page([broken], {})


def test_unets_run(tmp_path: Path) -> None:
    cells = grid(
        MolrgNetwork,
        net="unet",
        d=[2],
        n_k=[2, 3],
        **{**TINY, "steps": 2, "samples": 6, "solver_steps": 2},
    )
    assert [len(job) for job in pending(cells, Store(tmp_path))] == [1, 1]
    rows = run(cells, tmp_path)
    assert np.isfinite(_number(rows[0].values["gl"]))


def test_a_diverging_training_is_recorded_not_raised(tmp_path: Path) -> None:
    rows = run(grid(MolrgNetwork, n_k=4, lr=1e30, **TINY), tmp_path)
    assert "step" in str(rows[0].values["stopped"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--d", "30"], "do not fit"),
        (["--k", "20"], "do not fit"),
        (["--n-k", "0"], "--n-k 0: must be at least 1"),
        (["--d", "0"], "--d 0: must be at least 1"),
        (["--noise", "-1"], "--noise -1.0: must be at least 0"),
        (["--noise", "nan"], "--noise nan"),
        (["--lr", "0"], "--lr 0.0: must be a positive number"),
        (["--ema", "1"], "below 1"),
        (["--samples", "1"], "--samples 1: must be at least 2"),
        (["--net", "unet", "--n", "47"], "channels x side x side"),
        (["--net", "resnet"], "not valid"),
        (["--nk", "4"], "did you mean --n-k"),
    ],
)
def test_bad_input_costs_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert main(["run", "molrg_network", *words, "--store", str(tmp_path / "s"), "--quiet"]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "s").exists()
