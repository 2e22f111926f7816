"""Merging two label images: where they differ, the majority of the surrounding pixels decides."""

import cv2
import numpy as np
from numpy.typing import NDArray

from cotrain.data.label_spaces import IGNORE

# Up to this number of votes, the sums fit into bytes, which are added several times as fast.
MOST_VOTES_IN_BYTES = 255


def windowed_majority(
    first: NDArray[np.uint8], second: NDArray[np.uint8], window: int, number_of_classes: int
) -> NDArray[np.uint8]:
    """Return the common label of two labels; where they differ, the most frequent class around the pixel.

    The pixels of both labels vote, in a window of `window` × `window` pixels that is cut off at the border of
    the image. Void pixels do not vote: the result is void where both labels are void, or where they differ
    and the windows hold nothing else. Among equally frequent classes the lowest train id wins.

    Args:
        first: (H, W) train ids below `number_of_classes`, or 255.
        second: train ids of the same shape.
        window: odd number of pixels; with 1, the lower id of each pair wins.
        number_of_classes: the number of train ids.

    Raises:
        ValueError: the shapes differ, or `window` is not a positive odd number.
    """
    if first.shape != second.shape:
        raise ValueError(f"labels {first.shape} and {second.shape} differ in shape")
    if window < 1 or window % 2 == 0:
        raise ValueError(f"found a window of {window} pixels, expected a positive odd number")
    differ = np.flatnonzero(first != second)
    depth = cv2.CV_8U if 2 * window * window <= MOST_VOTES_IN_BYTES else cv2.CV_32S
    # One number holds votes and class, so that one maximum finds the winner, and the lowest id at ties.
    best = np.zeros(differ.size, np.int32)
    for train_id in range(number_of_classes):
        voting = (first == train_id).view(np.uint8) + (second == train_id).view(np.uint8)
        around = cv2.boxFilter(
            voting, depth, (window, window), normalize=False, borderType=cv2.BORDER_CONSTANT
        )
        candidate = around.ravel().take(differ).astype(np.int32)
        candidate *= 256
        candidate += IGNORE - train_id
        np.maximum(best, candidate, out=best)
    result = first.copy()
    # Below 256, no pixel has voted.
    result.ravel()[differ] = np.where(best < 256, IGNORE, IGNORE - best % 256)
    return result
