"""How a run's models do without labels: what they predict on a few target images, and what they learnt from.

Nothing here is a score. Without labels, a model that changes or forgets can be seen; a model that is right
cannot.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cotrain.adaptation.thresholds import HIGHEST_LEVEL
from cotrain.data.counting import count_ids

Pixels = NDArray[np.int64]

# A class counts as one that models should know if it has more than this share of the source's labels.
LARGE_ENOUGH = 0.002
# It is missing where it has less than this part of its share in the source.
PART_OF_SOURCE = 0.05


@dataclass(frozen=True)
class SampleCounts:
    """What models make of one image or several: sums, which add up.

    `pixels`: for each model int64 (C,), the pixels of each class. `levels`: for each model the sum of the
    confidence levels. `equal`: for pairs of models the pixels that both take for the same class. Pixels of
    the own vehicle do not count.
    """

    pixels: Mapping[str, Pixels]
    levels: Mapping[str, int]
    equal: Mapping[tuple[str, str], int]


@dataclass(frozen=True)
class Held:
    """What a model does on source images that no training has seen: confidence, and share of right pixels."""

    confidence: float
    accuracy: float


@dataclass(frozen=True)
class ModelHealth:
    """What is known of a model.

    `pixels` int64 (C,): what it predicts on the sample, with the mean `confidence` in [0, 1]. `agreement`:
    the share of the sample's pixels that it takes for the same class as another model. `kept`: the share of
    the pixels of its target images that has a pseudo-label; `labels` int64 (C,): pixels of each class in
    these, of some of the images. Both are None for a model without pseudo-labels. `vanished`: classes that
    were not predicted near the end of its training. `held_out`: if models are calibrated. `mean_iou`: if
    there is a test set.
    """

    model: str
    pixels: Pixels
    confidence: float
    agreement: Mapping[str, float] = field(default_factory=dict)
    kept: float | None = None
    labels: Pixels | None = None
    vanished: Sequence[str] = ()
    held_out: Held | None = None
    mean_iou: float | None = None


def count_sample(
    predictions: Mapping[str, tuple[NDArray[np.uint8], NDArray[np.uint16]]],
    pairs: Sequence[tuple[str, str]],
    ignored: NDArray[np.bool_] | None,
    number_of_classes: int,
) -> SampleCounts:
    """Count what models make of one image.

    Args:
        predictions: classes (H, W) uint8 and confidence levels (H, W) uint16 of each model.
        pairs: the models to compare.
        ignored: the pixels (H, W) that do not count; None if all count.
        number_of_classes: C.
    """
    shown = (
        dict(predictions)
        if ignored is None
        else {
            model: (classes[~ignored], levels[~ignored]) for model, (classes, levels) in predictions.items()
        }
    )
    return SampleCounts(
        {model: count_ids(classes)[:number_of_classes] for model, (classes, _) in shown.items()},
        {model: int(levels.sum(dtype=np.int64)) for model, (_, levels) in shown.items()},
        {(a, b): int(np.count_nonzero(shown[a][0] == shown[b][0])) for a, b in pairs},
    )


def added(first: SampleCounts, second: SampleCounts) -> SampleCounts:
    """Return the sums of two counts of the same models."""
    return SampleCounts(
        {model: pixels + second.pixels[model] for model, pixels in first.pixels.items()},
        {model: levels + second.levels[model] for model, levels in first.levels.items()},
        {pair: number + second.equal[pair] for pair, number in first.equal.items()},
    )


def confidence_of(counts: SampleCounts, model: str) -> float:
    """Return the mean confidence of a model, in [0, 1]; 0 without a pixel."""
    pixels = int(counts.pixels[model].sum())
    return counts.levels[model] / pixels / HIGHEST_LEVEL if pixels else 0.0


def agreement_of(counts: SampleCounts, model: str) -> dict[str, float]:
    """Return how much a model agrees with each that it was compared with, in [0, 1]."""
    pixels = int(counts.pixels[model].sum())
    others = {(b if a == model else a): number for (a, b), number in counts.equal.items() if model in (a, b)}
    return {other: number / pixels for other, number in others.items()} if pixels else {}


def shares_of(pixels: Pixels) -> NDArray[np.float64]:
    """Return the share of each class, float64 (C,), all 0 without a pixel."""
    total = pixels.sum()
    return pixels / total if total else np.zeros(len(pixels))


def distance(pixels: Pixels, source: Pixels) -> float:
    """Return the share of pixels, in [0, 1], that would have to change class for the shares of the source."""
    return float(np.abs(shares_of(pixels) - shares_of(source)).sum() / 2)


def missing_classes(pixels: Pixels, source: Pixels) -> list[int]:
    """Return the train ids of the classes that the source shows and that have hardly a pixel."""
    of_source = shares_of(source)
    missing = (of_source > LARGE_ENOUGH) & (shares_of(pixels) < PART_OF_SOURCE * of_source)
    return [int(train_id) for train_id in np.flatnonzero(missing)]
