"""Subspaces and their clustering: angles, distances, matching against brute force; K-subspaces
against PCA, planted truth, its own laws.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import Tensor

from denoscope.distributions import MoLRG
from denoscope.geometry import (
    energies,
    joint_polar,
    k_subspaces,
    match,
    neighbour_starts,
    objective,
    overlap,
    principal_angles,
    principal_subspace,
    projector_distance,
    random_starts,
    recovered,
)
from denoscope.geometry.clustering import climb
from denoscope.random import generator


def _bases(*shape: int, seed: int = 0) -> Tensor:
    return torch.linalg.qr(torch.randn(shape, generator=generator(seed), dtype=torch.float64)).Q


@pytest.mark.parametrize(("n", "d", "e"), [(10, 3, 3), (12, 5, 2), (7, 2, 6), (4, 4, 1)])
def test_angles_are_scipys_and_distances_those_of_projectors(n: int, d: int, e: int) -> None:
    u, v = _bases(5, n, d, seed=1), _bases(5, n, e, seed=2)
    for a, b, angles, distance in zip(u, v, principal_angles(u, v), projector_distance(u, v)):
        assert np.allclose(
            angles.numpy(), scipy.linalg.subspace_angles(a.numpy(), b.numpy())[::-1], atol=1e-12
        )
        assert math.isclose(
            float(distance), float(torch.linalg.norm(a @ a.T - b @ b.T)), abs_tol=1e-12
        )
    if d == e:
        sines = principal_angles(u, v).sin().square().sum(-1)
        assert torch.allclose(projector_distance(u, v), (2 * sines).sqrt(), atol=1e-12)


@pytest.mark.parametrize("angle", [1e-12, 1e-8, 1e-3, 1.0, math.pi / 2 - 1e-9])
def test_a_turned_line_has_its_angle_however_small(angle: float) -> None:
    u = torch.eye(6, dtype=torch.float64)[:, :2]
    v = u.clone()
    v[1, 1], v[4, 1] = math.cos(angle), math.sin(angle)
    assert principal_angles(u, v)[0] < 1e-15
    assert math.isclose(float(principal_angles(u, v)[1]), angle, rel_tol=1e-12)
    assert math.isclose(
        float(projector_distance(u, v)), math.sqrt(2) * math.sin(angle), rel_tol=1e-12
    )


def test_matching_is_the_best_of_all_permutations() -> None:
    truth, found = _bases(4, 3, 9, 2, seed=3), _bases(4, 3, 9, 2, seed=4)
    order, distance = match(found, truth)
    for i in range(4):
        table = [
            [float(projector_distance(found[i, a], truth[i, b])) for a in range(3)]
            for b in range(3)
        ]
        best = min(
            itertools.permutations(range(3)),
            key=lambda p, t=table: sum(t[b][p[b]] ** 2 for b in range(3)),
        )
        assert order[i].tolist() == list(best)
        assert np.allclose(distance[i], [table[b][best[b]] for b in range(3)])
    shuffled = truth[:, [2, 0, 1]]
    assert match(shuffled, truth)[0].tolist() == [[1, 2, 0]] * 4
    assert recovered(shuffled, truth).all()
    assert not recovered(found, truth).any()


@pytest.mark.parametrize(("count", "n", "d"), [(30, 8, 3), (5, 20, 3), (6, 6, 6), (3, 10, 5)])
def test_the_principal_subspace_is_that_of_the_svd_uncentred(count: int, n: int, d: int) -> None:
    x = torch.randn(4, count, n, generator=generator(5), dtype=torch.float64) + 2.0
    u = principal_subspace(x, d)
    assert torch.allclose(u.mT @ u, torch.eye(d, dtype=torch.float64).expand(4, d, d), atol=1e-10)
    spanned = min(d, count)
    v = torch.linalg.svd(x, full_matrices=False).Vh[:, :spanned].mT
    assert principal_angles(u, v).max() < 1e-7
    centred = principal_subspace(x - x.mean(1, keepdim=True), 1)
    assert principal_angles(centred, principal_subspace(x, 1)).min() > 0.1
    with pytest.raises(ValueError, match="d must lie between"):
        principal_subspace(x, n + 1)


def test_the_joint_polar_factor_is_the_nearest_orthonormal_matrix() -> None:
    a = torch.randn(3, 2, 9, 3, generator=generator(6), dtype=torch.float64)
    u = joint_polar(a)
    wide, columns = (value.transpose(1, 2).reshape(3, 9, 6) for value in (a, u))
    assert torch.allclose(
        columns.mT @ columns, torch.eye(6, dtype=torch.float64).expand(3, 6, 6), atol=1e-10
    )
    assert np.allclose(columns[1].numpy(), scipy.linalg.polar(wide[1].numpy())[0], atol=1e-10)
    twice = a[:, :1].repeat(1, 2, 1, 1)
    columns = joint_polar(twice).transpose(1, 2).reshape(3, 9, 6)
    assert torch.allclose(
        columns.mT @ columns, torch.eye(6, dtype=torch.float64).expand(3, 6, 6), atol=1e-10
    )
    with pytest.raises(ValueError, match="need 12 dimensions, there are n = 9"):
        joint_polar(a.repeat(1, 2, 1, 1))


def test_energy_and_objective_are_their_definitions_and_padding_counts_for_nothing() -> None:
    x, u = torch.randn(11, 7, generator=generator(7), dtype=torch.float64), _bases(3, 7, 2, seed=8)
    direct = np.array(
        [[np.linalg.norm(u[k].numpy().T @ x[i].numpy()) ** 2 for k in range(3)] for i in range(11)]
    )
    assert np.allclose(energies(x, u).numpy(), direct)
    assert math.isclose(float(objective(x, u)), direct.max(1).mean())
    padded = torch.cat([x, torch.zeros(4, 7)])
    assert math.isclose(float(objective(padded, u)), direct.max(1).mean())
    starts = random_starts(5, 3, 7, 2, generator(9))
    plain, with_rows = k_subspaces(x, starts), k_subspaces(padded, starts)
    assert torch.allclose(plain.bases, with_rows.bases, atol=1e-8)
    assert math.isclose(float(plain.objective), float(with_rows.objective), rel_tol=1e-10)


@pytest.mark.parametrize("joint", [True, False])
def test_no_step_of_the_climb_lowers_the_objective(joint: bool) -> None:
    x = torch.randn(3, 24, 12, generator=generator(10), dtype=torch.float64)
    starts = torch.stack([random_starts(6, 3, 12, 3, generator(11, i)) for i in range(3)])
    values = [
        climb(x, starts, joint=joint, steps=steps, tolerance=0.0).objective
        for steps in range(1, 40)
    ]
    for before, after in itertools.pairwise(values):
        assert (after >= before * (1 - 1e-12)).all()
    assert (values[-1] > 1.05 * values[0]).any()


def test_what_rests_is_a_fixed_point() -> None:
    x = torch.randn(24, 12, generator=generator(12), dtype=torch.float64)
    starts = random_starts(8, 2, 12, 3, generator(13))
    free = k_subspaces(x, starts, joint=False)
    for k in range(2):
        mine = x[free.assignments == k]
        assert principal_angles(free.bases[k], principal_subspace(mine, 3)).max() < 1e-6
    joint = k_subspaces(x, starts, tolerance=1e-14, steps=3000)
    sums = torch.stack([x[joint.assignments == k].T @ x[joint.assignments == k] for k in range(2)])
    pulled = joint_polar(sums @ joint.bases)
    assert projector_distance(pulled, joint.bases).max() < 1e-4
    assert joint.objective <= free.objective * (1 + 1e-9)


def test_one_subspace_is_uncentred_pca() -> None:
    x = torch.randn(5, 9, 20, generator=generator(14), dtype=torch.float64) + 0.5
    starts = torch.stack([random_starts(3, 1, 20, 4, generator(15, i)) for i in range(5)])
    found = k_subspaces(x, starts)
    assert projector_distance(found.bases[:, 0], principal_subspace(x, 4)).max() < 1e-7


@pytest.mark.parametrize(
    ("k", "d", "n", "count", "noise"),
    [(2, 3, 20, 12, 0.01), (3, 2, 10, 9, 0.03), (4, 2, 30, 6, 0.0), (2, 5, 24, 7, 0.01)],
)
def test_planted_orthogonal_subspaces_are_found(
    k: int, d: int, n: int, count: int, noise: float
) -> None:
    law = MoLRG.random(n, (d,) * k, seed=count)
    points = law.labelled([count] * k, generator(16), perturbation=noise)
    truth = torch.stack(law.bases)
    found = k_subspaces(points.points, neighbour_starts(points.points, 64, k, d, generator(17)))
    assert recovered(found.bases, truth)
    assert found.objective >= objective(points.points, truth)
    order, _ = match(found.bases, truth)
    assert (order[points.labels] == found.assignments).all()


def test_instances_at_once_are_instances_alone() -> None:
    x = torch.randn(3, 18, 10, generator=generator(18), dtype=torch.float64)
    starts = torch.stack(
        [neighbour_starts(rows, 7, 2, 3, generator(19, i)) for i, rows in enumerate(x)]
    )
    together = k_subspaces(x, starts)
    for i in range(3):
        alone = k_subspaces(x[i], starts[i])
        assert torch.allclose(alone.bases, together.bases[i], atol=1e-7)
        assert alone.start == together.start[i]
    best = max(float(k_subspaces(x[0], starts[0, s : s + 1]).objective) for s in range(7))
    assert math.isclose(float(k_subspaces(x[0], starts[0], keep=7).objective), best, rel_tol=1e-9)


def test_without_orthogonality_d_points_identify_nothing() -> None:
    law = MoLRG.random(20, (3, 3), seed=1)
    x = law.labelled([3, 3], generator(20)).points
    swapped = torch.stack(
        [principal_subspace(x[[0, 1, 3]], 3), principal_subspace(x[[2, 4, 5]], 3)]
    )
    energy = float(x.square().sum()) / 6
    assert math.isclose(float(objective(x, swapped)), energy, rel_tol=1e-9)
    assert projector_distance(swapped[0], law.bases[0]) > 1
    assert float(objective(x, joint_polar(swapped))) < energy * 0.99


@pytest.mark.parametrize(
    ("points", "k", "d", "n"), [(10, 2, 3, 12), (2, 2, 4, 9), (1, 3, 2, 6), (4, 1, 6, 6)]
)
def test_starts_are_jointly_orthonormal_and_functions_of_the_generator(
    points: int, k: int, d: int, n: int
) -> None:
    x = torch.randn(points, n, generator=generator(21), dtype=torch.float64)
    for made in (
        neighbour_starts(x, 6, k, d, generator(22)),
        random_starts(6, k, n, d, generator(22)),
    ):
        columns = made.transpose(1, 2).reshape(6, n, k * d)
        assert torch.allclose(
            columns.mT @ columns,
            torch.eye(k * d, dtype=torch.float64).expand(6, k * d, k * d),
            atol=1e-8,
        )
    assert torch.equal(
        neighbour_starts(x, 6, k, d, generator(22)), neighbour_starts(x, 6, k, d, generator(22))
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: random_starts(2, 3, 8, 3, generator(0)), "need 9 dimensions, there are n = 8"),
        (lambda: k_subspaces(torch.zeros(4, 6), torch.zeros(2, 2, 5, 2)), "starts must have shape"),
        (lambda: k_subspaces(torch.zeros(4, 6), torch.zeros(2, 2, 6, 4)), "need 8 dimensions"),
        (
            lambda: principal_angles(torch.ones(5, 2), torch.eye(5)[:, :2]),
            "the columns of u must be orthonormal",
        ),
        (lambda: match(torch.zeros(2, 5, 2), torch.zeros(3, 5, 2)), "must agree in number"),
    ],
)
def test_mistakes_are_one_line(call, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_neighbours_of_one_instance_are_its_own_points() -> None:
    x = torch.randn(9, 6, generator=generator(3), dtype=torch.float64)
    starts = neighbour_starts(x, 4, 1, 1, generator(4))
    cosines = (starts[:, 0, :, 0] @ (x / x.norm(dim=1, keepdim=True)).T).abs()
    assert (cosines.max(1).values > 1 - 1e-5).all()


def test_overlap_is_that_of_projectors_and_by_chance_the_share_of_dimensions() -> None:
    rng = np.random.default_rng(1)
    u, v = (np.linalg.qr(rng.normal(size=(30, 5)))[0] for _ in range(2))
    projected = np.trace(u @ u.T @ v @ v.T) / 5
    assert float(overlap(u.T[None], v.T[None])[0]) == pytest.approx(projected)
    many = [np.linalg.qr(rng.normal(size=(2000, 30, 5)))[0] for _ in range(2)]
    random = overlap(*(basis.transpose(0, 2, 1) for basis in many))
    error = 5 * float(random.std()) / math.sqrt(2000)
    assert float(random.mean()) == pytest.approx(5 / 30, abs=error)
