"""The geometry of data and denoisers: subspaces, their angles, and how points cluster around them."""

from __future__ import annotations

from denoscope.geometry.clustering import Clustering as Clustering
from denoscope.geometry.clustering import energies as energies
from denoscope.geometry.clustering import joint_polar as joint_polar
from denoscope.geometry.clustering import k_subspaces as k_subspaces
from denoscope.geometry.clustering import objective as objective
from denoscope.geometry.clustering import principal_subspace as principal_subspace
from denoscope.geometry.starts import neighbour_starts as neighbour_starts
from denoscope.geometry.starts import random_starts as random_starts
from denoscope.geometry.subspaces import match as match
from denoscope.geometry.subspaces import principal_angles as principal_angles
from denoscope.geometry.subspaces import projector_distance as projector_distance
from denoscope.geometry.subspaces import recovered as recovered
