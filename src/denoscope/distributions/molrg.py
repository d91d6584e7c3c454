"""The mixture of low-rank Gaussians: data near a union of K subspaces (Wang et al. 2024)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from denoscope.distributions.mixture import Mixture
from denoscope.distributions.modes import GaussianModes
from denoscope.random import generator as generator_at


class Labelled(NamedTuple):
    """Draws: ``points`` (N, n), their components (N,), the perturbation in each (N, n)."""

    points: Tensor
    labels: Tensor
    perturbations: Tensor


class MoLRG(Mixture):
    """The mixture of low-rank Gaussians ``x = means[k] + bases[k] diag(variances[k])^(1/2) a +
    noise e``, a and e standard normal.

    ``bases``: K tensors (n, d_k) with orthonormal columns, or one (K, n, d); the subspaces need not
    be orthogonal to each other. ``weights`` sum to 1, equal where None; ``means`` (K, n), 0 by
    default; ``variances`` K tensors (d_k,) or one (K, d), 1 by default; ``noise``: standard
    deviation of the ambient noise e, per entry. O(n sum d_k) per point. Columns that are
    not orthonormal, weights that do not sum to 1, or shapes that do not fit, are a ValueError.
    Source: Wang et al. 2024, lemma 1.
    """

    def __init__(
        self,
        bases: Tensor | Sequence[Tensor],
        weights: Tensor | Sequence[float] | None = None,
        *,
        means: Tensor | None = None,
        variances: Tensor | Sequence[Tensor] | None = None,
        noise: float = 0.0,
    ):
        bases = list(bases)
        _check_bases(bases)
        if not 0 <= noise < math.inf:
            raise ValueError(f"noise must be at least 0 and finite, got {noise}")
        n, count = bases[0].shape[0], len(bases)
        centres = bases[0].new_zeros(count, n) if means is None else means.to(bases[0])
        spreads = (
            [basis.new_ones(basis.shape[1]) for basis in bases]
            if variances is None
            else [spread.to(bases[0]) for spread in variances]
        )
        if centres.shape != (count, n):
            raise ValueError(f"means must have shape ({count}, {n}), got {tuple(centres.shape)}")
        if [tuple(spread.shape) for spread in spreads] != [(basis.shape[1],) for basis in bases]:
            raise ValueError("variances must hold one number for each column of each basis")
        if not all(bool((spread >= 0).all()) for spread in spreads):
            raise ValueError("variances must be at least 0")
        self.bases, self.noise = bases, float(noise)
        components = [
            GaussianModes(mean, basis, spread + noise**2, noise**2)
            for mean, basis, spread in zip(centres, bases, spreads)
        ]
        super().__init__(components, _checked_weights(weights, bases), torch.Size([n]))

    @classmethod
    def random(
        cls,
        n: int,
        dims: Sequence[int],
        *,
        orthogonal: bool = True,
        weights: Tensor | Sequence[float] | None = None,
        noise: float = 0.0,
        seed: int = 0,
    ) -> MoLRG:
        """Uniformly random subspaces of R^n with dimensions ``dims``, ``orthogonal`` to each other
        or independent, a function of ``seed``.

        float64. Orthogonal subspaces need sum(dims) <= n: else a ValueError.
        """
        if not dims or not all(1 <= d <= n for d in dims):
            raise ValueError(
                f"dims must be at least one number from 1 to n = {n}, got {list(dims)}"
            )
        if orthogonal and sum(dims) > n:
            raise ValueError(
                f"orthogonal subspaces of {sum(dims)} dimensions in all do not fit n = "
                f"{n}: take smaller dims, or orthogonal=False"
            )
        draws = torch.randn(n, sum(dims), generator=generator_at(seed), dtype=torch.float64)
        columns = (
            [torch.linalg.qr(draws).Q]
            if orthogonal
            else [torch.linalg.qr(part).Q for part in draws.split(list(dims), 1)]
        )
        return cls(torch.cat(columns, 1).split(list(dims), 1), weights, noise=noise)

    def labelled(
        self,
        counts: int | Sequence[int],
        generator: torch.Generator | None = None,
        *,
        perturbation: float = 0.0,
    ) -> Labelled:
        """Draws with their labels: ``counts`` in all, labels by the weights, or counts[k] of every
        component k, in order.

        ``perturbation``: standard deviation per entry of normal e_i added to the points, which this
        law does not know of (its own ``noise`` it does). A count below 1, or not one per component,
        is a ValueError.
        """
        if not 0 <= perturbation < math.inf:
            raise ValueError(f"perturbation must be at least 0 and finite, got {perturbation}")
        labels = self._labels_of(counts, generator)
        points = self.sample_of(labels, generator)
        added = perturbation * torch.randn(
            points.shape, generator=generator, dtype=points.dtype
        ).to(points.device)
        return Labelled(points + added, labels, added)

    def _labels_of(self, counts: int | Sequence[int], generator: torch.Generator | None) -> Tensor:
        each = [counts] if isinstance(counts, int) else list(counts)
        if min(each, default=0) < 1:
            raise ValueError(f"counts must be at least 1, got {counts}")
        if isinstance(counts, int):
            return self.labels(counts, generator)
        if len(each) != len(self.bases):
            raise ValueError(
                f"counts must hold one number for each of the {len(self.bases)} "
                f"subspaces, got {len(each)}"
            )
        return torch.repeat_interleave(torch.tensor(each)).to(self.log_weights.device)


def _checked_weights(
    weights: Tensor | Sequence[float] | None, bases: list[Tensor]
) -> Tensor | None:
    if weights is None:
        return None
    given = torch.as_tensor(weights, dtype=torch.float64)
    if (
        given.shape != (len(bases),)
        or not bool((given >= 0).all())
        or not abs(float(given.sum()) - 1) <= 1e-6
    ):
        raise ValueError(
            f"weights must be {len(bases)} non-negative numbers that sum to 1, got {given.tolist()}"
        )
    return given


def _check_bases(bases: list[Tensor]) -> None:
    if not bases or any(basis.ndim != 2 or basis.shape[0] != bases[0].shape[0] for basis in bases):
        raise ValueError("bases must be K >= 1 matrices (n, d_k) with the same n")
    for index, basis in enumerate(bases):
        identity = torch.eye(basis.shape[1], dtype=basis.dtype, device=basis.device)
        error = float((basis.T @ basis - identity).abs().max()) if basis.numel() else 0.0
        if not error <= 100 * torch.finfo(basis.dtype).eps * max(basis.shape):
            raise ValueError(
                f"the columns of bases[{index}] must be orthonormal (off by {error:.2g}); "
                "take torch.linalg.qr(basis).Q"
            )
