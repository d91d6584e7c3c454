"""The three-sample test of data-copying: are generated rows nearer to the training set than
held-out rows are, cell by cell?

With L(a) the distance of a row to its nearest training row in its own cell, and cells from k-means
on the training set, a cell with n held-out and m generated rows has

    U = #{(g, t): L(g) > L(t)} + #{equal}/2,    Z = (U - nm/2 + 1/2) / sqrt(nm(n + m + 1)/12),

and C_T is the mean of Z over cells with more than 20 generated rows, weighted by P, their shares of
the held-out rows. Far below 0 is copying, far above is underfitting. Given the training set, the Z
of a perfect generalizer are independent with variance 1, so that C_T has the standard deviation
sqrt(sum P^2)/sum P. It grows like the root of the sample size: P(L_gen < L_test) is the size of the
effect.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
from scipy.special import ndtri
from torch import Tensor

from denoscope.estimate import Estimate
from denoscope.metrics.calibrate import auc, wins
from denoscope.metrics.partition import k_means, nearest_centre
from denoscope.metrics.protocol import metric
from denoscope.nearest import features, neighbors, same_space

LEAST = 20
"""A cell counts if it has more generated rows than this."""


@dataclass(frozen=True)
class PartitionCell:
    """Counts of rows in one cell and its ``share`` of the held-out rows; ``u``, ``z`` and
    ``nearer`` are None where it does not count.

    ``nearer`` is P(L_gen < L_test) + P(equal)/2 in the cell.
    """

    train: int
    test: int
    gen: int
    share: float
    u: float | None
    z: float | None
    nearer: Estimate | None


@dataclass(frozen=True, kw_only=True, repr=False)
class CopyingTest(Estimate):
    """C_T with its ``cells``, and ``nearer``: P(L_gen < L_test) over the cells that count, where
    1/2 is no copying.

    ``centres`` (k, d) and the cell of each training row, ``labels`` (n,), say which partition it
    was.
    """

    cells: tuple[PartitionCell, ...]
    nearer: Estimate
    labels: Tensor = field(compare=False, repr=False)
    centres: Tensor = field(compare=False, repr=False)

    def json(self) -> dict[str, object]:
        """As an estimate's, with the cells and the effect; not the partition."""
        return {
            **super().json(),
            "nearer": self.nearer.json(),
            "cells": [asdict(cell) for cell in self.cells],
        }


@metric("meehan2020", "donner2012")
def copying_test(
    gen: Tensor | np.ndarray,
    train: Tensor | np.ndarray,
    test: Tensor | np.ndarray,
    *,
    cells: int = 3,
    seed: int = 0,
) -> CopyingTest:
    """C_T of Meehan, Chaudhuri and Dasgupta (2020): far below 0 is copying, 0 within its interval
    is what held-out data would read.

    The interval is C_T give or take 1.96 null standard deviations, given the training set and its
    k-means ``cells`` from ``seed``. A cell without training or held-out rows, and too few generated
    rows for any cell to count, are a ValueError.
    """
    b = features(train, "train")  # in its own precision, so that the cells are its own affair
    a, c = (
        same_space(rows, b, (name, "train"))[0] for rows, name in ((gen, "gen"), (test, "test"))
    )
    if cells < 1 or not (len(a) and len(b) and len(c)):
        raise ValueError(
            f"copying_test needs rows and at least 1 cell, got {len(a)} gen, {len(b)} "
            f"train, {len(c)} test and {cells} cells"
        )
    centres = k_means(b, cells, seed)
    labels, of_gen, of_test = (nearest_centre(rows, centres) for rows in (b, a, c))
    parts = (
        (a[of_gen == index], b[labels == index], c[of_test == index]) for index in range(cells)
    )
    found = tuple(
        _cell(f"cell {index} of {cells}", *part, len(c)) for index, part in enumerate(parts)
    )
    if all(cell.z is None for cell in found):
        raise ValueError(
            f"no cell has more than {LEAST} of the {len(a)} generated rows: give more "
            "rows, or ask for fewer cells"
        )
    return _combined(found, labels, centres)


def _cell(name: str, gen: Tensor, train: Tensor, test: Tensor, held_out: int) -> PartitionCell:
    for rows, kind in ((train, "training"), (test, "held-out")):
        if not len(rows):
            raise ValueError(
                f"{name} has no {kind} rows: give more of them, ask for fewer cells, or "
                "take another seed"
            )
    n, m = len(test), len(gen)
    if m <= LEAST:
        return PartitionCell(len(train), n, m, n / held_out, None, None, None)
    near, far = (neighbors(rows, train).distance[:, 0] for rows in (gen, test))
    u = wins(near, far)
    z = (u - n * m / 2 + 0.5) / math.sqrt(n * m * (n + m + 1) / 12)
    return PartitionCell(len(train), n, m, n / held_out, u, z, auc(far, near))


def _combined(cells: tuple[PartitionCell, ...], labels: Tensor, centres: Tensor) -> CopyingTest:
    """The weighted means over the cells that count."""
    counted = [cell for cell in cells if cell.z is not None]
    weight = np.array([cell.share for cell in counted])
    weight /= weight.sum()
    value, n = float(weight @ [cell.z for cell in counted]), sum(cell.gen for cell in counted)
    half = float(ndtri(0.975)) * math.sqrt(weight @ weight)
    nearer = _weighted(weight, [cell.nearer for cell in counted if cell.nearer is not None], n)
    method = "normal, null standard deviation"
    return CopyingTest(
        value,
        value - half,
        value + half,
        n,
        0.95,
        method,
        cells=cells,
        nearer=nearer,
        labels=labels,
        centres=centres,
    )


def _weighted(weight: np.ndarray, parts: Sequence[Estimate], n: int) -> Estimate:
    """The weighted sum of independent estimates, interval by MOVER (Donner and Zou 2012): distances
    to the limits add up in squares.
    """
    value, low, high = (
        np.array([getattr(part, name) for part in parts]) for name in ("value", "low", "high")
    )
    total = float(weight @ value)
    below, above = (math.sqrt((weight**2) @ (value - limit) ** 2) for limit in (low, high))
    return Estimate(total, total - below, total + above, n, 0.95, f"MOVER of {parts[0].method}")
