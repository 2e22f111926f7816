"""The pixels of the own vehicle: they count for no threshold, no label and no score."""

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cotrain.data.images import nearest, read_marked
from cotrain.errors import InputError


class EgoVehicleMask:
    """A mask for images of any size; without a file, no pixel belongs to the own vehicle.

    Args:
        path: an image whose non-black pixels are the own vehicle, or None.

    Raises:
        InputError: the file is no image, or it marks all pixels or none.
    """

    def __init__(self, path: Path | None) -> None:
        self.mask = _read_mask(path) if path else None
        self.of_size = lru_cache(maxsize=8)(self._of_size)

    def _of_size(self, height: int, width: int) -> NDArray[np.bool_] | None:
        """Return the mask (height, width), resized by nearest neighbour, or None without a file."""
        if self.mask is None:
            return None
        return nearest(self.mask, height, width).astype(bool)


def _read_mask(path: Path) -> NDArray[np.uint8]:
    try:
        mask = read_marked(path)
    except InputError as error:
        raise InputError(f"ego_vehicle_mask: {error}") from error
    if mask.all():
        raise InputError(
            f"ego_vehicle_mask: {path} marks every pixel as the own vehicle; expected black for all others"
        )
    if not mask.any():
        raise InputError(
            f"ego_vehicle_mask: {path} marks no pixel: all are black (transparency does not count); expected "
            "another colour than black for the own vehicle"
        )
    return mask
