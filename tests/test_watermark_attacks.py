"""Attacks that take a model or several images, and messages of bits."""

from __future__ import annotations

import math

import pytest
import torch
from rates import FAILURE_RATE, sigmas
from scipy import stats
from torch import Tensor
from zoo import covariances, normal

from denoscope.apply.edit import path
from denoscope.apply.watermark import (
    Carrier,
    Key,
    as_stored,
    band,
    decoded,
    detect,
    embed,
    exactly_one,
    forged,
    holm,
    key_directions,
    mark,
    mark_estimate,
    mark_message,
    marked,
    mended,
    message_directions,
    noise_level,
    protected,
    read_bits,
    readings_of_keys,
    regenerated,
    secret,
    states,
    subtracted,
    words,
)
from denoscope.data import from_uint8, to_uint8
from denoscope.data.perturb import GaussianNoise
from denoscope.distributions import Gaussian
from denoscope.estimate import proportion
from denoscope.levels import karras
from denoscope.random import generator
from denoscope.sampling import invert
from denoscope.theory.watermarks import ddim_gain, psnr

SHAPE, SIGMA = (1, 8, 8), 1.2
LEVELS = karras(12, 0.02, 40.0)


def gaussian() -> Gaussian:
    """Images that seldom leave [-1, 1]."""
    return Gaussian(0.05 * normal(*SHAPE, seed=3), covariances(1, 64, seed=3)[0] / 40)


def test_attacked_images_are_what_files_hold() -> None:
    x = 2 * normal(3, *SHAPE)
    assert torch.equal(as_stored(x), from_uint8(to_uint8(x)).double())
    assert torch.equal(as_stored(as_stored(x)), as_stored(x))
    D = gaussian()
    for found in (
        regenerated(D, as_stored(x), 1.0, LEVELS),
        subtracted(as_stored(x), x[0]),
        forged(as_stored(x), x[0]),
    ):
        assert torch.equal(as_stored(found), found)
        assert found.shape == x.shape


def test_regeneration_of_a_gaussian_is_its_gain_and_belongs_to_seeds() -> None:
    D = gaussian()
    x = as_stored(D.sample(400, generator(1)))
    found = regenerated(D, x, 1.0, LEVELS, seed=5)
    assert torch.equal(regenerated(D, x[:3], 1.0, LEVELS, seed=5), found[:3])
    assert not torch.equal(regenerated(D, x[:3], 1.0, LEVELS, seed=6), found[:3])
    values, vectors = torch.linalg.eigh(D.cov)
    gain = ddim_gain(values, path(1.0, LEVELS))
    along = (found - D.mean).flatten(1) @ vectors
    before = (x - D.mean).flatten(1) @ vectors
    top = gain.argmax()
    residual = along[:, top] - gain[top] * before[:, top]
    assert float(residual.std()) == pytest.approx(float(gain[top]), rel=sigmas() / math.sqrt(800))
    assert abs(float(residual.mean())) < sigmas() * float(gain[top]) / 20


def test_averaging_finds_the_mark_of_one_key_and_forges_it() -> None:
    D = gaussian()
    x = D.sample(450, generator(2))
    key = Key.make(1, SHAPE, "all", SIGMA)
    images, clean = as_stored(embed(D, x[:200], key, 6.0, LEVELS)), as_stored(x[200:400])
    estimate = mark_estimate(images, clean)
    rest = as_stored(x[400:])
    assert torch.equal(mark_estimate(images), images.mean(0))
    p = [
        detect(D, part, key, LEVELS).p
        for part in (
            as_stored(embed(D, rest, key, 6.0, LEVELS)),
            subtracted(as_stored(embed(D, rest, key, 6.0, LEVELS)), estimate),
            forged(rest, estimate),
            rest,
        )
    ]
    marks, removed, blamed, honest = (float((part < 1e-4).double().mean()) for part in p)
    assert marks > 0.9
    assert removed < 0.1
    assert blamed > 0.9
    assert honest == 0


def test_a_key_an_image_spreads_what_averaging_finds_and_the_rule_gives_no_name() -> None:
    """Images of many keys have little in common, and a second mark leaves two names: none."""
    D = gaussian()
    x = D.sample(100, generator(2))
    key = Key.make(1, SHAPE, "all", SIGMA)
    keys = key_directions(key.space, (secret(3, i) for i in range(20)))
    own = keys[torch.arange(100) % 20]
    images = as_stored(marked(D, x, key, 9.0, LEVELS, direction=own).images)
    blamed = forged(as_stored(x), mark_estimate(images, as_stored(x)))
    z = states(D, blamed, SIGMA, LEVELS)
    each = readings_of_keys(z, keys, key.space).p
    assert float((holm(each) < 0.01).any(-1).double().mean()) < 0.3
    twice = as_stored(marked(D, images, key, 9.0, LEVELS, direction=keys[5]).images)
    each = readings_of_keys(states(D, twice, SIGMA, LEVELS), keys, key.space).p
    one, many = exactly_one(holm(each))
    other = torch.arange(100) % 20 != 5
    assert float((many >= 2)[other].double().mean()) > 0.5
    assert (one[many >= 2] == -1).all()


def messages(n: int, bits: int, seed: int = 0) -> Tensor:
    return torch.rand(n, bits, generator=generator(7, seed)) < 0.5


def test_words_are_orthonormal_and_a_message_is_a_unit_direction_of_the_carrier() -> None:
    space = Carrier((1, 9, 9), band((1, 9, 9), "high", 3))
    along = words(space, secret(1), 12)
    rows = along.flatten(1)
    torch.testing.assert_close(rows @ rows.T, torch.eye(12).double())
    torch.testing.assert_close(space.project(along), along)
    bits = messages(50, 12)
    found = message_directions(bits, along)
    torch.testing.assert_close(found.flatten(1).norm(dim=1), torch.ones(50).double())
    assert torch.equal(read_bits(found, along), bits)
    with pytest.raises(ValueError, match="no room for 40 bits"):
        words(space, secret(1), 40)


@pytest.mark.parametrize("strength", [0.5, 3.0, 20.0])
def test_informed_messages_have_the_largest_least_margin_within_their_strength(
    strength: float,
) -> None:
    space, sent = Carrier(SHAPE), messages(6, 10)
    along, x = words(space, secret(2), 10), 2 * normal(6, *SHAPE)
    found = mark_message(x, sent, along, SIGMA, strength)
    length = strength * math.sqrt(1 + SIGMA**2)
    torch.testing.assert_close(
        (found - x).flatten(1).norm(dim=1), torch.full((6,), length).double()
    )
    signs = torch.where(sent, 1.0, -1.0).double()

    def least(z: Tensor) -> Tensor:
        return (signs * (z.flatten(-3) @ along.flatten(1).T)).amin(-1)

    step = normal(3000, 6, 10, seed=4).abs()
    step = length * step / step.norm(dim=-1, keepdim=True) * signs
    other = least(x + torch.tensordot(step, along, 1))
    assert (least(found) >= other.amax(0) - 1e-12).all()
    added = mark_message(x, sent, along, SIGMA, strength, "additive")
    assert (least(found) >= least(added) - 1e-12).all()
    same = mark(x, message_directions(sent, along), space, SIGMA, strength, "additive")
    torch.testing.assert_close(added, same)
    with pytest.raises(ValueError, match="a message is additive or informed, got 'replace'"):
        mark_message(x, sent, along, SIGMA, strength, "replace")


def test_bits_are_wrong_as_often_as_a_normal_number_is_negative() -> None:
    """White noise of deviation s: each bit errs with probability Phi(-L/(s sqrt(B)))."""
    space, bits, n = Carrier(SHAPE), 16, 4000
    along = words(space, secret(2), bits)
    sent = messages(n, bits)
    z = 3.0 * message_directions(sent, along) + 0.5 * normal(n, *SHAPE)
    wrong = (read_bits(z, along) != sent).double()
    rate = stats.norm.cdf(-3.0 / 0.5 / 4)
    assert abs(float(wrong.mean()) - rate) < sigmas() * math.sqrt(rate * (1 - rate) / wrong.numel())
    whole = float((wrong.sum(1) == 0).double().mean())
    right = (1 - rate) ** bits
    assert abs(whole - right) < sigmas() * math.sqrt(right * (1 - right) / n)


def test_reed_solomon_mends_half_as_many_bytes_as_it_adds() -> None:
    sent = messages(30, 64)
    code = protected(sent, 6)
    assert code.shape == (30, 112)
    for count, expected in ((0, True), (3, True), (4, False)):
        received = code.clone()
        for place in range(count):
            received[:, 8 * (3 * place + 1)] ^= True
        found, fine = mended(received, 6)
        right = (found == sent).all(1) & fine
        assert right.all() if expected else not right.any()


def test_a_message_in_images_comes_back() -> None:
    D, key = gaussian(), Key.make(1, SHAPE, "all", SIGMA)
    x, along, sent = D.sample(60, generator(3)), words(key.space, key.secret, 8), messages(60, 8)
    levels = path(SIGMA, LEVELS)
    z = invert(D, x, levels, refine=3)
    found = decoded(D, z, mark_message(z, sent, along, SIGMA, 8.0), levels)
    back = states(D, as_stored(found.images), SIGMA, LEVELS)
    assert float((read_bits(back, along) == sent).all(1).double().mean()) > 0.95
    back = states(D, as_stored(found.unmarked), SIGMA, LEVELS)
    chance = (read_bits(back, along) == sent).double().mean()
    assert stats.binomtest(round(480 * float(chance)), 480, 0.5).pvalue > FAILURE_RATE


def test_64_bits_in_images_of_128_by_128_whose_spectrum_is_known() -> None:
    """A stationary Gaussian with the spectrum (1 + |f|^2)^(-3/2): at more than 41 dB messages come
    back from 8-bit images, and Reed-Solomon bytes mend most of what noise of two steps breaks.
    """
    f = 128 * torch.fft.fftfreq(128, dtype=torch.float64)
    spectrum = (1 + f[:, None] ** 2 + f**2) ** -1.5
    spectrum = spectrum / spectrum.mean() * 0.35**2

    def times(x: Tensor, gain: Tensor) -> Tensor:
        return torch.fft.ifft2(torch.fft.fft2(x) * gain).real

    def D(x: Tensor, sigma: Tensor) -> Tensor:
        return times(x, spectrum / (spectrum + sigma**2))

    sigma, sent = noise_level(0.3), messages(30, 64)
    levels, x = path(sigma, karras(25)), as_stored(times(normal(30, 1, 128, 128), spectrum.sqrt()))
    key = Key.make(1, (1, 128, 128), "all", sigma)
    z = invert(D, x, levels, refine=3)
    for parity, noise, strength in ((0, 0.0, 8.0), (4, 0.016, 12.0)):
        code = protected(sent, parity) if parity else sent
        along = words(key.space, key.secret, code.shape[1])
        moved = mark_message(z, code, along, sigma, strength)
        image = as_stored(decoded(D, z, moved, levels).images)
        assert float(psnr(float((image - x).square().mean()))) > 41
        noisy = as_stored(GaussianNoise(noise)(image, 3))
        read = read_bits(states(D, noisy, sigma, karras(25)), along)
        whole = float((read == code).all(1).sum())
        back = (mended(read, parity)[0] if parity else read) == sent
        share = proportion(float(back.all(1).sum()), 30, 1 - FAILURE_RATE)
        assert share.value >= 0.9
        assert parity == 0 or whole < 24
