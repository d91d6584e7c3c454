"""What the sets say: each descriptor's features, thresholds and planted copies, all descriptors
together, and every metric.
"""
