"""Recovery of subspaces: by clustering, and by diffusion training, from the same points and the
same starts.
"""
