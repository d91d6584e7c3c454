"""Networks of several stages cost what the unified one does, as nearly as whole widths can."""

from __future__ import annotations

import pytest

from denoscope.fitting.arithmetic import expected_operations, operations
from denoscope.fitting.equal_cost import Stages
from denoscope.networks import Experts, MultiStage, UNet

SHAPE = (1, 8, 8)
STAGES = Stages(SHAPE, 12, (0.6, 5.7), (1.25, 1.0, 0.25), (0.5, 0.4, 0.1))


@pytest.mark.parametrize("arm", ["experts", "multistage"])
def test_a_row_costs_the_same(arm: str) -> None:
    net, unified = STAGES.network(arm), STAGES.network("unified")
    assert isinstance(net, Experts if arm == "experts" else MultiStage)
    assert isinstance(unified, UNet)
    wanted = operations(unified, SHAPE)
    assert STAGES.operations("unified") == wanted
    assert STAGES.operations(arm) == expected_operations(net, STAGES.shares)
    off = abs(STAGES.operations(arm) / wanted - 1)
    assert off < 0.12
    for base in (STAGES.base(arm) - 1, STAGES.base(arm) + 1):
        other = STAGES.made(arm, base)
        assert not isinstance(other, UNet)
        assert abs(expected_operations(other, STAGES.shares) / wanted - 1) > off - 0.02


def test_published_widths_stay_what_they_are() -> None:
    net = STAGES.network("published")
    assert isinstance(net, MultiStage)
    assert (net.encoder, net.widths) == (12, (18, 12, 2))
