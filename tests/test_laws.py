"""The laws over the zoo, and that each law catches what breaks it."""

from __future__ import annotations

import pytest
import torch
from rates import sigmas
from zoo import ZOO, normal

from denoscope.distributions import Gaussian
from denoscope.laws import denoiser as laws
from denoscope.laws import sampler
from denoscope.sampling import ancestral, dpmpp, euler, heun
from denoscope.types import pad

STEPS = {"euler": (lambda: euler, 1), "heun": (lambda: heun, 2), "dpmpp": (dpmpp, 2)}
zoo = pytest.mark.parametrize("D", ZOO.values(), ids=ZOO.keys())


@zoo
def test_every_denoiser_obeys_the_denoiser_laws(D):
    laws.check_denoiser(D, D.event_shape)


@zoo
def test_every_closed_form_is_a_posterior_mean_exactly(D):
    laws.check_closed_form(D)


@zoo
def test_every_closed_form_is_the_posterior_mean_of_its_own_samples(D):
    n = D.event_shape.numel()
    laws.check_posterior_mean(D, z=sigmas(3 * n * n + n))


@zoo
def test_limits_are_the_mean_and_the_identity_on_the_support(D):
    laws.check_limits(D, D.sample(8, torch.Generator().manual_seed(0)), D.mean)


@pytest.mark.parametrize(("make_step", "order"), STEPS.values(), ids=STEPS.keys())
def test_every_deterministic_step_obeys_the_sampler_laws(make_step, order):
    sampler.check_sampler(make_step, order)


def test_ancestral_needs_noise():
    sampler.check_needs_noise(lambda: ancestral)


def _whole_batch(x, sigma):
    return x / (1 + pad(sigma, x) ** 2) + 0.1 * x.mean()


def _skewed(x, sigma):
    return x.roll(1, -1) / (1 + pad(sigma, x) ** 2)


class _Cut(torch.autograd.Function):
    """The identity with half of its derivative."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x):
        return x.clone()

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def backward(ctx, grad):
        return 0.5 * grad

    @staticmethod
    def jvp(ctx, tangent):
        return tangent.clone()


BROKEN = {
    "prefix": (
        lambda: laws.check_prefix_rule(
            lambda x, s: x / (1 + s.reshape(-1, *[1] * (x.ndim - 1))[:1] ** 2), (5,)
        ),
        "prefix rule",
    ),
    "type": (lambda: laws.check_prefix_rule(lambda x, s: x.float(), (5,)), "the answer"),
    "axes": (
        lambda: laws.check_extra_axes(lambda x, s: x / (1 + pad(s, x) ** 2) * x.shape[0], (5,)),
        "extra axes",
    ),
    "jvp": (lambda: laws.check_jvp(lambda x, s: x + x.detach(), (5,)), "jvp"),
    "adjoint": (lambda: laws.check_adjoint(lambda x, s: _Cut.apply(x), (5,)), "adjoint"),
    "vmap": (lambda: laws.check_vmap(_whole_batch, (5,)), "vmap"),
    "symmetry": (lambda: laws.check_symmetric(_skewed, (5,)), "symmetry"),
    "positive": (lambda: laws.check_symmetric(lambda x, s: -x, (5,)), "below zero"),
    "limit": (
        lambda: laws.check_limits(lambda x, s: x, normal(3, 5), torch.zeros(5).double()),
        "large sigma",
    ),
    "order": (lambda: sampler.check_order(lambda: euler, 2), "measured"),
    "noise": (
        lambda: sampler.check_deterministic(
            lambda: lambda D, x, s, t, noise: x + (noise or torch.zeros_like)(x)
        ),
        "called noise",
    ),
    "needs noise": (lambda: sampler.check_needs_noise(lambda: euler), "ValueError"),
    "batch": (
        lambda: sampler.check_independence(_whole_batch, normal(3, 5), [2.0, 1.0], lambda: euler),
        "depends on its batch",
    ),
    "inversion": (
        lambda: sampler.check_inversion(_skewed, normal(3, 5), [2.0, 1.0], euler, tolerance=1e-6),
        "round trip",
    ),
}


@pytest.mark.parametrize(("law", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_each_law_catches_what_breaks_it(law, message):
    with pytest.raises(AssertionError, match=message):
        law()


class _Biased(Gaussian):
    def __call__(self, x, sigma):
        return super().__call__(x, sigma) + 0.05


def test_the_laws_of_posterior_means_catch_a_bias():
    biased = _Biased(torch.zeros(3).double(), torch.eye(3).double())
    with pytest.raises(AssertionError, match="Tweedie"):
        laws.check_tweedie(biased)
    with pytest.raises(AssertionError, match="standard errors"):
        laws.check_posterior_mean(biased, z=6.0)
