"""Networks that are trained to be denoisers, the affine table for it, and fleets of them."""

from denoscope.networks.archive import dump, load, save
from denoscope.networks.bands import switched
from denoscope.networks.ema import Averaged
from denoscope.networks.fleet import Fleet, best_size
from denoscope.networks.foreign import from_denoiser, from_network
from denoscope.networks.linear_maps import Descent, LinearMaps, descend, largest_rate
from denoscope.networks.mlp import MLP, FiLM
from denoscope.networks.multistage import Experts, MultiStage, jumps
from denoscope.networks.precondition import Preconditioned
from denoscope.networks.subspaces import Subspaces
from denoscope.networks.unet import UNet
from denoscope.networks.uvit import UViT

__all__ = [
    "MLP",
    "Averaged",
    "Descent",
    "Experts",
    "FiLM",
    "Fleet",
    "LinearMaps",
    "MultiStage",
    "Preconditioned",
    "Subspaces",
    "UNet",
    "UViT",
    "best_size",
    "descend",
    "dump",
    "from_denoiser",
    "from_network",
    "jumps",
    "largest_rate",
    "load",
    "save",
    "switched",
]
