"""What the directions of an edit cost: `denoscope.apply.edit.directions` against the power method
that was published with them.

At real held-out images, inverted to some noise levels, the 5 leading right singular vectors of the
Jacobian's rows inside a mask (the upper third) and of those outside are found

* exactly, from the matrix of these rows and its SVD in double precision: what all are held against;
* by ours, which stops when it has bounded its own error by 1e-2 rad;
* by the power method of Chen et al. 2024 ("LOCO Edit", algorithm 2), from a random start: U = J V,
  V = right singular vectors of (J^T U)^T, 10 products an iteration; it stops after 10 to 50
  iterations when no entry of V moves by 1e-4, or else at 50. Here it goes on, up to
  ``--most``; where that is too few, what it spent counts, a lower bound.

Errors are the largest principal angle between the two spaces. Products with J and with its
transpose count alike, and all ways use the same ones (a kept graph of the denoiser). On one thread,
ways take turns. Without ``--model`` a network of fully connected layers is trained first, a minute.

    OMP_NUM_THREADS=1 python benchmarks/edit.py [--model FILE] [--data 'fashion_mnist:test[0:12]']
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from unittest.mock import patch

import torch
from rivals import versus
from torch import Tensor

from denoscope.apply.edit import path
from denoscope.apply.local_directions import BLOCK
from denoscope.data.reading import read_images
from denoscope.data.selection import select
from denoscope.estimate import Estimate, mean, proportion
from denoscope.fitting import draws, training
from denoscope.geometry.field import Field, Linearized
from denoscope.geometry.jacobians import jacobian_rows
from denoscope.geometry.krylov import Operator
from denoscope.geometry.singular import leading, together
from denoscope.geometry.subspaces import principal_angles
from denoscope.levels import karras, log_normal
from denoscope.models import open_model
from denoscope.networks import FiLM, Preconditioned
from denoscope.random import generator
from denoscope.sampling import invert
from denoscope.schedule import VPSDE
from denoscope.types import Denoiser

K, ANGLE = 5, 1e-2
LEAST, MOST, STILL = 10, 50, 1e-4
"""The published iterations, and the movement at which they stop."""


@dataclass
class Spent:
    """Products and seconds."""

    products: int = 0
    seconds: float = 0.0


@contextmanager
def counting() -> Iterator[Spent]:
    """Counts the products with any Jacobian, and the seconds."""
    spent, methods = Spent(), {}
    for name in ("times", "transposed_times"):
        plain = getattr(Linearized, name)

        def counted(self: Linearized, v: Tensor, plain: Callable = plain) -> Tensor:
            spent.products += len(v) * v.shape[2]
            return plain(self, v)

        methods[name] = counted
    start = time.perf_counter()
    with patch.multiple(Linearized, **methods):
        yield spent
    spent.seconds = time.perf_counter() - start


@dataclass(frozen=True)
class Case:
    """One side of one image: products and seconds of ours, of the power method to the same error,
    or of all its iterations if it was not ``reached``, and of the rows' matrix; errors of ours and
    of the power method where it stops, after so many ``iterations``.
    """

    ours: Spent
    power: Spent
    reached: bool
    matrix: Spent
    error: float
    stopped: float
    iterations: int


def power_method(
    operator: Operator, true: Tensor, most: int
) -> tuple[Spent, bool, tuple[float, int]]:
    """What it takes to 1e-2 rad, or whether it does not get there; where it stops, the error and
    the iterations.
    """
    columns = operator.shape[1]
    start = torch.randn(columns, K, generator=generator(1), dtype=torch.float64)
    V, stopped = torch.linalg.qr(start).Q[None], (math.inf, most)
    spent, reached = Spent(), Spent()
    for iteration in range(1, most + 1):
        with counting() as one:
            pulled = operator.transposed_times(operator.times(V))
            moved, V = V, torch.linalg.svd(pulled.mT, full_matrices=False).Vh.mT
        spent.products += one.products
        spent.seconds += one.seconds
        error = float(principal_angles(V, true)[..., -1])
        if not reached.products and error <= ANGLE:
            reached = replace(spent)
        still = iteration > LEAST and bool(((V - moved).abs() < STILL).all())
        if stopped[1] == most and (still or iteration == MOST):
            stopped = (error, iteration)
        if reached.products and stopped[1] < most:
            break
    return (reached, True, stopped) if reached.products else (spent, False, stopped)


def measure(D: Denoiser, x: Tensor, sigma: float, mask: Tensor, most: int) -> Case:
    """All ways on the rows of one mask at the state x (*shape)."""

    def operator() -> Operator:
        return Operator(Field(D, x, sigma), (mask, torch.ones_like(mask)))

    with counting() as matrix:
        rows = jacobian_rows(operator().field, mask.flatten().nonzero()[:, 0])
        true = torch.linalg.svd(rows.double(), full_matrices=False).Vh[None, :K].mT
    with counting() as ours:
        found = leading(operator(), K, together(ANGLE), 0, BLOCK).V
    error = float(principal_angles(found, true)[..., -1])
    power, reached, stopped = power_method(operator(), true, most)
    return Case(ours, power, reached, matrix, error, *stopped)


def trained(data: Tensor) -> Denoiser:
    net = Preconditioned(FiLM(data.shape[1:], 256, seed=0), "edm", float(data.std()))
    source = draws(data, [torch.arange(len(data))], [0], batch=64, levels=log_normal(-0.6, 1.4))
    for _ in training(net, source, steps=2000, lr=3e-3, rate="one_cycle"):
        pass
    return net.requires_grad_(False)


def images(word: str) -> Tensor:
    chosen = select(word)
    found = read_images(chosen.source)
    return found.data[list(chosen.rows(len(found), found.test_from, "test"))]


def row(name: str, cases: list[Case]) -> str:
    """One line of the table."""
    ratio = [case.power.products / case.ours.products for case in cases]
    seconds = [case.power.seconds / case.ours.seconds for case in cases]
    short = sum(not case.reached for case in cases)
    within = sum(case.stopped <= ANGLE for case in cases)
    cells = [
        name,
        spread([case.ours.products for case in cases]),
        spread([case.power.products for case in cases]) + (f", {short} not there" if short else ""),
        f"{cases[0].matrix.products}",
        interval(geometric(ratio)),
        interval(geometric(seconds)),
        interval(geometric([case.matrix.seconds / case.ours.seconds for case in cases])),
        f"{max(case.error for case in cases):.1e}",
        interval(proportion(within, len(cases))),
        spread([case.iterations for case in cases]),
    ]
    return "| " + " | ".join(cells) + " |"


def spread(values: list[float]) -> str:
    """Median and range."""
    ordered = sorted(values)
    return f"{ordered[len(ordered) // 2]:g} ({ordered[0]:g}–{ordered[-1]:g})"


def geometric(values: list[float]) -> Estimate:
    """The geometric mean with its t interval."""
    found = mean(torch.tensor(values).log().tolist())
    value, low, high = (math.exp(end) for end in (found.value, found.low, found.high))
    return Estimate(value, low, high, found.n)


def interval(e: Estimate) -> str:
    return f"{e.value:.2f} [{e.low:.2f}, {e.high:.2f}]"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", help="as `denoscope edit` takes it")
    parser.add_argument("--data", default="fashion_mnist:test[0:12]", help="images to edit")
    parser.add_argument("--train", default="fashion_mnist:train[0:20000]", help="without --model")
    parser.add_argument("--times", type=float, nargs="+", default=[0.3, 0.5, 0.7])
    parser.add_argument("--most", type=int, default=400, help="iterations, above 50")
    options = parser.parse_args()
    torch.set_num_threads(1)
    D = open_model(options.model).denoiser if options.model else trained(images(options.train))
    x0 = images(options.data)
    mask = torch.zeros(x0.shape[1:], dtype=torch.bool)
    mask[:, : round(x0.shape[2] / 3)] = True
    print(f"torch {torch.__version__}, 1 thread, {len(x0)} images of {tuple(x0.shape[1:])}")
    print(
        "| time, side | products, ours | power method to 1e-2 rad | matrix | power ÷ ours | "
        "seconds, power ÷ ours | matrix ÷ ours | largest error, ours | power method within 1e-2 "
        "at its stop | its iterations |"
    )
    print("| " + " | ".join(["---"] * 10) + " |")
    for at in options.times:
        sigma = float(VPSDE().sigma(torch.tensor(at, dtype=torch.float64)))
        states = invert(D, x0, path(sigma, karras(40)).float(), refine=3)
        for name, side in (("inside", mask), ("outside", ~mask)):
            cases = [measure(D, x, sigma, side, options.most) for x in states]
            print(row(f"{at:g}, {name}", cases), flush=True)
            ours, power = (
                sum(way(case).products for case in cases) / len(cases)
                for way in (lambda case: case.ours, lambda case: case.power)
            )
            what = f"5 directions {name} a mask to 0.01 rad, time {at:g}"
            versus(what, ours, "power method (Chen et al. 2024)", power, "products")


if __name__ == "__main__":
    main()
