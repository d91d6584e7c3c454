"""Networks that are trained to be denoisers, the affine table that makes them so, and fleets of them."""

from denoscope.networks.archive import load, save
from denoscope.networks.ema import Averaged
from denoscope.networks.fleet import Fleet, best_size
from denoscope.networks.mlp import MLP
from denoscope.networks.precondition import Preconditioned, from_network
from denoscope.networks.unet import UNet

__all__ = ["MLP", "Averaged", "Fleet", "Preconditioned", "UNet", "best_size", "from_network", "load", "save"]
