"""Models of disjoint halves in small: decibels, cosines and overlaps against independent
computations, and a page for every kind of sweep.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from denoscope import Estimate, Gaussian, grid, run
from denoscope.cli import main
from denoscope.networks import dump, load
from denoscope.report import NARROW, Figure, Gallery
from denoscope.store import Row, Store
from denoscope.studies._geometry.groups import grouped
from denoscope.studies._geometry.halves import findings, measuring, psnr, reading
from denoscope.studies._geometry.halves.bases import between_places, overlap
from denoscope.studies._geometry.halves.pairs import collected
from denoscope.studies._geometry.subject import Data, Subject
from denoscope.studies._source import Source, truth
from denoscope.studies.disjoint_halves import DisjointHalves
from denoscope.studies.phase_transition import PhaseTransition
from denoscope.study import Result, swept

SMALL: dict[str, Any] = {"width": 8, "steps": 40, "samples": 20, "solver_steps": 4, "held": 60}
DIGITS = Data(Source("digits"), None, 60, 200, 0)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny sweep with its report, by the command line."""
    path = tmp_path_factory.mktemp("sweep")
    words = (
        "run disjoint_halves --n 8 100 --width 8 --steps 40 --samples 20 "
        "--solver-steps 4 --held 60 --on serial --quiet --store"
    )
    assert main([*words.split(), str(path)]) == 0
    return path


@pytest.fixture(scope="module")
def rows(store: Path) -> list[Row]:
    """The sweep's cells: two sizes, both halves, two seeds."""
    return Store(store).rows()


def _measured(data: Data, denoiser: Any) -> Result:
    return measuring.measure(Subject(denoiser, data, 20, 4))


def test_keys_and_defaults_are_frozen() -> None:
    """Golden, written by this class: defaults are part of a key's meaning, so a change of either
    must raise ``version``.
    """
    golden = json.loads((Path(__file__).parent / "golden_keys.json").read_text())["disjoint_halves"]
    cells = {
        "default": DisjointHalves(),
        "n=8": DisjointHalves(n=8, subset=1, seed=1),
        "fashion": DisjointHalves(data="fashion_mnist", net="unet"),
    }
    assert golden["version"] == DisjointHalves.version
    assert golden["keys"] == {name: item.key() for name, item in cells.items()}
    assert golden["defaults"] == json.loads(json.dumps(DisjointHalves().fields()))


def test_the_default_sweep_is_all_feasible_and_its_halves_are_disjoint() -> None:
    cells = grid(DisjointHalves, **swept(DisjointHalves))
    assert len(cells) == 5 * 2 * 2
    largest = max(cell.n for cell in cells)
    first, second = (Data(Source("digits"), None, 261, largest, which) for which in (0, 1))
    both = torch.cat([first.train(), second.train()]).flatten(1)
    assert torch.equal(both.sort(0).values, first.pool().flatten(1).sort(0).values)


def test_decibels_are_those_of_images_in_the_unit_interval() -> None:
    """By definition, on images moved to [0, 1]: 10 log10(1 / MSE)."""
    generator = torch.Generator().manual_seed(0)
    clean = torch.rand(40, 64, generator=generator, dtype=torch.float64) * 2 - 1
    for db in (-10.0, 0.0, 15.0, 40.0):
        noisy = clean + float(psnr.level(db)) * torch.randn(
            40, 64, generator=generator, dtype=torch.float64
        )
        moved = ((noisy + 1) / 2 - (clean + 1) / 2).square()
        found = psnr.output((noisy - clean).square().mean(1).numpy())
        assert found.value == pytest.approx(-10 * math.log10(float(moved.mean())))
        assert abs(found.value - db) < found.high - found.low
    assert psnr.INPUTS[psnr.at(15.0)] == 15.0


def test_the_interval_of_a_gap_covers() -> None:
    """Log-normal errors of two sets of images with a known ratio of means; the share of covering
    intervals over 1 000 draws.
    """
    rng, covered = np.random.default_rng(0), 0
    for _ in range(1000):
        train, test = (
            scale * rng.lognormal(sigma=0.6, size=n) for scale, n in ((1.0, 30), (3.0, 100))
        )
        found = psnr.gap(train, test)
        covered += found.low <= 10 * math.log10(3) <= found.high
    assert 0.91 < covered / 1000 < 0.98


def test_gaps_of_errors_without_spread_or_without_error() -> None:
    assert psnr.gap(np.full(5, 0.1), np.full(9, 0.2)).value == pytest.approx(10 * math.log10(2))
    assert psnr.gap(np.full(5, 0.1), np.full(9, 0.2)).low == pytest.approx(10 * math.log10(2))
    assert math.isnan(psnr.output(np.zeros(4)).value)
    assert math.isinf(psnr.gap(np.array([0.1]), np.full(9, 0.2)).high)


def test_errors_are_averaged_over_the_noises_of_an_image() -> None:
    few = Data(Source("digits"), None, 60, 8, 0)
    denoiser = Gaussian.from_data(few.train())
    arrays = _measured(few, denoiser).arrays
    assert arrays["error_train"].shape == (11, 8)
    level = float(psnr.level(10.0))
    subject = Subject(denoiser, few)
    count = 8 * (measuring.POINTS // 8)
    x = subject.noisy("train", count, level)
    squares = (
        (denoiser(x, torch.tensor(level)) - subject.clean("train", count))
        .square()
        .flatten(1)
        .mean(1)
        .reshape(-1, 8)
    )
    assert np.allclose(arrays["error_train"][psnr.at(10.0)], squares.mean(0).numpy(), rtol=1e-4)
    assert np.allclose(arrays["error_train"], arrays["error_train_gaussian"], rtol=1e-5)


def test_the_gaussian_in_the_models_place_has_principal_components_as_harmonics() -> None:
    gaussian = DIGITS.gaussian()
    arrays = _measured(DIGITS, gaussian).arrays
    lam, vectors = np.linalg.eigh(np.cov(DIGITS.train().flatten(1).double().numpy().T, bias=True))
    s = float(psnr.level(measuring.HARMONIC))
    assert np.allclose(arrays["values"], (lam / (lam + s**2))[::-1], atol=1e-4)
    leading = np.broadcast_to(vectors[:, ::-1].T[: measuring.LEADING], arrays["vectors"].shape)
    assert np.allclose(overlap(arrays["vectors"], leading.astype(np.float32)), 1, atol=1e-5)
    assert np.allclose(between_places([arrays]), 1, atol=1e-6), "the basis does not adapt"
    assert np.allclose(arrays["samples"], arrays["samples_gaussian"], atol=1e-5)


def test_overlap_is_that_of_projectors() -> None:
    rng = np.random.default_rng(1)
    u, v = (np.linalg.qr(rng.normal(size=(30, 5)))[0] for _ in range(2))
    projected = np.trace(u @ u.T @ v @ v.T) / 5
    assert overlap(u.T[None], v.T[None])[0] == pytest.approx(projected)
    many = [np.linalg.qr(rng.normal(size=(2000, 30, 5)))[0] for _ in range(2)]
    random = overlap(*(basis.transpose(0, 2, 1) for basis in many))
    assert float(random.mean()) == pytest.approx(
        5 / 30, abs=5 * float(random.std()) / math.sqrt(2000)
    )


def test_pairs_are_those_of_halves_and_of_seeds(rows: list[Row]) -> None:
    every = collected(rows)
    assert [(item.kind, item.n, len(item.members)) for item in every] == [
        ("halves", 8, 2),
        ("seeds", 8, 2),
        ("halves", 100, 2),
        ("seeds", 100, 2),
    ]
    arrays = {
        (row.fields["n"], row.fields["subset"], row.fields["seed"]): row.arrays() for row in rows
    }
    one, two = arrays[100, 0, 1], arrays[100, 1, 1]
    first, second = (member["samples"].astype(np.float64) for member in (one, two))
    first, second = (x - x.mean(1, keepdims=True) for x in (first, second))
    cosines = (first @ second.T) / np.outer(
        np.linalg.norm(first, axis=1), np.linalg.norm(second, axis=1)
    )
    halves = every[2]
    assert np.allclose(halves.cosines()[1], np.diag(cosines), atol=1e-5)
    assert halves.unlike[1].mean() == pytest.approx(
        (cosines.sum() - np.trace(cosines)) / (20 * 19), abs=1e-5
    )
    closer = [(np.diag(cosines) > member["similarity"]).mean() for member in (one, two)]
    assert halves.closer()[1].mean() == pytest.approx(
        np.mean(closer), abs=0.026
    )  # one tie by rounding at most
    plain = [(member["samples"] + 1) / 2 for member in (one, two)]
    expected = (plain[0] * plain[1]).sum(1) / (
        np.linalg.norm(plain[0], axis=1) * np.linalg.norm(plain[1], axis=1)
    )
    assert np.allclose(halves.plain()[1], expected, atol=1e-5)
    between = np.sqrt(np.mean((one["answers"] - two["answers"]) ** 2, -1)).mean(1)
    other = np.sqrt(
        np.mean((arrays[100, 0, 0]["answers"] - arrays[100, 1, 0]["answers"]) ** 2, -1)
    ).mean(1)
    assert np.allclose([e.value for e in halves.distances()], (between + other) / 2, rtol=1e-4)


def test_nearest_images_are_the_models_own(rows: list[Row]) -> None:
    row = next(row for row in rows if (row.fields["n"], row.fields["subset"]) == (100, 1))
    train = Data(Source("digits"), None, 60, 100, 1).train().flatten(1).double().numpy()
    arrays = row.arrays()
    a, b = (
        arrays["samples"] - arrays["samples"].mean(1, keepdims=True),
        train - train.mean(1, keepdims=True),
    )
    cosines = (a @ b.T) / np.outer(np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1))
    assert np.allclose(arrays["similarity"], cosines.max(1), atol=1e-5)
    assert (
        np.take_along_axis(cosines, arrays["nearest"][:, None], 1)[:, 0] > cosines.max(1) - 1e-6
    ).all()


def test_training_errors_of_halves_stand_side_by_side(rows: list[Row]) -> None:
    group = grouped(rows)[0]
    errors = reading.errors(group, "train")
    assert errors.shape == (11, 16)
    members = {
        (row.fields["subset"], row.fields["seed"]): arrays["error_train"]
        for row, arrays in zip(group.rows, group.arrays)
    }
    assert np.allclose(errors[:, :8], (members[0, 0] + members[0, 1]) / 2)
    assert np.allclose(errors[:, 8:], (members[1, 0] + members[1, 1]) / 2)
    assert reading.errors(group, "test").shape == (11, 60)


def test_where_halves_take_over(rows: list[Row]) -> None:
    """Two sizes whose differences are -a and +a cross half-way on log2 N; none that cross are
    beyond the sizes.
    """
    few, many = (item for item in collected(rows) if item.kind == "halves")

    class Fixed:
        def __init__(self, n: int, cosine: float):
            self.n, self.cosine = n, cosine

        def cosines(self) -> np.ndarray:
            return np.full((2, 20), self.cosine)

        def nearest(self) -> np.ndarray:
            return np.full((2, 20), 0.5)

    # two of its methods are all that is asked
    crossed = reading.takeover([Fixed(8, 0.3), Fixed(128, 0.7)])  # pyright: ignore[reportArgumentType]
    assert crossed.value == pytest.approx(32)
    assert crossed.low == crossed.high == pytest.approx(32)
    # as above
    assert reading.takeover([Fixed(8, 0.3), Fixed(128, 0.4)]).value == math.inf  # pyright: ignore[reportArgumentType]
    assert isinstance(reading.takeover([few, many]), Estimate)


def test_the_command_writes_a_report(store: Path, rows: list[Row]) -> None:
    text = (store / "report.html").read_text()
    assert "Geometry-adaptive harmonic bases" in text
    assert "is left out" not in text
    blocks = [block for section in DisjointHalves.sections(rows) for block in section.blocks]
    names = [block.name for block in blocks if isinstance(block, Figure)]
    assert len(names) == len(set(names)) == 7
    assert all(
        name.startswith("disjoint_halves_") and (store / "figures" / f"{name}.svg").is_file()
        for name in names
    )
    assert sum(isinstance(block, Gallery) for block in blocks) == 2 + 4
    assert len((store / "comparisons.csv").read_text().splitlines()) == 1 + 4


@pytest.mark.parametrize("kept", ["one", "half", "size", "widths"])
def test_pages_of_incomplete_sweeps_build(rows: list[Row], kept: str) -> None:
    wider = [
        Row(
            row.key[::-1], row.study, 1, {**row.fields, "width": 16}, row.values, row.made, row.path
        )
        for row in rows
    ]
    chosen = {
        "one": rows[:1],
        "half": [row for row in rows if row.fields["subset"] == 0],
        "size": [row for row in rows if row.fields["n"] == 8],
        "widths": [*rows, *wider],
    }[kept]
    page = DisjointHalves.page(chosen, {})
    for section in page.sections:
        for block in section.blocks if kept == "one" else []:
            if isinstance(block, Figure) and callable(block.figure):
                block.figure(NARROW)
    text = str(page)
    assert ("is left out" in text) == (kept in ("one", "half"))
    assert ("Width 16. " in text) == (kept == "widths")


def test_a_stopped_training_is_listed(rows: list[Row]) -> None:
    broken = Row(
        "0" * 16,
        rows[0].study,
        1,
        {**rows[0].fields, "n": 32},
        {"stopped": "the loss is not finite"},
    )
    assert "N = 32" in str(DisjointHalves.page([*rows, broken], {}).sections[0].blocks[0])
    assert DisjointHalves.compare([broken]) == []
    with pytest.raises(ValueError, match="lower --lr"):
        DisjointHalves.page([broken], {})


def test_given_models_get_the_numbers_of_the_trained_ones(rows: list[Row], tmp_path: Path) -> None:
    main_job = run(grid(PhaseTransition, n=100, subset=[0, 1], **SMALL), Store(tmp_path / "main"))
    cells = [
        DisjointHalves(model=str(row.path), n=100, subset=which, **SMALL)
        for which, row in enumerate(main_job)
    ]
    again = run(cells, Store(tmp_path / "given"))
    for row in again:
        trained = next(
            r
            for r in rows
            if (r.fields["n"], r.fields["subset"], r.fields["seed"])
            == (100, row.fields["subset"], 0)
        )
        a, b = row.arrays(), trained.arrays()
        for name in ("samples", "error_train", "error_test", "answers", "values"):
            assert np.allclose(a[name], b[name], rtol=1e-3, atol=1e-3), name
    assert [item.kind for item in collected(again)] == ["halves"]


def test_two_files_are_compared_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = []
    for row in run(grid(PhaseTransition, n=[8, 64], **SMALL), Store(tmp_path / "main")):
        assert row.path is not None
        files.append(tmp_path / f"net{row.fields['n']}.safetensors")
        files[-1].write_bytes(dump(load(row.path / "model.safetensors")))
    words = (
        f"run disjoint_halves --model {files[0]} {files[1]} --n 0 --subset 0 --seed 0 "
        "--samples 10 --solver-steps 4 --on serial --quiet --store"
    )
    assert main([*words.split(), str(tmp_path / "s")]) == 0
    text = Path(capsys.readouterr().out.strip().splitlines()[-1]).read_text()
    assert "net64 and net8: samples from the same noise have cosine" in text
    assert "is left out" not in text
    assert (tmp_path / "s" / "figures" / "disjoint_halves_histograms.svg").is_file()


def test_where_the_truth_is_known_it_is_beside() -> None:
    data = Data(Source("molrg"), None, 100, 256, 0)
    known = truth(Source("molrg"))
    assert known is not None
    result = _measured(data, known)
    assert np.allclose(result.arrays["error_test"], result.arrays["error_test_truth"], rtol=1e-4)
    values = result.arrays["values"]
    assert values.min() > -1e-3, "the truth's Jacobian is a covariance"
    row = Row(
        "0" * 16,
        "disjoint_halves",
        1,
        DisjointHalves(data="molrg", held=100, n=256).fields(),
        dict(result.values),
    )
    assert row.fields["data"] == "molrg"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--n 1", "--n 1: a training set needs at least 2 images"),
        ("--n 900 --subset 1", "two disjoint subsets of 900 do not fit into 1536 images"),
        ("--subset 2", "--subset 2: there are two subsets, 0 and 1"),
        ("--model nowhere.safetensors", "there is no file nowhere.safetensors"),
    ],
)
def test_bad_input_is_one_line(
    words: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "disjoint_halves", *words.split(), "--store", str(tmp_path / "s")]) == 2
    assert said in capsys.readouterr().err.strip().splitlines()[-1]


def test_agreement_of_models_that_learned_little_is_no_success(rows: list[Row]) -> None:
    """Networks after 40 steps agree, but denoise worse than the Gaussian of 100 images; the
    Gaussians themselves are not better either.
    """
    group = grouped(rows)[1]
    assert not reading.learned(group)
    assert findings.verdict(True, group) == "neutral"
    assert findings.verdict(False, group) == "absent"
    assert "learn little" in findings.caution(group)
