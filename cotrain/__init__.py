"""Unsupervised domain adaptation of driving-scene segmentation by self-training and co-training."""

__version__ = "0.1.0"
