"""What the sets say: each descriptor's view, thresholds and planted copies, all descriptors
together, and every metric.
"""
