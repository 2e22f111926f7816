"""A page that shows what models make of the same photos: one row a photo, one column a model."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from cotrain.data.images import read_image
from cotrain.data.label_spaces import IGNORE, LabelSpace
from cotrain.data.manifests import Item, check_listed_size
from cotrain.data.masks import EgoVehicleMask
from cotrain.data.predictions import PredictionReader
from cotrain.reporting.pictures import (
    GAP,
    MARGIN,
    TITLE_OF_COLUMN_SIZE,
    column_titles,
    contact_sheet,
    fitted,
    heading,
    legend,
    overlay,
    stacked,
)

# Pixels. Cells are as large as a page of this width allows, within bounds.
WIDTH_OF_PAGE = 2400
CELL_WIDTHS = (300, 560)
# So strong that classes of like colours can be told apart, and still shows what is in the photo. The photo
# below is grey, so that hues are those of classes alone.
OPACITY = 0.65


class Column(NamedTuple):
    """What a model says of the photos: its name, its predictions, and the image that it saw in each row."""

    model: str
    predictions: PredictionReader
    items: Sequence[Item]


def photo_page(
    items: Sequence[Item],
    columns: Sequence[Column],
    space: LabelSpace,
    mask: EgoVehicleMask,
    title: str,
    subtitle: str,
) -> NDArray[np.uint8]:
    """Return the page (H, W, 3) uint8 of some photos and of what each model makes of them, at least one each.

    Below each picture of a model after the first stands which share of its pixels has another class than the
    first model says. The legend says which share of all pixels each class has with the last model and, if
    there are several, with the first. Pixels of the own vehicle are dark and do not count. Raises InputError
    for a photo or a prediction that cannot be read or has another size than its manifest says.
    """
    width = cell_width(1 + len(columns))
    pixels = np.zeros((len(columns), space.number_of_classes), np.int64)
    rows, captions = [], []
    for place, item in enumerate(items):
        photo = _read(item)
        row, texts = [fitted(photo, width)], [item.image.name]
        own_vehicle = mask.of_size(*photo.shape[:2])
        predicted = []
        for column, counts in zip(columns, pixels, strict=True):
            seen = column.items[place]
            classes, _ = column.predictions.read(seen.id)
            if own_vehicle is not None:
                classes = np.where(own_vehicle, np.uint8(IGNORE), classes)
            counts += np.bincount(classes.ravel(), minlength=256)[: space.number_of_classes]
            image = photo if seen == item else _read(seen)
            row.append(fitted(overlay(grey(image), classes, space.palette, OPACITY), width))
            predicted.append(classes)
        unlike = [
            f"{100 * changed_share(predicted[0], classes):.1f} % unlike {columns[0].model}"
            for classes in predicted[1:]
        ]
        rows.append(row)
        captions.append([*texts, "", *unlike])
    sheet = contact_sheet(rows, captions)
    page_width = sheet.shape[1]
    names = [column.model for column in columns]
    shares = (
        f"class shares are of these photos, with {' and with '.join(dict.fromkeys([names[0], names[-1]]))}"
    )
    return stacked(
        [
            heading(title, f"{subtitle}; {shares}", page_width),
            legend(space.classes, space.palette, page_width, notes_on_shares(pixels), TITLE_OF_COLUMN_SIZE),
            column_titles(["photo", *names], width),
            sheet,
        ]
    )


def cell_width(number_of_columns: int) -> int:
    """Return how wide each picture of a page is, in pixels."""
    room = (WIDTH_OF_PAGE - 2 * MARGIN + GAP) // number_of_columns - GAP
    narrowest, widest = CELL_WIDTHS
    return min(max(room, narrowest), widest)


def changed_share(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """Return which share of the pixels that are not void has another class in `second`; of none, 0.

    Both are train ids (H, W) with the same void pixels.
    """
    counted = np.count_nonzero(first != IGNORE)
    return np.count_nonzero(first != second) / counted if counted else 0.0


def notes_on_shares(pixels: NDArray[np.int64]) -> list[str]:
    """Return the share of the pixels of each class in words, with the first and the last model.

    `pixels` are counts, int64 (models, classes).
    """
    shares = 100 * pixels / np.maximum(pixels.sum(axis=1, keepdims=True), 1)
    if len(shares) == 1:
        return [f"{share:.1f} %" for share in shares[0]]
    return [f"{first:.1f} to {last:.1f} %" for first, last in zip(shares[0], shares[-1], strict=True)]


def grey(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the image (H, W, 3) uint8 without its colours."""
    return np.asarray(cv2.cvtColor(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB), np.uint8)


def _read(item: Item) -> NDArray[np.uint8]:
    image = read_image(item.image)
    check_listed_size(item, *image.shape[:2])
    return image
