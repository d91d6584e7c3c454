"""Models of disjoint halves in small: cosines, errors and bases against independent computations,
and a page for every kind of sweep.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import SMALL

from denoscope import Gaussian, grid, run
from denoscope.cli import main
from denoscope.data.sources import Source, truth
from denoscope.data.splits import Split
from denoscope.geometry import overlap
from denoscope.metrics import psnr
from denoscope.readings import Readings, expanded
from denoscope.report import Figure, Gallery
from denoscope.report.claims import Claim
from denoscope.store import Row, Store
from denoscope.studies._subject import Subject
from denoscope.studies.disjoint_halves import (
    HARMONIC,
    LEADING,
    QUANTITIES,
    DisjointHalves,
    better,
    by_images,
    compared,
    elsewhere,
)
from denoscope.studies.phase_transition import PhaseTransition
from denoscope.study import swept
from denoscope.sweep import write_all

DIGITS = Split(Source("digits"), None, 60, 200, 0)


@pytest.fixture(scope="module")
def rows(tiny: Callable[[str, str], list[Row]]) -> list[Row]:
    """The cells of a tiny sweep: two sizes, both halves, two seeds."""
    return tiny("disjoint_halves", "digits")


@pytest.fixture(scope="module")
def found(rows: list[Row]) -> Readings:
    return DisjointHalves.found(rows)


def _measured(data: Split, denoiser: Any) -> Readings:
    return expanded(DisjointHalves().readings(Subject(denoiser, data, 20, 4)), QUANTITIES)


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
    first, second = (Split(Source("digits"), None, 261, largest, which) for which in (0, 1))
    both = torch.cat([first.train(), second.train()]).flatten(1)
    assert torch.equal(both.sort(0).values, first.pool().flatten(1).sort(0).values)


def test_errors_are_averaged_over_the_noises_of_an_image() -> None:
    few = Split(Source("digits"), None, 60, 8, 0)
    denoiser = Gaussian.from_data(few.train())
    error = _measured(few, denoiser).of("error", images="train")
    level, subject, count = float(psnr.noise_level(10.0)), Subject(denoiser, few), 8 * 16
    x = subject.noisy("train", count, level)
    left = denoiser(x, torch.tensor(level)) - subject.clean("train", count)
    squares = left.square().flatten(1).mean(1).reshape(-1, 8).mean(0)
    network = error.of(who="network")
    assert np.allclose(network.of(psnr=10.0).one, squares.numpy(), rtol=1e-4)
    for mine, gaussian in zip(network, error.of(who="gaussian"), strict=True):
        assert np.allclose(mine.value, gaussian.value, rtol=1e-5)


def test_the_gaussian_in_the_models_place_has_principal_components_as_harmonics() -> None:
    made = _measured(DIGITS, DIGITS.gaussian())
    lam, vectors = np.linalg.eigh(np.cov(DIGITS.train().flatten(1).double().numpy().T, bias=True))
    network, s = made.of(who="network"), float(psnr.noise_level(HARMONIC))
    values = np.stack([r.value for r in network.of("eigenvalue")], 1)
    assert np.allclose(values, (lam / (lam + s**2))[::-1], atol=1e-4)
    harmonic = network.of("harmonic")
    leading = np.broadcast_to(vectors[:, ::-1].T[:LEADING], harmonic.one.shape)
    assert np.allclose(overlap(harmonic.one, leading.astype(np.float32)), 1, atol=1e-5)
    assert np.allclose(elsewhere(harmonic).one, 1, atol=1e-6), "the basis does not adapt"
    sample = made.of("sample")
    assert np.allclose(network.of("sample").one, sample.of(who="gaussian").one, atol=1e-5)


def test_comparisons_are_those_of_numpy(found: Readings, rows: list[Row]) -> None:
    at = {(r.fields["n"], r.fields["subset"], r.fields["seed"]): r.arrays() for r in rows}
    one, two = (DisjointHalves.found([r for r in rows if r.key in keys]) for keys in _two(rows))
    assert len(at) == 8
    flat = [m.of("sample", who="network").one.reshape(20, -1).astype(float) for m in (one, two)]
    first, second = (x - x.mean(1, keepdims=True) for x in flat)
    lengths = np.outer(np.linalg.norm(first, axis=1), np.linalg.norm(second, axis=1))
    cosines = (first @ second.T) / lengths
    pair = compared(found).of(n=100, seed=1, pair="halves")
    assert np.allclose(pair.of("cosine").one, np.diag(cosines), atol=1e-5)
    others = (cosines.sum() - np.trace(cosines)) / (20 * 19)
    assert pair.of("chance").one.mean() == pytest.approx(others, abs=1e-5)
    closer = [(np.diag(cosines) > m.of("nearest").one).mean() for m in (one, two)]
    # one tie by rounding at most
    assert pair.of("closer").one.mean() == pytest.approx(np.mean(closer), abs=0.026)
    plain = [(x + 1) / 2 for x in flat]
    expected = (plain[0] * plain[1]).sum(1) / np.prod(
        [np.linalg.norm(x, axis=1) for x in plain], axis=0
    )
    assert np.allclose(pair.of("cosine_plain").one, expected, atol=1e-5)
    answers = [m.of("answer", who="network", psnr=0.0).one for m in (one, two)]
    between = np.sqrt(np.mean((answers[0] - answers[1]) ** 2, -1))
    assert np.allclose(pair.of("distance", psnr=0.0).one, between, rtol=1e-4)


def _two(rows: list[Row]) -> list[set[str]]:
    wanted = [{"n": 100, "subset": half, "seed": 1} for half in (0, 1)]
    return [{r.key for r in rows if w.items() <= r.fields.items()} for w in wanted]


def test_pairs_are_those_of_halves_and_of_seeds(rows: list[Row]) -> None:
    compared_rows = DisjointHalves.compare(rows)
    assert [(r.key, r.fields["pairs"]) for r in compared_rows] == [
        ("halves-N = 8", 2),
        ("seeds-N = 8", 2),
        ("halves-N = 100", 2),
        ("seeds-N = 100", 2),
    ]
    assert list(compared_rows[0].values) == [
        *("cosine", "nearest", "closer", "chance", "cosine_plain", "nearest_plain"),
        *("distance", "overlap"),
    ]


def test_nearest_images_are_the_models_own(rows: list[Row]) -> None:
    row = next(r for r in rows if {"n": 100, "subset": 1}.items() <= r.fields.items())
    network = DisjointHalves.found([row]).of(who="network")
    train = Split(Source("digits"), None, 60, 100, 1).train().flatten(1).double().numpy()
    sample = network.of("sample").one.reshape(20, -1).astype(float)
    a, b = (x - x.mean(1, keepdims=True) for x in (sample, train))
    cosines = (a @ b.T) / np.outer(np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1))
    assert np.allclose(network.of("nearest").one, cosines.max(1), atol=1e-5)
    shown = network.of("training").one.reshape(len(network.of("training").one), -1)
    assert np.allclose(shown, train[cosines.argmax(1)[: len(shown)]])


def test_training_errors_of_halves_stand_side_by_side(found: Readings) -> None:
    error = found.of("error", n=8, who="network", psnr=HARMONIC)
    train, test = by_images(error)
    each = {(r.at["subset"], r.at["seed"]): r.value for r in error.of(images="train")}
    assert np.allclose(train.one[:8], (each[0, 0] + each[0, 1]) / 2)
    assert np.allclose(train.one[8:], (each[1, 0] + each[1, 1]) / 2)
    assert test.one.shape == (60,)


@pytest.mark.usefixtures("sketched")
def test_the_report_is_written_with_its_tables(rows: list[Row], tmp_path: Path) -> None:
    text = write_all(DisjointHalves, rows, Store(tmp_path)).read_text()
    assert "Geometry-adaptive harmonic bases" in text
    assert (tmp_path / "figures" / "disjoint_halves_histograms.svg").is_file()
    assert len((tmp_path / "comparisons.csv").read_text().splitlines()) == 1 + 4
    blocks = [block for section in DisjointHalves.told(rows).sections for block in section.blocks]
    assert sum(isinstance(block, Gallery) for block in blocks) == 2 + 4


@pytest.mark.parametrize("kept", ["one", "half", "size", "widths", "mixed"])
def test_pages_of_incomplete_sweeps_build(
    rows: list[Row], kept: str, tiny: Callable[[str, str], list[Row]]
) -> None:
    wider = [replace(row, key=row.key[::-1], fields={**row.fields, "width": 16}) for row in rows]
    chosen = {
        "one": rows[:1],
        "half": [row for row in rows if row.fields["subset"] == 0],
        "size": [row for row in rows if row.fields["n"] == 8],
        "widths": [*rows, *wider],
        "mixed": [*rows, *tiny("disjoint_halves", "given")],
    }[kept]
    told = DisjointHalves.told(chosen)
    first = told.claims[0]
    assert first.verdict() == ("undecided" if kept in ("widths", "mixed") else "not tested")
    assert len(first.each()) == {"widths": 2, "mixed": 1}.get(kept, 0)
    assert any(isinstance(block, Figure) for s in told.sections for block in s.blocks)
    assert str(DisjointHalves.page(chosen, {}))


def test_a_stopped_training_is_listed(rows: list[Row]) -> None:
    broken = replace(rows[0], key="0" * 16, values={"stopped": "the loss is not finite"}, path=None)
    assert f"{broken.key}: the loss" in str(DisjointHalves.page([*rows, broken], {}))
    assert DisjointHalves.compare([broken]) == []
    with pytest.raises(ValueError, match="lower --lr"):
        DisjointHalves.page([broken], {})


def test_given_models_get_the_numbers_of_the_trained_ones(found: Readings, tmp_path: Path) -> None:
    main_job = run(grid(PhaseTransition, n=100, subset=[0, 1], **SMALL), Store(tmp_path / "main"))
    cells = [
        DisjointHalves(model=str(row.path), n=100, subset=half, **SMALL)
        for half, row in enumerate(main_job)
    ]
    rows = run(cells, Store(tmp_path / "given"))
    trained = found.of("sample", "error", "answer", "eigenvalue", n=100, seed=0)
    same = {(r.name, *sorted(r.at.items())): r.value for r in DisjointHalves.found(rows)}
    for r in trained:
        mine = same[(r.name, *sorted(r.at.items()))]
        assert np.allclose(mine, r.value, rtol=1e-3, atol=1e-3), r.name
    assert [row.fields["compared"] for row in DisjointHalves.compare(rows)] == ["halves"]


def test_two_files_are_compared_by_their_names(tiny: Callable[[str, str], list[Row]]) -> None:
    given = tiny("disjoint_halves", "given")
    assert [r.key for r in DisjointHalves.compare(given)] == ["given-net64 and net8"]
    told = DisjointHalves.told(given)
    assert told.answer.startswith("Two given models make alike samples")
    assert isinstance(told.opening[0], Figure)
    assert "net8" in DisjointHalves.subtitle(given)


def test_where_the_truth_is_known_it_is_beside() -> None:
    known = truth(Source("molrg"))
    assert known is not None
    made = _measured(Split(Source("molrg"), None, 100, 256, 0), known)
    error = made.of("error", images="test")
    for mine, true in zip(error.of(who="network"), error.of(who="truth"), strict=True):
        assert np.allclose(mine.value, true.value, rtol=1e-4)
    values = made.of("eigenvalue", who="network")
    assert min(float(r.value.min()) for r in values) > -1e-3, "its Jacobian is a covariance"


def test_agreement_of_models_that_learned_little_is_no_success(found: Readings) -> None:
    """Networks after 40 steps agree, but denoise worse than the Gaussian of 100 images."""
    assert better(found.of("error")).verdict() == "contradicted"
    story = [item for item in DisjointHalves.story(found) if isinstance(item, Claim)]
    controlled = [claim for claim in story if claim.control]
    assert [claim.verdict() for claim in controlled] == ["undecided"] * 4
    held = [replace(claim, control=None).verdict() for claim in controlled]
    assert held[0] == held[1] == "supported"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--n 1", "--n 1: a training set needs at least 2 images"),
        ("--n 900 --subset 1", "two disjoint subsets of 900 do not fit into 1536 images"),
        ("--subset 2", "--subset 2: there are 2, from 0 on"),
        ("--model nowhere.safetensors", "there is no file nowhere.safetensors"),
    ],
)
def test_bad_input_is_one_line(
    words: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "disjoint_halves", *words.split(), "--store", str(tmp_path / "s")]) == 2
    assert said in capsys.readouterr().err.strip().splitlines()[-1]
