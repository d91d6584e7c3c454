"""One affine table turns a network into a denoiser: D(x, s) = c_skip x + c_out F(c_in x, c_noise),
in variance-exploding coordinates.

A diffusion in other coordinates sees x_t = alpha x, alpha = 1 at no noise, with noise of standard
deviation std = alpha s. What its network predicts fixes x0 = a x_t + b F (:func:`posterior`):

=====  =====================================  ===================  ======================
kind   what F predicts                        a                    b
=====  =====================================  ===================  ======================
eps    n                                      1/alpha              -std/alpha
x0     x0                                     0                    1
v      alpha n - std x0 (Salimans, Ho 2022)   alpha/(alpha^2+std^2)  -std/(alpha^2+std^2)
flow   n - x0 (Lipman et al. 2023)            1/(alpha+std)        -std/(alpha+std)
=====  =====================================  ===================  ======================

so that c_in = alpha, c_skip = alpha a, c_out = b. "eps", "x0" and "v" use alpha = 1/sqrt(1 + s^2)
(variance preserving), "flow" alpha = 1/(1 + s) (t = s/(1 + s)). "edm" (Karras et al. 2022, table 1)
instead makes input and target of F have unit variance for data of standard deviation
``sigma_data``. "consistency" (Song et al. 2023, appendix C) is no posterior mean but a map to where
the flow ends, at the level ``CONSISTENT_FROM``, where it is x itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from denoscope.display import shortened, sized
from denoscope.types import pad

PREDICTIONS = ("eps", "x0", "v", "flow")
DIFFUSERS = {"epsilon": "eps", "sample": "x0", "v_prediction": "v"}
"""What schedulers of diffusers call three of them."""
POSTERIOR_MEANS = ("edm", *PREDICTIONS)
KINDS = (*POSTERIOR_MEANS, "consistency")
CONSISTENT_FROM = 0.002
"""The level at which a network of kind "consistency" is the identity."""


def posterior(prediction: str, alpha: Tensor, std: Tensor) -> tuple[Tensor, Tensor]:
    """(a, b) with x0 = a x_t + b F, x_t = alpha x0 + std n, F the ``prediction``: this table."""
    match prediction:
        case "eps":
            return 1 / alpha, -std / alpha
        case "x0":
            return torch.zeros_like(alpha), torch.ones_like(alpha)
        case "v":
            square = alpha**2 + std**2
            return alpha / square, -std / square
        case "flow":
            return 1 / (alpha + std), -std / (alpha + std)
        case _:
            raise ValueError(unknown("prediction", prediction, PREDICTIONS))


def unknown(what: str, word: str, valid: Sequence[str]) -> str:
    """A line on a word that is not valid, with the one that is meant if it is one of diffusers."""
    meant = f"; for {word!r} write {DIFFUSERS[word]!r}" if word in DIFFUSERS else ""
    return f"{what} must be one of {', '.join(valid)}, got {word!r}{meant}"


class Preconditioned(nn.Module):
    """The denoiser D(x, s) = c_skip x + c_out net(c_in x, ln(s)/4) of a network that maps (x, one
    number per level) to x's shape; D(x, s, label) where the network knows ``classes``.

    ``kind`` is "edm", "eps", "x0", "v", "flow" or "consistency"; ``sigma_data`` is the standard
    deviation of the data (used by "edm" and "consistency" alone).
    """

    def __init__(self, net: nn.Module, kind: str = "edm", sigma_data: float = 0.5):
        super().__init__()
        if kind not in KINDS:
            raise ValueError(unknown("kind", kind, KINDS))
        if not (0 < sigma_data < math.inf):
            raise ValueError(f"sigma_data must be positive and finite, got {sigma_data}")
        self.net, self.kind, self.sigma_data = net, kind, float(sigma_data)

    def __repr__(self) -> str:
        shape = getattr(self.net, "shape", ())
        of = f" of {sized(shape)}" if shape else ""
        count = sum(p.numel() for p in self.parameters())
        return shortened(
            f"Preconditioned({self.kind}, {type(self.net).__name__}{of}, {count:,} weights)"
        )

    @property
    def config(self) -> dict[str, object]:
        own = {"kind": self.kind, "sigma_data": self.sigma_data}
        return {"class": "Preconditioned", "net": self.net.config, **own}

    @property
    def stackable(self) -> bool:
        return getattr(self.net, "stackable", False)

    @property
    def classes(self) -> int:
        """How many labels the network knows."""
        return getattr(self.net, "classes", 0)

    def coefficients(self, sigma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(c_skip, c_out, c_in) at ``sigma``, each of its shape."""
        if self.kind in ("edm", "consistency"):
            total = sigma**2 + self.sigma_data**2
            c_in = total.rsqrt()
            if self.kind == "edm":
                return self.sigma_data**2 / total, sigma * self.sigma_data * c_in, c_in
            above = (sigma - CONSISTENT_FROM).clamp(min=0)
            return 1 / (1 + (above / self.sigma_data) ** 2), above * self.sigma_data * c_in, c_in
        alpha = 1 / (1 + sigma) if self.kind == "flow" else (1 + sigma**2).rsqrt()
        a, b = posterior(self.kind, alpha, alpha * sigma)
        return alpha * a, b, alpha

    def weight(self, sigma: Tensor) -> Tensor:
        """1/c_out^2: the weight that leaves the network's regression unweighted (EDM, eq. 8)."""
        return self.coefficients(sigma)[1] ** -2

    def forward(self, x: Tensor, sigma: Tensor, *label: Tensor) -> Tensor:
        sigma = sigma.to(x.dtype)
        c_skip, c_out, c_in = (pad(c, x) for c in self.coefficients(sigma))
        c_noise = sigma.clamp(min=torch.finfo(sigma.dtype).tiny).log() / 4
        return torch.addcmul(c_skip * x, c_out, self.net(c_in * x, c_noise, *label))
