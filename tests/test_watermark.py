"""Watermarks: carriers, the exact law of p for every image, keys and their files, and the closed
forms of what a mark costs on a Gaussian.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable

import numpy as np
import pytest
import torch
from rates import FAILURE_RATE, sigmas
from scipy import stats
from torch import Tensor
from zoo import covariances, normal

from denoscope.apply.edit import path
from denoscope.apply.watermark import (
    Carrier,
    Detection,
    Key,
    band,
    corrected,
    detect,
    embed,
    exactly_one,
    holm,
    identify,
    key_directions,
    leading_directions,
    mark,
    marked,
    published,
    reading,
    readings_of_keys,
    sampled,
    secret,
    states,
)
from denoscope.data import read_images
from denoscope.distributions import Gaussian
from denoscope.estimate import proportion
from denoscope.geometry import jacobian, project_out
from denoscope.levels import karras
from denoscope.networks import MLP, Preconditioned
from denoscope.random import Seeds, generator
from denoscope.sampling import euler, invert, sample
from denoscope.theory.watermarks import (
    cosine_tail,
    cosine_threshold,
    ddim_gain,
    inversion_gain,
    mean_square,
    posterior_gain,
    power,
    psnr,
    recovered,
)

SHAPE, SIGMA = (1, 8, 8), 1.2
LEVELS = karras(12, 0.02, 40.0)


def gaussian(shape: tuple[int, ...] = SHAPE) -> Gaussian:
    n = math.prod(shape)
    return Gaussian(normal(*shape, seed=3), covariances(1, n, seed=3)[0])


def network(shape: tuple[int, ...] = SHAPE) -> Preconditioned:
    net = MLP(shape, 24, seed=2)
    for place, part in enumerate(net.parameters()):
        part.data = torch.randn(part.shape, generator=generator(5, place)) / 4
    return Preconditioned(net).double().requires_grad_(False)


def spaces() -> dict[str, Carrier]:
    found = {}
    for shape in [(1, 8, 8), (3, 7, 7), (2, 6, 9), (5, 4)]:
        for name, radius in (("high", 2), ("low", 1.5), ("ring", 1)):
            found[f"{name} {shape}"] = Carrier(shape, band(shape, name, radius))
    found["all"] = Carrier((2, 5))
    found["null"] = Carrier((1, 4, 5), removed=torch.linalg.qr(normal(20, 7)).Q)
    return found


def basis(space: Carrier) -> Tensor:
    """An orthonormal basis (m, *shape) from the projector alone."""
    n = math.prod(space.shape)
    whole = space.project(torch.eye(n, dtype=torch.float64).reshape(n, *space.shape)).flatten(1)
    values, vectors = torch.linalg.eigh(whole)
    return vectors[:, values > 0.5].T.reshape(-1, *space.shape)


@pytest.mark.parametrize("name", spaces())
def test_a_carrier_is_a_real_space_of_its_dimension(name: str) -> None:
    space = spaces()[name]
    n = math.prod(space.shape)
    P = space.project(torch.eye(n, dtype=torch.float64).reshape(n, *space.shape)).flatten(1)
    torch.testing.assert_close(P, P.T)
    torch.testing.assert_close(P @ P, P)
    assert float(P.trace()) == pytest.approx(space.dimension)
    assert len(basis(space)) == space.dimension


@pytest.mark.parametrize("side", [7, 8])
def test_bands_hold_the_waves_of_their_frequencies(side: int) -> None:
    grid = torch.arange(side, dtype=torch.float64)
    for down in range(side // 2 + 1):
        for right in range(side // 2 + 1):
            wave = torch.cos(2 * math.pi * (down * grid[:, None] + right * grid) / side + 0.3)
            low = Carrier((side, side), band((side, side), "low", 2.5))
            high = Carrier((side, side), band((side, side), "high", 2.5))
            ring = Carrier((side, side), band((side, side), "ring", 1.5))
            away = math.hypot(side / 2 - down, side / 2 - right)
            for space, inside in (
                (low, math.hypot(down, right) <= 2.5),
                (high, away <= 2.5),
                (ring, 1.5 < math.hypot(down, right) <= 3),
            ):
                torch.testing.assert_close(space.project(wave), wave if inside else 0 * wave)


def test_the_null_space_is_that_of_the_mean_jacobian() -> None:
    D, x = network(), normal(3, *SHAPE)
    mean = jacobian(D, x, torch.full((3,), SIGMA).double()).mean(0)
    V = torch.linalg.svd(mean).Vh[:4].T
    found = leading_directions(D, x, SIGMA, 4)
    assert project_out(found, V).norm(dim=0).max() < 1e-2
    one = leading_directions(D, x[:1], SIGMA, 2)
    first = torch.linalg.svd(jacobian(D, x[0], SIGMA)).Vh[:2].T
    assert project_out(one, first).norm(dim=0).max() < 1e-2
    key = Key.make(1, SHAPE, "null", SIGMA, D=D, images=x[:2], sigmas=LEVELS, rank=10)
    assert key.dimension == 54
    assert key.removed is not None
    inner = key.direction.flatten() @ torch.linalg.qr(key.removed.double()).Q
    assert inner.abs().max() < 1e-12


def test_the_p_value_is_that_of_a_t_statistic() -> None:
    """An independent form of the same law: c sqrt((m - 1)/(1 - c^2)) is Student's, m - 1."""
    c = np.array([-0.9, -0.2, 0.0, 1e-3, 0.4, 0.97])
    for m in (2, 5, 29, 784):
        t = c * np.sqrt((m - 1) / (1 - c**2))
        np.testing.assert_allclose(cosine_tail(c, m), stats.t.sf(t, m - 1), rtol=1e-9)
    assert cosine_tail(1.0, 9) == 0
    assert cosine_tail(-1.0, 9) == 1


def test_thresholds_are_where_the_tail_is_the_level() -> None:
    levels = np.array([1e-6, 1e-4, 0.01, 0.3, 0.5])
    for m in (2, 13, 784):
        np.testing.assert_allclose(cosine_tail(cosine_threshold(levels, m), m), levels, rtol=1e-4)


@pytest.mark.parametrize("ratio", [0.05, 0.3, 0.9, 1.1, 3.0])
def test_the_power_of_a_step_is_the_share_of_keys_that_are_found(ratio: float) -> None:
    """A given image, 20 000 fresh keys: exact, for every image."""
    space, z = Carrier((1, 4, 5)), normal(1, 4, 5)
    own = float(z.norm())
    keys = key_directions(space, (secret(6, i) for i in range(20_000)))
    for level in (0.3, 0.01, 1e-4):
        found = reading(z + ratio * own * keys, keys, space).p <= level
        share = proportion(float(found.sum()), len(found), 1 - FAILURE_RATE)
        assert share.low <= power(ratio * own, own, 20, level) <= share.high
    assert power(0.0, own, 20, 0.01) == pytest.approx(0.01)
    assert power(np.array([1.0, 2.0]), np.array([[1.0], [3.0]]), 20, 0.01).shape == (2, 2)


KINDS = {
    "high": lambda D, x: Key.make(0, SHAPE, "high", SIGMA),
    "low": lambda D, x: Key.make(0, SHAPE, "low", SIGMA),
    "null": lambda D, x: Key.make(0, SHAPE, "null", SIGMA, D=D, images=x, sigmas=LEVELS, rank=9),
}


@pytest.mark.parametrize("kind", KINDS)
def test_p_is_uniform_for_every_image_that_does_not_depend_on_the_key(kind: str) -> None:
    """120 000 pairs of real images, as they are, attacked or marked with another key, inverted by
    a network that was never trained, each pair with a fresh key.
    """
    D = network()
    x = read_images("digits").data[:200].double()
    key = KINDS[kind](D, x[:4])
    other = embed(D, x, Key.make(77, SHAPE, "all", SIGMA), 3.0, LEVELS)
    images = torch.cat([x, x.roll(1, -1).clamp(-0.5, 0.5), other])
    z = states(D, images, SIGMA, LEVELS)
    looks = 200
    fresh = key_directions(key.space, (secret(9, i) for i in range(looks * len(z))))
    p = reading(z.repeat(looks, 1, 1, 1), fresh, key.space).p.reshape(looks, 3, 200)
    assert p.numel() == 120_000
    for part in (p[:, i].flatten() for i in range(3)):
        assert stats.kstest(part.numpy(), "uniform").pvalue > FAILURE_RATE
        for level in (1e-1, 1e-2, 1e-3):
            hits = proportion(float((part <= level).sum()), part.numel(), 1 - FAILURE_RATE)
            assert hits.low <= level <= hits.high
    white = published(z, fresh[0], key.space, float(key.space.project(z).flatten(1).norm(dim=1)[0]))
    assert stats.kstest(white.p.numpy(), "uniform").pvalue < FAILURE_RATE


def test_published_readings_of_many_keys_are_those_of_each() -> None:
    space = Carrier(SHAPE)
    z = torch.randn(3, *SHAPE, generator=torch.Generator().manual_seed(0)).double()
    keys = key_directions(space, (secret(4, i) for i in range(3)))
    found = published(z, keys, space, 2.0)
    for i in range(3):
        one = published(z[i : i + 1], keys[i], space, 2.0)
        assert float(found.p[i]) == pytest.approx(float(one.p))
        assert float(found.distance[i]) == pytest.approx(float(one.distance))


def test_keys_are_uniform_on_the_sphere_of_the_carrier() -> None:
    space, count = Carrier(SHAPE, band(SHAPE, "high", 2)), 4000
    rows = key_directions(space, (secret(1, i) for i in range(count))).flatten(1)
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(count).double())
    coordinates = rows @ basis(space).flatten(1).T
    m = space.dimension
    second = m * coordinates.T @ coordinates / count
    bound = sigmas(m**2) * math.sqrt(2 / count)
    assert (second - torch.eye(m)).abs().max() < bound
    assert coordinates.mean(0).abs().max() * math.sqrt(m * count) < sigmas(m)


def test_key_and_sampling_streams_of_one_seed_have_nothing_in_common() -> None:
    seeds, space = range(2000), Carrier(SHAPE)
    noise = Seeds(seeds).randn(SHAPE, torch.float64)
    p = reading(noise, key_directions(space, map(secret, seeds)), space).p
    assert stats.kstest(p.numpy(), "uniform").pvalue > FAILURE_RATE
    shared = noise / noise.flatten(1).norm(dim=1)[:, None, None, None]
    assert reading(noise, shared, space).p.max() < 1e-9


def test_nothing_in_the_carrier_says_nothing() -> None:
    space = Carrier(SHAPE, band(SHAPE, "high", 2))
    flat = torch.ones(2, *SHAPE).double()
    found = reading(flat, key_directions(space, [secret(1)]), space)
    assert found == Detection(found.p, found.cosine, 13)
    assert found.p.tolist() == [1, 1]
    assert found.cosine.tolist() == [0, 0]
    assert readings_of_keys(flat, key_directions(space, [secret(1)] * 3), space).p.min() == 1


def test_several_looks_are_corrected() -> None:
    D, key = gaussian(), Key.make(5, SHAPE, "high", SIGMA)
    x = D.sample(2000, generator(1))
    fresh = key_directions(key.space, (secret(4, i) for i in range(2000)))
    shifted = [torch.roll(x, (a, b), (-2, -1)) for a in (-1, 0, 1) for b in (-1, 0, 1)]
    p = torch.stack([reading(part, fresh, key.space).p for part in shifted], -1)
    for level, values in ((0.01, corrected(p)), (0.05, corrected(p))):
        hits = proportion(float((values <= level).sum()), 2000, 1 - FAILURE_RATE)
        assert hits.low <= level
    assert proportion(float((p.amin(-1) <= 0.01).sum()), 2000, 1 - FAILURE_RATE).low > 0.01
    image = embed(D, x[:1], key, 20.0, LEVELS)
    moved = torch.roll(image, (1, -1), (-2, -1))
    assert detect(D, moved, key, LEVELS, shifts=1).p < 1e-4
    assert detect(D, image, key, LEVELS, shifts=1).p == pytest.approx(
        min(1.0, 9 * float(detect(D, image, key, LEVELS).p))
    )


def test_a_key_that_was_drawn_until_it_looks_good_is_one_of_several_looks() -> None:
    space, z = Carrier(SHAPE), normal(1500, *SHAPE)
    keys = key_directions(space, (secret(7, i) for i in range(1500 * 20)))
    p = reading(z[:, None], keys.reshape(1500, 20, *SHAPE), space).p
    chosen, honest = p.amin(-1), corrected(p)
    assert proportion(float((chosen <= 0.01).sum()), 1500, 1 - FAILURE_RATE).low > 0.01
    assert proportion(float((honest <= 0.01).sum()), 1500, 1 - FAILURE_RATE).low <= 0.01


@pytest.mark.parametrize("name", ["high", "low", "ring", "all"])
def test_marks_in_colour_and_odd_sizes_are_found(name: str) -> None:
    shape = (3, 7, 9)
    D = gaussian(shape)
    key, x = Key.make(2, shape, name, SIGMA), D.sample(12, generator(3))
    other = Key.make(3, shape, name, SIGMA)
    image = embed(D, x, key, 12.0, LEVELS, how="informed")
    assert detect(D, image, key, LEVELS).p.max() < 1e-6
    assert detect(D, image, other, LEVELS).p.min() > FAILURE_RATE
    assert detect(D, x, key, LEVELS).p.min() > FAILURE_RATE
    assert key.dimension % 3 == 0


@pytest.mark.parametrize("name", ["high", "low", "ring", "all", "null"])
def test_what_a_mark_costs_on_a_gaussian_is_its_closed_form(name: str) -> None:
    """Exactly: the mean over an orthonormal basis of the carrier is the mean over its sphere."""
    D = gaussian()
    x = D.sample(2, generator(2))
    more = {"D": D, "images": x, "sigmas": LEVELS, "rank": 20} if name == "null" else {}
    key = Key.make(3, SHAPE, name, SIGMA, **more)
    values, vectors = torch.linalg.eigh(D.cov)
    shares = key.space.project(vectors.T.reshape(-1, *SHAPE)).flatten(1).square().sum(1)
    along, strength, levels = basis(key.space), 2.5, path(SIGMA, LEVELS)
    step = strength * math.sqrt(1 + SIGMA**2)
    rows = x[:1].expand(len(along), *SHAPE)
    found = marked(D, rows, key, strength, LEVELS, direction=along, refine=2)
    gain = ddim_gain(values, levels)
    squared = (found.images - found.unmarked).square().flatten(1).sum(1)
    assert float(squared.mean()) == pytest.approx(step**2 * float(mean_square(gain, shares)))
    torch.testing.assert_close(found.length, torch.full_like(found.length, strength))
    z = invert(D, found.images, levels, refine=2) - invert(D, found.unmarked, levels, refine=2)
    share = (z * along).flatten(1).sum(1).mean() / step
    back = inversion_gain(values, levels, 2)
    assert float(share) == pytest.approx(float(recovered(gain, back, shares)))
    at = invert(D, rows, levels, refine=2)
    moved = mark(at, along, key.space, SIGMA, strength, "additive")
    change = (D(moved, torch.tensor(SIGMA)) - D(at, torch.tensor(SIGMA))).square().flatten(1).sum(1)
    mean = step**2 * float(mean_square(posterior_gain(values, SIGMA), shares))
    assert float(change.mean()) == pytest.approx(mean)
    J = D.cov @ torch.linalg.inv(D.cov + SIGMA**2 * torch.eye(64))
    frobenius = key.space.project(J.reshape(64, *SHAPE)).square().sum()
    assert mean == pytest.approx(step**2 * float(frobenius) / key.dimension)


def test_the_mean_over_keys_is_the_closed_form_too() -> None:
    D = gaussian()
    key, x = Key.make(0, SHAPE, "all", SIGMA), gaussian().sample(1, generator(0))
    directions = key_directions(key.space, (secret(2, i) for i in range(200)))
    found = marked(D, x.expand(200, *SHAPE), key, 3.0, LEVELS, direction=directions)
    ratios = (found.images - found.unmarked).square().flatten(1).sum(1) / (9 * (1 + SIGMA**2))
    true = float(
        mean_square(ddim_gain(torch.linalg.eigvalsh(D.cov), path(SIGMA, LEVELS)), [1] * 64)
    )
    error = float(ratios.std() / math.sqrt(200))
    assert abs(float(ratios.mean()) - true) < sigmas() * error
    assert error < 0.05 * true
    db = psnr(9 * (1 + SIGMA**2) * true, 64)
    assert db == pytest.approx(-10 * math.log10(9 * (1 + SIGMA**2) * true / 64 / 4))


def test_the_refined_inverse_gain_undoes_the_gain() -> None:
    spectrum, levels = np.array([0.0, 0.1, 1.0, 7.0]), [2.0, 0.7, 0.1, 0.0]
    product = ddim_gain(spectrum[1:], levels) * inversion_gain(spectrum[1:], levels, 400)
    np.testing.assert_allclose(product, 1, rtol=1e-9)


def test_off_the_leading_directions_a_mark_costs_less_at_equal_strength() -> None:
    D = gaussian()
    x = D.sample(1, generator(2))
    values = torch.linalg.eigvalsh(D.cov)
    gain = ddim_gain(values, path(SIGMA, LEVELS))
    costs = []
    for rank in (4, 20, 50):
        key = Key.make(3, SHAPE, "null", SIGMA, D=D, images=x, sigmas=LEVELS, rank=rank)
        along = basis(key.space)
        found = marked(D, x.expand(len(along), *SHAPE), key, 1.0, LEVELS, direction=along)
        squared = (found.images - found.unmarked).square().flatten(1).sum(1).mean()
        kept = np.arange(64) < 64 - rank
        predicted = (1 + SIGMA**2) * float(mean_square(gain, kept.astype(float)))
        assert float(squared) == pytest.approx(predicted, rel=2e-2)
        costs.append(float(squared))
    assert costs[0] > 1.2 * costs[1] > 1.44 * costs[2]


@pytest.mark.parametrize("strength", [0.3, 2.0, 30.0])
def test_informed_embedding_has_the_largest_cosine_within_its_strength(strength: float) -> None:
    key, x = Key.make(4, SHAPE, "high", SIGMA), 2 * normal(6, *SHAPE)
    found = mark(x, key.direction, key.space, SIGMA, strength, "informed")
    length = strength * math.sqrt(1 + SIGMA**2)
    assert (found - x).flatten(1).norm(dim=1) == pytest.approx(length)
    torch.testing.assert_close(key.space.project(found - x), found - x)
    best = reading(found, key.direction, key.space).cosine
    tries = basis(key.space).flatten(1)
    step = normal(6, 3000, 13, seed=8)
    step = length * step / step.norm(dim=-1, keepdim=True) @ tries
    other = reading(x[:, None] + step.reshape(6, 3000, *SHAPE), key.direction, key.space).cosine
    assert (best >= other.amax(1) - 1e-12).all()
    added = mark(x, key.direction, key.space, SIGMA, strength, "additive")
    assert (best >= reading(added, key.direction, key.space).cosine - 1e-12).all()
    replaced = mark(x, key.direction, key.space, SIGMA, strength, "replace")
    assert reading(replaced, key.direction, key.space).cosine == pytest.approx(1)


def test_a_mark_is_found_with_its_key_and_its_model_and_nothing_else() -> None:
    D, x = gaussian(), gaussian().sample(40, generator(6))
    key = Key.make(1, SHAPE, "all", SIGMA)
    image = embed(D, x, key, 6.0, LEVELS)
    found = detect(D, image, key, LEVELS)
    assert found.dimension == 64
    assert (found.p < 1e-3).double().mean() > 0.9
    other = detect(D, image, Key.make(2, SHAPE, "all", SIGMA), LEVELS)
    assert other.p.min() > FAILURE_RATE / 40
    assert detect(D, x, key, LEVELS).p.min() > FAILURE_RATE / 40


def test_marks_while_sampling_and_a_strength_of_zero_is_the_sample() -> None:
    D, noise = gaussian(), 40 * normal(3, *SHAPE)
    key = Key.make(1, SHAPE, "high", SIGMA)
    found = sampled(D, noise, key, 0.0, LEVELS)
    assert torch.equal(found.images, found.unmarked)
    with_level = torch.cat([LEVELS[LEVELS > SIGMA], path(SIGMA, LEVELS)])
    torch.testing.assert_close(found.unmarked, sample(D, noise, with_level, euler))
    at_top = Key.make(1, SHAPE, "low", 40.0)
    tree_ring = sampled(D, noise, at_top, 8.0, LEVELS, how="replace")
    z = states(D, tree_ring.images, 40.0, LEVELS, refine=40)
    assert reading(z, at_top.direction, at_top.space).cosine.min() > 0.99


def test_latents_are_the_callers() -> None:
    """A mark in the latents of an orthogonal encoder is a mark in images."""
    D, turn = gaussian((64,)), torch.linalg.qr(normal(64, 64)).Q
    x = (gaussian().sample(20, generator(1)).flatten(1) @ turn.T).reshape(20, *SHAPE)
    key = Key.make(1, (64,), "all", SIGMA)
    image = (embed(D, x.flatten(1) @ turn, key, 8.0, LEVELS) @ turn.T).reshape(20, *SHAPE)
    assert detect(D, image.flatten(1) @ turn, key, LEVELS).p.median() < 1e-4


def test_identification_keeps_its_family_wise_level_and_finds_the_key() -> None:
    space = Carrier(SHAPE)
    keys = key_directions(space, (secret(3, i) for i in range(200)))
    clean = normal(3000, *SHAPE)
    wrong = float((identify(clean, keys, space, 0.05).many > 0).sum())
    assert proportion(wrong, 3000, 1 - FAILURE_RATE).low <= 0.05
    z = clean[:50] / 8 + 2 * keys[:50]
    found = identify(z, keys, space)
    right = found.key == torch.arange(50)
    assert (right | (found.key == -1)).all()
    assert proportion(float(right.sum()), 50, 1 - FAILURE_RATE).high >= 0.99
    assert right.sum() > 40
    assert found.adjusted.shape == (50, 200)
    forged = identify(z[:25] + z[25:], keys, space)
    assert (forged.many >= 2).sum() > 20
    assert (forged.key[forged.many >= 2] == -1).all()


def test_holm_is_the_step_down_rule() -> None:
    p = torch.tensor([[0.01, 0.04, 0.03, 0.005], [0.9, 0.8, 0.3, 0.2]]).double()
    expected = torch.tensor([[0.03, 0.06, 0.06, 0.02], [1.0, 1.0, 0.9, 0.8]]).double()
    torch.testing.assert_close(holm(p), expected)
    key, many = exactly_one(holm(p), 0.025)
    assert (key.tolist(), many.tolist()) == ([3, -1], [1, 0])


@pytest.mark.parametrize("name", ["high", "null"])
def test_a_key_is_the_same_from_its_file(name: str, tmp_path) -> None:
    D = gaussian()
    more = {"D": D, "images": normal(2, *SHAPE), "sigmas": LEVELS, "rank": 5}
    key = Key.make(12, SHAPE, name, SIGMA, model="ab" * 32, **(more if name == "null" else {}))
    back = Key.load(key.save(tmp_path / "key.json"))
    assert torch.equal(back.direction, key.direction)
    assert back.fingerprint == key.fingerprint
    assert (back.sigma, back.steps, back.model) == (SIGMA, 25, "ab" * 32)
    assert key.fingerprint != Key.make(13, SHAPE, "high", SIGMA).fingerprint
    assert json.loads((tmp_path / "key.json").read_text())["fingerprint"] == key.fingerprint


@pytest.mark.parametrize(
    "change",
    [{"sigma": 1.3}, {"steps": 26}, {"secret": "00" * 32}, {"model": "x"}, {"hmac": ""},
     {"fingerprint": "0"}, {"shape": [1, 8, 9]}, {"radius": 3}],
)  # fmt: skip
def test_a_changed_key_file_is_told(change: dict, tmp_path) -> None:
    file = Key.make(12, SHAPE, "high", SIGMA).save(tmp_path / "key.json")
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(ValueError, match="was changed or damaged: its HMAC does not fit"):
        Key.load(file)


def bad_file(content: str) -> Callable[..., object]:
    def load(folder) -> object:
        (folder / "k").write_text(content)
        return Key.load(folder / "k")

    return load


def make(**change) -> Callable[..., object]:
    given = {"seed": 1, "shape": SHAPE, "carrier": "high", "sigma": 1.0} | change
    return lambda folder: Key.make(**given)


KEY = Key.make(1, SHAPE, "high", SIGMA, model="ab" * 32)
BAD = {
    "is no key": bad_file("{"),
    "make one with `denoscope watermark key`": bad_file('{"kind": "x"}'),
    "is no whole key": bad_file('{"kind": "denoscope watermark key", "secret": "zz"}'),
    "No such file": lambda folder: Key.load(folder / "absent"),
    "carrier must be one of high, low, ring, all, null": make(carrier="mid"),
    "sigma must be a positive number": make(sigma=0.0),
    'the carrier "null" needs D and images': make(carrier="null"),
    "rank must be from 1 to 62": make(
        carrier="null", D=gaussian(), images=normal(1, *SHAPE), rank=63
    ),
    "at least 2 dimensions, this one has 1": make(carrier="low", radius=0.5),
    'have no bands: take "all" or "null"': make(shape=(9,)),
    "a secret has 32 bytes": make(seed=b"short"),
    "the key is for images of 1 × 8 × 8 numbers, not of 3 × 8 × 8": lambda folder: detect(
        gaussian(), normal(1, 3, 8, 8), KEY, LEVELS
    ),
    "belongs to the model sha256 abababababab": lambda folder: KEY.check(SHAPE, "cd" * 32),
    "the key is for sigma = 1.2, not for 2": lambda folder: KEY.check(SHAPE, sigma=2.0),
    "how must be one of": lambda folder: embed(
        gaussian(), normal(1, *SHAPE), KEY, 1.0, LEVELS, how="x"
    ),
    "strength must be at least 0": lambda folder: embed(
        gaussian(), normal(1, *SHAPE), KEY, -1.0, LEVELS
    ),
    "lies above the first": lambda folder: sampled(
        gaussian(), normal(1, *SHAPE), KEY, 1.0, [0.5, 0.1]
    ),
    "images must be finite": lambda folder: detect(
        gaussian(), math.nan * normal(1, *SHAPE), KEY, LEVELS
    ),
}


@pytest.mark.parametrize(("message", "mistake"), BAD.items())
def test_mistakes_are_named(message: str, mistake: Callable[..., object], tmp_path) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        mistake(tmp_path)
