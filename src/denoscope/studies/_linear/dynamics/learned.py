"""Everything one cell of the dynamics study measures: descent beside theory, stopping times, and
what half-trained models sample.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from denoscope.estimate import Estimate, mean
from denoscope.store import Value
from denoscope.studies._linear.dynamics import descending, emergence, stopping
from denoscope.studies._linear.population import Population
from denoscope.studies._linear.training_set import TrainingSet
from denoscope.study import Result
from denoscope.theory.linear.dynamics import best_stopping
from denoscope.theory.linear.optimum import bayes_loss_of

STEPS_SHOWN = 81
"""Points of a theory line."""

BEYOND = 30.0
"""How many times longer than the descent itself theory is followed."""


def cell(
    population: Population,
    n: int,
    *,
    draws: int,
    abars: Sequence[float],
    steps: int,
    share: float,
    samples: int,
    tell: Callable[[float], None],
) -> Result:
    """Measures ``draws`` training sets of ``n`` items; ``abars`` fall."""
    sets = [TrainingSet.draw(population, n, seed) for seed in range(draws)]
    rate = descending.rate_of(sets, abars, share)
    arrays, values = _descents(sets, abars, rate, steps, tell)
    more, found = _stoppings(sets, population, n)
    values |= found
    return Result(
        values | _emergence(sets),
        {**arrays, **more, **_sampled(sets, samples), **_bayes(population, abars)},
    )


def _descents(
    sets: Sequence[TrainingSet],
    abars: Sequence[float],
    rate: float,
    steps: int,
    tell: Callable[[float], None],
) -> tuple[dict[str, np.ndarray], dict[str, Value]]:
    """Measured curves, theory's curves, the stopping times of both, and how far apart they are."""
    at, longer = (
        descending.recorded(steps),
        np.unique(np.geomspace(1, BEYOND * steps, STEPS_SHOWN).round()),
    )
    k = 2 * rate * at
    measured, theory, far, flow = [], [], [], []
    for index, item in enumerate(sets):
        run = descending.descent(item, abars, rate, steps)
        measured.append(run)
        theory.append(descending.predicted(item, abars, rate, longer))
        far.append(descending.difference(run, descending.predicted(item, abars, rate, at)))
        flow.append(descending.difference(run, descending.flowing(item, abars, k)))
        tell(0.8 * (index + 1) / len(sets))
    arrays = {"k": k, "k_theory": 2 * rate * longer, "abars": np.asarray(abars)}
    for name in ("train", "test", "weight"):
        arrays[name] = np.array([run[name] for run in measured])
        arrays[f"{name}_theory"] = np.array([run[name] for run in theory])
    arrays["stop"] = np.array([descending.lowest(k, run["test"]) for run in measured])
    arrays["stop_theory"] = np.array(
        [best_stopping(item.modes.lam, item.other, np.asarray(abars)) for item in sets]
    )
    return arrays, {
        "rate": rate,
        "difference": max(far),
        "difference_flow": max(flow),
        "longest": float(k[-1]),
    }


def _stoppings(
    sets: Sequence[TrainingSet], population: Population, n: int
) -> tuple[dict[str, np.ndarray], dict[str, Value]]:
    """The best stopping times and ridges at many levels, their expectations, and what one stopping
    time for all levels costs.
    """
    found = [stopping.stopping(item) for item in sets]
    arrays = {
        f"best_{name}": np.array([getattr(item, name) for item in found])
        for name in stopping.Stopping._fields
    }
    theory = stopping.expected(population.spectrum, n, sets)
    arrays |= {
        f"expected_{name}": np.asarray(getattr(theory, name)) for name in stopping.Expected._fields
    }
    arrays["unseen"] = np.array([item.unseen_variance for item in sets])
    arrays["bayes"] = bayes_loss_of(population.spectrum, stopping.LEVELS)
    k, paid = arrays["best_k"], arrays["best_loss_shared"] / arrays["best_loss_k"]
    finite = np.isfinite(k).all(1)
    return arrays, {
        "d": population.d,
        "spread": _mean((k.max(1) / k.min(1))[finite]),
        "shared": _mean(arrays["best_shared"][np.isfinite(arrays["best_shared"])]),
        "paid": _mean(paid.max(1) - 1),
        "trained": _mean((arrays["best_loss_trained"] / arrays["best_loss_k"]).max(1)),
        "ridge_less_stop": _mean((arrays["best_loss_ridge"] / arrays["best_loss_k"]).mean(1) - 1),
        "predicted": _mean(arrays["best_shared"] * arrays["unseen"]) if n <= population.d else None,
    }


def _mean(values: np.ndarray) -> Estimate | None:
    """The mean with its interval, None where there is nothing to average."""
    return mean(values) if len(values) else None


def _emergence(sets: Sequence[TrainingSet]) -> dict[str, Value]:
    """The exponents of emergence times against variances, over all training sets."""
    found: dict[str, Value] = {}
    times = [
        (item.modes.lam[: item.seen], emergence.emergence(item.modes.lam[: item.seen]))
        for item in sets
    ]
    for name in emergence.EMERGENCES:
        found[f"exponent_{name}"] = _mean(
            np.array([emergence.exponent(lam, each[name]) for lam, each in times])
        )
    return found


def _sampled(sets: Sequence[TrainingSet], samples: int) -> dict[str, np.ndarray]:
    """Laws and real samples of half-trained models on the first training set, and its modes'
    emergence times.
    """
    first = sets[0]
    lam = first.modes.lam[: first.seen]
    arrays = {f"law_{name}": values for name, values in emergence.curves(first).items()}
    arrays |= {
        f"sampled_{name}": values for name, values in emergence.samples(first, samples).items()
    }
    arrays |= {f"emergence_{name}": values for name, values in emergence.emergence(lam).items()}
    return {**arrays, "lam": lam}


def _bayes(population: Population, abars: Sequence[float]) -> dict[str, np.ndarray]:
    return {"bayes_shown": bayes_loss_of(population.spectrum, np.asarray(abars))}
