"""What the studies of a denoiser's geometry share: the denoiser under study with its images, the
points it is asked at, and their pages' words.
"""
