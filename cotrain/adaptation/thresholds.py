"""Per-class confidence thresholds from integer histograms.

The published method (Gómez, Villalonga, López, Sensors 2023, 23(2), 621) labels a subset of the target
and chooses one threshold per class, so that a portion p of the pixels predicted as that class survives.
The published code sorts all confidences of a class in memory. Here confidences are 16-bit levels that are
counted in histograms. Histograms add up, so a threshold does not depend on how the images are split into
shards, and memory does not grow with the number of images. The order statistic is exact on the levels.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cotrain.data.label_spaces import IGNORE

LEVELS = 65536
HIGHEST_LEVEL = LEVELS - 1

# So many pixels are counted at a time.
BLOCK = 1 << 17


def quantise(confidence: ArrayLike) -> NDArray[np.uint16]:
    """Return confidences in [0, 1], of any shape, as uint16 levels: rint(confidence · 65535).

    Values outside [0, 1], which a softmax can have by rounding, are clipped.
    """
    return np.rint(np.clip(confidence, 0, 1) * HIGHEST_LEVEL).astype(np.uint16)


class ConfidenceCounter:
    """Counts how many pixels of each predicted class have each confidence level, image after image.

    Counting in 32 bit and in blocks keeps table and pixels in the processor's cache. No image needs new
    memory, whose first use would take as long as the counting. Together this takes less than half the time of
    a 64-bit histogram for each image.
    """

    def __init__(self, number_of_classes: int) -> None:
        self.total = np.zeros((number_of_classes, LEVELS), dtype=np.int64)
        self.recent = np.zeros(number_of_classes * LEVELS, dtype=np.int32)
        self.recent_pixels = 0

    def add(
        self,
        classes: NDArray[np.uint8],
        levels: NDArray[np.uint16],
        ignored: NDArray[np.bool_] | None = None,
    ) -> None:
        """Count one more image.

        `classes` and `levels` have the same shape, usually (H, W). Pixels where `ignored` is true, and pixels
        whose class is no train id, do not count. The published code counts the own vehicle here, and drops it
        later.
        """
        if ignored is not None:
            classes = np.where(ignored, np.uint8(IGNORE), classes)
        if self.recent_pixels + classes.size > np.iinfo(np.int32).max:
            self._empty_recent()
        self.recent_pixels += classes.size
        all_classes, all_levels = classes.reshape(-1), levels.reshape(-1)
        pairs = np.zeros((min(len(all_classes), BLOCK), 4), dtype=np.uint16)
        for start in range(0, len(all_classes), BLOCK):
            block_classes = all_classes[start : start + BLOCK]
            # In memory, level, class and two zeros of 16 bit are the same as class · 65536 + level in 64 bit.
            # This holds for little-endian processors such as those of Intel, AMD and ARM.
            block = pairs[: len(block_classes)]
            block[:, 0], block[:, 1] = all_levels[start : start + BLOCK], block_classes
            bins = block.reshape(-1).view(np.int64)
            if block_classes.max() >= len(self.total):
                bins = bins[bins < len(self.recent)]
            np.add.at(self.recent, bins, np.int32(1))

    def histogram(self) -> NDArray[np.int64]:
        """Return the counts so far, int64 (C, 65536). The counts of several sets of images add up."""
        self._empty_recent()
        return self.total.copy()

    def _empty_recent(self) -> None:
        self.total += self.recent.reshape(self.total.shape)
        self.recent[:], self.recent_pixels = 0, 0


def portion_at(
    step: int,
    initial: float | Sequence[float],
    maximum: float | Sequence[float],
    increment: float | Sequence[float],
) -> NDArray[np.float64]:
    """Return the portion p of pixels that survive in a round or cycle `step`, counted from 0.

    Each argument is one number or one number per class; the result is float64, () or (C,). Step 0 has
    `initial`; step k has min(initial + k · increment, maximum). If `maximum` is below `initial`, so are
    these, as in the published settings for Synscapes. Portions per class follow the same rule; the published
    code limits them to initial + maximum and exceeds that by up to one increment.
    """
    start = np.asarray(initial, dtype=np.float64)
    if step == 0:
        return start
    return np.minimum(start + step * np.asarray(increment, dtype=np.float64), maximum)


def class_thresholds(
    histogram: NDArray[np.int64], portion: ArrayLike, lower: float, upper: float
) -> NDArray[np.uint16]:
    """Return uint16 (C,): the level that a pixel of each class must exceed to become a pseudo-label.

    `histogram` is int64 (C, 65536), `portion` one number in [0, 1] or one per class, `lower` and `upper` are
    confidences in [0, 1]. If x are the m sorted levels of a class, the threshold is
    x[min(rint(m · (1 − p)), m − 1)], rounding half to even, then clipped to [lower, upper]. An absent class
    gets `lower`. The limit m − 1 is an addition: the published code crashes where m · p < 0.5.
    """
    cumulative = histogram.cumsum(axis=1)
    pixels = cumulative[:, -1]
    place = np.rint(pixels * (1 - np.asarray(portion, dtype=np.float64))).astype(np.int64)
    place = np.minimum(place, pixels - 1)
    # The level at place k of the sorted list is the lowest level with more than k pixels up to this level.
    statistic = [np.searchsorted(row, k, side="right") for row, k in zip(cumulative, place, strict=True)]
    low, high = quantise(lower), quantise(upper)
    return np.where(pixels > 0, np.clip(statistic, low, high), low).astype(np.uint16)
