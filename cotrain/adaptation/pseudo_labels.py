"""From predictions to pseudo-labels: filtering, class priors, the score of an image, the ensemble.

A prediction is a pair of class (uint8 train id) and confidence level (uint16, 65535 = certain) per pixel,
both (H, W). A pseudo-label is uint8 (H, W) of train ids with 255 where nothing is trusted.
Published method: Gómez, Villalonga, López, Sensors 2023, 23(2), 621.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cotrain.adaptation.look_up import look_up
from cotrain.adaptation.thresholds import HIGHEST_LEVEL
from cotrain.data.counting import count_and_sum
from cotrain.data.label_spaces import IGNORE
from cotrain.errors import InputError


def filter_prediction(
    classes: NDArray[np.uint8],
    levels: NDArray[np.uint16],
    thresholds: NDArray[np.uint16],
    ignored: NDArray[np.bool_] | None = None,
    prior_factor: NDArray[np.float32] | None = None,
) -> NDArray[np.uint8]:
    """Return the pseudo-label: the class where its level exceeds the class's threshold, else 255.

    `thresholds` is uint16 (C,). `ignored` (H, W) marks pixels that take part in nothing, such as the own
    vehicle. `prior_factor` (H, W), in [0, 1], weakens the confidence before it is compared.
    """
    # The highest level exceeds no threshold of 65535, so ids that are no class are never kept.
    table = np.full(256, HIGHEST_LEVEL, dtype=np.uint16)
    table[: len(thresholds)] = thresholds
    pixel_thresholds = look_up(table, classes)
    kept = levels > pixel_thresholds if prior_factor is None else levels * prior_factor > pixel_thresholds
    if ignored is not None:
        kept &= ~ignored
    # Kept is 1: 1 - 1 = 0 leaves the class; dropped is 0: 0 - 1 = 255 in 8 bit makes it 255.
    return classes | (kept.view(np.uint8) - np.uint8(1))


def prior_factor(
    prior: NDArray[np.floating[Any]], prior_threshold: float, classes: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """Return float32 (H, W): the factor on each pixel's confidence that the class priors give.

    `prior` is (C, H, W), the share of images that show the class at the pixel. Where the prior of the
    predicted class reaches `prior_threshold` the factor is 1, below it prior / prior_threshold. Raises
    InputError when prior and prediction differ in size.
    """
    if prior.ndim != 3 or prior.shape[1:] != classes.shape:
        raise InputError(f"class priors have the shape {prior.shape}, expected (classes, *{classes.shape})")
    if prior_threshold <= 0:
        return np.ones(classes.shape, dtype=np.float32)
    of_prediction = np.take_along_axis(prior, classes[None].astype(np.intp), axis=0)[0]
    return np.minimum(of_prediction / prior_threshold, 1).astype(np.float32)


def prior_threshold_at(step: int) -> float:
    """Return the threshold on class priors in round `step`: 0.1, then 0.05, then 0, which means no effect."""
    return max(0.0, 0.1 - 0.05 * step)


def image_score(label: NDArray[np.uint8], levels: NDArray[np.uint16]) -> float:
    """Return the mean confidence, in [0, 1], of the kept pixels of a pseudo-label; 0.0 if there is none.

    This is the score that images are ranked by. The published code also counts dropped pixels and those
    of the own vehicle where they are confident.
    """
    kept = label != IGNORE
    number = np.count_nonzero(kept)
    # Half the time of OpenCV's masked mean, and by its multiplication with 1 / number equal to the last bit.
    return float(cv2.sumElems(levels * kept)[0] * (1 / number)) / HIGHEST_LEVEL if number else 0.0


def class_evidence(
    label: NDArray[np.uint8], levels: NDArray[np.uint16], number_of_classes: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return per class the number of kept pixels, int64 (C,), and their mean confidence, float64 (C,).

    The mean confidence is NaN for classes without kept pixels.
    """
    counts, sums = (numbers[:number_of_classes] for numbers in count_and_sum(label, levels))
    with np.errstate(invalid="ignore"):
        return counts, sums / (counts * HIGHEST_LEVEL)


def ensemble_prediction(
    classes_a: NDArray[np.uint8],
    levels_a: NDArray[np.uint16],
    classes_b: NDArray[np.uint8],
    levels_b: NDArray[np.uint16],
) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """Return (classes, levels) of the two models together, by the larger of their two softmaxes.

    The largest entry of a per-class maximum of two softmaxes is the larger of their two largest entries,
    so the class of the surer model wins; equally sure models give the lower class id, as an arg-max does.
    The thresholds that belong to it are the element-wise minimum of the two models' thresholds.
    """
    surer_b = levels_b > levels_a
    classes = np.where(surer_b, classes_b, classes_a)
    tied = levels_a == levels_b
    np.minimum(classes, classes_b, out=classes, where=tied)
    return classes, np.maximum(levels_a, levels_b)
