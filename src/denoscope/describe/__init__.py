"""Images to features: callables (n, c, h, w) in [-1, 1] to (n, k) with names and identity."""

from denoscope.describe.cache import Cache as Cache
from denoscope.describe.components import PCA as PCA
from denoscope.describe.custom import Custom as Custom
from denoscope.describe.identity import Describer as Describer
from denoscope.describe.identity import key as key
from denoscope.describe.identity import same_identity as same_identity
from denoscope.describe.naming import by_name as by_name
from denoscope.describe.pixels import Pixels as Pixels
from denoscope.describe.pixels import RandomProjection as RandomProjection
from denoscope.describe.protocols import PROTOCOLS as PROTOCOLS
from denoscope.describe.protocols import Protocol as Protocol
from denoscope.describe.protocols import protocol as protocol
from denoscope.describe.protocols import published as published
from denoscope.describe.sscd import SSCD as SSCD
