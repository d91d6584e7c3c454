"""`watermark key` and `watermark embed`: a key as a file, and images with its mark."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from denoscope.apply.watermark import (
    Key,
    Marked,
    as_stored,
    marked,
    reading,
    sampled,
    secret,
    states,
)
from denoscope.data.images import to_uint8
from denoscope.files import harmless, located
from denoscope.marks.asked import Asking, ImageSet, MarkRequest, hashed, images_of
from denoscope.marks.pictures import write_picture
from denoscope.marks.quality import psnr_ssim
from denoscope.marks.rows import Row, Rows
from denoscope.progress import Voice
from denoscope.random import Seeds

FIRST = 16
"""Images over which the Jacobian of a "null" carrier is averaged, at most."""


def make_key(asked: MarkRequest, about: Asking) -> tuple[Key, Path]:
    """The key that is asked for, written to its file; one that exists is never replaced."""
    file = located(asked.key[0])
    if file.exists():
        raise ValueError(f"--key {harmless(file)} is there already: name a new file")
    D = images = levels = None
    if asked.carrier == "null":
        if not asked.images:
            raise ValueError(
                "--carrier null lies off the mean Jacobian at images: name some with --images"
            )
        if not about.model.differentiable:
            raise ValueError(
                f"--model {harmless(asked.model)} has no derivatives: no --carrier null"
            )
        found = images_of(asked, asked.images, "images", about.model.shape)
        D, images = about.model.denoiser, found.images[:FIRST].to(asked.device)
        levels = about.model.levels(asked.steps)
    whole = secrets.token_bytes(32) if asked.seed is None else secret(asked.seed)
    key = Key.make(
        whole, about.model.shape, asked.carrier, asked.noise, D=D, images=images, sigmas=levels,
        rank=asked.rank, radius=asked.radius, steps=asked.steps, model=about.fingerprint,
    )  # fmt: skip
    about.levels(key)
    return key, key.save(file)


def settings(asked: MarkRequest, about: Asking, key: Key) -> dict[str, Any]:
    """What rows of marked images are made of."""
    source = f"{asked.samples} samples, seed {asked.seed or 0}" if asked.samples else asked.images
    return {
        "action": "embed", "model": about.fingerprint, "key": key.fingerprint, "images": source,
        "strength": asked.strength, "how": asked.how, "prepare": list(asked.prepare),
    }  # fmt: skip


def embed_all(
    asked: MarkRequest, about: Asking, key: Key, target: Path, say: Voice
) -> tuple[list[Row], ImageSet | None]:
    """A marked PNG per image in ``images/``, the decode without a mark in ``unmarked/``, and their
    rows.
    """
    given = None
    if not asked.samples:
        given = images_of(asked, asked.images, "images", about.model.shape)
    stems = given.stems if given else [f"{i:06d}" for i in range(asked.samples)]
    names = given.names if given else [f"sample {i}" for i in range(asked.samples)]
    rows = Rows(target, settings(asked, about, key))
    with say.counting("images", len(stems)) as told:
        for some, images in _sources(asked, about, given):
            made = [
                {"file": names[i], "key": key.fingerprint, "sha256": hashed(image)}
                | {"written": f"images/{stems[i]}.png"}
                for i, image in zip(some, images)
            ]
            left = [j for j, row in enumerate(made) if not rows.take(row)]
            if left:
                found = _marked(asked, about, key, images[left].to(asked.device))
                own = images[left] if given else None
                rows.add(_rows(about, key, [made[j] for j in left], own, found, target))
            told(some[-1] + 1, len(stems))
    return rows.finish(names), given


def _sources(
    asked: MarkRequest, about: Asking, given: ImageSet | None
) -> Iterator[tuple[Sequence[int], Tensor]]:
    """Given images, or the noise that samples start from."""
    if given:
        yield from given.parts(asked.batch_size)
        return
    seed = asked.seed or 0
    for start in range(0, asked.samples, asked.batch_size):
        some = range(start, min(start + asked.batch_size, asked.samples))
        yield some, Seeds(range(seed + some[0], seed + some[-1] + 1)).randn(about.model.shape)


def _marked(asked: MarkRequest, about: Asking, key: Key, images: Tensor) -> Marked:
    how = {"how": asked.how, "batch": asked.batch_size}
    D, levels = about.model.denoiser, about.levels(key)
    if asked.samples:
        return sampled(D, about.model.start(images), key, asked.strength, levels, **how)
    return marked(D, images, key, asked.strength, levels, **how)


def _rows(
    about: Asking, key: Key, made: Sequence[Row], given: Tensor | None, found: Marked, target: Path
) -> list[Row]:
    """Writes the pictures, reads the marks in what was written, and measures both."""
    stored, plain = as_stored(found.images), as_stored(found.unmarked)
    z = states(about.model.denoiser, stored, key.sigma, about.levels(key))
    said = reading(z, key.direction, key.space)
    rows = []
    for i, row in enumerate(made):
        write_picture(to_uint8(found.images[i]), target / row["written"])
        write_picture(to_uint8(found.unmarked[i]), target / "unmarked" / Path(row["written"]).name)
        decoded = psnr_ssim(stored[i], plain[i])
        original = (None, None) if given is None else psnr_ssim(stored[i], given[i])
        rows.append(
            row
            | {"moved": float(found.length[i])}
            | {"p": float(said.p[i]), "cosine": float(said.cosine[i])}
            | {"dimension": said.dimension}
            | {"psnr_decoded": decoded[0], "psnr_original": original[0]}
            | {"ssim_decoded": decoded[1], "ssim_original": original[1]}
            | {"clipped": float((found.images[i].abs() > 1).double().mean())}
        )
    return rows
