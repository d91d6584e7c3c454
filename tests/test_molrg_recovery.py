"""Recovery by clustering and by training: the instances are what is said, success follows the
number of points, and every claim and figure is told.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import beta

from denoscope.cli import main
from denoscope.geometry import match
from denoscope.readings import Reading, Readings
from denoscope.report.blocks import Figure
from denoscope.store import Row
from denoscope.studies import molrg_recovery as study
from denoscope.studies.molrg_recovery import QUANTITIES, MolrgRecovery
from denoscope.study import grid, swept

GOLDEN = json.loads((Path(__file__).parent / "golden_keys.json").read_text())


@pytest.fixture(scope="module")
def rows(tiny: Callable[[str, str], list[Row]]) -> list[Row]:
    return tiny("molrg_recovery", "mixtures")


def test_keys_and_defaults_are_frozen() -> None:
    golden = GOLDEN["molrg_recovery"]
    cells = {
        "default": MolrgRecovery(),
        "k=3": MolrgRecovery(k=3, d=8, method="training"),
        "noisy": MolrgRecovery(noise=0.05, start="random"),
    }
    assert golden["version"] == MolrgRecovery.version
    assert golden["keys"] == {name: item.key() for name, item in cells.items()}
    assert golden["defaults"] == json.loads(json.dumps(MolrgRecovery().fields()))


def test_the_sweep_is_the_articles() -> None:
    cells = grid(MolrgRecovery, **swept(MolrgRecovery))
    assert len(cells) == 3 * 7 * 2
    assert {(c.k, c.d) for c in cells} == set(itertools.product((1, 2, 3), range(2, 9)))
    assert all(
        (c.n, c.counts(), c.trials, c.starts, c.noise) == (48, range(2, 16), 20, 64, 0.01)
        for c in cells
    )
    assert all(c.cost() > 0 for c in cells)


def test_noiseless_pca_succeeds_from_exactly_d_points_on() -> None:
    cell = MolrgRecovery(k=1, d=3, noise=0.0, fewest=1, most=4, trials=5, n=12, starts=2)
    distance = next(
        value for name, value in cell.run().arrays.items() if name.startswith('["distance"')
    )
    assert (distance[:2] > 0.9).all()
    assert (distance[2:] < 1e-6).all()
    assert distance.max() <= math.sqrt(2 * 3) + 1e-6


def test_distances_of_pca_are_those_of_the_singular_vectors() -> None:
    """Uncentred PCA of the same points by the SVD, as an independent witness."""
    cell = MolrgRecovery(k=1, d=2, fewest=3, most=4, trials=3, n=9, starts=2, noise=0.3)
    found = cell.run()
    given = cell.instances()
    bases = torch.linalg.svd(given.x).Vh[:, :2].mT
    wanted = match(bases[:, None], given.truth)[1][:, 0].reshape(2, 3).numpy()
    stored = next(v for name, v in found.arrays.items() if name.startswith('["distance"'))
    np.testing.assert_allclose(stored, wanted, atol=1e-6)
    assert float(found.values["success"]) == (wanted <= 0.5).mean()  # pyright: ignore[reportArgumentType]


def test_failures_are_split_by_the_objective() -> None:
    distance, gain = np.array([0.4, 0.6, 0.6, 0.5]), np.array([-1.0, -0.1, 0.1, 0.0])
    assert study.recovered(distance).tolist() == [True, False, False, True]
    assert study.optimiser_failed(gain, distance).tolist() == [False, True, False, False]


def test_agreement_is_counted_by_instance_and_beside_it_by_overlapping_intervals() -> None:
    hits = {"clustering": [0, 5, 10, 20, 20], "training": [0, 6, 19, 17, 12]}
    success = Readings(
        [
            Reading(
                "recovered",
                {"k": 2, "d": 3, "n_k": n, "excess": n - 3, "method": method},
                np.arange(20) < count,
            )
            for method, counts in hits.items()
            for n, count in enumerate(counts, 1)
        ],
        QUANTITIES,
    )
    (claim,) = study.agreement(success)

    def limits(count: int) -> tuple[float, float]:
        low = 0.0 if count == 0 else float(beta.ppf(0.025, count, 21 - count))
        return low, 1.0 if count == 20 else float(beta.ppf(0.975, count + 1, 20 - count))

    ends = [[limits(count) for count in counts] for counts in hits.values()]
    overlap = [a[0] <= b[1] and b[0] <= a[1] for a, b in zip(*ends)]
    apart = sum(abs(a - b) for a, b in zip(*hits.values()))
    assert claim.each()[0].value.value == pytest.approx(1 - apart / 100)
    shift, cells = claim.beside.values()
    assert np.mean(shift.one) == pytest.approx((54 - 55) / 100)
    assert cells.estimates().one.value == sum(overlap) / 5
    assert 0 < sum(overlap) < 5


def test_a_run_again_gives_the_same_arrays(rows: list[Row]) -> None:
    for row in rows[:4]:
        kept: dict[str, Any] = dict(row.fields)
        again = MolrgRecovery(**kept).run()
        assert row.values == dict(again.values)
        for name, value in row.arrays().items():
            np.testing.assert_array_equal(value, again.arrays[name])


def test_shares_of_a_column_are_those_of_its_instances(rows: list[Row]) -> None:
    found = MolrgRecovery.found(rows)
    for row in rows:
        at = {name: row.fields[name] for name in ("k", "d", "noise", "method")}
        for name, value in (("recovered", "success"), ("below", "optimiser_failures")):
            pooled = found.of(name, **at).joined("n_k", "excess").estimates().one
            assert pooled == row.values[value]


def test_figures_are_drawn_one_set_for_every_noise(rows: list[Row]) -> None:
    told = MolrgRecovery.told(rows)
    blocks = [*told.opening, *(block for part in told.sections for block in part.blocks)]
    figures = {block.name: block for block in blocks if isinstance(block, Figure)}
    kinds = ("success", "others", "against_edge", "failures", "unconstrained")
    assert set(figures) == {f"{name}_{i}" for i in (1, 2) for name in kinds} | {"departure"}
    for name in ("success_1", "against_edge_1", "unconstrained_1", "departure"):
        drawn = figures[name].figure(3.6)  # pyright: ignore[reportCallIssue]
        assert drawn.get_figwidth() == 3.6


def test_one_subspace_by_one_method_tests_what_it_can(rows: list[Row]) -> None:
    some = [r for r in rows if r.fields["k"] == 1 and r.fields["method"] == "clustering"]
    told = MolrgRecovery.told(some)
    verdicts = [claim.verdict() != "not tested" for claim in told.claims]
    assert verdicts == [True, True, False, True, False, False, False]


def test_the_departure_is_that_of_the_widest_mixture(rows: list[Row]) -> None:
    found = MolrgRecovery.found(rows)
    assert (found.of("wrong").along("k"), found.of("wrong").along("d")) == ([2], [3])
    off = found.of("simulated").over("sigma").estimates(1 - 1e-6).one
    assert off.low < 0 < off.high


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--k 3 --d 20", "60 orthogonal directions do not fit into --n 48"),
        ("--fewest 0", "--fewest 0: must be at least 1"),
        ("--fewest 3 --most 2", "--most 2: must be at least --fewest 3"),
        ("--trials 0", "--trials 0: must be at least 1"),
        ("--start anywhere", "--start anywhere: there are neighbours and random"),
        ("--method pca", "--method pca: there are clustering and training"),
        ("--noise -1", "--noise -1.0: must be at least 0 and finite"),
    ],
)
def test_mistakes_are_one_line(
    words: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "molrg_recovery", *words.split(), "--store", str(tmp_path / "s")]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
