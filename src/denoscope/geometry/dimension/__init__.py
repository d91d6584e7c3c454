"""How many dimensions data or a denoiser have near a point, of the numbers it is written in."""

from __future__ import annotations

from denoscope.geometry.dimension.data import dimensions as dimensions
from denoscope.geometry.dimension.data import local_pca_dimension as local_pca_dimension
from denoscope.geometry.dimension.data import mle_dimension as mle_dimension
from denoscope.geometry.dimension.data import participation_dimension as participation_dimension
from denoscope.geometry.dimension.data import two_nn as two_nn
from denoscope.geometry.dimension.denoiser import NormalBundle as NormalBundle
from denoscope.geometry.dimension.denoiser import flipd as flipd
from denoscope.geometry.dimension.denoiser import normal_bundle_dimension as normal_bundle_dimension
from denoscope.geometry.dimension.denoiser import plateau as plateau
from denoscope.geometry.dimension.denoiser import trace_dimension as trace_dimension
