"""What the studies of linear diffusion models share: where their data come from, in the coordinates
in which theory is written.
"""
