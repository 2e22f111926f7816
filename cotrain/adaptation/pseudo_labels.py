"""From predictions to pseudo-labels: filtering, class priors, the score of an image, the ensemble.

A prediction holds a class (uint8 train id) and a confidence level (uint16, 65535 = certain) for each pixel,
both (H, W). A pseudo-label is uint8 (H, W) of train ids, with 255 where the prediction is not trusted.
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
    """Return the pseudo-label: the class where its level exceeds the threshold of the class, else 255.

    `thresholds` is uint16 (C,). `ignored` (H, W) marks pixels that must stay void, such as the own vehicle.
    `prior_factor` (H, W) in [0, 1] lowers the confidence before the comparison.
    """
    # No level exceeds a threshold of 65535, so ids that are no class are never kept.
    table = np.full(256, HIGHEST_LEVEL, dtype=np.uint16)
    table[: len(thresholds)] = thresholds
    pixel_thresholds = look_up(table, classes)
    kept = levels > pixel_thresholds if prior_factor is None else levels * prior_factor > pixel_thresholds
    if ignored is not None:
        kept &= ~ignored
    # For kept pixels, 1 - 1 = 0 leaves the class; for dropped pixels, 0 - 1 = 255 (in 8 bit) makes it 255.
    return classes | (kept.view(np.uint8) - np.uint8(1))


def prior_factor(
    prior: NDArray[np.floating[Any]], prior_threshold: float, classes: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """Return float32 (H, W): the factor that the class priors give to the confidence of each pixel.

    `prior` (C, H, W) is the share of images that show the class at the pixel. If the prior of the predicted
    class reaches `prior_threshold`, the factor is 1, otherwise prior / prior_threshold. Raises InputError if
    prior and prediction differ in size.
    """
    if prior.ndim != 3 or prior.shape[1:] != classes.shape:
        raise InputError(f"class priors have the shape {prior.shape}, expected (classes, *{classes.shape})")
    if prior_threshold <= 0:
        return np.ones(classes.shape, dtype=np.float32)
    predicted_prior = np.take_along_axis(prior, classes[None].astype(np.intp), axis=0)[0]
    return np.minimum(predicted_prior / prior_threshold, 1).astype(np.float32)


def prior_threshold_at(step: int) -> float:
    """Return the threshold on class priors in round `step`: 0.1, then 0.05, then 0, which has no effect."""
    return max(0.0, 0.1 - 0.05 * step)


def image_score(label: NDArray[np.uint8], levels: NDArray[np.uint16]) -> float:
    """Return the mean confidence, in [0, 1], of the kept pixels of a pseudo-label; 0.0 if there is none.

    Images are ranked by this score. The published code also counts dropped pixels and pixels of the own
    vehicle if they are confident.
    """
    kept = label != IGNORE
    number = np.count_nonzero(kept)
    # This takes half the time of OpenCV's masked mean. Multiplying by 1 / number gives the same last bit.
    return float(cv2.sumElems(levels * kept)[0] * (1 / number)) / HIGHEST_LEVEL if number else 0.0


def class_evidence(
    label: NDArray[np.uint8], levels: NDArray[np.uint16], number_of_classes: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return for each class the number of kept pixels, int64 (C,), and their mean confidence, float64 (C,).

    The mean confidence of a class without kept pixels is NaN.
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
    """Return (classes, levels) of the ensemble of two models: the larger of their two softmaxes.

    The largest entry of a per-class maximum of two softmaxes is the larger of their two largest entries, so
    the class of the surer model wins. If both are equally sure, the lower train id wins, as in an arg-max.
    The thresholds of the ensemble are the element-wise minimum of the thresholds of the two models.
    """
    surer_b = levels_b > levels_a
    classes = np.where(surer_b, classes_b, classes_a)
    tied = levels_a == levels_b
    np.minimum(classes, classes_b, out=classes, where=tied)
    return classes, np.maximum(levels_a, levels_b)
