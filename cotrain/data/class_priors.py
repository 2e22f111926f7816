"""Class priors: where in the image each class is likely, according to the labels of the source.

The published utilities make them from all label images and blur them (Gómez, Villalonga, López, Sensors 2023,
23(2), 621). Self-training then drops uncertain pseudo-labels in unlikely places.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from cotrain.data.arrays import NUMBERS, check_range, open_npy
from cotrain.data.images import nearest
from cotrain.data.label_spaces import IGNORE, LabelSpace
from cotrain.data.manifests import Item
from cotrain.errors import InputError
from cotrain.progress import Progress
from cotrain.threads import map_in_order

if TYPE_CHECKING:
    from cotrain.data.label_files import TrainIdReader

# As published, for images that are 2048 pixels wide.
SMOOTHING_PX = 70
OF_WIDTH_PX = 2048


@dataclass(frozen=True)
class ClassPriors:
    """The class priors of a .npy file: `maps` float32 (C, H, W), and the file for messages."""

    path: Path
    maps: npt.NDArray[np.float32]

    @classmethod
    def read(cls, path: Path) -> "ClassPriors":
        """Return the priors of a file; float32 stays on disk until it is used.

        Raises:
            InputError: the file is missing or holds no array of numbers from 0 to 1 with three dimensions.
        """
        array = open_npy(path, NUMBERS, 3)
        check_range(array, str(path), 0, 1)
        return cls(path, np.asarray(array, np.float32))

    def check_classes(self, space: LabelSpace) -> None:
        """Raise InputError unless there is one map for each class of `space`."""
        if len(self.maps) != space.number_of_classes:
            raise InputError(
                f"{self.path}: has the shape {self.maps.shape}, expected (classes, height, width) with "
                f"{space.number_of_classes} classes of {space.name}"
            )

    def check_size(self, items: Iterable[Item]) -> None:
        """Raise InputError unless every image has the size of the maps."""
        height, width = self.maps.shape[1:]
        for item in items:
            if (item.width, item.height) != (width, height):
                raise InputError(
                    f"{self.path}: the class priors are {width}×{height}, {item.image} is "
                    f"{item.width}×{item.height}; expected one size"
                )


def class_priors(
    items: Sequence[Item], reader: "TrainIdReader", size: tuple[int, int], workers: int, progress: Progress
) -> npt.NDArray[np.float32]:
    """Return float32 (C, H, W) in [0, 1]: how likely each class is at each pixel, 1 where it is likeliest.

    Labels are resized to `size` (height, width) by nearest neighbour. The map of a class is blurred by a
    Gaussian of 70 pixels for a width of 2048; the map of an absent class is 0. Raises InputError for an item
    without a label, for a label file that cannot be read, and for unknown ids.
    """
    height, width = size
    number_of_classes = reader.space.number_of_classes
    counts = np.zeros((number_of_classes, height * width), dtype=np.int32)
    places = np.arange(height * width)

    def label_of(item: Item) -> npt.NDArray[np.uint8]:
        if item.label is None:
            raise InputError(f"{item.image}: has no label; class priors need a label for every image")
        label = nearest(reader.read(item.label), height, width)
        progress.advance()
        return np.asarray(label, dtype=np.uint8).ravel()

    for label in map_in_order(label_of, items, workers):
        labelled = label != IGNORE
        counts[label[labelled], places[labelled]] += 1
    maps = counts.reshape(number_of_classes, height, width).astype(np.float32)
    blur = SMOOTHING_PX * width / OF_WIDTH_PX
    for train_id, pixels in enumerate(maps):
        smooth = np.asarray(cv2.GaussianBlur(pixels, (0, 0), blur), dtype=np.float32)
        maps[train_id] = smooth / max(float(smooth.max()), 1e-6)
    return maps
