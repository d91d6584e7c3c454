"""Images that repeat others: exactly by content, nearly by distance."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from denoscope.nearest import neighbors, within

_LARGE = 0.05


@dataclass(frozen=True, eq=False)
class Duplicates:
    """What repeats in n images.

    ``copies[i]`` is the first row with the content of row i, int64 (n,). ``links`` are the pairs of
    distinct contents nearer than ``threshold``, int64 (m, 2), each row ascending, rows sorted.
    ``groups[i]`` is the centre of the star that row i belongs to: every row is a copy of its centre
    or linked to it, so a group cannot chain away from its centre. ``clusters`` numbers the
    connected components of links and copies, which can. ``quantile`` is the one that was declared.
    """

    copies: Tensor
    links: Tensor
    groups: Tensor
    clusters: Tensor
    threshold: float
    quantile: float

    @property
    def exact(self) -> int:
        """How many rows repeat an earlier one."""
        return int((self.copies != torch.arange(len(self.copies))).sum())

    @property
    def largest(self) -> int:
        """Rows in the largest cluster; 1 where nothing repeats."""
        return int(self.clusters.bincount().max())

    @property
    def warnings(self) -> tuple[str, ...]:
        """A line if the largest cluster exceeds 5 % of the data."""
        share = self.largest / len(self.clusters)
        if share <= _LARGE:
            return ()
        return (
            f"the largest cluster of near-duplicates has {self.largest} of "
            f"{len(self.clusters)} images ({100 * share:.0f} %)",
        )

    def json(self) -> dict[str, object]:
        """The counts, for a report."""
        counts = {"images": len(self.copies), "exact": self.exact, "links": len(self.links)}
        counts["groups"] = len(self.groups.unique())
        ends = {"threshold": self.threshold, "quantile": self.quantile}
        found = {**counts, "largest_cluster": self.largest, **ends}
        return {**found, "warnings": list(self.warnings)}


def find_duplicates(x: Tensor, *, quantile: float = 0.01) -> Duplicates:
    """Exact duplicates by content, near ones by Euclidean distance below a declared quantile of
    nearest-neighbour distances.

    ``x`` is images or features, (n, ...), n >= 1. The quantile is taken over distinct contents, so
    that exact copies do not draw the threshold to 0; with q about a share q of independent images
    is linked too, and 0 finds exact copies only. Outside [0, 0.5] it is a ValueError.
    """
    if not 0 <= quantile <= 0.5:
        raise ValueError(f"the quantile of nearest distances is between 0 and 0.5, got {quantile}")
    flat = x.detach().cpu().flatten(1)
    copies = first_with_content(flat)
    distinct = copies.unique()
    links, threshold = _links(flat[distinct], quantile)
    links = distinct[links]
    place = torch.searchsorted(distinct, copies)
    same = torch.stack([torch.arange(len(flat)), copies], 1)
    clusters = components(len(flat), torch.cat([links, same]))
    stars = distinct[_stars(len(distinct), torch.searchsorted(distinct, links))]
    return Duplicates(copies, links, stars[place], clusters, threshold, quantile)


def first_with_content(x: Tensor) -> Tensor:
    """The index of the first row equal to each of ``x`` (n, ...) (0.0 is -0.0), int64 (n,)."""
    rows = x.detach().cpu().flatten(1)
    digests = np.empty((len(rows), 16), np.uint8)
    for i, row in enumerate(rows):
        digest = hashlib.blake2b((row + 0.0).numpy().data, digest_size=16).digest()
        digests[i] = np.frombuffer(digest, np.uint8)
    _, first, inverse = np.unique(digests.view("V16")[:, 0], return_index=True, return_inverse=True)
    return torch.from_numpy(first[inverse])


def _links(distinct: Tensor, quantile: float) -> tuple[Tensor, float]:
    """The pairs nearer than the quantile of nearest-neighbour distances, and that distance."""
    n = len(distinct)
    if n < 3:  # two points are each other's nearest: no distribution to take a quantile of
        return torch.empty((0, 2), dtype=torch.int64), 0.0
    nearest = neighbors(distinct, distinct, 1, exclude_self=True).distance[:, 0].double()
    threshold = float(nearest.quantile(quantile))
    rows = (nearest < threshold).nonzero()[:, 0]
    i, j = within(distinct[rows], distinct, threshold).T
    pairs = torch.stack([rows[i], j], 1)
    return pairs[pairs[:, 0] < pairs[:, 1]], threshold


def components(n: int, links: Tensor) -> Tensor:
    """Connected components of the undirected graph of ``links`` (m, 2) on n nodes, int64 (n,)."""
    i, j = links.T.numpy()
    graph = coo_array((np.ones(len(i), dtype=bool), (i, j)), shape=(n, n))
    _, labels = connected_components(graph, directed=False)
    return torch.from_numpy(labels.astype(np.int64))


def _stars(n: int, links: Tensor) -> Tensor:
    """The centre of each node's star: nodes of falling degree (then index) take free neighbours."""
    around: list[list[int]] = [[] for _ in range(n)]
    for i, j in links.tolist():
        around[i].append(j)
        around[j].append(i)
    centre = [-1] * n
    for node in sorted(range(n), key=lambda i: -len(around[i])):
        if centre[node] < 0:
            for other in (node, *around[node]):
                if centre[other] < 0:
                    centre[other] = node
    return torch.tensor(centre)
