"""`watermark attack`: images as they are after an attack of a strength, as PNG files.

``NAME`` or ``NAME:STRENGTH``: those of ``data.perturb``, and

    regenerate:TIME    noise of that time added and sampled down by --model
    subtract:S         less S times what the images have in common: mean, less that of --clean
    forge:S            the images of --clean plus S times that
    remark:STRENGTH    a second mark: that of --key
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from denoscope.apply.watermark import (
    as_stored,
    forged,
    mark_estimate,
    marked,
    noise_level,
    regenerated,
    subtracted,
)
from denoscope.data.images import to_uint8
from denoscope.data.perturb import PERTURBATIONS
from denoscope.files import harmless
from denoscope.marks.asked import ImageSet, MarkRequest, hashed, images_of, keys_of, opened
from denoscope.marks.pictures import write_picture
from denoscope.marks.quality import psnr_ssim
from denoscope.marks.rows import Row, Rows
from denoscope.progress import Voice
from denoscope.random import derive

USUAL = {"regenerate": 0.3, "subtract": 1.0, "forge": 1.0, "remark": 8.0}
"""Attacks that take a model or several images, with their usual strengths."""


class Attack(NamedTuple):
    """A ``word`` such as jpeg:25, its ``strength`` (None: it has none), what it does to images and
    their rows, and whether it is done to the clean images.
    """

    word: str
    strength: float | None
    apply: Callable[[Tensor, Sequence[int]], Tensor]
    on_clean: bool = False


def read_attack(word: str, asked: MarkRequest, estimate: Callable[[], Tensor]) -> Attack:
    """What a word means; an unknown one is a ValueError with all names."""
    name, colon, text = word.partition(":")
    try:
        strength = float(text) if colon else None
    except ValueError:
        raise ValueError(f"--attack {harmless(word)}: the strength is no number") from None
    if name not in PERTURBATIONS and name not in USUAL:
        raise ValueError(
            f"--attack {harmless(word)}: must be one of {', '.join([*PERTURBATIONS, *USUAL])}"
        )
    try:
        if name in PERTURBATIONS:
            return _perturbing(name, word, strength, asked)
        return _with_more(name, USUAL[name] if strength is None else strength, asked, estimate)
    except ValueError as error:
        raise ValueError(f"--attack {harmless(word)}: {error}") from error


def _perturbing(name: str, word: str, strength: float | None, asked: MarkRequest) -> Attack:
    usual = PERTURBATIONS[name]
    items = dataclasses.fields(usual)  # pyright: ignore[reportArgumentType] -- all are dataclasses
    if strength is not None and not items:
        raise ValueError("it has no strength")
    if strength is not None:
        kind = type(getattr(usual, items[0].name))
        if kind is int and strength != int(strength):
            raise ValueError("its strength is a whole number")
        rest = {item.name: 0.0 for item in items[1:]}
        usual = type(usual)(**{items[0].name: kind(strength), **rest})
    shown = float(getattr(usual, items[0].name)) if items else None
    seed = asked.seed or 0

    def apply(images: Tensor, rows: Sequence[int]) -> Tensor:
        each = [usual(one[None], derive(seed, row)) for one, row in zip(images, rows)]
        return as_stored(torch.cat(each))

    return Attack(f"{name}:{shown:g}" if shown is not None else name, shown, apply)


def _with_more(
    name: str, strength: float, asked: MarkRequest, estimate: Callable[[], Tensor]
) -> Attack:
    word = f"{name}:{strength:g}"
    if name in ("subtract", "forge"):
        if name == "forge" and not asked.clean:
            raise ValueError("it marks images that have no mark: name some with --clean")
        change = forged if name == "forge" else subtracted
        return Attack(
            word, strength, lambda images, _: change(images, estimate(), strength), name == "forge"
        )
    if not asked.model:
        raise ValueError("it needs a --model")
    about = opened(asked)
    D = about.model.denoiser
    if name == "regenerate":
        sigma, levels, seed = noise_level(strength), about.model.levels(asked.steps), asked.seed
        return Attack(
            word,
            strength,
            lambda images, rows: regenerated(D, images, sigma, levels, seed or 0, rows),
        )
    if len(asked.key) != 1:
        raise ValueError("it puts a second mark on images: name its key with --key")
    key = keys_of(asked, about)[0]
    levels = about.levels(key)
    return Attack(
        word, strength, lambda images, _: as_stored(marked(D, images, key, strength, levels).images)
    )


def settings(asked: MarkRequest, words: Sequence[str]) -> dict[str, Any]:
    """What rows of attacks are made of."""
    return {
        "action": "attack", "attacks": list(words), "images": asked.images, "clean": asked.clean,
        "seed": asked.seed or 0, "model": asked.model, "keys": list(asked.key),
        "prepare": list(asked.prepare),
    }  # fmt: skip


def attack_all(asked: MarkRequest, target: Path, say: Voice) -> tuple[list[Row], ImageSet]:
    """A PNG per image and attack, in a folder named after the attack, and their rows."""
    given = images_of(asked, asked.images, "images")
    clean = images_of(asked, asked.clean, "clean", given.images.shape) if asked.clean else None
    known: list[Tensor] = []

    def estimate() -> Tensor:
        if not known:
            known.append(mark_estimate(given.images.data, clean.images.data if clean else None))
        return known[0].to(asked.device)

    attacks = [read_attack(word, asked, estimate) for word in asked.attack]
    names = [attack.word for attack in attacks]
    if repeated := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"--attack {repeated[0]} is named twice")
    rows = Rows(target, settings(asked, names))
    with say.counting("images", len(attacks) * len(given.names)) as told:
        done = 0
        for attack in attacks:
            source = clean if attack.on_clean and clean else given
            for some, images in source.parts(asked.batch_size):
                _attack(attack, source, some, images, rows, asked.device)
                done += len(some)
                told(done, len(attacks) * len(given.names))
    return rows.finish([*given.names, *(clean.names if clean else ())]), given


def _attack(
    attack: Attack, source: ImageSet, some: Sequence[int], images: Tensor, rows: Rows, device: str
) -> None:
    folder = attack.word.replace(":", "-")
    made = [
        {"file": source.names[i], "attack": attack.word, "sha256": hashed(image)}
        | {"strength": attack.strength, "written": f"{folder}/{source.stems[i]}.png"}
        for i, image in zip(some, images)
    ]
    left = [j for j, row in enumerate(made) if not rows.take(row)]
    if not left:
        return
    found = attack.apply(images[left].to(device), [some[j] for j in left]).cpu()
    for j, image in zip(left, found):
        write_picture(to_uint8(image), rows.folder / made[j]["written"])
        made[j] |= dict(zip(("psnr", "ssim"), psnr_ssim(image, images[j])))
    rows.add([made[j] for j in left])
