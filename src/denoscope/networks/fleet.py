"""Many networks of one shape, trained and sampled as one.

Where models are small, a step's time is the cost of calling many small operations. A fleet makes
each call once for all members: with batched matrix products where the network can hold stacked
parameters itself (``stackable``: the MLP), by ``vmap`` otherwise.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.func import functional_call

STACKED_BYTES = 15_000_000
LARGEST = 36


class Fleet(nn.Module):
    """m denoisers of one shape as one: ``fleet(x, sigma)`` for x (m, b, *shape) and sigma of shape
    (), (m,) or (m, b); ``fleet(x, sigma, label)`` where they know labels, label like sigma.

    Every parameter carries a leading member axis. A member's numbers do not depend on its fleet
    mates, and equal those of the denoiser alone to rounding. The denoisers given are copied; they
    must be modules with equal configurations and no buffers.
    """

    def __init__(self, denoisers: Sequence[nn.Module]):
        super().__init__()
        if not denoisers:
            raise ValueError("a fleet needs at least one denoiser")
        described = [_description(denoiser) for denoiser in denoisers]
        for i, other in enumerate(described):
            if other != described[0]:
                raise ValueError(
                    f"a fleet needs denoisers of one shape; member {i} differs from "
                    f"member 0: {_difference(described[0], other)}"
                )
        if next(denoisers[0].buffers(), None) is not None:
            raise ValueError(
                "a fleet cannot stack denoisers with buffers (such as batch "
                "normalisation's statistics)"
            )
        self.size = len(denoisers)
        values = {
            name: torch.stack([d.get_parameter(name).detach() for d in denoisers])
            for name, _ in denoisers[0].named_parameters()
        }
        self.stacked = _with_parameters(denoisers[0], values)

    @property
    def native(self) -> bool:
        """Whether the network computes all members itself; otherwise it is mapped over them."""
        return getattr(self.stacked, "stackable", False)

    @property
    def weight(self) -> Callable[[Tensor], Tensor]:
        """The members' own loss weight, a function of sigma; an AttributeError without one."""
        return cast(Callable[[Tensor], Tensor], self.stacked.weight)

    @property
    def classes(self) -> int:
        """How many labels the members know."""
        return getattr(self.stacked, "classes", 0)

    def member(self, i: int) -> nn.Module:
        """A copy of member i as an ordinary denoiser."""
        own = {name: p.detach()[i].clone() for name, p in self.stacked.named_parameters()}
        return _with_parameters(self.stacked, own)

    def members(self) -> list[nn.Module]:
        """Copies of all members as ordinary denoisers."""
        return [self.member(i) for i in range(self.size)]

    def forward(self, x: Tensor, sigma: Tensor, *label: Tensor) -> Tensor:
        if x.shape[0] != self.size:
            wanted = f"a fleet of {self.size} needs x of shape ({self.size}, b, ...)"
            raise ValueError(f"{wanted}, got {tuple(x.shape)}")
        if self.native:
            return self.stacked(x, sigma, *label)
        each = (s.expand(self.size) if s.ndim == 0 else s for s in (sigma, *label))
        stacked = {**dict(self.stacked.named_parameters()), **dict(self.stacked.named_buffers())}
        called = torch.vmap(lambda p, *given: functional_call(self.stacked, p, given))
        return called(stacked, x, *each)


def best_size(denoiser: nn.Module) -> int:
    """How many denoisers (or networks) like this one to train as one fleet on a CPU thread: the
    fastest size measured, 1 where none pays.

    Stacked networks gain ever less from more mates: up to 36 of width 64 and 18 of width 128.
    """
    if not getattr(denoiser, "stackable", False):
        return 1
    size = sum(p.numel() * p.element_size() for p in denoiser.parameters())
    return max(1, min(LARGEST, STACKED_BYTES // size))


def _with_parameters(module: nn.Module, values: dict[str, Tensor]) -> nn.Module:
    """A copy of ``module`` with ``values`` of any shapes, trainable as the originals are."""
    result = copy.deepcopy(module)
    for name, old in module.named_parameters():
        path, _, leaf = name.rpartition(".")
        new = nn.Parameter(values[name], requires_grad=old.requires_grad)
        setattr(result.get_submodule(path), leaf, new)
    return result


def _description(denoiser: nn.Module) -> dict[str, object]:
    shapes = {name: tuple(p.shape) for name, p in denoiser.named_parameters()}
    return {"class": type(denoiser).__name__, **getattr(denoiser, "config", {}), **shapes}


def _difference(first: dict[str, object], other: dict[str, object]) -> str:
    name = next(key for key in {**first, **other} if first.get(key) != other.get(key))
    return f"{name} is {other.get(name)}, not {first.get(name)}"
