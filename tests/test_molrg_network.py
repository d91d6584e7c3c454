"""The study of generic networks on mixtures of low-rank Gaussians: its score against brute force,
its crossings against known curves, its page.
"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rates import sigmas
from scipy.spatial.distance import cdist

from denoscope import Estimate, grid, run
from denoscope.cli import main
from denoscope.distributions import MoLRG
from denoscope.random import generator
from denoscope.report import Finding
from denoscope.store import Row, Store
from denoscope.studies._molrg.network import measuring, page
from denoscope.studies._molrg.network.halfway import DRAWS, Crossings, Scores, scores
from denoscope.studies._molrg.network.setting import FRESH, Place, shape, stacked
from denoscope.studies.molrg_network import MolrgNetwork
from denoscope.study import pending, swept

TINY = {"n": 12, "width": 8, "steps": 30, "batch_size": 16, "samples": 40, "solver_steps": 4}


def _place(**changed: float) -> Place:
    fields = {
        "n": 20,
        "k": 3,
        "d": 2,
        "n_k": 5,
        "noise": 0.0,
        "seed": 0,
        "samples": 300,
        "solver_steps": 18,
    } | changed
    return Place(**fields)  # pyright: ignore[reportArgumentType]: whole numbers where they must be


def _number(value: object) -> float:
    assert isinstance(value, Estimate | float | int)
    return float(value)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A tiny sweep, measured once."""
    found = Store(tmp_path_factory.mktemp("sweep"))
    run(grid(MolrgNetwork, d=[2, 3], n_k=[2, 8, 40], seed=[0, 1], **TINY), found)
    return found


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
    assert len({cell.place().run_seed() for cell in cells}) == len(cells)
    jobs = MolrgNetwork.plan(cells)
    assert sorted(cell.key() for job in jobs for cell in job) == sorted(
        cell.key() for cell in cells
    )
    assert all(len({cell.d for cell in job}) == 1 for job in jobs)
    assert {frozenset(cell.key() for cell in job) for job in MolrgNetwork.plan(cells[::-1])} == {
        frozenset(c.key() for c in job) for job in jobs
    }


@pytest.mark.parametrize(("n", "k", "d", "n_k"), [(48, 2, 3, 4), (10, 3, 3, 7), (5, 1, 4, 1)])
def test_data_have_exactly_n_k_points_of_each_of_k_orthogonal_subspaces(
    n: int, k: int, d: int, n_k: int
) -> None:
    found = _place(n=n, k=k, d=d, n_k=n_k).instance()
    assert found.train.shape == (k * n_k, n)
    assert found.fresh.shape == (k * FRESH, n)
    joint = torch.cat(list(found.truth.bases), 1)
    assert torch.allclose(joint.T @ joint, torch.eye(k * d, dtype=torch.float64), atol=1e-12)
    for index, basis in enumerate(found.truth.bases):
        mine = found.train[index * n_k : (index + 1) * n_k]
        assert torch.allclose(mine @ basis @ basis.T, mine, atol=1e-12)
    assert float(found.fresh.square().mean()) == pytest.approx(
        d / n, rel=sigmas() * math.sqrt(2 / (d * k * FRESH))
    )


def test_ambient_noise_is_in_the_data_and_in_their_spread() -> None:
    place = _place(noise=0.3, n_k=2000)
    found = place.instance()
    count = found.train.numel()
    assert float(found.train.square().mean()) == pytest.approx(
        place.spread() ** 2, abs=sigmas() * math.sqrt(60 / count)
    )
    away = measuring.shares(found.fresh, found.truth)["distance"]
    assert isinstance(away, Estimate)
    assert (
        0.9 * 0.3**2 * 16 < away.value < 0.3**2 * 18
    )  # n - d = 18 directions, less what choosing among three subspaces takes


def test_stacked_sets_are_those_of_each_cell() -> None:
    places = [_place(n_k=3), _place(n_k=9), _place(n_k=3, seed=1)]
    points, rows = stacked(places)
    for place, mine in zip(places, rows):
        assert torch.equal(points[mine], place.instance().train.float())


def test_scores_are_those_of_brute_force() -> None:
    place = _place(n_k=6, samples=50)
    found = place.instance()
    generated = torch.randn(50, 20, generator=generator(7)) * 0.4
    values = measuring.measure(place, generated).values
    data, train, fresh = (rows.double().numpy() for rows in (generated, found.train, found.fresh))

    def nearest(rows: np.ndarray) -> np.ndarray:
        return cdist(rows, train).min(1)

    assert _number(values["gl"]) == pytest.approx(
        (nearest(data) ** 2).mean() / (nearest(fresh) ** 2).mean(), rel=1e-5
    )
    assert _number(values["gl_unsquared"]) == pytest.approx(
        nearest(data).mean() / nearest(fresh).mean(), rel=1e-5
    )
    parts = np.stack([data @ basis.numpy() @ basis.numpy().T for basis in found.truth.bases])
    length = (parts**2).sum(-1)
    inner = parts[length.argmax(0), np.arange(50)]
    assert _number(values["gl_within"]) == pytest.approx(
        (nearest(inner) ** 2).mean() / (nearest(fresh) ** 2).mean(), rel=1e-5
    )
    total = (data**2).sum()
    assert _number(values["inside"]) == pytest.approx(length.sum() / total, rel=1e-6)
    assert _number(values["nearest"]) == pytest.approx(length.max(0).sum() / total, rel=1e-6)
    assert _number(values["distance"]) == pytest.approx(
        ((data - inner) ** 2).sum(1).mean(), rel=1e-5
    )
    assert _number(values["energy"]) == pytest.approx(total / 50 / 2, rel=1e-6)


def test_shares_and_projections_hold_for_unequal_dimensions() -> None:
    truth = MoLRG.random(15, [1, 6, 3], orthogonal=False, seed=3)
    x = torch.randn(40, 15, generator=generator(1), dtype=torch.float64)
    away = [np.linalg.norm(x - x @ basis @ basis.T, axis=1) for basis in truth.bases]
    assert np.allclose(
        np.linalg.norm(x - measuring.projected(x, truth.bases), axis=1), np.min(away, 0)
    )


@pytest.mark.parametrize(("d", "n_k"), [(2, 4), (4, 60)])
def test_copies_score_zero_the_memorizer_too_and_fresh_points_score_one(d: int, n_k: int) -> None:
    place = _place(d=d, n_k=n_k, samples=1000)
    found = place.instance()
    copies = measuring.measure(place, found.train[torch.arange(1000) % len(found.train)]).values
    assert _number(copies["gl"]) < 1e-8
    assert _number(copies["gl_memorizer"]) < 1e-8
    more = found.truth.labelled([400] * 3, generator(99)).points
    fresh = measuring.measure(place, more).values
    for name in ("gl", "gl_within", "gl_unsquared"):
        e = fresh[name]
        assert isinstance(e, Estimate)
        assert abs(e.value - 1) < sigmas(6) * (e.high - e.low) / 3.92
    assert _number(fresh["inside"]) == pytest.approx(1, abs=1e-9)
    assert _number(fresh["nearest"]) == pytest.approx(1, abs=1e-9)
    assert _number(fresh["distance"]) < 1e-9
    assert 0.8 < _number(fresh["gl_truth"]) < 1.25


def test_isotropic_noise_is_no_novelty_by_its_shares() -> None:
    place = _place(n=40, d=2, k=2)
    values = measuring.measure(place, torch.randn(3000, 40, generator=generator(5))).values
    assert _number(values["gl"]) > 1
    assert _number(values["inside"]) == pytest.approx(4 / 40, abs=0.01)


def test_the_interval_of_a_ratio_covers() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(1000):
        e = measuring.ratio(rng.exponential(2.0, 300), rng.exponential(1.0, 900))
        hits += e.low <= 2 <= e.high
    assert abs(hits / 1000 - 0.945) < sigmas() * math.sqrt(0.05 * 0.95 / 1000)


def _curves(
    shift: float,
    noise: float = 0.0,
    runs: int = 3,
    dims: tuple[int, ...] = (3, 4, 6, 9),
    at: float = 16.0,
) -> list[Scores]:
    """GL is a logistic of log2 N_k, one half at at d^shift."""
    rng, sizes = np.random.default_rng(1), (2, 4, 8, 16, 32, 64, 128, 256, 512)
    made = []
    for d in dims:
        logits = [
            (math.log2(size) - math.log2(at) - shift * math.log2(d)) * math.log(3) for size in sizes
        ]
        values = tuple(
            1 / (1 + np.exp(-logit)) + noise * rng.standard_normal(runs) for logit in logits
        )
        made.append(Scores(d, sizes, values, tuple(np.zeros(runs) for _ in sizes)))
    return made


@pytest.mark.parametrize("shift", [0.0, 1.0, 1.5])
def test_crossings_know_what_decides(shift: float) -> None:
    at = Crossings.of(_curves(shift), 0.5)
    assert at.complete
    assert at.slope().value == pytest.approx(shift, abs=0.05)
    octaves = math.log2(9 / 3)
    assert at.spread(by_dimension=False).value == pytest.approx(shift * octaves, abs=0.05)
    assert at.spread(by_dimension=True).value == pytest.approx(abs(shift - 1) * octaves, abs=0.05)
    assert at.narrowing().value == pytest.approx((abs(shift - 1) - shift) * octaves, abs=0.1)
    mean = math.exp(np.mean(np.log([3, 4, 6, 9])))
    assert at.ratio().value == pytest.approx(16 * mean ** (shift - 1), rel=0.05)
    assert [e.value / d for e, d in zip(at.sizes(), at.dims)] == pytest.approx(
        [e.value for e in at.ratios()]
    )


def test_intervals_hold_the_truth_and_widen_with_the_spread_of_runs() -> None:
    narrow, wide = (Crossings.of(_curves(1.0, noise, runs=8), 0.5) for noise in (0.01, 0.08))
    for at in (narrow, wide):
        assert at.slope().low < 1 < at.slope().high
        assert at.ratio().low < 16 < at.ratio().high
        assert at.narrowing().high < 0
    assert wide.slope().high - wide.slope().low > 3 * (narrow.slope().high - narrow.slope().low)
    assert wide.chance() > 3 * narrow.chance() > 0
    assert narrow.spread(by_dimension=True).value < 6 * narrow.chance()


def test_the_sampling_error_of_single_runs_makes_an_interval() -> None:
    exact = _curves(1.0, runs=1)
    unsure = [
        Scores(item.d, item.sizes, item.values, tuple(np.full(1, 0.05) for _ in item.sizes))
        for item in exact
    ]
    sharp, blurred = Crossings.of(exact, 0.5).ratio(), Crossings.of(unsure, 0.5).ratio()
    assert sharp.high - sharp.low < 1e-9
    assert blurred.high - blurred.low > 0.5


def test_a_level_beyond_the_sizes_is_said_and_not_extrapolated() -> None:
    at = Crossings.of(
        [
            *_curves(1.0, dims=(3,)),
            *_curves(1.0, dims=(4,), at=4000.0),
            *_curves(1.0, dims=(6,), at=1e-3),
        ],
        0.5,
    )
    assert [e.value for e in at.sizes()][1:] == [math.inf, 0.0]
    assert not at.complete
    for e in (at.slope(), at.ratio(), at.spread(by_dimension=True), at.narrowing()):
        assert math.isnan(e.value)
    assert math.isnan(at.chance())
    assert math.isnan(Crossings.of(_curves(1.0, dims=(4,)), 0.5).slope().value)
    sometimes = Crossings(
        0.5,
        (3, 6),
        np.array([5.0, 6.0]),
        np.where(np.arange(DRAWS) < 200, np.inf, [[5.0], [6.0]]),
        "",
    )
    assert sometimes.slope().low == -math.inf
    assert sometimes.slope().high == math.inf
    assert sometimes.ratio().low == pytest.approx(
        sometimes.ratio().value
    )  # a tenth of the draws lies above the sizes, none below
    assert sometimes.ratio().high == math.inf


@pytest.mark.parametrize(
    ("n", "made"), [(48, (3, 4, 4)), (64, (1, 8, 8)), (12, (3, 2, 2)), (50, (2, 5, 5))]
)
def test_unets_see_images(n: int, made: tuple[int, ...]) -> None:
    assert shape("unet", n) == made
    assert shape("mlp", n) == (n,)


def test_a_cell_does_not_depend_on_its_fleet(store: Store) -> None:
    item = grid(MolrgNetwork, d=3, n_k=8, seed=1, **TINY)[0]
    row = store.get(item.key())
    assert row is not None
    alone = item.run()
    assert np.abs(alone.arrays["samples"] - row.arrays()["samples"]).max() < 1e-3
    assert _number(alone.values["gl"]) == pytest.approx(_number(row.values["gl"]), rel=1e-3)


def test_scores_are_read_from_cells(store: Store) -> None:
    found = scores(store.rows(), "gl")
    assert [item.d for item in found] == [2, 3]
    assert all(
        item.sizes == (2, 8, 40) and [len(v) for v in item.values] == [2, 2, 2] for item in found
    )
    rows = [row for row in store.rows() if row.fields["d"] == 3 and row.fields["n_k"] == 8]
    assert (
        Crossings.of(scores(store.rows()[::-1], "gl"), 0.5).ratios()
        == Crossings.of(found, 0.5).ratios()
    )
    assert found[1].means[1] == pytest.approx(np.mean([_number(row.values["gl"]) for row in rows]))


def test_a_small_network_copies_few_points_and_not_many() -> None:
    fields = {
        "n": 12,
        "k": 2,
        "d": 2,
        "width": 32,
        "steps": 800,
        "lr": 1e-2,
        "batch_size": 32,
        "samples": 300,
    }
    few, many = (
        result.values for _, result in MolrgNetwork.batch(grid(MolrgNetwork, n_k=[2, 32], **fields))
    )
    assert _number(few["gl"]) < 0.1
    assert _number(few["nearest"]) > 0.95
    assert min(_number(many["gl"]), _number(many["gl_within"])) > 0.4


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
    assert rows[0].arrays()["samples"].shape == (6, 12)
    assert np.isfinite(_number(rows[0].values["gl"]))


def test_the_command_writes_report_tables_and_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [f"--{name.replace('_', '-')}={value}" for name, value in TINY.items()]
    words = [
        "run",
        "molrg_network",
        "--d",
        "2",
        "3",
        "--n-k",
        "2",
        "20",
        "--seed",
        "0",
        *words,
        "--store",
        str(tmp_path),
        "--on",
        "serial",
    ]
    assert main([*words, "--quiet"]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    for title in (
        "What was found",
        "The transition",
        "Crossings",
        "Novelty or noise",
        "All 4 cells",
        "What was run",
    ):
        assert title in text
    assert {path.stem for path in (tmp_path / "figures").glob("*.svg")} == {
        "transition",
        "half_points",
        "controls",
        "places",
    }
    assert len(json.loads((tmp_path / "table.json").read_text())) == 4
    assert Store(tmp_path).check() == []


def _row(d: int, n_k: int, seed: int, gl: float) -> Row:
    score = Estimate(gl, gl - 0.02, gl + 0.02, 100)
    values = dict.fromkeys(("gl", "gl_within", "gl_unsquared"), score)
    values |= {
        "gl_memorizer": Estimate(0.0, 0.0, 0.0, 100),
        "gl_truth": Estimate(1.0, 0.9, 1.1, 100),
    }
    numbers = {
        "inside": 0.99,
        "nearest": 0.98,
        "distance": 0.02,
        "distance_fresh": 0.0,
        "between": 0.5,
        "energy": 1.0,
    }
    fields = {**MolrgNetwork(d=d, n_k=n_k, seed=seed).fields()}
    return Row(
        f"{d}-{n_k}-{seed}",
        "molrg_network",
        1,
        fields,
        {**values, **numbers},
        {"seconds": 1.0, "versions": {}},
    )


@pytest.mark.parametrize(("shift", "status"), [(1.0, "good"), (0.0, "absent")])
def test_the_page_says_whether_curves_collapse(shift: float, status: str) -> None:
    made = _curves(shift, 0.02, dims=(3, 4, 5, 6))
    rows = [
        _row(item.d, size, seed, gl)
        for item in made
        for size, runs in zip(item.sizes, item.values)
        for seed, gl in enumerate(runs)
    ]
    found = [
        block
        for block in page.build(rows, {}, ("wang2024",)).sections[0].blocks
        if isinstance(block, Finding)
    ]
    verdict = next(block for block in found if "half-points" in block.headline)
    assert verdict.status == status
    need = next(block for block in found if "for a GL of one half" in block.headline)
    assert f"{Crossings.of(scores(rows, 'gl'), 0.5).ratio().value:.3g}" in need.headline


def test_stopped_cells_are_listed_and_left_out(store: Store) -> None:
    rows = store.rows()
    broken = replace(rows[0], values={"stopped": "stopped at step 3: loss is nan"})
    first = page.build([broken, *rows[1:]], {}, ()).sections[0].blocks[0]
    assert "loss is nan" in getattr(first, "headline", "")
    with pytest.raises(ValueError, match="training of every cell stopped"):
        page.build([broken], {}, ())


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
