"""Keys: directions that a secret draws uniformly on the unit sphere of a carrier, and their files.

The stream of a key is SHAKE-256 of a domain word and its secret, turned to normal numbers by the
quantile function: it shares nothing with the generators that sample images, whatever the seeds, and
is the same on every machine. A file is JSON; its HMAC (SHA-256 over the canonical JSON, under the
secret) shows damage and mistakes, not forgery by who holds the file.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.special import ndtri
from torch import Tensor

from denoscope.apply.edit import REFINED, path
from denoscope.apply.watermark.carriers import (
    CARRIERS,
    Carrier,
    band,
    leading_directions,
    usual_radius,
)
from denoscope.display import shortened, sized
from denoscope.files import harmless, read_regular, write_json
from denoscope.levels import karras
from denoscope.sampling import invert
from denoscope.schedule import VP
from denoscope.types import Denoiser

DOMAIN = b"denoscope.apply.watermark 1\x00"
KIND = "denoscope watermark key"
RANK = 80
"""Leading directions that "null" leaves out at most: an eighth of all, where nothing is said."""


def noise_level(time: float) -> float:
    """The sigma of a time in (0, 1], in parts of the 1 000 steps of ``VP.linear()``: .3 is what is
    published as 0.3 T.
    """
    if not 0.001 <= time <= 1:
        raise ValueError(f"{time:g}: must lie between .001, little noise, and 1, noise alone")
    return float(VP.linear().sigma(1000 * time - 1))


def secret(*seeds: int) -> bytes:
    """The 32 bytes of a seed, or of a path of seeds."""
    return hashlib.sha256(DOMAIN + b"secret\x00" + repr(tuple(map(int, seeds))).encode()).digest()


def normals(key: bytes, n: int, word: str = "direction") -> np.ndarray:
    """n standard normal numbers of the stream ``word`` of a secret, float64."""
    stream = hashlib.shake_256(DOMAIN + word.encode() + b"\x00" + key).digest(8 * n)
    return ndtri(((np.frombuffer(stream, "<u8") >> 11) + 0.5) * 2.0**-53)


def key_directions(space: Carrier, secrets: Iterable[bytes], word: str = "direction") -> Tensor:
    """Unit directions (k, *shape) of k secrets, each uniform on the sphere of the carrier."""
    n = math.prod(space.shape)
    drawn = np.stack([normals(one, n, word) for one in secrets])
    part = space.project(torch.from_numpy(drawn).reshape(-1, *space.shape)).flatten(1)
    return (part / part.norm(dim=1, keepdim=True)).reshape(-1, *space.shape)


@dataclass(frozen=True, eq=False, repr=False)
class Key:
    """A ``secret`` with the carrier (``name``, ``radius`` of bands, ``removed`` (n, r) directions)
    and the noise level at which it is embedded, the ``steps`` of the sampler, and the hash of the
    ``model``, "" where none is named.
    """

    secret: bytes
    shape: tuple[int, ...]
    name: str
    sigma: float
    steps: int
    radius: float | None = None
    model: str = ""
    removed: Tensor | None = None

    def __repr__(self) -> str:
        """Never the secret."""
        what = f"{self.fingerprint}, {self.name} of {sized(self.shape)}, sigma {self.sigma:.4g}"
        return shortened(f"Key({what})")

    @classmethod
    def make(
        cls,
        seed: int | bytes,
        shape: Iterable[int],
        carrier: str,
        sigma: float,
        *,
        D: Denoiser | None = None,
        images: Tensor | None = None,
        sigmas: Tensor | None = None,
        rank: int | None = None,
        radius: float | None = None,
        steps: int = 25,
        model: str = "",
    ) -> Key:
        """The key of a seed (or of 32 secret bytes) for images of ``shape`` at the noise level
        ``sigma``.

        "high", "low" and "ring" take a ``radius`` in cycles per image. "null" needs D and
        ``images`` (N, *shape), which are inverted along ``sigmas`` (default:
        ``karras(steps)``); it leaves out the ``rank`` leading directions of the mean
        Jacobian there.
        """
        shape = tuple(map(int, shape))
        if carrier not in CARRIERS:
            raise ValueError(f"carrier must be one of {', '.join(CARRIERS)}, got {carrier!r}")
        if not 0 < sigma < math.inf:
            raise ValueError(f"sigma must be a positive number, got {sigma}")
        removed = None
        if carrier == "null":
            left = min(RANK, math.prod(shape) // 8) if rank is None else rank
            removed = _removed(D, images, shape, sigma, sigmas, left, steps)
        elif carrier != "all" and radius is None:
            radius = usual_radius(shape)
        whole = secret(seed) if isinstance(seed, int) else bytes(seed)
        if len(whole) != 32:
            raise ValueError(f"a secret has 32 bytes, got {len(whole)}")
        key = cls(whole, shape, carrier, float(sigma), steps, radius, model, removed)
        assert key.space.dimension  # a carrier that is too small is told of here
        return key

    @cached_property
    def space(self) -> Carrier:
        if self.name in ("high", "low", "ring"):
            return Carrier(self.shape, band=band(self.shape, self.name, self.radius or 0))
        removed = None if self.removed is None else torch.linalg.qr(self.removed.double()).Q
        return Carrier(self.shape, removed=removed)

    @property
    def dimension(self) -> int:
        return self.space.dimension

    @cached_property
    def direction(self) -> Tensor:
        """The unit direction (*shape), float64."""
        return key_directions(self.space, [self.secret])[0]

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits that tell keys apart and say nothing of the secret."""
        return hashlib.sha256(_canonical(self._body())).hexdigest()[:16]

    def check(self, shape: Iterable[int], model: str = "", sigma: float | None = None) -> None:
        """A ValueError unless images have this shape, and the model its hash where both are
        named.
        """
        if tuple(shape) != self.shape:
            (found, wanted) = (sized(part) for part in (tuple(shape), self.shape))
            raise ValueError(f"the key is for images of {wanted} numbers, not of {found}")
        if model and self.model and model != self.model:
            raise ValueError(
                f"the key belongs to the model sha256 {self.model[:12]}, this is sha256 "
                f"{model[:12]}: take that model, or make a key for this one"
            )
        if sigma is not None and not math.isclose(sigma, self.sigma, rel_tol=1e-9):
            raise ValueError(f"the key is for sigma = {self.sigma:g}, not for {sigma:g}")

    def save(self, file: Path | str) -> Path:
        """Writes the key as JSON; who has this file can mark and detect."""
        body = self._body() | {"fingerprint": self.fingerprint}
        return write_json(file, body | {"hmac": _mac(self.secret, body)})

    @classmethod
    def load(cls, file: Path | str) -> Key:
        """What :meth:`save` wrote; a file that was changed, or is no key, is a ValueError."""
        try:
            found = json.loads(read_regular(file))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{harmless(file)} is no key: {harmless(error)}") from error
        if not isinstance(found, dict) or found.get("kind") != KIND:
            raise ValueError(
                f"{harmless(file)} is no key: make one with `denoscope watermark key`, or Key.make"
            )
        try:
            whole = bytes.fromhex(found["secret"])
            body = {name: value for name, value in found.items() if name != "hmac"}
            intact = hmac.compare_digest(_mac(whole, body), str(found["hmac"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{harmless(file)} is no whole key: {harmless(error)}") from error
        if not intact:
            raise ValueError(
                f"{harmless(file)} was changed or damaged: its HMAC does not fit; take the "
                "file as it was made"
            )
        return cls(
            whole, tuple(found["shape"]), found["carrier"], found["sigma"], found["steps"],
            found["radius"], found["model"], _decoded(found["removed"], math.prod(found["shape"])),
        )  # fmt: skip

    def _body(self) -> dict[str, Any]:
        return {
            "kind": KIND, "version": 1, "secret": self.secret.hex(), "shape": list(self.shape),
            "carrier": self.name, "radius": self.radius, "sigma": self.sigma, "steps": self.steps,
            "model": self.model, "removed": _encoded(self.removed),
        }  # fmt: skip


def _removed(
    D: Denoiser | None,
    images: Tensor | None,
    shape: tuple[int, ...],
    sigma: float,
    sigmas: Tensor | None,
    rank: int,
    steps: int,
) -> Tensor:
    if D is None or images is None or tuple(images.shape[1:]) != shape or not len(images):
        raise ValueError(f'the carrier "null" needs D and images (N, {", ".join(map(str, shape))})')
    if not 1 <= rank < math.prod(shape) - 1:
        raise ValueError(f"rank must be from 1 to {math.prod(shape) - 2}, got {rank}")
    levels = path(sigma, karras(steps) if sigmas is None else sigmas)
    states = invert(D, images, levels.to(images), refine=REFINED)
    return leading_directions(D, states, sigma, rank).float().cpu()


def _canonical(body: dict[str, Any]) -> bytes:
    return json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _mac(key: bytes, body: dict[str, Any]) -> str:
    return hmac.new(key, DOMAIN + b"file\x00" + _canonical(body), hashlib.sha256).hexdigest()


def _encoded(removed: Tensor | None) -> str | None:
    if removed is None:
        return None
    return base64.b64encode(removed.contiguous().numpy().astype("<f4").tobytes()).decode()


def _decoded(word: str | None, n: int) -> Tensor | None:
    if word is None:
        return None
    numbers = np.frombuffer(base64.b64decode(word), "<f4").astype(np.float32)
    return torch.from_numpy(numbers).reshape(n, -1)
