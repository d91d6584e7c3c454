"""Local scores against brute force, pixel by pixel, and against the memorizer that they become."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from zoo import LOCAL, normal

from denoscope.distributions import Empirical, LocalScore
from denoscope.laws import denoiser as laws

local = pytest.mark.parametrize("D", LOCAL.values(), ids=LOCAL.keys())


def _brute(x: Tensor, data: Tensor, window: int, sigma: float, equivariant: bool) -> np.ndarray:
    """Every pixel of one image (c, h, w) by loops over places and offsets."""
    (c, h, w), half = x.shape, window // 2
    near = [(a, b) for a in range(-half, half + 1) for b in range(-half, half + 1)]
    places = [(i, j) for i in range(h) for j in range(w)]
    answer = np.empty((c, h, w))
    for i, j in places:
        seen = [(a, b) for a, b in near if 0 <= i + a < h and 0 <= j + b < w]
        logits, values = [], []
        for k, m in places if equivariant else [(i, j)]:
            if not all(0 <= k + a < h and 0 <= m + b < w for a, b in seen):
                continue
            for y in data:
                apart = sum(
                    float((x[:, i + a, j + b] - y[:, k + a, m + b]).square().sum()) for a, b in seen
                )
                logits.append(-apart / (2 * sigma**2))
                values.append(y[:, k, m].numpy())
        weights = np.exp(np.array(logits) - max(logits))
        answer[:, i, j] = weights @ np.array(values) / weights.sum()
    return answer


@pytest.mark.parametrize("sigma", [0.05, 0.7, 20.0])
@pytest.mark.parametrize("window", [1, 3, 5])
@pytest.mark.parametrize("equivariant", [False, True])
def test_every_pixel_is_its_own_softmax(window: int, sigma: float, equivariant: bool) -> None:
    data, x = normal(4, 2, 4, 3), normal(2, 2, 4, 3, seed=1)
    D = LocalScore(data, window, equivariant)
    wanted = [_brute(image, data, window, sigma, equivariant) for image in x]
    np.testing.assert_allclose(
        D(x, torch.tensor(sigma, dtype=torch.float64)), np.stack(wanted), atol=1e-10
    )


@pytest.mark.parametrize("equivariant", [False, True])
def test_with_the_whole_image_in_sight_it_is_the_memorizer(equivariant: bool) -> None:
    data, x = normal(12, 1, 5, 4), normal(6, 1, 5, 4, seed=2)
    level = torch.tensor([0.1, 0.3, 1.0, 2.0, 5.0, 50.0]).double()
    D = LocalScore(data, 9, equivariant)
    torch.testing.assert_close(D(x, level), Empirical(data)(x, level), atol=1e-9, rtol=0)


def test_a_window_of_one_pixel_is_a_memorizer_of_its_values() -> None:
    data, x, level = normal(12, 1, 3, 3), normal(2, 1, 3, 3, seed=2), torch.tensor(0.5).double()
    pooled = Empirical(data.reshape(-1, 1))
    anywhere = LocalScore(data, 1, equivariant=True)(x, level)
    torch.testing.assert_close(anywhere, pooled(x.reshape(-1, 1), level).reshape(x.shape))


def test_equivariant_ones_follow_shifts_of_what_is_far_from_the_edge() -> None:
    data = normal(5, 1, 9, 9)
    x, level = normal(1, 1, 9, 9, seed=3), torch.tensor(0.4).double()
    D = LocalScore(data, 3, equivariant=True)
    one, other = D(x, level), D(x.roll(1, -1), level)
    torch.testing.assert_close(other[..., 1:-1, 3:-1], one[..., 1:-1, 2:-2])


def test_neighbourhoods_of_the_data_are_rows_of_the_wiener_filter() -> None:
    data = normal(40, 1, 3, 4) @ normal(4, 4, seed=5)
    D, sigma = LocalScore.wiener(data, 0.3), 0.8
    cov = np.cov(data.flatten(1).numpy(), rowvar=False, bias=True)
    row = np.abs(cov @ np.linalg.inv(cov + sigma**2 * np.eye(12)))
    wanted = (row > 0.3 * row.max(1, keepdims=True)) | np.eye(12, dtype=bool)
    assert np.array_equal(D.neighbourhood(sigma).numpy(), wanted)
    x, level = normal(3, 1, 3, 4, seed=6), torch.tensor(sigma).double()
    whole = LocalScore.wiener(data, 0.0)
    torch.testing.assert_close(whole(x, level), Empirical(data)(x, level), atol=1e-9, rtol=0)
    seen = torch.from_numpy(wanted).double()
    apart = (x.flatten(1)[:, None] - data.flatten(1)).square() @ seen.T
    weights = (-apart / (2 * sigma**2)).softmax(1)
    mine = torch.einsum("bnp,np->bp", weights, data.flatten(1)).reshape(x.shape)
    torch.testing.assert_close(D(x, level), mine)


@local
def test_denoiser_laws(D: LocalScore) -> None:
    laws.check_prefix_rule(D, D.event_shape)
    laws.check_extra_axes(D, D.event_shape)
    laws.check_jvp(D, D.event_shape)
    nothing = D(D.data[:2], torch.tensor(1e-5).double())
    torch.testing.assert_close(nothing, D.data[:2], atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ["windows", "windows by level", "windows of the data"])
def test_where_noise_hides_everything_it_is_the_mean(name: str) -> None:
    D = LOCAL[name]
    far = D(1e5 * normal(2, *D.event_shape), torch.tensor(1e8).double())
    torch.testing.assert_close(far, D.data.mean(0).expand_as(far), atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: LocalScore(normal(4, 5), 3), "images (N, c, h, w)"),
        (lambda: LocalScore(normal(4, 1, 3, 3), 2), "window must be odd and at least 1, got 2"),
        (lambda: LocalScore(normal(4, 1, 3, 3), lambda sigma: 4), "window must be odd"),
        (lambda: LocalScore.wiener(normal(4, 1, 3, 3), 1.0), "threshold must be at least 0"),
    ],
)
def test_bad_input_is_one_line(make, said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("(", r"\(").replace(")", r"\)")):
        make()
