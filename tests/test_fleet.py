"""A fleet is its members: the same numbers to rounding, alone or together, and whatever its mates
are.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from denoscope.fitting import denoising_loss, draws, training
from denoscope.levels import log_normal
from denoscope.networks import MLP, Averaged, FiLM, Fleet, Preconditioned, UNet, best_size
from denoscope.random import generator

MAKERS = {
    "mlp": lambda seed: MLP((1, 4, 4), 16, seed=seed),
    "film": lambda seed: FiLM((1, 4, 4), 16, seed=seed),
    "unet": lambda seed: UNet((1, 4, 4), 8, seed=seed),
}
LEVELS = log_normal(-0.8, 1.2)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=generator(5, seed))


def denoiser(kind: str, seed: int, dtype: torch.dtype = torch.float64) -> Preconditioned:
    """An untrained denoiser with small random numbers added, since a fresh network is zero."""
    D = Preconditioned(MAKERS[kind](seed), "edm", 0.5)
    with torch.no_grad():
        for k, p in enumerate(D.parameters()):
            p += 0.05 * torch.randn(p.shape, generator=generator(seed, k))
    return D.to(dtype)


@pytest.mark.parametrize("kind", MAKERS)
def test_a_fleet_answers_as_its_members(kind: str):
    members = [denoiser(kind, seed) for seed in range(3)]
    fleet = Fleet(members)
    x, sigma = normal(3, 5, 1, 4, 4).double(), normal(3, 5, seed=1).double().exp()
    for level in (sigma, sigma[:, 0], sigma[0, 0]):
        whole = fleet(x, level)
        assert whole.shape == x.shape
        for i, member in enumerate(members):
            torch.testing.assert_close(
                whole[i], member(x[i], level if level.ndim == 0 else level[i])
            )
            assert torch.equal(fleet.member(i)(x[i], sigma[i]), member(x[i], sigma[i]))
    assert len(fleet.members()) == fleet.size == 3


def test_members_are_copies():
    fleet = Fleet([denoiser("mlp", seed) for seed in range(2)])
    member = fleet.member(1)
    before = [p.clone() for p in member.parameters()]
    with torch.no_grad():
        for p in fleet.parameters():
            p.zero_()
    assert all(torch.equal(a, b) for a, b in zip(before, member.parameters()))
    assert all(p.requires_grad for p in member.parameters())


def trained(
    kind: str, seeds: list[int], steps: int, dtype: torch.dtype, fleet: bool = True
) -> list[nn.Module]:
    data = normal(40, 1, 4, 4, seed=7).to(dtype)
    subsets = [torch.arange(8 * seed, 8 * seed + 8) for seed in seeds]
    result = []
    groups = [list(range(len(seeds)))] if fleet else [[i] for i in range(len(seeds))]
    for group in groups:
        members = [denoiser(kind, seeds[i], dtype) for i in group]
        source = draws(
            data, [subsets[i] for i in group], [seeds[i] for i in group], batch=8, levels=LEVELS
        )
        net, batches = (
            (Fleet(members), source)
            if fleet
            else (members[0], ((x[0], s[0], n[0]) for x, s, n in source))
        )
        ema = Averaged(net, 0.9)
        for _ in training(net, batches, steps=steps, lr=1e-2, rate="one_cycle", ema=ema):
            pass
        result += ema.net.members() if isinstance(ema.net, Fleet) else [ema.net]
    return result


@pytest.mark.parametrize("kind", MAKERS)
def test_fleet_training_equals_separate_training(kind: str):
    seeds = [0, 1, 4]
    start = denoiser(kind, 0)
    for together, alone, seed in zip(
        trained(kind, seeds, 12, torch.float64),
        trained(kind, seeds, 12, torch.float64, fleet=False),
        seeds,
    ):
        for a, b in zip(together.parameters(), alone.parameters()):
            torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-9)
        if seed == 0:
            assert (
                max(
                    (a - b).detach().abs().max().item()
                    for a, b in zip(together.parameters(), start.parameters())
                )
                > 0.01
            ), "something was learned"


def test_a_member_does_not_depend_on_its_mates():
    few, many = (
        trained("mlp", [0, 2], 30, torch.float32),
        trained("mlp", [2, 3, 0], 30, torch.float32),
    )
    for one, other in ((few[0], many[2]), (few[1], many[0])):
        for a, b in zip(one.parameters(), other.parameters()):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_the_loss_of_a_fleet_is_one_a_member():
    members = [denoiser("mlp", seed) for seed in range(3)]
    x0, noise, sigma = (
        normal(3, 5, 1, 4, 4).double(),
        normal(3, 5, 1, 4, 4, seed=1).double(),
        normal(3, 5, seed=2).double().exp(),
    )
    loss = denoising_loss(Fleet(members), x0, sigma, noise)
    assert loss.shape == (3,)
    for i, member in enumerate(members):
        torch.testing.assert_close(loss[i], denoising_loss(member, x0[i], sigma[i], noise[i]))


def test_what_cannot_be_a_fleet_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        Fleet([])
    with pytest.raises(ValueError, match=r"member 1 differs from member 0: .* is .*, not"):
        Fleet([denoiser("mlp", 0), Preconditioned(MLP((1, 4, 4), 8))])
    with pytest.raises(ValueError, match=r"sigma_data is 0\.7, not 0\.5"):
        Fleet([Preconditioned(MLP((2,), 8)), Preconditioned(MLP((2,), 8), sigma_data=0.7)])
    with pytest.raises(ValueError, match="buffers"):
        Fleet([nn.BatchNorm1d(3), nn.BatchNorm1d(3)])
    with pytest.raises(ValueError, match="a fleet of 2 needs x of shape"):
        Fleet([denoiser("mlp", 0), denoiser("mlp", 1)])(normal(3, 5, 1, 4, 4), torch.tensor(1.0))


def test_best_sizes_fall_with_capacity():
    sizes = [best_size(FiLM((1, 8, 8), width)) for width in (32, 64, 128, 512)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 10
    assert sizes[-1] == 1
    assert best_size(Preconditioned(UNet((1, 8, 8), 8))) == 1
