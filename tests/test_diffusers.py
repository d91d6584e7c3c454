"""Pipelines of diffusers as denoisers: what the library itself predicts and samples is the law;
what is no such pipeline is one clear line.
"""

from __future__ import annotations

import json
import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    EDMDPMSolverMultistepScheduler,
    EDMEulerScheduler,
    EulerDiscreteScheduler,
    HeunDiscreteScheduler,
    ScoreSdeVePipeline,
    ScoreSdeVeScheduler,
    UniPCMultistepScheduler,
)
from pipelines import saved, unet
from safetensors.torch import load_file, save_file
from torch import Tensor

from denoscope import ancestral, dpmpp, euler, from_betas, heun, karras, sample, trajectory
from denoscope.geometry import jacobian
from denoscope.integrations.diffusers import Pipeline, from_pipeline
from denoscope.integrations.schedulers import SCHEDULERS
from denoscope.laws.denoiser import check_denoiser
from denoscope.types import pad

PREDICTIONS = ("epsilon", "sample", "v_prediction")
BETAS: list[dict[str, Any]] = [
    {"beta_schedule": "linear"},
    {"beta_schedule": "linear", "num_train_timesteps": 40, "beta_start": 1e-3, "beta_end": 0.2},
    {"beta_schedule": "scaled_linear", "beta_start": 8.5e-4, "beta_end": 0.012},
    {"beta_schedule": "squaredcos_cap_v2", "num_train_timesteps": 200},
    {"beta_schedule": "sigmoid"},
    {"trained_betas": [0.01, 0.03, 0.02, 0.2, 0.4, 0.5], "num_train_timesteps": 6},
]
PRESERVING = [name for name, reader in SCHEDULERS.items() if reader.__name__ == "_preserving"]


def noises(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("betas", BETAS, ids=lambda betas: betas.get("beta_schedule", "trained"))
def test_it_is_the_pipelines_own_prediction_at_the_times_of_training(
    tmp_path: Path, prediction: str, betas: dict[str, Any]
) -> None:
    scheduler = DDPMScheduler(**betas, prediction_type=prediction, clip_sample=False)
    pipeline = from_pipeline(saved(tmp_path, scheduler))
    abar, net = scheduler.alphas_cumprod.double(), pipeline.denoiser.net
    torch.testing.assert_close(pipeline.sigmas, torch.sqrt((1 - abar) / abar))
    for t in (0, 1, len(abar) // 2, len(abar) - 1):
        x = noises(3, 1, 8, 8, seed=t)  # what the network sees
        want = scheduler.step(net(x, torch.tensor(t)).sample, t, x).pred_original_sample
        got = pipeline.denoiser(x / abar[t].sqrt().float(), pipeline.sigmas[t].float())
        assert float((got - want).abs().max()) <= 1e-5 * max(1.0, float(want.abs().max())), t


@pytest.mark.parametrize("name", PRESERVING)
def test_the_levels_are_read_from_every_scheduler(tmp_path: Path, name: str) -> None:
    scheduler = getattr(diffusers, name)(
        num_train_timesteps=120, beta_start=2e-4, beta_end=0.07, beta_schedule="scaled_linear"
    )
    pipeline = from_pipeline(saved(tmp_path, scheduler))
    abar = scheduler.alphas_cumprod.double()
    torch.testing.assert_close(pipeline.sigmas, torch.sqrt((1 - abar) / abar))
    assert pipeline.identity["scheduler"] == name
    assert pipeline.levels(7)[0] == pipeline.sigmas[-1]


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("spacing", ["trailing", "linspace"])
def test_euler_is_ddim(tmp_path: Path, prediction: str, spacing: str) -> None:
    scheduler = DDIMScheduler(
        num_train_timesteps=200,
        beta_end=0.05,
        prediction_type=prediction,
        clip_sample=False,
        timestep_spacing="trailing",
    )
    pipeline = from_pipeline(saved(tmp_path, scheduler))
    start = noises(4, 1, 8, 8)
    scheduler.set_timesteps(20)
    x = start
    for t in scheduler.timesteps:
        x = scheduler.step(pipeline.denoiser.net(x, t).sample, int(t), x, eta=0.0).prev_sample
    levels = torch.cat([pipeline.sigmas[scheduler.timesteps], torch.zeros(1)])
    assert torch.equal(pipeline.start(start), start * torch.sqrt(1 + levels[0] ** 2).float())
    got = sample(pipeline.denoiser, pipeline.start(start), levels, euler)
    assert float((got - x).abs().max()) <= 1e-4 * max(1.0, float(x.abs().max()))


@pytest.mark.parametrize("steps", [7, 20])
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_dpmpp_is_the_multistep_solver_of_order_2(
    tmp_path: Path, prediction: str, steps: int
) -> None:
    """It takes one step of order 1 first and one last, asks the network at whole times, and moves
    in variance-preserving coordinates.
    """
    scheduler = DPMSolverMultistepScheduler(
        prediction_type=prediction, solver_order=2, use_karras_sigmas=True
    )
    pipeline = from_pipeline(saved(tmp_path, scheduler))
    pipeline.denoiser.whole = True
    scheduler.set_timesteps(steps)
    levels = karras(steps, float(pipeline.sigmas[0]), float(pipeline.sigmas[-1]))
    torch.testing.assert_close(levels.float(), scheduler.sigmas)
    x = start = noises(4, 1, 8, 8)
    for t in scheduler.timesteps:
        x = scheduler.step(pipeline.denoiser.net(x, t).sample, t, x).prev_sample
    got = sample(pipeline.denoiser, pipeline.start(start), levels, dpmpp())
    assert float((got - x).abs().max()) <= 1e-4 * max(1.0, float(x.abs().max()))
    once = sample(pipeline.denoiser, pipeline.start(start), levels, euler)
    assert float((once - x).abs().max()) > 1e-2


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_heun_is_the_scheduler_of_that_name(tmp_path: Path, prediction: str) -> None:
    scheduler = HeunDiscreteScheduler(prediction_type=prediction, use_karras_sigmas=True)
    pipeline = from_pipeline(saved(tmp_path, scheduler))
    scheduler.set_timesteps(9)
    levels = karras(9, float(pipeline.sigmas[0]), float(pipeline.sigmas[-1]))
    x = start = noises(4, 1, 8, 8) * scheduler.init_noise_sigma
    for t in scheduler.timesteps:  # every level but the first and the last twice
        answer = pipeline.denoiser.net(scheduler.scale_model_input(x, t), t).sample
        x = scheduler.step(answer, t, x).prev_sample
    got = sample(pipeline.denoiser, start, levels, heun)
    assert float((got - x).abs().max()) <= 1e-4 * max(1.0, float(x.abs().max()))
    once = sample(pipeline.denoiser, start, levels, euler)
    assert float((once - x).abs().max()) > 1e-2


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_ancestral_is_ddpm_step_by_step(tmp_path: Path, prediction: str, clip: bool) -> None:
    betas = {"num_train_timesteps": 30, "beta_start": 2e-3, "beta_end": 0.3}
    scheduler = DDPMScheduler(
        **betas,
        prediction_type=prediction,
        clip_sample=clip,
        clip_sample_range=0.8,
        variance_type="fixed_small",
    )
    pipeline = from_pipeline(saved(tmp_path, scheduler))
    start, alphas = noises(4, 1, 8, 8), scheduler.alphas_cumprod.sqrt()
    ours, theirs = torch.Generator().manual_seed(5), torch.Generator().manual_seed(5)
    scheduler.set_timesteps(30)
    states = trajectory(
        pipeline.sampled,
        pipeline.start(start),
        pipeline.levels(30),
        ancestral,
        lambda x: torch.randn(x.shape, generator=ours),
    )
    x = start
    for t, state in zip(scheduler.timesteps, states):
        torch.testing.assert_close(state * alphas[t], x, rtol=1e-4, atol=1e-4)
        x = scheduler.step(
            pipeline.denoiser.net(x, t).sample, int(t), x, generator=theirs
        ).prev_sample
    last = sample(
        pipeline.sampled, pipeline.start(start), pipeline.levels(30), ancestral, _again(5)
    )
    torch.testing.assert_close(last, x, rtol=1e-4, atol=1e-4)
    assert not clip or float(last.abs().max()) <= 0.8001


def _again(seed: int) -> Callable[[Tensor], Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return lambda x: torch.randn(x.shape, generator=generator)


@pytest.mark.parametrize("bound", [1.0, 1.5])
def test_dynamic_thresholding_is_the_schedulers(tmp_path: Path, bound: float) -> None:
    scheduler = DDPMScheduler(
        thresholding=True, dynamic_thresholding_ratio=0.9, sample_max_value=bound
    )
    pipeline = from_pipeline(saved(tmp_path, scheduler))
    for t in (100, 500, 999):
        x, abar = noises(3, 1, 8, 8, seed=t), scheduler.alphas_cumprod[t]
        want = scheduler.step(
            pipeline.denoiser.net(x, torch.tensor(t)).sample, t, x
        ).pred_original_sample
        torch.testing.assert_close(
            pipeline.sampled(x / abar.sqrt(), pipeline.sigmas[t].float()),
            want,
            rtol=1e-5,
            atol=1e-5,
        )


def test_without_a_bound_what_is_sampled_is_the_denoiser(tmp_path: Path) -> None:
    pipeline = from_pipeline(saved(tmp_path, DPMSolverMultistepScheduler()))
    x, sigma = 3 * noises(2, 1, 8, 8), torch.tensor(2.0)
    assert pipeline.limit is None
    assert torch.equal(pipeline.sampled(x, sigma), pipeline.denoiser(x, sigma))


@pytest.mark.parametrize(
    "make",
    [
        DDPMScheduler,
        DDIMScheduler,
        DPMSolverMultistepScheduler,
        EulerDiscreteScheduler,
        UniPCMultistepScheduler,
    ],
)
def test_a_schedule_that_ends_in_pure_noise(tmp_path: Path, make: Any) -> None:
    scheduler = make(rescale_betas_zero_snr=True, prediction_type="v_prediction")
    pipeline = from_pipeline(saved(tmp_path, scheduler))
    assert bool((pipeline.sigmas[1:] > pipeline.sigmas[:-1]).all())
    assert 4095 < float(pipeline.sigmas[-1]) < 1e5
    noise = noises(2, 1, 8, 8)
    with torch.no_grad():
        want = -pipeline.denoiser.net(
            noise, torch.tensor(999)
        ).sample  # v = -x0 where nothing of the image is left
    torch.testing.assert_close(
        pipeline.denoiser(pipeline.start(noise), pipeline.sigmas[-1].float()),
        want,
        rtol=0,
        atol=2e-3,
    )
    with pytest.raises(ValueError, match="ends in pure noise"):
        from_pipeline(saved(tmp_path / "eps", make(rescale_betas_zero_snr=True)))


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("make", [EDMEulerScheduler, EDMDPMSolverMultistepScheduler])
@pytest.mark.parametrize("spacing", ["karras", "exponential"])
def test_edm_is_its_scheduler(tmp_path: Path, prediction: str, make: Any, spacing: str) -> None:
    scheduler = make(
        prediction_type=prediction, sigma_data=0.7, sigma_max=50.0, rho=5.0, sigma_schedule=spacing
    )
    pipeline = from_pipeline(saved(tmp_path, scheduler))
    scheduler.set_timesteps(9)
    torch.testing.assert_close(pipeline.levels(9).float(), scheduler.sigmas)
    x = noises(3, 1, 8, 8)
    assert torch.equal(pipeline.start(x), x * scheduler.init_noise_sigma)
    for sigma in scheduler.sigmas[:-1]:
        answer = pipeline.denoiser.net(
            scheduler.precondition_inputs(x, sigma), scheduler.precondition_noise(sigma)
        ).sample
        torch.testing.assert_close(
            pipeline.denoiser(x, sigma),
            scheduler.precondition_outputs(x, answer, sigma),
            rtol=1e-5,
            atol=1e-5,
        )


def test_edm_samples_as_its_scheduler(tmp_path: Path) -> None:
    scheduler = EDMEulerScheduler()
    pipeline = from_pipeline(saved(tmp_path, scheduler))
    scheduler.set_timesteps(12)
    x = start = pipeline.start(noises(3, 1, 8, 8))
    for t in scheduler.timesteps:
        x = scheduler.step(
            pipeline.denoiser.net(scheduler.scale_model_input(x, t), t).sample, t, x
        ).prev_sample
    torch.testing.assert_close(
        sample(pipeline.denoiser, start, pipeline.levels(12), euler), x, rtol=1e-4, atol=1e-4
    )


def test_a_score_of_images_from_0_to_1(tmp_path: Path) -> None:
    scheduler = ScoreSdeVeScheduler(num_train_timesteps=50, sigma_max=40.0)
    net = unet(time_embedding_type="fourier", widths=(8, 8))
    pipeline = from_pipeline(saved(tmp_path, scheduler, net, ScoreSdeVePipeline))
    torch.testing.assert_close(pipeline.sigmas.float(), 2 * scheduler.discrete_sigmas)
    scheduler.set_timesteps(50)
    scheduler.set_sigmas(50)
    for i in (1, 20, 49):
        high, low = scheduler.discrete_sigmas[i], scheduler.discrete_sigmas[i - 1]
        unit = noises(2, 1, 8, 8, seed=i) * high
        score = pipeline.denoiser.net(unit, high.expand(2)).sample
        want = scheduler.step_pred(score, i / 49, unit).prev_sample_mean
        x = 2 * unit - 1
        clean = pipeline.denoiser(x, 2 * high)
        got = clean + (low / high) ** 2 * (x - clean)
        torch.testing.assert_close(got, 2 * want - 1, rtol=1e-4, atol=1e-4)


def test_all_laws_of_a_differentiable_denoiser(tmp_path: Path) -> None:
    for number, (scheduler, attention) in enumerate(
        [
            (DDPMScheduler(), True),
            (DDIMScheduler(prediction_type="v_prediction"), False),
            (EDMEulerScheduler(), True),
        ]
    ):
        pipeline = from_pipeline(
            saved(tmp_path / str(number), scheduler, unet(2, attention=attention))
        )
        pipeline.denoiser.double()
        check_denoiser(pipeline.denoiser, pipeline.shape)
    x = noises(1, 2, 8, 8).double()
    assert jacobian(pipeline.denoiser, x, torch.full((1,), 0.5, dtype=torch.float64)).shape == (
        1,
        128,
        128,
    )


def test_the_fused_attention_of_inference_mode_says_the_same(tmp_path: Path) -> None:
    pipeline = from_pipeline(saved(tmp_path, DDPMScheduler(), unet(attention=True)))
    x, sigma = noises(3, 1, 8, 8), torch.tensor([0.1, 1.0, 30.0])
    with torch.inference_mode():
        fused = pipeline.denoiser(x, sigma)
    torch.testing.assert_close(fused, pipeline.denoiser(x, sigma), rtol=1e-4, atol=1e-4)


def test_between_the_levels_time_is_linear_in_log_sigma_and_beyond_them_held(
    tmp_path: Path,
) -> None:
    pipeline = from_pipeline(saved(tmp_path, DDPMScheduler()))
    x, sigmas = noises(1, 1, 8, 8), pipeline.sigmas
    for t in (0.25, 300.5, 998.75):
        below, above = sigmas[int(t)].log(), sigmas[int(t) + 1].log()
        sigma = torch.exp(below + (t - int(t)) * (above - below))
        eps = pipeline.denoiser.net(x / torch.sqrt(1 + sigma**2).float(), torch.tensor(t)).sample
        torch.testing.assert_close(
            pipeline.denoiser(x, sigma.float()), x - sigma.float() * eps, rtol=1e-4, atol=1e-4
        )
    assert torch.equal(pipeline.denoiser(x, torch.tensor(0.0)), x)
    eps = pipeline.denoiser.net(x / 1e4, torch.tensor(999)).sample
    torch.testing.assert_close(
        pipeline.denoiser(x, torch.tensor(1e4)), x - 1e4 * eps, rtol=1e-4, atol=1e-2
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_the_answer_has_the_type_of_the_question(tmp_path: Path, dtype: torch.dtype) -> None:
    pipeline = from_pipeline(saved(tmp_path, DDPMScheduler()))
    x, sigma = noises(2, 1, 8, 8), torch.tensor(0.7)
    got = pipeline.denoiser(x.to(dtype), sigma.to(dtype))
    assert got.dtype == dtype
    torch.testing.assert_close(got.float(), pipeline.denoiser(x, sigma), rtol=0.05, atol=0.05)
    with pytest.raises(ValueError, match="is not a prefix"):
        pipeline.denoiser(x, torch.ones(3))


def test_shapes_and_identity(tmp_path: Path) -> None:
    first = from_pipeline(saved(tmp_path / "a", DDPMScheduler(), unet(3, (8, 16))))
    assert first.shape == (3, 8, 16)
    assert json.loads(json.dumps(first.identity)) == first.identity
    names = {
        "pipeline": "DDPMPipeline",
        "unet": "UNet2DModel",
        "scheduler": "DDPMScheduler",
        "prediction": "eps",
    }
    assert names.items() <= first.identity.items()
    assert (
        from_pipeline(saved(tmp_path / "b", DDPMScheduler(), unet(3, (8, 16)))).identity
        == first.identity
    )
    other = from_pipeline(saved(tmp_path / "c", DDPMScheduler(), unet(3, (8, 16), seed=1)))
    assert other.identity["sha256"] != first.identity["sha256"]
    slower = from_pipeline(saved(tmp_path / "d", DDPMScheduler(beta_end=0.03), unet(3, (8, 16))))
    assert slower.identity["sha256"] == first.identity["sha256"]
    assert slower.identity["config_sha256"] != first.identity["config_sha256"]


def test_a_learned_variance_is_dropped(tmp_path: Path) -> None:
    scheduler = DDPMScheduler(variance_type="learned_range", clip_sample=False)
    pipeline = from_pipeline(saved(tmp_path, scheduler, unet(out_channels=2)))
    x = noises(2, 1, 8, 8)
    want = scheduler.step(
        pipeline.denoiser.net(x, torch.tensor(500)).sample, 500, x
    ).pred_original_sample
    got = pipeline.denoiser(x / scheduler.alphas_cumprod[500].sqrt(), pipeline.sigmas[500].float())
    torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match="2 channels from 1"):
        from_pipeline(saved(tmp_path / "fixed", DDPMScheduler(), unet(out_channels=2)))


def test_classes_and_networks_of_whole_times(tmp_path: Path) -> None:
    folder = saved(tmp_path / "classes", DDPMScheduler(), unet(num_class_embeds=3))
    x, sigma = noises(2, 1, 8, 8), torch.tensor(0.5)
    answers = [from_pipeline(folder, label=label).denoiser(x, sigma) for label in range(3)]
    assert not torch.allclose(answers[0], answers[1])
    for label in (None, 3, -1):
        with pytest.raises(
            ValueError, match=r"class-conditional: give label, one of its classes 0 \.\.\. 2"
        ):
            from_pipeline(folder, label=label)
    plain = saved(tmp_path / "plain", DDPMScheduler())
    with pytest.raises(ValueError, match="knows no classes"):
        from_pipeline(plain, label=0)
    whole = from_pipeline(
        saved(
            tmp_path / "whole",
            DDPMScheduler(),
            unet(time_embedding_type="learned", num_train_timesteps=1000),
        )
    )
    sigmas = whole.sigmas.float()
    torch.testing.assert_close(
        whole.denoiser(x, sigmas[400]),
        x
        - sigmas[400]
        * whole.denoiser.net(x / torch.sqrt(1 + sigmas[400] ** 2), torch.tensor(400)).sample,
    )


@pytest.mark.parametrize(
    "how",
    [{"variant": "fp16"}, {"max_shard_size": "20KB"}, {"variant": "ema", "max_shard_size": "20KB"}],
)
def test_weights_in_parts_and_variants(tmp_path: Path, how: dict[str, Any]) -> None:
    plain = from_pipeline(saved(tmp_path / "plain", DDPMScheduler()))
    other = from_pipeline(saved(tmp_path / "other", DDPMScheduler(), **how))
    if "max_shard_size" in how:
        assert len(list((tmp_path / "other" / "unet").glob("*.safetensors"))) > 1
    x, sigma = noises(2, 1, 8, 8), torch.tensor(0.7)
    assert torch.equal(plain.denoiser(x, sigma), other.denoiser(x, sigma))


def test_weights_with_the_old_names_of_attention(tmp_path: Path) -> None:
    new = saved(tmp_path / "new", DDPMScheduler(), unet(attention=True))
    old = shutil.copytree(new, tmp_path / "old")
    names = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    tensors = load_file(_weights(old))
    for now, then in names.items():
        tensors = {
            name.replace(f".{now}.", f".{then}."): tensor for name, tensor in tensors.items()
        }
    save_file(tensors, _weights(old), {"format": "pt"})
    assert any("proj_attn" in name for name in tensors)
    x, sigma = noises(2, 1, 8, 8), torch.tensor(0.7)
    assert torch.equal(from_pipeline(old).denoiser(x, sigma), from_pipeline(new).denoiser(x, sigma))


def test_half_precision_weights_compute_in_single(tmp_path: Path) -> None:
    pipeline = from_pipeline(saved(tmp_path, DDPMScheduler(), unet().half()))
    assert {p.dtype for p in pipeline.denoiser.parameters()} == {torch.float32}


def _index(folder: Path, **changes: Any) -> None:
    file = folder / "model_index.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def _config(folder: Path, part: str, **changes: Any) -> None:
    file = next((folder / part).glob("*config.json"))
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "latent": (
        lambda f: _index(f, vae=["diffusers", "AutoencoderKL"]),
        "no unconditional pixel pipeline, it also has 'vae'",
    ),
    "text": (
        lambda f: _index(
            f, text_encoder=["transformers", "CLIPTextModel"], tokenizer=["transformers", "X"]
        ),
        "it also has 'text_encoder'",
    ),
    "custom pipeline": (
        lambda f: _index(f, _class_name=["pipeline", "Mine"]),
        "is not a pipeline that can be read",
    ),
    "unknown pipeline": (
        lambda f: _index(f, _class_name="DiTPipeline"),
        "'DiTPipeline' is not a pipeline that can be read",
    ),
    "no pipeline": (lambda f: _index(f, _class_name=None), "is not a pipeline that can be read"),
    "custom unet": (
        lambda f: _index(f, unet=["mine", "UNet2DModel"]),
        "code of a pipeline is never run",
    ),
    "no unet": (
        lambda f: _index(f, unet=[None, None]),
        "the unet is None, not a class of diffusers",
    ),
    "cross attention": (
        lambda f: _index(f, unet=["diffusers", "UNet2DConditionModel"]),
        "only an unconditional UNet2DModel can be read",
    ),
    "unknown scheduler": (
        lambda f: _index(f, scheduler=["diffusers", "LCMScheduler"]),
        "'LCMScheduler' is not one that can be read",
    ),
    "no such class": (
        lambda f: _index(f, scheduler=["diffusers", "os.system"]),
        "is not one that can be read",
    ),
    "flow": (
        lambda f: _config(f, "scheduler", prediction_type="flow_prediction"),
        "'flow_prediction' cannot be read",
    ),
    "broken betas": (
        lambda f: _config(f, "scheduler", beta_schedule="magic"),
        "does not take its configuration",
    ),
    "no betas": (
        lambda f: _config(f, "scheduler", beta_start=0.0, beta_end=0.0),
        "do not fall from 1 towards 0",
    ),
    "no size": (lambda f: _config(f, "unet", sample_size=None), "sample_size is None"),
    "other network": (lambda f: _config(f, "unet", block_out_channels=[8, 32]), "unet"),
    "more layers": (lambda f: _config(f, "unet", layers_per_block=2), "unet cannot be loaded"),
    "fewer layers": (
        lambda f: _config(f, "unet", add_attention=True),
        "the weights do not fit config.json",
    ),
    "condition": (
        lambda f: _config(f, "unet", class_embed_type="identity"),
        "takes a 'identity' condition",
    ),
    "nothing": (
        lambda f: (
            [shutil.rmtree(f / part) for part in ("unet", "scheduler")]
            and (f / "model_index.json").unlink()
        ),
        r"config.json cannot be read: No such file",
    ),
    "other network alone": (
        lambda f: (f / "model_index.json").unlink() or _config(f, "unet", _class_name="DiT"),
        "the network is a 'DiT'; only an unconditional UNet2DModel can be read: sample it yourself",
    ),
    "no scheduler's class": (
        lambda f: (f / "model_index.json").unlink() or _config(f, "scheduler", _class_name=None),
        "does not say its class",
    ),
    "shifted flow": (
        lambda f: (
            _index(f, scheduler=["diffusers", "FlowMatchEulerDiscreteScheduler"])
            or _config(f, "scheduler", invert_sigmas=True)
        ),
        "the scheduler's invert_sigmas cannot be read: sample it yourself",
    ),
    "no config": (lambda f: (f / "unet" / "config.json").unlink(), r"config.json cannot be read"),
    "no scheduler": (
        lambda f: shutil.rmtree(f / "scheduler"),
        r"scheduler_config.json cannot be read",
    ),
    "no weights": (lambda f: _weights(f).unlink(), "has no weights as safetensors"),
    "pickled": (
        lambda f: _weights(f).rename(_weights(f).with_suffix(".bin")),
        "a pickle, which can run code when it is read; convert it",
    ),
    "truncated": (
        lambda f: _weights(f).write_bytes(_weights(f).read_bytes()[:1000]),
        "unet cannot be loaded",
    ),
    "not JSON": (lambda f: (f / "model_index.json").write_text("{"), "is not JSON"),
    "a list": (lambda f: (f / "model_index.json").write_text("[]"), "does not hold a JSON object"),
    "deep": (lambda f: (f / "model_index.json").write_text("[" * 100_000), "is not JSON"),
    "bytes": (lambda f: (f / "unet" / "config.json").write_bytes(b"\xff\xfe\x00"), "is not JSON"),
}


def _weights(folder: Path) -> Path:
    return folder / "unet" / "diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("good"), DDPMScheduler())


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_read_is_one_clear_line(good: Path, tmp_path: Path, what: str) -> None:
    spoil, words = REFUSED[what]
    folder = tmp_path / "spoiled"
    shutil.copytree(good, folder)
    spoil(folder)
    with pytest.raises(ValueError, match=words) as caught:
        from_pipeline(folder)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)


def test_a_missing_folder_is_one_clear_line(tmp_path: Path) -> None:
    for name in (tmp_path / "nowhere", "google/ddpm-cifar10-32"):
        with pytest.raises(
            ValueError, match=f"there is no folder {name}; .* nothing is downloaded"
        ):
            from_pipeline(name)


def test_nothing_is_asked_of_the_network_and_no_code_of_the_folder_runs(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **named: object) -> None:
        raise AssertionError("a connection was opened")

    folder = tmp_path / "pipeline"
    shutil.copytree(good, folder)
    for place in ("pipeline.py", "unet/modeling.py", "unet/__init__.py"):
        (folder / place).write_text("raise SystemExit('code of the pipeline ran')")
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert isinstance(from_pipeline(folder), Pipeline)
    assert isinstance(from_pipeline(str(folder)), Pipeline)


def test_without_diffusers_the_line_says_how_to_get_it(
    good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(ValueError, match=r"pip install 'denoscope\[diffusers\]'"):
        from_pipeline(good)


def test_pad_keeps_levels_of_every_prefix(good: Path) -> None:
    pipeline = from_pipeline(good)
    x, sigma = noises(2, 3, 1, 8, 8), torch.tensor([0.3, 4.0])
    each = torch.stack([pipeline.denoiser(x[i], sigma[i]) for i in range(2)])
    torch.testing.assert_close(pipeline.denoiser(x, sigma), each)
    torch.testing.assert_close(pipeline.denoiser(x, pad(sigma, x)[..., 0, 0, 0].expand(2, 3)), each)
    assert from_betas(pipeline.schedule.betas).betas.equal(pipeline.schedule.betas)
