"""A column of a success map, one K and one d: all instances, numbers of points and starts at once,
by one of the two methods.

What each instance leaves behind is how far the recovered subspaces are from the truth, and by how
much its method's own objective is better than at the truth: a failure with a worse objective is the
optimiser's, one with a better objective is the data's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from torch import Tensor

from denoscope.estimate import proportion
from denoscope.geometry import k_subspaces, match, objective
from denoscope.studies._molrg.recovery.instances import Instances, drawn
from denoscope.studies._molrg.recovery.training import SCREENED, trained
from denoscope.study import Result

SUCCESS = 0.5
"""The largest ||U U^T - V V^T||_F at which a subspace counts as recovered."""

ROUNDING = 1e-9
"""Relative difference of objectives that counts as none."""

Tell = Callable[[float], None]


def _clustered(instances: Instances, keep: int, steps: int, tell: Tell) -> dict[str, Tensor]:
    """K-subspaces with mutually orthogonal subspaces; ``free`` is without that constraint."""
    found = k_subspaces(instances.x, instances.starts, keep=keep)
    tell(0.7)
    free = k_subspaces(instances.x, instances.starts, keep=keep, joint=False)
    at_truth = objective(instances.x, instances.truth)
    return {
        "distance": match(found.bases, instances.truth)[1].amax(1),
        "gain": found.objective / at_truth - 1,
        "free_distance": match(free.bases, instances.truth)[1].amax(1),
    }


def _trained(instances: Instances, keep: int, steps: int, tell: Tell) -> dict[str, Tensor]:
    found = trained(instances, keep=keep, steps=steps, tell=tell)
    energy = instances.x.square().sum((1, 2))
    return {
        "distance": match(found.bases, instances.truth)[1].amax(1),
        "gain": ((found.truth - found.loss) / energy).double(),
    }


METHODS = {"clustering": _clustered, "training": _trained}


def measured(
    method: str,
    k: int,
    d: int,
    counts: Sequence[int],
    *,
    n: int,
    noise: float,
    trials: int,
    starts: int,
    start: str,
    keep: int,
    steps: int,
    tell: Tell = lambda fraction: None,
) -> Result:
    """Arrays (counts, trials): ``distance``, the largest after matching; ``gain``, the objective's
    relative advantage over the truth's.
    """
    instances = drawn(k, d, counts, trials, n=n, noise=noise, starts=starts, start=start)
    found = METHODS[method](instances, keep, steps, tell)
    arrays = {name: value.reshape(len(counts), trials).numpy() for name, value in found.items()}
    success, below = verdicts(arrays["distance"], arrays["gain"])
    values = {
        "success": proportion(int(success.sum()), success.size),
        "optimiser_failures": proportion(int(below.sum()), success.size),
        "statistical_failures": proportion(int((~success & ~below).sum()), success.size),
    }
    return Result(values, {**arrays, "counts": np.array(counts)})


def verdicts(distance: np.ndarray, gain: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whether an instance succeeded, and whether it failed with an objective worse than the
    truth's.
    """
    success = distance <= SUCCESS
    return success, ~success & (gain < -ROUNDING)


def seconds(
    method: str,
    k: int,
    d: int,
    counts: Sequence[int],
    n: int,
    trials: int,
    starts: int,
    keep: int,
    steps: int,
) -> float:
    """Estimated time of one core."""
    instances, columns = trials * len(counts), k * d
    points = k * sum(counts) / len(counts)
    small = 2e-6 * (2 + 1.2e-3 * points * columns * n / 48 + 0.03 * columns**2)
    drawing = instances * (1e-3 + 2 * starts * small)
    if method == "clustering":
        return drawing + instances * starts * 12 * small
    return drawing + 2 * instances * small * (starts * (SCREENED + 2) + keep * steps)
