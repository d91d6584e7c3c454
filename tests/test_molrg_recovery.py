"""Recovery by clustering and by training: the gradient is autograd's, the instances are what is
said, maps and page say what was measured.
"""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import beta
from torch import Tensor

from denoscope.cli import main
from denoscope.geometry import (
    k_subspaces,
    neighbour_starts,
    objective,
    principal_subspace,
    projector_distance,
    random_starts,
    recovered,
)
from denoscope.networks import Subspaces
from denoscope.random import generator
from denoscope.report import Page
from denoscope.store import Store
from denoscope.studies._molrg.recovery import (
    column,
    drawings,
    findings,
    instances,
    maps,
    page,
    training,
)
from denoscope.studies.molrg_recovery import MolrgRecovery
from denoscope.study import grid, run, swept

GOLDEN = json.loads((Path(__file__).parent / "golden_keys.json").read_text())
TINY: dict[str, Any] = {
    "k": [1, 2],
    "d": [2, 3],
    "fewest": 2,
    "most": 4,
    "trials": 3,
    "n": 12,
    "starts": 8,
    "keep": 3,
    "steps": 20,
}


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


def _drawn(
    k: int, d: int, counts: tuple[int, ...], noise: float = 0.1, start: str = "neighbours"
) -> instances.Instances:
    return instances.drawn(k, d, counts, 2, n=14, noise=noise, starts=5, start=start)


def test_instances_do_not_depend_on_what_else_is_measured_nor_on_noise() -> None:
    many, few = _drawn(2, 3, (2, 4, 7)), _drawn(2, 3, (4,))
    assert many.sizes == (4, 4, 8, 8, 14, 14)
    assert torch.equal(many.part(2, 4).x, few.x)
    assert torch.equal(many.starts[2:4], few.starts)
    assert not many.x[:2, 4:].any()
    clean, noisy = _drawn(2, 3, (4,), noise=0.0), _drawn(2, 3, (4,), noise=0.2)
    assert torch.equal(clean.truth, noisy.truth)
    assert torch.allclose(clean.x + 2 * (few.x - clean.x), noisy.x)
    outside = clean.x - sum(
        (clean.x @ u @ u.mT for u in clean.truth.unbind(1)), torch.zeros_like(clean.x)
    )
    assert outside.abs().max() < 1e-12
    first, second = (training.noises(of, 3, 1) for of in (many.part(2, 4), few))
    assert torch.equal(first.noise, second.noise)
    assert torch.equal(first.levels, second.levels)


def _case(
    k: int, d: int, n: int, points: int, level: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    draws = generator(k, d)
    x = torch.randn(points, n, generator=draws, dtype=torch.float64)
    sigma = level * (0.5 + torch.rand(points, 1, generator=draws, dtype=torch.float64))
    noise = sigma * torch.randn(points, n, generator=draws, dtype=torch.float64)
    return x, sigma, noise, random_starts(1, k, n, d, draws)[0]


def _through_the_denoiser(x: Tensor, sigma: Tensor, noise: Tensor, net: Subspaces) -> Tensor:
    weighted = [
        training.weight(sigma[:, 0]) * (net(x + sign * noise, sigma[:, 0]) - x).square().sum(1)
        for sign in (1, -1)
    ]
    return (weighted[0] + weighted[1]).sum() / 2


@pytest.mark.parametrize(("k", "d", "n"), [(1, 3, 8), (2, 2, 9), (3, 3, 9), (4, 1, 6)])
@pytest.mark.parametrize("level", [0.05, 0.4, 2.0])
def test_the_gradient_is_that_of_autograd_through_the_denoiser(
    k: int, d: int, n: int, level: float
) -> None:
    x, sigma, noise, bases = _case(k, d, n, 7, level)
    net = Subspaces.from_bases(bases)
    loss = _through_the_denoiser(x, sigma, noise, net)
    loss.backward()
    drawn = training.Noisy(noise[None, None], sigma[None, None])
    assert math.isclose(
        float(training.losses(x[None], drawn, bases[None, None])[0, 0]),
        float(loss.detach()),
        rel_tol=1e-10,
    )
    written = training.gradient(x[None], noise[None], sigma[None], bases[None, None])[0, 0]
    wide, u = (value.transpose(0, 1).reshape(n, k * d) for value in (written, bases))
    inner = u.mT @ wide
    assert net.matrix.grad is not None
    assert torch.allclose(
        wide - u @ (inner + inner.mT) / 2, net.matrix.grad, atol=1e-9 * float(wide.abs().max())
    )


def test_rows_of_zeros_change_neither_loss_nor_gradient() -> None:
    x, sigma, noise, bases = _case(2, 2, 9, 6, 0.3)
    longer = [
        torch.cat([value, fill])
        for value, fill in (
            (x, torch.zeros(3, 9)),
            (sigma, torch.ones(3, 1)),
            (noise, torch.zeros(3, 9)),
        )
    ]
    found = []
    for values in ((x, sigma, noise), longer):
        clean, level, added = (value[None] for value in values)
        loss = training.losses(clean, training.Noisy(added[None], level[None]), bases[None, None])
        found.append((loss, training.gradient(clean, added, level, bases[None, None])))
    for plain, padded in zip(*found):
        assert torch.allclose(plain, padded)


def test_weights_are_those_of_noise_prediction_with_mean_one() -> None:
    grid = training.LOW * (training.HIGH / training.LOW) ** (
        (torch.arange(20000, dtype=torch.float64) + 0.5) / 20000
    )
    assert math.isclose(float(training.weight(grid).mean()), 1, rel_tol=1e-4)
    assert torch.allclose(
        training.weight(grid) * grid**2, training.weight(grid[:1]) * grid[:1] ** 2
    )


def test_training_of_one_subspace_ends_at_uncentred_pca() -> None:
    drawn = instances.drawn(1, 3, (9, 14), 4, n=16, noise=0.02, starts=6, start="random")
    found = training.trained(drawn, keep=2, steps=150)
    pca = torch.stack([principal_subspace(x, 3) for x in drawn.x])
    assert projector_distance(found.bases[:, 0], pca).max() < 0.05
    assert torch.allclose(
        found.bases[:, 0].mT @ found.bases[:, 0],
        torch.eye(3, dtype=torch.float64).expand(8, 3, 3),
        atol=1e-10,
    )


def test_training_and_clustering_recover_the_same_from_enough_points() -> None:
    drawn = instances.drawn(2, 3, (9,), 6, n=20, noise=0.01, starts=24, start="neighbours")
    trained, clustered = (
        training.trained(drawn, keep=4, steps=80),
        k_subspaces(drawn.x, drawn.starts),
    )
    for bases in (trained.bases, clustered.bases):
        assert recovered(bases, drawn.truth).all()
    assert (trained.loss < trained.truth).all()
    assert (clustered.objective > objective(drawn.x, drawn.truth)).all()


def test_instances_train_alike_in_any_company() -> None:
    drawn = instances.drawn(2, 2, (3, 6), 3, n=10, noise=0.05, starts=4, start="neighbours")
    together, alone = (training.trained(of, keep=2, steps=15) for of in (drawn, drawn.part(3, 6)))
    assert projector_distance(together.bases[3:], alone.bases).max() < 1e-3


def test_noiseless_pca_succeeds_from_exactly_d_points_on() -> None:
    cell = MolrgRecovery(k=1, d=3, noise=0.0, fewest=1, most=4, trials=5, n=12, starts=2)
    distance = cell.run().arrays["distance"]
    assert (distance[:2] > 0.9).all()
    assert (distance[2:] < 1e-6).all()
    assert distance.max() <= math.sqrt(2 * 3) + 1e-9


def test_failures_are_split_by_the_objective() -> None:
    success, below = column.verdicts(
        np.array([0.4, 0.6, 0.6, 0.5]), np.array([-1.0, -0.1, 0.1, 0.0])
    )
    assert success.tolist() == [True, False, False, True]
    assert below.tolist() == [False, True, False, False]


def test_agreement_counts_overlapping_intervals() -> None:
    def of(shares: list[int]) -> maps.Map:
        success = np.array([[[i < hits for i in range(20)] for hits in shares]])
        return maps.Map(
            2, (3,), tuple(range(1, len(shares) + 1)), success, np.zeros_like(success), None
        )

    a, b = [0, 5, 10, 20, 20], [0, 6, 19, 17, 12]
    found = maps.agreement([(of(a), of(b))])

    def limits(hits: int) -> tuple[float, float]:
        low = 0.0 if hits == 0 else float(beta.ppf(0.025, hits, 21 - hits))
        return low, 1.0 if hits == 20 else float(beta.ppf(0.975, hits + 1, 20 - hits))

    overlap = [limits(x)[0] <= limits(y)[1] and limits(y)[0] <= limits(x)[1] for x, y in zip(a, b)]
    mutual = [
        limits(x)[0] <= y / 20 <= limits(x)[1] and limits(y)[0] <= x / 20 <= limits(y)[1]
        for x, y in zip(a, b)
    ]
    assert found.overlap.value == sum(overlap) / 5
    assert found.mutual.value == sum(mutual) / 5
    assert 0 < sum(mutual) < sum(overlap) < 5
    assert math.isclose(found.same.value, 1 - sum(abs(x - y) for x, y in zip(a, b)) / 100)
    assert found.worst == (2, 3, 3, 0.5, 0.95)
    assert of(a).at_offset(1) == of(a).estimate(0, 3)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    root = tmp_path_factory.mktemp("recovery")
    run(
        grid(
            MolrgRecovery,
            **TINY,
            method=["clustering", "training"],
            noise=[0.01, 0.1],
            start=["neighbours"],
        ),
        root,
    )
    return Store(root)


def test_a_run_again_gives_the_same_arrays(store: Store) -> None:
    for row in store.rows()[:4]:
        kept: dict[str, Any] = dict(row.fields)
        again = MolrgRecovery(**kept).run()
        assert all(
            np.array_equal(value, again.arrays[name]) for name, value in row.arrays().items()
        )
        assert row.values == dict(again.values)


def test_the_page_says_what_was_measured(store: Store) -> None:
    rows = [
        row
        for cell in grid(
            MolrgRecovery, **TINY, method=["clustering", "training"], noise=[0.01, 0.1]
        )
        if (row := store.get(cell.key()))
    ]
    every = maps.cases(rows)
    assert [case.noise for case in every] == [0.01, 0.1]
    one = every[0].pairs[1].maps["training"]
    direct = next(
        row
        for row in rows
        if row.fields["k"] == 2 and row.fields["d"] == 3 and row.fields["method"] == "training"
    ).arrays()
    assert np.array_equal(one.success[1], direct["distance"] <= 0.5)
    built = page.build(rows, {}, MolrgRecovery.references)
    assert isinstance(built, Page)
    text = " ".join(item.headline for item in findings.claims(every, None))
    overlap = maps.agreement(list(every[0].both())).overlap.value
    assert f"agree within their binomial intervals in {100 * overlap:.1f} % of 12 cells" in text
    for make in (drawings.success, drawings.failures, drawings.free, drawings.against_edge):
        figure = make(every[0], 1)
        assert figure is not None
        assert callable(figure.figure)
        for width in (6.4, 3.6):
            assert figure.figure(width).get_size_inches()[0] == width
    clustering_only = maps.cases([row for row in rows if row.fields["method"] == "clustering"])
    assert not any(list(case.both()) for case in clustering_only)
    assert page.build(
        [row for row in rows if row.fields["method"] == "clustering" and row.fields["k"] == 1],
        {},
        (),
    )


def test_the_command_line_makes_resumes_and_reports(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = "--k 1 --d 2 --fewest 2 --most 3 --trials 2 --n 8 --starts 4 --steps 5"
    words = [
        "run",
        "molrg_recovery",
        "--on",
        "serial",
        "--quiet",
        *sizes.split(),
        "--store",
        str(tmp_path / "store"),
    ]
    assert main([*words, "--dry-run"]) == 0
    assert main(words) == 0
    path = Path(capsys.readouterr().out.splitlines()[-1])
    html = path.read_text()
    assert "Nₖ = d" in html
    before = {file: file.read_bytes() for file in (tmp_path / "store" / "cells").rglob("*.json")}
    assert len(before) == 2
    assert main(words) == 0
    assert {
        file: file.read_bytes() for file in (tmp_path / "store" / "cells").rglob("*.json")
    } == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--k 3 --d 20", "60 mutually orthogonal directions do not fit --n 48"),
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


def test_neighbours_of_one_instance_are_its_own_points() -> None:
    x = torch.randn(9, 6, generator=generator(3), dtype=torch.float64)
    starts = neighbour_starts(x, 4, 1, 1, generator(4))
    cosines = (starts[:, 0, :, 0] @ (x / x.norm(dim=1, keepdim=True)).T).abs()
    assert (cosines.max(1).values > 1 - 1e-5).all()
