"""Parts of the study of generic networks on mixtures of low-rank Gaussians, one concept a file."""
