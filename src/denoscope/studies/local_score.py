"""Whether the samples of a convolutional network are those of the memorizer seen through windows.

Networks with convolutions alone, with attention and without convolutions are sampled from the same
noises as closed forms of their training images: windows at the same place and at any place, whose
size is calibrated to the network at each noise level, windows that the data's Wiener filter makes,
the memorizer and the Gaussian. Two samples are compared by r^2 over their pixels. Claimed (Kamb and
Ganguli 2025): median r^2 of .94 to .96 for networks without attention, .75 to .77 with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from denoscope.distributions import Empirical, LocalScore
from denoscope.estimate import exact, median
from denoscope.fitting.recipe import at_least
from denoscope.geometry.distances import outputs
from denoscope.random import Seeds
from denoscope.readings import Quantity, Reading, Readings, stored
from denoscope.report.claims import Claim, above
from denoscope.report.plots import Plot, figure
from denoscope.report.story import Told, crosstab
from denoscope.sampling import heun, sample
from denoscope.studies._trained import Trained
from denoscope.study import Result, axis, option
from denoscope.types import Denoiser

LEVELS = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 80.0)
"""Levels at which windows are calibrated; others take the nearest one's."""
WINDOWED = {"local": False, "anywhere": True}
MIXERS = 4  # an MLP is so many times as wide as a convolution has channels

QUANTITIES = {
    "r2": Quantity("r²", "median", median, tip="of the pixels of a network's and a form's sample"),
    "window": Quantity("window", "pixels", exact, ".0f", "calibrated to the network"),
}


@dataclass(frozen=True, kw_only=True)
class LocalMachines(Trained):
    """One network and the closed forms of its training images, sampled from the same noises."""

    references: ClassVar[tuple[str, ...]] = ("kamb2025", "lukoianov2025", "karras2022")
    heading: ClassVar[str] = "Networks and the memorizer seen through windows"
    quantities: ClassVar[Mapping[str, Quantity]] = QUANTITIES
    places: ClassVar[tuple[str, ...]] = ("net", "n", "seed")
    members: ClassVar[tuple[str, ...]] = ("subset", "seed")

    net: str = axis(
        "conv",
        "network: conv, unet (conv with attention), mlp, film, uvit",
        ("conv", "unet", "mlp"),
    )
    n: int = axis(128, "training images")
    seed: int = axis(0, "training seed: initialisation, batches and noise")
    width: int = option(16, "channels; an MLP is four times as wide")
    subset: int = option(0, "which of two training subsets")
    steps: int = option(1500, "training steps")
    samples: int = option(30, "samples drawn from each model, from the same noises")
    calibrated: int = option(12, "unseen images to calibrate windows with")
    threshold: float = option(0.02, "of a Wiener filter's row, for windows of the data")

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, {"calibrated": 1})
        if not 0 <= self.threshold < 1:
            raise ValueError(f"--threshold {self.threshold}: must be at least 0 and below 1")

    def wide(self) -> int:
        return self.width * (1 if self.net in ("conv", "unet") else MIXERS)

    def measured(self, net: Any, generated: Any) -> Result:
        """r^2 of each sample with each closed form's, and the windows."""
        data, sigmas = self.where().train(), self.recipe().sigmas().float()
        chosen = {name: self.windows(net, anywhere) for name, anywhere in WINDOWED.items()}
        forms: dict[str, Denoiser] = {
            name: LocalScore(data, partial(nearest, windows), WINDOWED[name])
            for name, windows in chosen.items()
        }
        forms["wiener"] = LocalScore.wiener(data, self.threshold)
        forms |= {"memorizer": Empirical(data), "gaussian": self.where().gaussian()}
        start = float(sigmas[0]) * self.noise()
        found = [
            Reading("r2", {"machine": name}, alike(generated, sample(D, start, sigmas, heun)))
            for name, D in forms.items()
        ]
        values = {f"r2_{r.at['machine']}": median(np.asarray(r.value)) for r in found}
        found += [
            Reading("window", {"machine": name, "sigma": np.array(LEVELS)}, sizes[:, None])
            for name, windows in chosen.items()
            for sizes in [np.array(list(windows.values()))]
        ]
        return Result(values, stored(found))

    def windows(self, net: Denoiser, anywhere: bool) -> dict[float, int]:
        """The odd window at each level whose answers at noisy unseen images are nearest to the
        network's.
        """
        data = self.where().train()
        x = self.where().unseen()[: self.calibrated]
        noise = Seeds(range(1 << 20, (1 << 20) + len(x))).randn(x.shape[1:])
        sizes = range(1, 2 * max(x.shape[-2:]), 2)
        forms = [LocalScore(data, size, anywhere) for size in sizes]
        found = {}
        for level in LEVELS:
            noisy = x + level * noise
            wanted = outputs(net, noisy, level)
            miss = [float((outputs(D, noisy, level) - wanted).square().mean()) for D in forms]
            found[level] = sizes[int(np.argmin(miss))]
        return found

    @classmethod
    def story(cls, found: Readings) -> Iterator[Told]:
        """The results in order; what these cells do not test is left out by itself."""
        r2 = found.of("r2").joined("seed")
        conv = r2.of(net="conv").dropped("net")
        best = conv.of(machine="anywhere")
        yield Claim(
            "Samples of a network of convolutions alone, and of windows at any place (median r²)",
            best,
            published="0.94 to 0.96 (CNNs, 28 to 32 pixels)",
            beside={"All closed forms": conv},
        )
        for other in ("memorizer", "gaussian"):
            yield Claim(
                f"Windows are nearer to them than the {other.replace('gauss', 'Gauss')} (r² less)",
                best.against(conv.of(machine=other), apart="machine"),
                above(0),
            )
        attentive = r2.of(net="unet").dropped("net")
        yield Claim(
            "With attention samples are less like those of windows (r² without, less with)",
            best.against(attentive.of(machine="anywhere")),
            above(0),
            published="0.95 and 0.77",
            beside={"With attention": attentive, "MLP": r2.of(net="mlp").dropped("net")},
        )
        yield figure(
            "local_score_windows",
            "**The window whose answers are nearest to the network's**, against the noise level.",
            Plot(
                found.of("window").first("seed") or found.of("window"),
                "sigma",
                "net",
                panel="machine",
            ),
        )
        yield "Numbers"
        yield crosstab("Samples of networks and of closed forms", r2, "net", "machine")


def nearest(windows: Mapping[float, int], sigma: float) -> int:
    """The window of the calibrated level that is nearest in the logarithm."""
    return windows[min(windows, key=lambda level: abs(np.log(level / max(sigma, 1e-12))))]


def alike(one: Tensor, other: Tensor) -> Tensor:
    """The squared correlation of the pixels of row i with those of row i, (S,)."""
    a, b = (x.flatten(1).double() for x in (one, other))
    a, b = a - a.mean(1, keepdim=True), b - b.mean(1, keepdim=True)
    return torch.cosine_similarity(a, b).square()
