"""Perturbations of images: shape, range and dtype are kept, strength 0 changes nothing, draws
belong to images.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image
from rates import sigmas
from scipy import ndimage
from torch import Tensor

from denoscope.data import from_uint8, to_uint8
from denoscope.data.perturb import (
    JPEG,
    PERTURBATIONS,
    Blur,
    Brightness,
    Crop,
    Erase,
    Flip,
    GaussianNoise,
    Jitter,
    Median,
    Perturbation,
    Quantise,
    Resize,
    Rotation,
    Shift,
)

SHAPES = [(5, 1, 8, 8), (4, 3, 32, 32), (3, 3, 12, 20), (2, 1, 28, 28)]
LOUD = [
    GaussianNoise(3.0),
    Jitter(1.0, 1.0, 1.0),
    Crop(0.01),
    Rotation(190.0),
    Blur(9.0),
    JPEG(1),
    Quantise(2),
    Shift(7),
    Brightness(6.0),
    Median(7),
    Resize(0.01),
    Erase(0.9),
]


DRAWLESS = (Flip, Blur, JPEG, Quantise, Brightness, Median, Resize)


def pictures(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """Smooth random images in [-1, 1] as 8-bit files hold them."""
    noise = torch.rand(shape, generator=torch.Generator().manual_seed(seed)).numpy()
    smooth = ndimage.gaussian_filter(noise, (0, 0, 1, 1))
    return from_uint8(to_uint8(torch.from_numpy(6 * (smooth - 0.5)).clamp(-1, 1))).to(dtype)


def name(value: object) -> str:
    return str(value)


@pytest.mark.parametrize("perturb", [*PERTURBATIONS.values(), *LOUD], ids=name)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shape_dtype_and_range_are_kept_and_the_input_is_not_touched(
    perturb: Perturbation, shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    images = pictures(*shape, dtype=dtype)
    before = images.clone()
    after = perturb(images, 1)
    assert after.shape == images.shape
    assert after.dtype == dtype
    assert -1 <= float(after.min()) <= float(after.max()) <= 1
    assert torch.equal(images, before)
    assert after.data_ptr() != images.data_ptr()


@pytest.mark.parametrize("perturb", PERTURBATIONS.values(), ids=name)
def test_a_perturbation_changes_an_image_a_little_and_keeps_it_nearer_than_another(
    perturb: Perturbation,
) -> None:
    images = pictures(60, 3, 32, 32)
    images = (
        images + images.flip(-1)
    ) / 2  # a flip keeps what is symmetric: only mild changes are to be judged
    images[..., 0] = images[..., 1]
    change = (perturb(images) - images).flatten(1).norm(dim=1)
    others = (
        torch.cdist(images.flatten(1), images.flatten(1)).fill_diagonal_(math.inf).min(1).values
    )
    assert (change < others).all()


@pytest.mark.parametrize("perturb", PERTURBATIONS.values(), ids=name)
def test_draws_belong_to_the_seed_and_to_the_place_of_an_image_not_to_its_batch(
    perturb: Perturbation,
) -> None:
    images = pictures(9, 3, 16, 16)
    whole = perturb(images, 7)
    assert torch.equal(perturb(images, 7), whole)
    torch.testing.assert_close(perturb(images[:4], 7), whole[:4], rtol=0, atol=1e-6)
    drawn = not isinstance(perturb, DRAWLESS)
    assert drawn != torch.equal(perturb(images, 8), whole)


@pytest.mark.parametrize(
    ("nothing", "tolerance"),
    [
        (GaussianNoise(0.0), 0.0),
        (Crop(1.0), 0.0),
        (Crop(0.999), 0.0),
        (Shift(0), 0.0),
        (Blur(0.0), 0.0),
        (Jitter(0.0, 0.0, 0.0), 0.0),
        (Quantise(256), 1e-6),
        (Rotation(0.0), 1e-5),
        (Rotation(360.0), 1e-4),
        (Brightness(1.0), 1e-6),
        (Median(1), 0.0),
        (Resize(1.0), 0.0),
        (Erase(0.0), 0.0),
    ],
    ids=name,
)
def test_strength_zero_is_the_identity(nothing: Perturbation, tolerance: float) -> None:
    for shape in SHAPES:
        images = pictures(*shape)
        torch.testing.assert_close(nothing(images, 3), images, rtol=0, atol=tolerance)


@pytest.mark.parametrize(
    "perturb",
    [Crop(), Crop(0.3), Flip(), Shift(3), Rotation(), Rotation(77.0), Blur(), Blur(6.0)],
    ids=name,
)
def test_a_constant_image_has_no_geometry_to_lose(perturb: Perturbation) -> None:
    images = torch.full((4, 3, 10, 14), 0.3)
    torch.testing.assert_close(perturb(images, 2), images, rtol=0, atol=1e-6)


def test_flipping_twice_is_the_identity() -> None:
    images = pictures(3, 3, 9, 14)
    assert torch.equal(Flip()(Flip()(images)), images)
    assert torch.equal(Flip()(images)[..., 0], images[..., -1])


def test_noise_has_its_standard_deviation_and_is_independent_between_images() -> None:
    images = torch.zeros(200, 1, 20, 20, dtype=torch.float64)
    noise = GaussianNoise(0.1)(images, 5)
    n, bound = noise.numel(), sigmas(3)
    assert abs(float(noise.mean())) < bound * 0.1 / math.sqrt(n)
    assert abs(float(noise.square().mean()) / 0.01 - 1) < bound * math.sqrt(2 / n)
    assert abs(float((noise[1:] * noise[:-1]).mean())) < bound * 0.01 / math.sqrt(n - 400)


def test_a_shift_moves_by_its_pixels_to_each_of_eight_sides_alike() -> None:
    images = torch.full((800, 1, 9, 9), -1.0)
    images[:, :, 4, 4] = 1.0
    moved = Shift(2)(images, 3).flatten(1).argmax(1)
    places, counts = moved.unique(return_counts=True)
    assert sorted((int(p) // 9 - 4, int(p) % 9 - 4) for p in places) == [
        (i, j) for i in (-2, 0, 2) for j in (-2, 0, 2) if (i, j) != (0, 0)
    ]
    assert (counts - 100).abs().max() < sigmas(8) * math.sqrt(800 * (1 / 8) * (7 / 8))


def test_a_shift_repeats_the_edge() -> None:
    images = pictures(30, 1, 8, 8)
    for before, after in zip(images, Shift(1)(images, 1)):
        padded = np.pad(before[0].numpy(), 1, mode="edge")
        windows = [
            padded[i : i + 8, j : j + 8] for i in (0, 1, 2) for j in (0, 1, 2) if (i, j) != (1, 1)
        ]
        assert sum(np.array_equal(after[0].numpy(), window) for window in windows) >= 1


def enlarged(window: Tensor, height: int, width: int) -> Tensor:
    """(1, c, h, w) by Pillow's bicubic filter in floating point."""
    planes = [
        Image.fromarray(plane.numpy(), "F").resize((width, height), Image.Resampling.BICUBIC)
        for plane in window[0]
    ]
    return torch.from_numpy(np.stack([np.array(plane) for plane in planes]))[None].clamp(-1, 1)


@pytest.mark.parametrize(
    ("keep", "shape", "window"),
    [(0.5, (10, 20), (5, 10)), (0.9, (8, 8), (7, 7)), (0.01, (8, 12), (1, 1))],
)
def test_a_crop_is_one_of_all_windows_enlarged_as_pillow_does(
    keep: float, shape: tuple[int, int], window: tuple[int, int]
) -> None:
    images, (h, w), (a, b) = pictures(40, 3, *shape), shape, window
    starts = [(i, j) for i in range(h - a + 1) for j in range(w - b + 1)]
    met = set()
    for before, after in zip(images.split(1), Crop(keep)(images, 4).split(1)):
        errors = [
            float((enlarged(before[:, :, i : i + a, j : j + b], h, w) - after).abs().max())
            for i, j in starts
        ]
        assert min(errors) < 1e-5
        met.add(starts[int(np.argmin(errors))])
    assert len(met) > min(len(starts), 15) / 2


@pytest.mark.parametrize("sigma", [0.4, 1.0, 3.0])
def test_blur_is_the_gaussian_filter_of_scipy(sigma: float) -> None:
    images = pictures(3, 3, 12, 17, dtype=torch.float64)
    want = ndimage.gaussian_filter(
        images.numpy(),
        (0, 0, sigma, sigma),
        mode="nearest",
        radius=(0, 0, *2 * [math.ceil(4 * sigma)]),
    )
    np.testing.assert_allclose(Blur(sigma)(images).numpy(), want, atol=1e-12)


@pytest.mark.parametrize("degrees", [5.0, 30.0])
@pytest.mark.parametrize("shape", [(20, 20), (16, 30)], ids=str)
def test_rotation_is_scipys_bilinear_turn_to_either_side(
    degrees: float, shape: tuple[int, int]
) -> None:
    images = pictures(12, 1, *shape, dtype=torch.float64)
    turned, signs = Rotation(degrees)(images, 2).numpy(), set()
    for before, after in zip(images.numpy(), turned):
        for sign in (-1, 1):
            want = ndimage.rotate(before[0], sign * degrees, reshape=False, order=1, mode="nearest")
            if np.abs(want - after[0])[3:-3, 3:-3].max() < 1e-6:
                signs.add(sign)
                break
        else:
            pytest.fail("an image was turned to neither side")
    assert signs == {-1, 1}


def test_a_quarter_turn_of_a_square_is_exact() -> None:
    images = pictures(8, 3, 9, 9, dtype=torch.float64)
    for before, after in zip(images, Rotation(90.0)(images)):
        errors = [float((before.rot90(k, (1, 2)) - after).abs().max()) for k in (1, -1)]
        assert min(errors) < 1e-6


@pytest.mark.parametrize("quality", [5, 60, 95])
@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_is_pillows_round_trip(quality: int, channels: int) -> None:
    images = pictures(3, channels, 24, 17)
    for before, after in zip(images, JPEG(quality)(images)):
        pixels = to_uint8(before).permute(1, 2, 0).numpy()
        file = io.BytesIO()
        Image.fromarray(pixels[..., 0] if channels == 1 else pixels).save(
            file, "JPEG", quality=quality
        )
        want = np.asarray(Image.open(file)).reshape(24, 17, channels)
        assert np.array_equal(to_uint8(after).permute(1, 2, 0).numpy(), want)


def test_a_better_jpeg_is_nearer() -> None:
    images = pictures(10, 1, 32, 32)
    errors = [
        float((JPEG(quality)(images) - images).square().mean()) for quality in (5, 25, 75, 100)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-3


def test_jitter_moves_brightness_contrast_and_colour_each_by_its_strength() -> None:
    images = pictures(40, 3, 6, 6, dtype=torch.float64) / 3
    moved = Jitter(0.2, 0.0, 0.0)(images).mean((1, 2, 3)) - images.mean((1, 2, 3))
    assert {round(float(v), 9) for v in moved} == {-0.2, 0.2}
    spread = Jitter(0.0, 0.3, 0.0)(images).std((1, 2, 3)) / images.std((1, 2, 3))
    assert {round(float(v), 9) for v in spread} == {0.7, 1.3}
    weights = torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64)[:, None, None]
    coloured = Jitter(0.0, 0.0, 0.4)(images)
    torch.testing.assert_close(
        (coloured * weights).sum(1), (images * weights).sum(1), atol=1e-7, rtol=0
    )
    grey = (images * weights).sum(1, keepdim=True)
    ratio = ((coloured - grey) * (images - grey)).sum((1, 2, 3)) / (images - grey).square().sum(
        (1, 2, 3)
    )
    assert {round(float(v), 5) for v in ratio} == {0.6, 1.4}


def test_a_grey_image_has_no_colour_to_move() -> None:
    grey = pictures(5, 1, 8, 8)
    assert torch.equal(Jitter(0.0, 0.0, 1.0)(grey), grey)
    replicated = grey.expand(5, 3, 8, 8).contiguous()
    torch.testing.assert_close(
        Jitter(0.1, 0.1, 0.9)(replicated)[:, :1], Jitter(0.1, 0.1, 0.9)(grey), atol=1e-6, rtol=0
    )


def test_quantised_images_have_that_many_evenly_spaced_values() -> None:
    ramp = torch.linspace(-1, 1, 1000, dtype=torch.float64).reshape(1, 1, 10, 100)
    for levels in (2, 3, 16):
        values = Quantise(levels)(ramp).unique()
        torch.testing.assert_close(values, torch.linspace(-1, 1, levels, dtype=torch.float64))
        assert float((Quantise(levels)(ramp) - ramp).abs().max()) <= 1 / (levels - 1) + 1e-12


@pytest.mark.parametrize("size", [3, 7])
def test_the_median_is_the_filter_of_scipy(size: int) -> None:
    images = pictures(3, 3, 12, 17, dtype=torch.float64)
    want = ndimage.median_filter(images.numpy(), (1, 1, size, size), mode="nearest")
    np.testing.assert_allclose(Median(size)(images).numpy(), want, atol=1e-12)


def test_a_resize_is_pillows_there_and_back() -> None:
    images = pictures(3, 3, 12, 20)
    for before, after in zip(images.split(1), Resize(0.5)(images).split(1)):
        small = [
            Image.fromarray(p.numpy(), "F").resize((10, 6), Image.Resampling.BICUBIC)
            for p in before[0]
        ]
        back = enlarged(torch.from_numpy(np.stack([np.array(p) for p in small]))[None], 12, 20)
        torch.testing.assert_close(after, back, atol=1e-5, rtol=0)


def test_an_erased_rectangle_has_its_area_and_any_place() -> None:
    images = torch.full((400, 2, 10, 20), 0.5)
    gone = Erase(0.25)(images, 3) == 0
    assert (gone.sum((1, 2, 3)) == 2 * 5 * 10).all()
    assert torch.equal(gone[:, 0], gone[:, 1])
    rows, columns = gone[:, 0].any(2), gone[:, 0].any(1)
    assert (rows.sum(1) == 5).all()
    assert set(rows.double().argmax(1).tolist()) == set(range(6))
    assert set(columns.double().argmax(1).tolist()) == set(range(11))


def test_brightness_is_a_factor_of_light() -> None:
    images = pictures(4, 3, 6, 6, dtype=torch.float64)
    light = (Brightness(0.5)(images) + 1) / (images + 1).clamp(min=1e-9)
    torch.testing.assert_close(light[images > -1], torch.full_like(light[images > -1], 0.5))
    assert Brightness(1e9)(images)[images > -1].min() == 1


def test_no_images_are_no_images() -> None:
    for perturb in PERTURBATIONS.values():
        assert perturb(torch.zeros(0, 3, 8, 8)).shape == (0, 3, 8, 8)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: Flip()(torch.zeros(8, 8)),
            r"takes floating images \(n, c, h, w\), got torch.float32 \(8, 8\)",
        ),
        (
            lambda: Flip()(torch.zeros(1, 1, 8, 8, dtype=torch.uint8)),
            "floating images .* got torch.uint8",
        ),
        (
            lambda: Blur()(torch.full((1, 1, 8, 8), 2.0)),
            r"images in \[-1, 1\], got values from 2 to 2",
        ),
        (lambda: Blur()(torch.full((1, 1, 8, 8), math.nan)), "got values from nan"),
        (lambda: JPEG()(torch.zeros(1, 4, 8, 8)), "1 or 3 channels, got 4"),
        (lambda: Shift(8)(torch.zeros(1, 1, 8, 9)), "leaves nothing of images of 8 x 9"),
        (lambda: GaussianNoise(-0.1), "at least 0, got -0.1"),
        (lambda: GaussianNoise(math.nan), "at least 0, got nan"),
        (lambda: Crop(0.0), r"share in \(0, 1\] of a side, got 0.0"),
        (lambda: Crop(1.2), "got 1.2"),
        (lambda: Shift(-1), "0, 1, ... pixels, got -1"),
        (lambda: Rotation(math.inf), "finite angle"),
        (lambda: Median(4), "1, 3, 5, ... pixels per side, got 4"),
        (lambda: Resize(0.0), r"share in \(0, 1\], got 0.0"),
        (lambda: Erase(1.5), r"share in \[0, 1\], got 1.5"),
        (lambda: Brightness(-1.0), "factor is at least 0, got -1.0"),
        (lambda: Blur(-1.0), "at least 0 pixels, got -1"),
        (lambda: JPEG(0), "1 to 100, got 0"),
        (lambda: Jitter(contrast=1.5), "contrast is 0 to 1, got 1.5"),
        (lambda: Quantise(1), "at least 2 levels"),
    ],
)
def test_mistakes_are_named(call: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()
