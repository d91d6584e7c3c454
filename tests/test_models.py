"""One door for models: every word that names one gives the denoiser that its own library has, with
the levels and the start it is sampled with; what cannot be opened costs one line that says what to
do.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from diffusers import (
    CMStochasticIterativeScheduler,
    ConsistencyModelPipeline,
    DDPMPipeline,
    DDPMScheduler,
    FlowMatchEulerDiscreteScheduler,
)
from pipelines import saved, unet
from test_audit_generated import QUIET, asked, like, pixels
from torch import Tensor

from denoscope import Seeds, euler, sample
from denoscope.audit.options import AuditOptions
from denoscope.audit.sets.generated import generate
from denoscope.cli import main
from denoscope.data import to_uint8
from denoscope.data.sources import Source
from denoscope.data.splits import Split
from denoscope.integrations.diffusers import from_pipeline, from_unet
from denoscope.laws.denoiser import check_denoiser
from denoscope.models import ONE_STEP, POSTERIOR_MEAN, Model, is_model, open_model
from denoscope.models.labels import LabelChoice, chosen
from denoscope.studies._subject import Subject, given


def noises(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def same(one: Model, other: Model) -> bool:
    x, sigma = noises(2, 1, 8, 8), torch.tensor(0.7)
    return torch.equal(one.denoiser(x, sigma), other.denoiser(x, sigma))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("plain"), DDPMScheduler(beta_end=0.03))


def test_components_in_the_root_are_read_as_diffusers_reads_them(
    plain: Path, tmp_path: Path
) -> None:
    flat = shutil.copytree(plain, tmp_path / "flat")
    for part in ("unet", "scheduler"):
        for file in (flat / part).iterdir():
            file.rename(flat / file.name)
        (flat / part).rmdir()
    theirs = DDPMPipeline.from_pretrained(flat)
    x = noises(2, 1, 8, 8)
    torch.testing.assert_close(
        open_model(str(flat)).denoiser.net(x, torch.tensor(5)).sample,  # pyright: ignore
        theirs.unet(x, torch.tensor(5)).sample,
    )
    assert is_model(str(flat))
    assert open_model(str(flat)).identity == open_model(str(plain)).identity
    assert same(open_model(str(flat)), open_model(str(plain)))


def test_averaged_weights_are_taken_from_checkpoints_and_left_in_pipelines(
    plain: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(plain, tmp_path / "out")
    checkpoint = out / "checkpoint-7"
    unet(seed=1).save_pretrained(checkpoint / "unet")
    unet(seed=2).save_pretrained(checkpoint / "unet_ema")
    config = checkpoint / "unet_ema" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"decay": 0.99, "power": 0.7}))
    raw, averaged = (
        open_model(str(saved(tmp_path / str(seed), DDPMScheduler(beta_end=0.03), unet(seed=seed))))
        for seed in (1, 2)
    )
    found = open_model(str(checkpoint))
    assert same(found, averaged)
    assert "averaged weights, unet_ema, are taken" in found.said[0]
    assert f"that of {out / 'scheduler'} is taken" in found.said[1]
    assert same(open_model(str(checkpoint / "unet")), raw)
    shutil.copytree(checkpoint / "unet_ema", out / "unet_ema")
    beside = open_model(str(out))
    assert same(beside, open_model(str(plain)))
    assert f"name {out / 'unet_ema'} for the others" in beside.said[0]
    assert same(open_model(str(out / "unet_ema")), averaged)


def test_a_network_alone_has_its_scheduler_named(plain: Path, tmp_path: Path) -> None:
    alone = tmp_path / "unet"
    shutil.copytree(plain / "unet", alone)
    assert is_model(str(alone))
    with pytest.raises(ValueError, match=r"names no scheduler, .*unet::DDPMScheduler"):
        open_model(str(alone))
    assert same(open_model(f"{alone}::{plain / 'scheduler'}"), open_model(str(plain)))
    usual = open_model(f"{alone}::DDPMScheduler")
    assert same(usual, open_model(str(saved(tmp_path / "usual", DDPMScheduler()))))
    assert "DDPMScheduler with its defaults, as named" in usual.said[0]
    for named, words in (("Magic", "'Magic' is not one that can be read"), ("a/b", "neither a")):
        with pytest.raises(ValueError, match=words):
            open_model(f"{alone}::{named}")
    assert same(open_model(str(plain / "unet")), open_model(str(plain)))


@pytest.mark.parametrize("clip", [False, True])
def test_a_consistency_pipeline_is_a_one_step_map(tmp_path: Path, clip: bool) -> None:
    scheduler = CMStochasticIterativeScheduler(sigma_data=0.6, clip_denoised=clip)
    folder = saved(tmp_path, scheduler, unet(), ConsistencyModelPipeline)
    found, theirs = open_model(str(folder)), ConsistencyModelPipeline.from_pretrained(folder)
    assert (found.kind, found.differentiable) == (ONE_STEP, True)
    theirs.set_progress_bar_config(disable=True)
    want = theirs(batch_size=3, num_inference_steps=1, generator=_seeded(), output_type="pt").images
    noise = torch.randn((3, 1, 8, 8), generator=_seeded())
    got = sample(found.sampled, found.start(noise), found.levels(1), euler)
    torch.testing.assert_close((got / 2 + 0.5).clamp(0, 1), want, rtol=0, atol=1e-5)
    lowest = torch.tensor(0.002)
    torch.testing.assert_close(found.denoiser(noise, lowest), noise, rtol=0, atol=1e-6)
    with pytest.raises(ValueError, match="a one-step map is sampled in 1 step, got 2"):
        found.levels(2)


def _seeded() -> torch.Generator:
    return torch.Generator().manual_seed(4)


@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_flow_matching_is_its_scheduler(tmp_path: Path, shift: float) -> None:
    scheduler = FlowMatchEulerDiscreteScheduler(shift=shift)
    folder = saved(tmp_path, scheduler)
    found = open_model(str(folder))
    assert found.kind == POSTERIOR_MEAN
    scheduler.set_timesteps(12)
    net, x = from_pipeline(folder).denoiser.net, noises(3, 1, 8, 8)
    for t in scheduler.timesteps:
        x = scheduler.step(net(x, t).sample, t, x).prev_sample
    for t in (999.0, 400.5, 1.0):
        x_t, s = noises(3, 1, 8, 8, seed=int(t)), t / 1000
        clean = x_t - s * net(x_t, torch.tensor(t)).sample
        got = found.denoiser(x_t / (1 - s), torch.tensor(s / (1 - s)))
        torch.testing.assert_close(got, clean, rtol=1e-4, atol=1e-4)
    times = found.levels(12) / (1 + found.levels(12))
    torch.testing.assert_close(times, scheduler.sigmas.double(), rtol=0, atol=3e-4)
    got = sample(found.sampled, found.start(noises(3, 1, 8, 8)), found.levels(12), euler)
    torch.testing.assert_close(got, x, rtol=0, atol=2e-2 * float(x.abs().max()))
    check_denoiser(from_pipeline(folder).denoiser.double(), (1, 8, 8))


def test_objects_of_diffusers_are_the_same_denoiser(plain: Path) -> None:
    theirs = DDPMPipeline.from_pretrained(plain)
    found = from_unet(theirs.unet.requires_grad_(False).eval(), theirs.scheduler)
    x, sigma = noises(2, 1, 8, 8), torch.tensor(0.7)
    assert torch.equal(found.sampled(x, sigma), open_model(str(plain)).sampled(x, sigma))
    assert torch.equal(found.levels(5), open_model(str(plain)).levels(5))
    with pytest.raises(ValueError, match="object is not a scheduler that can be read"):
        from_unet(theirs.unet, object())


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("classes")
    return str(saved(folder, DDPMScheduler(), unet(num_class_embeds=3)))


def test_one_label_or_one_for_each_state(classes: str, plain: Path) -> None:
    x, sigma = noises(3, 1, 8, 8), torch.tensor(0.5)
    each = [open_model(classes, label=label).denoiser(x, sigma) for label in range(3)]
    mixed = open_model(classes, label=torch.tensor([2, 0, 1])).denoiser(x, sigma)
    want = torch.stack([each[2][0], each[0][1], each[1][2]])
    torch.testing.assert_close(mixed, want, rtol=0, atol=1e-5)
    assert open_model(classes, label=0).classes == 3
    with pytest.raises(ValueError, match=r"give --label, one of its classes 0 \.\.\. 2"):
        open_model(classes)
    for label in (3, 0.5, torch.tensor([0, 7, 1])):
        with pytest.raises(ValueError, match=r"one of its classes 0 \.\.\. 2, got"):
            open_model(classes, label=label)
    with pytest.raises(ValueError, match="it knows no classes: leave --label out, got 1"):
        open_model(str(plain), label=1)


def test_labels_come_with_seeds_in_the_proportions_of_the_training_set(classes: str) -> None:
    model, train = open_model(classes, label=0), torch.tensor([0] * 60 + [1] * 30 + [2] * 10)
    every = chosen(model, ["all"], train)
    assert every is not None
    counts = torch.bincount(every.of(range(500)), minlength=3)
    assert counts.tolist() == pytest.approx([300, 150, 50], abs=3)
    assert torch.equal(every.of([7, 3]), torch.stack([every.of([7])[0], every.of([3])[0]]))
    alike = [
        (["all"], None),
        (["0-2"], None),
        (["all"], train.clamp(max=1)),
        (["1", "0", "2"], None),
    ]
    for words, there in alike:
        assert chosen(model, words, there) == LabelChoice((0.0, 1.0, 2.0))
    assert chosen(model, ["0", "2"], train) == LabelChoice((0.0,) * 60 + (2.0,) * 10)
    assert chosen(model, [], train) is None
    assert str(every) == "labels 0, 1, 2, as often as in the training set"
    assert LabelChoice((0.25,)).of([5]).tolist() == [0.25]
    with pytest.raises(ValueError, match="--label cat: a label is a number, such as 3"):
        chosen(model, ["cat"], train)


def test_an_audit_samples_the_labels_that_it_is_told(classes: str, tmp_path: Path) -> None:
    model = open_model(classes, label=0)
    for words in (("1",), ("all",)):
        found = generate("gen", classes, asked(tmp_path, label=words), QUIET, like=like())
        labels = chosen(model, words, None)
        assert labels is not None
        noise = Seeds(range(12)).randn((1, 8, 8))
        given = model.given(labels.of(range(12)))
        want = to_uint8(sample(given.sampled, model.start(noise), model.levels(5), euler))
        assert int((pixels(found).int() - want.int()).abs().max()) <= 1, words
    assert len(list((tmp_path / "samples").iterdir())) == 2
    assert found.made.endswith("labels 0, 1, 2")
    for words, said in (((), "give --label, one of its classes"), (("5",), "got 5")):
        with pytest.raises(ValueError, match=f"--gen {classes}: .*{said}"):
            generate("gen", classes, asked(tmp_path, label=words), QUIET, like=like())


def test_an_audit_samples_a_one_step_map_in_one_step(tmp_path: Path) -> None:
    scheduler = CMStochasticIterativeScheduler()
    folder = str(saved(tmp_path / "cm", scheduler, unet(), ConsistencyModelPipeline))
    usual = asked(tmp_path, steps=AuditOptions.steps)
    found = generate("gen", folder, usual, QUIET, like=like())
    assert found.made == "ddim, 1 step, as a one-step map is sampled"
    model = open_model(folder)
    want = model.sampled(80 * Seeds(range(12)).randn((1, 8, 8)), torch.tensor(80.0))
    assert int((pixels(found).int() - to_uint8(want).int()).abs().max()) <= 1
    with pytest.raises(ValueError, match="--steps 5: a one-step map is sampled in 1 step, got 5"):
        generate("gen", folder, asked(tmp_path), QUIET, like=like())


def test_what_is_chosen_in_opening_is_a_warning(plain: Path, tmp_path: Path) -> None:
    folder = str(plain / "unet")
    found = generate("gen", folder, asked(tmp_path), QUIET, like=like())
    assert found.warnings[0].startswith(f"gen: {folder} names no scheduler: that of")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            "CM --data digits",
            "is a one-step map and no posterior mean: nothing is asked of",
        ),
        ("CLASSES --data digits", "give --label, one of its classes 0 ... 2"),
        ("CLASSES --data digits --label cat", "--label cat: a label is a number"),
        ("CLASSES --data digits --label 0-2", "--label 0-2: one label at a time"),
        ("PLAIN --data digits --label 1", "it knows no classes: leave --label out, got 1"),
    ],
)
def test_what_a_model_cannot_be_asked_is_one_line(
    words: str,
    said: str,
    classes: str,
    plain: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    scheduler = CMStochasticIterativeScheduler()
    map_ = saved(tmp_path / "cm", scheduler, unet(), ConsistencyModelPipeline)
    named = {"CM": str(map_), "CLASSES": classes, "PLAIN": str(plain)}
    called = [named.get(word, word) for word in words.split()]
    assert main(["probe", "--out", str(tmp_path / "out"), "--model", *called]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert said in line


def test_a_pipeline_is_probed_at_its_own_levels(classes: str, tmp_path: Path) -> None:
    data = Split(Source("digits"), None, 261, 0, 0)
    model = given(classes, data, "1")
    subject = Subject(model.denoiser, data, 3, 4, model=model)
    noise = Seeds(range(3)).randn((1, 8, 8))
    want = sample(model.sampled, model.start(noise), model.levels(4).float())
    assert torch.equal(subject.samples(), want)
    assert float(subject.sigmas[0]) == pytest.approx(157.4, abs=0.1)
