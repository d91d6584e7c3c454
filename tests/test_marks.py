"""The command `denoscope watermark`: what it writes, that it goes on where it was, and what a wrong
use is told.
"""

from __future__ import annotations

import csv
import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from pages import Reader
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from denoscope import MLP, Preconditioned, load, save
from denoscope.apply.watermark import Key, detect, holm, marked
from denoscope.cli import main
from denoscope.data.embedded import digits
from denoscope.estimate import proportion
from denoscope.levels import karras
from denoscope.marks.asked import _stems
from denoscope.marks.quality import psnr_ssim
from denoscope.random import generator
from denoscope.report.words import percent

ROOT = Path(__file__).parent.parent
Out = pytest.CaptureFixture[str]


def network(file: str, shape: tuple[int, ...] = (1, 8, 8), seed: int = 0) -> str:
    net = MLP(shape, 16, seed=seed)
    for place, part in enumerate(net.parameters()):
        part.data += 0.03 * torch.randn(part.shape, generator=generator(seed, place))
    return str(save(Preconditioned(net), Path(file)))


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    return network("net.safetensors")


def run(line: str) -> int:
    return main(["watermark", *shlex.split(line), "--quiet"])


def key(file: str = "k.json", more: str = "--carrier all --seed 1", net: str = "net") -> None:
    assert run(f"key --model {net}.safetensors --key {file} {more}") == 0


def rows(folder: str) -> list[dict]:
    found = json.loads(Path(folder, "rows.json").read_text())
    with open(Path(folder, "rows.csv"), newline="") as stream:
        assert [row["file"] for row in csv.DictReader(stream)] == [row["file"] for row in found]
    return found


def pixels(file: str) -> np.ndarray:
    return np.asarray(Image.open(file))


def test_marks_of_the_command_are_those_of_the_library(model: str, capsys: Out) -> None:
    key()
    assert run(f"embed --model {model} --key k.json --images 'digits[5:9]' --out m --json") == 0
    told = json.loads(capsys.readouterr().out.partition("\nk.json\n")[2])
    assert told["rows"] == rows("m")
    one, D = Key.load("k.json"), load(model).requires_grad_(False)
    x = digits().data[5:9]
    made = marked(D, x, one, 8.0, karras(25))
    found = detect(D, torch.stack([image(row) for row in rows("m")]), one, karras(25))
    for i, row in enumerate(rows("m")):
        plain, own = (
            pixels(f"m/unmarked/{Path(row['written']).name}"),
            (x[i, 0].numpy() + 1) * 127.5,
        )
        assert np.abs(pixels(f"m/{row['written']}") - to_8(made.images[i])).max() <= 1
        assert np.abs(plain - to_8(made.unmarked[i])).max() <= 1
        assert row["moved"] == pytest.approx(8)
        assert row["p"] == pytest.approx(float(found.p[i]))
        for name, other in (("decoded", plain), ("original", np.rint(own).astype(np.uint8))):
            want = peak_signal_noise_ratio(other, pixels(f"m/{row['written']}"), data_range=255)
            assert row[f"psnr_{name}"] == pytest.approx(want)
            want = structural_similarity(other, pixels(f"m/{row['written']}"), data_range=255)
            assert row[f"ssim_{name}"] == pytest.approx(want)
    page = Reader(Path("m/embed.html").read_text())
    assert sum(tag == "img" for tag, _ in page.tags) >= 12


def image(row: dict) -> torch.Tensor:
    return torch.from_numpy(pixels(f"m/{row['written']}") / 127.5 - 1).float()[None]


def to_8(image: torch.Tensor) -> np.ndarray:
    return ((image[0].clamp(-1, 1) + 1) * 127.5).round().numpy()


def test_several_keys_are_found_and_adjusted_together(model: str, capsys: Out) -> None:
    key()
    key("other.json", "--carrier all --seed 2 --time 0.2 --steps 10")
    key("third.json", "--carrier low --radius 3")
    for name, file, strength in (("one", "k", 12), ("two", "other", 12)):
        line = f"embed --model {model} --key {file}.json --strength {strength} --out {name}"
        assert run(f"{line} --images 'digits[0:6]'") == 0
    line = f"attack --attack remark:9 --key other.json --model {model} --images one/images"
    assert run(f"{line} --out twice") == 0
    capsys.readouterr()
    for folder in ("one/images", "two/images", "twice/remark-9"):
        line = f"detect --model {model} --key k.json other.json third.json --images {folder}"
        assert run(f"{line} --out f-{folder.split('/')[0]} --json") == 0
        found = json.loads(capsys.readouterr().out)
        assert set(found["rows"][0]) >= {
            "file", "key", "p", "cosine", "dimension", "adjusted_p", "warnings",
        }  # fmt: skip
        p, adjusted = (
            torch.tensor([row[name] for row in found["rows"]]).reshape(6, 3).double()
            for name in ("p", "adjusted_p")
        )
        torch.testing.assert_close(holm(p), adjusted)
        assert found["images"] == 6
        names = {one: found["by_key"][one] for one in found["keys"]}
        if folder == "twice/remark-9":
            assert found["several"] >= 1
            assert sum(names.values()) + found["several"] == found["found"]
            assert "carry several keys, so that none is named" in found["answer"]
        else:
            mine = found["keys"]["two" in folder]
            assert names[mine] + found["several"] == 6
            assert names[mine] >= 4
    share = proportion(found["found"], 6)
    assert f"{found['found']} of 6 images " in found["answer"]
    assert f"[{percent(share.low)}, " in found["answer"]


def test_a_stopped_command_goes_on_and_other_settings_are_told(
    model: str, capsys: Out, monkeypatch: pytest.MonkeyPatch
) -> None:
    key()
    line = f"embed --model {model} --key k.json --images 'digits[0:5]' --batch-size 2 --out"
    assert run(f"{line} whole") == 0
    import denoscope.marks.marking as marking

    calls, real = [], marking.marked

    def stopping(*args: object, **how: object) -> object:
        calls.append(0)
        if len(calls) == 2:
            raise RuntimeError("stopped")
        return real(*args, **how)  # pyright: ignore[reportArgumentType] -- passed on

    monkeypatch.setattr(marking, "marked", stopping)
    assert run(f"{line} m") == 1
    assert len(rows("m")) == 2
    assert run(f"{line} m") == 0
    assert len(calls) == 4
    assert run(f"{line} m") == 0
    assert len(calls) == 4
    assert rows("m") == rows("whole")
    Path("m/images/digits-3.png").unlink()
    assert run(f"{line} m") == 0
    assert len(calls) == 5
    assert Path("m/images/digits-3.png").is_file()
    capsys.readouterr()
    assert run(f"{line} m --strength 3") == 2
    assert "--out m holds results with another strength: name" in capsys.readouterr().err


def test_samples_are_marked_while_they_are_made(model: str) -> None:
    key()
    line = f"embed --model {model} --key k.json --strength 0 --out"
    assert run(f"{line} s --samples 3 --seed 4") == 0
    assert run(f"{line} t --samples 2 --seed 5 --batch-size 1") == 0
    assert np.array_equal(pixels("s/images/000001.png"), pixels("t/images/000000.png"))
    assert np.array_equal(pixels("s/images/000001.png"), pixels("s/unmarked/000001.png"))
    found = rows("s")
    assert [row["psnr_original"] for row in found] == [None] * 3
    assert [row["psnr_decoded"] for row in found] == [None] * 3
    assert [row["ssim_decoded"] for row in found] == [1.0] * 3


def test_attacks_are_written_a_folder_each_and_belong_to_seeds(model: str) -> None:
    words = (
        "noise:0.1 crop flip shift rotation:10 blur jpeg:50 colour quantise brightness:1.5 "
        "median:5 resize:0.5 erase:0.2 regenerate:0.1 subtract forge:0.5"
    )
    line = f"attack --images 'digits[0:4]' --clean 'digits[10:15]' --model {model} --attack"
    assert run(f"{line} {words} --out a") == 0
    found = rows("a")
    assert len(found) == 15 * 4 + 5
    for row in found:
        assert pixels(f"a/{row['written']}").shape == (8, 8)
        assert row["written"].startswith(row["attack"].replace(":", "-"))
    assert np.array_equal(pixels("a/flip/digits-0.png"), to_8(digits().data[0]).round()[:, ::-1])
    mean = digits().data[:4].mean(0) - digits().data[10:15].mean(0)
    want = to_8(digits().data[10] + 0.5 * mean)
    assert np.abs(pixels("a/forge-0.5/digits-10.png") - want).max() <= 1
    assert run(f"{line} noise:0.1 regenerate:0.1 --batch-size 1 --out b") == 0
    for name in ("noise-0.1", "regenerate-0.1"):
        same = pixels(f"a/{name}/digits-3.png").astype(int) - pixels(f"b/{name}/digits-3.png")
        assert np.abs(same).max() <= 1
    assert run(f"{line} noise:0.1 --seed 1 --out c") == 0
    assert not np.array_equal(
        pixels("a/noise-0.1/digits-3.png"), pixels("c/noise-0.1/digits-3.png")
    )


def test_bad_files_are_counted_and_passed_over(model: str, capsys: Out) -> None:
    key()
    assert run(f"embed --model {model} --key k.json --images 'digits[0:3]' --out m") == 0
    Path("m/images/broken.png").write_text("no image")
    line = f"detect --model {model} --key k.json --images m/images --out d"
    capsys.readouterr()
    assert run(line) == 2
    assert "broken.png cannot be read" in capsys.readouterr().err
    assert run(f"{line} --skip-bad --json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["file"] for one in found["skipped"]] == ["broken.png"]
    assert len(found["rows"]) == 3
    assert "1 files" in Path("d/detect.html").read_text()


def test_an_image_without_anything_in_the_carrier_says_nothing(model: str) -> None:
    key("h.json", "--carrier high --radius 3 --seed 3")
    Path("flat").mkdir()
    Image.new("L", (8, 8), 90).save("flat/grey.png")
    assert run(f"detect --model {model} --key h.json --images flat --out d") == 0
    assert 0 < rows("d")[0]["p"] <= 1


def test_the_null_carrier_is_measured_at_the_images(model: str) -> None:
    key("n.json", "--carrier null --rank 20 --images 'digits[0:3]' --seed 1")
    found = Key.load("n.json")
    assert (found.name, found.dimension) == ("null", 44)
    assert run(f"embed --model {model} --key n.json --images 'digits[0:2]' --out m") == 0
    key("drawn.json", "")
    key("again.json", "")
    assert Key.load("drawn.json").secret != Key.load("again.json").secret


def test_names_of_files_are_plain_and_differ() -> None:
    assert _stems(["a/x.png", "b/x.jpg", "x.png", "x.jpg", "../..", "v1.5"]) == [
        "a_x", "b_x", "x", "x-2", "_", "v1.5",
    ]  # fmt: skip


def test_ssim_of_tiny_images_is_left_out() -> None:
    one = torch.zeros(1, 2, 2)
    assert psnr_ssim(one, one) == (None, None)
    db, ssim = psnr_ssim(torch.zeros(3, 4, 4), torch.full((3, 4, 4), 0.5))
    assert db == pytest.approx(20 * np.log10(255 / 63), abs=0.1)
    assert ssim is not None


SHORT = {
    "@digits": "--images digits",
    "@net": "--model net.safetensors",
    "@same": "--model same.safetensors",
    "@colour": "--model colour.safetensors",
    "@k": "--key k.json",
}
BAD = {
    "following arguments are required: --model": "detect @k @digits",
    "--model x.safetensors: there is no file": "detect --model x.safetensors @k @digits",
    "--key k.json is there already": "key --model net.safetensors --key k.json",
    "--key k.json is named twice": "detect @net --key k.json k.json @digits",
    "--key bad.json was changed or damaged": "detect @net --key bad.json @digits",
    "--key k.json: the key belongs to the model sha256": "detect @same @k @digits",
    "not of 3 × 8 × 8": "detect @colour @k @digits",
    "images are grey, the model has 3 channels": "detect @colour --key c.json @digits",
    "images are in colour, the model is grey: add --prepare grey": "detect @net @k --images rgb",
    "add --prepare crop-centre resize:8": "detect @net @k --images large",
    "is not among the model's": "key --model net.safetensors --key n.json --time 1",
    "--time 0: must lie between": "key --model net.safetensors --key n.json --time 0",
    "--time and --sigma both": "key --model net.safetensors --key n.json --time 0.1 --sigma 1",
    "name some with --images": "key --model net.safetensors --key n.json --carrier null",
    "--level 2": "detect --model net.safetensors @k @digits --level 2",
    "embed marks given --images, or --samples": "embed --model net.safetensors --key k.json",
    "--strength -1": "embed --model net.safetensors --key k.json --samples 1 --strength -1",
    "--attack fog: must be one of noise": "attack @digits --attack fog",
    "--attack jpeg:x: the strength is no number": "attack @digits --attack jpeg:x",
    "--attack flip:2: it has no strength": "attack @digits --attack flip:2",
    "--attack shift:1.5: its strength is a whole number": "attack @digits --attack shift:1.5",
    "--attack regenerate: it needs a --model": "attack @digits --attack regenerate",
    "--attack forge: it marks images that have no mark": "attack @digits --attack forge",
    "name its key with --key": "attack @digits --attack remark @net",
    "--attack noise:0.05 is named twice": "attack @digits --attack noise noise:0.05",
    "--out net.safetensors is a file": "attack @digits --attack flip --out net.safetensors",
    "watermark needs an action first": "",
    "must be one of key, embed, detect, attack": "mark",
}


@pytest.mark.parametrize(("message", "line"), BAD.items())
def test_mistakes_are_one_line(model: str, message: str, line: str, capsys: Out) -> None:
    key()
    network("same.safetensors", seed=1)
    network("colour.safetensors", (3, 8, 8))
    key("c.json", "--carrier all", "colour")
    changed = json.loads(Path("k.json").read_text()) | {"steps": 3}
    Path("bad.json").write_text(json.dumps(changed))
    for name, mode, side in (("rgb", "RGB", 8), ("large", "L", 10)):
        Path(name).mkdir()
        Image.new(mode, (side, side)).save(f"{name}/a.png")
    capsys.readouterr()
    for word, meant in SHORT.items():
        line = line.replace(word, meant)
    assert main(["watermark", *shlex.split(line)]) == 2
    said = capsys.readouterr().err.strip()
    assert said.count("\n") == 0
    assert message in said


DOCS = (ROOT / "docs" / "watermark.md").read_text()


def test_what_the_page_of_watermarks_shows_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Out
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("networks").symlink_to(ROOT / "networks")
    shell, python = re.findall(r"```(?:sh|python)\n(.*?)```", DOCS, flags=re.DOTALL)[:2]
    for line in shell.splitlines():
        assert main([*shlex.split(line)[1:], "--quiet"]) == 0, line
    capsys.readouterr()
    exec(compile(python, "docs/watermark.md", "exec"), {})
    assert capsys.readouterr().out.splitlines() == re.findall(
        r"^# (.*)$", python, flags=re.MULTILINE
    )
