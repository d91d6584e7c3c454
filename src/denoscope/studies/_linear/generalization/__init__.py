"""The parts of the study ``linear_generalization``."""
