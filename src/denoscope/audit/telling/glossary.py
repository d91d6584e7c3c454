"""What each metric of the audit is, in one sentence, and in which direction it points."""

from __future__ import annotations

MEANINGS = {
    "generalization": "GL: share of samples whose cosine similarity to the nearest "
    "training image is at most the threshold. 1: nothing near, 0: all "
    "copies.",
    "reproducibility": "RP: share of pairs of samples, of two runs from the same noise, "
    "that are more similar than the threshold; by chance pairs of "
    "different samples are too.",
    "memorized": "Share of samples nearer than a third of the distance to the second "
    "nearest training image that is no near-duplicate of the nearest.",
    "memorized_plain": "The same as published, the second nearest of all training "
    "images: blind to copies of images that have duplicates.",
    "excess": "Share of copies among samples beyond the false alarms on real images: 0 "
    "for a perfect generalizer, near 1 for a memorizer.",
    "excess_combined": "The same by all descriptors together that can decide: what the "
    "verdict rests on.",
    "authenticity": "Share of samples farther from their nearest training image than "
    "that is from its own nearest; held-out images do not score 1 "
    "either.",
    "copying_test": "C_T: samples against held-out images by their distance to the "
    "training set; far below 0 copying, far above 0 underfitting. It "
    "grows with the counts; the share nearer (samples nearer to training "
    "images than held-out ones, ½ if none copies) does not.",
    "feature_likelihood": "FLD: held-out images under a density centred on the samples; "
    "0 as good as training images, larger is worse. Its gap: below "
    "0, training images are likelier.",
    "mifid": "Fréchet distance, divided by the mean cosine distance to the training set "
    "where that is small: large for copies.",
    "precision": "Share of samples within the k-nearest balls of real images.",
    "recall": "Share of real images within the k-nearest balls of samples.",
    "density": "Real k-nearest balls that hold a sample, on average over k; may exceed 1.",
    "coverage": "Share of real images whose k-nearest ball holds a sample.",
    "frechet": "FD: Fréchet distance of Gaussians fitted to samples and held-out images; "
    "compare with the real one. Its limit is that of infinitely many samples.",
    "kernel": "KID: unbiased squared maximum mean discrepancy with a cubic kernel; 0 for "
    "equal distributions.",
    "vendi": "Vendi score: the effective number of different samples; beside it that of "
    "as many real ones.",
    "exact_duplicates": "Share of samples that repeat a training image exactly.",
}
"""By the metric's name."""

PARTS = {
    "nearer": "share nearer",
    "gap": "gap",
    "limit": "limit",
    "chance": "chance",
    "corrected": "beyond chance",
}
"""Parts of a metric that a page shows in rows of their own."""
