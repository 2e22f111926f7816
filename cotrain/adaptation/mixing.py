"""ClassMix: pixels of some classes of a labelled source image are pasted over a target image.

Published method: Gómez, Villalonga, López, Sensors 2023, 23(2), 621. Labels are uint8 (H, W) of train ids.
Void (255) is no class here: it is neither counted nor pasted. The published code treats it as a class, often
as the first one to paste, and so makes labelled target pixels void.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cotrain.adaptation.look_up import look_up
from cotrain.data.label_spaces import IGNORE


def classes_plain(label: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return the train ids to paste: a random half of the classes in the donor's label, rounded up."""
    present = _present(label)
    return rng.permutation(present)[: (len(present) + 1) // 2]


def classes_on_demand(label: NDArray[np.uint8], thresholds: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Return the train ids to paste: the half that is least sure on the target, rounded down.

    `thresholds` uint16 (C,) are the thresholds of the target's pseudo-labels. Among the classes of the
    donor's label, those with the lowest thresholds come first, ties by train id. A donor with only one class
    gives nothing to paste; the published code replaces the whole target image by it.
    """
    present = _present(label)
    return present[np.argsort(thresholds[present], kind="stable")][: len(present) // 2]


def paste(
    donor_image: NDArray[Any],
    donor_label: NDArray[np.uint8],
    image: NDArray[Any],
    label: NDArray[np.uint8],
    classes: NDArray[np.uint8],
) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    """Return a new (image, label) of the target, with the donor's pixels of `classes` pasted over them.

    Images are (H, W, 3) with the same dtype, labels uint8 (H, W). All four must have the same size, otherwise
    ValueError is raised. 255 in `classes` is ignored.
    """
    if donor_image.shape != image.shape or not donor_label.shape == label.shape == image.shape[:2]:
        shapes = [array.shape for array in (donor_image, donor_label, image, label)]
        raise ValueError(
            f"donor image, donor label, image and label have the shapes {shapes}, expected the same size"
        )
    if donor_image.dtype != image.dtype:
        raise ValueError(
            f"the donor image is {donor_image.dtype}, the image {image.dtype}, expected the same dtype"
        )
    is_pasted = np.zeros(256, dtype=bool)
    is_pasted[classes] = True
    is_pasted[IGNORE] = False
    # OpenCV copies three channels under a mask about 15 times as fast as NumPy.
    mask: Any = look_up(is_pasted.view(np.uint8), donor_label)
    mixed_image = cv2.copyTo(donor_image, mask, image.copy())
    mixed_label = cv2.copyTo(donor_label, mask, label.copy())
    return np.asarray(mixed_image), np.asarray(mixed_label, dtype=np.uint8)


def _present(label: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the train ids in the label, ascending."""
    counts = cv2.calcHist([label], [0], None, [256], [0, 256]).ravel()
    return np.flatnonzero(counts[:IGNORE]).astype(np.uint8)
