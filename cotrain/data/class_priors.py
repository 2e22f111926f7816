"""Class priors: where in the image each class is likely, according to the labels of the source.

The published utilities make them from all label images and blur them (Gómez, Villalonga, López, Sensors 2023,
23(2), 621). Self-training then drops uncertain pseudo-labels in unlikely places.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import numpy.typing as npt

from cotrain.data.label_files import TrainIdReader
from cotrain.data.label_spaces import IGNORE
from cotrain.data.manifests import Item
from cotrain.errors import InputError
from cotrain.progress import Progress

# As published, for images that are 2048 pixels wide.
SMOOTHING_PX = 70
OF_WIDTH_PX = 2048


def class_priors(
    items: Sequence[Item], reader: TrainIdReader, size: tuple[int, int], workers: int, progress: Progress
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
        label = cv2.resize(reader.read(item.label), (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
        progress.advance()
        return np.asarray(label, dtype=np.uint8).ravel()

    with ThreadPoolExecutor(workers) as pool:
        for label in pool.map(label_of, items):
            labelled = label != IGNORE
            counts[label[labelled], places[labelled]] += 1
    maps = counts.reshape(number_of_classes, height, width).astype(np.float32)
    blur = SMOOTHING_PX * width / OF_WIDTH_PX
    for train_id, pixels in enumerate(maps):
        smooth = np.asarray(cv2.GaussianBlur(pixels, (0, 0), blur), dtype=np.float32)
        maps[train_id] = smooth / max(float(smooth.max()), 1e-6)
    return maps
