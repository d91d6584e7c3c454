"""The parts of the study ``gaussian_emergence``."""
