"""Closed forms of a training set: the sampled linear model against its exact law, and the law
against that of the ODE.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from rates import sigmas

from denoscope.data.sources import Source
from denoscope.data.splits import Split
from denoscope.fitting.closed_forms import ClosedForms
from denoscope.geometry.distances import denoising_errors
from denoscope.metrics.modewise import squares

WHERE = Split(Source("digits"), None, 200, 24, 0)


def test_the_law_is_that_of_the_solver_and_tends_to_the_ode() -> None:
    gaps = []
    for steps in (12, 48):
        model = ClosedForms(WHERE, 10, steps).linear()
        lead = model.groups["leading"]
        gaps.append(np.abs(model.law[lead] / model.ode[lead] - 1).max())
        assert np.allclose(model.law[model.seen :], 0, atol=1e-12)
    assert gaps[1] < 0.1 * gaps[0]


def test_samples_have_their_exact_law() -> None:
    model = ClosedForms(WHERE, 4000, 18).linear()
    each = squares(model.samples, model.vectors["own"])[:, : model.seen].astype(np.float64)
    error = each.std(0) / np.sqrt(len(each))
    assert (np.abs(each.mean(0) - model.law[: model.seen]) < sigmas(model.seen) * error).all()


def test_the_leading_directions_hold_half_of_the_variance() -> None:
    model = ClosedForms(WHERE, 10, 4).linear()
    share = model.values["own"].cumsum() / model.values["own"].sum()
    assert share[model.leading - 1] >= 0.5 > share[model.leading - 2]
    assert model.seen == 23  # 24 images less their mean


def test_denoising_errors_are_of_the_same_noise_at_every_level() -> None:
    """What does nothing has the error of the noise itself; few images are repeated."""
    images = WHERE.train()
    found = denoising_errors(lambda x, sigma: x, images, [0.5, 2.0], least=50)
    assert found.shape == (2, 50)
    assert torch.allclose(found[1], 16 * found[0], rtol=1e-5)
    assert float(found[0].mean()) == pytest.approx(0.25, rel=0.1)
