"""Models of other libraries as denoisers. Each module imports its library only when it is used."""
