"""Edits on laws where everything is known: directions, linearity, composition, transfer, strength;
and what a wrong use is told.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from zoo import bases, covariances, normal

from denoscope.apply.edit import Directions, directions, edit, edited, length, path, toward
from denoscope.distributions import Gaussian, GaussianMixture
from denoscope.geometry import jacobian, principal_angles, project_out
from denoscope.levels import karras
from denoscope.networks import MLP, Preconditioned
from denoscope.random import generator
from denoscope.sampling import heun

SHAPE, SIGMA = (1, 6, 6), 1.5
LEVELS = karras(20, 0.02, 40.0)


def gaussian(seed: int = 1) -> Gaussian:
    return Gaussian(normal(*SHAPE, seed=seed), covariances(1, 36, seed=seed)[0])


def network(shape: tuple[int, ...] = SHAPE) -> Preconditioned:
    net = MLP(shape, 24, seed=2)
    for place, part in enumerate(net.parameters()):
        part.data = torch.randn(part.shape, generator=generator(5, place)) / 4
    return Preconditioned(net).double().requires_grad_(False)


def upper(shape: tuple[int, ...] = SHAPE, rows: int = 2) -> Tensor:
    mask = torch.zeros(shape, dtype=torch.bool)
    mask[:, :rows] = True
    return mask


def same(found: Tensor, true: Tensor, precision: float = 1e-6) -> None:
    """Rows (k, n) equal up to sign."""
    cosines = (found.flatten(1) * true).sum(1)
    assert ((found.flatten(1) - cosines.sign()[:, None] * true).abs() <= precision).all()


def test_directions_are_the_right_singular_vectors_of_the_rows_inside() -> None:
    D, mask = gaussian(), upper()
    J = D.cov @ torch.linalg.inv(D.cov + SIGMA**2 * torch.eye(36, dtype=torch.float64))
    inside, outside = (torch.linalg.svd(J[m.flatten()]) for m in (mask, ~mask))
    plain = directions(D, normal(*SHAPE), SIGMA, mask, 4, project=False)
    same(plain.vectors, inside.Vh[:4])
    assert torch.allclose(plain.values, inside.S[:4])
    off = project_out(inside.Vh[:3].T, outside.Vh[:7].T).T
    projected = directions(D, normal(*SHAPE), SIGMA, mask, 3, rank=7)
    same(projected.vectors, off / off.norm(dim=1, keepdim=True))
    gap = torch.minimum(inside.S[:4] - inside.S[1:5], inside.S.roll(1)[:4] - inside.S[:4])
    gap[0] = inside.S[0] - inside.S[1]
    assert torch.allclose(plain.gap, gap)
    assert ((plain.vectors.flatten(1) @ J[mask.flatten()].T).sum(1) >= 0).all()


def test_directions_by_products_are_as_near_as_asked_for_every_state_of_a_batch() -> None:
    shape = (1, 12, 12)
    D, x, mask = network(shape), normal(2, 2, *shape), upper(shape, 7)
    sigma = torch.tensor([0.4, 3.0], dtype=torch.float64)
    found = directions(D, x, sigma, mask, 2, rank=1, tolerance=1e-3)
    J = jacobian(D, x, sigma[:, None].expand(2, 2))
    V = torch.linalg.svd(J[..., mask.flatten(), :]).Vh[..., :2, :]
    first = torch.linalg.svd(J[..., ~mask.flatten(), :]).Vh[..., :1, :]
    off = project_out(V.mT, first.mT)
    off = off / off.norm(dim=-2, keepdim=True)
    cosines = (off * found.vectors.flatten(3).mT).sum(-2).abs()
    assert (cosines > math.cos(3e-3)).all()
    assert (found.angle <= 1e-3).all()
    assert found.vectors.shape == (2, 2, 2, *shape)
    single = directions(D, x[1, 0], 3.0, mask, 2, rank=1, tolerance=1e-3)
    assert torch.allclose(single.vectors.abs(), found.vectors[1, 0].abs(), atol=5e-3)


def test_both_sides_share_one_linearisation() -> None:
    shape, calls = (1, 12, 12), []
    D = network(shape)

    def counted(x: Tensor, sigma: Tensor) -> Tensor:
        calls.append(x.shape)
        return D(x, sigma)

    directions(counted, normal(*shape), 1.0, upper(shape, 6), 2, rank=2)
    assert len(calls) == 1


def test_a_direction_without_a_gap_says_so() -> None:
    D = Gaussian(
        torch.zeros(36).double(), torch.diag(torch.tensor([3.0, 2, 2] + 33 * [1.0])).double()
    )
    found = directions(D, normal(36), 1.0, torch.arange(36) < 30, 4, project=False)
    assert torch.allclose(found.values, torch.tensor([3 / 4, 2 / 3, 2 / 3, 1 / 2]).double())
    assert (found.angle > 0.1).tolist() == [False, True, True, True]
    assert isinstance(found, Directions)


@pytest.mark.filterwarnings("ignore:the edit of strength")
@pytest.mark.parametrize("sigma", [SIGMA, 4.0])
def test_edits_of_a_gaussian_are_linear_additive_and_the_same_on_every_image(sigma: float) -> None:
    D = gaussian()
    x0 = D.sample(3, generator(4))
    v = directions(D, x0[0], SIGMA, upper(), 2).vectors

    def change(images: Tensor, vector: Tensor, strengths: list) -> Tensor:
        return edited(D, images, vector, strengths, sigma, LEVELS).change

    each = change(x0, v[0], [-1.0, 0.5, 2.0])
    assert each.shape == (3, 3, *SHAPE)
    unit = change(x0[0], v[0], [1.0])[0]
    assert unit.norm() > 0.05
    for strength, found in zip((-1.0, 0.5, 2.0), each):
        torch.testing.assert_close(found, strength * unit.expand(3, *SHAPE), atol=1e-6, rtol=1e-6)
    both = change(x0[1], v, [[0.7, -0.3], [0.7, 0.0], [0.0, -0.3]])
    torch.testing.assert_close(both[0], both[1] + both[2], atol=1e-6, rtol=1e-6)


@pytest.mark.filterwarnings("ignore:the edit of strength")
def test_a_principal_axis_stays_one_at_every_level() -> None:
    D, x0 = gaussian(), gaussian().sample(1, generator(1))[0]
    axis = torch.linalg.eigh(D.cov)[1][:, -1].reshape(SHAPE)
    for sigma in (0.5, SIGMA, 10.0):
        change = edited(D, x0, axis, [1.0], sigma, LEVELS).change[0]
        assert torch.cosine_similarity(change.flatten(), axis.flatten(), dim=0) > 1 - 1e-9


@pytest.mark.filterwarnings("ignore:the edit of strength")
def test_the_unedited_image_is_the_image_after_a_refined_inversion() -> None:
    D, x0 = gaussian(), gaussian().sample(2, generator(1))
    errors = [
        float((edited(D, x0, normal(*SHAPE), [0.0], SIGMA, LEVELS, refine=r).unedited - x0).norm())
        for r in (0, 3, 60)
    ]
    assert errors[1] < errors[0] / 10
    assert errors[2] < 1e-9
    found = edited(D, x0, normal(*SHAPE), [0.0, 1.0], SIGMA, LEVELS, step=heun)
    assert torch.equal(found.images[0], found.unedited)
    assert torch.equal(
        edit(D, x0, normal(*SHAPE), [0.0, 1.0], SIGMA, LEVELS, step=heun), found.images
    )


def test_strength_is_in_parts_of_the_norm_in_variance_preserving_coordinates() -> None:
    step = length(torch.tensor(0.5), 784, 3.0)
    assert float(step) / math.sqrt(1 + 3.0**2) == pytest.approx(0.5 * math.sqrt(784))
    assert path(1.0, [3.0, 1.0, 0.5, 0.0]).tolist() == [1.0, 0.5, 0.0]


def test_toward_another_law_is_the_difference_inside_pulled_back() -> None:
    D, other, mask, x = gaussian(), gaussian(7), upper(), normal(2, *SHAPE)
    v = toward(D, other, x, SIGMA, mask, project=False)
    J = jacobian(other, x, torch.full((2,), SIGMA).double())
    gap = (other(x, torch.tensor(SIGMA)) - D(x, torch.tensor(SIGMA))) * mask
    true = (J.mT @ gap.flatten(1)[..., None])[..., 0]
    torch.testing.assert_close(v.flatten(1), true / true.norm(dim=1, keepdim=True))
    off = toward(D, other, x[0], SIGMA, mask, rank=3)
    rows = jacobian(D, x[0], SIGMA)[~mask.flatten()]
    leading = torch.linalg.svd(rows).Vh[:3]
    assert (leading @ off.flatten()).abs().max() < 1e-6
    assert off.norm() == pytest.approx(1)


def test_edits_are_never_clamped_and_a_warning_has_the_number() -> None:
    D = gaussian()
    x0 = D.sample(1, generator(2))[0].clamp(-1, 1)
    with pytest.warns(UserWarning, match=r"strength 40 leaves the range.* up to (\d+\.\d+), \d+%"):
        found = edit(D, x0, normal(*SHAPE), [0.0, 40.0], SIGMA, LEVELS)
    assert found[1].abs().max() > 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        edit(D, x0, normal(*SHAPE), [0.0], SIGMA, LEVELS)


def test_directions_at_a_mixture_find_what_distinguishes_its_modes() -> None:
    """Halfway between two modes the posterior changes most along their difference."""
    axis = bases(36, 1)[0][:, 0]
    D = GaussianMixture(torch.stack([axis, -axis]), 0.01 * torch.eye(36).double().expand(2, 36, 36))
    mask = axis.abs() > axis.abs().median()
    found = directions(D, torch.zeros(36).double(), 0.5, mask, 1, project=False).vectors
    assert principal_angles(found.T, axis[:, None]) < 1e-2


def bad(change: dict[str, object], call: Callable = directions) -> Callable[[], object]:
    given = {"D": gaussian(), "x": normal(2, *SHAPE), "sigma": 1.0, "mask": upper()}
    return lambda: call(**{**given, **change})


def moving(**change: object) -> Callable[[], object]:
    given = {"D": gaussian(), "x0": normal(2, *SHAPE), "vector": normal(*SHAPE)}
    given |= {"strengths": [1.0], "sigma": 1.0, "sigmas": LEVELS}
    return lambda: edit(**{**given, **change})  # pyright: ignore[reportArgumentType] -- bad on purpose


BAD = {
    "mask keeps nothing": bad({"mask": ~upper() & upper()}),
    "mask keeps everything, so that nothing is outside": bad({"mask": upper() | ~upper()}),
    "mask must be bool of an image's shape": bad({"mask": upper((1, 6, 5))}),
    "got torch.float32": bad({"mask": upper().float()}),
    "k must be from 1 to 12, the mask's size, got 13": bad({"k": 13}),
    "rank must be at least 1, got 0: without projection, project=False": bad({"rank": 0}),
    "take a smaller rank": bad(
        {"mask": ~upper(rows=1), "rank": 6, "D": lambda x, s: x.mean() + 0 * x}
    ),
    "agree inside the mask": bad({"target": gaussian()}, toward),
    "has no derivative": bad({"D": lambda x, s: x.detach()}),
    "(2, 1, 6, 6) do not end in the direction's (1, 6, 5)": moving(vector=normal(1, 6, 5)),
    "strengths must be (L,) for one vector or (L, m)": moving(strengths=[[1.0, 2.0]]),
    "no level lies below sigma = 0.01": moving(sigma=0.01, sigmas=[1.0, 0.5, 0.1]),
}


@pytest.mark.parametrize(("message", "mistake"), BAD.items())
def test_mistakes_are_named(message: str, mistake: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        mistake()
