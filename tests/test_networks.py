"""Networks and the affine table: identities with closed forms, the prefix rule, derivatives, and
files.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from denoscope.networks import (
    MLP,
    Averaged,
    FiLM,
    Preconditioned,
    UNet,
    UViT,
    from_network,
    load,
    save,
)
from denoscope.networks.archive import read_tensors, write_tensors
from denoscope.networks.layers import noise_features
from denoscope.networks.precondition import CONSISTENT_FROM, POSTERIOR_MEANS, PREDICTIONS
from denoscope.networks.unet import level_count
from denoscope.random import generator
from denoscope.schedule import VP

VARIANCE = 0.7  # of the Gaussian N(0, VARIANCE I) that the perfect networks below know
SIGMAS = torch.tensor([0.002, 0.3, 1.0, 4.0, 80.0], dtype=torch.float64)


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=generator(11, seed), dtype=dtype)


def shake(net: nn.Module, seed: int = 0) -> nn.Module:
    """Random numbers added to all parameters, so that no layer is zero."""
    with torch.no_grad():
        for k, p in enumerate(net.parameters()):
            p += 0.1 * torch.randn(p.shape, generator=generator(seed, k)).to(p.dtype)
    return net


def regression(prediction: str, noisy: Tensor, alpha: Tensor, std: Tensor) -> Tensor:
    """E[target | x_t] for x_t = alpha x0 + std n with Gaussian x0: each target is linear in x0 and
    n, both jointly Gaussian with x_t.
    """
    total = alpha**2 * VARIANCE + std**2
    x0, n = alpha * VARIANCE / total * noisy, std / total * noisy
    return {"eps": n, "x0": x0, "v": alpha * n - std * x0, "flow": n - x0}[prediction]


class Perfect(nn.Module):
    """The perfect F of a kind for the Gaussian, from c_noise = ln(sigma)/4 alone."""

    def __init__(self, kind: str, sigma_data: float):
        super().__init__()
        self.kind, self.sigma_data = kind, sigma_data

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        sigma = (4 * c).exp().reshape(c.shape + (1,) * (x.ndim - c.ndim))
        if self.kind == "edm":
            total, square = sigma**2 + self.sigma_data**2, self.sigma_data**2
            noisy = x * total.sqrt()
            return (
                (VARIANCE / (VARIANCE + sigma**2) * noisy - square / total * noisy)
                * total.sqrt()
                / (sigma * self.sigma_data)
            )
        alpha = 1 / (1 + sigma) if self.kind == "flow" else 1 / (1 + sigma**2).sqrt()
        return regression(self.kind, x, alpha, alpha * sigma)


@pytest.mark.parametrize("kind", POSTERIOR_MEANS)
def test_a_perfect_network_is_the_posterior_mean(kind: str):
    D = Preconditioned(Perfect(kind, 0.6), kind, sigma_data=0.6)
    x = normal(5, 3) * 3
    exact = VARIANCE / (VARIANCE + SIGMAS[:, None] ** 2) * x
    torch.testing.assert_close(D(x, SIGMAS), exact, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", POSTERIOR_MEANS)
def test_the_weight_makes_the_loss_the_networks_own_regression(kind: str):
    net = shake(MLP((3,), 8)).double()
    D = Preconditioned(net, kind, sigma_data=0.6)
    x0, n = normal(5, 3), normal(5, 3, seed=1)
    x, c = x0 + SIGMAS[:, None] * n, SIGMAS.log() / 4
    skip, out, into = D.coefficients(SIGMAS)
    target = (x0 - skip[:, None] * x) / out[:, None]
    own = (net(into[:, None] * x, c) - target).square().sum(-1)
    torch.testing.assert_close(
        D.weight(SIGMAS) * (D(x, SIGMAS) - x0).square().sum(-1), own, rtol=1e-6, atol=1e-9
    )
    s, t = 1 / (1 + SIGMAS**2).sqrt(), SIGMAS / (1 + SIGMAS)
    named = {"eps": n, "x0": x0, "v": s[:, None] * n - (s * SIGMAS)[:, None] * x0, "flow": n - x0}
    if kind in named:
        torch.testing.assert_close(target, named[kind], rtol=1e-9, atol=1e-6)
        torch.testing.assert_close(into, 1 - t if kind == "flow" else s)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_consistency_model_is_the_identity_where_the_flow_ends(dtype: torch.dtype):
    D = Preconditioned(shake(MLP((3,), 8)).to(dtype), "consistency", sigma_data=0.6)
    x = normal(4, 3, dtype=dtype)
    ends = torch.tensor([CONSISTENT_FROM, CONSISTENT_FROM / 2, 0.0, 1.0], dtype=dtype)
    assert torch.equal(D(x, ends)[:3], x[:3])
    assert not torch.equal(D(x, ends)[3], x[3])
    high = torch.full((4,), 80.0, dtype=dtype)
    edm = Preconditioned(D.net, "edm", sigma_data=0.6)
    torch.testing.assert_close(D(x, high), edm(x, high), rtol=1e-3, atol=1e-4)


def test_edm_input_and_target_have_unit_variance():
    D = Preconditioned(MLP((1,), 4), "edm", sigma_data=0.6)
    x0, n = 0.6 * normal(200_000, 1), normal(200_000, 1, seed=1)
    for sigma in SIGMAS:
        skip, out, into = D.coefficients(sigma)
        x = x0 + sigma * n
        assert float((into * x).std()) == pytest.approx(1, abs=0.01)
        assert float(((x0 - skip * x) / out).std()) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_a_foreign_network_on_its_own_schedule(prediction: str):
    schedule = VP.linear(1000)
    seen = []

    def net(noisy: Tensor, t: Tensor) -> Tensor:
        seen.append((noisy.shape, t.shape))
        alpha, std = schedule.alpha(t), schedule.std(t)
        return regression(prediction, noisy, alpha[:, None], std[:, None])

    D = from_network(net, prediction, schedule)
    sigma, x = torch.tensor([0.05, 0.5, 3.0], dtype=torch.float64), normal(3, 4)
    torch.testing.assert_close(
        D(x, sigma), VARIANCE / (VARIANCE + sigma[:, None] ** 2) * x, rtol=1e-6, atol=1e-9
    )
    torch.testing.assert_close(D(x[None].expand(2, 3, 4), sigma.expand(2, 3))[1], D(x, sigma))
    torch.testing.assert_close(
        D(x, sigma[1]), VARIANCE / (VARIANCE + sigma[1] ** 2) * x, rtol=1e-6, atol=1e-9
    )
    assert [tuple(map(tuple, s)) for s in seen] == [
        ((3, 4), (3,)),
        ((6, 4), (6,)),
        ((3, 4), (3,)),
        ((3, 4), (3,)),
    ]


def denoisers(seed: int = 0) -> dict[str, tuple[Preconditioned, tuple[int, ...]]]:
    nets = {
        "mlp": MLP((2, 3), 8),
        "film": FiLM((2, 3), 8),
        "unet": UNet((1, 8, 8), 8),
        "unet, odd colour": UNet((3, 9, 7), 8),
        "unet, labels": UNet((1, 8, 8), 8, classes=3),
        "unet, patches": UNet((3, 8, 12), 8, patch=2),
        "unet, no attention": UNet((1, 8, 8), 8, attention=False),
        "uvit": UViT((1, 8, 8), 8),
        "uvit, colour, labels": UViT((3, 6, 9), 8, 1, patch=3, classes=2),
    }
    return {
        name: (Preconditioned(shake(net, seed).double()), net.shape) for name, net in nets.items()
    }


@pytest.mark.parametrize("name", denoisers())
def test_the_prefix_rule_and_leading_axes(name: str):
    D, shape = denoisers()[name]
    x, sigma = normal(2, 3, *shape), normal(2, 3, seed=1).exp()
    whole = D(x, sigma)
    assert whole.shape == x.shape
    for i in range(2):
        torch.testing.assert_close(D(x[i], sigma[i]), whole[i])
        torch.testing.assert_close(D(x, sigma[:, 0])[i], D(x[i], sigma[i, 0]))
        torch.testing.assert_close(D(x[i, 0], sigma[i, 0]), whole[i, 0])
    with pytest.raises(ValueError, match="not a prefix"):
        D(x, sigma[:, :1].expand(2, 4))


@pytest.mark.parametrize("name", denoisers())
def test_derivatives(name: str):
    D, shape = denoisers()[name]
    x, v, u, sigma = (
        normal(2, *shape),
        normal(2, *shape, seed=1),
        normal(2, *shape, seed=2),
        torch.tensor([0.2, 3.0], dtype=torch.float64),
    )
    value, forward = torch.func.jvp(lambda y: D(y, sigma), (x,), (v,))
    difference = (D(x + 1e-6 * v, sigma) - D(x - 1e-6 * v, sigma)) / 2e-6
    torch.testing.assert_close(forward, difference, rtol=1e-6, atol=1e-7)
    (backward,) = torch.func.vjp(lambda y: D(y, sigma), x)[1](u)
    torch.testing.assert_close((u * forward).sum(), (backward * v).sum())
    torch.testing.assert_close(torch.vmap(D)(x, sigma), value)


def test_attention_looks_across_the_image_and_matters_to_the_derivative():
    net = shake(UNet((1, 8, 8), 8)).double()
    x, c = normal(1, 1, 8, 8), torch.zeros(1, dtype=torch.float64)
    before = net(x, c)
    with torch.no_grad():
        net.attention.out.weight.zero_()
    assert (net(x, c) - before).abs().max() > 1e-6


@pytest.mark.parametrize(
    "shape",
    [(1, 8, 8), (3, 16, 16), (1, 25, 25), (1, 28, 28), (3, 32, 32), (3, 64, 64), (1, 13, 8)],
)
def test_unet_sizes(shape: tuple[int, ...]):
    D = Preconditioned(UNet(shape, 8))
    x = normal(2, *shape, dtype=torch.float32)
    y = D(x, torch.tensor([0.1, 2.0]))
    assert y.shape == x.shape
    skip = D.coefficients(torch.tensor([0.1, 2.0]))[0]
    torch.testing.assert_close(
        y, skip[:, None, None, None] * x, rtol=1e-6, atol=1e-6
    )  # the network starts as zero


def test_a_patch_is_a_pixel_of_more_channels():
    net, inner = UNet((3, 8, 12), 8, patch=2, seed=3), UNet((12, 4, 6), 8, seed=3)
    shake(net), shake(inner)
    x, c = normal(2, 3, 8, 12, dtype=torch.float32), torch.zeros(2)
    rows = x.reshape(2, 3, 4, 2, 6, 2).permute(0, 1, 3, 5, 2, 4).reshape(2, 12, 4, 6)
    there = inner(rows, c).reshape(2, 3, 2, 2, 4, 6).permute(0, 1, 4, 2, 5, 3).reshape(x.shape)
    torch.testing.assert_close(net(x, c), there)
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), inner.parameters()))


def test_a_unet_without_attention_sees_no_farther_than_its_convolutions():
    far = torch.zeros(1, 1, 64, 64)
    far[..., -1, -1] = 1.0
    reached = []
    for attention in (True, False):
        net = UNet((1, 64, 64), 8, attention=attention)
        for block in (*net.down, *net.middle, *net.up):  # their norms see the whole image too
            nn.init.zeros_(block.conv2.weight)
        nn.init.ones_(net.leave.weight)
        if attention:
            nn.init.ones_(net.attention.out.weight)
        net.norm = nn.Identity()
        gap = net(far, torch.zeros(1)) - net(0 * far, torch.zeros(1))
        reached.append(float(gap[..., 0, 0].detach().abs()))
    assert reached[0] > 0
    assert reached[1] == 0


def test_the_long_skips_of_a_uvit_carry_what_no_block_does():
    """With the way down cut off at the middle, what enters still leaves; without the skips it
    does not.
    """
    net = shake(UViT((1, 8, 8), 8, 3)).double()
    x, c = normal(2, 1, 8, 8), torch.zeros(2, dtype=torch.float64)
    passed = [join.weight[8:] for join in net.join]  # the rows that take the skip
    answers = []
    for kept in (slice(0, 0), slice(0, 3)):
        with torch.no_grad():
            for rows in passed[kept]:
                rows.zero_()
        answers.append(cut(net, x, c))
    assert answers[0] > 1e-3
    assert answers[1] == 0


def cut(net: UViT, x: Tensor, c: Tensor) -> float:
    """How far the answers to two images differ if the middle block says nothing."""
    handle = net.middle.register_forward_hook(lambda *given: 0 * given[-1])
    answer = net(x, c)
    handle.remove()
    return float((answer[0] - answer[1]).abs().max().detach())


def test_a_uvit_starts_as_zero_and_its_noise_level_and_places_matter():
    D = Preconditioned(UViT((3, 8, 12), 8))
    x, sigma = normal(2, 3, 8, 12, dtype=torch.float32), torch.tensor([0.1, 2.0])
    torch.testing.assert_close(D(x, sigma), D.coefficients(sigma)[0][:, None, None, None] * x)
    net = shake(D.net).double()
    same, zero = torch.ones(1, 3, 8, 12, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    assert (net(same, zero) - net(same, zero + 0.5)).abs().max() > 1e-4
    tokens = net(same, zero).unfold(-2, 2, 2).unfold(-2, 2, 2).flatten(2, 3)
    assert (tokens[:, :, 0] - tokens[:, :, 1]).abs().max() > 1e-4, "equal patches, other places"


def test_unet_levels():
    assert [level_count(s, s) for s in (3, 4, 8, 16, 25, 28, 32, 64)] == [1, 1, 2, 3, 4, 4, 4, 4]
    sizes = [sum(p.numel() for p in UNet((1, 8, 8), width).parameters()) for width in (8, 16, 32)]
    assert 3 < sizes[1] / sizes[0] < 4.2
    assert 3 < sizes[2] / sizes[1] < 4.2


@pytest.mark.parametrize("kind", [MLP, FiLM, UNet, UViT])
def test_initial_weights_are_a_function_of_the_seed_alone(kind: type[nn.Module]):
    state = torch.random.get_rng_state()
    first = kind((1, 8, 8), 8, seed=3)
    torch.randn(5)
    again, other = kind((1, 8, 8), 8, seed=3), kind((1, 8, 8), 8, seed=4)
    torch.random.set_rng_state(state)
    kind((1, 8, 8), 8, seed=3)
    assert torch.equal(torch.random.get_rng_state(), state), (
        "initialisation must not touch the global generator"
    )
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters()))
    assert any(not torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters()))


def test_no_noise_is_the_identity_and_extreme_levels_are_finite():
    D = Preconditioned(shake(MLP((4,), 8)))
    x = normal(2, 4, dtype=torch.float32)
    torch.testing.assert_close(D(x, torch.tensor(0.0)), x)
    assert D(x, torch.tensor([1e-6, 1e6])).isfinite().all()
    assert D(x, torch.tensor(1.0, dtype=torch.float64)).dtype == torch.float32


def test_film_without_blocks_is_a_bank_of_linear_filters_whose_strengths_the_level_sets():
    net = shake(FiLM((5,), 8)).double()
    for block in net.blocks:
        nn.init.zeros_(block.down.weight)
    x, y, c = normal(2, 5), normal(2, 5), torch.tensor(-0.3, dtype=torch.float64)
    offset = net(0 * x, c)
    torch.testing.assert_close(net(x + 2 * y, c) - offset, net(x, c) + 2 * net(y, c) - 3 * offset)
    enter, leave = net.enter.weight, net.leave.weight
    level = noise_features(c)
    strengths = 1 + level @ net.strength.weight
    filters = (enter * strengths) @ leave + torch.diag(level @ net.gain.weight)
    torch.testing.assert_close(net(x, c) - offset, x @ filters)


def test_noise_features_tell_levels_apart():
    c = torch.linspace(math.log(1e-6), math.log(1e6), 200, dtype=torch.float64) / 4
    gaps = torch.cdist(noise_features(c), noise_features(c)) + 10 * torch.eye(200)
    assert gaps.min() > 0.05
    assert noise_features(c[:6].reshape(2, 3)).shape == (2, 3, 16)


@pytest.mark.parametrize(
    "net",
    [
        MLP((1, 4, 4), 8, 2, seed=1),
        FiLM((1, 4, 4), 8, 2, classes=4),
        UNet((3, 9, 8), 8),
        UNet((1, 8, 8), 8, classes=2, patch=2, attention=False),
        UViT((1, 6, 6), 8, 1, patch=3, classes=2),
    ],
)
def test_save_and_load(net: nn.Module, tmp_path):
    D = Preconditioned(shake(net), "flow", sigma_data=0.7)
    again = load(save(D, tmp_path / "d.safetensors"))
    x = normal(2, *net.shape, dtype=torch.float32)
    assert torch.equal(again(x, torch.tensor(0.4)), D(x, torch.tensor(0.4)))
    assert again.config == D.config


@pytest.mark.parametrize("net", [MLP((1, 4, 4), 8, 2), UNet((3, 9, 8), 8)])
def test_files_from_before_there_were_labels_load(net: MLP | UNet, tmp_path: Path):
    D = Preconditioned(shake(net))
    tensors, about = read_tensors(save(D, tmp_path / "new"))
    for option in ("classes", "patch", "attention"):
        about["config"]["net"].pop(option, None)
    again = load(write_tensors(tmp_path / "old", tensors, about))
    x = normal(2, *net.shape, dtype=torch.float32)
    assert torch.equal(again(x, torch.tensor(0.4)), D(x, torch.tensor(0.4)))


def test_bad_files_are_one_clear_line(tmp_path):
    good = save(Preconditioned(MLP((4,), 8)), tmp_path / "good.safetensors")
    content = good.read_bytes()
    cases = {
        "truncated": content[:-7],
        "header": content[:20],
        "empty": b"",
        "pickle": b"\x80\x04K\x01.",
    }
    for name, data in cases.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ValueError, match=f"{name} is not a readable safetensors file"):
            load(tmp_path / name)
    save_file({"w": torch.zeros(2)}, tmp_path / "foreign")
    with pytest.raises(ValueError, match="denoscope did not write it"):
        load(tmp_path / "foreign")
    about = {
        "kind": "denoiser",
        "config": {
            "class": "Preconditioned",
            "kind": "edm",
            "sigma_data": 0.5,
            "net": {"class": "os.system"},
        },
    }
    save_file({"w": torch.zeros(2)}, tmp_path / "class", {"denoscope": json.dumps(about)})
    with pytest.raises(ValueError, match="unknown network class"):
        load(tmp_path / "class")
    about["config"]["net"] = {"class": "MLP", "shape": [4], "width": 8, "blocks": 3}  # pyright: ignore[reportArgumentType]
    save_file({"w": torch.zeros(2)}, tmp_path / "weights", {"denoscope": json.dumps(about)})
    with pytest.raises(ValueError, match="does not fit its own configuration") as caught:
        load(tmp_path / "weights")
    assert "\n" not in str(caught.value)
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "absent")
    with pytest.raises(ValueError, match="only denoisers"):
        save(nn.Linear(2, 2), tmp_path / "no")


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="kind must be one of"):
        Preconditioned(MLP((2,)), "epsilon")
    with pytest.raises(ValueError, match="sigma_data"):
        Preconditioned(MLP((2,)), sigma_data=0.0)
    with pytest.raises(ValueError, match="prediction must be"):
        from_network(MLP((2,)), "edm", VP.linear(10))
    for word, meant in {"epsilon": "eps", "sample": "x0", "v_prediction": "v"}.items():
        with pytest.raises(ValueError, match=f"for '{word}' write '{meant}'"):
            from_network(MLP((2,)), word, VP.linear(10))
    for kind in MLP, FiLM:
        with pytest.raises(ValueError, match=f"{kind.__name__} needs"):
            kind((2,), 0)
    with pytest.raises(ValueError, match="a U-Net needs"):
        UNet((8, 8), 8)
    with pytest.raises(ValueError, match="a U-ViT needs"):
        UViT((1, 8, 8), 8, 0)
    with pytest.raises(ValueError, match="classes of at least 0"):
        MLP((2,), classes=-1)
    with pytest.raises(ValueError, match="patches of side 2 do not fill images of 8 x 9"):
        UNet((1, 8, 9), 8, patch=2)


def test_the_average_has_its_closed_form():
    net = nn.Linear(1, 1, bias=False)
    averaged = Averaged(net, decay=0.6)
    start, values = float(net.weight.detach()), [1.0, -2.0, 5.0, 7.0, 11.0, 0.5, 3.0, 8.0]
    for value in values:
        net.weight.data.fill_(value)
        averaged.update()
    decays = [min(0.6, (1 + k) / (10 + k)) for k in range(len(values))]
    weights = [(1 - d) * math.prod(decays[k + 1 :]) for k, d in enumerate(decays)]
    exact = start * math.prod(decays) + sum(w * v for w, v in zip(weights, values))
    assert float(averaged.net.weight) == pytest.approx(exact, rel=1e-6)
    assert decays[-1] < 0.6, "the warm-up was tested"
    assert not averaged.net.weight.requires_grad
    assert len(list(averaged.parameters())) == 1


def test_the_half_life_is_one():
    net = nn.Linear(1, 1, bias=False)
    net.weight.data.fill_(1.0)
    averaged = Averaged(net, half_life=4.0)
    averaged.updates = 1000  # past EDM's ramp
    net.weight.data.fill_(0.0)
    for _ in range(4):
        averaged.update()
    assert float(averaged.net.weight) == pytest.approx(0.5, rel=1e-5)
    averaged.updates = 0
    net.weight.data.fill_(9.0)
    averaged.update()
    assert float(averaged.net.weight) == 9.0
    for bad in ({"decay": 1.0}, {"half_life": 0.0}):
        with pytest.raises(ValueError, match="must"):
            Averaged(net, **bad)
