"""The study of dimensions in small: its distances against brute force, its theory against
simulation, its laws on known growth, its page.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from rates import sigmas
from scipy.special import softmax

from denoscope import GaussianMixture, grid, run
from denoscope.cli import main
from denoscope.store import Row, Store
from denoscope.studies._molrg.scaling import denoisers, distances, expectations, growing, networks
from denoscope.studies._molrg.scaling.crossings import Law, Needed, growth, needed
from denoscope.studies._molrg.scaling.findings import against_d, contrast, law
from denoscope.studies._molrg.scaling.lines import END, Cell, Line, along, collected
from denoscope.studies._molrg.scaling.truth import Draw, Setting
from denoscope.studies.dimension_scaling import METHODS, DimensionScaling
from denoscope.study import swept

GOLDEN = json.loads((Path(__file__).parent / "golden_keys.json").read_text())["dimension_scaling"]
TINY = [
    "--draws",
    "2",
    "--largest",
    "64",
    "--probes",
    "16",
    "--compared",
    "16",
    "--steps",
    "8",
    "--width",
    "8",
    "--batch-size",
    "8",
]


def _draw(
    d: int,
    n: int,
    clusters: int,
    *,
    sigma: float = 0.3,
    noise: float = 0.0,
    probes: int = 64,
    index: int = 0,
) -> Draw:
    return Draw(Setting(d, n, clusters, sigma, noise, probes, 0), index)


def test_keys_and_defaults_are_frozen() -> None:
    """Golden, written by this class: defaults are part of a key's meaning, so a change of either
    must raise ``version``.
    """
    cells = {
        "default": DimensionScaling(),
        "network": DimensionScaling(method="network", d=8, clusters=3),
        "coarse": DimensionScaling(level=0.1, sigma=0.5),
    }
    assert GOLDEN["version"] == DimensionScaling.version
    assert GOLDEN["keys"] == {name: item.key() for name, item in cells.items()}
    assert GOLDEN["defaults"] == json.loads(json.dumps(DimensionScaling().fields()))


def test_the_sweep_is_two_lines_and_smoothers_end_early() -> None:
    cells = grid(DimensionScaling, **swept(DimensionScaling))
    assert all(cell.d == 4 or cell.n == 48 for cell in cells)
    assert {cell.method for cell in cells if cell.d > 8} == {"gaussian", "molrg", "network"}
    assert len(grid(DimensionScaling, d=[2, 3], n=[8, 9], full=True)) == 4
    jobs = DimensionScaling.plan(cells)
    assert sorted(cell.key() for job in jobs for cell in job) == sorted(
        cell.key() for cell in cells
    )
    assert all(len({(cell.d, cell.n, cell.clusters) for cell in job}) == 1 for job in jobs)


def test_a_draw_is_nested_and_its_truth_has_no_excess() -> None:
    draw, again = _draw(3, 10, 2), _draw(3, 10, 2)
    assert torch.equal(draw.train(300)[:20], again.train(20))
    assert not torch.equal(draw.train(5), _draw(3, 10, 2, index=1).train(5))
    assert float(draw.excess(draw.wanted)) == 0
    assert float(draw.excess(torch.zeros_like(draw.wanted))) == pytest.approx(1)


def test_the_empirical_denoiser_is_a_softmax_average() -> None:
    draw = _draw(2, 6, 1)
    points, x = draw.train(9).numpy(), draw.noisy.numpy()
    weights = softmax(-((x[:, None] - points) ** 2).sum(2) / (2 * 0.3**2), axis=1)
    assert np.abs(denoisers.empirical(draw, 9)[0].numpy() - weights @ points).max() < 1e-5


def test_a_smoother_is_the_posterior_mean_of_a_kernel_density_estimate() -> None:
    """Against a mixture of full-rank Gaussians about the training points, which knows nothing of
    the shortcut.
    """
    draw, sigma = _draw(2, 5, 2), 0.3
    points = draw.train(7)
    answers = denoisers.kernel(draw, 7).unflatten(0, (len(denoisers.FACTORS), 2))
    for factor, (regression, density) in zip(denoisers.FACTORS, answers):
        width = sigma**2 * (factor**2 - 1)
        law = GaussianMixture(points, width * torch.eye(5, dtype=torch.float64).expand(7, 5, 5))
        assert (density - law(draw.noisy, torch.tensor(sigma))).abs().max() < 1e-5
        weights = softmax(
            -((draw.noisy[:, None] - points) ** 2).sum(2).numpy() / (2 * (factor * sigma) ** 2),
            axis=1,
        )
        assert np.abs(regression.numpy() - weights @ points.numpy()).max() < 1e-5


@pytest.mark.parametrize(("clusters", "count"), [(1, 4), (1, 9), (3, 40)])
def test_without_noise_enough_points_give_the_truth(clusters: int, count: int) -> None:
    draw = _draw(4, 16, clusters)
    assert float(draw.excess(denoisers.molrg(draw, count))) < 1e-12


def test_fewer_points_than_dimensions_do_not() -> None:
    for clusters in (1, 3):
        draw = _draw(4, 16, clusters)
        assert float(draw.excess(denoisers.molrg(draw, 3))) > 0.1
        assert float(draw.excess(denoisers.gaussian(draw, 3))) > 0.1
    assert torch.isfinite(denoisers.gaussian(draw, 1)).all()
    assert torch.isfinite(denoisers.molrg(draw, 1)).all()


def test_a_gaussian_fit_cannot_be_a_mixture() -> None:
    draw = _draw(2, 8, 3, sigma=0.5, probes=400)
    errors = [float(draw.excess(denoisers.gaussian(draw, count))) for count in (2000, 20000)]
    assert errors[1] > 0.05
    assert abs(errors[1] - errors[0]) < 0.02


def test_w2_is_the_best_of_all_assignments() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((5, 3)), rng.standard_normal((5, 3))
    best = min(
        np.mean([((a[i] - b[j]) ** 2).sum() for i, j in enumerate(order)])
        for order in itertools.permutations(range(5))
    )
    assert distances.wasserstein(torch.tensor(a), torch.tensor(b)) == pytest.approx(
        np.sqrt(best), rel=1e-12
    )
    points = torch.randn(40, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert distances.wasserstein(points, points.flip(0) + 3.0) == pytest.approx(6.0)
    with pytest.raises(ValueError, match="equally many points"):
        distances.wasserstein(points, points[1:])


@pytest.mark.parametrize(
    ("d", "clusters", "count"), [(1, 1, 5), (1, 2, 50), (3, 1, 1), (3, 3, 40), (8, 1, 300)]
)
def test_nearest_distances_are_what_theory_expects(d: int, clusters: int, count: int) -> None:
    rng = np.random.default_rng(1)
    found = []
    for _ in range(400):
        points = np.zeros((count + 1, clusters, d))
        points[np.arange(count + 1), rng.integers(clusters, size=count + 1)] = rng.standard_normal(
            (count + 1, d)
        )
        found.append(np.sqrt(((points[1:] - points[0]) ** 2).sum((1, 2)).min()))
    for power in (1, 2):
        values = np.array(found) ** power
        wanted = float(expectations.nearest_distance(np.array([count]), d, clusters, power)[0])
        assert abs(values.mean() - wanted) < sigmas(10) * values.std(ddof=1) / 20 + 2e-3 * wanted


def test_nearest_distances_fall_as_the_power_of_one_over_d() -> None:
    for d in (3, 6):
        near = expectations.nearest_distance(np.array([1e6, 1e7]), d, 1)
        assert np.log10(near[0] / near[1]) == pytest.approx(1 / d, rel=0.03)


def test_the_excess_of_a_gaussian_fit_is_what_equivalents_expect() -> None:
    errors = np.array([float(_draw(10, 40, 1, noise=0.1, probes=300, index=i).excess(denoisers.gaussian(_draw(10, 40, 1, noise=0.1, probes=300, index=i), 25))) for i in range(30)])  # fmt: skip
    wanted = float(expectations.gaussian_excess(np.array([25.0]), 10, 40, 0.3, 0.1)[0])
    assert abs(errors.mean() - wanted) < sigmas() * errors.std(ddof=1) / np.sqrt(30) + 0.1 * wanted


def test_sizes_are_where_methods_are_quick_or_slow() -> None:
    assert growing.sizes_for("empirical", 100) == [1, 2, 4, 8, 16, 32, 64, 100]
    fits = growing.sizes_for("molrg", 10**6)
    assert fits[:32] == list(range(1, 33))
    assert fits[-1] == growing.MOST_FITTED


def test_needed_is_where_a_power_law_meets_the_level() -> None:
    sizes = 2 ** np.arange(0, 14)
    errors = sizes[:, None] ** -0.5 * np.array([0.9, 1.0, 1.1])
    found = needed(sizes, errors, 0.05)
    assert found.value == 400
    assert found.estimate.low < 400 < found.estimate.high
    assert found.estimate.low >= np.floor((0.9 / 0.05) ** 2)
    assert str(found).startswith("400 [")
    beyond = needed(sizes[:5], errors[:5], 0.05)
    assert not beyond.reached
    assert str(beyond) == "more than 16"
    assert needed(sizes, errors / 100, 0.05).value == 1


def _known(values: list[float]) -> list[Needed]:
    sizes = np.array([1.0, 1e9])
    return [
        needed(sizes, np.full((2, 3), 1.0) * (value * 1e-3 / sizes[:, None]), 1e-3)
        for value in values
    ]


@pytest.mark.parametrize(
    ("law", "slope", "values"),
    [
        ("linear", 3.0, [5 + 3 * d for d in (1, 2, 4, 8)]),
        ("exponential", np.log(3), [10 * 3**d for d in (1, 2, 4, 8)]),
        ("power", 2.0, [7 * d**2 for d in (1, 2, 4, 8)]),
    ],
)
def test_laws_of_growth_are_told_apart(law: Law, slope: float, values: list[float]) -> None:
    points = _known(values)
    found: dict[Law, float] = {}
    for kind in ("linear", "exponential", "power"):
        fit = growth(kind, [1, 2, 4, 8], points)
        found[kind] = fit.miss
        if kind == law:
            assert fit.slope.value == pytest.approx(slope, rel=1e-6)
    assert min(found, key=lambda kind: found[kind]) == law
    assert found[law] < 1e-6


def test_points_beyond_reach_are_left_out_of_laws() -> None:
    points = _known([10, 30, 90])
    beyond = needed(np.array([1.0, 2.0]), np.ones((2, 3)), 0.1)
    assert growth("exponential", [1, 2, 3, 4], [*points, beyond]).slope.value == pytest.approx(
        np.log(3), rel=1e-6
    )
    short = growth("linear", [1, 2, 3], [*points[:2], beyond])
    assert np.isnan(short.slope.value)
    assert "2 of 3 points" in short.slope.method


def _line(method: str, counts: list[float]) -> Line:
    """A line along d = 1, 2, 4, 8 with these N."""
    cells = []
    for d, count in zip((1, 2, 4, 8), counts):
        fields: dict[str, object] = {
            "method": method,
            "d": d,
            "n": 48,
            "clusters": 1,
            "level": 1e-3,
            "steps": 10,
        }
        arrays = {
            "sizes": np.array([1.0, 1e9]),
            "error": count * 1e-3 / np.array([[1.0] * 3, [1e9] * 3]),
        }
        cells.append(Cell(Row(f"{method}{d}", "", 1, fields, {}), method, arrays))
    return Line(method, 1, "d", 48, tuple(cells))


def test_findings_say_whether_the_claim_appeared() -> None:
    straight, steep = [5.0 + 3 * d for d in (1, 2, 4, 8)], [10.0 * 3**d for d in (1, 2, 4, 8)]
    between = [10.0, 12.0, 19.0, 34.0]
    assert [law(_line("molrg", counts)) for counts in (straight, steep, between)] == [
        "linear",
        "exponential",
        "undecided",
    ]
    for kernel, fitted, status in (
        (steep, straight, "good"),
        (straight, straight, "absent"),
        (steep, steep, "absent"),
        (steep, between, "neutral"),
    ):
        lines = [_line("kernel", kernel), _line("molrg", fitted)]
        assert contrast(lines)[0].status == status
        assert [finding.status == "good" for finding in against_d(lines)] == [
            kernel is steep,
            fitted is straight,
        ]


def test_networks_are_asked_along_the_way() -> None:
    draws = [_draw(2, 6, 1, index=i) for i in range(2)]
    found = networks.trained(draws, networks.Recipe(8, 12, 8, 1e-2), lambda fraction: None)
    assert found["sizes"].tolist() == networks.sizes_for(draws[0].setting)
    assert found["error"].shape == found["end"].shape == (len(found["sizes"]), 2)
    assert (found["error"].mean(1) <= found["end"].mean(1) + 1e-12).all()
    assert set(found["dial"]) <= set(networks.Recipe(8, 12, 8, 1e-2).marks())
    again = networks.trained(draws, networks.Recipe(8, 12, 8, 1e-2), lambda fraction: None)
    assert np.array_equal(found["error"], again["error"])


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    """A tiny sweep, measured once."""
    small = {
        "draws": 2,
        "largest": 256,
        "probes": 32,
        "compared": 16,
        "steps": 8,
        "width": 8,
        "batch_size": 8,
    }
    cells = grid(
        DimensionScaling,
        method=list(METHODS),
        d=[1, 2, 4],
        n=[12, 24, 48],
        clusters=[1, 2],
        **small,
    )
    return run(cells, tmp_path_factory.mktemp("scaling"))


def test_lines_hold_every_method_along_both_dimensions(rows: list[Row]) -> None:
    cells = collected(rows)
    by_d, by_n = along(cells, "d", 1), along(cells, "n", 2)
    assert [line.method for line in by_d] == [*METHODS, END]
    assert all(line.x == [1, 2, 4] and line.fixed == 48 for line in by_d)
    assert all(line.x == [12, 24, 48] and line.fixed == 4 for line in by_n)
    row = next(row for row in rows if row.fields["method"] == "molrg")
    arrays = row.arrays()
    assert row.values["needed"] == needed(arrays["sizes"], arrays["error"], 0.05).value


def test_the_page_has_every_figure_and_says_numbers(rows: list[Row]) -> None:
    page = DimensionScaling.page(rows, {})
    blocks = [block for section in page.sections for block in section.blocks]
    figures = [block for block in blocks if type(block).__name__ == "Figure"]
    assert [figure.name for figure in figures] == [
        "needed-d",
        "needed-n",
        "excess",
        "wasserstein",
        "nearest",
    ]
    assert all(
        "nan" not in str(block) and "inf" not in getattr(block, "headline", "")
        for block in page.sections[0].blocks
    )


def test_cells_of_other_settings_stay_out_of_the_lines(rows: list[Row], tmp_path: Path) -> None:
    other = run(
        grid(DimensionScaling, method="molrg", d=2, level=0.5, draws=2, probes=8, compared=4),
        tmp_path,
    )
    page = DimensionScaling.page([*rows, *other], {})
    assert "1 cells with other settings" in str(page.sections[0].blocks[-1])


@pytest.mark.parametrize("method", METHODS)
def test_a_single_cell_makes_a_page(method: str, tmp_path: Path) -> None:
    words = [
        "run",
        "dimension_scaling",
        "--method",
        method,
        "--d",
        "2",
        "--n",
        "9",
        "--full",
        "--clusters",
        "2",
        *TINY,
    ]
    assert main([*words, "--on", "serial", "--quiet", "--store", str(tmp_path)]) == 0
    assert (tmp_path / "report.html").stat().st_size > 10_000


def test_the_command_writes_report_and_tables_and_resumes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "run",
        "dimension_scaling",
        "--method",
        "empirical",
        "molrg",
        "--d",
        "1",
        "3",
        "4",
        "--n",
        "48",
        "--clusters",
        "1",
        *TINY,
    ]
    words += ["--on", "serial", "--quiet", "--store", str(tmp_path)]
    assert main(words) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "report.html")
    made = {path: path.stat().st_mtime_ns for path in tmp_path.glob("cells/*/result.json")}
    assert len(made) == 6
    assert main(words) == 0
    assert made == {path: path.stat().st_mtime_ns for path in tmp_path.glob("cells/*/result.json")}
    assert Store(tmp_path).check() == []
    assert "against d" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--d", "20", "--clusters", "3"], "60 orthogonal directions do not fit into --n"),
        (["--d", "3", "--n", "20"], "--full measures every combination"),
        (["--method", "empirical", "--d", "12"], "measured up to --d 8"),
        (["--method", "forest"], "--method forest: there are empirical, kernel"),
        (["--level", "1"], "--level 1.0: must lie between 0 and 1"),
        (["--level", "nan"], "--level nan"),
        (["--sigma", "0"], "--sigma 0.0: must be a positive number"),
        (["--noise", "-1"], "--noise -1.0: must be at least 0"),
        (["--draws", "1"], "--draws 1: must be at least 2"),
        (["--batch-size", "0"], "--batch-size 0: must be at least 1"),
    ],
)
def test_bad_input_costs_one_line(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = words if "--method" in words else ["--method", "molrg", *words]
    assert (
        main(["run", "dimension_scaling", *given, "--store", str(tmp_path / "s"), "--quiet"]) == 2
    )
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "s").exists()
