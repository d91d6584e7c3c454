"""Closed-form theory: numbers in, numbers out. It builds on nothing else here; models and studies
are tested against it.
"""
