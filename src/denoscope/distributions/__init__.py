"""Laws whose posterior mean is known in closed form: each is a denoiser ``D(x, sigma)`` with
``sample``, ``log_prob`` and ``event_shape``.
"""

from __future__ import annotations

from denoscope.distributions.empirical import Empirical
from denoscope.distributions.gaussian import Gaussian
from denoscope.distributions.local import LocalScore
from denoscope.distributions.mixture import GaussianMixture
from denoscope.distributions.molrg import MoLRG

__all__ = ["Empirical", "Gaussian", "GaussianMixture", "LocalScore", "MoLRG"]
