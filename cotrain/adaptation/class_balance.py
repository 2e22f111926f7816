"""Class-balanced labels: classes that a model hardly ever prefers are preferred a little more.

A model that was trained for a short time, or on few pixels of a class, gives a thin class some probability at
the right places, but never the largest. Its pseudo-labels then teach the next model that there is no such
class. Zou, Yu, Kumar and Wang, Unsupervised Domain Adaptation for Semantic Segmentation via Class-Balanced
Self-Training, ECCV 2018, divide the probability of each class by a number of its own before the largest is
taken. Theirs is the confidence down to which a share of the pixels is kept; here it is a power of the mean
probability over the target, which also reaches classes that no pixel has as its largest.
"""

import numpy as np
from numpy.typing import NDArray

# A class of less is taken for one of so much: a class that is not there must not get half of the pixels.
LOWEST_MEAN = 1e-4


def class_factors(means: NDArray[np.float64], exponent: float) -> NDArray[np.float32]:
    """Return the factors (C,) > 0 of the classes' probabilities: 1 / mean ** exponent.

    `means` (C,) are the mean probabilities of the classes over pixels of the target, `exponent` is from 0
    (all factors are 1) to 1. Means below 0.0001 count as 0.0001.
    """
    return (np.maximum(means, LOWEST_MEAN) ** -exponent).astype(np.float32)
