"""Images: read from wherever they are, split, and searched for duplicates."""

from denoscope.data.duplicates import Duplicates as Duplicates
from denoscope.data.duplicates import find_duplicates as find_duplicates
from denoscope.data.embedded import EMBEDDED as EMBEDDED
from denoscope.data.features import Features as Features
from denoscope.data.features import read_features as read_features
from denoscope.data.images import Images as Images
from denoscope.data.images import from_uint8 as from_uint8
from denoscope.data.images import to_uint8 as to_uint8
from denoscope.data.moments import Moments as Moments
from denoscope.data.reading import read_images as read_images
from denoscope.data.subsets import hold_out as hold_out
from denoscope.data.subsets import subset as subset
from denoscope.data.writing import write_images as write_images
