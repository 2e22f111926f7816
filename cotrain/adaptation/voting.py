"""Two label images made into one: where they differ, the majority of the pixels around decides."""

import cv2
import numpy as np
from numpy.typing import NDArray

from cotrain.data.label_spaces import IGNORE

# Up to this number of votes the sums fit into bytes, which are added several times as fast.
MOST_VOTES_IN_BYTES = 255


def windowed_majority(
    first: NDArray[np.uint8], second: NDArray[np.uint8], window: int, number_of_classes: int
) -> NDArray[np.uint8]:
    """Return the label on which two labels agree; where they differ, the commonest class around the pixel.

    Both windows of `window` × `window` pixels vote, one of each label, cut off at the border of the image.
    Void pixels do not vote: the result is void where both labels are, or where they differ and nothing else
    is around. Equally common classes give the lowest train id.

    Args:
        first: (H, W) train ids below `number_of_classes`, or 255.
        second: the same of equal shape.
        window: odd number of pixels; 1 takes the lower id of each pair.
        number_of_classes: how many train ids there are.

    Raises:
        ValueError: the shapes differ, or `window` is not a positive odd number.
    """
    if first.shape != second.shape:
        raise ValueError(f"labels {first.shape} and {second.shape} differ in shape")
    if window < 1 or window % 2 == 0:
        raise ValueError(f"found a window of {window} pixels, expected a positive odd number")
    differ = np.flatnonzero(first != second)
    depth = cv2.CV_8U if 2 * window * window <= MOST_VOTES_IN_BYTES else cv2.CV_32S
    # Votes and class in one number, so that one maximum finds the winner and breaks ties by the lowest id.
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
    # Below 256 nothing has voted.
    result.ravel()[differ] = np.where(best < 256, IGNORE, IGNORE - best % 256)
    return result
