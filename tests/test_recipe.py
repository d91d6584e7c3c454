"""The house recipe: what a member is does not depend on its fleet, and names decide networks."""

from __future__ import annotations

import pytest
import torch

from denoscope.fitting.recipe import NETWORKS, Member, Recipe, batches, fleet, generate, learned
from denoscope.networks import Preconditioned
from denoscope.random import Seeds
from denoscope.sampling import sample

TINY = Recipe(width=4, steps=12, batch_size=4, solver_steps=4)
DATA = torch.randn(30, 1, 4, 4, generator=torch.Generator().manual_seed(0))
NOISE = Seeds(range(7)).randn((1, 4, 4))
MEMBERS = [Member(torch.arange(8 * i, 8 * i + 8), i, 10 + i) for i in range(3)]


def test_a_member_does_not_depend_on_its_fleet() -> None:
    together = list(learned(TINY, MEMBERS, DATA, 1.0, NOISE))
    assert all(stopped == "" for *_, stopped in together)
    for member, (_, samples, _) in zip(MEMBERS, together):
        ((alone, generated, _),) = learned(TINY, [member], DATA, 1.0, NOISE)
        assert torch.allclose(generated, samples, atol=1e-4)
        levels = TINY.sigmas().float()
        again = sample(alone, float(levels[0]) * NOISE, levels)
        assert torch.allclose(again, generated, atol=1e-5)
    assert (together[0][1] - together[1][1]).abs().max() > 1e-3


def test_members_see_their_own_rows_alone() -> None:
    drawn = batches(TINY, MEMBERS, DATA)
    seen, _, _ = next(drawn)
    for x, member in zip(seen, MEMBERS):
        own = {tuple(image.flatten().tolist()) for image in DATA[member.rows]}
        assert {tuple(image.flatten().tolist()) for image in x} <= own


def test_samples_are_made_in_parts_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    net = fleet(TINY, MEMBERS, (1, 4, 4), 1.0)
    whole = generate(net, NOISE, TINY.sigmas())
    monkeypatch.setattr("denoscope.fitting.recipe.SAMPLED_AT_ONCE", 6)
    assert torch.allclose(generate(net, NOISE, TINY.sigmas()), whole, atol=1e-5)


def test_a_network_is_chosen_by_name_and_made_by_seed() -> None:
    for net, kind in NETWORKS.items():
        recipe = Recipe(net=net, width=4)
        one, same, other = (recipe.denoiser((1, 4, 4), 0.5, seed) for seed in (1, 1, 2))
        assert isinstance(one, Preconditioned)
        assert isinstance(recipe.network((1, 4, 4), 1), getattr(kind, "func", kind))
        pairs = list(zip(one.parameters(), same.parameters(), other.parameters()))
        assert all(torch.equal(a, b) for a, b, _ in pairs)
        assert not all(torch.equal(a, c) for a, _, c in pairs)


def test_more_work_takes_longer() -> None:
    base = Recipe(width=8, steps=100)
    seconds = base.seconds((1, 8, 8), base.evaluations(10))
    assert Recipe(width=8, steps=200).seconds((1, 8, 8), 0) > 1.9 * base.seconds((1, 8, 8), 0)
    assert Recipe(width=16, steps=100).seconds((1, 8, 8), base.evaluations(10)) > seconds
    assert 0 < base.seconds((1, 8, 8), base.evaluations(10), trained=False) < seconds


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("steps", 0, "--steps 0: must be at least 1"),
        ("width", 100_000_000, "--width 100000000: must be at most 8192"),
        ("batch_size", 0, "--batch-size 0"),
        ("lr", -1.0, "--lr -1.0: must be a positive number"),
        ("ema", 1.0, "--ema 1.0: must be at least 0 and below 1"),
        ("level_mean", float("nan"), "--level-mean nan"),
        ("net", "umlp", "--net umlp: there are film, mlp, unet, uvit and conv"),
    ],
)
def test_what_cannot_be_is_refused_by_its_flag(field: str, value: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Recipe(**{field: value})  # pyright: ignore[reportArgumentType]
