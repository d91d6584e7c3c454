"""Watermarks in images of a diffusion model, embedded at a noise level where its Jacobian has low
rank (Li et al. 2024, "Shallow Diffuse"), with a p-value that is exact for every image.

A :class:`Key` is a direction drawn uniformly in a :class:`Carrier`; :func:`embed` (given images)
and :func:`sampled` (while sampling) move a state along it and decode; :func:`detect` inverts and
says how probable so large a cosine is for an image that does not depend on the key. All work for
any denoiser of images, or of latents, which the caller encodes and decodes.
"""

from denoscope.apply.watermark.attacks import as_stored as as_stored
from denoscope.apply.watermark.attacks import forged as forged
from denoscope.apply.watermark.attacks import mark_estimate as mark_estimate
from denoscope.apply.watermark.attacks import regenerated as regenerated
from denoscope.apply.watermark.attacks import subtracted as subtracted
from denoscope.apply.watermark.carriers import CARRIERS as CARRIERS
from denoscope.apply.watermark.carriers import Carrier as Carrier
from denoscope.apply.watermark.carriers import band as band
from denoscope.apply.watermark.carriers import leading_directions as leading_directions
from denoscope.apply.watermark.detection import Detection as Detection
from denoscope.apply.watermark.detection import PublishedReading as PublishedReading
from denoscope.apply.watermark.detection import corrected as corrected
from denoscope.apply.watermark.detection import detect as detect
from denoscope.apply.watermark.detection import detect_keys as detect_keys
from denoscope.apply.watermark.detection import published as published
from denoscope.apply.watermark.detection import reading as reading
from denoscope.apply.watermark.detection import readings_of_keys as readings_of_keys
from denoscope.apply.watermark.detection import states as states
from denoscope.apply.watermark.embedding import WAYS as WAYS
from denoscope.apply.watermark.embedding import Marked as Marked
from denoscope.apply.watermark.embedding import decoded as decoded
from denoscope.apply.watermark.embedding import embed as embed
from denoscope.apply.watermark.embedding import mark as mark
from denoscope.apply.watermark.embedding import marked as marked
from denoscope.apply.watermark.embedding import sampled as sampled
from denoscope.apply.watermark.identification import Identified as Identified
from denoscope.apply.watermark.identification import exactly_one as exactly_one
from denoscope.apply.watermark.identification import holm as holm
from denoscope.apply.watermark.identification import identify as identify
from denoscope.apply.watermark.keys import Key as Key
from denoscope.apply.watermark.keys import key_directions as key_directions
from denoscope.apply.watermark.keys import noise_level as noise_level
from denoscope.apply.watermark.keys import secret as secret
from denoscope.apply.watermark.payload import mark_message as mark_message
from denoscope.apply.watermark.payload import mended as mended
from denoscope.apply.watermark.payload import message_directions as message_directions
from denoscope.apply.watermark.payload import protected as protected
from denoscope.apply.watermark.payload import read_bits as read_bits
from denoscope.apply.watermark.payload import words as words
