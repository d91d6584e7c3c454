"""Labels and guidance: laws of the two functions, and conditional laws that training finds."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch
from torch import nn

from denoscope.fitting import denoising_loss, draws, training
from denoscope.guidance import given, guided
from denoscope.laws import denoiser as laws
from denoscope.levels import log_normal
from denoscope.networks import MLP, Averaged, FiLM, Fleet, Preconditioned, UNet, UViT
from denoscope.random import generator

SHAPES = {"mlp": (5,), "film": (5,), "unet": (1, 8, 8), "uvit": (1, 4, 4)}
KINDS = {"mlp": MLP, "film": FiLM, "unet": UNet, "uvit": UViT}


def shaken(name: str, seed: int = 0, classes: int = 3) -> Preconditioned:
    """A network in float64 none of whose weights is zero."""
    net = KINDS[name](SHAPES[name], 8, seed=seed, classes=classes)
    for k, p in enumerate(net.parameters()):
        p.data += 0.3 * torch.randn(p.shape, generator=generator(seed, k))
    return Preconditioned(net).double().requires_grad_(False)


def points(name: str, *lead: int) -> tuple[torch.Tensor, torch.Tensor]:
    draw = generator(3, *lead)
    x = torch.randn((*lead, *SHAPES[name]), generator=draw, dtype=torch.float64)
    return x, torch.rand(lead, generator=draw, dtype=torch.float64) + 0.2


@pytest.mark.parametrize("name", SHAPES)
def test_a_label_of_each_point_is_that_label_given(name: str):
    D = shaken(name)
    x, sigma = points(name, 2, 4)
    label = torch.tensor([[0, 1, 2, -1], [2, 2, -1, 0]])
    whole = given(D, label)(x, sigma)
    for i, j in itertools.product(range(2), range(4)):
        one = given(D, int(label[i, j]))
        torch.testing.assert_close(one(x[i, j], sigma[i, j]), whole[i, j])
    torch.testing.assert_close(
        given(D, torch.tensor([1, -1]))(x, sigma)[0], given(D, 1)(x[0], sigma[0])
    )
    torch.testing.assert_close(given(D, -1)(x, sigma), D(x, sigma))
    answers = torch.stack([given(D, k)(x, sigma) for k in (-1, 0, 1, 2)])
    gaps = (answers[:, None] - answers).abs().flatten(2).amax(-1)
    assert (gaps + torch.eye(4) > 1e-3).all(), "every label, and none, has its own answer"


@pytest.mark.parametrize("name", SHAPES)
def test_guidance_is_affine_in_its_scale(name: str):
    D = shaken(name)
    x, sigma = points(name, 4)
    assert torch.equal(guided(D, 1, 0.0)(x, sigma), D(x, sigma))
    assert torch.equal(guided(D, 1, 1.0)(x, sigma), given(D, 1)(x, sigma))
    step = given(D, 1)(x, sigma) - D(x, sigma)
    for scale in (-1.0, 0.3, 4.0):
        torch.testing.assert_close(guided(D, 1, scale)(x, sigma), D(x, sigma) + scale * step)


@pytest.mark.parametrize("name", SHAPES)
def test_what_is_given_and_guided_obeys_the_laws_of_denoisers(name: str):
    D = shaken(name)
    for wrapped in (given(D, 2), guided(D, 2, 2.5)):
        laws.check_prefix_rule(wrapped, SHAPES[name])
        laws.check_extra_axes(wrapped, SHAPES[name])
        laws.check_jvp(wrapped, SHAPES[name])
        laws.check_adjoint(wrapped, SHAPES[name])
        laws.check_vmap(wrapped, SHAPES[name])


def test_weights_without_labels_stay_as_they_were():
    for kind, shape in ((MLP, (5,)), (FiLM, (5,)), (UNet, (1, 8, 8))):
        plain, labelled = kind(shape, 8, seed=4), kind(shape, 8, seed=4, classes=3)
        theirs = dict(labelled.named_parameters())
        assert all(torch.equal(p, theirs.pop(name)) for name, p in plain.named_parameters())
        assert list(theirs) == ["label.weight"]


def test_labels_that_do_not_exist_are_one_line():
    for label in (3, -2, torch.tensor([0, 7])):
        with pytest.raises(ValueError, match="there are 0 to 2, and -1 for none"):
            given(shaken("mlp"), label)
    with pytest.raises(ValueError, match="there are 0 to 2"):
        given(shaken("mlp"), torch.tensor(0.5))
    with pytest.raises(ValueError, match="trained without labels"):
        guided(Preconditioned(MLP((5,), 8)), 0, 1.0)
    with pytest.raises(ValueError, match="not a prefix"):
        given(shaken("mlp"), torch.tensor([0, 1]))(*points("mlp", 3))


# training

MEANS = torch.tensor([[2.0, 0.0], [-1.0, 1.0]])
ROWS = MEANS.repeat(20, 1)
LABELS = torch.arange(40) % 2


def labelled_draws(members: int = 1, labels: torch.Tensor = LABELS):
    rows, seeds = [torch.arange(40)] * members, list(range(members))
    levels = log_normal(0.0, 1.0)
    return draws(ROWS, rows, seeds, batch=16, levels=levels, labels=labels, dropped=0.3)


@pytest.mark.parametrize("name", SHAPES)
def test_a_fleet_with_labels_is_its_members(name: str):
    members = [shaken(name, seed) for seed in (0, 1)]
    fleet = Fleet(members)
    x, sigma = points(name, 2, 3)
    for label in (torch.tensor([[0, 1, -1], [2, 2, 0]]), torch.tensor([1, 2]), torch.tensor(1)):
        whole = given(fleet, label)(x, sigma)
        for i, member in enumerate(members):
            own = label if label.ndim == 0 else label[i]
            torch.testing.assert_close(given(member, own)(x[i], sigma[i]), whole[i])
    weighted = denoising_loss(given(fleet, torch.tensor(1)), x, sigma, torch.zeros_like(x))
    torch.testing.assert_close(
        weighted[0], denoising_loss(given(members[0], 1), x[0], sigma[0], torch.zeros_like(x[0]))
    )


def test_training_finds_each_labels_law_and_that_without():
    """Two labels of one point each: given a label the posterior mean is that point, without it the
    two points' mixture.
    """
    fleet = Fleet([Preconditioned(MLP((2,), 32, seed=seed, classes=2)) for seed in (0, 1)])
    averaged = Averaged(fleet, 0.99)
    for _ in training(
        fleet, labelled_draws(2), steps=1200, lr=1e-2, rate="one_cycle", ema=averaged
    ):
        pass
    D = averaged.net.member(1)  # pyright: ignore[reportCallIssue]
    x = MEANS.mean(0) + torch.randn(500, 2, generator=generator(5))
    sigma = torch.tensor(1.0)
    for label, mean in enumerate(MEANS):
        error = (given(D, label)(x, sigma) - mean).square().mean().sqrt()
        assert float(error) < 0.25, "without its label it is half the distance of 3.2"
    share = torch.softmax(-0.5 * (x[:, None] - MEANS).square().sum(-1), -1)
    assert float((D(x, sigma) - share @ MEANS).square().mean().sqrt()) < 0.25


def test_a_training_with_labels_resumes_bit_for_bit(tmp_path: Path):
    def run(path: Path | None, stop: int) -> nn.Module:
        net = Fleet([Preconditioned(MLP((2,), 8, classes=2))])
        going = training(
            net, labelled_draws(), steps=20, checkpoint=path, every=0.0, report=0.0, lr=1e-2
        )
        next(p for p in going if p.step == stop)
        return net

    whole = run(None, 20)
    for stop in (7, 20):
        resumed = run(tmp_path / "checkpoint", stop)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters()))
    net = Fleet([Preconditioned(MLP((2,), 8, classes=2))])
    other = labelled_draws(labels=1 - LABELS)
    with pytest.raises(ValueError, match="another training"):
        training(net, other, steps=20, lr=1e-2, checkpoint=tmp_path / "checkpoint")


def test_training_refuses_labels_that_the_network_does_not_know():
    with pytest.raises(ValueError, match="label 1: there are 0 to 0"):
        training(Fleet([Preconditioned(MLP((2,), 8, classes=1))]), labelled_draws(), steps=1)
    with pytest.raises(ValueError, match="trained without labels"):
        training(Fleet([Preconditioned(MLP((2,), 8))]), labelled_draws(), steps=1)
