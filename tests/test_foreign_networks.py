"""Networks and denoisers of other people, taken as they are or refused with what to give."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pipelines import unet
from torch import Tensor, nn

from denoscope import (
    VP,
    Gaussian,
    Seeds,
    euler,
    from_denoiser,
    from_network,
    heun,
    jacobian,
    karras,
    numerical_rank,
    read_images,
    sample,
    save,
    svd,
    write_images,
)
from denoscope.audit.examination import examine
from denoscope.audit.options import AuditOptions
from denoscope.laws.denoiser import check_denoiser
from denoscope.progress import Voice
from denoscope.schedule import Flow

VARIANCE = 0.3
SCHEDULE = VP.linear(100, 1e-3, 0.2)


class Tutorial(nn.Module):
    """The noise of white Gaussian images, with a table of whole times as tutorials have them."""

    def __init__(self) -> None:
        super().__init__()
        t = torch.arange(100)
        alpha, std = SCHEDULE.alpha(t), SCHEDULE.std(t)
        self.gain = nn.Embedding(100, 1, _weight=(std / (VARIANCE * alpha**2 + std**2))[:, None])

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        return self.gain(t)[:, :, None, None].to(x) * x


def wiener(x: Tensor, sigma: Tensor) -> Tensor:
    return VARIANCE / (VARIANCE + sigma**2) * x


def test_whole_times_are_rounded_where_that_is_said() -> None:
    x = Seeds(range(3)).randn((1, 4, 4))
    D = from_network(Tutorial(), "eps", SCHEDULE, whole=True)
    for t in (3, 50, 99):
        sigma = SCHEDULE.sigma(t).float()
        torch.testing.assert_close(D(x, sigma), wiener(x, sigma), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(D(x, 1.001 * sigma), D(x, sigma), rtol=0.01, atol=0.02)
        assert torch.equal(D(x, float(sigma)), D(x, sigma))
    with pytest.raises(ValueError, match=r"takes whole times alone .* give whole=True"):
        from_network(Tutorial(), "eps", SCHEDULE)(x, torch.tensor(0.5))
    broken = from_network(lambda x, t: x @ t, "eps", SCHEDULE)
    with pytest.raises(RuntimeError):
        broken(x, torch.tensor(0.5))


def test_levels_start_and_clamp_sample_the_law() -> None:
    D = from_network(Tutorial(), "eps", SCHEDULE, shape=(1, 4, 4), whole=True)
    made = sample(D.sampled, D.start(Seeds(range(3000)).randn((1, 4, 4))), D.levels(100), euler)
    assert float(made.var()) == pytest.approx(VARIANCE, rel=0.05)
    highest = SCHEDULE.sigma(99).item()
    assert D.levels(10)[[0, -1]].tolist() == pytest.approx([highest, 0])
    noise = Seeds([1]).randn((1, 4, 4))
    torch.testing.assert_close(D.start(noise), math.sqrt(1 + highest**2) * noise)
    bounded = from_network(Tutorial(), "eps", SCHEDULE, whole=True, clamp=0.1)
    assert float(bounded.sampled(D.start(noise), torch.tensor(0.1)).abs().max()) <= 0.1001
    straight = from_network(lambda x, t: x, "flow", Flow())
    assert straight.levels(4)[0] == pytest.approx(999)


def test_answers_of_diffusers_and_learned_variances() -> None:
    net, x, sigma = unet(3), Seeds(range(2)).randn((3, 8, 8)), torch.tensor(0.4)
    D = from_network(net, "eps", SCHEDULE, shape=(3, 8, 8))
    alpha = (1 + sigma**2).rsqrt()
    eps = net(alpha * x, SCHEDULE.time(sigma)).sample
    torch.testing.assert_close(D(x, sigma), x - sigma * eps, rtol=1e-4, atol=1e-4)
    plain = from_network(lambda x, t: net(x, t).sample, "eps", SCHEDULE)
    twice = from_network(lambda x, t: torch.cat([net(x, t).sample, x], 1), "eps", SCHEDULE)
    first = from_network(lambda x, t: (net(x, t).sample, None), "eps", SCHEDULE)
    for other in (plain, twice, first):
        assert torch.equal(other(x, sigma), D(x, sigma))
    for net_, words in [
        (lambda x, t: {"out": x}, r"answers with a dict: give .* net\(x, t\).FIELD"),
        (lambda x, t: x[:, :2], r"shape \(2, 2, 8, 8\) to states of \(2, 3, 8, 8\)"),
    ]:
        with pytest.raises(ValueError, match=words):
            from_network(net_, "eps", SCHEDULE)(x, sigma)


def per_state(x: Tensor, sigma: Tensor) -> Tensor:
    """As k-diffusion's denoisers: one level per state."""
    return VARIANCE / (VARIANCE + sigma[:, None, None, None] ** 2) * x


def test_denoisers_that_want_a_level_for_each_state() -> None:
    D = from_denoiser(per_state, shape=(1, 4, 4), low=0.01, high=20.0)
    check_denoiser(D.double(), (1, 4, 4))
    noise = Seeds(range(2000)).randn((1, 4, 4))
    made = sample(D.sampled, D.start(noise), D.levels(60), heun)
    assert float(made.var()) == pytest.approx(VARIANCE, rel=0.05)
    with pytest.raises(ValueError, match=r"wants one for each state, \(b,\), give .*from_denoiser"):
        sample(per_state, 80 * noise, karras(5).float())
    assert jacobian(D, noise[:2], torch.full((2,), 0.5)).shape == (2, 16, 16)


def test_several_states_are_not_taken_for_one_point() -> None:
    law = Gaussian(torch.zeros(48), torch.eye(48))
    x = Seeds(range(4)).randn((48,))
    with pytest.raises(ValueError, match=r"give torch\.full\(\(4,\), sigma\)"):
        numerical_rank(law, x, torch.tensor(0.1))
    assert numerical_rank(law, x, torch.full((4,), 0.1)).rank.tolist() == [48] * 4
    D = from_denoiser(per_state, shape=(1, 4, 4))
    with pytest.raises(ValueError, match=r"give torch\.full\(\(4, 2\), sigma\)"):
        jacobian(D, Seeds(range(8)).randn((1, 4, 4)).reshape(4, 2, 1, 4, 4), torch.tensor(0.1))
    with pytest.raises(ValueError, match=r"for a level at each of 4 states give torch\.full"):
        numerical_rank(per_state, Seeds(range(4)).randn((1, 4, 4)), torch.tensor(0.1))
    assert numerical_rank(lambda y, s: y, x, torch.tensor(0.1)).rank.shape == ()


def test_a_mask_says_the_shape_of_a_point() -> None:
    mask = torch.zeros(1, 4, 4, dtype=torch.bool)
    mask[0, :2] = True
    x = Seeds(range(3)).randn((1, 4, 4))
    D = from_denoiser(per_state, shape=(1, 4, 4))
    each = svd(D, x, torch.full((3,), 0.2), 2, mask=mask)
    torch.testing.assert_close(svd(D, x, 0.2, 2, mask=mask).S, each.S)
    assert numerical_rank(D, x, 0.2, mask=(mask, mask)).rank.tolist() == [8] * 3


def test_a_foreign_network_is_not_saved_but_has_a_way(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"save_file\(net.state_dict\(\), FILE\), and name the"):
        save(from_network(Tutorial(), "eps", SCHEDULE, whole=True), tmp_path / "no")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_written_and_read_again(tmp_path: Path, channels: int) -> None:
    images = Seeds(range(5)).randn((channels, 4, 6)).clamp(-1, 1)
    folder = write_images(images, tmp_path / "new" / "samples", seeds=[3, 0, 70, 8, 1234567])
    names = [path.name for path in sorted(folder.iterdir())]
    assert names == ["000000.png", "000003.png", "000008.png", "000070.png", "1234567.png"]
    again = read_images(folder)
    assert float((again.data - images[[1, 0, 3, 2, 4]]).abs().max()) <= 1 / 255 + 1e-6
    for wrong, seeds, words in [
        (images, None, "is there already: name a new or an empty folder"),
        (images[0], None, r"images are \(n, c, h, w\)"),
        (images * np.nan, None, "not finite"),
        (images, [1, 1, 2, 3, 4], "need as many different seeds"),
    ]:
        with pytest.raises(ValueError, match=words):
            write_images(wrong, folder, seeds=seeds)


def test_arrays_are_audited_as_their_files_would_be(tmp_path: Path) -> None:
    digits = read_images("digits").data
    asked: dict[str, Any] = {"descriptors": ("pixels",), "metrics": ("memorized",), "planted": 20}
    named = {"gen": "digits[20:60]", "train": "digits[0:100]", "test": "digits[100:160]"}
    arrays = {"gen": digits[20:60].numpy(), "train": digits[:100], "test": digits[100:160]}
    one, other = (
        examine(AuditOptions(**given, **asked, out=tmp_path / name), Voice(quiet=True))
        for name, given in (("named", named), ("arrays", arrays))
    )
    assert one.combined is not None
    assert other.combined is not None
    assert one.combined.excess == other.combined.excess
    assert one.inputs["gen"].contents == other.inputs["gen"].contents
    for wrong, words in [
        (digits[:9] * 3, r"gen is neither a set's name nor images .*: images lie in \[-1, 1\]"),
        (None, "gen is neither a set's name nor images"),
        (tmp_path, "gen is a path: give it as text"),
    ]:
        with pytest.raises(ValueError, match=words):
            examine(AuditOptions(**(named | {"gen": wrong}), out=tmp_path), Voice(quiet=True))
