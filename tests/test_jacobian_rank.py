"""Ranks of Jacobians in small: exact denoisers in the network's place get the ranks they must, and
a sweep tells its claims.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import SMALL

from denoscope import Empirical, Gaussian
from denoscope.cli import main
from denoscope.data.sources import Source
from denoscope.data.splits import Split
from denoscope.data.synthetic import SPREAD, truth
from denoscope.data.synthetic import law as known_law
from denoscope.estimate import Estimate, median
from denoscope.readings import Reading, Readings, expanded
from denoscope.store import MODEL, Row
from denoscope.studies._subject import Subject
from denoscope.studies.jacobian_rank import (
    LEVELS,
    QUANTITIES,
    JacobianRank,
    arms,
    gaussians,
)
from denoscope.studies.phase_transition import PhaseTransition
from denoscope.types import Denoiser

FEW: dict[str, Any] = {**SMALL, "samples": 8, "points": 4}
DIGITS = Split(Source("digits"), None, 200, 30, 0)
FIGURES = ("test", "elsewhere", "time", "rules", "size", "dimension")


@pytest.fixture(scope="module")
def rows(tiny: Callable[[str, str], list[Row]]) -> list[Row]:
    """Networks hardly trained: two seeds of 16 and of 200 images."""
    return tiny("jacobian_rank", "digits")


def _measured(denoiser: Denoiser, data: Split = DIGITS, count: int = 6) -> Readings:
    subject = Subject(denoiser, data, 8, 6)
    return expanded(JacobianRank(points=count).readings(subject), QUANTITIES)


def _by_level(found: Readings, name: str, **at: Any) -> np.ndarray:
    """A quantity over the levels, rising, (levels, points)."""
    return np.stack([some.one for _, some in found.of(name, **at).by("sigma")])


def test_keys_and_defaults_are_frozen() -> None:
    """Golden, written by this class: defaults are part of a key's meaning, so a change of either
    must raise ``version``.
    """
    golden = json.loads((Path(__file__).parent / "golden_keys.json").read_text())["jacobian_rank"]
    cells = {"default": JacobianRank(), "n=16": JacobianRank(n=16, seed=1)}
    assert golden["version"] == JacobianRank.version
    assert golden["keys"] == {name: item.key() for name, item in cells.items()}
    assert golden["defaults"] == json.loads(json.dumps(JacobianRank().fields()))


def test_a_gaussian_in_the_networks_place_has_the_gaussians_ranks_at_every_point() -> None:
    found = _measured(Gaussian.from_data(DIGITS.train()))
    covariance = np.cov(DIGITS.train().flatten(1).double().numpy().T, bias=True)
    lam = np.linalg.eigvalsh(covariance)[::-1].clip(0)
    squares = (lam / (lam + LEVELS[:, None] ** 2)) ** 2
    shares = squares.cumsum(1) / squares.sum(1, keepdims=True)
    expected = 1 + (shares <= 0.9801).sum(1)
    law = gaussians(found, LEVELS).of(who="gaussian")
    assert [64 * r.value.item() for r in law] == expected.tolist()
    for place in ("test", "train"):
        ratio = _by_level(found, "ratio", who="network", place=place, rule="norm")
        off = np.abs(64 * ratio - expected[:, None])
        assert off.max() <= 1, "a float32 at the edge of the threshold"
    spectrum = found.of("spectrum", who="gaussian").one
    assert np.allclose(spectrum, lam[: len(spectrum)], rtol=1e-4, atol=1e-6)
    assert _by_level(found, "asymmetry", who="network").max() < 1e-4
    assert len(spectrum) <= 29, "30 images less their mean"


def test_the_memorizer_in_the_networks_place_is_the_memorizer() -> None:
    found = _measured(Empirical(DIGITS.train())).of("ratio", rule="norm")
    for place in ("test", "train", "path"):
        both = (_by_level(found, "ratio", who=w, place=place) for w in ("network", "memorizer"))
        off = np.abs(np.subtract(*both))
        # at low noise the float32 states of the paths decide between images
        assert (off > 1.01 / 64).mean() < 0.05
    seen = _by_level(found, "ratio", who="memorizer", place="train")
    assert (seen[0] == 0).all()


def test_the_true_denoiser_has_the_exact_ranks_and_dimension() -> None:
    data = Split(Source("molrg"), None, 200, 64, 0)
    found = _measured(truth(), data)
    for who in ("network", "truth"):
        ratio = _by_level(found, "ratio", who=who, place="test", rule="norm")
        ranks = np.median(48 * ratio, 1).round(4)
        assert (ranks[LEVELS <= 0.3 * SPREAD] == 6).all()
        assert (ranks[LEVELS >= 8 * SPREAD] == 12).all()
    assert np.allclose(_by_level(found, "flipd", who="truth")[0].mean(), 6, atol=0.1)
    x = Subject(truth(), data, 8, 6).noisy("test", 6, float(LEVELS[5])).flatten(1)
    J = known_law().jacobian(x.double(), torch.tensor(LEVELS[5]))
    expected = J.diagonal(dim1=1, dim2=2).sum(1)
    assert np.allclose(_by_level(found, "trace", who="truth")[5], expected, rtol=1e-3)


def test_medians_have_exact_intervals() -> None:
    """Order statistics 4 and 13 of 16 cover a median with 1 - 2 P(Bin(16, 1/2) <= 3) = 0.9787."""
    found = median(np.arange(1.0, 17.0))
    assert (found.value, found.low, found.high) == (8.5, 4.0, 13.0)
    assert found.level == pytest.approx(1 - 2 * (1 + 16 + 120 + 560) / 2**16)
    two = median([3.0, 1.0])
    assert (two.low, two.high, two.level) == (1.0, 3.0, 0.5)
    drawn = np.random.default_rng(0).normal(size=(1000, 9))
    assert np.mean([median(row).low <= 0 <= median(row).high for row in drawn]) > 0.94
    with pytest.raises(ValueError, match="no values"):
        median([])


def test_arms_rise_from_the_least_to_either_end_of_their_own_levels() -> None:
    """Places have levels of their own: each rises to its own ends, point by point."""
    units = {"test": {0.1: [9, 8], 1: [1, 1], 10: [5, 6]}, "path": {0.01: [7, 7], 80: [2, 2]}}
    some = [
        Reading("ratio", {"place": place, "sigma": sigma}, np.array(values, float))
        for place, levels in units.items()
        for sigma, values in levels.items()
    ]
    rise = arms(Readings(some, QUANTITIES)).of("rise")
    found = {(r.at["place"], r.at["end"]): r.value.tolist() for r in rise}
    assert found == {
        ("test", "low"): [8, 7],
        ("test", "high"): [4, 5],
        ("path", "low"): [5, 5],
        ("path", "high"): [0, 0],
    }


def test_rows_are_finite_and_do_not_depend_on_their_fleet(rows: list[Row]) -> None:
    found = JacobianRank.found(rows)
    ratio = found.of("ratio", who="network", rule="norm", n=16, seed=1)
    assert all(np.isfinite(r.value).all() for r in found if not isinstance(r.value, Estimate))
    assert _by_level(ratio, "ratio", place="test").shape == (len(LEVELS), 4)
    assert _by_level(ratio, "ratio", place="path").shape == (4, 4)
    assert all(isinstance(row.values["dimension_two_nn"], Estimate) for row in rows)
    cell = JacobianRank(n=16, seed=1, **FEW)
    alone = [cell.run().arrays, next(r for r in rows if r.key == cell.key()).arrays()]
    (name,) = (key for key in alone[0] if key.startswith('["size"') and "network" in key)
    assert np.allclose(alone[0][name], alone[1][name], rtol=1e-2, atol=1e-5)


def test_exact_denoisers_hold_their_claims(tiny: Callable[[str, str], list[Row]]) -> None:
    """By medians of six points: fewer decide nothing."""
    claims = JacobianRank.told(tiny("jacobian_rank", "molrg")).claims
    for words in ("The closed forms end where they must", "The true denoiser has rank 6"):
        said = [claim.verdict() for claim in claims if claim.says.startswith(words)]
        assert set(said) - {"not tested"} == {"supported"}, words


def test_a_given_model_is_measured_as_the_trained_one_was(tmp_path: Path) -> None:
    trained = PhaseTransition(n=16, **SMALL).run()
    file = tmp_path / "mine.safetensors"
    file.write_bytes(trained.files[MODEL])
    mine = JacobianRank(n=16, model=str(file), **FEW).run().arrays
    there = JacobianRank(n=16, **FEW).run().arrays
    assert mine.keys() == there.keys()
    for name in mine:
        if name.startswith('["size"'):
            assert np.allclose(mine[name], there[name], rtol=1e-3, atol=1e-5)
        if name.startswith('["ratio"') and "path" in name:
            assert np.allclose(mine[name], there[name], atol=2.01 / 64)


@pytest.mark.usefixtures("sketched")
def test_the_command_writes_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = (
        "run jacobian_rank --data molrg --n 16 --seed 0 --width 4 --steps 20 "
        "--samples 6 --solver-steps 4 --held 60 --points 3 --on serial --quiet "
        "--store"
    )
    assert main([*words.split(), str(tmp_path / "s")]) == 0
    assert Path(capsys.readouterr().out.strip().splitlines()[-1]).is_file()
    drawn = {path.stem for path in (tmp_path / "s" / "figures").glob("*.svg")}
    assert drawn == {f"jacobian_rank_{name}" for name in FIGURES}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--points -1", "--points -1: must be at least 0"),
        ("--n 5000", "--n 5000: digits has 1536 images beside the 261 held out"),
        ("--model nowhere.safetensors", "there is no file"),
    ],
)
def test_bad_input_is_one_line(
    words: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "jacobian_rank", *words.split(), "--store", str(tmp_path / "s")]) == 2
    assert said in capsys.readouterr().err.strip().splitlines()[-1]
