"""Pictures of the errors of one class: where it was found correctly, found wrongly, and missed."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from cotrain.data.label_spaces import IGNORE
from cotrain.reporting.pictures import PAGE, Colour, colourise, heading, stacked, with_legend

NAMES = ("true positive", "false positive", "false negative")
COLOURS: tuple[Colour, ...] = ((40, 190, 90), (230, 50, 45), (50, 110, 255))
# The brightness of the image where it only shows the surroundings, relative to its own.
DIMMED = 0.5
OPACITY = 0.65
# The grey level of the ground if there is no image.
GREY = 160


@dataclass(frozen=True)
class ClassErrors:
    """Where one class is right or wrong in an image: bool (H, W) each; no pixel is true in two of them."""

    true_positive: NDArray[np.bool_]
    false_positive: NDArray[np.bool_]
    false_negative: NDArray[np.bool_]

    @property
    def pixels(self) -> tuple[int, int, int]:
        """The numbers of true positive, false positive and false negative pixels."""
        return (
            int(np.count_nonzero(self.true_positive)),
            int(np.count_nonzero(self.false_positive)),
            int(np.count_nonzero(self.false_negative)),
        )


def class_errors(label: NDArray[np.uint8], prediction: NDArray[np.uint8], train_id: int) -> ClassErrors:
    """Return the errors of one class in train ids (H, W); pixels where `label` is 255 do not count.

    Raises ValueError if the sizes differ.
    """
    if label.shape != prediction.shape:
        raise ValueError(f"label {label.shape} and prediction {prediction.shape} differ in shape")
    labelled, predicted = label == train_id, prediction == train_id
    return ClassErrors(labelled & predicted, predicted & ~labelled & (label != IGNORE), labelled & ~predicted)


def error_picture(
    errors: ClassErrors, image: NDArray[np.uint8] | None, title: str, subtitle: str
) -> NDArray[np.uint8]:
    """Return a page with the errors of a class in colour over the dimmed image, a heading and a legend.

    `image` is RGB uint8 (H, W, 3); without an image, the ground is grey. Raises ValueError if its size
    differs.
    """
    height, width = errors.true_positive.shape
    ground = np.full((height, width, 3), GREY, np.uint8) if image is None else image
    if ground.shape[:2] != (height, width):
        raise ValueError(f"image {ground.shape[:2]} and label {(height, width)} differ in size")
    kind = (
        errors.true_positive
        + 2 * errors.false_positive.view(np.uint8)
        + 3 * errors.false_negative.view(np.uint8)
    )
    overlay = cv2.addWeighted(ground, 1 - OPACITY, colourise(kind, (PAGE, *COLOURS)), OPACITY, 0)
    picture = cv2.copyTo(overlay, kind, cv2.convertScaleAbs(ground, alpha=DIMMED))
    notes = [f"{pixels} px" for pixels in errors.pixels]
    return stacked([heading(title, subtitle, width), with_legend(picture, NAMES, COLOURS, notes)])
