"""What a user looks at fits one line; notebooks get a small table; numbers go on to other tools."""

from __future__ import annotations

import html.parser
import json
import math
import re
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from denoscope import (
    MLP,
    VP,
    Empirical,
    Estimate,
    Gaussian,
    GaussianMixture,
    MoLRG,
    Preconditioned,
    Result,
    Seeds,
    UNet,
    from_denoiser,
    from_network,
    measure,
    read_images,
)
from denoscope.apply.watermark import Key
from denoscope.audit.findings import MetricResult
from denoscope.display import LONGEST, html_table, shortened
from denoscope.distributions import LocalScore
from denoscope.estimate import proportion, unavailable
from denoscope.metrics import nearness
from denoscope.models import open_model
from denoscope.monitor.choice import Choice, choose
from denoscope.readings import Quantity, Reading, Readings
from denoscope.report import frame, plot_pairs, scalars
from denoscope.store import Row, Store

NORMAL = torch.randn(60, 1, 8, 8, generator=torch.Generator().manual_seed(0))
SOME = Readings(
    (
        Reading("glc", {"n": n, "who": "network"}, np.arange(10) / 10)
        for n in (8, 16, 32, 64, 128, 256, 512)
    ),
    {"glc": Quantity("GLc", "share")},
)
SECRET = bytes(range(32))


def shrunk(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    return x / (1 + sigma.reshape(-1, *[1] * (x.ndim - 1)) ** 2)


SHOWN = {
    "Estimate(0.3 [0.0667, 0.652], 95 % Clopper-Pearson, n=10)": proportion(3, 10),
    "Estimate(not available (no rows))": unavailable("no rows"),
    "Gaussian(of 1 × 8 × 8)": Gaussian.from_data(NORMAL, ridge=0.1),
    "Empirical(60 points of 1 × 8 × 8)": Empirical(NORMAL),
    "LocalScore(60 images of 1 × 8 × 8)": LocalScore(NORMAL, 3),
    "GaussianMixture(2 components of 3)": GaussianMixture(
        torch.zeros(2, 3), torch.eye(3).repeat(2, 1, 1)
    ),
    "MoLRG(2 components of 6)": MoLRG([torch.eye(6)[:, :2], torch.eye(6)[:, 2:4]]),
    "Seeds(5: 0 … 4)": Seeds(range(5)),
    "FromNetwork(MLP of 1 × 8 × 8)": from_network(
        MLP((1, 8, 8), 8), "eps", VP.linear(10), shape=(1, 8, 8)
    ),
    "FromDenoiser(shrunk)": from_denoiser(shrunk),
    "Reading(glc at n=8, who=network: 10 numbers)": SOME[0],
    "Readings(7: glc; n=8 … 512)": SOME,
    "Readings(0)": Readings(),
    "MetricResult(0.3 [0.0667, 0.652], held-out 0.5 [0.0126, 0.987])": MetricResult(
        proportion(3, 10), proportion(1, 2)
    ),
    "Images(digits: 1797 of 1 × 8 × 8, 10 labels)": read_images("digits"),
}


@pytest.mark.parametrize("line", SHOWN)
def test_objects_say_in_a_line_what_they_are(line: str) -> None:
    assert repr(SHOWN[line]) == line


@pytest.mark.parametrize(
    "shown",
    [
        unavailable("because " * 60),
        nearness(NORMAL.flatten(1)[:20], NORMAL.flatten(1)[20:40], NORMAL.flatten(1)[40:]),
        Preconditioned(UNet((1, 8, 8), 8)),
        open_model("digits-unet"),
        choose([], True),
        Choice(4, "Keep step 4: " + "it is good " * 40, {"excess": proportion(0, 9)}),
        Key.make(SECRET, (1, 8, 8), "high", 1.0),
        Readings(
            (
                Reading(f"quantity {i}", {"n": j, "seed": i, "model": "x" * 90}, np.zeros(3))
                for i in range(9)
                for j in range(9)
            ),
        ),
    ],
    ids=lambda shown: type(shown).__name__,
)
def test_no_line_is_longer_than_a_screen(shown: object) -> None:
    line = repr(shown)
    assert "\n" not in line
    assert len(line) <= LONGEST
    assert line.startswith(f"{type(shown).__name__}(")
    assert line.endswith(")")


def test_a_key_never_shows_its_secret() -> None:
    key = Key.make(SECRET, (1, 8, 8), "high", 1.0)
    assert key.fingerprint in repr(key)
    assert SECRET.hex() not in repr(key)
    assert repr(SECRET) not in repr(key)


def test_a_short_text_stays() -> None:
    assert shortened("a  b\nc") == "a b c"
    assert shortened("Name(" + "x" * 200 + ")", 20) == "Name(" + "x" * 13 + "…)"


class _Cells(html.parser.HTMLParser):
    """The texts of all cells, and every tag and attribute that was met."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.mark.parametrize("shown", [proportion(3, 10), SOME, Readings()], ids=["one", "7", "none"])
def test_notebooks_get_a_table_without_colours_and_script(shown: Any) -> None:
    found = _Cells(shown._repr_html_())
    assert found.tags <= {"table", "caption", "thead", "tbody", "tr", "th", "td"}
    assert not found.attributes


def test_tables_of_notebooks_hold_the_numbers_and_trust_no_text() -> None:
    assert _Cells(proportion(3, 10)._repr_html_()).texts == [
        *("value", "low", "high", "level", "n", "method"),
        *("0.3", "0.0667", "0.652", "95 %", "10", "Clopper-Pearson"),
    ]
    texts = _Cells(SOME._repr_html_()).texts
    assert texts[:5] == ["7 readings", "quantity", "n", "who", "value"]
    assert texts[5:9] == ["GLc (share)", "8", "network", str(SOME.estimate(SOME[0]))]
    assert "<script>" not in html_table(["a"], [["<script>"]], "<script>")
    many = Readings(Reading("a", {"n": n}, 1.0) for n in range(50))
    assert "50 readings, the first 20 of them" in many._repr_html_()


def test_scalars_are_floats_by_name() -> None:
    x = NORMAL.flatten(1)
    found = measure(["memorized", "authenticity"], gen=x[:20], train=x[20:40])
    made = scalars(found)
    assert made["memorized"] == found["memorized"].value
    assert made["memorized/low"] == found["memorized"].low
    assert made["memorized/high"] == found["memorized"].high
    result = Result({"a": proportion(1, 2), "b": 3, "c": "word", "d": math.nan, "e": None})
    assert scalars(result) == {
        "a": 0.5,
        "a/low": proportion(1, 2).low,
        "a/high": proportion(1, 2).high,
        "b": 3.0,
    }
    choice = Choice(4, "why", {"excess": proportion(0, 9)})
    assert scalars(choice).keys() == {"excess", "excess/low", "excess/high"}
    nested = scalars({"excess": {"pixels": MetricResult(proportion(1, 4))}})
    assert nested["excess/pixels"] == 0.25
    assert all(type(value) is float for value in {**made, **nested, **scalars(result)}.values())
    assert scalars({"a": mean_of_one()}) == {"a": 2.0}
    with pytest.raises(ValueError, match="a int has no named numbers"):
        scalars(3)
    json.dumps(made, allow_nan=False)


def mean_of_one() -> Estimate:
    """Without ends that are finite."""
    return Estimate(2.0, -math.inf, math.inf, 1)


def _store(folder: Path) -> Store:
    store = Store(folder)
    for n in (8, 64):
        row = Row(
            f"k{n}", "s", 1, {"n": n}, {"glc": proportion(3, 10)}, {"seconds": 1.5, "inputs": {}}
        )
        store.put(row, {})
    return store


def test_a_frame_has_the_columns_of_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a stand-in for pandas, which keeps what it is given."""
    stand_in: Any = types.ModuleType("pandas")
    stand_in.DataFrame = lambda rows: rows
    monkeypatch.setitem(sys.modules, "pandas", stand_in)
    expected = {"n": 8, "glc": 0.3, "seconds": 1.5, "cell": "k8"}
    for store in (_store(tmp_path), tmp_path, str(tmp_path)):
        rows = frame(store)
        assert len(rows) == 2
        first = next(row for row in rows if row["n"] == 8)
        assert expected.items() <= first.items()
        assert first["glc_low"] == proportion(3, 10).low
        assert list(first) == ["cell", "n", "glc", "glc_low", "glc_high", "seconds"]


def test_a_frame_is_a_frame_of_pandas(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    found = frame(_store(tmp_path))
    assert isinstance(found, pandas.DataFrame)
    assert found["glc"].tolist() == [0.3, 0.3]


def test_without_pandas_a_line_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=re.escape("pip install 'denoscope[pandas]'")):
        frame(_store(tmp_path))


@pytest.mark.parametrize("channels", [1, 3])
def test_pairs_are_drawn_as_they_are(channels: int) -> None:
    samples = torch.linspace(-1, 1, 5 * channels * 16).reshape(5, channels, 4, 4)
    figure = plot_pairs(samples, -samples, [0.12345, 1.0, 2.0, 3.0, 4.0], columns=3)
    drawn = [each.images[0].get_array() for each in figure.axes if each.images]
    assert len(figure.axes) == 12
    assert len(drawn) == 10
    first = np.rint((samples[0].numpy() + 1) * 127.5).transpose(1, 2, 0)
    assert np.array_equal(np.asarray(drawn[0]).reshape(first.shape), first)
    assert [each.get_title() for each in figure.axes[3:6]] == ["0.123", "1", "2"]


def test_pairs_of_other_shapes_are_refused() -> None:
    for pair in [
        (NORMAL[:0], NORMAL[:0]),
        (NORMAL[:2], NORMAL[:3]),
        (NORMAL[:2], NORMAL[:2, :, :4]),
        (NORMAL[0], NORMAL[0]),
    ]:
        with pytest.raises(ValueError, match="images"):
            plot_pairs(*pair)
