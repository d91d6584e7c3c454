"""Which images a model sees: held-out sets, nested subsets, disjoint halves, all by seed."""

from __future__ import annotations

import torch
from torch import Tensor

from denoscope.random import generator

_HOLD, _HALVES, _FRONT, _BACK = range(4)  # places below a seed


def hold_out(
    n: int, held: int, *, seed: int = 0, groups: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Splits ``range(n)`` at random into (pool, test): two sorted int64 index tensors, ``test`` of
    length ``held``.

    With ``groups`` (int, shape (n,)) a group goes wholly to one side; ``test`` is then filled group
    by group in random order and may stay a little shorter where no group fits any more. A
    ValueError if nothing would be left on the pool's side, or no group fits.
    """
    if not 0 <= held < n:
        raise ValueError(f"{held} of {n} images cannot be held out: between 0 and {n - 1} can")
    test = torch.zeros(n, dtype=torch.bool)
    if groups is None:
        test[torch.randperm(n, generator=generator(seed, _HOLD))[:held]] = True
    else:
        if groups.shape != (n,):
            raise ValueError(f"groups of shape {tuple(groups.shape)} do not label {n} images")
        _, member = groups.unique(return_inverse=True)
        test = _whole_groups(member, held, generator(seed, _HOLD))[member]
    if held and not test.any():
        raise ValueError(f"no near-duplicate group is as small as {held}: hold out more images")
    return (~test).nonzero()[:, 0], test.nonzero()[:, 0]


def _whole_groups(member: Tensor, held: int, g: torch.Generator) -> Tensor:
    """Bool per group: taken in random order while they fit into ``held``."""
    sizes = member.bincount()
    taken = torch.zeros(len(sizes), dtype=torch.bool)
    for group in torch.randperm(len(sizes), generator=g).tolist():
        if sizes[group] <= held:
            taken[group] = True
            held -= int(sizes[group])
    return taken


def subset(
    pool: Tensor, size: int, which: int = 0, *, seed: int = 0, groups: Tensor | None = None
) -> Tensor:
    """``size`` elements of ``pool`` in a seeded random order: a smaller subset is the beginning of
    a larger one.

    ``which=0`` takes from the front of one permutation of the pool, ``which=1`` from its back, 2
    and 3 from its middle on, toward front and back: 0 and 1 are disjoint up to a half of the pool,
    all four up to a quarter. Possible are 1 to len(pool) for 0, to a half for 1, to a quarter for 2
    and 3; any other size is a ValueError. With ``groups`` (int, one label for every image that
    ``pool`` may index) no group is in both halves, and the halves may be a little unequal; 2 and 3
    may then share a group with the one that comes to meet them.
    """
    if which not in range(4):
        raise ValueError(f"which is 0, 1, 2 or 3, got {which}")
    front, back = _halves(pool, seed, groups)
    half = min(len(front), len(back))
    most = (len(pool), half, half // 2, half // 2)[which]
    if not 1 <= size <= most:
        raise ValueError(
            f"subset {which} of a pool of {len(pool)} images has between 1 and {most} of "
            f"them, not {size}"
        )
    order = (torch.cat([front, back]), back.flip(0), front.flip(0), back)
    return order[which][:size]


def _halves(pool: Tensor, seed: int, groups: Tensor | None) -> tuple[Tensor, Tensor]:
    """The two halves of the pool's permutation; the front one is never the larger."""
    half = len(pool) // 2
    if groups is None:
        order = pool[torch.randperm(len(pool), generator=generator(seed, _HALVES))]
        return order[:half], order[half:]
    _, member = groups[pool].unique(return_inverse=True)
    front = _whole_groups(member, half, generator(seed, _HALVES))[member]
    return _shuffled(pool[front], seed, _FRONT), _shuffled(pool[~front], seed, _BACK)


def _shuffled(items: Tensor, seed: int, place: int) -> Tensor:
    return items[torch.randperm(len(items), generator=generator(seed, place))]
