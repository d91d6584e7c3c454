"""The parts of the study ``local_linearity``."""
