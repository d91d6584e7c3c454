"""Counted operations are those that a hand counts, and a routed batch takes what is expected."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from denoscope.fitting.arithmetic import expected_operations, operations
from denoscope.networks import MLP, Experts, MultiStage, Preconditioned, UNet

SHAPE, EDGES, WIDTHS = (1, 9, 8), (0.5, 3.0), (12, 8, 2)
STAGED = MultiStage(SHAPE, EDGES, WIDTHS), Experts(SHAPE, EDGES, WIDTHS)


def test_an_mlp_takes_two_operations_a_weight() -> None:
    net = MLP((1, 8, 8), 32)
    weights = sum(p.numel() for p in net.parameters() if p.ndim == 2)
    assert operations(net, (1, 8, 8)) == 2 * weights
    assert operations(Preconditioned(net), (1, 8, 8)) == 2 * weights
    assert all(p.device.type == "cpu" for p in net.parameters())


class Convolution(torch.nn.Module):
    """3 x 3, three channels to five."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Conv2d(3, 5, 3, padding=1)

    def forward(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        return self.layer(x)


def test_a_convolution_takes_two_operations_a_weight_and_pixel() -> None:
    assert operations(Convolution(), (3, 7, 6)) == 2 * 3 * 5 * 9 * 7 * 6


@pytest.mark.parametrize("net", [*STAGED, MultiStage(SHAPE, EDGES, WIDTHS, blend=1.0)])
def test_a_routed_batch_takes_what_its_visits_say(net: MultiStage | Experts) -> None:
    sigma = torch.tensor([0.1, 0.2, 0.45, 0.55, 1.0, 8.0])  # two are in the blend of the first edge
    rows = [4, 3, 1] if getattr(net, "blend", 0) else [3, 2, 1]
    with FlopCounterMode(display=False) as counter:
        net(torch.zeros(6, *SHAPE), sigma.log() / 4)
    spent = counter.get_total_flops() / 6
    assert expected_operations(net, [n / 6 for n in rows]) == pytest.approx(spent)


def test_one_stage_takes_what_the_unified_network_does() -> None:
    for one in (MultiStage(SHAPE, (), (8,)), Experts(SHAPE, (), (8,))):
        assert expected_operations(one, [1.0]) == operations(UNet(SHAPE, 8), SHAPE)
