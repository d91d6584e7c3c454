"""Ranks of Jacobians in small: exact denoisers in the network's place get the ranks they must, and
the page says what was found.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from denoscope import Empirical, Gaussian, grid, run
from denoscope.cli import main
from denoscope.data.sources import Source
from denoscope.data.splits import Split
from denoscope.data.synthetic import SPREAD, truth
from denoscope.data.synthetic import law as known_law
from denoscope.estimate import Estimate, median
from denoscope.geometry.jacobians import jacobian
from denoscope.store import MODEL, Row, Store
from denoscope.studies._geometry.groups import grouped
from denoscope.studies._geometry.rank import (
    closed,
    dimension_findings,
    dimensions,
    facts,
    findings,
    measuring,
    page,
    reading,
)
from denoscope.studies._geometry.rank.points import KINDS, LEVELS, Points
from denoscope.studies._geometry.rank.ushape import arms
from denoscope.studies._geometry.subject import Subject
from denoscope.studies.jacobian_rank import JacobianRank
from denoscope.studies.phase_transition import PhaseTransition
from denoscope.types import Denoiser

SMALL: dict[str, Any] = {
    "width": 8,
    "steps": 60,
    "samples": 8,
    "solver_steps": 6,
    "held": 80,
    "points": 4,
}
DIGITS = Split(Source("digits"), None, 200, 30, 0)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    """A tiny sweep, measured once."""
    return run(
        grid(JacobianRank, n=[16, 200], seed=[0, 1], **SMALL),
        Store(tmp_path_factory.mktemp("sweep")),
    )


def _measured(denoiser: Denoiser, data: Split = DIGITS, count: int = 6) -> dict[str, np.ndarray]:
    return dict(measuring.measure(Subject(denoiser, data, 8, 6), count).arrays)


def test_keys_and_defaults_are_frozen() -> None:
    """Golden, written by this class: defaults are part of a key's meaning, so a change of either
    must raise ``version``.
    """
    golden = json.loads((Path(__file__).parent / "golden_keys.json").read_text())["jacobian_rank"]
    cells = {"default": JacobianRank(), "n=16": JacobianRank(n=16, seed=1)}
    assert golden["version"] == JacobianRank.version
    assert golden["keys"] == {name: item.key() for name, item in cells.items()}
    assert golden["defaults"] == json.loads(json.dumps(JacobianRank().fields()))


def _planted(values: Tensor) -> tuple[Denoiser, Tensor]:
    """A linear denoiser whose Jacobian has these singular values, not symmetric, and that
    Jacobian.
    """
    n = len(values)
    left, right = (
        torch.linalg.qr(
            torch.randn(n, n, generator=torch.Generator().manual_seed(i), dtype=torch.float64)
        ).Q
        for i in (1, 2)
    )
    J = (left * values) @ right.T
    return lambda x, sigma: (x.flatten(1).double() @ J.T).reshape(x.shape).to(x.dtype), J


@pytest.mark.parametrize("shape", [(1, 6, 6), (1, 33, 33)])
def test_facts_are_those_of_a_planted_spectrum(shape: tuple[int, ...]) -> None:
    """Dense for the small image, by products for the large one; against the matrix itself."""
    n = int(np.prod(shape))
    values = torch.where(torch.arange(n) < 9, 1.0, 0.01).double()
    D, J = _planted(values)
    batch = (2, 3) if n <= facts.DENSE else (1, 2)
    x, sigma = (
        torch.randn(*batch, *shape, generator=torch.Generator().manual_seed(0)),
        torch.full(batch, 0.7),
    )
    found = facts.of_denoiser(D, x, sigma)
    assert found.norm.shape == batch
    energy = values.square().cumsum(0) / values.square().sum()
    for rule, threshold in (("energy", 0.99), ("norm", 0.9801)):
        assert (getattr(found, rule) - (1 + int((energy <= threshold).sum()))).abs().max() <= (
            0 if n <= facts.DENSE else 1
        )
    assert torch.allclose(
        found.size, J.norm().expand(batch), rtol=1e-4 if n <= facts.DENSE else 0.05
    )
    skew = float((J - J.T).norm() / J.norm())
    assert torch.allclose(
        found.asymmetry.double(),
        torch.full(batch, skew).double(),
        rtol=1e-4 if n <= facts.DENSE else 0.4,
    )
    assert torch.allclose(
        found.trace.double(), J.trace().expand(batch), atol=1e-4 if n <= facts.DENSE else 0.5
    )


def test_a_numerically_zero_jacobian_has_rank_zero() -> None:
    def still(x: Tensor, sigma: Tensor) -> Tensor:
        return 1e-8 * x

    found = facts.of_denoiser(still, torch.ones(2, 1, 4, 4), torch.tensor([0.1, 80.0]))
    assert found.norm.tolist() == [0, 16]
    assert found.energy.tolist() == [0, 16]


@pytest.mark.parametrize("count", [5, 90])
def test_the_memorizers_closed_form_is_its_jacobian(count: int) -> None:
    """Fewer images than pixels, and more, against derivatives of the empirical denoiser."""
    data = torch.randn(
        count, 1, 5, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64
    )
    memorizer = Empirical(data)
    x = torch.randn(4, 1, 5, 5, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    sigma = torch.tensor([0.9, 2.0, 5.0, 40.0], dtype=torch.float64)
    found = closed.memorizer_facts(memorizer, x, sigma)
    S = torch.linalg.svdvals(jacobian(memorizer, x, sigma))
    for i in range(4):
        share = S[i].square().cumsum(0) / S[i].square().sum()
        assert int(found.norm[i]) == 1 + int((share <= 0.9801).sum())
        assert int(found.energy[i]) == 1 + int((share <= 0.99).sum())
    assert torch.allclose(found.size, S.square().sum(1).sqrt(), rtol=1e-6)
    assert torch.allclose(found.trace, S.sum(1), rtol=1e-6)


def test_a_gaussian_in_the_networks_place_has_the_gaussians_ranks_at_every_point() -> None:
    arrays = _measured(Gaussian.from_data(DIGITS.train()))
    lam = np.linalg.eigvalsh(np.cov(DIGITS.train().flatten(1).double().numpy().T, bias=True))[
        ::-1
    ].clip(0)
    for kind in KINDS:
        for i, sigma in enumerate(LEVELS):
            squares = (lam / (lam + sigma**2)) ** 2
            expected = 1 + int((squares.cumsum() <= 0.9801 * squares.sum()).sum())
            assert (
                np.abs(arrays[f"{kind}_network_norm"][i] - expected).max() <= 1
            )  # a float32 at the edge of the threshold
    assert np.allclose(
        arrays["spectrum_train"], lam[: len(arrays["spectrum_train"])], rtol=1e-4, atol=1e-6
    )
    assert arrays["test_network_asymmetry"].max() < 1e-4
    assert len(arrays["spectrum_train"]) <= 29  # 30 images less their mean


def test_the_memorizer_in_the_networks_place_is_the_memorizer() -> None:
    arrays = _measured(Empirical(DIGITS.train()))
    for place in (*KINDS, "path"):
        off = np.abs(arrays[f"{place}_network_norm"] - arrays[f"{place}_memorizer_norm"])
        assert (
            off > 1
        ).mean() < 0.05  # at low noise the float32 states of the paths decide between images
    limit = (
        int(
            (arrays["spectrum_train"] ** 2)
            .cumsum()
            .searchsorted(0.9801 * (arrays["spectrum_train"] ** 2).sum(), "right")
        )
        + 1
    )
    assert np.abs(arrays["test_memorizer_norm"][-1] - limit).max() <= 1
    assert (arrays["train_memorizer_norm"][0] == 0).all()


def test_the_true_denoiser_has_the_exact_ranks_and_dimension() -> None:
    data = Split(Source("molrg"), None, 200, 64, 0)
    arrays = _measured(truth(), data)
    for who in ("network", "truth"):
        ranks = np.median(arrays[f"test_{who}_norm"], 1)
        assert (ranks[LEVELS <= 0.3 * SPREAD] == 6).all()
        assert (ranks[LEVELS >= 8 * SPREAD] == 12).all()
    assert np.allclose(arrays["flipd_truth"][0].mean(), 6, atol=0.1)
    law = known_law()
    x, _ = Points.of(Subject(truth(), data, 8, 6), 6).noisy(Subject(truth(), data, 8, 6), "test")
    J = law.jacobian(x[5].flatten(1).double(), torch.tensor(LEVELS[5]))
    assert np.allclose(arrays["test_truth_trace"][5], J.diagonal(dim1=1, dim2=2).sum(1), rtol=1e-3)


def test_medians_have_exact_intervals() -> None:
    """Order statistics 4 and 13 of 16 cover a median with 1 - 2 P(Bin(16, 1/2) <= 3) = 0.9787."""
    found = median(np.arange(1.0, 17.0))
    assert (found.value, found.low, found.high) == (8.5, 4.0, 13.0)
    assert found.level == pytest.approx(1 - 2 * (1 + 16 + 120 + 560) / 2**16)
    assert (median([3.0, 1.0]).low, median([3.0, 1.0]).high, median([3.0, 1.0]).level) == (
        1.0,
        3.0,
        0.5,
    )
    drawn = np.random.default_rng(0).normal(size=(1000, 9))
    assert np.mean([median(row).low <= 0 <= median(row).high for row in drawn]) > 0.94
    with pytest.raises(ValueError, match="no values"):
        median([])


def test_arms_tell_a_u_from_noise() -> None:
    rng = np.random.default_rng(1)
    x = np.linspace(-1, 1, 13)[:, None]
    u = arms(x**2 + 0.1 * rng.normal(size=(13, 16)))
    assert u.both
    assert abs(u.at - 6) <= 2
    assert arms(
        np.broadcast_to(np.array([1, 0.2, 0.5, 0.1, 0.13, 0.1, 1])[:, None], (7, 4))
    ).peaks == [2]
    assert all(rise.low < 1 < rise.high or abs(rise.value - 1) < 0.2 for rise in u.rises)
    flat = [arms(rng.normal(size=(13, 16))).both for _ in range(200)]
    assert (
        np.mean(flat) < 0.03
    )  # an end must rise by chance on both sides: less than 0.025 twice over
    assert not arms(np.broadcast_to(x[::-1], (13, 16)) + 0.01 * rng.normal(size=(13, 16))).both


def test_participation_has_an_interval_that_covers() -> None:
    lam = np.array([4.0, 2.0, 1.0, 0.5])
    exact, rng = lam.sum() ** 2 / (lam**2).sum(), np.random.default_rng(2)
    found = [
        dimensions.participation(torch.from_numpy(rng.normal(size=(400, 4)) * np.sqrt(lam)))
        for _ in range(60)
    ]
    assert np.mean([e.low <= exact <= e.high for e in found]) > 0.83


def test_rows_are_finite_and_do_not_depend_on_their_fleet(rows: list[Row]) -> None:
    for row in rows:
        arrays = row.arrays()
        assert all(np.isfinite(array).all() for array in arrays.values())
        assert arrays["test_network_norm"].shape == (len(LEVELS), 4)
        assert arrays["path_network_norm"].shape == (6, 4)
        assert isinstance(row.values["dimension_two_nn"], Estimate)
    alone = JacobianRank(n=16, seed=1, **SMALL).run()
    stored = next(row for row in rows if row.fields["n"] == 16 and row.fields["seed"] == 1)
    assert np.allclose(
        alone.arrays["test_network_size"],
        stored.arrays()["test_network_size"],
        rtol=1e-2,
        atol=1e-5,
    )


def test_the_page_builds_and_its_figures_draw(rows: list[Row]) -> None:
    sections = page.sections(rows)
    names = [
        block.name for section in sections for block in section.blocks if hasattr(block, "name")
    ]  # pyright: ignore[reportAttributeAccessIssue] -- figures
    assert len(set(names)) == len(names)
    assert all(name.startswith("jacobian_rank_") for name in names)
    groups = grouped(rows)
    assert [group.label for group in groups] == ["N = 16", "N = 200"]
    assert len(findings.claims(groups)) >= 6
    assert len(findings.claims(groups[:1])) >= 5
    assert reading.limit(groups[0], "train") <= 15 / 64
    assert dimension_findings.known_dimension(groups) is None
    assert page.sections(rows[:1])


def test_a_given_model_is_measured_as_the_trained_one_was(tmp_path: Path) -> None:
    trained = PhaseTransition(
        n=16, **{name: value for name, value in SMALL.items() if name != "points"}
    ).run()
    file = tmp_path / "mine.safetensors"
    file.write_bytes(trained.files[MODEL])
    mine = JacobianRank(n=16, model=str(file), **SMALL).run()
    there = JacobianRank(n=16, **SMALL).run()
    assert np.allclose(
        mine.arrays["test_network_size"], there.arrays["test_network_size"], rtol=1e-3, atol=1e-5
    )
    assert np.allclose(mine.arrays["path_network_norm"], there.arrays["path_network_norm"], atol=2)


def test_the_command_writes_a_report_of_molrg(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (
        "run jacobian_rank --data molrg --n 16 --seed 0 --width 4 --steps 20 "
        "--samples 6 --solver-steps 4 --held 60 --points 3 --on serial --quiet "
        "--store"
    )
    assert main([*words.split(), str(tmp_path / "s")]) == 0
    text = Path(capsys.readouterr().out.strip().splitlines()[-1]).read_text()
    assert "true denoiser has rank 6" in text
    assert (tmp_path / "s" / "figures" / "jacobian_rank_test.svg").is_file()


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
