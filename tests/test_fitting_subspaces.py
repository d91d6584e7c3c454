"""Diffusion training of many subspaces at once: the written gradient is autograd's, padding counts
for nothing, and enough points recover what clustering recovers.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from denoscope.fitting import subspaces as training
from denoscope.fitting.instances import Instances, instances
from denoscope.geometry import (
    k_subspaces,
    objective,
    principal_subspace,
    projector_distance,
    random_starts,
    recovered,
)
from denoscope.networks import Subspaces
from denoscope.random import generator


def _drawn(
    k: int, d: int, counts: tuple[int, ...], noise: float = 0.1, start: str = "neighbours"
) -> Instances:
    return instances(k, d, counts, 2, n=14, noise=noise, starts=5, start=start)


def test_instances_do_not_depend_on_what_else_is_drawn_nor_on_noise() -> None:
    many, few = _drawn(2, 3, (2, 4, 7)), _drawn(2, 3, (4,))
    assert many.x.ne(0).any(-1).sum(1).tolist() == [4, 4, 8, 8, 14, 14]
    assert torch.equal(many.part(2, 4).x, few.x)
    assert torch.equal(many.starts[2:4], few.starts)
    clean, noisy = _drawn(2, 3, (4,), noise=0.0), _drawn(2, 3, (4,), noise=0.2)
    assert torch.equal(clean.truth, noisy.truth)
    assert torch.allclose(clean.x + 2 * (few.x - clean.x), noisy.x)
    inside = sum((clean.x @ u @ u.mT for u in clean.truth.unbind(1)), torch.zeros_like(clean.x))
    assert (clean.x - inside).abs().max() < 1e-12
    first, second = (training.noises(of, 3, 1) for of in (many.part(2, 4), few))
    assert torch.equal(first.noise, second.noise)
    assert torch.equal(first.levels, second.levels)
    assert not training.noises(many, 3, 1).noise[:, :2, 4:].any()


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
    drawn = instances(1, 3, (9, 14), 4, n=16, noise=0.02, starts=6, start="random")
    found = training.train_subspaces(drawn, keep=2, steps=150)
    pca = torch.stack([principal_subspace(x, 3) for x in drawn.x])
    assert projector_distance(found.bases[:, 0], pca).max() < 0.05
    assert torch.allclose(
        found.bases[:, 0].mT @ found.bases[:, 0],
        torch.eye(3, dtype=torch.float64).expand(8, 3, 3),
        atol=1e-10,
    )


def test_training_and_clustering_recover_the_same_from_enough_points() -> None:
    drawn = instances(2, 3, (9,), 6, n=20, noise=0.01, starts=24, start="neighbours")
    trained = training.train_subspaces(drawn, keep=4, steps=80)
    clustered = k_subspaces(drawn.x, drawn.starts)
    for bases in (trained.bases, clustered.bases):
        assert recovered(bases, drawn.truth).all()
    assert (trained.loss < trained.truth).all()
    assert (clustered.objective > objective(drawn.x, drawn.truth)).all()


def test_instances_train_alike_in_any_company() -> None:
    drawn = instances(2, 2, (3, 6), 3, n=10, noise=0.05, starts=4, start="neighbours")
    together, alone = (
        training.train_subspaces(of, keep=2, steps=15) for of in (drawn, drawn.part(3, 6))
    )
    assert projector_distance(together.bases[3:], alone.bases).max() < 1e-3
