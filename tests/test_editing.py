"""Edits against each other at the same change inside: known laws get the numbers they must, and a
sweep tells its claims.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from zoo import covariances, normal

from denoscope.apply.edit import directions, edited, path
from denoscope.cli import main
from denoscope.distributions import Gaussian
from denoscope.fitting.shipped import NETWORKS
from denoscope.geometry.field import Linearized
from denoscope.geometry.subspaces import principal_angles
from denoscope.levels import karras
from denoscope.models import open_model
from denoscope.readings import Readings, expanded
from denoscope.schedule import VPSDE
from denoscope.store import Row
from denoscope.studies import _edited as edits
from denoscope.studies._edited import BENT, CHANGE, STEPS, STRENGTH, bent, local, matched
from denoscope.studies._inverted import (
    CALLS,
    OTHERS,
    RANK,
    Inverted,
    compared,
    frame,
    masked_directions,
    partners,
    thirds,
)
from denoscope.studies.editing import QUANTITIES, Editing, exactness

SHAPE, TIME = (1, 6, 6), 0.4
SIGMA = float(VPSDE().sigma(torch.tensor(TIME, dtype=torch.float64)))


@pytest.fixture(scope="module")
def law() -> Gaussian:
    return Gaussian(normal(*SHAPE, seed=1), covariances(1, 36, seed=1)[0])


@pytest.fixture(scope="module")
def here(law: Gaussian) -> Inverted:
    """Six images of a Gaussian law, inverted, in double precision."""
    return Inverted.of(law, images(law, 6), TIME, 12)


def images(law: Gaussian, count: int) -> Tensor:
    return law.sample(count, torch.Generator().manual_seed(0)).reshape(count, *SHAPE)


def read(readings: Any) -> Readings:
    return Readings(readings, QUANTITIES)


def test_keys_and_defaults_are_frozen() -> None:
    """Golden, written by this class: a change of either must raise ``version``."""
    golden = json.loads((Path(__file__).parent / "golden_keys.json").read_text())["editing"]
    cells = {"default": Editing(), "fashion": Editing(model="fashion-mnist-unet", time=0.6)}
    assert golden["version"] == Editing.version
    assert golden["keys"] == {name: item.key() for name, item in cells.items()}
    assert golden["defaults"] == json.loads(json.dumps(Editing().fields()))


def test_masks_are_the_thirds_in_turn(here: Inverted) -> None:
    masks, following = thirds(here.x), thirds(here.x, 1)
    assert masks.shape == (6, 1, *SHAPE)
    assert torch.equal(masks[:3].sum(0), torch.ones(1, *SHAPE, dtype=torch.int64))
    assert [int(m.flatten().nonzero()[0]) // 6 for m in masks] == [0, 2, 4, 0, 2, 4]
    assert torch.equal(following[:2], masks[1:3])
    assert not (masks & following).any()


@pytest.mark.filterwarnings("ignore:the edit of strength")
def test_edits_of_many_images_are_those_of_one(law: Gaussian, here: Inverted) -> None:
    """The published function, image by image: its directions and its changes."""
    vectors = masked_directions(here, 2, 3)
    deltas = here.change(vectors, STRENGTH)
    for i in (0, 4):
        own = directions(law, here.x[i], SIGMA, thirds(here.x)[i, 0], 2, rank=3).vectors
        assert torch.allclose(own, vectors[i], atol=1e-6)
        levels = path(SIGMA, karras(12, 0.002, SIGMA))
        alone = edited(law, images(law, 6)[i], vectors[i, 1], [STRENGTH], SIGMA, levels).change[0]
        assert torch.allclose(alone, deltas[i, 1], atol=1e-9)
    each = here.change(vectors, torch.tensor([[1.0, 2.0]]).double().expand(6, 2))
    assert torch.allclose(each[:, 1] / 8, deltas[:, 1], atol=1e-9)


def test_changes_are_compared_at_one_size_inside(here: Inverted) -> None:
    """Shares and leaks against numpy, and the strength that a linear law needs exactly."""
    vectors, masks = compared(here, 2)["global"], thirds(here.x)
    found = read(local(here, vectors, masks, {"direction": "global"}))
    assert found.of("off").one == pytest.approx(0, abs=1e-6)
    delta, inside = here.change(vectors, 1.0).numpy(), masks.expand(6, 2, *SHAPE).numpy()
    energy = [np.array([[(d[m] ** 2).sum() for d, m in zip(*some)] for some in zip(delta, side)])
              for side in (inside, ~inside)]  # fmt: skip
    size = [np.sqrt(part / count) for part, count in zip(energy, (12, 24))]
    assert found.of("share").one == pytest.approx((energy[0] / sum(energy)).mean(1), rel=1e-5)
    assert found.of("leak").one == pytest.approx((size[1] / sum(size)).mean(1), rel=1e-5)
    assert found.of("strength").one == pytest.approx((CHANGE / size[0]).mean(1), rel=1e-5)


def test_a_strength_is_found_where_changes_are_steep(here: Inverted) -> None:
    """Of a denoiser that climbs a step at 0 and hardly elsewhere, sampled in one step."""

    def steep(x: Tensor, sigma: Tensor) -> Tensor:
        return 0.01 * x + torch.tanh(4 * x)

    levels = torch.tensor([SIGMA, 0.0], dtype=torch.float64)
    there = Inverted(steep, here.x, levels, steep(here.x, levels[0]))
    vectors, masks = compared(here, 2)["uniform"], thirds(here.x)
    delta, strength = matched(there, vectors, masks)
    inside = (delta.square() * masks).sum((3, 4, 5)).mean(0).div(12).sqrt()
    assert (inside / CHANGE - 1).abs().max() < 0.05
    assert torch.allclose(there.change(vectors, strength), delta[0])


def test_directions_that_are_compared_are_what_they_are_called(
    law: Gaussian, here: Inverted
) -> None:
    kinds, masks = compared(here, 2), thirds(here.x)
    J = law.cov @ torch.linalg.inv(law.cov + SIGMA**2 * torch.eye(36, dtype=torch.float64))
    leading = torch.linalg.svd(J).Vh[:2]
    for name, vectors in kinds.items():
        assert vectors.shape == (6, 2, *SHAPE), name
        length = torch.linalg.vector_norm(vectors.flatten(2), dim=2)
        assert torch.allclose(length, torch.ones_like(length)), name
        if name in ("pixels", "frame"):
            assert float((vectors * ~masks).abs().max()) < 1e-12
    cosines = (kinds["global"].flatten(2) @ leading.T).abs()
    assert torch.allclose(cosines, torch.eye(2).double().expand(6, 2, 2), atol=1e-2)
    off = kinds["projected"] - masked_directions(here, 2, RANK)
    assert float(off.abs().max()) == 0
    assert not torch.allclose(kinds["masked"], kinds["projected"], atol=0.1)


def test_a_frame_spans_what_a_linear_denoiser_answers_most() -> None:
    """Of a law with three large variances inside: the leading left singular vectors of its rows."""
    cov = torch.diag(torch.tensor([50.0] * 3 + [0.01] * 33, dtype=torch.float64))
    one = Inverted.of(Gaussian(torch.zeros(SHAPE).double(), cov), normal(2, *SHAPE), TIME, 3)
    found = frame(one, 3)[0].flatten(1).T
    assert principal_angles(found, torch.eye(36).double()[:, :3]).max() < 1e-2


def test_gaussian_laws_are_exact(law: Gaussian, here: Inverted) -> None:
    """Linear, symmetric, additive and the same everywhere, to 1e-6; nothing bends."""
    vectors = masked_directions(here, 2, RANK)
    there = Inverted.of(law, images(law, 30)[6:24], TIME, 12)
    made = [
        *edits.straight(here, vectors),
        *edits.together(here, vectors, masked_directions(here, 2, RANK, 1)),
        *edits.carried(here, there, vectors, {"onto": "same"}),
        *edits.elsewhere(here, here, vectors),
    ]
    found = expanded(made, QUANTITIES).named(time=TIME)
    exact = {"linear": 1, "symmetry": 1, "carried": 1, "alike": 1, "additive": 0}
    for name, value in exact.items():
        assert all(np.abs(r.value - value).max() < 1e-6 for r in found.of(name)), name
    assert (found.of("unlike").one < 1).all()
    assert (found.of("bent").one == 0).all()
    assert (found.of("bent_mean").one == 0).all()
    assert exactness(found).verdict() == "supported"


def test_bends_are_read_between_the_strengths() -> None:
    cosines = torch.ones(len(STEPS), 3)
    cosines[3:, 0], cosines[:, 1] = 0.8, 0.5
    found = bent(cosines)
    assert found[0] == pytest.approx((np.log2(STEPS[2]) + np.log2(STEPS[3])) / 2)
    assert found[1] == np.log2(STEPS[0])
    assert found[2] == 0
    assert BENT == 0.9


def test_refinement_shrinks_the_round_trip(law: Gaussian, here: Inverted) -> None:
    x0 = images(law, 6)
    found = read(edits.returned(here, x0, masked_directions(here, 2, 0)))
    plain, refined = (found.of("round_trip", refined=times) for times in (0, 3))
    assert {r.at["slope"] for r in plain} == {"lower", "upper"}
    assert all((r.value > 3 * refined.one).all() for r in plain)
    error = (here.unedited - x0).flatten(1).square().mean(1).sqrt().numpy()
    assert refined.one == pytest.approx(error)


def test_partners_are_others_of_the_class_and_of_the_next() -> None:
    labels = torch.tensor([2, 5, 7, 2, 5, 7] * 8)
    found = partners(labels, 6)
    for onto, shift in (("same", 0), ("other", 1)):
        assert found[onto].min() >= 6
        wanted = torch.tensor([2, 5, 7]).roll(-shift).repeat(2).repeat_interleave(OTHERS)
        assert torch.equal(labels[found[onto]], wanted)
    assert partners(torch.zeros(20, dtype=torch.int64), 6) == {}


def test_a_frame_has_as_many_calls_as_directions_take_products(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of the network that comes along, for both sides of the mask."""
    products = []
    for name in ("times", "transposed_times"):
        plain = getattr(Linearized, name)

        def counted(self: Linearized, v: Tensor, plain: Callable = plain) -> Tensor:
            products.append(v.shape[2])
            return plain(self, v)

        monkeypatch.setattr(Linearized, name, counted)
    cell = Editing(images=2, solver_steps=4)
    one = cell.inverted(open_model(cell.model).denoiser, cell.unseen()[0][:1])
    masked_directions(one, 5, RANK)
    assert 0 < sum(products) <= CALLS


@pytest.mark.parametrize("data", ["", "digits"])
def test_networks_that_come_along_are_asked_on_what_they_never_saw(data: str) -> None:
    cell = Editing(data=data)
    images, labels = cell.unseen()
    split = NETWORKS["digits-unet"].split
    assert labels is not None
    assert torch.equal(images, split.unseen())
    rows = (images[:5].flatten(1)[:, None] == split.images().data.flatten(1)).all(2).int().argmax(1)
    assert torch.equal(labels[:5], split.images().labels[rows])  # pyright: ignore[reportOptionalSubscript]


def test_the_claims_of_a_tiny_sweep(tiny: Callable[[str, str], list[Row]]) -> None:
    told = Editing.told(tiny("editing", "given"))
    facts = [claim for claim in told.claims if claim.expected is None]
    assert len(facts) == 2
    assert "supported" in told.claims[-1].json()["verdict"]  # pyright: ignore[reportOperatorIssue]
    assert all(claim.control is not None for claim in told.claims[:5])


@pytest.mark.usefixtures("sketched")
def test_the_command_writes_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = "run editing --model digits-unet --time 0.4 --images 2 --directions 2"
    words += " --solver-steps 2 --on serial --quiet"
    assert main([*words.split(), "--store", str(tmp_path / "s")]) == 0
    assert Path(capsys.readouterr().out.strip().splitlines()[-1]).is_file()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--model none.safetensors --data digits", "there is no file none.safetensors"),
        ("--model mine:model", "--model mine:model: give --data, images that it never saw"),
        ("--time 0", "--time 0: must lie between 0 and 1, noise alone"),
        ("--images 1", "--images 1: must be at least 2"),
        (
            "--model digits-unet --data faces",
            "digits-unet: faces has images of (1, 25, 25)",
        ),
        ("--model digits-unet --images 300", "--images 300: there are 261 unseen"),
    ],
)
def test_bad_input_is_one_line(
    words: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "editing", *words.split(), "--store", str(tmp_path / "s")]) == 2
    assert said in capsys.readouterr().err.strip().splitlines()[-1]
