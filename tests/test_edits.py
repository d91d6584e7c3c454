"""The command that edits images: what it writes, that its directions go on to other images, and
what a wrong use is told.
"""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from pages import Reader
from PIL import Image

from denoscope import MLP, Preconditioned, save
from denoscope.apply.edit import directions
from denoscope.cli import main
from denoscope.data.embedded import digits
from denoscope.edits.changes import change
from denoscope.edits.kept import read
from denoscope.edits.pictures import HIGHER, LOWER, change_map
from denoscope.random import generator
from denoscope.sampling import invert

FAST = ["--steps", "24", "--directions", "2", "--quiet"]
MASK = ["--mask", "rectangle:0,0,3,8"]


def network(file: Path, seed: int = 0, shape: tuple[int, ...] = (1, 8, 8)) -> str:
    """A network of three labels none of whose weights is zero, as a file."""
    net = MLP(shape, 16, seed=seed, classes=3)
    for place, part in enumerate(net.parameters()):
        part.data += 0.03 * torch.randn(part.shape, generator=generator(seed, place))
    return str(save(Preconditioned(net), file))


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    return network(Path("net.safetensors"))


def run(model: str, *more: str, image: str = "digits[5:6]") -> int:
    return main(["edit", "--model", model, "--image", image, *FAST, *more])


def test_everything_is_written_and_says_the_same(
    model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["--toward", "2", "--strength", "-0.3", "0", "0.3", "--time", "0.3", "--out", "o"]
    assert run(model, *MASK, *more, "--json", image="digits[5:7]") == 0
    found = json.loads(capsys.readouterr().out)
    assert found == json.loads(Path("o/edit.json").read_text())
    assert [one["name"] for one in found["directions"]] == [
        "direction 1",
        "direction 2",
        "toward 2",
    ]
    assert found["mask"]["share"] == 3 / 8
    assert found["round_trip"] < 1e-3
    assert found["directions"][2]["value"] is None
    first = found["directions"][0]
    assert first["share"] == pytest.approx(
        3 * first["inside"] ** 2 / (3 * first["inside"] ** 2 + 5 * first["outside"] ** 2)
    )
    page = Reader(Path("o/edit.html").read_text())
    sliders = [attrs for tag, attrs in page.tags if tag == "input"]
    assert [one["value"] for one in sliders] == ["12"] * 3
    assert len(list(Path("o/images").glob("*.png"))) == 3 * 3 * 2
    assert len(list(Path("o/sheets").glob("*.png"))) == 3
    unedited = np.asarray(Image.open("o/images/direction-1_0_0.png"))
    assert np.abs(unedited.astype(int) - ((digits().data[5, 0].numpy() + 1) * 127.5)).max() <= 1


def test_the_directions_are_those_of_the_library_and_go_on_to_other_images(
    model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from denoscope import load
    from denoscope.apply.edit import path
    from denoscope.levels import karras

    assert run(model, *MASK, "--sigma", "1.5", "--project", "4", "--out", "one") == 0
    kept, D = read("one/directions.safetensors"), load(model).requires_grad_(False)
    assert kept.sigma == 1.5
    x0 = digits().data[5]
    x = invert(D, x0[None], path(1.5, karras(24)).float(), refine=5)[0]
    mask = torch.zeros(1, 8, 8, dtype=torch.bool)
    mask[:, :3] = True
    true = directions(D, x, 1.5, mask, 2, rank=4)
    torch.testing.assert_close(kept.vectors, true.vectors, atol=1e-4, rtol=0)
    torch.testing.assert_close(kept.numbers.values, true.values)
    assert torch.equal(kept.mask, mask)
    taken = ["edit", "--model", model, "--image", "digits[5:6]", "--steps", "24", "--quiet"]
    assert main([*taken, "--apply", "one/directions.safetensors", "--out", "two"]) == 0
    one, two = (json.loads(Path(f"{name}/edit.json").read_text()) for name in ("one", "two"))
    assert one["directions"] == two["directions"]
    capsys.readouterr()
    other = network(Path("other.safetensors"), seed=1)
    taken[2] = other
    assert main([*taken, "--apply", "one/directions.safetensors"]) == 2
    assert "found with another model" in capsys.readouterr().err
    taken[2] = model
    assert main([*taken, "--apply", "one/directions.safetensors", "--sigma", "2"]) == 2
    assert "--sigma finds directions; --apply has them" in capsys.readouterr().err


def test_an_edit_that_leaves_the_range_says_by_how_much(
    model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(model, *MASK, "--strength", "0", "30") == 0
    said = capsys.readouterr().out
    assert re.search(r"edited images leave \[−1, 1\], up to ±\d+\.\d\d \(direction \d\)", said)
    assert "edited images leave" in Path("runs/edit/edit.html").read_text()


def test_numbers_of_a_known_change() -> None:
    mask = torch.zeros(1, 2, 2, dtype=torch.bool)
    mask[:, 0] = True
    pattern = torch.tensor([[[3.0, 3.0], [1.0, 1.0]]])
    places = [-1.0, 0.0, 0.5, 1.0]
    found = change(torch.stack([s * pattern for s in places]), places, mask, pattern)
    assert (found.inside, found.outside, found.share) == pytest.approx((3, 1, 0.9))
    assert (found.linear, found.symmetry, found.reach) == pytest.approx((1, 1, 3))
    even = change(torch.stack([s**2 * pattern for s in places]), places, mask, pattern)
    assert even.symmetry == pytest.approx(-1)
    assert even.linear < 0.1


def test_maps_show_what_rises_and_falls_and_the_edge_of_the_mask() -> None:
    delta = np.zeros((1, 8, 8))
    delta[0, 0, 0], delta[0, 7, 7] = 2.0, -2.0
    mask = np.zeros((1, 8, 8), bool)
    mask[:, :4] = True
    drawn = change_map(delta, 1.0, mask)
    assert drawn.shape == (112, 112, 3)
    assert tuple(drawn[5, 5]) == HIGHER
    assert tuple(drawn[-5, -5]) == LOWER
    assert tuple(drawn[80, 40]) == (255, 255, 255)
    assert len(np.unique(drawn[:, 60], axis=0)) == 2


def picture(name: str, *shape: int) -> str:
    Image.fromarray(np.full(shape, 100, np.uint8)).save(name)
    return name


BAD = {
    "--mask is needed: where shall the image change?": ["--image", "digits[5:6]"],
    "--mask rectangle:9,9,1,1 is empty": ["--mask", "rectangle:9,9,1,1"],
    "is the whole image: leave some pixels outside": ["--mask", "rectangle:0,0,8,8"],
    "has 9 × 8 pixels, the image 8 × 8": ["--mask", "wide.png"],
    "has 9 × 8 pixels, the model 8 × 8: add --prepare crop-centre resize:8": [
        "--image",
        "wide.png",
    ],
    "is in colour, the model grey: add --prepare grey": ["--image", "colour.png"],
    "--image digits has 1797 images; name a part, such as digits[0:1]": ["--image", "digits"],
    "--image text.png: not an image": ["--image", "text.png"],
    "its numbers have no stated range: give --prepare max:V": ["--image", "deep.tif"],
    "neither an existing folder": ["--image", "nothing"],
    "--toward label 3: there are 0 to 2": ["--toward", "3"],
    "--time and --sigma both name the noise level": ["--time", "0.3", "--sigma", "1"],
    "--time 2: must lie between 0": ["--time", "2"],
    "--sigma 90: the model knows levels from 0.002 to 80": ["--sigma", "90"],
    "--sigma -1: must be a positive number": ["--sigma", "-1"],
    "--strength must be finite numbers": ["--strength", "nan"],
    "--directions -1: must be at least 0": ["--directions", "-1"],
    "--apply nothing: there is no such file": ["--apply", "nothing"],
    "--apply net.safetensors holds no directions": ["--apply", "net.safetensors"],
    "makes no images, but points of shape (5,)": ["--model", "points.safetensors"],
    "--out net.safetensors is a file": ["--out", "net.safetensors"],
    "net.safetensors is a file where a folder": ["--out", "net.safetensors/out"],
    "unknown argument --masc; did you mean --mask?": ["--masc", "otsu"],
}


@pytest.mark.parametrize(("message", "words"), BAD.items())
def test_mistakes_cost_one_line(
    message: str, words: list[str], model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    picture("wide.png", 9, 8)
    picture("colour.png", 8, 8, 3)
    Image.fromarray(np.zeros((8, 8), np.float32)).save("deep.tif")
    Path("text.png").write_text("no image")
    save(Preconditioned(MLP((5,), 4)), "points.safetensors")
    mask = [] if "--apply" in words or "is needed" in message else ["--mask", "rectangle:0,0,3,8"]
    asked = {"--model": model, "--image": "digits[5:6]"}
    given = [part for flag, value in asked.items() if flag not in words for part in (flag, value)]
    mask = [] if "--mask" in words else mask
    assert main(["edit", *given, *mask, *words]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_a_model_without_derivatives_is_refused(
    model: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from dataclasses import replace

    from denoscope.edits import asked
    from denoscope.models import ONE_STEP, open_model

    for kind, message in (
        ({"differentiable": False}, "no derivatives"),
        ({"kind": ONE_STEP}, "one-step"),
    ):
        opened = replace(open_model(model), **kind)
        monkeypatch.setattr(asked, "unlabelled", lambda *_, opened=opened: opened)
        assert run(model, *MASK) == 2
        assert message in capsys.readouterr().err


def test_grey_images_go_into_all_channels_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    colour = network(Path("c.safetensors"), shape=(3, 8, 8))
    assert run(colour, *MASK) == 0
    assert "grey was put in all 3 channels" in capsys.readouterr().out


DOCS = (Path(__file__).parent.parent / "docs" / "edit.md").read_text()


@pytest.mark.filterwarnings("ignore:the edit of strength")
def test_what_the_page_of_edits_shows_works(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    shell, python = re.findall(r"```(?:sh|python)\n(.*?)```", DOCS, flags=re.DOTALL)
    for line in shell.splitlines():
        assert main([*shlex.split(line)[1:], *FAST[:2], "--quiet"]) == 0, line
    capsys.readouterr()
    exec(compile(python, "docs/edit.md", "exec"), {})
    assert capsys.readouterr().out.strip() == python.strip().rpartition("\n# ")[2]
