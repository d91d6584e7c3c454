"""What an image can carry: bits of which 95 % of messages come back whole, against PSNR.

    python benchmarks/watermark.py                        # 28 x 28 and 128 x 128: 12 minutes
    python benchmarks/watermark.py --side 28 --n 80       # a minute

Images are 8-bit draws of stationary Gaussians with a power-law spectrum, so that the posterior mean
is known exactly: S(f) in proportion to (1 + |f|^2)^(-slope/2), standard deviation .35. Messages are
random; marks are embedded at 0.3 T. A number of bits is carried where the whole exact interval of
the share of whole messages lies above .95 (Clopper-Pearson). Last, 64 bits with and without
Reed-Solomon bytes at equal strength.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from denoscope.apply.edit import path
from denoscope.apply.watermark import (
    Key,
    as_stored,
    decoded,
    mark_message,
    mended,
    noise_level,
    protected,
    read_bits,
    states,
    words,
)
from denoscope.data.perturb import JPEG, GaussianNoise
from denoscope.estimate import Estimate, proportion
from denoscope.levels import karras
from denoscope.random import generator
from denoscope.sampling import invert
from denoscope.theory.watermarks import psnr
from denoscope.types import Denoiser

LEVELS = karras(25)
ATTACKS: dict[str, Callable[[Tensor], Tensor]] = {
    "none": lambda images: images,
    "noise .05": GaussianNoise(0.05),
    "JPEG 90": JPEG(90),
    "JPEG 75": JPEG(75),
}
CARRIED = 0.95


def stationary(side: int, slope: float) -> tuple[Denoiser, Callable[[int, int], Tensor]]:
    """The denoiser of the Gaussian images, and n draws (n, 1, side, side) by a seed."""
    f = side * torch.fft.fftfreq(side, dtype=torch.float64)
    spectrum = (1 + f[:, None] ** 2 + f**2) ** (-slope / 2)
    spectrum = spectrum / spectrum.mean() * 0.35**2

    def times(x: Tensor, gain: Tensor) -> Tensor:
        return torch.fft.ifft2(torch.fft.fft2(x.double()) * gain).real

    def draws(n: int, seed: int) -> Tensor:
        noise = torch.randn(n, 1, side, side, generator=generator(seed), dtype=torch.float64)
        return times(noise, spectrum.sqrt())

    return lambda x, sigma: times(x, spectrum / (spectrum + sigma**2)).to(x), draws


class Sender:
    """Images with their states, and what comes back of messages in them."""

    def __init__(self, side: int, slope: float, carrier: str, radius: float | None, n: int):
        self.D, draws = stationary(side, slope)
        self.key = Key.make(1, (1, side, side), carrier, noise_level(0.3), radius=radius, steps=25)
        self.images = as_stored(draws(n, 5))
        self.levels = path(self.key.sigma, LEVELS)
        self.z = invert(self.D, self.images, self.levels, refine=3)

    def sent(self, bits: Tensor, strength: float, how: str) -> tuple[float, dict[str, Tensor]]:
        """PSNR in dB against the original, and the bits (n, B) read after each attack."""
        along = words(self.key.space, self.key.secret, bits.shape[1])
        moved = mark_message(self.z, bits, along, self.key.sigma, strength, how)
        marked = as_stored(decoded(self.D, self.z, moved, self.levels).images)
        error = float((marked - self.images).square().mean())
        found = {}
        for name, attack in ATTACKS.items():
            z = states(self.D, as_stored(attack(marked)), self.key.sigma, LEVELS)
            found[name] = read_bits(z, along)
        return float(psnr(error)), found


def messages(n: int, bits: int) -> Tensor:
    return torch.rand(n, bits, generator=generator(6, bits)) < 0.5


def whole(found: Tensor, sent: Tensor) -> Estimate:
    """The share of messages that came back whole."""
    return proportion(float((found == sent).all(1).sum()), len(sent))


def curve(sender: Sender, counts: Sequence[int], strengths: Sequence[float], how: str) -> None:
    """The most bits that are carried, a line per strength."""
    print(f"\n{how}, {sender.key.name}, m = {sender.key.dimension}, n = {len(sender.images)}")
    print("lambda  PSNR dB  " + "  ".join(f"{name:>9}" for name in ATTACKS))
    for strength in strengths:
        most, db = dict.fromkeys(ATTACKS, 0), 0.0
        for bits in counts:
            sent = messages(len(sender.images), bits)
            db, found = sender.sent(sent, strength, how)
            carried = {name for name, read in found.items() if whole(read, sent).low > CARRIED}
            most |= dict.fromkeys(carried, bits)
            if not carried:
                break
        print(f"{strength:6g}  {db:7.1f}  " + "  ".join(f"{most[name]:9d}" for name in ATTACKS))


def reed_solomon(sender: Sender, strengths: Sequence[float]) -> None:
    """64 bits with and without parity bytes at equal strength."""
    sent = messages(len(sender.images), 64)
    print(f"\n64 bits in {sender.key.name}, m = {sender.key.dimension}, informed")
    print("lambda  parity bytes  PSNR dB  " + "  ".join(f"{name:>20}" for name in ATTACKS))
    for strength in strengths:
        for parity in (0, 4, 8):
            code = protected(sent, parity) if parity else sent
            db, found = sender.sent(code, strength, "informed")
            shown = [whole(mended(r, parity)[0] if parity else r, sent) for r in found.values()]
            said = "  ".join(f"{one!s:>20}" for one in shown)
            print(f"{strength:6g}  {parity:12d}  {db:7.1f}  {said}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--side", type=int, nargs="+", default=[28, 128])
    parser.add_argument("--n", type=int, default=120, help="images")
    parser.add_argument("--slope", type=float, default=3.0, help="of the spectrum")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    for side in asked.side:
        print(f"\n{side} x {side}, spectrum of slope {asked.slope:g}")
        large = side >= 64
        counts = (8, 16, 32, 64, 128) if large else (2, 4, 8, 12, 16, 24, 32)
        strengths = (8.0, 16.0, 32.0) if large else (4.0, 8.0, 16.0, 24.0)
        for carrier, radius in (("all", None), ("ring", side / 7)):
            sender = Sender(side, asked.slope, carrier, radius, asked.n)
            for how in ("informed",) if large else ("additive", "informed"):
                curve(sender, counts, strengths, how)
        if large:
            reed_solomon(Sender(side, asked.slope, "all", None, asked.n), (8.0, 16.0, 24.0, 32.0))


if __name__ == "__main__":
    main()
