"""The parts of the study ``linear_vs_network``."""
