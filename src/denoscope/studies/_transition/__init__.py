"""The parts of the study ``phase_transition``: its setting, what one cell measures, what cells say
together, and the page.
"""
