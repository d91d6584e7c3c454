"""Watching a training: is it copying its images yet, and which checkpoint to keep?

A look measures on fixed noises of its own what would be sampled now: denoising error on training
and on held-out images, copies beyond held-out images, the distance to the Gaussian and to the
memorizer of the training set. It never touches the training.
"""

from denoscope.monitor.choice import Choice
from denoscope.monitor.log import LookAt
from denoscope.monitor.loops import lightning, watched
from denoscope.monitor.memorization import MemorizationMonitor

__all__ = ["Choice", "LookAt", "MemorizationMonitor", "lightning", "watched"]
