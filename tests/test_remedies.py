"""The study in small: words become recipes, closed forms give known numbers, remedies are paired
with runs that lack them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from denoscope import Empirical, grid
from denoscope.cli import main
from denoscope.data.population import Population
from denoscope.estimate import mean
from denoscope.fitting.stopped import stopped_linear
from denoscope.levels import karras
from denoscope.readings import Reading, Readings
from denoscope.report.frontiers import Frontier
from denoscope.store import Row
from denoscope.studies.remedies import (
    NOISES,
    QUANTITIES,
    WORDS,
    Remedies,
    geometric,
    larger,
    parsed,
    until,
)
from denoscope.study import swept
from denoscope.theory.linear.emergence import stopped_law
from denoscope.theory.linear.optimum import modes
from denoscope.theory.linear.stopping import compare_stopping
from denoscope.theory.times import self_weight


def test_keys_and_defaults_are_frozen() -> None:
    golden = json.loads((Path(__file__).parent / "golden_keys.json").read_text())["remedies"]
    cells = {"default": Remedies(), "decay": Remedies(n=32, remedy="decay:1", seed=2)}
    assert golden["version"] == Remedies.version
    assert golden["keys"] == {name: item.key() for name, item in cells.items()}
    assert golden["defaults"] == json.loads(json.dumps(Remedies().fields()))


def test_a_fleet_has_one_remedy() -> None:
    cells = grid(Remedies, **swept(Remedies))
    jobs = Remedies.plan(cells)
    assert len(jobs) == len(WORDS)
    assert all(len({cell.remedy for cell in job}) == 1 for job in jobs)
    assert sum(map(len, jobs)) == len(cells)


def test_words_become_recipes_and_seeds_stay_paired() -> None:
    plain = Remedies().recipe()
    for word, change in {
        "none": {},
        "all": {},
        "decay:0.3": {"weight_decay": 0.3},
        "dropout:0.2": {"dropout": 0.2},
        "width:16": {"width": 16},
        "shift:1": {"shift": 1},
        "mirror": {"mirror": True},
        "rare:0.25": {"share": 0.25},
    }.items():
        cell = Remedies(remedy=word)
        assert cell.recipe() == replace(plain, **change)
        assert cell.member().order == Remedies().member().order
        assert len(cell.member().rows) == (1536 if word == "all" else 64)
        assert len(cell.moments()) == (8 if word == "none" else 1)
    assert {parsed(word)[0] for word in WORDS} == {parsed(w)[0] for w in (*WORDS, "decay:9")}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--remedy decya:1", "--remedy decya:1: there are none, all, decay:STRENGTH, dropout"),
        ("--remedy decay", "--remedy decay: there are none"),
        ("--remedy none:1", "--remedy none:1: there are none"),
        ("--remedy decay:much", "--remedy decay:much: the strength of decay is a number"),
        ("--remedy width:0", "--remedy width:0: the strength of width is a whole number above 0"),
        ("--remedy rare:2", "--remedy rare:2: the strength of rare is at most 1"),
        ("--remedy dropout:1", "--dropout 1.0: must be at least 0 and below 1"),
        ("--remedy shift:8", "--remedy shift:8: images have a side of 8 pixels"),
        ("--band 2 1", "--band 2.0 1.0: give two noise levels, the lower one first"),
        ("--n 1", "--n 1: a training set needs at least 2 images"),
        ("--samples 4000", "--samples 4000: there are 1536 real images to compare with"),
    ],
)
def test_what_cannot_be_is_one_line(
    words: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "remedies", *words.split(), "--store", str(tmp_path / "s")]) == 2
    assert said in capsys.readouterr().err.splitlines()[-1]


def test_the_memorizer_copies_until_its_sampler_ends_above_the_collapse() -> None:
    cell = Remedies(n=16, samples=60, held=100)
    D, train = Empirical(cell.where().train()), cell.where().train()
    whole = {r.name: r.value for r in cell.looked(D)}
    assert whole["copies"] == 1
    assert whole["excess"] > 0.9
    assert whole["error"] > 1, "the best linear denoiser of all images is better on new ones"
    found = {(r.name, *r.at.values()): r.value for r in cell.afterwards(D)}
    collapse = found["collapse",]
    time = 0.5 * math.log1p(collapse**2)
    weight = self_weight(train.flatten(1).double().numpy(), [time]).value
    assert float(weight[0]) == pytest.approx(0.5, abs=0.03)
    copies = [found["copies", "stop", s] for s in (0.5, 1.0, 2.0)]
    assert copies[0] > 0.5 > copies[-1]
    assert found["copies", "blur", 2.0] < 1
    assert found["excess", "linear", 0.0] < 0.1


def test_a_sampler_ends_with_the_estimate_at_its_last_level() -> None:
    levels = until(karras(18), 1.3)
    assert levels[-2:].tolist() == [1.3, 0.0]
    assert torch.equal(levels[:-2], karras(18)[karras(18) > 1.3])


def test_the_stopped_linear_model_has_the_law_of_its_best_time() -> None:
    split = Remedies(n=64).where()
    law, train, count = Population.of_images(split.pool(), "digits"), split.train(), 20_000
    assert law.center is not None
    assert law.basis is not None
    made = stopped_linear(law, train, count, NOISES).flatten(1).double().numpy()
    rows, own = (
        (x - law.center) @ law.basis * law.scale for x in (made, train.flatten(1).double().numpy())
    )
    centred = own - own.mean(0)
    of = modes(np.diag(law.spectrum), centred.T @ centred / 64, np.zeros(law.d), own.mean(0))
    time = float(compare_stopping(of, 1 - NOISES).shared_k)
    assert 0 < time < math.inf
    found = ((rows - own.mean(0)) @ of.vectors).var(0)
    assert np.abs(found / stopped_law("ode", of.lam, time) - 1).max() < 6 * math.sqrt(2 / count)


def test_the_larger_of_two_is_below_zero_only_where_both_are() -> None:
    rng = np.random.default_rng(0)
    low, high = rng.normal(-1, 0.1, 6), rng.normal(1, 0.1, 6)
    same, better, worse = np.exp(0.02 * rng.normal(size=6)), np.full(6, 0.5), np.full(6, 2.0)
    for change, ratio, sign in (
        (low, better, -1),
        (low, same, -1),
        (high, same, 1),
        (low, worse, 1),
    ):
        e = larger(change, ratio)
        assert sign * e.low > 0
        assert sign * e.high > 0
        apart = mean(change, 0.975), mean(np.log(ratio / 1.1), 0.975)
        assert e.value == max(a.value for a in apart)
        assert e.high >= max(a.high for a in apart)
    assert geometric(np.array([1.0, 4.0])).value == pytest.approx(2)


@pytest.mark.slow
def test_remedies_are_paired_with_runs_that_lack_them(
    tiny: Callable[[str, str], list[Row]],
) -> None:
    rows = tiny("remedies", "digits")
    found = Remedies.found(rows)
    assert all(np.isfinite(r.value).all() for r in found)
    copies = {
        (row.fields["remedy"], row.fields["subset"]): float(str(row.values["excess"]))
        for row in rows
    }
    for word in ("decay:1", "width:4", "mirror"):
        family, strength = parsed(word)
        change = found.of("change", family=family, dose=strength).one
        wanted = [copies[word, s] - copies["none", s] for s in (0, 1)]
        assert change == pytest.approx(np.array(wanted))
    assert not found.of("change", family="none")
    assert {r.at["dose"] for r in found.of("excess", family="early")} == {30.0, 67.0}


def _points() -> Readings:
    units = np.array([0.9, 1.0, 1.1])
    at = [("decay", 1.0, "training"), ("decay", 2.0, "training"), ("stop", 1.0, "afterwards")]
    found = [
        Reading(name, {"n": 8, "family": f, "dose": s, "applied": a}, s * units)
        for f, s, a in at
        for name in ("quality", "excess")
    ]
    lone = {"n": 8, "family": "mix", "dose": 1.0, "applied": "afterwards"}
    found.append(Reading("excess", lone, units))
    return Readings(found, QUANTITIES)


def test_a_frontier_has_bars_along_both_axes_and_references_in_every_panel() -> None:
    some = _points()
    beside = some.of(family="decay", dose=1.0).dropped("family", "applied", "dose")
    panels = Frontier(
        some,
        "quality",
        "excess",
        "family",
        "dose",
        "applied",
        panel=("n", "applied"),
        references=beside.named(family="none", dose=0.0),
    ).panels()
    assert [[line.label for line in panel.series] for panel in panels] == [
        ["weight decay", "no remedy"],
        ["sampler stopped early", "no remedy"],
    ]
    line = panels[0].series[0]
    for name, (value, low, high) in {
        "quality": (line.x, line.left, line.right),
        "excess": (line.y, line.low, line.high),
    }.items():
        each = some.of(name, family="decay").estimates()
        assert np.array_equal(value, [r.value.value for r in each])  # pyright: ignore[reportArgumentType]
        assert np.array_equal(low, [r.value.low for r in each])  # pyright: ignore[reportArgumentType]
        assert np.array_equal(high, [r.value.high for r in each])  # pyright: ignore[reportArgumentType]
    assert panels[0].series[1].style == "dots"
