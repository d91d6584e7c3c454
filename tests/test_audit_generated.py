"""Samples of a model that was given in place of images: the right ones, stored once, going on where
they stopped, or one clear line.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler
from kills import killed
from PIL import Image
from pipelines import saved, unet
from torch import Tensor, nn

from denoscope import MLP, Preconditioned, Seeds, UNet, euler, heun, karras, sample, save
from denoscope.audit.options import AuditOptions
from denoscope.audit.sets import generated, sample_store
from denoscope.audit.sets.generated import SAMPLERS, generate, is_model
from denoscope.audit.sets.inputs import InputSet
from denoscope.audit.sets.round_trip import round_trip
from denoscope.audit.sets.settled import Unsettled, settle
from denoscope.data import Images, to_uint8
from denoscope.data.images import digest
from denoscope.data.prepare import Preparation
from denoscope.integrations.diffusers import from_pipeline
from denoscope.networks import LinearMaps, Subspaces
from denoscope.progress import Voice
from denoscope.schedule import VP
from denoscope.store import MODEL, Store

QUIET = Voice(quiet=True)


def like(shape: tuple[int, int, int] = (1, 8, 8)) -> InputSet:
    images = Images(torch.zeros(3, *shape), "train")
    return InputSet("train", "train", images, None, ("a", "b", "c"), images.sha256)


def asked(out: Path, **more: Any) -> AuditOptions:
    return AuditOptions(
        **{
            "gen": "x",
            "train": "y",
            "out": out,
            "seeds": tuple(range(12)),
            "steps": 5,
            "batch": 4,
            **more,
        }
    )


def pixels(given: InputSet) -> Tensor:
    assert given.images is not None
    return to_uint8(given.images.data)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An untrained pipeline."""
    return str(saved(tmp_path_factory.mktemp("pipeline"), DDPMScheduler()))


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file of an untrained network of this library, whose answers are not zero."""
    return str(
        save(
            Preconditioned(_shaken(MLP((1, 8, 8), 8))),
            tmp_path_factory.mktemp("network") / "net.safetensors",
        )
    )


def _shaken(net: nn.Module, scale: float = 0.2) -> nn.Module:
    generator = torch.Generator().manual_seed(1)
    for parameter in net.parameters():
        parameter.data += scale * torch.randn(parameter.shape, generator=generator)
    return net


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[int, ...]]]:
    """The seeds of every batch that is drawn meanwhile."""
    drawn: list[tuple[int, ...]] = []
    put = sample_store.SampleStore.put
    with monkeypatch.context() as patched:
        patched.setattr(
            sample_store.SampleStore,
            "put",
            lambda self, seeds, *rest: (drawn.append(tuple(seeds)), put(self, seeds, *rest))[1],
        )
        yield drawn


@pytest.mark.slow
def test_a_memorizing_pipeline_gives_copies_from_its_folder(
    memorizing_pipeline: tuple[Path, Tensor], tmp_path: Path
) -> None:
    folder, train = memorizing_pipeline
    for sampler, steps in (("ddim", 20), ("dpmpp", 20), ("heun", 12), ("ddpm", 60)):
        question = asked(tmp_path, seeds=tuple(range(60)), steps=steps, batch=30, sampler=sampler)
        found = generate("gen", str(folder), question, QUIET, like=like())
        assert found.images is not None
        near = torch.cdist(found.images.data.flatten(1), train.flatten(1)).sort(1).values
        assert float((near[:, 0] / near[:, 1] < 1 / 3).float().mean()) > 0.8, sampler


@pytest.mark.slow
def test_a_memorizer_brings_training_images_back_from_its_least_noise(
    memorizing_pipeline: tuple[Path, Tensor], tmp_path: Path
) -> None:
    folder, train = memorizing_pipeline
    data = Images(train.reshape(-1, 1, 8, 8), "train")
    known = InputSet("train", "train", data, None, tuple(map(str, range(len(data)))), data.sha256)
    trip = round_trip(asked(tmp_path, gen=str(folder), steps=20), known, data.data)
    assert trip is not None
    made = trip(data.data, 0)
    assert torch.equal(made, trip(data.data, 0))  # by its seed
    assert float((made - data.data).square().mean().sqrt()) < 2 * float(trip.sigma)
    near = torch.cdist(made.flatten(1), train.flatten(1)).sort(1).values
    assert float((near[:, 0] / near[:, 1] < 1 / 3).float().mean()) > 0.95
    assert round_trip(asked(tmp_path, gen=str(folder)), known, torch.zeros(1, 3, 8, 8)) is None


def test_what_is_given_says_where_it_comes_from(pipeline: str, tmp_path: Path) -> None:
    found = generate(
        "twin", pipeline, asked(tmp_path, seeds=(7, 3, 4294967295)), QUIET, like=like()
    )
    assert (found.role, found.path, found.seeds, found.names) == (
        "twin",
        pipeline,
        (7, 3, 4294967295),
        ("seed 7", "seed 3", "seed 4294967295"),
    )
    assert found.images is not None
    assert found.sha256 == digest(found.images.contents, found.images.shape)
    assert found.features is None
    assert found.images.shape == (1, 8, 8)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_samples_are_the_samplers_own_clipped_and_rounded(
    pipeline: str, tmp_path: Path, sampler: str
) -> None:
    model, seeds = from_pipeline(pipeline), Seeds(range(12))
    found = generate("gen", pipeline, asked(tmp_path, sampler=sampler), QUIET, like=like())
    with torch.inference_mode():
        want = sample(
            model.sampled,
            model.start(seeds.randn((1, 8, 8))),
            model.levels(5),
            SAMPLERS[sampler](),
            seeds.noise(),
        )
    assert int((pixels(found).int() - to_uint8(want).int()).abs().max()) <= 1
    assert int((pixels(found) != to_uint8(want)).sum()) <= 5


def test_a_sample_depends_on_its_seed_alone(pipeline: str, tmp_path: Path) -> None:
    all_ = pixels(
        generate(
            "gen", pipeline, asked(tmp_path / "a", sampler="ddpm", batch=12), QUIET, like=like()
        )
    )
    some = pixels(
        generate(
            "twin",
            pipeline,
            asked(tmp_path / "b", sampler="ddpm", batch=3, seeds=(11, 2, 5, 6)),
            QUIET,
            like=like(),
        )
    )
    assert int((all_[[11, 2, 5, 6]].int() - some.int()).abs().max()) <= 1
    assert len({tuple(row.flatten().tolist()) for row in all_}) == 12


def test_the_same_command_draws_nothing_again_and_more_seeds_go_on(
    pipeline: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = generate("gen", pipeline, asked(tmp_path), QUIET, like=like())
    with counted(monkeypatch) as drawn:
        again = generate("gen", pipeline, asked(tmp_path, batch=7), QUIET, like=like())
        assert drawn == []
        assert torch.equal(pixels(first), pixels(again))
        more = generate(
            "gen", pipeline, asked(tmp_path, seeds=tuple(range(4, 15))), QUIET, like=like()
        )
        assert drawn == [(12, 13, 14)]
    assert torch.equal(pixels(more)[:8], pixels(first)[4:])


def test_what_is_stored_never_answers_for_another_way(
    pipeline: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = [
        (pipeline, {"steps": 6}),
        (pipeline, {"sampler": "heun"}),
        (str(saved(tmp_path / "weights", DDPMScheduler(), unet(seed=3))), {}),
        (str(saved(tmp_path / "betas", DDPMScheduler(beta_end=0.03))), {}),
        (str(saved(tmp_path / "clip", DDPMScheduler(clip_sample=False))), {}),
    ]
    out = tmp_path / "out"
    first = generate("gen", pipeline, asked(out), QUIET, like=like())
    for path, changes in others:
        with counted(monkeypatch) as drawn:
            other = generate("gen", path, asked(out, **changes), QUIET, like=like())
        assert sum(map(len, drawn)) == 12, (path, changes)
        assert not torch.equal(pixels(first), pixels(other))
    assert len(list((out / "samples").iterdir())) == len(others) + 1


def test_the_same_weights_elsewhere_are_the_same_model(
    pipeline: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generate("gen", pipeline, asked(tmp_path), QUIET, like=like())
    with counted(monkeypatch) as drawn:
        generate(
            "twin",
            str(saved(tmp_path / "copy", DDPMScheduler())),
            asked(tmp_path),
            QUIET,
            like=like(),
        )
    assert drawn == []


def test_an_interrupt_loses_at_most_the_batch(
    pipeline: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    want = generate("gen", pipeline, asked(tmp_path / "whole"), QUIET, like=like())
    put, calls = sample_store.SampleStore.put, []

    def interrupted(self: sample_store.SampleStore, *arguments: Any) -> None:
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        put(self, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(sample_store.SampleStore, "put", interrupted)
        with pytest.raises(KeyboardInterrupt):
            generate("gen", pipeline, asked(tmp_path / "broken"), QUIET, like=like())
    with counted(monkeypatch) as drawn:
        found = generate("gen", pipeline, asked(tmp_path / "broken"), QUIET, like=like())
    assert drawn == [(8, 9, 10, 11)]
    assert torch.equal(pixels(found), pixels(want))


def test_damaged_and_foreign_blocks_are_drawn_again(pipeline: str, tmp_path: Path) -> None:
    want = generate("gen", pipeline, asked(tmp_path), QUIET, like=like())
    other = generate("gen", pipeline, asked(tmp_path, steps=4), QUIET, like=like())
    (mine,) = {
        path.parent for path in tmp_path.rglob("about.json") if '"steps": 5' in path.read_text()
    }
    (theirs,) = {
        path.parent for path in tmp_path.rglob("about.json") if '"steps": 4' in path.read_text()
    }
    first, second, third = sorted(mine.glob("*.safetensors"))
    first.write_bytes(first.read_bytes()[:-50])
    second.write_bytes((theirs / second.name).read_bytes())
    third.write_bytes(b"")
    assert torch.equal(
        pixels(generate("gen", pipeline, asked(tmp_path), QUIET, like=like())), pixels(want)
    )
    assert not torch.equal(pixels(want), pixels(other))


@pytest.mark.slow
def test_after_a_kill_the_same_command_goes_on(pipeline: str, tmp_path: Path) -> None:
    script = (
        "import sys; sys.path.insert(0, {tests!r}); import torch; torch.set_num_threads(1)\n"
        "from pathlib import Path; from test_audit_generated import QUIET, asked, generate, like\n"
        "generate('gen', {pipeline!r}, asked(Path({out!r}), seeds=tuple(range(80)), "
        "steps=20, batch=8), QUIET, like=like())\n"
    ).format(tests=str(Path(__file__).parent), pipeline=pipeline, out=str(tmp_path / "killed"))
    drawn = partial((tmp_path / "killed").rglob, "*.safetensors")
    killed([sys.executable, "-c", script], lambda: len(list(drawn())) >= 3)
    left = {
        path: path.stat().st_mtime_ns for path in (tmp_path / "killed").rglob("[0-9]*.safetensors")
    }
    assert 3 <= len(left) < 10
    question = asked(tmp_path / "killed", seeds=tuple(range(80)), steps=20, batch=8)
    found = generate("gen", pipeline, question, QUIET, like=like())
    assert {path: path.stat().st_mtime_ns for path in left} == left
    whole = generate("gen", pipeline, replace(question, out=tmp_path / "whole"), QUIET, like=like())
    assert torch.equal(pixels(found), pixels(whole))


@pytest.mark.slow
def test_processes_give_the_same_samples(
    network: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = generate("gen", network, asked(tmp_path / "alone"), QUIET, like=like())
    monkeypatch.setattr(generated, "_WORTH", 0.0)
    torch.set_num_threads(2)
    try:
        both = generate("gen", network, asked(tmp_path / "both"), QUIET, like=like())
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
    assert torch.equal(pixels(alone), pixels(both))


def test_progress_is_told_up_to_all(
    network: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    generate("gen", network, asked(tmp_path), Voice(), like=like())
    generate("gen", network, asked(tmp_path, seeds=tuple(range(14))), Voice(), like=like())
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "12 of 12 samples" in shown.err
    assert "12/12 samples" in shown.err
    assert "left" in shown.err
    assert "2 of 14 samples, the others are stored" in shown.err


def test_own_networks_are_sampled_as_the_studies_sample_them(network: str, tmp_path: Path) -> None:
    denoiser = Preconditioned(_shaken(MLP((1, 8, 8), 8)))
    found = generate("gen", network, asked(tmp_path, sampler="heun"), QUIET, like=like())
    want = sample(denoiser, 80 * Seeds(range(12)).randn((1, 8, 8)), karras(5), heun)
    assert int((pixels(found).int() - to_uint8(want).int()).abs().max()) <= 1


@pytest.mark.parametrize(
    "net",
    [
        Preconditioned(_shaken(MLP((64,), 8))),
        Preconditioned(_shaken(UNet((1, 8, 8), 8)), "v"),
        LinearMaps((64,), VP.linear(20, 1e-3, 0.5)),
        LinearMaps((1, 8, 8), VP.linear(20, 1e-3, 0.5), dtype="float32"),
        Subspaces(64, (3, 2)),
    ],
    ids=["flat MLP", "U-Net", "flat linear", "linear", "subspaces"],
)
def test_every_kind_of_network_that_is_saved(net: nn.Module, tmp_path: Path) -> None:
    file = save(net, tmp_path / "net.safetensors")
    found = generate("gen", str(file), asked(tmp_path), QUIET, like=like())
    assert pixels(found).shape == (12, 1, 8, 8)
    levels = (
        karras(5, float(net.levels[0]), float(net.levels[-1]))
        if isinstance(net, LinearMaps)
        else karras(5)
    )
    event = (
        (64,)
        if "LinearMaps" not in str(type(net)) and not isinstance(net, Preconditioned)
        else tuple(getattr(net, "net", net).shape)
    )
    with torch.no_grad():
        want = sample(
            net, levels[0].float() * Seeds(range(12)).randn(event), levels, euler
        ).reshape(12, 1, 8, 8)
    assert int((pixels(found).int() - to_uint8(want).int()).abs().max()) <= 1


def test_cells_of_stores_and_what_is_a_model(network: str, pipeline: str, tmp_path: Path) -> None:
    store = tmp_path / "store"
    cell = store / "cells" / "0123456789abcdef"
    cell.mkdir(parents=True)
    (cell / MODEL).write_bytes(Path(network).read_bytes())
    assert pixels(generate("gen", str(cell), asked(tmp_path), QUIET, like=like())).shape == (
        12,
        1,
        8,
        8,
    )
    Store(store).note({"study": "phase_transition"})
    (tmp_path / "images").mkdir()
    assert [is_model(str(path)) for path in (network, pipeline, cell, store)] == [True] * 4
    assert [
        is_model(str(path))
        for path in (tmp_path / "images", "digits", tmp_path / "a.npz", tmp_path / "nowhere")
    ] == [False] * 4
    assert is_model(str(tmp_path / "missing.safetensors"))
    with pytest.raises(ValueError, match=r"name one of its cells, .*cells/KEY"):
        generate("gen", str(store), asked(tmp_path), QUIET, like=like())


def test_resize_is_that_of_all_sets(pipeline: str, tmp_path: Path) -> None:
    small = Preparation.of("resize:5")
    found = generate("gen", pipeline, asked(tmp_path), QUIET, like=like((1, 5, 5)), prepare=small)
    assert found.images is not None
    assert found.images.shape == (1, 5, 5)
    assert (
        generate("gen", pipeline, asked(tmp_path), QUIET, like=like((3, 8, 8))).images is not None
    )  # channels are matched later
    with pytest.raises(
        ValueError,
        match=r"of 8x8 pixels, --train has 16x16: .* --prepare-train crop-centre resize:8",
    ):
        generate("gen", pipeline, asked(tmp_path), QUIET, like=like((1, 16, 16)))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sampler": "magic"}, "--sampler magic: there are ddim, heun, dpmpp, ddpm"),
        ({"seeds": (1, 2, 1)}, "--seeds names a seed twice"),
        ({"seeds": (1, -2)}, "--seeds must lie between 0 and 4294967295"),
        ({"seeds": (1, 1 << 32)}, "--seeds must lie between 0 and 4294967295"),
        ({"device": "nowhere"}, "--device nowhere cannot be used here"),
        ({"steps": 1001}, "--steps 1001: n must be at least 1 and at most 1000"),
    ],
)
def test_questions_that_cannot_be_answered_are_one_clear_line(
    pipeline: str, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        generate("gen", pipeline, asked(tmp_path, **changes), QUIET, like=like())
    assert not (tmp_path / "samples").exists()


def test_models_that_cannot_be_sampled_are_one_clear_line(network: str, tmp_path: Path) -> None:
    latent = saved(tmp_path / "latent", DDIMScheduler())
    index = latent / "model_index.json"
    index.write_text(
        index.read_text().replace('"_class_name": "DDPMPipeline"', '"_class_name": "LDMPipeline"')
    )
    torn = tmp_path / "torn.safetensors"
    torn.write_bytes(Path(network).read_bytes()[:100])
    members = save(Subspaces(64, (3, 2), members=2), tmp_path / "members.safetensors")
    weights = (
        saved(tmp_path / "plain", DDPMScheduler()) / "unet" / "diffusion_pytorch_model.safetensors"
    )
    flat = save(Preconditioned(MLP((50,), 4)), tmp_path / "flat.safetensors")
    for path, words in [
        (latent, "'LDMPipeline' is not a pipeline that can be read"),
        (tmp_path / "none.safetensors", "there is no file none.safetensors there"),
        (torn, "is not a readable safetensors file"),
        (weights, "denoscope did not write it"),
        (members, "its network"),
        (flat, "its network makes 50 numbers, and images of the training set have 64"),
    ]:
        with pytest.raises(ValueError, match=f"--gen {path}: .*{words}") as caught:
            generate("gen", str(path), asked(tmp_path), QUIET, like=like())
        assert "\n" not in str(caught.value)
    features = InputSet("train", "reps.npz", None, torch.zeros(3, 5), ("a", "b", "c"), "")
    with pytest.raises(
        ValueError, match=r"whose samples are images, and --train reps\.npz holds features"
    ):
        generate("gen", network, asked(tmp_path), QUIET, like=features)


def test_samples_that_are_not_finite_are_counted_and_named(
    pipeline: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, bad = generated.unlabelled, Seeds([2, 5, 7, 8, 9, 10, 11]).randn((1, 8, 8))

    def spoiled(*arguments: Any, **named: Any) -> Any:
        model = real(*arguments, **named)

        def start(noise: Tensor) -> Tensor:
            wrong = (noise[:, None] == bad).flatten(2).all(2).any(1)
            return model.start(noise).where(~wrong[:, None, None, None], torch.tensor(torch.nan))

        return replace(model, start=start)

    monkeypatch.setattr(generated, "unlabelled", spoiled)
    with pytest.raises(
        ValueError, match=r"7 of 12 samples are not finite \(seeds 2, 5, 7, 8, 9, …\)"
    ):
        generate("gen", pipeline, asked(tmp_path, batch=6), QUIET, like=like())
    with pytest.raises(ValueError, match=r"2 of 6 samples are not finite \(seeds 2, 5\)"):
        generate("gen", pipeline, asked(tmp_path, seeds=tuple(range(6))), QUIET, like=like())
    nan = unet()
    nan.conv_in.weight.data[:] = torch.nan
    monkeypatch.undo()
    with pytest.raises(ValueError, match="none of 4 samples is finite"):
        generate(
            "gen",
            str(saved(tmp_path / "nan", DDPMScheduler(), nan)),
            asked(tmp_path),
            QUIET,
            like=like(),
        )


def test_a_model_that_changes_meanwhile_is_not_mixed(network: str, tmp_path: Path) -> None:
    file = tmp_path / "net.safetensors"
    file.write_bytes(Path(network).read_bytes())
    job = generated._Batch(
        "gen",
        str(file),
        (1, 8, 8),
        "ddim",
        3,
        (0, 1),
        sample_store.SampleStore(tmp_path, {"model": {"sha256": "other"}}, (1, 8, 8)),
    )
    generated._kept.cache_clear()
    with pytest.raises(ValueError, match="has changed while it was sampled"):
        job(lambda fraction: None)


def test_a_model_is_sampled_a_little_to_learn_what_it_saw(pipeline: str, tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    for i in range(12):
        grey = np.random.default_rng(i).integers(0, 256, (12, 20), dtype=np.uint8)
        Image.fromarray(grey).save(files / f"{i}.png")
    question = asked(tmp_path, gen=pipeline, train=str(files), seeds=tuple(range(20)))
    said = r"20x12 pixels and --gen of 8x8; .* such as --prepare-train"
    with pytest.raises(Unsettled, match=said) as error:
        settle(question, QUIET, question.seeds)
    assert "5 samples" in str(error.value)
    assert len(list((tmp_path / "samples").rglob("0*.safetensors"))) == 2  # of 4 and 1
    with pytest.raises(Unsettled, match="too few to try"):
        settle(question, QUIET)
