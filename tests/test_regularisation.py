"""Weight decay, dropout and augmentation: laws of each, the same for one network, for fleets and
after a kill, and nothing of them where they are off.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from denoscope.fitting import Augmentation, Progress, draws, training
from denoscope.fitting.augmentation import AS_THEY_ARE
from denoscope.fitting.batches import Draws
from denoscope.levels import log_normal, sparing
from denoscope.networks import MLP, Averaged, FiLM, Fleet, Preconditioned, UNet, UViT, load, save
from denoscope.networks.dropout import Dropout, dropping, dropping_layers
from denoscope.random import generator

LEVELS = log_normal(-0.8, 1.2)
DATA = torch.randn(24, 1, 4, 4, generator=generator(3))
SUBSETS = [torch.arange(10), torch.arange(10, 24)]
MOVED = Augmentation(mirror=True, shift=1)
MAKERS: dict[str, Callable[..., nn.Module]] = {
    "mlp": lambda seed, rate: MLP((1, 4, 4), 8, 2, seed=seed, dropout=rate),
    "film": lambda seed, rate: FiLM((1, 4, 4), 8, 2, seed=seed, dropout=rate),
    "unet": lambda seed, rate: UNet((1, 4, 4), 4, seed=seed, dropout=rate),
    "uvit": lambda seed, rate: UViT((1, 4, 4), 8, 1, seed=seed, dropout=rate),
}
WITH: dict[str, dict[str, Any]] = {
    "decay": {"weight_decay": 0.3},
    "dropout": {"rate": 0.4},
    "augmentation": {"augment": MOVED},
}


def source(
    members: slice = slice(2), augment: Augmentation = AS_THEY_ARE, data: Tensor = DATA
) -> Draws:
    chosen = SUBSETS[members], [7, 8][members]
    return draws(data, *chosen, batch=6, levels=LEVELS, augment=augment)


def shake(net: nn.Module) -> nn.Module:
    """Random numbers added to all parameters, so that no layer is zero."""
    with torch.no_grad():
        for k, p in enumerate(net.parameters()):
            p += 0.2 * torch.randn(p.shape, generator=generator(4, k)).to(p.dtype)
    return net


def made(kind: str, seed: int, rate: float) -> Preconditioned:
    return Preconditioned(shake(MAKERS[kind](seed, rate)))


def trained(
    nets: nn.Module,
    drawn: Iterator[Any],
    path: Path | None = None,
    stop: int | None = None,
    weight_decay: float = 0.0,
) -> tuple[nn.Module, Progress]:
    averaged = Averaged(nets, 0.9)
    how: dict[str, Any] = {"ema": averaged, "checkpoint": path, "every": 0.0, "report": 0.0}
    run = training(nets, drawn, steps=12, lr=1e-2, weight_decay=weight_decay, **how)
    last = next(p for p in run if p.step == (stop or 12))
    return averaged.net, last


def weights(net: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in net.parameters()])


@pytest.mark.parametrize("kind", ["film", "unet"])
@pytest.mark.parametrize("which", WITH)
def test_a_killed_training_ends_with_the_same_bits(which: str, kind: str, tmp_path: Path) -> None:
    def run(path: Path | None = None, stop: int | None = None) -> Tensor:
        nets = Fleet([made(kind, seed, WITH[which].get("rate", 0.0)) for seed in (0, 1)])
        drawn = source(augment=WITH[which].get("augment", AS_THEY_ARE))
        net, _ = trained(nets, drawn, path, stop, WITH[which].get("weight_decay", 0.0))
        return weights(net)

    whole = run()
    run(tmp_path / "c", 3)
    run(tmp_path / "c", 8)
    assert torch.equal(run(tmp_path / "c"), whole)


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("which", WITH)
def test_a_member_is_trained_as_a_network_alone(which: str, kind: str) -> None:
    rate, decay = (WITH[which].get(name, 0.0) for name in ("rate", "weight_decay"))
    augment, data = WITH[which].get("augment", AS_THEY_ARE), DATA.double()
    nets = Fleet([made(kind, seed, rate).double() for seed in (0, 1)])
    together, _ = trained(nets, source(augment=augment, data=data), weight_decay=decay)
    assert isinstance(together, Fleet)
    for i, member in enumerate(together.members()):
        drawn = source(slice(i, i + 1), augment, data)
        one = (tuple(part[0] for part in draw) for draw in drawn)
        alone, _ = trained(made(kind, i, rate).double(), one, weight_decay=decay)
        torch.testing.assert_close(weights(member), weights(alone), rtol=1e-7, atol=1e-9)
    plain, _ = trained(
        Fleet([made(kind, seed, 0.0).double() for seed in (0, 1)]), source(data=data)
    )
    assert (weights(plain) - weights(together)).abs().max() > 1e-3, "it changes the training"


# weight decay


def test_decay_multiplies_the_weights_before_adams_step() -> None:
    nets = {decay: made("mlp", 0, 0.0) for decay in (0.0, 2.0)}
    start = weights(nets[0.0])
    for decay, net in nets.items():
        one = (tuple(part[0] for part in draw) for draw in source(slice(1)))
        next(training(net, one, steps=1, lr=1e-2, weight_decay=decay))
    moved = weights(nets[2.0]) - weights(nets[0.0])
    torch.testing.assert_close(moved, -1e-2 * 2.0 * start, rtol=1e-5, atol=1e-7)


def test_checkpoints_know_the_decay_and_none_is_as_before(tmp_path: Path) -> None:
    nets = [Fleet([made("mlp", seed, 0.0) for seed in (0, 1)]) for _ in range(3)]
    trained(nets[0], source(), tmp_path / "c", 5)
    trained(nets[1], source(), tmp_path / "c", 9, weight_decay=0.0)
    with pytest.raises(ValueError, match="another training"):
        trained(nets[2], source(), tmp_path / "c", 5, weight_decay=0.1)


@pytest.mark.parametrize("decay", [-1.0, math.inf, math.nan])
def test_impossible_decays_are_refused(decay: float) -> None:
    with pytest.raises(ValueError, match="weight_decay must be at least 0"):
        training(made("mlp", 0, 0.0), source(slice(1)), weight_decay=decay)


# dropout


@pytest.mark.parametrize("kind", MAKERS)
def test_nothing_is_dropped_outside_a_step_or_in_eval_mode(kind: str) -> None:
    x, sigma = DATA[:5], torch.tensor(0.7)
    plain, net = made(kind, 0, 0.0), made(kind, 0, 0.5)
    assert torch.equal(net(x, sigma), plain(x, sigma))
    with dropping(dropping_layers(net), x, 3, fleet=False):
        assert not torch.allclose(net(x, sigma), plain(x, sigma))
        assert torch.equal(net.eval()(x, sigma), plain(x, sigma))
    assert torch.equal(net.train()(x, sigma), plain(x, sigma))


def test_masks_keep_the_mean_and_are_independent_of_step_layer_place_and_member() -> None:
    rate, shape = 0.3, (64, 512)
    layers, noise = [Dropout(rate), Dropout(rate)], torch.randn(2, 3, 4, generator=generator(0))
    masks = []
    for step in (0, 1):
        with dropping(layers, noise, step, fleet=True):
            masks += [m for layer in layers for m in layer(torch.ones(2, *shape))]
        with dropping(layers, noise[1], step, fleet=False):
            assert torch.equal(layers[1](torch.ones(shape)), masks[-1]), "a member alone"
    count = math.prod(shape)
    spread = math.sqrt(rate * (1 - rate) / count)
    for mask in masks:
        assert mask.unique().tolist() == pytest.approx([0.0, 1 / (1 - rate)])
        assert float((mask == 0).double().mean()) == pytest.approx(rate, abs=5 * spread)
    zero = [(mask == 0).double() - rate for mask in masks]
    shifted = [zero[0].roll(1, axis) for axis in (0, 1)]
    for a, b in [*itertools.combinations(zero, 2), *((zero[0], s) for s in shifted)]:
        assert abs(float((a * b).mean())) < 5 * rate * (1 - rate) / math.sqrt(count)


@pytest.mark.parametrize("kind", MAKERS)
def test_derivatives_and_vmap_see_the_mask_of_the_step(kind: str) -> None:
    net, x, sigma = made(kind, 0, 0.5).double(), DATA[:3].double(), torch.tensor(0.7)
    v = torch.randn(x.shape, generator=generator(5)).double()
    with dropping(dropping_layers(net), x, 3, fleet=False), torch.no_grad():
        value, slope = torch.func.jvp(lambda x: net(x, sigma), (x,), (v,))[:2]
        torch.testing.assert_close(value, net(x, sigma))
        step = 1e-5
        finite = (net(x + step * v, sigma) - net(x - step * v, sigma)) / (2 * step)
        torch.testing.assert_close(slope, finite, rtol=1e-5, atol=1e-7)
        mapped = torch.vmap(lambda x: net(x[None], sigma)[0])(x)
        each = torch.cat([net(x[None], sigma) for x in x])
        torch.testing.assert_close(mapped, each)


def test_files_keep_the_rate_and_those_without_say_nothing_of_it(tmp_path: Path) -> None:
    for kind in MAKERS:
        kept = load(save(made(kind, 0, 0.25), tmp_path / kind))
        assert {layer.rate for layer in dropping_layers(kept)} == {0.25}
        assert "dropout" not in MAKERS[kind](0, 0.0).config  # pyright: ignore[reportOperatorIssue]
        assert not any("drop" in name for name in kept.state_dict())
    with pytest.raises(ValueError, match="at least 0 and below 1, got 1"):
        MLP((4,), dropout=1.0)


# augmentation


def test_images_are_moved_as_by_hand() -> None:
    x = torch.arange(12.0).reshape(1, 1, 3, 4)
    still, down, right, mirrored = torch.tensor([[0, 0, 0], [1, 0, 0], [0, -1, 0], [0, 0, 1]])
    assert torch.equal(MOVED(x, still[None]), x)
    assert torch.equal(MOVED(x, down[None]), x[..., [0, 0, 1], :])
    assert torch.equal(MOVED(x, right[None]), x[..., [1, 2, 3, 3]])
    assert torch.equal(MOVED(x, mirrored[None]), x.flip(-1))


def test_all_moves_come_equally_often_and_change_nothing_else() -> None:
    moves = MOVED.drawn((90_000,), generator(0))
    kinds, counts = moves.unique(dim=0, return_counts=True)
    assert len(kinds) == 18
    spread = math.sqrt(90_000 / 18)
    assert counts.double().sub(5000).abs().max() < 5 * spread
    for mine, theirs in zip(itertools.islice(source(augment=MOVED), 40), source()):
        assert all(torch.equal(a, b) for a, b in zip(mine[1:], theirs[1:]))
        options = [MOVED(theirs[0], move.expand(*theirs[0].shape[:2], 3)) for move in kinds]
        same = torch.stack([(mine[0] == o).flatten(2).all(-1) for o in options])
        assert same.any(0).all()


def test_augmentation_enters_the_fingerprint_and_its_absence_does_not() -> None:
    some = (Augmentation(), Augmentation(mirror=True), Augmentation(shift=1), MOVED)
    prints = [source(augment=augment).fingerprint() for augment in some]
    assert len(set(prints)) == 4
    assert prints[0] == source().fingerprint()


@pytest.mark.parametrize("augment", [Augmentation(mirror=True), Augmentation(shift=4)])
def test_what_cannot_be_moved_is_refused(augment: Augmentation) -> None:
    data = DATA if augment.shift else DATA.flatten(1)
    with pytest.raises(ValueError, match="only images"):
        draws(data, SUBSETS, [7, 8], batch=2, levels=LEVELS, augment=augment)


# levels


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_a_band_is_drawn_as_much_more_rarely(share: float) -> None:
    low, high, count = 0.3, 0.9, 100_000
    drawn = sparing(-0.6, 1.4, low, high, share)(count, generator(1))
    ends = ((torch.tensor([low, high]).log() + 0.6) / 1.4).double()
    first, last = torch.special.ndtr(ends).tolist()
    total = 1 - (1 - share) * (last - first)
    wanted = [p / total for p in (first, share * (last - first), 1 - last)]
    found = [(drawn < low), (drawn >= low) & (drawn < high), drawn >= high]
    for part, p in zip(found, wanted):
        spread = math.sqrt(p * (1 - p) / count)
        assert float(part.double().mean()) == pytest.approx(p, abs=5 * spread + 1e-12)
