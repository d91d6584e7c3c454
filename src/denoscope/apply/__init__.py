"""What denoisers and their geometry are good for."""
