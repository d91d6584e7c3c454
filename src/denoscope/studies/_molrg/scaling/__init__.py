"""The parts of the study ``dimension_scaling``."""
