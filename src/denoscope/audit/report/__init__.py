"""What was found, in words and numbers: the verdict in words, the page with its figures, JSON and
CSV.
"""
