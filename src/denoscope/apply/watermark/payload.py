"""Messages: B bits, each the sign of a direction of its own.

The secret draws B orthonormal directions w_i of the carrier; the message b moves the state along
``sum_i b_i w_i / sqrt(B)``, b_i = -1 or 1, whose length is 1 whatever B is, so that a bit's part
falls as ``1/sqrt(B)``: what an image can carry is a curve of B against what the mark costs. A bit
is read from the sign of the state's part s_i along w_i. Informed embedding moves only the bits that
need it: all b_i s_i to at least t, with ``sum_i max(0, t - b_i s_i)^2 = L^2``, the largest least
margin that a step of length L reaches. Reed-Solomon bytes (``reedsolo``) mend half as many wrong
bytes as they are.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from denoscope.apply.watermark.carriers import Carrier
from denoscope.apply.watermark.keys import normals


def words(space: Carrier, secret: bytes, bits: int) -> Tensor:
    """``bits`` orthonormal directions (bits, *shape) of the carrier, drawn by the secret."""
    if not 1 <= bits <= space.dimension:
        raise ValueError(f"a carrier of {space.dimension} dimensions has no room for {bits} bits")
    n = math.prod(space.shape)
    drawn = torch.from_numpy(normals(secret, bits * n, "words")).reshape(bits, *space.shape)
    return torch.linalg.qr(space.project(drawn).flatten(1).T).Q.T.reshape(bits, *space.shape)


def message_directions(bits: Tensor, along: Tensor) -> Tensor:
    """The unit directions (n, *shape) of messages (n, B), bool, along words (B, *shape)."""
    signs = torch.where(bits, 1.0, -1.0).to(along)
    return torch.tensordot(signs, along, 1) / math.sqrt(len(along))


def mark_message(
    x: Tensor, bits: Tensor, along: Tensor, sigma: float, strength: float, how: str = "informed"
) -> Tensor:
    """States x (n, *shape) at ``sigma`` moved toward messages (n, B), bool, along words (B, *shape)
    by ``strength``, in variance-preserving coordinates, "informed" or "additive"; float64.
    """
    if how not in ("additive", "informed"):
        raise ValueError(f"a message is additive or informed, got {how!r}")
    along, step = along.to(x.device), strength * (1 + sigma**2) ** 0.5
    signs = torch.where(bits.to(x.device), 1.0, -1.0).to(along)
    if how == "additive":
        change = torch.full_like(signs, step / math.sqrt(len(along)))
    else:
        own = signs * (x.double().flatten(1) @ along.flatten(1).T)
        change = (_margin(own, step)[:, None] - own).clamp(min=0)
    return x.double() + torch.tensordot(signs * change, along, 1)


def _margin(own: Tensor, step: float) -> Tensor:
    """The margin t (n,) with ``sum_i max(0, t - own_i)^2 = step^2``, by bisection."""
    low, high = own.amin(1), own.amax(1) + step
    for _ in range(80):
        middle = (low + high) / 2
        less = (middle[:, None] - own).clamp(min=0).square().sum(1) < step**2
        low, high = torch.where(less, middle, low), torch.where(less, high, middle)
    return low


def read_bits(z: Tensor, along: Tensor) -> Tensor:
    """The messages (n, B), bool, that states z (n, *shape) carry along words (B, *shape)."""
    return z.double().flatten(1) @ along.to(z.device).flatten(1).T > 0


def protected(messages: Tensor, parity: int) -> Tensor:
    """Messages (n, B), bool, B a multiple of 8, with ``parity`` Reed-Solomon bytes after them."""
    code = _code(parity)
    rows = [code.encode(bytes(row)) for row in np.packbits(messages.numpy(), axis=1)]
    return torch.from_numpy(np.unpackbits(np.array([list(r) for r in rows], np.uint8), 1) > 0)


def mended(bits: Tensor, parity: int) -> tuple[Tensor, Tensor]:
    """The messages of received bits (n, B + 8 parity), and which could be mended (n,); the others
    are as received.
    """
    code, received = _code(parity), np.packbits(bits.numpy(), axis=1)
    found, fine = received[:, : received.shape[1] - parity].copy(), np.ones(len(bits), bool)
    for i, row in enumerate(received):
        mending = _mended(code, bytes(row))
        fine[i] = mending is not None
        if mending is not None:
            found[i] = np.frombuffer(mending, np.uint8)
    return torch.from_numpy(np.unpackbits(found, axis=1) > 0), torch.from_numpy(fine)


def _mended(code, row: bytes) -> bytes | None:
    from reedsolo import ReedSolomonError

    try:
        return bytes(code.decode(row)[0])
    except ReedSolomonError:
        return None


def _code(parity: int):
    try:
        from reedsolo import RSCodec
    except ImportError as error:
        raise ImportError(
            "messages with Reed-Solomon bytes need reedsolo: pip install 'denoscope[watermark]'"
        ) from error
    return RSCodec(parity)
