"""The parts of the study ``jacobian_rank``: what is asked of a denoiser's Jacobian, closed forms
beside it, tests, figures and words.
"""
