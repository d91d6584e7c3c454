"""Consistency models: the cut of the flow, and training without and with a teacher against the flow
map of a Gaussian, which is known.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from denoscope.distributions import Gaussian
from denoscope.fitting import ConsistencyLoss, Draws, draws, training
from denoscope.fitting.consistency import HUBER
from denoscope.laws.consistency import check_boundary, check_self_consistency
from denoscope.levels import karras, log_normal, log_uniform
from denoscope.models import ONE_STEP, POSTERIOR_MEAN, open_model
from denoscope.networks import MLP, Averaged, Fleet, Preconditioned, load, save
from denoscope.networks.precondition import CONSISTENT_FROM
from denoscope.random import Seeds, generator
from denoscope.sampling import consistency, euler, sample
from denoscope.theory.linear import flow_map
from denoscope.types import Denoiser

VARIANCES = torch.tensor([1.0, 0.25, 0.04])
MEAN = torch.tensor([0.5, 0.0, -0.3])
LAW = Gaussian(MEAN, VARIANCES.diag())
DATA = LAW.sample(4096, generator(1)).float()
STEPS = 1000


def flow_end(x: Tensor, sigma: float) -> Tensor:
    """Where the flow of the Gaussian carries states x at sigma: to the level CONSISTENT_FROM."""
    mean, variances = MEAN.double().numpy(), VARIANCES.double().diag().numpy()
    end = flow_map(mean, variances, sigma, CONSISTENT_FROM)
    matrix, offset = torch.as_tensor(end.matrix), torch.as_tensor(end.offset)
    return (offset + x.double() / sigma @ matrix.T).to(x)


def drawn(members: int = 1) -> Draws:
    rows = [torch.arange(len(DATA))] * members
    return draws(DATA, rows, list(range(members)), batch=128, levels=log_uniform())


def fleet(width: int = 64, seeds: Sequence[int] = (0,)) -> Fleet:
    return Fleet(
        [Preconditioned(MLP((3,), width, seed=seed), "consistency", 0.7) for seed in seeds]
    )


def trained(teacher: Denoiser | None, steps: int = STEPS) -> Denoiser:
    net = fleet()
    averaged = Averaged(net, 0.99)
    loss = ConsistencyLoss(steps, teacher, last=80)
    for _ in training(
        net, drawn(), steps=steps, lr=4e-3, rate="one_cycle", ema=averaged, loss=loss
    ):
        pass
    return averaged.net.member(0).requires_grad_(False)  # pyright: ignore[reportCallIssue]


def distance(f: Denoiser, sigma: float = 80.0) -> float:
    """Root mean squared distance to the flow map, a pixel, over states at a level."""
    x = MEAN + (VARIANCES + sigma**2).sqrt() * torch.randn(4000, 3, generator=generator(7))
    with torch.no_grad():
        gap = f(x, torch.tensor(sigma)) - flow_end(x, sigma)
    return float(gap.square().mean().sqrt())


# the flow cut at levels


def test_levels_double_until_the_end():
    loss = ConsistencyLoss(800, first=10, last=1280)
    counts = [loss.at(step).parts for step in range(800)]
    assert [k for k, _ in itertools.groupby(counts)] == [10 * 2**j for j in range(8)]
    assert all(counts.count(10 * 2**j) == 100 for j in range(8))
    assert ConsistencyLoss(3).at(2).parts == 40, "fewer steps than doublings"


def test_a_level_falls_between_two_neighbours():
    loss = ConsistencyLoss(100).at(30)
    levels = karras(loss.parts + 1)[:-1].flip(0).float()
    sigma = torch.cat(
        [log_normal(-1.1, 2.0)(5000, generator(2)), levels, torch.tensor([1e-6, 500])]
    )
    s, r = loss.pair(sigma.reshape(1, -1))
    assert s.shape == (1, len(sigma))
    for near, far in ((s[0], 1), (r[0], 0)):
        place = torch.searchsorted(levels, near)
        assert torch.equal(levels[place], near)
        assert set(place.tolist()) <= set(range(far, loss.parts + far))
    inside = (sigma > levels[0]) & (sigma <= levels[-1])
    assert ((r[0] < sigma) & (sigma <= s[0]))[inside].all()
    assert torch.equal(r[0][sigma <= levels[1]].unique(), levels[:1]), "the last pair ends the flow"


def test_the_loss_is_the_published_one():
    f = fleet().member(0).double()
    for p in f.parameters():
        p.data += 0.1 * torch.randn(p.shape, generator=generator(3)).double()
    x0, sigma, noise = (part[0].double() for part in next(drawn()))
    loss = ConsistencyLoss(100).at(50)
    s, r = loss.pair(sigma)
    target = f(x0 + r[:, None] * noise, r)
    square = (f(x0 + s[:, None] * noise, s) - target).square().sum(1)
    c = HUBER * math.sqrt(3)
    each = (square + c**2).sqrt() - c
    torch.testing.assert_close(loss(f, x0, sigma, noise), (each / (s - r)).mean())
    torch.testing.assert_close(loss(f, x0, sigma, noise, torch.sqrt), (each * s.sqrt()).mean())
    mine = torch.autograd.grad(loss(f, x0, sigma, noise), list(f.parameters()))
    own = torch.autograd.grad(
        (
            ((f(x0 + s[:, None] * noise, s) - target.detach()).square().sum(1) + c**2).sqrt()
            / (s - r)
        ).mean(),
        list(f.parameters()),
    )
    for a, b in zip(mine, own):
        torch.testing.assert_close(a, b)


def test_a_teacher_carries_the_state_down_its_flow():
    x0, sigma, noise = (part[0].double() for part in next(drawn()))
    truth = Gaussian(MEAN.double(), VARIANCES.double().diag())
    loss = ConsistencyLoss(100, truth).at(99)
    s, r = loss.pair(sigma)
    x = x0 + s[:, None] * noise
    exact = MEAN + ((VARIANCES + r[:, None] ** 2) / (VARIANCES + s[:, None] ** 2)).sqrt() * (
        x - MEAN
    )
    torch.testing.assert_close(loss.state(x0, noise, s, r), exact, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(
        ConsistencyLoss(100).at(99).state(x0, noise, s, r), x0 + r[:, None] * noise
    )


def test_bad_losses_are_refused():
    for wrong in ({"steps": 0}, {"steps": 5, "first": 0}, {"steps": 5, "first": 20, "last": 10}):
        with pytest.raises(ValueError, match="a consistency loss needs"):
            ConsistencyLoss(**wrong)


# training


@pytest.mark.parametrize("teacher", [None, LAW], ids=["trained", "distilled"])
def test_it_finds_the_flow_map_of_a_gaussian(teacher: Denoiser | None, tmp_path: Path):
    f = trained(teacher)
    early = trained(teacher, STEPS // 20)
    scale = float(VARIANCES.mean().sqrt())
    assert distance(f) < 0.2 * scale
    assert distance(f) < 0.5 * distance(early)
    assert distance(f, 1.0) < 0.1 * scale
    assert check_boundary(f, DATA[:50]) == 0.0
    x = 80.0 * torch.randn(500, 3, generator=generator(8))
    path = karras(40)[:-1]
    check_self_consistency(f, LAW, x, path, tolerance=0.2 * scale)
    with pytest.raises(AssertionError, match="self-consistency"):  # a posterior mean is not
        check_self_consistency(LAW, LAW, x, path, tolerance=0.2 * scale)
    with pytest.raises(AssertionError, match="boundary"):
        check_boundary(lambda x, sigma: f(x, 10 * sigma), DATA[:50])
    again = load(save(f, tmp_path / "f"))  # pyright: ignore[reportArgumentType]
    assert torch.equal(again(x, torch.tensor(80.0)), f(x, torch.tensor(80.0)))
    once = sample(f, x, [80.0, 0.0], euler)
    torch.testing.assert_close(once, f(x, torch.tensor(80.0)))
    assert float(once.std(0).sub(VARIANCES.sqrt()).abs().max()) < 0.15


def test_a_saved_one_opens_as_a_map_that_is_sampled_at_once(tmp_path: Path):
    nets = [Preconditioned(MLP((3,), 8, classes=2), kind) for kind in ("edm", "consistency")]
    kinds = [open_model(str(save(net, tmp_path / f"{net.kind}.safetensors"))) for net in nets]
    assert [model.kind for model in kinds] == [POSTERIOR_MEAN, ONE_STEP]
    for model in (kinds[1], kinds[1].given(1)):
        assert model.levels(1).tolist() == [80.0, 0.0]
    with pytest.raises(ValueError, match="sampled in 1 step"):
        kinds[1].levels(18)


def test_a_member_does_not_depend_on_its_fleet_and_resumes_bit_for_bit(tmp_path: Path):
    def run(seeds: Sequence[int], path: Path | None, stop: int, teacher: Denoiser | None = None):
        net = fleet(8, seeds)
        going = training(
            net,
            drawn(len(seeds)),
            steps=30,
            loss=ConsistencyLoss(30, teacher),
            checkpoint=path,
            every=0.0,
            report=0.0,
        )
        next(p for p in going if p.step == stop)
        return net

    whole = run((0, 1), None, 30)
    for stop in (1, 17, 30):
        resumed = run((0, 1), tmp_path / "c", stop)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters()))
    for a, b in zip(whole.member(0).parameters(), run((0,), None, 30).member(0).parameters()):
        torch.testing.assert_close(a, b)
    for other in (LAW, Gaussian(MEAN, 2 * VARIANCES.diag())):
        run((0, 1), tmp_path / f"{other.cov[0, 0]}", 5, other)
        with pytest.raises(ValueError, match="another training"):
            run((0, 1), tmp_path / "c", 5, other)
    with pytest.raises(ValueError, match="another training"):
        run((0, 1), tmp_path / "2.0", 5, LAW)


# several steps


def test_every_step_but_the_last_puts_fresh_noise_on_the_clean_estimate():
    seeds = Seeds(range(5))
    x = 80.0 * seeds.randn((3,), torch.float64)
    f = lambda x, sigma: flow_end(x, float(sigma))  # noqa: E731
    source, levels = seeds.noise(), [80.0, 2.0, 0.5, 0.0]
    state = x
    for sigma, following in itertools.pairwise(levels[:-1]):
        state = flow_end(state, sigma) + following * source(state)
    torch.testing.assert_close(
        sample(f, x, levels, consistency, seeds.noise()), flow_end(state, levels[-2])
    )
    torch.testing.assert_close(sample(f, x, [80.0, 0.0], consistency), flow_end(x, 80.0))
    with pytest.raises(ValueError, match="fresh noise on every step but the last"):
        sample(f, x, levels, consistency)


def test_the_exact_flow_map_samples_its_law_in_any_number_of_steps():
    seeds = Seeds(range(5000))
    x = (VARIANCES + 80.0**2).sqrt().double() * seeds.randn((3,), torch.float64) + MEAN
    f = lambda x, sigma: flow_end(x, float(sigma))  # noqa: E731
    for levels in ([80.0, 0.0], [80.0, 1.0, 0.0], [80.0, 3.0, 0.3, 0.0]):
        got = sample(f, x, levels, consistency, seeds.noise())
        error = 5 * (VARIANCES / len(x)).sqrt()
        assert ((got.mean(0) - MEAN).abs() < error).all()
        assert ((got.std(0) - VARIANCES.sqrt()).abs() < error).all()
