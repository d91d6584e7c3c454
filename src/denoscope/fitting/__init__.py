"""Training denoisers, one or a fleet: the loss, the draws, the loop that yields its progress, and
checkpoints that resume bit for bit.
"""

from denoscope.fitting.augmentation import Augmentation
from denoscope.fitting.batches import Draws, draws
from denoscope.fitting.consistency import ConsistencyLoss
from denoscope.fitting.loop import Progress, fit, rate_factor, training
from denoscope.fitting.loss import denoising_loss, flat, min_snr, snr
from denoscope.fitting.policies import StagedLoss, visit_shares

__all__ = [
    "Augmentation",
    "ConsistencyLoss",
    "Draws",
    "Progress",
    "StagedLoss",
    "denoising_loss",
    "draws",
    "fit",
    "flat",
    "min_snr",
    "rate_factor",
    "snr",
    "training",
    "visit_shares",
]
