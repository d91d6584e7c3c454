"""Closed-form theory: numbers in, numbers out; models and studies are tested against it."""
