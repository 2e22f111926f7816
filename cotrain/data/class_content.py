"""Selection of images by the classes that they show."""

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
    """Return bool (N,): which images show the wanted classes and not the unwanted ones.

    Args:
        counts: (N, C) pixels of each class in each image.
        any_of: an image must show at least one of these train ids; an empty list asks for nothing.
        all_of: an image must show each of these train ids.
        without: an image must show none of these train ids.
        more_than: an image shows a wanted class if it has more pixels of it than this.
        at_most: an image does not show an unwanted class if it has at most this many pixels of it.
    """
    shows = counts > more_than
    selection: NDArray[np.bool_] = np.all(shows[:, list(all_of)], axis=1)
    selection &= np.all(counts[:, list(without)] <= at_most, axis=1)
    if any_of:
        selection &= np.any(shows[:, list(any_of)], axis=1)
    return selection
