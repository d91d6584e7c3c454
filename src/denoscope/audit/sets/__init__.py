"""The sets of an audit: read from wherever they are, or sampled from a model, and compared for what
they share.
"""
