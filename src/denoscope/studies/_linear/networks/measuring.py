"""What one trained network is asked beside the linear model of its training set: variances mode by
mode, agreement, denoising losses.

The linear model is the optimum of its loss, of mean mu_0 and covariance Sigma_0 (1/N); its samples
by the probability-flow ODE from N(0, sigma_T^2) have the variance ``lam sigma_T^2 / (lam +
sigma_T^2)`` along an eigenvector of Sigma_0 of eigenvalue lam. In these coordinates ``E|D - x0|^2 =
sigma^2 L``, where L is the noise-prediction loss at abar = 1/(1 + sigma^2). Variances and losses
are in squared pixel units.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from denoscope.data.population import MeanCovariance
from denoscope.distributions import Gaussian
from denoscope.estimate import mean
from denoscope.networks.linear_maps import LinearMaps
from denoscope.sampling import sample
from denoscope.schedule import VP
from denoscope.store import Value
from denoscope.studies._transition.cell import (
    LEVELS,
    Place,
    closed_errors,
    denoising_errors,
    memorizer,
)
from denoscope.study import Result
from denoscope.theory.linear.laws import ode_law
from denoscope.theory.linear.optimum import losses, modes
from denoscope.types import Denoiser

BASES = ("own", "all")
"""Eigenvectors of the covariance of the training set, and of all images that may be trained on."""

MODELS = ("network", "linear", "memorizer")
_SEEN = 1e-10  # of the largest eigenvalue
_HALF = 0.5  # of the variance: what the leading directions hold
APART = 1.5
"""The factor by which the errors of the two solutions must differ for a place between them."""


@dataclass(frozen=True, eq=False)
class Linear:
    """The linear model of a training set: moments of the set and of all images, ``values`` (d,)
    falling and ``vectors`` (d, d) of both bases.

    ``seen`` modes have variance in the training set, the first ``leading`` of them hold half of it;
    ``samples`` (n, d) are the model's from the shared noises, ``law`` (d,) their exact variances by
    the solver's finite steps, ``ode`` (d,) those of the ODE itself.
    """

    train: MeanCovariance
    all: MeanCovariance
    test: MeanCovariance
    values: dict[str, np.ndarray]
    vectors: dict[str, np.ndarray]
    seen: int
    leading: int
    samples: np.ndarray
    law: np.ndarray
    ode: np.ndarray


@lru_cache(maxsize=16)
def linear(place: Place) -> Linear:
    """The linear model of a cell's training set, and its samples."""
    setting = place.setting()
    images = {
        "own": setting.train(place.size, place.which),
        "all": setting.reals,
        "test": setting.test,
    }
    found = {name: MeanCovariance.of(_rows(tensor)) for name, tensor in images.items()}
    pairs = {name: _falling(found[name].cov) for name in BASES}
    lam, vectors = pairs["own"]
    net = LinearMaps.closed_form(torch.from_numpy(found["own"].mean), found["own"].cov, VP.linear())
    sigmas, sigma_T = setting.sigmas.double(), float(setting.sigmas[0])
    origin = sample(net, torch.zeros(1, len(lam), dtype=torch.float64), sigmas)
    moved = sample(net, sigma_T * torch.from_numpy(vectors.T.copy()), sigmas) - origin
    abar = 1 / (1 + sigma_T**2)
    return Linear(
        found["own"],
        found["all"],
        found["test"],
        {name: values for name, (values, _) in pairs.items()},
        {name: columns for name, (_, columns) in pairs.items()},
        int((lam > _SEEN * lam[0]).sum()),
        1 + int(np.searchsorted(lam.cumsum(), _HALF * lam.sum())),
        sample(net, sigma_T * setting.noise.flatten(1).double(), sigmas).numpy(),
        (moved.numpy() * vectors.T).sum(1) ** 2,
        ode_law(lam, abar, v_T=1 - abar),
    )


def _rows(images: Tensor) -> np.ndarray:
    return images.flatten(1).double().numpy()


def _falling(cov: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    values, vectors = np.linalg.eigh(cov)
    return np.maximum(values[::-1], 0.0), vectors[:, ::-1]


def measure(place: Place, denoiser: Denoiser, generated: Tensor) -> Result:
    """Every value and array of one cell, from its trained denoiser and its samples (samples, c, h,
    w), both on the CPU.
    """
    model = linear(place)
    drawn = {
        "network": _rows(generated),
        "linear": model.samples,
        "memorizer": _rows(memorizer(place)),
    }
    arrays = {"rank": np.arange(1, len(model.law) + 1), "law_own": model.law, "ode_own": model.ode}
    arrays |= {
        "law_all": _along(model.vectors["own"], model.law, model.vectors["all"]),
        "data_all": model.values["all"],
    }
    arrays["data_own"] = ((model.all.cov @ model.vectors["own"]) * model.vectors["own"]).sum(0)
    for basis in BASES:
        for name, rows in drawn.items():
            arrays[f"{name}_{basis}"] = squares(rows, model.vectors[basis])
    for name in ("linear", "memorizer"):
        arrays[f"correlation_{name}"] = correlations(
            drawn["network"], drawn[name], model.vectors["own"][:, : model.seen]
        )
    losses_, places = _losses(place, denoiser, model)
    arrays |= {name: array.astype(np.float32) for name, array in losses_.items()}
    return Result(_values(drawn, model) | places, arrays)


def _along(vectors: np.ndarray, variances: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The variance along each column of ``others`` of a law with ``variances`` along the columns of
    ``vectors``.
    """
    return ((others.T @ vectors) ** 2) @ variances


def squares(rows: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Squared deviations from the samples' mean along each column, (samples, d): their mean over
    samples is the variance.
    """
    return (((rows - rows.mean(0)) @ vectors) ** 2).astype(np.float32)


def correlations(first: np.ndarray, second: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Pearson's correlation along each column between samples of two models from the same
    noises.
    """
    a, b = ((rows - rows.mean(0)) @ vectors for rows in (first, second))
    scale = np.sqrt((a**2).sum(0) * (b**2).sum(0))
    return np.divide((a * b).sum(0), scale, out=np.zeros_like(scale), where=scale > 0)


def _values(drawn: dict[str, np.ndarray], model: Linear) -> dict[str, Value]:
    """One number each: agreement sample by sample, variance by groups of directions, and outside of
    the training set's span.

    ``ratio`` is that of summed variances, network over linear model; ``deviation`` the mean size of
    its logarithm over single directions; ``misplaced`` the sum of their differences in size, as a
    share of the linear model's whole variance.
    """
    r, lead, vectors = model.seen, model.leading, model.vectors["own"]
    values: dict[str, Value] = {"seen": r, "leading": lead, "dimension": len(model.law)}
    parts = {"leading": slice(0, lead), "trailing": slice(lead, r)}
    own = squares(drawn["network"], vectors).astype(np.float64)
    for name, part in parts.items():
        total = model.law[part].sum()
        values[f"ratio_{name}"] = mean(own[:, part].sum(1) / total) if total > 0 else None
        values[f"misplaced_{name}"] = float(
            np.abs(own[:, part].mean(0) - model.law[part]).sum() / model.law.sum()
        )
        values[f"deviation_{name}"] = (
            float(np.abs(np.log(own[:, part].mean(0) / model.law[part])).mean())
            if total > 0
            else None
        )
    values["outside"] = mean(own[:, r:].sum(1) / own.sum(1).mean())
    values["outside_data"] = float(
        ((model.all.cov @ vectors[:, r:]) * vectors[:, r:]).sum() / np.trace(model.all.cov)
    )
    for name in ("linear", "memorizer"):
        values[f"cosine_{name}"] = mean(
            cosines(drawn["network"] - model.train.mean, drawn[name] - model.train.mean)
        )
    values["cosine_solutions"] = mean(
        cosines(drawn["linear"] - model.train.mean, drawn["memorizer"] - model.train.mean)
    )
    return values


def cosines(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The cosine of every row of one matrix with that of the other."""
    return (first * second).sum(1) / np.maximum(
        np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1), 1e-300
    )


def _losses(
    place: Place, denoiser: Denoiser, model: Linear
) -> tuple[dict[str, np.ndarray], dict[str, Value]]:
    """Denoising errors a pixel at every level of network, memorizer and both Gaussians, theory of
    the latter, and places between solutions.
    """
    arrays: dict[str, np.ndarray] = {
        "levels": LEVELS,
        **{f"error_{r.at['images']}_{r.at['who']}": r.value.mean(1) for r in closed_errors(place)},
        **_all_errors(place),
        **_theory(model),
    }
    values: dict[str, Value] = {}
    for kind, images in (
        ("train", place.setting().train(place.size, place.which)),
        ("test", place.setting().test),
    ):
        each = denoising_errors(denoiser, images)
        arrays[f"error_{kind}_network"] = each.mean(1)
        arrays[f"error_{kind}_network_se"] = each.std(1, ddof=1) / np.sqrt(each.shape[1])
        network, empirical, best = (
            arrays[f"error_{kind}_{name}"] for name in ("network", "memorizer", "all")
        )
        between = positions(network, empirical, best)
        arrays[f"position_{kind}"] = between
        values[f"position_{kind}"] = (
            float(np.nanmedian(between)) if np.isfinite(between).any() else None
        )
    return arrays, values


def positions(loss: np.ndarray, empirical: np.ndarray, best: np.ndarray) -> np.ndarray:
    """Where a loss lies between the memorizer's (0) and the best linear one (1); NaN where the two
    are nearly the same.
    """
    apart = np.maximum(best, empirical) > APART * np.minimum(best, empirical)
    return np.where(apart, (loss - empirical) / np.where(apart, best - empirical, 1.0), np.nan)


@lru_cache(maxsize=16)
def _all_errors(place: Place) -> dict[str, np.ndarray]:
    """Denoising errors of the Wiener denoiser of all images that may be trained on, the best linear
    one.
    """
    setting = place.setting()
    best = Gaussian.from_data(setting.reals)
    images = {"train": setting.train(place.size, place.which), "test": setting.test}
    return {
        f"error_{kind}_all": denoising_errors(best, tensor).mean(1)
        for kind, tensor in images.items()
    }


def _theory(model: Linear) -> dict[str, np.ndarray]:
    """The exact denoising errors of both Gaussians, a pixel, by the closed form of the losses."""
    abar = 1 / (1 + LEVELS**2)
    found = {}
    for name, known in (("gaussian", model.train), ("all", model.all)):
        for kind, data in (("train", model.train), ("test", model.test)):
            each = losses(modes(data.cov, known.cov, data.mean, known.mean), abar)[1]
            found[f"theory_{kind}_{name}"] = LEVELS**2 * each / len(data.mean)
    return found
