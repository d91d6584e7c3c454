"""A network of several stages is, row by row, the network of that row's stage."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from scipy.stats import norm
from torch import Tensor

from denoscope import UNet, load, save
from denoscope.fitting import denoising_loss
from denoscope.levels import log_normal
from denoscope.networks import Experts, Fleet, MultiStage, Preconditioned, jumps
from denoscope.random import generator

SHAPE, EDGES, WIDTHS = (1, 9, 8), (0.5, 3.0), (12, 8, 2)
SIGMA = torch.tensor([0.1, 0.49999, 0.5, 1.0, 3.0, 40.0, 0.2])
STAGE = [0, 0, 1, 1, 2, 2, 0]


def shaken(net: torch.nn.Module) -> torch.nn.Module:
    """The network with weights that are nowhere zero."""
    draw = generator(1)
    with torch.no_grad():
        for p in net.parameters():
            p += 0.1 * torch.randn(p.shape, generator=draw)
    return net.eval()


def staged(**options: float) -> Preconditioned:
    return Preconditioned(shaken(MultiStage(SHAPE, EDGES, WIDTHS, seed=3, **options)))  # pyright: ignore[reportArgumentType]


def alone(D: Preconditioned, stage: int) -> Preconditioned:
    assert isinstance(D.net, MultiStage)
    return Preconditioned(D.net.alone(stage), D.kind, D.sigma_data)


def points(n: int = len(SIGMA)) -> Tensor:
    return torch.randn(n, *SHAPE, generator=generator(2))


def test_a_row_gets_what_its_stage_alone_gives() -> None:
    D, x = staged(), points()
    each = [alone(D, k) for k in range(3)]
    expected = torch.stack(
        [each[k](x[i : i + 1], s)[0] for i, (k, s) in enumerate(zip(STAGE, SIGMA))]
    )
    torch.testing.assert_close(D(x, SIGMA), expected, rtol=1e-4, atol=1e-5)


def test_routed_gradients_are_those_of_sorted_batches() -> None:
    D, x = staged(), points()
    D(x, SIGMA).square().sum().backward()
    routed = [p.grad.clone() for p in D.parameters() if p.grad is not None]
    D.zero_grad()
    for k in range(3):
        rows = torch.tensor([i for i, stage in enumerate(STAGE) if stage == k])
        alone(D, k)(x[rows], SIGMA[rows]).square().sum().backward()
    sorted_ = [p.grad for p in D.parameters() if p.grad is not None]
    assert len(routed) == len(sorted_) == len(list(D.parameters()))
    for a, b in zip(routed, sorted_):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3 * float(b.abs().max()))


def test_one_stage_is_the_unified_network() -> None:
    one, unet = MultiStage(SHAPE, (), (8,), seed=5), UNet(SHAPE, 8, seed=5)
    ours, theirs = list(one.parameters()), list(unet.parameters())
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    x, c = points(), SIGMA.log() / 4
    torch.testing.assert_close(shaken(one)(x, c), shaken(unet)(x, c), rtol=1e-5, atol=1e-5)


def test_the_prefix_rule_and_saved_files(tmp_path: Path) -> None:
    D, x = staged(), points(6)
    sigma = SIGMA[:6].reshape(2, 3)
    answer = D(x, sigma.flatten())
    torch.testing.assert_close(D(x.reshape(2, 3, *SHAPE), sigma).reshape(x.shape), answer)
    torch.testing.assert_close(
        D(x.reshape(2, 3, *SHAPE), sigma[:, 0]).reshape(x.shape),
        D(x, sigma[:, 0].repeat_interleave(3)),
    )
    again = load(save(D, tmp_path / "net.safetensors"))
    assert torch.equal(again(x, sigma.flatten()), answer)


def test_derivatives_and_vmap() -> None:
    D, x = staged().double(), points(5).double()
    sigma, v = SIGMA[:5].double(), torch.randn(5, *SHAPE, generator=generator(4)).double()
    slope = torch.func.jvp(lambda x: D(x, sigma), (x,), (v,))[1]
    finite = (D(x + 1e-5 * v, sigma) - D(x - 1e-5 * v, sigma)) / 2e-5
    torch.testing.assert_close(slope, finite, rtol=1e-6, atol=1e-8)
    mapped = torch.func.vmap(D)(x[:, None], sigma[:, None])[:, 0]
    torch.testing.assert_close(mapped, D(x, sigma))
    by_rows = torch.func.vmap(lambda v: D(v, sigma))(torch.stack([x, v]))
    torch.testing.assert_close(by_rows[1], D(v, sigma))


def test_a_fleet_is_its_members() -> None:
    members = [staged(), Preconditioned(shaken(MultiStage(SHAPE, EDGES, WIDTHS, seed=9)))]
    x, fleet = points(), Fleet(members)
    both = fleet(x.expand(2, *x.shape), SIGMA.expand(2, -1))
    for got, member in zip(both, members):
        torch.testing.assert_close(got, member(x, SIGMA), rtol=1e-4, atol=1e-5)


def test_jumps_are_what_a_row_sees_at_an_edge_and_a_blend_removes_them() -> None:
    D, x0, noise = staged().double(), points(4).double(), points(8)[4:].double()
    found = jumps(D, x0, noise)
    blended = staged(blend=0.5).double()
    for k, edge in enumerate(EDGES):
        x = x0 + edge * noise
        below, above = (torch.full((4,), edge * f, dtype=x.dtype) for f in (1 - 1e-9, 1 + 1e-9))
        seen = (D(x, above) - D(x, below)).flatten(1).square().mean(1).sqrt()
        torch.testing.assert_close(found[k], seen, rtol=1e-5, atol=1e-6)
        smooth = (blended(x, above) - blended(x, below)).abs().max()
        assert smooth < 1e-6 < found[k].min()
        middle = (alone(D, k)(x, above) + alone(D, k + 1)(x, above)) / 2
        torch.testing.assert_close(blended(x, above), middle, rtol=1e-5, atol=1e-5)
    outside = torch.tensor([EDGES[0] * math.exp(0.26)] * 4, dtype=torch.float64)
    torch.testing.assert_close(blended(x0, outside), D(x0, outside))


def test_visits_are_those_of_the_density_and_an_unseen_stage_is_named() -> None:
    net = MultiStage(SHAPE, (2.5103, 7.6577), WIDTHS)
    shares = net.visits(log_normal(-1.2, 1.2))
    cdf = [0.0, *norm.cdf((torch.tensor(net.edges).log() + 1.2) / 1.2), 1.0]
    for found, low, high in zip(shares, cdf, cdf[1:]):
        assert abs(found.value - (high - low)) < 4 * math.sqrt(0.25 / found.n)
    with (
        pytest.warns(UserWarning, match=r"stage 1"),
        pytest.warns(UserWarning, match=r"stage 2 \(sigma from 7.6577 to inf\) is never trained"),
    ):
        net.visits(log_normal(-3.0, 0.1))


def test_only_visited_decoders_learn() -> None:
    D, x = staged(), points(3)
    denoising_loss(D, x, torch.full((3,), 0.2), x.flip(0)).backward()
    net = D.net
    assert isinstance(net, MultiStage)
    learns = [
        any(p.grad is not None and bool(p.grad.any()) for p in s.parameters()) for s in net.stages
    ]
    assert learns == [True, False, False]


@pytest.mark.parametrize(
    ("edges", "widths", "options", "said"),
    [
        ((3.0, 0.5), WIDTHS, {}, "must rise"),
        ((0.5, 0.5), WIDTHS, {}, "must rise"),
        ((0.0, 1.0), WIDTHS, {}, "above 0"),
        ((1.0, math.inf), WIDTHS, {}, "finite"),
        ((0.5, math.nan), WIDTHS, {}, "must rise"),
        (EDGES, (8, 8), {}, "2 edges make 3 stages"),
        (EDGES, (8, 0, 8), {}, "widths of at least 1"),
        (EDGES, WIDTHS, {"blend": 2.0}, "blend must lie between 0"),
        (EDGES, WIDTHS, {"blend": -0.1}, "blend must lie between 0"),
        (EDGES, WIDTHS, {"encoder": -1}, "encoder's width"),
    ],
)
def test_bad_stages_are_refused(
    edges: tuple[float, ...], widths: tuple[int, ...], options: dict[str, float], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        MultiStage(SHAPE, edges, widths, **options)  # pyright: ignore[reportArgumentType]


def test_jumps_of_another_network_are_refused() -> None:
    with pytest.raises(ValueError, match="not of UNet"):
        jumps(Preconditioned(UNet(SHAPE, 4)), points(), points())


def test_experts_are_a_network_a_stage(tmp_path: Path) -> None:
    D, x = Preconditioned(shaken(Experts(SHAPE, EDGES, WIDTHS, seed=3))), points()
    net = D.net
    assert isinstance(net, Experts)
    each = [Preconditioned(net.alone(k)) for k in range(3)]
    rows = [each[k](x[i : i + 1], s)[0] for i, (k, s) in enumerate(zip(STAGE, SIGMA))]
    torch.testing.assert_close(D(x, SIGMA), torch.stack(rows), rtol=1e-4, atol=1e-5)
    mapped = torch.func.vmap(D)(x[:, None], SIGMA[:, None])[:, 0]
    torch.testing.assert_close(mapped, D(x, SIGMA), rtol=1e-4, atol=1e-5)
    again = load(save(D, tmp_path / "net.safetensors"))
    assert torch.equal(again(x, SIGMA), D(x, SIGMA))
    D(x, SIGMA)[0].sum().backward()
    given = [[p.grad for p in s.parameters() if p.grad is not None] for s in net.stages]
    spent = [sum(float(g.abs().sum()) for g in some) for some in given]
    assert spent[0] > 0 == spent[1] == spent[2]
