"""Parts of the studies of mixtures of low-rank Gaussians, one concept a file."""
