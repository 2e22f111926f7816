"""A page of some images of a dataset: image, label in colour, legend, shares of the classes."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cotrain.data.images import read_image
from cotrain.data.label_files import TrainIdReader
from cotrain.data.label_spaces import LabelSpace
from cotrain.data.manifests import Item
from cotrain.errors import InputError
from cotrain.randomness import generator
from cotrain.reporting.pictures import (
    beside,
    contact_sheet,
    heading,
    legend,
    overlay,
    resized,
    share_bar,
    stacked,
)

WIDTH_OF_IMAGE = 300
COLUMNS_WITH_LABELS = 2
COLUMNS_WITHOUT_LABELS = 4
SPACE_IN_PAIR = 4


def choose(number_of_items: int, count: int, seed: int) -> list[int]:
    """Return up to `count` places of a list, drawn by `seed`, in the order of the list."""
    random = generator(seed, "contact sheet")
    return sorted(random.choice(number_of_items, min(count, number_of_items), replace=False).tolist())


def dataset_page(
    items: Sequence[Item], space: LabelSpace, reader: TrainIdReader, title: str, subtitle: str
) -> NDArray[np.uint8]:
    """Return the page (H, W, 3) uint8 of `items`; if an item has no label, the page shows only images.

    `reader` reads labels as train ids of `space`. With labels, `subtitle` goes on with what is void. Raises
    InputError for a label that does not have the size of its image.
    """
    is_labelled = all(item.label is not None for item in items)
    pixels = np.zeros(space.number_of_classes, np.int64)
    all_pixels = 0
    pictures = []
    for item in items:
        image = read_image(item.image)
        picture = resized(image, WIDTH_OF_IMAGE)
        if is_labelled:
            label = _read_label(item, image.shape[:2], reader)
            counts = np.bincount(label.ravel(), minlength=256)[: space.number_of_classes]
            pixels += counts
            all_pixels += label.size
            coloured = resized(overlay(image, label, space.palette, 0.6), WIDTH_OF_IMAGE)
            pair = beside([picture, coloured], SPACE_IN_PAIR)
            bar = share_bar(counts / label.size, space.palette, pair.shape[1])
            picture = stacked([pair, bar], SPACE_IN_PAIR)
        pictures.append(picture)

    columns = COLUMNS_WITH_LABELS if is_labelled else COLUMNS_WITHOUT_LABELS
    # The font inside Pillow has no multiplication sign.
    captions = [f"{item.id}  ·  {item.width} x {item.height}" for item in items]
    starts = range(0, len(items), columns)
    sheet = contact_sheet(
        [pictures[start : start + columns] for start in starts],
        [captions[start : start + columns] for start in starts],
    )
    parts = [sheet]
    if is_labelled:
        shares = 100 * pixels / all_pixels
        ignored = 100 - shares.sum()
        subtitle += f"; class shares are of these images, {ignored:.1f} % is ignored"
        notes = [f"{share:.1f} %" for share in shares]
        parts.append(legend(space.classes, space.palette, sheet.shape[1], notes))
    return stacked([heading(title, subtitle, sheet.shape[1]), *parts])


def _read_label(item: Item, shape: Sequence[int], reader: TrainIdReader) -> NDArray[np.uint8]:
    assert item.label is not None
    label = reader.read(item.label)
    if label.shape != tuple(shape):
        raise InputError(
            f"{item.label}: the label is {label.shape[1]} × {label.shape[0]} pixels, "
            f"its image {item.image} is {shape[1]} × {shape[0]}"
        )
    return label
