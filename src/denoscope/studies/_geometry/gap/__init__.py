"""The parts of the study ``score_gap``."""
