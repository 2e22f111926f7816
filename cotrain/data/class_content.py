"""Choosing images by the classes that they show."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def chosen_by_classes(
    counts: NDArray[np.int64],
    any_of: Sequence[int] = (),
    all_of: Sequence[int] = (),
    without: Sequence[int] = (),
    more_than: int = 0,
    at_most: int = 0,
) -> NDArray[np.bool_]:
    """Return which images show the wanted classes and not the avoided ones, bool (N,).

    Args:
        counts: (N, C) pixels of each class in each image.
        any_of: train ids of which an image shows one at least; none asks for nothing.
        all_of: train ids of which an image shows every one.
        without: train ids of which an image shows none.
        more_than: an image shows a wanted class with more pixels than this.
        at_most: an image is without a class up to this many pixels of it.
    """
    shown = counts > more_than
    chosen: NDArray[np.bool_] = np.all(shown[:, list(all_of)], axis=1)
    chosen &= np.all(counts[:, list(without)] <= at_most, axis=1)
    if any_of:
        chosen &= np.any(shown[:, list(any_of)], axis=1)
    return chosen
