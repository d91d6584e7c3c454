"""The parts of the study ``leading_directions``."""
