"""What was found, told: the verdict in words, the page with its figures, JSON and CSV."""
