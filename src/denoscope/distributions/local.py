"""The memorizer seen through windows: each pixel's posterior mean given its neighbourhood alone, as
a network of local filters can compute it.

``D(x, sigma)_i = sum_j w_ij y_ji`` with ``w_i = softmax_j(-|x - y_j|^2 over M_i / (2 sigma^2))``,
where ``M_i`` are the pixels that pixel i sees. Every pixel chooses its own mixture of training
images, so that the whole is a mosaic that is in no training set; with all pixels in sight it is the
memorizer. It is the posterior mean of no law: its Jacobian is not symmetric.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import pad, unfold

from denoscope.display import sized
from denoscope.distributions.gaussian import Gaussian
from denoscope.distributions.points import rows

Window = int | Callable[[float], int]
_MOST = 1 << 22  # numbers of one block


class LocalScore:
    """The posterior mean of each pixel of ``data`` (N, c, h, w) given the ``window`` x ``window``
    pixels around it that are in the image, as a denoiser of such images.

    ``window`` is odd, or a function of sigma that gives it. ``equivariant``: a pixel is compared
    with the neighbourhoods of all places in all images, not with those of its own place; at the
    edge with places at which as much is in the image. Data of another shape, and an even window,
    are a ValueError. Source: Kamb and Ganguli 2025, local and equivariant local score machines.
    """

    def __init__(self, data: Tensor, window: Window, equivariant: bool = False):
        if data.ndim != 4 or not len(data) or not bool(torch.isfinite(data).all()):
            raise ValueError(
                f"data must be finite images (N, c, h, w), N at least 1, got {tuple(data.shape)}"
            )
        self.data, self.window, self.equivariant = data, window, equivariant
        self.event_shape = data.shape[1:]
        self._seen: Callable[[float], Tensor] = self._around
        self._varies = callable(window)
        _size(window, 1.0)

    def __repr__(self) -> str:
        return f"LocalScore({len(self.data)} images of {sized(self.event_shape)})"

    @classmethod
    def wiener(cls, data: Tensor, threshold: float = 0.02) -> LocalScore:
        """The same with neighbourhoods made of the data: pixel i sees those at which row i of the
        Wiener filter ``cov (cov + sigma^2 I)^-1`` of a channel mean is more than ``threshold`` of
        its largest entry.

        Source: Lukoianov et al. 2025.
        """
        if not 0 <= threshold < 1:
            raise ValueError(f"threshold must be at least 0 and below 1, got {threshold}")
        made = cls(data, 1)
        modes = Gaussian.from_data(data.mean(1).double()).modes

        def seen(sigma: float) -> Tensor:
            shrunk = modes.variances / (modes.variances + sigma**2)
            row = ((modes.basis * shrunk) @ modes.basis.T).abs()
            own = torch.eye(len(row), dtype=torch.bool, device=row.device)
            return (row > threshold * row.amax(1, keepdim=True)) | own

        made._seen, made._varies = seen, True
        return made

    def neighbourhood(self, sigma: float) -> Tensor:
        """Which pixels each pixel sees at a level, bool (h w, h w)."""
        return self._seen(sigma)

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        """The posterior means, the shape and type of x; each level that windows depend on is one
        call.
        """
        flat, level = rows(x, sigma, self.event_shape, self.data.dtype)
        flat, level = flat.double(), level.double()
        if not self._varies:
            return self._at(flat, level, 0.0).reshape(x.shape).to(x.dtype)
        answer = torch.zeros_like(flat)
        for one in level.unique().tolist():
            here = level[:, 0] == one
            answer[here] = self._at(flat[here], level[here], one)
        return answer.reshape(x.shape).to(x.dtype)

    def _at(self, x: Tensor, level: Tensor, sigma: float) -> Tensor:
        count = max(1, _MOST // self.data.numel())
        if self.equivariant:
            parts = map(self._anywhere(_size(self.window, sigma)), x.split(1), level.split(1))
        else:
            seen = self._seen(sigma).to(x)
            parts = (
                self._in_place(*pair, seen) for pair in zip(x.split(count), level.split(count))
            )
        return torch.cat(list(parts)) if len(x) else x

    def _around(self, sigma: float) -> Tensor:
        """The window, at each pixel."""
        half = _size(self.window, sigma) // 2
        _, h, w = self.event_shape
        at = torch.cartesian_prod(torch.arange(h), torch.arange(w))
        return (at[:, None] - at).abs().amax(-1).to(self.data.device) <= half

    def _in_place(self, x: Tensor, level: Tensor, seen: Tensor) -> Tensor:
        """Each pixel against the same pixel of all images."""
        channels = self.event_shape[0]
        images = self.data.double().flatten(2)
        apart = (x.reshape(len(x), 1, channels, -1) - images).square().sum(2) @ seen.T
        weights = (-apart / (2 * level[..., None] ** 2)).softmax(1)
        return torch.einsum("bnp,ncp->bcp", weights, images).flatten(1)

    def _anywhere(self, size: int) -> Callable[[Tensor, Tensor], Tensor]:
        """Each pixel against all places of all images that lie as far inside."""
        shape, half = self.event_shape, size // 2

        def patches(images: Tensor) -> Tensor:
            return unfold(pad(images, (half,) * 4), size).transpose(1, 2)

        known = patches(self.data.double())  # (N, p, c k k)
        inside = patches(torch.ones_like(self.data[:1]).double())[0]  # (p, c k k)
        beyond = (inside @ (1 - inside).T > 0).repeat(1, len(known))
        bank = known.flatten(0, 1)
        squares = bank.square().T
        values = self.data.double().flatten(2).transpose(1, 2).flatten(0, 1)

        def answer(x: Tensor, level: Tensor) -> Tensor:
            asked = patches(x.reshape(1, *shape))[0]
            apart = asked.square().sum(1, keepdim=True) - 2 * asked @ bank.T + inside @ squares
            scores = (-apart / (2 * level**2)).masked_fill(beyond, -math.inf)
            return (scores.softmax(1) @ values).T.reshape(1, -1)

        return answer


def _size(window: Window, sigma: float) -> int:
    size = window(sigma) if callable(window) else window
    if size < 1 or size % 2 == 0:
        raise ValueError(f"window must be odd and at least 1, got {size}")
    return size
