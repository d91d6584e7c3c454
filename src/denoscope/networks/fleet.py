"""Many networks of one shape, trained and sampled as one."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call


class Fleet(nn.Module):
    def __init__(self, denoisers: Sequence[nn.Module]):
        super().__init__()
        self.stacked = copy.deepcopy(denoisers[0])
        self.size = len(denoisers)
        for name, _ in list(self.stacked.named_parameters()):
            path, _, leaf = name.rpartition(".")
            values = torch.stack([d.get_parameter(name).detach() for d in denoisers])
            setattr(self.stacked.get_submodule(path), leaf, nn.Parameter(values))
        self.native = getattr(self.stacked, "stackable", False)

    def weight(self, sigma):
        return self.stacked.weight(sigma)

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        return self.stacked(x, sigma)
