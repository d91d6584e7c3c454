"""One door for models: whatever word names one, it is opened the same way for every command.

A *posterior mean* D(x, sigma) = E[x0 | x] may be asked everything; a *one-step map* (a consistency
or distilled model) has its form but is a sampler: it is sampled in one step, and asked nothing
about covariance, rank or Gaussian.
"""

from denoscope.models.model import ONE_STEP, POSTERIOR_MEAN, Kind, Model
from denoscope.models.opening import fingerprint, is_model, open_model
from denoscope.models.stores import NamedModel, named

__all__ = [
    "ONE_STEP",
    "POSTERIOR_MEAN",
    "Kind",
    "Model",
    "NamedModel",
    "fingerprint",
    "is_model",
    "named",
    "open_model",
]
