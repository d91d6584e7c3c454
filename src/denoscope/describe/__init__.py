"""Images to features: callables (n, c, h, w) in [-1, 1] to (n, k) with a ``name`` and a ``protocol``."""

from denoscope.describe.pixels import PCA as PCA
from denoscope.describe.pixels import Pixels as Pixels
from denoscope.describe.pixels import RandomProjection as RandomProjection
