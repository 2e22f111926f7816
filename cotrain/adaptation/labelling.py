"""Pseudo-labels of the images of a set, made from its predictions on disk."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cotrain.adaptation.pseudo_labels import (
    ensemble_prediction,
    filter_prediction,
    image_score,
    prior_factor,
)
from cotrain.adaptation.threshold_table import ThresholdTable
from cotrain.data.class_priors import ClassPriors
from cotrain.data.manifests import Item
from cotrain.data.masks import EgoVehicleMask
from cotrain.data.predictions import PredictionReader

# `labels_in_words` names at most so many classes that have no label.
NAMED_CLASSES = 4


@dataclass(frozen=True)
class Labeller:
    """Makes the pseudo-label of any image of a predicted set.

    `thresholds` is uint16 (C,). `priors` weaken the confidence where a class is rarer than `prior_threshold`;
    without them, or with a threshold of 0, they have no effect.
    """

    predictions: PredictionReader
    thresholds: NDArray[np.uint16]
    mask: EgoVehicleMask
    priors: ClassPriors | None = None
    prior_threshold: float = 0.0

    def label(self, item: Item) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
        """Return the label (H, W) uint8 train ids, 255 where unsure, and the confidence levels (H, W)."""
        classes, levels = self.predictions.read(item.id)
        factor = None
        if self.priors and self.prior_threshold > 0:
            factor = prior_factor(self.priors.maps, self.prior_threshold, classes)
        ignored = self.mask.of_size(*classes.shape)
        return filter_prediction(classes, levels, self.thresholds, ignored, factor), levels

    def scored_label(self, item: Item) -> tuple[NDArray[np.uint8], float]:
        """Return the label and the image's score: the mean confidence of its kept pixels."""
        label, levels = self.label(item)
        return label, image_score(label, levels)


@dataclass(frozen=True)
class EnsembleLabeller:
    """Makes the pseudo-label of any image that two models have predicted.

    `thresholds` is uint16 (C,): for each class the lower threshold of the two models. `pair_of` maps the id
    of each image of `predictions_a` to the id of the image of `predictions_b` that shows the same scene.
    """

    predictions_a: PredictionReader
    predictions_b: PredictionReader
    pair_of: Mapping[str, str]
    thresholds: NDArray[np.uint16]
    mask: EgoVehicleMask

    def scored_label(self, item: Item) -> tuple[NDArray[np.uint8], float]:
        """Return the label (H, W) uint8 train ids, 255 where unsure, and the mean confidence that is kept."""
        classes, levels = ensemble_prediction(
            *self.predictions_a.read(item.id), *self.predictions_b.read(self.pair_of[item.id])
        )
        label = filter_prediction(classes, levels, self.thresholds, self.mask.of_size(*classes.shape))
        return label, image_score(label, levels)


def labels_in_words(counts: NDArray[np.int64], items: Sequence[Item], classes: Sequence[str]) -> str:
    """Return in one line how many pixels have pseudo-labels, the largest class, and the classes without any.

    `counts` int64 (C,) are the pixels of each class in the labels of `items`.
    """
    pixels, kept = sum(item.width * item.height for item in items), int(counts.sum())
    if not kept:
        return "no pixel has a label"
    largest = int(counts.argmax())
    without = [name for name, number in zip(classes, counts, strict=True) if not number]
    more = len(without) - NAMED_CLASSES
    named = ", ".join(without[:NAMED_CLASSES]) + (f" and {more} more" if more > 0 else "")
    shares = 100 * kept / pixels, 100 * counts[largest] / kept
    return (
        f"{shares[0]:.1f} % of their pixels have labels, {shares[1]:.1f} % of these are {classes[largest]}"
        + (f", none is {named}" if without else "")
    )


def what_to_change(tables: Sequence[ThresholdTable], section: str, iterations: str) -> str:
    """Return what to change when no image has a label left: the likeliest cause first.

    Args:
        tables: the thresholds that left nothing, of one model or several.
        section: key of the section with the bounds of the thresholds.
        iterations: key of the iterations of the model that labelled.
    """
    highest = [table.highest_confidence[table.pixels > 0] for table in tables]
    if not any(of_table.size for of_table in highest):
        return "No pixel takes part: does ego_vehicle_mask cover the whole image?"
    if any((table.kept_share > 0).any() for table in tables):
        # The thresholds do not know of the class priors.
        return (
            "Some confidences are above their thresholds, so class priors have lowered them: set "
            "self_training.class_priors to null, or look at the file that it names"
        )
    surest = max(float(of_table.max()) for of_table in highest if of_table.size)
    return (
        f"Most often the model that labels has learnt too little: raise {iterations}. If its classes look "
        f"right, set {section}.confidence.lower below {surest:.3f}, the highest confidence (by hand: --lower "
        "of the step thresholds)"
    )
