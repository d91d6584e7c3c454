"""How many images are needed: what is estimated is close to the truth, what is measured is what a
direct computation gives, mistakes cost a line.
"""

from __future__ import annotations

import csv
import json
import re
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view
from scipy.stats import multivariate_normal
from sklearn.datasets import load_sample_image
from torch import Tensor

from denoscope import read_images
from denoscope.cli import main
from denoscope.data.duplicates import first_with_content
from denoscope.data.images import to_uint8
from denoscope.data.moments import Moments, whole
from denoscope.estimate import Estimate, unavailable
from denoscope.needed.answer import Answers, answer
from denoscope.needed.law import Law, Measurement, kurtosis
from denoscope.needed.measured import readings
from denoscope.needed.page import build
from denoscope.needed.remedies import best_ridge, best_time, gains, held_out, surprise
from denoscope.needed.sample import Question, Sample, coordinates, leads_of, read, shuffled
from denoscope.needed.spectrum import by_sum, by_unseen, crossed, fold, population
from denoscope.needed.words import verdict
from denoscope.report import Claims, Figure, Page
from denoscope.report.blocks import ClaimRow
from denoscope.theory.linear.divergences import expected_kl, kl
from denoscope.theory.linear.equivalents import unseen_variance
from denoscope.theory.linear.kurtosis import any_law_kl
from denoscope.theory.linear.optimum import test_loss as loss_on_test
from denoscope.theory.linear.sizes import samples_needed
from denoscope.theory.spectra import power_law


def _quiet(text: str) -> None:
    """Says nothing."""


def _gaussian(n: int, spectrum: np.ndarray, seed: int = 0) -> Tensor:
    """n images of the given variances along random axes, with a mean that is not 0."""
    rng = np.random.default_rng(seed)
    axes = np.linalg.qr(rng.standard_normal((len(spectrum), len(spectrum))))[0]
    return torch.from_numpy(
        0.3 + (rng.standard_normal((n, len(spectrum))) * np.sqrt(spectrum)) @ axes.T
    )


def _folds(x: Tensor, count: int = 5) -> list[Moments]:
    return [Moments.of(x[i::count], origin=x[0]) for i in range(count)]


def _saved(tmp_path: Path, images: Tensor, name: str = "set.npz") -> str:
    """An ``.npz`` of images (n, c, h, w) in [-1, 1]."""
    np.savez(tmp_path / name, images=to_uint8(images).permute(0, 2, 3, 1).numpy())
    return str(tmp_path / name)


def _asked(data: str, **changes: Any) -> tuple[Answers, Sample]:
    question = Question(data=data, **changes)
    sample = read(question, _quiet)
    return answer(question, sample, _quiet), sample


@pytest.fixture(scope="module")
def forty() -> tuple[Answers, Sample]:
    return _asked("digits", n=40)


@pytest.mark.parametrize("k", [0.0, 1.0, 1.5, 2.0])
@pytest.mark.parametrize("n", [60, 150])
def test_few_images_tell_what_they_do_not_see(k: float, n: int) -> None:
    truth = power_law(200, k)
    x = _gaussian(n, truth, seed=round(10 * k) + n)
    own = Moments.of(x)
    spectrum = population(crossed(_folds(x)), float(own.cov.trace()) * n / (n - 1))
    np.testing.assert_allclose(
        unseen_variance(spectrum, n - 1), unseen_variance(truth, n - 1), rtol=0.2
    )
    assert (np.diff(spectrum) <= 0).all()
    needed = [samples_needed(s, 0.1, c="best") for s in (spectrum, truth)]
    assert abs(needed[0] / needed[1] - 1) < 0.15


@pytest.mark.parametrize("k", [0.0, 1.0, 2.0])
def test_many_images_show_the_spectrum_and_better_than_their_own_covariance(k: float) -> None:
    truth = power_law(80, k)
    x = _gaussian(800, truth, seed=3)
    own = Moments.of(x)
    spectrum = population(crossed(_folds(x)), float(own.cov.trace()) * 800 / 799)
    off, naive = (
        np.abs(np.log(s / truth)).mean()
        for s in (spectrum, np.linalg.eigvalsh(own.cov.numpy())[::-1] * 800 / 799)
    )
    assert off < 0.2
    assert off < 0.75 * naive


def test_continuations_recover_a_power_law() -> None:
    truth = power_law(300, 1.3)
    np.testing.assert_allclose(by_sum(truth[:40], 300, float(truth.sum())), truth, rtol=1e-6)
    np.testing.assert_allclose(
        by_unseen(truth[:40], 300, float(unseen_variance(truth, 90)), 90), truth, rtol=1e-6
    )


def test_continuations_are_defined_where_no_power_law_fits() -> None:
    head = np.array([4.0, 1.0])
    assert by_sum(head, 6, 13.0).tolist() == [4, 1, 2, 2, 2, 2]
    assert by_sum(head[:0], 4, 2.0).tolist() == [0.5] * 4
    assert by_unseen(head, 6, 100.0, 3).tolist() == [4, 1, 1, 1, 1, 1]
    steep = by_unseen(head, 6, 1e-30, 3)
    assert np.isfinite(steep).all()
    assert steep[2:].sum() < 1e-9


def test_folds_hold_what_a_direct_computation_gives() -> None:
    x = _gaussian(30, power_law(12, 1.0))
    train, test = x[5:], x[:5]
    found = fold(Moments.of(train), Moments.of(test))
    mean, mean0 = test.mean(0).numpy(), train.mean(0).numpy()
    cov, cov0 = (np.cov(part.numpy().T, bias=True) for part in (test, train))
    for ridge in (0.0, 0.2):
        direct = loss_on_test(cov, cov0, mean, mean0, 0.9, 0.9 * ridge) / 12
        assert held_out([found], 0.9, ridge=ridge) == pytest.approx(direct, rel=1e-12)
    # scipy infers int from the default
    log_density = multivariate_normal.logpdf(test.numpy(), mean0, cov0 + 0.2 * np.eye(12))  # pyright: ignore[reportArgumentType]
    direct = -log_density.mean() / 12 - 0.5 * np.log(2 * np.pi)
    assert surprise([found], np.array(0.2)) == pytest.approx(direct, rel=1e-12)


def test_the_unseen_share_is_that_of_a_projection() -> None:
    x = _gaussian(50, power_law(30, 1.0))
    train, test = x[:10], x[10:]
    basis = torch.linalg.svd(train - train.mean(0), full_matrices=False)[2][:9]
    away = test - train.mean(0)
    direct = 1 - float((away @ basis.T).square().sum() / away.square().sum())
    assert fold(Moments.of(train), Moments.of(test)).unseen == pytest.approx(direct, rel=1e-10)


def test_recommendations_are_the_least_of_what_they_minimise() -> None:
    folds = crossed(_folds(_gaussian(40, power_law(60, 1.0))))
    c, k = best_ridge(folds), best_time(folds, 0.99)
    around = np.array([0.5, 0.9, 0.99, 1.0, 1.01, 1.1, 2.0])
    assert surprise(folds, c * around).argmin() == 3
    assert held_out(folds, 0.99, k=k * around).argmin() == 3
    assert held_out(folds, 0.99, k=k) < 0.1 * held_out(folds, 0.99)


def test_a_remedy_of_a_fold_knows_nothing_of_it() -> None:
    folds = crossed(_folds(_gaussian(40, power_law(60, 1.0))))
    found = gains(folds, 0.99)
    assert {name: len(values) for name, values in found.items()} == {"ridge": 5, "stop": 5}
    assert max(max(values) for values in found.values()) < 0.2
    for name, values in gains(folds[::-1], 0.99).items():
        np.testing.assert_allclose(values[::-1], found[name])
    first = replace(folds[0], other=2 * folds[0].other)
    seen, trained = (held_out([f], 0.99, ridge=best_ridge(folds[1:])) for f in (first, folds[0]))
    changed = gains([first, *folds[1:]], 0.99)["ridge"][0] * held_out([first], 0.99)
    assert changed == pytest.approx(seen)
    assert found["ridge"][0] * held_out(folds[:1], 0.99) == pytest.approx(trained)
    assert gains(folds[:1], 0.99) == {}


def test_no_ridge_where_none_helps() -> None:
    x = _gaussian(50, power_law(4, 0.5))
    apart = fold(Moments.of(2 * x), Moments.of(x))  # the training set varies more than the truth
    assert best_ridge([apart]) == 0.0
    assert best_time([apart], 0.9) > best_time([fold(Moments.of(x), Moments.of(2 * x))], 0.9)


def test_forty_digits_against_all_others(forty: tuple[Answers, Sample]) -> None:
    found, sample = forty
    assert (found.n, found.d, found.law.spanned) == (40, 61, 39)
    assert (sample.pixels, sample.varying) == (64, 61)
    assert sample.left == 1757
    images = read_images("digits").data.flatten(1)
    every = Moments.of(images)
    varies = every.cov.diagonal() > 0
    assert torch.allclose(sample.every.cov, every.cov[varies][:, varies], atol=1e-12)
    assert found.level.trained > 2 * found.level.ridged > 2 * found.level.least
    assert found.level.stopped == pytest.approx(found.level.ridged, rel=0.05)
    crossed = np.mean([f.unseen for f in found.crossed])
    assert 0 < found.law.measured.unseen.low < found.law.measured.unseen.high < crossed < 0.2
    assert found.law.measured.loss.value == pytest.approx(found.level.trained)


def test_what_all_digits_say_agrees_with_what_the_literature_says() -> None:
    found, _ = _asked("digits")
    assert found.ratio == pytest.approx(13.17, abs=0.005)
    assert found.law.endless.startswith("infinite: 1 of 61 directions rests on one image alone")
    assert found.plain.low > samples_needed(np.ones(61), 0.1)
    assert found.unseen == 0


def test_the_table_falls_and_is_infinite_up_to_the_wall(forty: tuple[Answers, Sample]) -> None:
    found = forty[0]
    for row in found.table:
        assert np.isinf([row["kl"], row["kl_low"]]).all() == (row["n"] <= found.d)
        assert row["kl_high"] == np.inf
    for name in ("kl", "kl_ridge", "unseen", "test"):
        values = [row[name] for row in found.table]
        assert values == sorted(values, reverse=True), name


def test_the_seed_draws_the_images_and_their_folds() -> None:
    first, again, other = (
        read(Question(data="digits", n=30, seed=seed), _quiet) for seed in (1, 1, 2)
    )
    assert all(torch.equal(a.second, b.second) for a, b in zip(first.folds, again.folds))
    assert not torch.equal(first.own.second, other.own.second)
    assert torch.allclose(first.every.second, other.every.second)


def test_repeats_stay_in_one_fold_and_are_counted(tmp_path: Path) -> None:
    x = read_images("digits").data[:12]
    data = _saved(tmp_path, torch.cat([x, x, x[:3]]))
    sample = read(Question(data=data), _quiet)
    assert sample.repeats == 15
    assert any("15 images are exact repeats" in note for note in sample.notes)
    labels = first_with_content(torch.cat([x, x, x[:3]]))
    assert labels.tolist() == [*range(12), *range(12), *range(3)]
    order, place = shuffled(labels, seed=4)
    assert sorted(order.tolist()) == list(range(27))
    assert (place[order].diff() >= 0).all()
    assert all(len(set(place[labels == label].tolist())) == 1 for label in range(12))
    answers = answer(Question(data=data), sample, _quiet)
    assert (answers.law.spanned, answers.law.n) == (11, 12)


def test_grey_stored_as_colour_is_grey(tmp_path: Path) -> None:
    x = read_images("digits").data[:30]
    grey, colour = (
        _asked(_saved(tmp_path, images, name))[0]
        for images, name in ((x, "a.npz"), (x.expand(-1, 3, -1, -1), "b.npz"))
    )
    assert (grey.d, grey.law.spanned) == (colour.d, colour.law.spanned)
    assert grey.ridge == colour.ridge


def test_pixels_that_depend_on_each_other_count_once(tmp_path: Path) -> None:
    x = read_images("digits").data[:200]
    doubled = torch.cat([x, x], dim=-1)
    single, double = (
        _asked(_saved(tmp_path, images, name))
        for images, name in ((x, "a.npz"), (doubled, "b.npz"))
    )
    assert double[0].d == single[0].d
    assert double[1].varying == 2 * single[1].varying
    np.testing.assert_allclose(double[0].lam, 2 * single[0].lam, rtol=1e-9)
    assert any("depend on each other" in note for note in double[1].notes)
    assert double[0].law.kurtosis.low == pytest.approx(single[0].law.kurtosis.low)
    assert double[0].law.infinite.startswith("infinite")


@pytest.mark.parametrize("n", [2, 3, 4])
def test_a_handful_of_images_is_answered(n: int, tmp_path: Path) -> None:
    found, _ = _asked(_saved(tmp_path, read_images("digits").data[:n]))
    assert found.law.spanned == n - 1
    assert found.ridged.low > n
    assert np.isfinite([found.unseen, found.ridge, found.level.ridged, found.level.least]).all()


def test_folds_are_even_and_other_training_sets_are_apart() -> None:
    sample = read(Question(data="digits", n=100), _quiet)
    assert whole(sample.folds).count == 100
    assert {part.count for part in sample.folds} == {20}
    assert [part.count for part in sample.sets] == [100] * 8
    assert sample.left == 1697
    assert sample.every.count == 1797


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "--data"),
        (["--data", "digit"], "did you mean 'digits'"),
        (["--data", "nowhere"], "neither an existing folder"),
        (["--data", "digits", "--kl", "0"], "--kl 0: must be above 0"),
        (["--data", "digits", "--kl", "nan"], "--kl nan"),
        (["--data", "digits", "--gap", "-1"], "--gap -1"),
        (["--data", "digits", "--abar", "1"], "--abar 1: must lie between"),
        (["--data", "digits", "--n", "1"], "--n 1: at least 2 images"),
        (["--data", "digits", "--n", "5000"], "--n 5000: digits has 1797 images"),
        (["--data", "digits", "--resize", "-3"], "--resize -3"),
        (["--data", "digits", "--prepare", "crop:9"], "8x8 pixels are fewer than"),
        (["--data", "digits", "--prepare", "crop:4", "--resize", "4"], "is the word resize:4"),
        (["--data", "digits", "--lk", "0.1"], "did you mean --kl"),
        (["--data", "digits", "--threads", "-2"], "--threads -2: must lie between 1 and 1024"),
        (["--data", "digits", "--n", "some"], "invalid int value: 'some'"),
        (["--data", "one.npz"], "1 image; at least 2"),
        (["--data", "same.npz"], "all 6 images are the same"),
        (["--data", "nan.npz", "--range", "0", "1"], "nan"),
        (["--data", "digits", "--out", "one.npz"], "one.npz is a file where a folder is needed"),
    ],
)
def test_mistakes_cost_one_line(
    words: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    digit = read_images("digits").data[:1]
    _saved(tmp_path, digit, "one.npz")
    _saved(tmp_path, digit.expand(6, -1, -1, -1), "same.npz")
    np.savez(tmp_path / "nan.npz", images=np.full((4, 5, 5), np.nan))
    before = sorted(tmp_path.iterdir())
    assert main(["needed", *words, "--quiet"]) == 2
    output, error = capsys.readouterr()
    assert output == ""
    assert error.startswith("denoscope: ")
    assert error.count("\n") == 1
    assert re.search(re.escape(said), error), error
    assert sorted(tmp_path.iterdir()) == before


def test_the_command_writes_page_numbers_and_table_and_says_it_in_words(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = tmp_path / "answer"
    assert main(["needed", "--data", "digits", "--n", "40", "--out", str(out)]) == 0
    output, error = capsys.readouterr()
    assert output.splitlines()[-1] == str(out / "needed.html")
    assert "read 1797 images" in error
    assert "Your 40 images span 39 of 61 directions (61 of 64 pixels vary)" in output
    numbers = json.loads((out / "needed.json").read_text(), parse_constant=pytest.fail)
    assert numbers["images"]["others"] == 1757
    assert numbers["images"]["sha256"] == read_images("digits").sha256
    assert numbers["verdict"][0] in output
    assert f"at least {numbers['needed']['kl']['no_ridge']['low']} images" in output
    assert numbers["versions"]["denoscope"]
    rows = list(csv.DictReader((out / "needed.csv").open()))
    assert [int(row["n"]) for row in rows] == [row["n"] for row in numbers["sizes"]]
    assert rows[0]["kl"] == ""
    page = (out / "needed.html").read_text()
    for word in (
        "Are there enough images?",
        "Merger",
        "39 directions spanned",
        "1\u00a0757 others check",
    ):
        assert word in page
    assert "nan" not in page.lower().split("<body")[1].replace("nano", "")
    assert {path.suffix for path in (out / "figures").iterdir()} == {".svg", ".png"}


def _page(found: tuple[Answers, Sample]) -> tuple[Page, list[ClaimRow]]:
    page = build(*found, "denoscope needed", {"denoscope": "1.0"})
    blocks = [*page.opening, *(block for section in page.sections for block in section.blocks)]
    return page, [row for block in blocks if isinstance(block, Claims) for row in block.rows]


def test_the_first_line_says_yes_or_no_by_the_whole_interval(tmp_path: Path) -> None:
    data = _law_file(tmp_path, np.random.default_rng(0).standard_normal((700, 16)))
    for goal, word, agreement in ((0.004, "No", "disagrees"), (0.2, "Yes", "agrees")):
        found = _asked(data, kl=goal, range=(-6.0, 6.0))
        page, claims = _page(found)
        assert page.answer.startswith(f"{word}: a linear model needs about ")
        assert page.answer.endswith("images, and you have 700.")
        assert verdict(*found)[0].startswith(f"**{page.answer}**")
        assert claims[0].agreement == agreement
        assert isinstance(page.opening[0], Figure)


def test_claims_and_readings_are_the_numbers_of_the_answer(forty: tuple[Answers, Sample]) -> None:
    found, read = forty[0], readings(forty[0])
    assert [row.agreement for row in _page(forty)[1]] == ["disagrees", "agrees", "agrees", "new"]
    assert read.of("unseen").one is found.law.measured.unseen
    assert [r.value for r in read.of("stopped")] == [level.stopped for level in found.levels]


def test_what_it_rests_on_can_be_cited(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cite", "needed"]) == 0
    assert "Merger" in capsys.readouterr().out


def _law_file(tmp_path: Path, x: np.ndarray, name: str = "law.npz") -> str:
    """An ``.npz`` of square images with these values in [-6, 6], whatever their range."""
    side = round(x.shape[1] ** 0.5)
    images = np.clip(x, -6, 6).reshape(-1, side, side).astype(np.float32)
    np.savez(tmp_path / name, images=images)
    return str(tmp_path / name)


def _patches(photos: tuple[str, ...], side: int) -> np.ndarray:
    """Grey patches of scikit-learn's photographs, in [-1, 1]."""
    greys = [load_sample_image(name).mean(2) / 127.5 - 1 for name in photos]
    windows = [sliding_window_view(grey, (side, side))[::3, ::3] for grey in greys]
    return np.concatenate([part.reshape(-1, side * side) for part in windows])


def test_two_hundred_digits_leave_directions_empty_and_the_verdict_says_so() -> None:
    found = _asked("digits", n=200)
    said, law = verdict(*found), found[0].law
    assert said[0].startswith("**No: the divergence of a linear model of 200 images is infinite.**")
    assert "span 57 of 61 directions" in said[0]
    assert "with a ridge the divergence is finite" in said[0]
    assert "good" not in " ".join(said)
    assert law.now.method.startswith("infinite: 200 images span 57 of the 61 directions")
    assert law.measured.kl.method == "infinite: in 8 of 8 training sets of 200 images"


@pytest.mark.parametrize("side", [8, 12])
@pytest.mark.parametrize("photos", [("china.jpg",), ("flower.jpg",), ("china.jpg", "flower.jpg")])
def test_patches_of_photographs_diverge_as_predicted(photos: tuple[str, ...], side: int) -> None:
    rows, source = _patches(photos, side), np.random.default_rng(side)
    mean, cov, d = rows.mean(0), np.cov(rows.T, bias=True), side**2
    for times, least, most in ((3, 0.9, 2.0), (5, 0.85, 1.4), (10, 0.85, 1.3)):
        n, truth, low, value, high = times * d, [], [], [], []
        for _ in range(4):
            x = rows[source.permutation(len(rows))[:n]]
            truth.append(kl(mean, cov, x.mean(0), np.cov(x.T, bias=True)) / d)
            f = kurtosis(leads_of(torch.from_numpy(x)), d)
            low, value, high = (
                [*ends, any_law_kl(d, n, end)]
                for ends, end in ((low, f.low), (value, f.value), (high, f.high))
            )
        assert max(low) < np.mean(truth) < min(high)
        assert least < np.mean(value) / np.mean(truth) < most


@pytest.mark.parametrize("heavy", [False, True])
def test_the_measured_divergence_is_that_of_the_law(heavy: bool, tmp_path: Path) -> None:
    source = np.random.default_rng(5)
    x = source.standard_normal((4000, 16))
    x *= np.sqrt(10 / source.chisquare(12, (4000, 1))) if heavy else 1
    found, _ = _asked(_law_file(tmp_path, x), n=160, range=(-6.0, 6.0))
    fresh = [x[source.permutation(4000)[:160]] for _ in range(300)]
    mean, cov = x.mean(0), np.cov(x.T, bias=True)
    truth = np.mean([kl(mean, cov, y.mean(0), np.cov(y.T, bias=True)) / 16 for y in fresh])
    law = found.law
    assert law.measured.kl.n == 8
    assert law.measured.kl.value == pytest.approx(truth, rel=0.2)
    assert law.predicted.low < truth < law.predicted.high
    assert not law.infinite
    if not heavy:
        assert law.predicted.value == pytest.approx(expected_kl(16, 160) / 16, rel=0.05)


def test_a_measurement_that_disagrees_leads() -> None:
    rest = Estimate(0.5, 0.4, 0.6, 8)
    known = Measurement(Estimate(0.3, 0.28, 0.32, 8), rest, rest, 100, 900, "")
    f, e = Estimate(1.0, 0.9, 1.1, 100), Estimate(0.1, 0.09, 0.11, 100)
    law = Law(10, 10, 100, f, e, known, "", "")
    assert law.apart
    assert law.now is law.decisive is known.kl
    assert any_law_kl(10, 100, law.factor.high) == pytest.approx(0.32)
    near = replace(law, measured=replace(known, kl=Estimate(0.11, 0.105, 0.12, 8)))
    assert not near.apart
    assert (near.now, near.decisive, near.factor) == (e, near.measured.kl, f)
    absent = replace(law, measured=replace(known, kl=unavailable("none left")))
    assert not absent.apart
    assert absent.now is absent.decisive is e
    endless = replace(law, empty="infinite: no image varies in 1 of 11 directions")
    assert endless.now.value == endless.decisive.value == np.inf


@pytest.mark.parametrize(
    ("n", "said"),
    [
        (17, "At 17 images it is unknown, at least 0."),
        (19, "At 19 images it is unknown, at least 0.3"),
        (50, "At 50 images it is unknown within 0."),
        (80, "times that of Gaussian images, by their kurtosis"),
    ],
)
def test_few_images_do_not_tell_their_tails(n: int, said: str, tmp_path: Path) -> None:
    x = np.random.default_rng(n).standard_normal((n, 16))
    found = _asked(_law_file(tmp_path, x), range=(-6.0, 6.0))
    assert said in verdict(*found)[1]
    assert np.isfinite(found[0].law.kurtosis.high) == (n >= 20)
    assert found[0].law.now.low > 0.03


def test_a_pixel_that_never_varies_makes_the_divergence_infinite(tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((400, 16))
    x[:, 3] = 0.5
    found = _asked(_law_file(tmp_path, x), range=(-6.0, 6.0))
    assert found[0].law.now.method == "infinite: no image varies in 1 of 16 directions"
    first, second, *_ = verdict(*found)
    assert "infinite" in first
    assert "with a ridge the divergence is finite" in first
    assert "At 400 images and in 15 directions it is 0.0" in second


def test_doubled_images_count_once(tmp_path: Path) -> None:
    x = np.random.default_rng(2).standard_normal((200, 16))
    once, twice = (
        _asked(_law_file(tmp_path, some), range=(-6.0, 6.0))[0]
        for some in (x, np.concatenate([x, x]))
    )
    assert twice.law.predicted.value == pytest.approx(once.law.predicted.value)
    assert twice.law.n == 200


@pytest.mark.parametrize(
    ("count", "distinct", "varying", "n"),
    [(2, 2, 9, 0), (120, 3, 9, 0), (30, 30, 1, 0), (20, 2, 1, 0), (40, 40, 9, 39), (9, 9, 9, 2)],
)
def test_odd_sets_are_answered_without_a_warning(
    count: int, distinct: int, varying: int, n: int, tmp_path: Path
) -> None:
    x = np.zeros((distinct, 9))
    x[:, :varying] = np.random.default_rng(count).uniform(-1, 1, (distinct, varying))
    x = np.repeat(x, -(-count // distinct), 0)[:count]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = _asked(_law_file(tmp_path, x), n=n, range=(-1.0, 1.0))
        page = build(*found, "denoscope needed", {"denoscope": "1.0"})
    assert page.answer.partition(":")[0] in ("Yes", "No", "Undecided")
    assert found[0].law.now.low > 0
    assert found[0].law.n == min(distinct, n or count)


@pytest.mark.parametrize("rank", [60, 25])
def test_few_wide_images_are_their_coordinates(rank: int) -> None:
    source = torch.Generator().manual_seed(0)
    x = (
        torch.randn(60, rank, generator=source).double()
        @ torch.randn(rank, 300, generator=source).double()
    )
    short = coordinates(x)
    assert short.shape == (60, 60)
    away = x - x[0]
    torch.testing.assert_close(short @ short.T, away @ away.T, rtol=1e-10, atol=1e-8)
    wide, narrow = (crossed(_folds(rows), 300) for rows in (x, short))
    for a, b in zip(wide, narrow):
        assert len(b.lam) == 300
        np.testing.assert_allclose(a.lam, b.lam, rtol=1e-8, atol=1e-8)
        np.testing.assert_allclose(a.unseen, b.unseen, atol=1e-10)
        np.testing.assert_allclose(held_out([a], 0.9), held_out([b], 0.9), rtol=1e-8)
    assert coordinates(x[:, :50]).data_ptr() == x.data_ptr()


def test_few_wide_images_are_answered_without_a_warning(tmp_path: Path) -> None:
    crops = sliding_window_view(load_sample_image("china.jpg"), (32, 32, 3))[::50, ::50, 0]
    np.savez(tmp_path / "crops.npz", images=crops.reshape(-1, 32, 32, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = _asked(str(tmp_path / "crops.npz"), n=80)
        page = build(*found, "denoscope needed", {"denoscope": "1.0"})
    assert (found[0].d, found[0].law.spanned) == (3072, 79)
    assert page.answer == "No: the divergence of a linear model of 80 images is infinite."
    assert 0 < found[0].law.measured.unseen.value < found[0].law.measured.unseen.high < 0.2
    assert found[0].law.measured.over == "5 parts of other images"
    assert found[0].level.least > 0.25  # 104 images do not tell the law of 3 072 numbers


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = tmp_path / "none"
    words = ["needed", "--data", "digits", "--n", "100", "--dry-run", "--threads", "1", "--quiet"]
    assert main([*words, "--out", str(out)]) == 0
    output = capsys.readouterr().out
    assert "100 of 1797 images of 64 numbers, of which 61 vary" in output
    assert re.search(r"61 × 61 in 13 parts: about \d+ s", output)
    assert not out.exists()


@pytest.mark.slow
def test_json_stands_alone(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["needed", "--data", "digits", "--out", str(tmp_path), "--quiet", "--json"]) == 0
    output, error = capsys.readouterr()
    assert error == ""
    numbers = json.loads(output, parse_constant=pytest.fail)
    assert numbers == json.loads((tmp_path / "needed.json").read_text())
    assert numbers["unseen_share"]["others"] is None
    now, seen = numbers["kl_now"], numbers["measured"]
    assert now["value"] is now["low"] is now["high"] is None
    assert now["reason"].startswith("infinite")
    assert numbers["kurtosis"]["low"] > 1
    assert numbers["kurtosis"]["value"] is numbers["kurtosis"]["high"] is None
    assert seen["kl"]["value"] is None
    assert seen["kl"]["reason"] == "0 images left over, 1220 are needed"
    assert seen["loss"]["low"] < seen["loss"]["value"] < seen["loss"]["high"]
