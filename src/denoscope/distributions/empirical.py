"""The memorizer: the posterior mean when the data themselves are the law, a softmax-weighted
average of training points.

``D(x, sigma) = sum_i w_i y_i`` with ``w = softmax_i(-|x - y_i|^2 / (2 sigma^2))``. Squared
distances are written out as ``|x|^2 - 2 x y + |y|^2`` about the data's mean: one matrix product,
differentiable in every mode. Those products and the softmax are in float64 whatever the data: at
sigma = 0.002 a float32 product is wrong by whole units in the exponent.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from denoscope.display import sized
from denoscope.distributions.points import batch_shape, rows
from denoscope.nearest import bytes_of

_MOST_QUERIES = 256  # a block of queries against some thousand points stays in a CPU's cache


class Empirical:
    """The uniform law on ``data`` (N, *event) as a denoiser, streamed over blocks of queries and
    data.

    ``max_memory`` ("1GiB" or bytes) bounds the working memory of D and ``log_prob`` beside the
    data, the queries and the answer; data that fit one block are taken in one plain softmax.
    Differentiable by autograd and by torch.func (jvp, jacrev, vmap), where the bound counts one
    point at a time. Non-finite or empty data are a ValueError. Source: Karras et al. 2022, appendix
    B.3; Zhang et al. 2024.
    """

    def __init__(self, data: Tensor, *, max_memory: int | str = "1GiB"):
        if data.ndim < 2 or not len(data) or not data.is_floating_point() or not _finite(data):
            raise ValueError(
                "data must be finite floats of shape (N, *event) with N >= 1, got "
                f"{data.dtype} of shape {tuple(data.shape)}"
            )
        self.data = data
        self.event_shape = data.shape[1:]
        self._flat = data.flatten(1)
        self._mean = self._flat.mean(
            0
        ).double()  # any point near the data serves; a float64 mean would copy all of them
        self._bound = bytes_of(max_memory)

    def __repr__(self) -> str:
        return f"Empirical({len(self.data)} points of {sized(self.event_shape)})"

    @property
    def mean(self) -> Tensor:
        """The mean of the data, of the event shape."""
        return self.data.mean(0)

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        """E[x0 | x], the shape and type of x."""
        flat, level = rows(x, sigma, self.event_shape, self._flat.dtype)
        queries, block = self._sizes(len(flat))
        parts = [
            self._average(*pair, block) for pair in zip(flat.split(queries), level.split(queries))
        ]
        return torch.cat(parts).reshape(x.shape).to(x.dtype)

    def weights(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        """The posterior probability of each training point, shape (*batch, N)."""
        flat, level = rows(x, sigma, self.event_shape, self._flat.dtype)
        queries, block = self._sizes(len(flat))
        parts = [
            torch.cat([self._scores(*pair, rows_of) for rows_of in self._flat.split(block)], 1)
            .softmax(1)
            .to(x.dtype)
            for pair in zip(flat.split(queries), level.split(queries))
        ]
        return torch.cat(parts).reshape(*batch_shape(x, self.event_shape), len(self.data))

    def along(self, x0: Tensor, noise: Tensor, sigmas: Tensor) -> Tensor:
        """The posterior means at x0 + sigma n for many levels (T,) and the same pairs of an image
        and a noise, (R, *event) each: (T, R, *event). Inner products with the data are taken once.
        """
        x, n = x0.flatten(1), noise.flatten(1)
        part = max(1, self._bound // (8 * 8 * len(self._flat)))
        found = [self._along(*pair, sigmas) for pair in zip(x.split(part), n.split(part))]
        return torch.cat(found, 1).reshape(len(sigmas), *x0.shape).to(x0.dtype)

    def _along(self, x0: Tensor, noise: Tensor, sigmas: Tensor) -> Tensor:
        """Of |x0 + sigma n - y|^2 = |x0 - y|^2 + 2 sigma n.(x0 - y) + sigma^2 |n|^2 what depends on
        y, in double precision.
        """
        apart, along = [], []
        for y in self._flat.split(max(1, self._bound // (8 * 8 * self._flat.shape[1]))):
            x, n, y = x0.double(), noise.double(), y.double()
            apart.append((x * x).sum(1, True) - 2 * x @ y.T + (y * y).sum(1))
            along.append((n * x).sum(1, True) - n @ y.T)
        square, inner = torch.cat(apart, 1).clamp(min=0), torch.cat(along, 1)
        levels = sigmas.double().tolist()
        weights = ((-(square + 2 * s * inner) / (2 * s * s)).softmax(1) for s in levels)
        return torch.stack([w.to(self._flat) @ self._flat for w in weights])

    def log_prob(self, x: Tensor, sigma: Tensor | float = 0.0) -> Tensor:
        """Log density of x0 + sigma n at x, batch shape; none at sigma = 0: a ValueError."""
        if bool((torch.as_tensor(sigma) == 0).any()):
            raise ValueError(
                "the empirical law is singular and has no density at sigma = 0; give a "
                "positive sigma"
            )
        flat, level = rows(x, sigma, self.event_shape, self._flat.dtype)
        queries, block = self._sizes(len(flat))
        parts = [
            self._log_density(*pair, block)
            for pair in zip(flat.split(queries), level.split(queries))
        ]
        return torch.cat(parts).reshape(batch_shape(x, self.event_shape)).to(x.dtype)

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """n training points drawn with replacement, shape (n, *event)."""
        return self.data[
            torch.randint(len(self.data), (n,), generator=generator).to(self.data.device)
        ]

    def _sizes(self, count: int) -> tuple[int, int]:
        """Queries and data rows of one block: at most five float64 of a (query, row) pair are
        alive, four of a number of a row or query.
        """
        n = self._flat.shape[1]
        queries = max(1, min(count, _MOST_QUERIES, self._bound // (2 * 8 * 4 * n)))
        block = (self._bound - 8 * 4 * n * queries) // (8 * (5 * queries + 4 * n))
        if block < 1:
            raise ValueError(
                f"max_memory of {self._bound} bytes is too small for points of {n} "
                f"numbers: give at least {8 * 12 * n + 64}"
            )
        return queries, min(block, len(self._flat))

    def _scores(self, x: Tensor, sigma: Tensor, data: Tensor) -> Tensor:
        """``(|x|^2 - |x - y|^2) / (2 sigma^2)`` about the mean, float64 of shape (b, rows):
        log-weights up to a constant a query.
        """
        y = data.double() - self._mean
        columns = torch.cat([y, -0.5 * (y**2).sum(1, keepdim=True)], 1)
        return (
            torch.cat([x.double() - self._mean, torch.ones_like(sigma, dtype=torch.float64)], 1)
            / sigma.double() ** 2
            @ columns.T
        )

    def _average(self, x: Tensor, sigma: Tensor, block: int) -> Tensor:
        if block == len(self._flat):
            return self._scores(x, sigma, self._flat).softmax(1).to(x.dtype) @ self._flat.to(
                x.dtype
            )
        total, average = None, torch.zeros_like(x)
        for scores, data in self._stream(x, sigma, block):
            local = scores.logsumexp(1, keepdim=True)
            total = local if total is None else torch.logaddexp(total, local)
            here = torch.exp(local - total).to(
                x.dtype
            )  # the share of all weight so far that this block holds
            average = torch.lerp(
                average, scores.sub(local).exp().to(x.dtype) @ data.to(x.dtype), here
            )
        return average

    def _log_density(self, x: Tensor, sigma: Tensor, block: int) -> Tensor:
        n, level = self._flat.shape[1], sigma.double().squeeze(1)
        total = torch.stack(
            [scores.logsumexp(1) for scores, _ in self._stream(x, sigma, block)]
        ).logsumexp(0)
        distance = (x.double() - self._mean).square().sum(1) / (2 * level**2)
        return (
            total
            - distance
            - math.log(len(self._flat))
            - n * (level.log() + 0.5 * math.log(2 * math.pi))
        )

    def _stream(self, x: Tensor, sigma: Tensor, block: int) -> Iterator[tuple[Tensor, Tensor]]:
        for data in self._flat.split(block):
            yield self._scores(x, sigma, data), data


def _finite(data: Tensor) -> bool:
    """Whether all numbers are finite, by their extremes: no copy; NaN is both extremes."""
    return all(bool(torch.isfinite(extreme)) for extreme in torch.aminmax(data))
