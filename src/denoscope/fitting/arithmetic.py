"""How many floating-point operations a forward pass takes, counted by torch itself."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from denoscope.networks import Experts, MultiStage


def operations(network: nn.Module, shape: Sequence[int]) -> int:
    """Those of ``network(x, c)`` for one image of ``shape``, two per multiply-add; with all
    decoders of a network of several stages. Nothing is computed.
    """
    empty = copy.deepcopy(network).to("meta")
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        empty(torch.empty(1, *shape), torch.empty(1))
    return counter.get_total_flops()


def expected_operations(net: MultiStage | Experts, shares: Sequence[float]) -> float:
    """Those that a row takes on average where stage k takes part in a share ``shares[k]`` of rows:
    the sum of shares[k] times those of ``net.alone(k)``, an encoder that is shared counted once per
    row, also where a blend asks two decoders.
    """
    each = [operations(net.alone(k), net.shape) for k in range(len(net.widths))]
    found = sum(share * count for share, count in zip(shares, each, strict=True))
    if abs(sum(shares) - 1) < 1e-9:
        return found
    encoder = (sum(each) - operations(net, net.shape)) / (len(each) - 1)
    return found - (sum(shares) - 1) * encoder
