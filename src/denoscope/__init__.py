"""Denoscope looks at diffusion models through their denoiser D(x, sigma) = E[x0 | x0 + sigma n =
x].

Every name below is importable from here and loaded on first use, so that ``import denoscope`` costs
nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

_HOMES = {
    "types": ("Denoiser", "Descriptor", "Levels", "Noise", "Step", "pad"),
    "random": ("Seeds",),
    "estimate": ("Estimate",),
    "schedule": ("VE", "VP", "from_betas"),
    "levels": ("karras", "log_normal"),
    "nearest": ("neighbors",),
    "distributions": ("Empirical", "Gaussian", "GaussianMixture", "MoLRG"),
    "networks": (
        "MLP",
        "UNet",
        "Preconditioned",
        "from_denoiser",
        "from_network",
        "load",
        "save",
    ),
    "data": ("Images", "hold_out", "read_images", "write_images"),
    "geometry": (
        "distill",
        "energy_rank",
        "jacobian",
        "linearity",
        "local_linearity",
        "numerical_rank",
        "svd",
    ),
    "describe": ("Pixels",),
    "sampling": ("ancestral", "dpmpp", "euler", "heun", "invert", "sample", "trajectory"),
    "fitting": ("denoising_loss", "fit", "training"),
    "metrics": (
        "authenticity",
        "copying_test",
        "excess",
        "feature_likelihood",
        "frechet",
        "generalization",
        "kernel",
        "measure",
        "memorized",
        "mifid",
        "prdc",
        "reproducibility",
        "vendi",
    ),
    "study": ("Result", "Study", "grid", "run"),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}
__all__ = sorted(_HOME)  # pyright: ignore[reportUnsupportedDunderAll] -- one table names them all

if TYPE_CHECKING:
    from denoscope.data import Images as Images
    from denoscope.data import hold_out as hold_out
    from denoscope.data import read_images as read_images
    from denoscope.data import write_images as write_images
    from denoscope.describe import Pixels as Pixels
    from denoscope.distributions import Empirical as Empirical
    from denoscope.distributions import Gaussian as Gaussian
    from denoscope.distributions import GaussianMixture as GaussianMixture
    from denoscope.distributions import MoLRG as MoLRG
    from denoscope.estimate import Estimate as Estimate
    from denoscope.fitting import denoising_loss as denoising_loss
    from denoscope.fitting import fit as fit
    from denoscope.fitting import training as training
    from denoscope.geometry import distill as distill
    from denoscope.geometry import energy_rank as energy_rank
    from denoscope.geometry import jacobian as jacobian
    from denoscope.geometry import linearity as linearity
    from denoscope.geometry import local_linearity as local_linearity
    from denoscope.geometry import numerical_rank as numerical_rank
    from denoscope.geometry import svd as svd
    from denoscope.levels import karras as karras
    from denoscope.levels import log_normal as log_normal
    from denoscope.metrics import authenticity as authenticity
    from denoscope.metrics import copying_test as copying_test
    from denoscope.metrics import excess as excess
    from denoscope.metrics import feature_likelihood as feature_likelihood
    from denoscope.metrics import frechet as frechet
    from denoscope.metrics import generalization as generalization
    from denoscope.metrics import kernel as kernel
    from denoscope.metrics import measure as measure
    from denoscope.metrics import memorized as memorized
    from denoscope.metrics import mifid as mifid
    from denoscope.metrics import prdc as prdc
    from denoscope.metrics import reproducibility as reproducibility
    from denoscope.metrics import vendi as vendi
    from denoscope.nearest import neighbors as neighbors
    from denoscope.networks import MLP as MLP
    from denoscope.networks import Preconditioned as Preconditioned
    from denoscope.networks import UNet as UNet
    from denoscope.networks import from_denoiser as from_denoiser
    from denoscope.networks import from_network as from_network
    from denoscope.networks import load as load
    from denoscope.networks import save as save
    from denoscope.random import Seeds as Seeds
    from denoscope.sampling import ancestral as ancestral
    from denoscope.sampling import dpmpp as dpmpp
    from denoscope.sampling import euler as euler
    from denoscope.sampling import heun as heun
    from denoscope.sampling import invert as invert
    from denoscope.sampling import sample as sample
    from denoscope.sampling import trajectory as trajectory
    from denoscope.schedule import VE as VE
    from denoscope.schedule import VP as VP
    from denoscope.schedule import from_betas as from_betas
    from denoscope.study import Result as Result
    from denoscope.study import Study as Study
    from denoscope.study import grid as grid
    from denoscope.study import run as run
    from denoscope.types import Denoiser as Denoiser
    from denoscope.types import Descriptor as Descriptor
    from denoscope.types import Levels as Levels
    from denoscope.types import Noise as Noise
    from denoscope.types import Step as Step
    from denoscope.types import pad as pad


def __getattr__(name: str) -> object:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'denoscope' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"denoscope.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
