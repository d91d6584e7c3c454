"""Learnable subspaces: the closed form with given bases, orthonormal at every step, and training
that finds the principal subspace.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.linalg import polar as scipy_polar
from scipy.linalg import subspace_angles
from torch import Tensor
from torch.func import functional_call, jacfwd, jacrev
from zoo import WEIGHTS, bases, normal

from denoscope.distributions import MoLRG
from denoscope.fitting import denoising_loss, fit, min_snr, snr, training
from denoscope.laws import denoiser as laws
from denoscope.levels import scheduled
from denoscope.networks import Fleet, Subspaces, load, save
from denoscope.networks.subspaces import polar
from denoscope.random import generator
from denoscope.schedule import VE, VP, VPSDE, Flow
from denoscope.theory.molrg import LossConstants, scheduled_constants

SCHEDULES = {
    "vp, flat": (VP.linear(), None),
    "ve, snr": (VE(0.05, 20.0), snr),
    "flow, min snr": (Flow(), min_snr),
}
schedules = pytest.mark.parametrize(
    ("schedule", "weight"), SCHEDULES.values(), ids=SCHEDULES.keys()
)


def level(sigma: float) -> Tensor:
    return torch.tensor(sigma, dtype=torch.float64)


def orthonormal(columns: Tensor, tolerance: float = 1e-12) -> bool:
    return bool(
        (columns.mT @ columns - torch.eye(columns.shape[-1]).to(columns)).abs().max() < tolerance
    )


def data(count: int = 60, n: int = 10, d: int = 3) -> Tensor:
    """Points off the origin whose d-th uncentred eigenvalue exceeds the next."""
    return (
        normal(count, d, seed=1) @ bases(n, d)[0].T
        + 0.3 * normal(count, n, seed=2)
        + 0.6 * bases(n, 1, seed=7)[0].T
    )


def principal(x: Tensor, d: int) -> np.ndarray:
    """The top eigenspace of the uncentred second moments."""
    return np.linalg.eigh((x.T @ x).numpy())[1][:, -d:]


def angle(net: Subspaces, x: Tensor) -> float:
    return float(subspace_angles(net.columns.detach().numpy(), principal(x, net.dims[0])).max())


# ---- the denoiser


@pytest.mark.parametrize("sigma", [1e-3, 0.05, 0.7, 6.0, 1e3])
@pytest.mark.parametrize("noise", [0.0, 0.3])
@pytest.mark.parametrize("joint", [True, False])
def test_with_given_bases_it_is_the_posterior_mean(joint: bool, noise: float, sigma: float):
    law = MoLRG.random(9, [1, 2, 4], orthogonal=joint, weights=WEIGHTS, noise=noise, seed=6)
    net = Subspaces.from_bases(law.bases, joint=joint, weights=WEIGHTS.tolist(), noise=noise)
    x = torch.cat(
        [
            law.sample(5, generator(1)) + sigma * normal(5, 9),
            2 * (1 + sigma) * normal(5, 9, seed=1),
            sigma * normal(5, 9, seed=2),
        ]
    )
    want = law(x, level(sigma))
    torch.testing.assert_close(
        net(x, level(sigma)), want, rtol=0, atol=1e-9 * (1 + float(want.abs().max()))
    )


@pytest.mark.parametrize("kind", ["soft", "ambient", "weighted", "apart"])
def test_it_obeys_the_laws_of_a_denoiser(kind: str):
    options: dict[str, Any] = {
        "soft": {},
        "ambient": {"noise": 0.2},
        "weighted": {"weights": [0.2, 0.8]},
        "apart": {"joint": False},
    }[kind]
    net = Subspaces(6, [2, 3], seed=4, **options)
    laws.check_denoiser(net, (6,))
    laws.check_symmetric(net, (6,))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("options", [{}, {"hard": True}, {"noise": 0.1}, {"weights": [1.0, 0.0]}])
def test_no_level_gives_nan_in_value_or_gradient(dtype: torch.dtype, options: dict):
    net = Subspaces(6, [2, 2], dtype=str(dtype).removeprefix("torch."), **options)
    x = torch.cat([normal(4, 6), torch.zeros(1, 6)]).to(dtype)
    for sigma in (0.0, 1e-30, 1e-9, 1e9, 1e30, math.inf):
        answer = net(x, torch.tensor(sigma, dtype=dtype))
        net.zero_grad()
        answer.square().sum().backward()
        assert bool(answer.isfinite().all()), sigma
        assert net.matrix.grad is not None
        assert bool(net.matrix.grad.isfinite().all()), sigma
    torch.testing.assert_close(
        net(x, torch.tensor(0.0, dtype=dtype)), net(x, torch.tensor(1e-10, dtype=dtype))
    )
    noisy = 1e25 * x  # points as large as a level of 1e25 makes them
    assert bool(net(noisy, torch.tensor(1e25, dtype=dtype)).isfinite().all())


def test_hard_assignment_takes_the_largest_projection_of_what_it_sees_or_what_is_given():
    net = Subspaces(8, [2, 2, 2], hard=True, seed=1)
    x, clean = normal(6, 8), normal(6, 8, seed=1)
    for chosen, answer in [
        (net.assign(x), net(x, level(0.5))),
        (net.assign(clean), net(x, level(0.5), net.assign(clean))),
        (torch.tensor([2, 0, 1, 1, 0, 2]), net(x, level(0.5), torch.tensor([2, 0, 1, 1, 0, 2]))),
    ]:
        want = torch.stack(
            [U @ (U.T @ point) / 1.25 for U, point in zip([net.bases[int(k)] for k in chosen], x)]
        )
        torch.testing.assert_close(answer, want)
    with torch.no_grad():
        projected = torch.stack([(x @ U).square().sum(1) for U in net.bases], 1)
    torch.testing.assert_close(net.energies(x).detach(), projected)
    assert torch.equal(net.assign(x), projected.argmax(1))
    soft = Subspaces.from_bases([U.detach() for U in net.bases])
    torch.testing.assert_close(soft(x, level(0.5), chosen), net(x, level(0.5), chosen))


# ---- orthonormal columns


def test_the_polar_factor_is_scipys_and_its_derivative_exact_also_where_singular_values_are_equal():
    tall = normal(4, 7, 3)
    for item, factor in zip(tall, polar(tall)):
        np.testing.assert_allclose(factor, scipy_polar(item.numpy())[0], atol=1e-12)
    for start in (tall, polar(tall), torch.eye(7, 3).double()):
        moved = normal(*start.shape, seed=5)
        want = (polar(start + 1e-6 * moved) - polar(start - 1e-6 * moved)) / 2e-6
        forward, backward = jacfwd(polar)(start), jacrev(polar)(start)
        torch.testing.assert_close(forward, backward)
        torch.testing.assert_close(
            (backward * moved).sum(tuple(range(-moved.ndim, 0))), want, rtol=1e-7, atol=1e-8
        )


@pytest.mark.parametrize("joint", [True, False])
def test_columns_are_orthonormal_after_large_steps_and_retracting_changes_nothing_else(joint: bool):
    net, x = Subspaces(9, [2, 3, 1], joint=joint, seed=2), normal(20, 9)
    optimizer = torch.optim.SGD(net.parameters(), lr=3.0)
    for step in range(30):
        loss = denoising_loss(net, x, level(0.5).expand(20), normal(20, 9, seed=step))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        assert all(orthonormal(part) for part in ([net.columns] if joint else net.bases))
    before, strayed = net(x, level(0.5)).detach(), net.matrix.detach().clone()
    net.retract()
    assert not torch.allclose(strayed, net.matrix)
    torch.testing.assert_close(net(x, level(0.5)), before)
    torch.testing.assert_close(net.matrix, net.columns)
    if not joint:
        assert not orthonormal(net.columns, 1e-3)


def test_gradients_flow_to_what_trains():
    choices: list[dict[str, Any]] = [{}, {"joint": False}, {"noise": 0.1}, {"weights": [0.3, 0.7]}]
    for options in choices:
        net, x = Subspaces(6, [1, 2], seed=3, **options), normal(4, 6)
        with torch.no_grad():
            net.matrix.mul_(1.3).add_(0.05 * normal(6, 3, seed=8))

        def loss(weight: Tensor, net: Subspaces = net, x: Tensor = x) -> Tensor:
            return (functional_call(net, {"matrix": weight}, (x, level(0.6))) - x).square().sum()

        assert torch.autograd.gradcheck(loss, net.matrix.detach().clone().requires_grad_())


# ---- training


def descend(net: Subspaces, loss: Callable[[], Tensor], steps: int, lr: float) -> None:
    """Adam with a cosine rate on a loss without noise."""
    optimizer = torch.optim.Adam(net.parameters(), lr=lr)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        optimizer.zero_grad()
        loss().sum().backward()
        optimizer.step()
        decay.step()


@schedules
@pytest.mark.parametrize(("n", "d"), [(10, 3), (16, 5)])
def test_one_subspace_of_the_integrated_loss_is_the_principal_one_of_the_uncentred_data(
    schedule, weight, n: int, d: int
):
    x, constants = data(n=n, d=d), scheduled_constants(schedule, weight)
    constants = LossConstants(*(part / constants.total for part in constants))
    net = Subspaces(n, [d], seed=2)
    descend(net, lambda: net.integrated_loss(x, constants), 300, 0.1)
    assert angle(net, x) <= 1e-3
    centred = np.linalg.eigh(np.cov(x.T.numpy()))[1][:, -d:]
    assert subspace_angles(centred, principal(x, d)).max() > 0.05, (
        "the test could not tell centred from uncentred"
    )


@schedules
def test_one_subspace_trained_on_sampled_noise_comes_to_the_principal_subspace(schedule, weight):
    x = data(n=8, d=2).float().repeat(64, 1)
    net, levels = Subspaces(8, [2], seed=1), scheduled(schedule)
    stream = (
        (x, levels(len(x), generator(3, k)), torch.randn(x.shape, generator=generator(4, k)))
        for k in range(400)
    )
    *_, last = training(net, stream, steps=400, lr=0.02, rate="cosine", weight=weight)
    assert not last.stopped
    assert angle(net, x.double()) <= 1e-2


def test_members_train_at_once_as_they_would_alone_and_as_a_fleet():
    x = torch.stack([data(20, 8, 2), normal(20, 8, seed=5)])
    alone = [Subspaces(8, [2, 2], seed=seed) for seed in (1, 2)]
    together = Subspaces.from_bases(
        [torch.stack(pair).detach() for pair in zip(*(net.bases for net in alone))]
    )
    fleet = Fleet(alone)
    assert fleet.native
    assert together.members == 2
    noise, sigma = normal(2, 20, 8, seed=6), torch.tensor([[0.3], [0.9]]).double().expand(2, 20)
    for net, points, n, s in zip(alone, x, noise, sigma):
        *_, last = training(net, [(points, s, n)] * 30, lr=0.05)
    for many in (together, fleet):
        *_, last = training(many, [(x, sigma, noise)] * 30, lr=0.05)
        assert last.loss.shape == (2,)
    for i, net in enumerate(alone):
        torch.testing.assert_close(together.member(i).columns, net.columns, rtol=1e-7, atol=1e-8)
        # a module's attribute
        torch.testing.assert_close(fleet.member(i).columns, net.columns, rtol=1e-7, atol=1e-8)  # pyright: ignore[reportArgumentType, reportCallIssue]
        torch.testing.assert_close(
            together(x, sigma[:, 0])[i], net(x[i], sigma[i, 0]), rtol=1e-7, atol=1e-8
        )
        torch.testing.assert_close(
            together.energies(x)[i], net.energies(x[i]), rtol=1e-7, atol=1e-8
        )


def test_fit_trains_it_and_the_best_of_some_starts_with_soft_weights_finds_both_subspaces():
    law = MoLRG.random(12, [2, 2], seed=3)
    x = law.labelled([60, 60], generator(2)).points
    fleet = Fleet([Subspaces(12, [2, 2], seed=seed) for seed in range(6)])
    fit(
        fleet,
        (x.expand(6, 120, 12) for _ in range(200)),
        lambda n, g: 0.1 + 0.3 * torch.rand(n, generator=g),
        lr=0.05,
    )
    with torch.no_grad():
        loss = denoising_loss(
            fleet,
            x.expand(6, 120, 12),
            torch.full((6, 120), 0.2),
            normal(120, 12).expand(6, 120, 12),
        )
    net = fleet.members()[int(loss.argmin())]
    assert isinstance(net, Subspaces)
    angles = [
        [subspace_angles(U.detach().numpy(), V.numpy()).max() for V in law.bases] for U in net.bases
    ]
    assert sorted(int(np.argmin(row)) for row in angles) == [0, 1]
    assert max(min(row) for row in angles) < 0.05


def test_clean_assignments_trained_on_the_integrated_loss_cluster():
    law = MoLRG.random(16, [2, 2, 2], seed=1)
    x = law.labelled([30, 30, 30], generator(2)).points
    constants = scheduled_constants(VPSDE())
    near = torch.cat([U + 0.15 * normal(16, 2, seed=k) for k, U in enumerate(law.bases)], 1)
    net = Subspaces.from_bases(polar(near).split(2, 1))
    descend(net, lambda: net.integrated_loss(x, constants), 300, 0.05)
    truth = Subspaces.from_bases(law.bases)
    assert net.integrated_loss(x, constants).item() == pytest.approx(
        truth.integrated_loss(x, constants).item(), rel=1e-7
    )
    assert (
        max(
            subspace_angles(U.detach().numpy(), V.numpy()).max()
            for U, V in zip(net.bases, law.bases)
        )
        < 1e-3
    )


# ---- files, shapes, mistakes


@pytest.mark.parametrize("members", [None, 3])
def test_it_is_saved_and_loaded_as_it_is(tmp_path: Path, members: int | None):
    net = Subspaces(
        7,
        [1, 3],
        members=members,
        joint=False,
        hard=True,
        weights=[0.1, 0.9],
        noise=0.2,
        dtype="float32",
        seed=5,
    )
    again = load(save(net, tmp_path / "net.safetensors"))
    assert isinstance(again, Subspaces)
    assert again.config == net.config
    x = normal(3, 4, 7).float()
    assert torch.equal(again(x, torch.tensor(0.4)), net(x, torch.tensor(0.4)))


def test_types_shapes_and_seeds():
    net = Subspaces(6, [2, 2], members=4, seed=3)
    assert [part.shape for part in net.bases] == [(4, 6, 2)] * 2
    assert orthonormal(net.columns)
    assert torch.equal(net.matrix, Subspaces(6, [2, 2], members=4, seed=3).matrix)
    assert not torch.allclose(net.matrix[0], net.matrix[1])
    assert not torch.allclose(net.matrix, Subspaces(6, [2, 2], members=4, seed=4).matrix)
    stacked = torch.stack(net.bases, -3).detach()
    torch.testing.assert_close(Subspaces.from_bases(stacked).columns, net.columns)
    x = normal(4, 5, 6)
    assert net(x.float(), level(0.3)).dtype == torch.float32
    assert net(x[:, 0], torch.ones(4).double()).shape == (4, 6)
    assert net(x[:, :0], level(0.3)).shape == (4, 0, 6)
    torch.testing.assert_close(
        net(x, level(0.3), net.assign(x))[1], net.member(1)(x[1], level(0.3), net.assign(x)[1])
    )
    single = Subspaces(6, [2, 2])
    assert single(x, torch.ones(4, 5).double()).shape == x.shape
    assert single(x[0, 0], level(0.3)).shape == (6,)


MISTAKES = {
    "do not fit 5 dimensions": lambda: Subspaces(5, [3, 3]),
    "dims must": lambda: Subspaces(5, [0]),
    "sum 1": lambda: Subspaces(6, [2, 2], weights=[0.5, 0.6]),
    "2 numbers of at least 0": lambda: Subspaces(6, [2, 2], weights=[1.0]),
    "members": lambda: Subspaces(6, [2], members=0),
    "noise must": lambda: Subspaces(6, [2], noise=-1.0),
    "dtype": lambda: Subspaces(6, [2], dtype="int8"),
    "of each basis must be orthonormal": lambda: Subspaces.from_bases([normal(6, 2)], joint=False),
    "of all bases together must be orthonormal": lambda: Subspaces.from_bases(bases(6, 2, 2)),
    "of one m and n": lambda: Subspaces.from_bases([*bases(6, 2), *bases(5, 2)]),
    "x must have shape": lambda: Subspaces(6, [2])(normal(3, 5), level(1.0)),
    r"\(2, ..., 6\)": lambda: Subspaces(6, [2], members=2)(normal(3, 4, 6), level(1.0)),
    "not a prefix": lambda: Subspaces(6, [2])(normal(3, 6), torch.ones(2)),
    "more axes": lambda: Subspaces(6, [2])(normal(3, 6), torch.ones(3, 6)),
    "assignment must": lambda: Subspaces(6, [2])(normal(3, 6), level(1.0), torch.tensor([0, 0, 1])),
    "without ambient noise": lambda: Subspaces(6, [2], noise=0.1).integrated_loss(
        normal(3, 6), LossConstants(1, 1, 1)
    ),
}


@pytest.mark.parametrize(("message", "mistake"), MISTAKES.items())
def test_mistakes_are_named_in_one_line(message: str, mistake: Callable[[], object]):
    with pytest.raises(ValueError, match=message) as caught:
        mistake()
    assert "\n" not in str(caught.value)
