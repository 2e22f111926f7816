"""Look-up tables over 8-bit images: a fast way to treat each class by its own rule."""

from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

Entry = TypeVar("Entry", bound=np.integer[Any] | np.floating[Any])


def look_up(table: NDArray[Entry], ids: NDArray[np.uint8]) -> NDArray[Entry]:
    """Return `table[ids]` for a table of 256 numbers and at least one id, but 3 to 5 times faster."""
    values: Any = cv2.LUT(ids, table)
    return np.asarray(values).reshape(ids.shape)
