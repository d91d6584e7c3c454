"""The monitor: what a look measures, when it looks, what it says, and that it leaves no trace."""

from __future__ import annotations

import json
import random
import re
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from kills import killed
from rates import sigmas
from torch import Tensor, nn

from denoscope.data.embedded import digits
from denoscope.distributions import Empirical, Gaussian
from denoscope.estimate import Estimate, mean
from denoscope.fitting import Progress, draws, training
from denoscope.levels import log_normal
from denoscope.metrics.copy_scores import CopyScores
from denoscope.monitor import LookAt, MemorizationMonitor, measured, watched
from denoscope.monitor.choice import choose
from denoscope.monitor.moments import LookSteps
from denoscope.networks import Averaged, FiLM, Fleet, Preconditioned, save
from denoscope.random import generator

DATA = digits().data[torch.randperm(1797, generator=generator(0))]
TRAIN, HELD, OTHER = DATA[:64], DATA[64:664], DATA[664:]
SMALL: dict[str, Any] = {"samples": 64}


def untrained(n: int = 16) -> Preconditioned:
    return Preconditioned(FiLM((1, 8, 8), n, seed=0), "edm", 0.75)


def run(
    net: nn.Module, at: LookSteps | tuple[int, ...] = (), steps: int = 12, **how: object
) -> Iterator[Progress]:
    source = draws(TRAIN, [torch.arange(64)], [0], batch=16, levels=log_normal())
    return training(net, source, steps=steps, at=at, report=1e9, **how)  # pyright: ignore


def test_training_yields_at_asked_steps_what_would_be_sampled() -> None:
    net = untrained()
    averaged = Averaged(net, 0.9)
    found = list(run(net, (3, 5, 12), ema=averaged))
    assert [progress.step for progress in found] == [3, 5, 12]
    assert all(progress.denoiser is averaged.net for progress in found)
    assert next(run(net, (3,))).denoiser is net


class Noisy(nn.Module):
    """A denoiser with dropout, a part that is frozen in evaluation, and uses of every generator."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.drop, self.frozen = untrained(), nn.Dropout(0.5), nn.BatchNorm2d(1)
        self.frozen.eval()

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        drawn = random.random() + np.random.rand() + float(torch.rand(1))  # noqa: NPY002
        assert drawn > 0
        assert not self.drop.training
        assert not self.frozen.training
        return self.drop(self.frozen(self.inner(x, sigma)))


def traces(D: Noisy) -> list[object]:
    modes = [module.training for module in D.modules()]
    legacy = np.random.get_state(legacy=False)  # noqa: NPY002
    states = random.getstate(), str(legacy), torch.get_rng_state().tolist()
    grads = [None if p.grad is None else p.grad.tolist() for p in D.parameters()]
    return [modes, states, grads, torch.is_grad_enabled(), [b.tolist() for b in D.buffers()]]


def test_a_look_leaves_no_trace_even_where_it_fails() -> None:
    D = Noisy()
    D.inner(torch.ones(1, 1, 8, 8), torch.ones(1)).sum().backward()
    monitor, before = MemorizationMonitor(TRAIN, HELD, every=1, **SMALL), traces(D)
    first = monitor.look(1, D)
    assert traces(D) == before
    assert monitor.look(2, D).estimates["held_error"] == first.estimates["held_error"]
    D.inner = nn.Linear(3, 3)  # pyright: ignore[reportAttributeAccessIssue]
    D.inner.train()
    before = traces(D)
    with pytest.raises(TypeError):
        monitor.look(3, D)
    assert traces(D) == before


@pytest.mark.parametrize("averaged", [False, True])
def test_weights_are_those_of_a_training_that_nobody_watched(averaged: bool) -> None:
    def weights(watch: bool) -> list[Tensor]:
        net = untrained()
        ema = Averaged(net, 0.9) if averaged else None
        monitor = MemorizationMonitor(TRAIN, HELD, every=4, **SMALL)
        torch.manual_seed(0)
        alone = run(net, monitor.steps, ema=ema) if watch else run(net, ema=ema)
        for _ in watched(alone, monitor) if watch else alone:
            pass
        assert list(monitor.steps) == ([4, 8, 12] if watch else [])
        return [*net.parameters(), *(ema.net.parameters() if ema else ()), torch.rand(3)]

    assert all(torch.equal(a, b) for a, b in zip(weights(True), weights(False), strict=True))


def test_closed_forms_are_where_they_should_be() -> None:
    monitor = MemorizationMonitor(TRAIN, HELD, every=1)
    memorizer = monitor.look(1, Empirical(TRAIN)).estimates
    gaussian = monitor.look(2, Gaussian.from_data(TRAIN)).estimates
    assert memorizer["to_memorizer"].value == pytest.approx(0, abs=1e-6)
    assert gaussian["to_gaussian"].value == pytest.approx(0, abs=1e-6)
    assert memorizer["to_gaussian"] == gaussian["to_memorizer"]
    assert memorizer["excess"].low > 0.9
    assert gaussian["excess"].high < 0.1
    assert memorizer["train_error"].high < memorizer["held_error"].low
    assert memorizer["certain"].low < memorizer["excess"].low


def test_errors_are_in_units_of_what_knows_mean_and_spread_alone() -> None:
    data = 3 * torch.randn(600, 20, generator=generator(5))
    monitor = MemorizationMonitor(data[:300], data[300:], every=1, **SMALL)
    s2 = float(data[:300].var())
    simple = monitor.look(1, lambda x, sigma: x * s2 / (s2 + sigma**2)).estimates
    nothing = monitor.look(2, lambda x, sigma: x).estimates
    error = sigmas(6) * (2 / 20 / 256) ** 0.5  # of a mean square of 256 x 20 normals
    for kind in ("train", "held"):
        assert simple[f"{kind}_error"].value == pytest.approx(1, abs=error)
        assert nothing[f"{kind}_error_small"].value == pytest.approx(1.0625, abs=1.0625 * error)
        assert nothing[f"{kind}_error_middle"].value == pytest.approx(2, abs=2 * error)


@pytest.mark.parametrize("seed", range(3))
def test_new_images_are_no_copies_with_and_without_a_hold_out(seed: int) -> None:
    generalizer, memorizer = Empirical(OTHER), Empirical(TRAIN)
    for held in (HELD, HELD[:50], None):
        monitor = MemorizationMonitor(TRAIN, held, every=1, seed=seed)
        monitor.look(1, generalizer)
        monitor.look(2, memorizer)
        first, second = monitor.looks
        assert first.estimates["certain"].low <= 0 < second.estimates["certain"].low
        assert monitor.choice.step == 1
        assert ("Without held-out images" in monitor.choice.reason) == (held is None)


def test_rows_of_latents_will_do() -> None:
    rows = (7 * DATA[:400]).flatten(1)
    monitor = MemorizationMonitor(rows[:100], rows[100:], every=1, **SMALL)
    found = monitor.look(1, Empirical(rows[:100]))
    images = MemorizationMonitor(DATA[:100], DATA[100:400], every=1, **SMALL)
    same = images.look(1, Empirical(DATA[:100]))
    for name, e in found.estimates.items():
        assert e.value == pytest.approx(same.estimates[name].value, abs=1e-3), name


def test_planned_steps() -> None:
    assert [k for k in range(1, 13) if LookSteps(4, None).plan(k) == k] == [4, 8, 12]
    assert [k for k in range(1, 13) if LookSteps([2, 9], None).plan(k) == k] == [2, 9]
    plan = LookSteps(None, None)
    assert [k for k in range(1, 400) if plan.plan(k) == k] == [32, 45, 64, 91, 128, 181, 256, 362]
    late = LookSteps(10, None)  # a loop that asks at few steps alone
    looked = []
    for step in (3, 14, 17, 25, 39):
        if step in late:
            late.took(step, 0.0, 0.0)
            looked.append(step)
    assert looked == [14, 25, 39]


@pytest.mark.parametrize("every", [None, 10])
@pytest.mark.parametrize("budget", [0.01, 0.05, 0.3])
def test_the_budget_is_held(
    budget: float, every: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("time.perf_counter", lambda: now)
    steps, shares, draw = LookSteps(every, budget), [], random.Random(0)
    for step in range(1, 60_001):
        now += 0.01
        if step in steps:
            cost = 3.0 if not len(steps) else draw.uniform(0.4, 0.5)
            now += cost
            steps.took(step, cost, steps.elapsed)
            shares.append(steps.share)
    assert max(shares) <= budget + 0.01
    assert sum([*steps.seconds.values()][1:]) / (now - 100 - 3) == pytest.approx(steps.share, 0.01)
    assert steps.share > budget / 2 or every is None
    assert len(steps) >= 4


def fake(step: int, errors: Sequence[float], low: float, high: float) -> LookAt:
    excess = Estimate((low + high) / 2, low, high, 300)
    error = mean(errors)
    found = {"excess": excess, "certain": excess, "held_error": error, "train_error": error}
    return LookAt(step, 0.1, 1.0, 0.0, found, tuple(errors))


def test_words_follow_from_whole_intervals() -> None:
    base = [1.0, 2.0, 3.0, 2.5]
    looks = [
        fake(32, [x + 0.5 for x in base], -0.05, 0.02),
        fake(45, [x + d for x, d in zip(base, (0.1, -0.1, 0.2, -0.1))], -0.04, 0.03),
        fake(64, base, -0.03, 0.04),
        fake(91, [x - 0.5 for x in base], 0.01, 0.2),
        fake(400, [x + 3 for x in base], 0.6, 0.8),
    ]
    found = choose(looks, held=True)
    assert found.step == 64
    assert "least of 3 of 5 looks at which copies are not seen" in found.reason
    assert "Not told from it: step 45." in found.reason
    assert "Copies are seen at step 91: 0.105 [0.01, 0.2], 0.7 [0.6, 0.8] at step 400." in (
        found.reason
    )
    assert "Nobody looked" not in found.reason
    assert "Nobody looked between steps 64 and 400." in choose([*looks[:3], looks[4]], True).reason
    assert "cannot be excluded" in choose([fake(32, base, -0.1, 0.3)], True).reason
    assert choose(looks, held=False).step == 64
    assert choose(looks[:2], held=False).step == 45
    assert "train on" in choose([looks[0], looks[2]], True).reason
    assert "train on" not in choose([looks[1], looks[2]], True).reason
    assert "none seen, fewer than these show" in choose([fake(32, base, -0.2, -0.1)], True).reason
    everywhere = choose(looks[3:], held=True)
    assert everywhere.step == 91
    assert "Copies are seen at all 2 looks" in everywhere.reason


def test_a_choice_only_moves_to_the_newest_look() -> None:
    draw = random.Random(0)
    looks: list[LookAt] = []
    before = 0
    for step in range(1, 60):
        low = draw.uniform(-0.1, 0.05)
        looks.append(fake(step, [draw.random() for _ in range(4)], low, low + 0.1))
        for held in (True, False):
            if any(look.estimates["excess"].low <= 0 for look in looks):
                chosen = choose(looks, held).step
                assert chosen in (step, before) or not held
                before = chosen if held else before


def test_it_stops_when_copying_is_certain_and_not_before() -> None:
    net, copies = untrained(), Empirical(TRAIN)
    for stop in (True, False):
        monitor = MemorizationMonitor(TRAIN, HELD, every=4, stop=stop, **SMALL)
        told = list(_told(watched(_replaced(run(net, monitor.steps), copies), monitor)))
        assert told == ([4] if stop else [4, 8, 12])
    monitor = MemorizationMonitor(TRAIN, HELD, every=4, stop=True, **SMALL)
    assert list(_told(watched(run(net, monitor.steps), monitor))) == [4, 8, 12]
    assert not monitor.stopped


def _told(found: Iterator[Progress]) -> Iterator[int]:
    return (progress.step for progress in found)


def _replaced(found: Iterator[Progress], D: object) -> Iterator[Progress]:
    from dataclasses import replace

    return (replace(progress, denoiser=D) for progress in found)  # pyright: ignore


def test_samples_that_are_not_finite_are_told_and_not_chosen(tmp_path: Path) -> None:
    log = tmp_path / "looks.jsonl"
    monitor = MemorizationMonitor(TRAIN, HELD, every=1, log=log, **SMALL)
    monitor.look(1, lambda x, sigma: x * torch.nan)
    assert monitor.looks[0].estimates["excess"].method == "samples are not finite"
    assert "No look has finite numbers" in monitor.choice.reason
    monitor.look(2, Gaussian.from_data(TRAIN))
    assert MemorizationMonitor(TRAIN, HELD, log=log, **SMALL).choice == monitor.choice
    assert monitor.choice.step == 2
    assert b"<svg" in monitor.figure().read_bytes()


def test_a_callable_takes_numbers(tmp_path: Path) -> None:
    told: list[dict[str, float]] = []
    monitor = MemorizationMonitor(TRAIN, HELD, every=1, log=told.append, **SMALL)
    monitor.look(7, Gaussian.from_data(TRAIN))
    (line,) = told
    assert line["step"] == line["keep"] == 7
    assert line["excess/low"] <= line["excess"] <= line["excess/high"]
    assert all(isinstance(value, int | float) for value in line.values())
    with pytest.raises(ValueError, match="give a path, as there is no log"):
        monitor.figure()
    assert b"<svg" in monitor.figure(tmp_path / "looks.svg").read_bytes()


def test_a_log_is_taken_up_and_gone_back_in(tmp_path: Path, sketched: None) -> None:
    log = tmp_path / "new" / "looks.jsonl"

    def monitor() -> MemorizationMonitor:
        return MemorizationMonitor(TRAIN, HELD, every=4, log=log, **SMALL)

    first = monitor()
    for step in (4, 8, 12):
        assert step in first.steps
        first.look(step, Gaussian.from_data(TRAIN))
    assert (tmp_path / "new" / "looks.svg").is_file()
    again = monitor()
    assert again.looks == first.looks
    assert again.choice == first.choice
    assert 7 not in again.steps  # the training goes on from step 6
    assert list(again.steps) == [4]
    assert 8 in again.steps
    again.look(8, Empirical(TRAIN))
    assert [look.step for look in monitor().looks] == [4, 8]
    assert monitor().looks == again.looks
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["resumed"] for line in lines if "resumed" in line] == [7]
    assert [line["keep"] for line in lines if "keep" in line][-1] == 4


def resumable(folder: Path, hangs: bool = False) -> None:
    """A training with checkpoints, a log and its network in ``folder``; the second look may hang in
    its middle.
    """
    net = untrained()
    monitor = MemorizationMonitor(TRAIN, HELD, every=4, log=folder / "looks.jsonl", **SMALL)
    scores = measured.scores

    def waiting(*sets: Any, **how: Any) -> CopyScores:
        if len(monitor.steps) == 1:
            (folder / "in the middle").touch()
            time.sleep(60)
        return scores(*sets, **how)

    measured.scores = waiting if hangs else scores
    training = run(net, monitor.steps, checkpoint=folder / "training", every=0.0)
    for _ in watched(training, monitor):
        pass
    save(net, folder / "net.safetensors")


def test_a_kill_in_the_middle_of_a_look_loses_nothing(tmp_path: Path) -> None:
    calm, struck = tmp_path / "calm", tmp_path / "struck"
    calm.mkdir()
    struck.mkdir()
    path = (
        f"import sys; from pathlib import Path; sys.path.insert(0, {str(Path(__file__).parent)!r})"
    )
    words = f"import test_monitor; test_monitor.resumable(Path({str(struck)!r}), hangs=True)"
    killed([sys.executable, "-c", f"{path}; {words}"], (struck / "in the middle").exists)
    assert len((struck / "looks.jsonl").read_text().splitlines()) == 2
    resumable(struck)
    resumable(calm)
    monitors = [
        MemorizationMonitor(TRAIN, HELD, every=4, log=folder / "looks.jsonl", **SMALL)
        for folder in (calm, struck)
    ]
    whole, resumed = ([(k.step, k.estimates) for k in m.looks] for m in monitors)
    assert [step for step, _ in whole] == [4, 8, 12]
    assert whole == resumed
    assert monitors[0].choice == monitors[1].choice
    weights = [(folder / "net.safetensors").read_bytes() for folder in (calm, struck)]
    assert weights[0] == weights[1]


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"held": torch.cat([HELD, TRAIN[3:5]])}, "2 of 602 held-out images are training images"),
        ({"held": torch.cat([HELD[:5], 0.9999999 * TRAIN])}, "(numbers 5, 6, 7, 8, 9 ...)"),
        ({"held": HELD[..., :7]}, "held has images of shape (1, 8, 7) and train of shape"),
        ({"held": HELD[:3]}, "held needs at least 4 images"),
        ({"train": TRAIN[:2]}, "train needs at least 4 images"),
        ({"train": torch.zeros(9, 1, 8, 8)}, "train has images that are all equal"),
        ({"train": TRAIN * torch.nan}, "train has values that are not finite"),
        ({"budget": 0.0}, "above 0 and at most 1"),
        ({"budget": 5.0}, "above 0 and at most 1 (0.05 is 5 %)"),
        ({"every": 0}, "each at least 1"),
        ({"samples": 0}, "samples must be at least 1"),
        ({"log": "/proc/nowhere/looks.jsonl"}, "the log /proc/nowhere/looks.jsonl cannot be"),
        ({"log": __file__}, "is no log of a monitor"),
    ],
)
def test_mistakes_cost_one_line(how: dict[str, object], message: str) -> None:
    given = {"train": TRAIN, "held": HELD, **how}
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        MemorizationMonitor(**given)  # pyright: ignore[reportArgumentType]
    assert "\n" not in str(caught.value)


def test_a_loop_that_never_calls_it_is_told() -> None:
    monitor = MemorizationMonitor(TRAIN, HELD, every=50, **SMALL)
    with pytest.warns(UserWarning, match="ended at step 12 without a look"):
        list(watched(run(untrained()), monitor))
    assert monitor.choice.step == 0
    assert "has not looked yet" in monitor.choice.reason
    with pytest.raises(ValueError, match="a fleet of 2 networks"):
        monitor.look(1, Fleet([untrained(), untrained()]))


def test_versions_of_training_images_that_are_held_out_are_said(
    recwarn: pytest.WarningsRecorder,
) -> None:
    MemorizationMonitor(TRAIN, HELD)
    assert not recwarn.list
    noise = torch.randn(TRAIN.shape, generator=generator(1))
    with pytest.warns(UserWarning, match=r"6\d of 664 held-out images are nearer"):
        MemorizationMonitor(TRAIN, torch.cat([HELD, TRAIN + 0.02 * noise]))


def test_a_disk_that_fails_later_is_a_warning_and_the_training_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "folder" / "looks.jsonl"
    monitor = MemorizationMonitor(TRAIN, HELD, every=1, log=log, **SMALL)
    log.unlink()
    log.parent.rmdir()
    log.parent.touch()
    with pytest.warns(UserWarning, match="cannot be written"):
        monitor.look(1, Gaussian.from_data(TRAIN))
    assert monitor.choice.step == 1


def test_the_log_of_another_training_is_refused(tmp_path: Path) -> None:
    MemorizationMonitor(TRAIN, HELD, log=tmp_path / "a.jsonl")
    with pytest.raises(ValueError, match="another training"):
        MemorizationMonitor(OTHER, HELD, log=tmp_path / "a.jsonl")


DOCS = (Path(__file__).parent.parent / "docs" / "monitor.md").read_text()


def test_what_the_page_shows_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    own, *others = re.findall(r"```python\n(.*?)```", DOCS, re.DOTALL)
    exec(compile(own, "docs/monitor.md", "exec"), {})
    said, shown = capsys.readouterr().out.strip(), own.strip().rpartition("\n# ")[2]
    assert re.sub(r"\d\.\d+", "x", said) == re.sub(r"\d\.\d+", "x", shown)
    assert len(others) == 2
    exec(compile("\n".join(others), "docs/monitor.md", "exec"), {})
    written = {path.name for path in Path("runs").iterdir()}
    assert written == {
        f"{name}.{end}" for name in ("monitor", "unet") for end in ("jsonl", "svg")
    } | {"keep.safetensors"}
