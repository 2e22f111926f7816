"""Predictions on disk: class and confidence per pixel, one HDF5 file per shard."""

from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

import h5py
import numpy as np
from numpy.typing import NDArray

from cotrain.errors import InputError


class PredictionWriter:
    """Writes the predictions of one shard into an open HDF5 file, image by image."""

    def __init__(self, path: Path) -> None:
        # Locks of HDF5's own fail on many network disks, and no other process knows this file's name yet.
        self.file = h5py.File(path, "w", locking=False)

    def __enter__(self) -> "PredictionWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.file.close()

    def write(self, image_id: str, classes: NDArray[np.uint8], levels: NDArray[np.uint16]) -> None:
        """Add one image: classes (H, W) uint8, confidence levels (H, W) uint16."""
        group = self.file.create_group(image_id)
        # Classes come in large flat areas and shrink twentyfold; confidences hardly shrink at all.
        group.create_dataset("classes", data=classes, compression="lzf")
        group.create_dataset("levels", data=levels)


class PredictionReader:
    """Reads the predictions of one image set from all its shards.

    Raises:
        InputError: a shard is missing or damaged; on `read`, when no shard holds the image.
    """

    def __init__(self, shards: Iterable[Path]) -> None:
        self.paths = list(shards)
        self.files = [_opened(path) for path in self.paths]
        self.holder = {image_id: file for file in self.files for image_id in file}

    def __enter__(self) -> "PredictionReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self.files:
            file.close()

    def read(self, image_id: str) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
        """Return classes (H, W) uint8 and confidence levels (H, W) uint16 of one image."""
        if image_id not in self.holder:
            names = ", ".join(map(str, self.paths))
            raise InputError(
                f"no prediction of image {image_id!r} in {names}; were they made of another image set?"
            )
        group = self.holder[image_id][image_id]
        return group["classes"][()], group["levels"][()]


def _opened(path: Path) -> h5py.File:
    try:
        return h5py.File(path, "r", locking=False)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read as predictions, expected what predict wrote: {error}"
        ) from error
