"""Stages may be visited as one likes: the objective stays that of the levels' density."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import norm
from torch import Tensor, nn

from denoscope.fitting import StagedLoss, denoising_loss, draws, training, visit_shares
from denoscope.fitting.policies import FLOOR, POLICIES
from denoscope.levels import log_normal
from denoscope.networks import MLP, Fleet, Preconditioned

EDGES, MEAN, STD = (0.5, 3.0), -0.6, 1.4
DATA = torch.randn(40, 1, 4, 4, generator=torch.Generator().manual_seed(0))
GRID = 200_000
LEVELS = torch.from_numpy(
    np.exp(norm.ppf((np.arange(GRID) + 0.5) / GRID, MEAN, STD)).astype(np.float32)
)


class Error(nn.Module):
    """Is wrong by a known function of the level, of one parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.tensor(0.7))

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        return (1 / (self.a + sigma))[:, None].expand(x.shape)


def settled(policy: str) -> StagedLoss:
    """A loss that has looked at stages twice."""
    loss, D = StagedLoss(EDGES, MEAN, STD, policy, every=1), Error()
    for a in (0.7, 1.5):
        nn.init.constant_(D.a, a)
        evaluated(loss, D)
    return loss


def evaluated(loss: Callable[..., Tensor], D: Error) -> Tensor:
    """The loss over a quadrature grid of levels."""
    zero = torch.zeros(GRID, 1)
    return loss(D, zero, LEVELS, zero)


@pytest.mark.parametrize("policy", POLICIES)
def test_loss_and_gradient_are_those_of_the_density(policy: str) -> None:
    loss, D = settled(policy), Error()
    found = evaluated(loss, D)
    found.backward()
    plain = Error()
    wanted = evaluated(denoising_loss, plain)
    wanted.backward()
    assert D.a.grad is not None
    assert plain.a.grad is not None
    assert found.item() == pytest.approx(wanted.item(), rel=2e-4)
    assert float(D.a.grad) == pytest.approx(float(plain.a.grad), rel=2e-4)
    a, dense = 0.7, LEVELS.double()
    assert wanted.item() == pytest.approx(float((a + dense).pow(-2).mean()), rel=1e-4)


@pytest.mark.parametrize("policy", POLICIES)
def test_stages_are_visited_as_their_shares_say_and_levels_stay_inside(policy: str) -> None:
    loss = settled(policy)
    level, stage = loss.visited(LEVELS)
    counts = stage.bincount(minlength=3) / GRID
    np.testing.assert_allclose(counts, loss.shares, atol=2 / GRID)
    inside = torch.bucketize(level, torch.tensor(EDGES), right=True)
    assert float((inside == stage).double().mean()) > 1 - 1e-5
    for k in range(3):  # the density inside a stage: the median is that of the drawn levels
        own = torch.bucketize(LEVELS, torch.tensor(EDGES), right=True) == k
        assert float(level[stage == k].median()) == pytest.approx(
            float(LEVELS[own].median()), rel=1e-3
        )


def test_shares_of_known_policies() -> None:
    density = visit_shares(EDGES, MEAN, STD)
    cdf = norm.cdf(np.log(EDGES), MEAN, STD)
    np.testing.assert_allclose(density, np.diff([0, *cdf, 1]), rtol=1e-12)
    np.testing.assert_allclose(settled("density").shares, density)
    np.testing.assert_allclose(settled("uniform").shares, 1 / 3)
    a, stage = 1.5, torch.bucketize(LEVELS, torch.tensor(EDGES), right=True)
    error = [float((a + LEVELS[stage == k].double()).pow(-2).mean()) for k in range(3)]
    before = [float((0.7 + LEVELS[stage == k].double()).pow(-2).mean()) for k in range(3)]
    for policy, wanted in (
        ("gradient", density * np.sqrt(error)),
        ("decrease", density * (np.array(before) - error)),
    ):
        mixed = FLOOR * density + (1 - FLOOR) * wanted / wanted.sum()
        np.testing.assert_allclose(settled(policy).shares, mixed, rtol=1e-3)


def test_the_published_recipe_hardly_visits_two_of_its_decoders() -> None:
    shares = visit_shares((2.5103, 7.6577), -1.2, 1.2)
    np.testing.assert_allclose(100 * shares, [96.1, 3.5, 0.35], rtol=5e-3)


def test_by_gradient_the_second_moment_is_least() -> None:
    density, g2 = visit_shares(EDGES, MEAN, STD), np.array([4.0, 0.3, 0.01])
    best = density * np.sqrt(g2)
    rng = np.random.default_rng(0)

    def moment(q: np.ndarray) -> float:
        return float((density**2 / (q / q.sum()) * g2).sum())

    assert all(moment(best) <= moment(rng.dirichlet(np.ones(3))) for _ in range(100))


def test_by_density_nothing_changes_at_all() -> None:
    def trained(**how: StagedLoss) -> nn.Module:
        net, drawn = _network(0), draws(DATA, [torch.arange(40)], [1], batch=8, levels=_LEVELS)
        for _ in training(net, drawn, steps=5, **how):  # pyright: ignore[reportArgumentType]
            pass
        return net

    pairs = zip(trained().parameters(), trained(loss=_staged("density")).parameters())
    assert all(torch.equal(a, b) for a, b in pairs)


_LEVELS = log_normal(MEAN, STD)


def _network(seed: int) -> Preconditioned:
    return Preconditioned(MLP((1, 4, 4), 8, seed=seed))


def _staged(policy: str) -> StagedLoss:
    return StagedLoss(EDGES, MEAN, STD, policy, every=3)


@pytest.mark.parametrize("policy", ["gradient", "decrease"])
def test_a_killed_training_goes_on_bit_for_bit(policy: str, tmp_path: Path) -> None:
    def run(file: Path, most: int) -> tuple[list[Tensor], StagedLoss]:
        net, loss = _network(0), _staged(policy)
        drawn = draws(DATA, [torch.arange(40)], [1], batch=16, levels=_LEVELS)
        steps = training(net, drawn, steps=20, loss=loss, checkpoint=file, every=0, report=0)
        list(islice(steps, most))
        return [p.detach().clone() for p in net.parameters()], loss

    run(tmp_path / "killed", 10)  # looks came after steps 3, 6 and 9, the next window has begun
    again, resumed = run(tmp_path / "killed", 99)
    whole, loss = run(tmp_path / "whole", 99)
    assert all(torch.equal(a, b) for a, b in zip(again, whole))
    assert torch.equal(resumed.shares, loss.shares)
    assert not torch.equal(loss.shares, loss.density)
    other = StagedLoss(EDGES, MEAN, STD, "uniform")
    drawn = draws(DATA, [torch.arange(40)], [1], batch=16, levels=_LEVELS)
    with pytest.raises(ValueError, match="another training"):
        training(_network(0), drawn, steps=20, loss=other, checkpoint=tmp_path / "whole")


def test_a_fleet_learns_the_shares_of_its_members() -> None:
    seeds, rows = [3, 4], torch.arange(40)

    def shares(members: list[int]) -> Tensor:
        nets = [_network(i) for i in members]
        net, loss = Fleet(nets), _staged("gradient")
        drawn = draws(
            DATA, [rows] * len(members), [seeds[i] for i in members], batch=16, levels=_LEVELS
        )
        for _ in training(net, drawn, steps=7, loss=loss):
            pass
        return loss.shares

    both = shares([0, 1])
    torch.testing.assert_close(both[1:], shares([1]), rtol=1e-5, atol=1e-6)
    assert (both[0] - both[1]).abs().max() > 1e-4


def test_a_stage_that_is_never_visited_is_named_and_stays_out() -> None:
    with pytest.warns(UserWarning, match=r"stage 2 \(sigma from 1e\+06 to inf\) is never trained"):
        loss = StagedLoss((0.5, 1e6), MEAN, 1e-1, "uniform")
    assert float(loss.shares[2]) == 0
    assert int(loss.visited(LEVELS)[1].max()) == 1


@pytest.mark.parametrize(
    ("how", "said"),
    [({"policy": "fastest"}, "density, uniform, gradient, decrease"), ({"every": 0}, "every")],
)
def test_bad_policies_are_refused(how: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        StagedLoss(EDGES, MEAN, STD, **how)  # pyright: ignore[reportArgumentType]
