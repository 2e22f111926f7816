"""What the benchmarks of training read: rendered frames as large files."""

from pathlib import Path

import cv2
import numpy as np

from cotrain.data.images import read_label, write_label
from cotrain.data.label_spaces import IGNORE
from cotrain.data.manifests import Item
from streets.generate import render_scenes


def rendered_frames(folder: Path, number: int, size: tuple[int, int], classes: int = 19) -> list[Item]:
    """Render frames of `size` (width, height) into `folder`: images as PNG, labels of so many classes.

    Of fewer than 19 classes the labels mean nothing, which makes no difference to how long they take.
    """
    items = []
    pairs = render_scenes(folder, "game", number, *size, seed=1, processes=2)
    for index, (image, label) in enumerate(pairs):
        stored = image.with_suffix(".png")
        cv2.imwrite(str(stored), cv2.imread(str(image)))
        ids = read_label(label)
        write_label(label, np.where(ids == IGNORE, IGNORE, ids % classes).astype(np.uint8), [])
        items.append(Item(str(index), stored, *size, label))
    return items
