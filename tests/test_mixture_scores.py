"""Mixtures with exactly so many points of each subspace, and whether samples of them are copies,
novel or noise: against brute force and closed cases.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from rates import sigmas
from scipy.spatial.distance import cdist
from torch import Tensor

from denoscope.data.mixtures import FRESH, MixtureSplit, mixture_split
from denoscope.distributions import Empirical, MoLRG
from denoscope.estimate import Estimate, mean_ratio
from denoscope.geometry.subspaces import energies, onto_nearest
from denoscope.levels import karras
from denoscope.metrics.mixture_scores import placement, scores
from denoscope.random import generator
from denoscope.sampling import sample


def _number(value: object) -> float:
    assert isinstance(value, Estimate | float | int)
    return float(value)


def _closed(data: MixtureSplit, count: int) -> dict[str, Tensor]:
    """Samples of both closed forms from one noise."""
    levels = karras(18)
    start = levels[0] * torch.randn(count, data.train.shape[1], generator=generator(5)).double()
    return {
        "memorizer": sample(Empirical(data.train), start, levels),
        "truth": sample(data.truth, start, levels),
    }


@pytest.mark.parametrize(("n", "k", "d", "n_k"), [(48, 2, 3, 4), (10, 3, 3, 7), (5, 1, 4, 1)])
def test_data_have_exactly_n_k_points_of_each_of_k_orthogonal_subspaces(
    n: int, k: int, d: int, n_k: int
) -> None:
    found = mixture_split(0, n, k, d, n_k, 0.0)
    assert found.train.shape == (k * n_k, n)
    assert found.fresh.shape == (k * FRESH, n)
    joint = torch.cat(list(found.truth.bases), 1)
    assert torch.allclose(joint.T @ joint, torch.eye(k * d, dtype=torch.float64), atol=1e-12)
    for index, basis in enumerate(found.truth.bases):
        mine = found.train[index * n_k : (index + 1) * n_k]
        assert torch.allclose(mine @ basis @ basis.T, mine, atol=1e-12)
    assert float(found.fresh.square().mean()) == pytest.approx(
        d / n, rel=sigmas() * math.sqrt(2 / (d * k * FRESH))
    )


def test_ambient_noise_is_in_the_data() -> None:
    found = mixture_split(0, 20, 3, 2, 2000, 0.3)
    count = found.train.numel()
    assert float(found.train.square().mean()) == pytest.approx(
        2 / 20 + 0.3**2, abs=sigmas() * math.sqrt(60 / count)
    )
    away = placement(found.fresh, found.truth)["distance"]
    # n - d = 18 directions, less what choosing among three subspaces takes
    assert 0.9 * 0.3**2 * 16 < _number(away) < 0.3**2 * 18


def test_scores_are_those_of_brute_force() -> None:
    found = mixture_split(0, 20, 3, 2, 6, 0.0)
    generated = torch.randn(50, 20, generator=generator(7)) * 0.4
    values = scores(found, generated, {})
    data, train, fresh = (rows.double().numpy() for rows in (generated, found.train, found.fresh))

    def nearest(rows: np.ndarray) -> np.ndarray:
        return cdist(rows, train).min(1)

    assert _number(values["gl"]) == pytest.approx(
        (nearest(data) ** 2).mean() / (nearest(fresh) ** 2).mean(), rel=1e-5
    )
    assert _number(values["gl_unsquared"]) == pytest.approx(
        nearest(data).mean() / nearest(fresh).mean(), rel=1e-5
    )
    parts = np.stack([data @ basis.numpy() @ basis.numpy().T for basis in found.truth.bases])
    length = (parts**2).sum(-1)
    inner = parts[length.argmax(0), np.arange(50)]
    assert _number(values["gl_within"]) == pytest.approx(
        (nearest(inner) ** 2).mean() / (nearest(fresh) ** 2).mean(), rel=1e-5
    )
    total = (data**2).sum()
    assert _number(values["inside"]) == pytest.approx(length.sum() / total, rel=1e-6)
    assert _number(values["nearest"]) == pytest.approx(length.max(0).sum() / total, rel=1e-6)
    assert _number(values["distance"]) == pytest.approx(
        ((data - inner) ** 2).sum(1).mean(), rel=1e-5
    )
    assert _number(values["energy"]) == pytest.approx(total / 50 / 2, rel=1e-6)


def test_projections_hold_for_unequal_dimensions() -> None:
    truth = MoLRG.random(15, [1, 6, 3], orthogonal=False, seed=3)
    x = torch.randn(40, 15, generator=generator(1), dtype=torch.float64)
    away = [np.linalg.norm(x - x @ basis @ basis.T, axis=1) for basis in truth.bases]
    assert np.allclose(np.linalg.norm(x - onto_nearest(x, truth.bases), axis=1), np.min(away, 0))
    kept = x.square().sum(1) - energies(x, truth.bases).amax(1)
    assert np.allclose(kept.sqrt(), np.min(away, 0))


@pytest.mark.parametrize(("d", "n_k"), [(2, 4), (4, 60)])
def test_copies_score_zero_the_memorizer_too_and_fresh_points_score_one(d: int, n_k: int) -> None:
    found = mixture_split(0, 20, 3, d, n_k, 0.0)
    copies = scores(found, found.train[torch.arange(1000) % len(found.train)], {})
    assert _number(copies["gl"]) < 1e-8
    more = found.truth.labelled([400] * 3, generator(99)).points
    fresh = scores(found, more, _closed(found, 1000))
    assert _number(fresh["gl_memorizer"]) < 1e-8
    for name in ("gl", "gl_within", "gl_unsquared"):
        e = fresh[name]
        assert isinstance(e, Estimate)
        assert abs(e.value - 1) < sigmas(6) * (e.high - e.low) / 3.92
    assert _number(fresh["inside"]) == pytest.approx(1, abs=1e-9)
    assert _number(fresh["nearest"]) == pytest.approx(1, abs=1e-9)
    assert _number(fresh["distance"]) < 1e-9
    assert 0.8 < _number(fresh["gl_truth"]) < 1.25


def test_isotropic_noise_is_no_novelty_by_its_shares() -> None:
    values = scores(
        mixture_split(0, 40, 2, 2, 5, 0.0), torch.randn(3000, 40, generator=generator(5)), {}
    )
    assert _number(values["gl"]) > 1
    assert _number(values["inside"]) == pytest.approx(4 / 40, abs=0.01)


def test_the_interval_of_a_ratio_covers() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(1000):
        e = mean_ratio(rng.exponential(2.0, 300), rng.exponential(1.0, 900))
        hits += e.low <= 2 <= e.high
    assert abs(hits / 1000 - 0.945) < sigmas() * math.sqrt(0.05 * 0.95 / 1000)
