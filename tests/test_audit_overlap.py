"""What sets share is found by content, counted exactly, and said plainly; chance overlap is not
reported.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from scipy.spatial.distance import cdist
from torch import Tensor

from denoscope.audit.sets.inputs import InputSet
from denoscope.audit.sets.overlap import Overlap, exact_rows, overlap
from denoscope.data import Images, from_uint8


def draw(n: int, seed: int, side: int = 4) -> Tensor:
    return torch.randint(
        0, 256, (n, 1, side, side), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8
    )


def given(role: str, pixels: Tensor) -> InputSet:
    images = Images(from_uint8(pixels), role)
    return InputSet(role, role, images, None, tuple(map(str, range(len(images)))), images.sha256)


def rows(one: InputSet) -> Tensor:
    assert one.images is not None
    return one.images.data.flatten(1)


def compared(
    pixels: dict[str, Tensor], spacing: float = 0.0
) -> tuple[Overlap, dict[str, InputSet]]:
    sets = {role: given(role, x) for role, x in pixels.items()}
    return overlap(sets, {role: rows(one) for role, one in sets.items()}, spacing), sets


def test_exact_rows_are_those_of_equal_content() -> None:
    train = draw(50, 0)
    gen = torch.cat([draw(20, 1), train[[7, 7, 30]]])
    found, sets = compared({"gen": gen, "train": train})
    assert found.shared["gen", "train"].exact.tolist() == [False] * 20 + [True] * 3
    assert found.warnings == ()  # copies are what the audit is about
    hardly = Images(
        (rows(sets["gen"]) + 1e-4).clamp(-1, 1).reshape(-1, 1, 4, 4), "hardly"
    )  # less than half a grey level
    assert exact_rows(replace(sets["gen"], images=hardly), sets["train"]).sum() == 3


def test_features_are_compared_by_their_numbers() -> None:
    x = torch.tensor([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])
    train = InputSet("train", "", None, x, ("a", "b", "c"), "")
    gen = InputSet("gen", "", None, torch.tensor([[-0.0, 1.0], [2.0, 3.0 + 1e-6]]), ("a", "b"), "")
    assert exact_rows(gen, train).tolist() == [True, False]


def test_near_rows_are_counted_strictly_below_the_spacing_and_without_exact_ones() -> None:
    train, gen = draw(80, 2), torch.cat([draw(40, 3), draw(80, 2)[:5]])
    distance = (
        torch.from_numpy(cdist(from_uint8(gen).flatten(1), from_uint8(train).flatten(1)))
        .min(1)
        .values
    )
    middle = float(distance[:40].median())
    found, sets = compared({"gen": gen, "train": train}, middle)
    pair = found.shared["gen", "train"]
    assert pair.near == int((distance[:40] < middle).sum())
    assert pair.threshold == middle
    at = float(
        torch.cdist(rows(sets["gen"])[:1].double(), rows(sets["train"]).double()).min().float()
    )
    again = overlap(
        sets,
        {role: rows(one) for role, one in sets.items()},
        at,
        nearest={("gen", "train"): torch.full((45,), at)},
    )
    assert again.shared["gen", "train"].near == 0


def test_all_pairs_that_are_given_are_compared() -> None:
    found, _ = compared(
        {"gen": draw(9, 0), "train": draw(40, 1), "test": draw(8, 2), "twin": draw(9, 3)}
    )
    assert set(found.shared) == {
        ("test", "train"),
        ("gen", "train"),
        ("test", "gen"),
        ("twin", "train"),
        ("twin", "gen"),
    }
    assert found.warnings == ()


def test_a_leaking_test_set_is_loud() -> None:
    train, test = draw(2000, 4), draw(1000, 5)
    test[:412] = train[:412]
    found, _ = compared({"train": train, "test": test, "gen": draw(10, 6)})
    assert found.warnings[0].startswith(
        "412 of 1\u00a0000 test images (41\u00a0%) are also training images: the model "
        "has seen them"
    )
    test[:501] = train[:501]
    with pytest.raises(
        ValueError, match=r"--test is mostly the training set: 501 of 1.000 test images"
    ) as error:
        compared({"train": train, "test": test, "gen": draw(10, 6)})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("role", ["gen", "twin"])
def test_the_training_set_in_place_of_samples_is_flagged(role: str) -> None:
    train = draw(60, 7)
    found, _ = compared({"gen": draw(20, 8), "train": train, role: train[5:25]})
    assert found.warnings == (
        f"every image of --{role} is exactly a training image: make sure that it is no "
        "folder of training images",
    )


def test_generated_images_in_the_test_set_and_in_the_twin_are_flagged() -> None:
    gen = draw(20, 9)
    found, _ = compared(
        {
            "gen": gen,
            "train": draw(50, 10),
            "test": torch.cat([gen[:3], draw(27, 11)]),
            "twin": gen.flip(0),
        }
    )
    assert len(found.warnings) == 2
    assert found.warnings[0].startswith(
        "3 of 30 test images (10\u00a0%) are also among the generated ones"
    )
    assert "a twin is a second model" in found.warnings[1]


def test_independent_sets_are_not_flagged() -> None:
    flagged = sum(
        bool(
            compared({"train": draw(300, 100 + i), "test": draw(200, 1000 + i), "gen": draw(5, i)})[
                0
            ].warnings
        )
        for i in range(40)
    )
    assert flagged <= 2  # each with a chance below 1e-3


def test_a_doubled_training_set_flags_nothing() -> None:
    half = draw(300, 16)
    found, _ = compared(
        {"train": torch.cat([half, half]), "test": draw(200, 17), "gen": draw(5, 18)}
    )
    assert found.warnings == ()


@pytest.mark.parametrize("n", [1, 2, 5])
def test_small_sets(n: int) -> None:
    found, _ = compared({"train": draw(n, 19), "test": draw(1, 20), "gen": draw(1, 21)})
    assert found.warnings == ()
