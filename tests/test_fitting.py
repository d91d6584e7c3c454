"""Training: draws as functions of seed and step, resuming bit for bit, members that stop alone, and
convergence to a known optimum.
"""

from __future__ import annotations

import itertools
import math
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from denoscope.distributions import Gaussian
from denoscope.fitting import (
    Progress,
    denoising_loss,
    draws,
    fit,
    flat,
    min_snr,
    rate_factor,
    snr,
    training,
)
from denoscope.fitting.batches import Draws
from denoscope.levels import log_normal
from denoscope.networks import MLP, Averaged, Fleet, Preconditioned, save
from denoscope.random import generator

LEVELS = log_normal(-0.8, 1.2)
DATA = torch.randn(30, 6, generator=generator(1))
SUBSETS = [torch.arange(10), torch.arange(10, 30), torch.arange(0, 30, 2)]


def make(seeds: tuple[int, ...] = (0, 1, 2)) -> Fleet:
    return Fleet([Preconditioned(MLP((6,), 8, seed=seed)) for seed in seeds])


def source(members: int = 3, start: int = 0, batch: int = 4) -> Draws:
    return draws(
        DATA, SUBSETS[:members], [7, 8, 9][:members], batch=batch, levels=LEVELS, start=start
    )


def finish(progress: Iterator[Progress]) -> Progress:
    *_, last = progress
    return last


def equal(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))


# draws


def test_draws_can_start_anywhere():
    many = list(itertools.islice(source(batch=100), 130))
    together = source(batch=100).together
    assert 1 < together < 129, "the steps below lie in different chunks"
    for start in (0, 1, together - 1, together, 129):
        for a, b in zip(next(source(batch=100, start=start)), many[start]):
            assert torch.equal(a, b)
    assert all(torch.equal(a, b) for a, b in zip(next(source(batch=100).at(77)), many[77]))


def test_a_members_draws_are_its_own():
    three, one = next(source()), next(draws(DATA, SUBSETS[1:2], [8], batch=4, levels=LEVELS))
    for a, b in zip(three, one):
        assert torch.equal(a[1], b[0])


def test_labels_come_with_their_images_and_change_nothing_else():
    labels = torch.arange(30) % 7
    known = draws(DATA, SUBSETS, [7, 8, 9], batch=4, levels=LEVELS, labels=labels, dropped=0.25)
    many = list(itertools.islice(known, 3 * known.together))
    for mine, theirs in zip(many, source()):
        assert all(torch.equal(a, b) for a, b in zip(mine[:3], theirs))
    x0, _, _, label = (torch.cat(part, 1) for part in zip(*many))
    rows = (x0[:, :, None] == DATA).all(-1).int().argmax(-1)
    share = float((label == -1).double().mean())
    assert share == pytest.approx(0.25, abs=6 * math.sqrt(0.25 * 0.75 / label.numel()))
    assert torch.equal(label, labels[rows].where(label >= 0, -1))
    assert all(torch.equal(a, b) for a, b in zip(next(known.at(5)), many[5]))


def test_labels_and_their_dropping_enter_the_fingerprint():
    def printed(**more: object) -> str:
        return draws(DATA, SUBSETS, [7, 8, 9], batch=4, levels=LEVELS, **more).fingerprint()  # pyright: ignore[reportArgumentType]

    labels = torch.arange(30) % 7
    prints = [
        printed(),
        printed(labels=labels),
        printed(labels=labels, dropped=0.2),
        printed(labels=labels.flip(0)),
    ]
    assert len(set(prints)) == 4
    assert printed(dropped=0.2) == prints[0] == source().fingerprint()
    before = "996282368e985758a336327f506d45491054bc9207694776db258a994a905a47"
    assert prints[0] == before, "checkpoints from before there were labels are taken up"


def test_draws_have_the_right_law():
    x0, sigma, noise = (
        torch.cat(part, 1) for part in zip(*itertools.islice(source(batch=500), 40))
    )
    for i, subset in enumerate(SUBSETS):
        rows = (x0[i][:, None] == DATA).all(-1).nonzero()[:, 1]
        counts = torch.bincount(rows, minlength=30)
        expected = 20_000 / len(subset)
        assert sorted(rows.unique().tolist()) == subset.tolist()
        assert ((counts[subset] - expected).abs() < 6 * math.sqrt(expected)).all()
        assert float(sigma[i].log().mean()) == pytest.approx(-0.8, abs=6 * 1.2 / math.sqrt(20_000))
        assert float(noise[i].std()) == pytest.approx(1, abs=0.02)
    correlation = torch.corrcoef(torch.cat([noise[:, :, 0], sigma]))
    assert (correlation - torch.eye(6)).abs().max() < 0.05


def test_bad_draws_are_refused():
    with pytest.raises(ValueError, match="one seed for each"):
        draws(DATA, SUBSETS, [1, 2], batch=4, levels=LEVELS)
    with pytest.raises(ValueError, match="no empty subset"):
        draws(DATA, [torch.arange(0)], [1], batch=4, levels=LEVELS)
    with pytest.raises(ValueError, match="one whole number for each of 30 images"):
        draws(DATA, SUBSETS, [1, 2, 3], batch=4, levels=LEVELS, labels=torch.arange(29))
    with pytest.raises(ValueError, match="dropped is a probability"):
        draws(DATA, SUBSETS, [1, 2, 3], batch=4, levels=LEVELS, dropped=1.5)


# loss


def test_the_loss_is_the_weighted_mean():
    gaussian = Gaussian(torch.zeros(6), torch.eye(6))
    x0, sigma, noise = (part[0] for part in next(source()))
    error = (gaussian(x0 + sigma[:, None] * noise, sigma) - x0).square().mean(1)
    torch.testing.assert_close(denoising_loss(gaussian, x0, sigma, noise), error.mean())
    for weight, values in (
        (flat, torch.ones(4)),
        (snr, 1 / sigma**2),
        (min_snr, (1 / sigma**2).clamp(max=5)),
    ):
        torch.testing.assert_close(
            denoising_loss(gaussian, x0, sigma, noise, weight), (values * error).mean()
        )
    D = Preconditioned(MLP((6,), 8))
    torch.testing.assert_close(
        denoising_loss(D, x0, sigma, noise), denoising_loss(D, x0, sigma, noise, D.weight)
    )


# rates


@pytest.mark.parametrize("steps", [2, 3, 4, 10, 1000])
def test_one_cycle_is_torchs(steps: int):
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    if steps < 4:  # torch divides by zero or peaks before the start there
        assert rate_factor("one_cycle", steps - 1, steps) == pytest.approx(1 / 25e4)
        return
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1.0, total_steps=steps)
    for step in range(steps):
        assert rate_factor("one_cycle", step, steps) == pytest.approx(
            optimizer.param_groups[0]["lr"], rel=1e-9
        )
        optimizer.step()
        if step < steps - 1:
            schedule.step()


def test_rates():
    assert [rate_factor("constant", k, None) for k in (0, 5)] == [1, 1]
    assert [round(rate_factor("cosine", k, 4), 6) for k in range(4)] == [1, 0.853553, 0.5, 0.146447]
    assert rate_factor("one_cycle", 0, 100) == pytest.approx(0.04)
    assert rate_factor("one_cycle", 29, 100) == pytest.approx(1)
    assert rate_factor("one_cycle", 99, 100) == pytest.approx(4e-6)
    with pytest.raises(ValueError, match="needs the number of steps"):
        training(make(), source(), rate="cosine")
    with pytest.raises(ValueError, match="rate must be"):
        training(make(), source(), steps=2, rate="linear")  # pyright: ignore[reportArgumentType]


# the loop


def test_progress():
    seen = list(training(make(), source(), steps=7, report=0.0))
    assert [p.step for p in seen] == list(range(1, 8))
    assert all(p.steps == 7 and p.loss.shape == (3,) and p.rate > 0 and not p.stopped for p in seen)
    assert all(a.seconds <= b.seconds for a, b in itertools.pairwise(seen))
    net = Preconditioned(MLP((6,), 8))
    last = finish(training(net, ((x[0], s[0], n[0]) for x, s, n in itertools.islice(source(), 3))))
    assert (last.step, last.steps, last.loss.shape) == (3, None, torch.Size([]))


def test_the_loop_is_adam_on_the_loss():
    net, other = Preconditioned(MLP((6,), 8)), Preconditioned(MLP((6,), 8))
    single = [(x[0], s[0], n[0]) for x, s, n in itertools.islice(source(), 20)]
    finish(training(net, single, steps=20, lr=1e-2, rate="cosine"))
    optimizer = torch.optim.Adam(other.parameters(), lr=1e-2)
    for k, (x0, sigma, noise) in enumerate(single):
        optimizer.param_groups[0]["lr"] = 1e-2 * (1 + math.cos(math.pi * k / 20)) / 2
        optimizer.zero_grad()
        loss = other.weight(sigma) * (other(x0 + sigma[:, None] * noise, sigma) - x0).square().mean(
            1
        )
        loss.mean().backward()
        optimizer.step()
    for a, b in zip(net.parameters(), other.parameters()):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def poisoned(at: int, member: int, what: str) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """The draws, with one member's data not finite at one step."""
    for k, (x0, sigma, noise) in enumerate(source()):
        if k == at:
            x0, sigma = x0.clone(), sigma.clone()
            x0[member] = float(what)
        yield x0, sigma, noise


@pytest.mark.parametrize(("what", "reason"), [("nan", "loss is nan"), ("inf", "loss is (nan|inf)")])
def test_a_member_stops_alone(what: str, reason: str):
    healthy, broken = make(), make()
    healthy_ema, broken_ema = Averaged(healthy, 0.9), Averaged(broken, 0.9)
    finish(training(healthy, source(), steps=20, lr=1e-2, ema=healthy_ema))
    last = finish(training(broken, poisoned(12, 1, what), steps=20, lr=1e-2, ema=broken_ema))
    assert list(last.stopped) == [1]
    assert last.step == 20
    assert re.fullmatch(f"stopped at step 12: {reason}", last.stopped[1])
    assert last.loss.isnan().tolist() == [False, True, False]
    early = make()
    early_ema = Averaged(early, 0.9)
    finish(training(early, source(), steps=12, lr=1e-2, ema=early_ema))
    for net, whole, part in (
        (broken, healthy, early),
        (broken_ema.net, healthy_ema.net, early_ema.net),
    ):
        for p, complete, before in zip(net.parameters(), whole.parameters(), part.parameters()):
            assert torch.equal(p[[0, 2]], complete[[0, 2]]), "the others go on bit for bit"
            assert torch.equal(p[1], before[1]), "the stopped one keeps what it had"


class Root(nn.Module):
    """A denoiser whose loss is finite where its gradient is not: the derivative of a root at
    zero.
    """

    def __init__(self, start: float):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor([start]))

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        return self.scale.abs().sqrt() * x


def test_a_gradient_that_is_not_finite_stops_too():
    fleet = Fleet([Root(1.0), Root(0.0)])
    last = finish(training(fleet, source(2), steps=5, lr=1e-2))
    assert last.stopped == {1: "stopped at step 0: the gradient is not finite"}
    values = next(iter(fleet.parameters()))[:, 0].tolist()
    assert values[0] != 1.0
    assert values[1] == 0.0


def test_training_ends_when_all_have_stopped():
    net = Preconditioned(MLP((6,), 8))
    bad = itertools.repeat((torch.full((4, 6), math.nan), torch.ones(4), torch.zeros(4, 6)))
    last = finish(training(net, bad, steps=50))
    assert (last.step, last.stopped) == (1, {0: "stopped at step 0: loss is nan"})
    assert all(p.isfinite().all() for p in net.parameters())


# checkpoints


def run(
    path: Path | None, stop: int | None = None, *, poison: bool = False
) -> tuple[Fleet, Averaged, Progress]:
    net = make()
    ema = Averaged(net, 0.95)
    batches = poisoned(9, 2, "nan") if poison else source()
    progress = training(
        net,
        batches,
        steps=25,
        lr=1e-2,
        rate="one_cycle",
        ema=ema,
        checkpoint=path,
        every=0.0,
        report=0.0,
    )
    last = next(p for p in progress if p.step == (stop or 25))
    return net, ema, last


@pytest.mark.parametrize("poison", [False, True])
def test_a_training_resumes_bit_for_bit(tmp_path: Path, poison: bool):
    net, ema, last = run(None, poison=poison)
    for stops in ((1,), (13,), (24, 25), (3, 9, 10, 17)):
        path = tmp_path / f"{stops}.safetensors"
        for stop in stops:
            run(path, stop, poison=poison)
        again, again_ema, resumed = run(path, poison=poison)
        assert equal(net, again)
        assert equal(ema.net, again_ema.net)
        assert resumed.stopped == last.stopped
        assert resumed.step == 25


def test_a_finished_training_is_not_repeated(tmp_path: Path):
    net, _, first = run(tmp_path / "c")
    content = (tmp_path / "c").read_bytes()
    again, _, last = run(tmp_path / "c")
    assert equal(net, again)
    assert last.seconds == first.seconds or last.seconds > 0
    assert (tmp_path / "c").read_bytes() == content


def test_a_damaged_checkpoint_is_a_new_start_and_a_foreign_one_is_refused(tmp_path: Path):
    run(path := tmp_path / "c", 13)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.warns(UserWarning, match="starts anew.*truncated"):
        again, _, _ = run(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        undisturbed, _, _ = run(None)
    assert equal(again, undisturbed)
    for change in ({"lr": 1e-4}, {"steps": 26}, {"rate": "cosine"}):
        settings = {"lr": 1e-2, "steps": 25, "rate": "one_cycle", **change}
        with pytest.raises(ValueError, match="another training"):
            training(make(), source(), ema=Averaged(make(), 0.95), checkpoint=path, **settings)
    with pytest.raises(ValueError, match="another training"):
        training(
            make((0, 1, 5)),
            source(),
            steps=25,
            lr=1e-2,
            rate="one_cycle",
            ema=Averaged(make(), 0.95),
            checkpoint=path,
        )
    save(make().member(0), path)
    with pytest.raises(ValueError, match="another training"):
        run(path)


# fit


def test_fit_finds_the_wiener_denoiser():
    """A linear network of the level alone, trained on a Gaussian, converges to its Wiener
    denoiser.
    """
    variances = torch.tensor([2.0, 0.5, 0.05])
    truth = Gaussian(torch.zeros(3), torch.diag(variances))
    net = Preconditioned(MLP((3,), 32), sigma_data=1.0)
    draw = generator(3)
    batches = (variances.sqrt() * torch.randn(256, 3, generator=draw) for _ in range(1500))
    D = fit(net, batches, log_normal(-0.5, 1.0), lr=3e-3, ema=0.99)
    assert D is not net
    for sigma in (0.2, 0.6, 2.0):
        x = (variances + sigma**2).sqrt() * torch.randn(4000, 3, generator=draw)
        level = torch.tensor(sigma)
        gap, size = (D(x, level) - truth(x, level)).square().mean(), truth(x, level).square().mean()
        assert float(gap / size) < 0.01


def test_fit_of_a_fleet_and_its_arguments():
    batches = [torch.stack([DATA[:8], DATA[8:16]]) for _ in range(5)]
    fleet = make((0, 1))
    assert fit(fleet, batches, LEVELS, seed=1) is fleet
    again, mates = make((0, 1)), make((0, 4))
    fit(again, batches, LEVELS, seed=1)
    fit(mates, batches, LEVELS, seed=1)
    assert equal(fleet, again)
    assert equal(fleet.member(0), mates.member(0))
    silent = fit(make((0, 1)), batches, LEVELS, noise=torch.zeros_like, seed=1)
    assert not equal(silent, fleet)
    with pytest.raises(ValueError, match="member 0 stopped at step 1: loss is nan"):
        fit(Preconditioned(MLP((6,), 8)), [DATA, DATA * math.nan, DATA], LEVELS)
