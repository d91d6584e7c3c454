"""SSCD and its preprocessings: against Pillow, as TorchScript with tiny networks, and for real
where its weights are installed.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from denoscope.data.images import from_uint8, resize
from denoscope.data.perturb import PERTURBATIONS, Crop
from denoscope.describe import SSCD, by_name, key
from denoscope.describe import sscd as module
from denoscope.describe.graphs import load
from denoscope.describe.preprocessing import preprocessing

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
needs_weights = pytest.mark.skipif(
    module.installed() is None,
    reason="the weights of SSCD are not installed; .ci/run installs them",
)


def images(n: int = 6, shape: tuple[int, ...] = (3, 40, 60), seed: int = 0) -> Tensor:
    """Smooth noise in 8-bit steps."""
    low = torch.rand((n, shape[0], 7, 7), generator=torch.Generator().manual_seed(seed)) * 2 - 1
    x = nn.functional.interpolate(low, size=shape[1:], mode="bilinear", align_corners=False)
    return from_uint8(((x + 1) * 127.5).round())


def pillow(image: Tensor, size: tuple[int, int]) -> np.ndarray:
    """The image at (width, height) as Pillow resizes, (h, w, 3) uint8."""
    pixels = ((image + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))


@pytest.mark.parametrize("shape", [(3, 40, 60), (3, 400, 500), (3, 500, 333)])
def test_preprocessings_are_what_pillow_does(shape: tuple[int, ...]) -> None:
    x = images(2, shape)
    square, cut = preprocessing("rpgl-2024").pixels(x), preprocessing("dcr-2023").pixels(x)
    assert square.shape == (2, 3, 320, 320)
    assert cut.shape == (2, 3, 224, 224)
    assert preprocessing("square-96").pixels(x).shape == (2, 3, 96, 96)
    height, width = (256 * side // min(shape[1:]) for side in shape[1:])
    top, left = round((height - 224) / 2), round((width - 224) / 2)
    for i in range(2):
        assert (
            np.abs(square[i].permute(1, 2, 0).int().numpy() - pillow(x[i], (320, 320))).max() <= 1
        )
        middle = pillow(x[i], (width, height))[top : top + 224, left : left + 224]
        assert np.abs(cut[i].permute(1, 2, 0).int().numpy() - middle).max() <= 1


def test_normalisations() -> None:
    grey = preprocessing("square-32").pixels(images(2, (1, 32, 32)))
    assert grey.shape == (2, 3, 32, 32)
    assert torch.equal(grey[:, 0], grey[:, 2])
    pixels = torch.tensor([0, 255, 51]).byte().expand(1, 3, 1, 3)
    assert torch.allclose(
        preprocessing("dcr-2023").normalised(pixels)[0, :, 0],
        torch.tensor([-1.0, 1.0, -0.6]).expand(3, 3),
        atol=1e-6,
    )
    expected = (
        torch.tensor([0.0, 1.0, 0.2]) - torch.tensor([[0.485], [0.456], [0.406]])
    ) / torch.tensor([[0.229], [0.224], [0.225]])
    assert torch.allclose(
        preprocessing("rpgl-2024").normalised(pixels)[0, :, 0], expected, atol=1e-6
    )
    for wrong, line in (
        ("rpgl", "did you mean 'rpgl-2024'"),
        ("square-8", "32 to 1024 pixels"),
        ("square-9999999", "square-"),
        ("", "did"),
    ):
        with pytest.raises(ValueError, match=line):
            preprocessing(wrong)


class Tiny(nn.Module):
    """Means over quarters of the channels."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.normalize(
            nn.functional.adaptive_avg_pool2d(x, [2, 2]).flatten(1), dim=1
        )


class Flat(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean([1, 2, 3])


class NotFinite(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)[:, :3] / torch.zeros(3)


def saved(tmp_path: Path, network: nn.Module, name: str = "tiny.torchscript.pt") -> Path:
    file = tmp_path / name
    torch.jit.save(torch.jit.script(network), str(file))
    return file


def test_torchscript(tmp_path: Path) -> None:
    file = saved(tmp_path, Tiny())
    x = images(9)
    describe = SSCD(file, "dcr-2023")
    features = describe(x)
    assert features.shape == (9, 12)
    assert features.dtype == torch.float32
    assert torch.allclose(
        features,
        Tiny()(preprocessing("dcr-2023").normalised(preprocessing("dcr-2023").pixels(x))),
        atol=1e-6,
    )
    assert torch.equal(SSCD(file, "dcr-2023", batch=2)(x), features)
    assert torch.equal(describe(x[4:6]), features[4:6])
    assert not torch.allclose(SSCD(file)(x), features, atol=1e-2)
    grey = x.mean(1, keepdim=True)
    assert torch.equal(describe(grey), describe(grey.expand(-1, 3, -1, -1)))
    assert (describe.score, describe.costly) == ("cosine", True)
    with pytest.raises(ValueError, match="1 or 3 channels"):
        describe(torch.zeros(2, 4, 8, 8))
    with pytest.raises(ValueError, match="1 or 3 channels"):
        describe(torch.zeros(0, 3, 8, 8))


def test_identity_is_the_file_the_sizes_and_the_normalisation(tmp_path: Path) -> None:
    class Other(Tiny):
        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.adaptive_avg_pool2d(x, [2, 2]).flatten(1)

    file, other = saved(tmp_path, Tiny()), saved(tmp_path, Other(), "other.pt")
    (tmp_path / "copy.pt").write_bytes(file.read_bytes())
    different = [
        SSCD(file),
        SSCD(file, "dcr-2023"),
        SSCD(file, "square-96"),
        SSCD(file, "square-97"),
        SSCD(other),
    ]
    assert len({key(item.identity) for item in different}) == len(different)
    assert [item.name for item in different[:3]] == ["sscd", "sscd-dcr-2023", "sscd-square-96"]
    assert key(SSCD(tmp_path / "copy.pt").identity) == key(
        different[0].identity
    )  # the same network wherever it lies
    assert different[0].sha256[:12] in different[0].protocol
    assert "ImageNet" in different[0].protocol


def test_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = saved(tmp_path, Tiny(), "odd:name.pt")
    x = images(2)
    for word, given in (
        (f"sscd:{file}", ""),
        ("sscd", str(file)),
        ("sscd:rpgl-2024", str(file)),
        (f"sscd:{file}:rpgl-2024", "/elsewhere"),
    ):
        assert key(by_name(word, x, sscd=given).identity) == key(SSCD(file).identity)
    assert key(by_name(f"sscd:{file}:square-64", x).identity) == key(
        by_name("sscd:square-64", x, sscd=str(file)).identity
    )
    with pytest.raises(ValueError, match="did you mean 'rpgl-2024'"):
        by_name(f"sscd:{file}:rpgl", x)
    monkeypatch.setattr(module, "_PACKAGE", "no_such_package_here")
    with pytest.raises(ValueError, match=r"no SSCD network: give its file \(--sscd FILE"):
        by_name("sscd", x)


def test_files_that_are_no_networks(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"nonsense")
    (tmp_path / "a.pt").write_bytes(b"nonsense")
    (tmp_path / "empty.pt").write_bytes(b"")
    (tmp_path / "a.txt").write_bytes(b"")
    for name, line in (
        ("a.pt", "not a readable TorchScript archive"),
        ("empty.pt", "not a readable TorchScript archive"),
        ("a.txt", "unknown ending"),
        ("absent.pt", "is no file"),
        ("", "is no file"),
    ):
        with pytest.raises(ValueError, match=line) as caught:
            SSCD(tmp_path / name)
        assert "\n" not in str(caught.value)
    for network, line in ((Flat(), r"gave \(2,\) for 2 images"), (NotFinite(), "not finite")):
        with pytest.raises(ValueError, match=line):
            SSCD(saved(tmp_path, network), batch=2)(images(2))


def test_a_network_that_fails_says_so_in_one_line(tmp_path: Path) -> None:
    class Wants(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            assert x.shape[-1] == 96, "96 pixels are needed"
            return x.flatten(1)[:, :3]

    file = saved(tmp_path, Wants())
    assert SSCD(file, "square-96")(images(2)).shape == (2, 3)
    with pytest.raises(
        ValueError, match=r"tiny\.torchscript\.pt failed on 4 images of 320x320"
    ) as caught:
        SSCD(file)(images(5))
    assert "\n" not in str(caught.value)


def test_onnx_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime")
    (tmp_path / "a.onnx").write_bytes(b"nonsense")
    with pytest.raises(ValueError, match="not a readable ONNX file") as caught:
        SSCD(tmp_path / "a.onnx")
    assert "\n" not in str(caught.value)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ValueError, match=r"pip install 'denoscope\[sscd\]'"):
        SSCD(tmp_path / "a.onnx")


@pytest.fixture(scope="module")
def pictures() -> Tensor:
    """Eight photographs and textures, 128 x 128."""
    data = pytest.importorskip("skimage.data")
    shown = [
        getattr(data, name)()
        for name in (
            "astronaut",
            "chelsea",
            "coffee",
            "rocket",
            "brick",
            "grass",
            "camera",
            "coins",
        )
    ]
    colour = [np.repeat(x[..., None], 3, 2) if x.ndim == 2 else x[..., :3] for x in shown]
    return torch.cat(
        [
            resize(from_uint8(torch.from_numpy(x.copy()).permute(2, 0, 1)[None]), (128, 128))
            for x in colour
        ]
    )


@needs_weights
def test_real_features_have_length_one_and_depend_on_their_image_alone(pictures: Tensor) -> None:
    describe = SSCD(protocol="square-96")
    features = describe(pictures)
    assert features.shape == (8, 512)
    assert torch.allclose(features.norm(dim=1), torch.ones(8), atol=1e-5)
    for batch in (1, 3, 8):
        assert torch.equal(SSCD(protocol="square-96", batch=batch)(pictures), features)
    assert torch.equal(describe(pictures.flip(0)).flip(0), features)
    assert torch.equal(describe(pictures[2:3]), features[2:3])


@needs_weights
@pytest.mark.parametrize("protocol", ["rpgl-2024", "square-160"])
def test_real_features_see_through_flips_crops_and_jpeg(pictures: Tensor, protocol: str) -> None:
    describe = SSCD(protocol=protocol)
    features = describe(pictures)
    among = features @ features.T - 2 * torch.eye(8)
    for change in (PERTURBATIONS["flip"], Crop(0.8), PERTURBATIONS["jpeg"]):
        similar = describe(change(pictures)) @ features.T
        assert (similar.argmax(1) == torch.arange(8)).all()
        assert (
            similar.diagonal() > among.amax(1)
        ).all()  # nearer than any other picture is to the original
        assert similar.diagonal().mean() > 0.7


@needs_weights
def test_real_protocols_differ(pictures: Tensor) -> None:
    x = pictures[:3, :, :, :96]
    square, small = SSCD()(x), SSCD(protocol="square-96")(x)
    assert ((square * small).sum(1) < 0.98).all()
    with pytest.raises(
        ValueError,
        match=r"normalises them itself, so that dcr-2023 with mean 0.5, std 0.5 is impossible",
    ):
        SSCD(protocol="dcr-2023")
    assert "normalised inside the network" in SSCD().protocol
    grey = x.mean(1, keepdim=True)
    assert torch.equal(
        SSCD(protocol="square-96")(grey), SSCD(protocol="square-96")(grey.expand(-1, 3, -1, -1))
    )


@needs_weights
def test_the_graph_says_what_it_takes() -> None:
    file = module.installed()
    assert file is not None
    graph = load(file, preprocessing("rpgl-2024"))
    assert graph.normalises
    assert graph.workers >= 1
