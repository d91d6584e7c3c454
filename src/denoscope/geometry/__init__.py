"""The geometry of denoisers and of data: Jacobians and their ranks, linearity, what a linear model
would do, dimensions, subspaces and their clustering.
"""

from __future__ import annotations

from denoscope.geometry.clustering import Clustering as Clustering
from denoscope.geometry.clustering import energies as energies
from denoscope.geometry.clustering import joint_polar as joint_polar
from denoscope.geometry.clustering import k_subspaces as k_subspaces
from denoscope.geometry.clustering import objective as objective
from denoscope.geometry.clustering import principal_subspace as principal_subspace
from denoscope.geometry.dimension import NormalBundle as NormalBundle
from denoscope.geometry.dimension import flipd as flipd
from denoscope.geometry.dimension import local_pca_dimension as local_pca_dimension
from denoscope.geometry.dimension import mle_dimension as mle_dimension
from denoscope.geometry.dimension import normal_bundle_dimension as normal_bundle_dimension
from denoscope.geometry.dimension import trace_dimension as trace_dimension
from denoscope.geometry.dimension import two_nn as two_nn
from denoscope.geometry.distances import pairwise_distances as pairwise_distances
from denoscope.geometry.distances import score_distance as score_distance
from denoscope.geometry.distillation import Affine as Affine
from denoscope.geometry.distillation import distill as distill
from denoscope.geometry.distillation import singular_correlations as singular_correlations
from denoscope.geometry.distillation import weight_error as weight_error
from denoscope.geometry.harmonic_basis import Harmonics as Harmonics
from denoscope.geometry.harmonic_basis import harmonics as harmonics
from denoscope.geometry.jacobians import asymmetry as asymmetry
from denoscope.geometry.jacobians import jacobian as jacobian
from denoscope.geometry.jacobians import jvp as jvp
from denoscope.geometry.jacobians import vjp as vjp
from denoscope.geometry.linearization import FirstOrder as FirstOrder
from denoscope.geometry.linearization import first_order as first_order
from denoscope.geometry.linearization import linearity as linearity
from denoscope.geometry.linearization import linearity_error as linearity_error
from denoscope.geometry.linearization import local_linearity as local_linearity
from denoscope.geometry.linearization import superposition as superposition
from denoscope.geometry.posterior import LogDeterminant as LogDeterminant
from denoscope.geometry.posterior import log_determinant as log_determinant
from denoscope.geometry.posterior import posterior_covariance as posterior_covariance
from denoscope.geometry.posterior import posterior_spectrum as posterior_spectrum
from denoscope.geometry.probes import Stochastic as Stochastic
from denoscope.geometry.ranks import Rank as Rank
from denoscope.geometry.ranks import energy_rank as energy_rank
from denoscope.geometry.ranks import gaussian_rank as gaussian_rank
from denoscope.geometry.ranks import numerical_rank as numerical_rank
from denoscope.geometry.singular import SVD as SVD
from denoscope.geometry.singular import svd as svd
from denoscope.geometry.starts import neighbour_starts as neighbour_starts
from denoscope.geometry.starts import random_starts as random_starts
from denoscope.geometry.subspaces import match as match
from denoscope.geometry.subspaces import overlap as overlap
from denoscope.geometry.subspaces import principal_angles as principal_angles
from denoscope.geometry.subspaces import project_out as project_out
from denoscope.geometry.subspaces import projector_distance as projector_distance
from denoscope.geometry.subspaces import recovered as recovered
from denoscope.geometry.traces import score_divergence as score_divergence
from denoscope.geometry.traces import squared_norm as squared_norm
from denoscope.geometry.traces import sure as sure
from denoscope.geometry.traces import trace as trace
