"""What the labelling steps share: predictions of a set, turned into pseudo-labels by thresholds."""

import json
from argparse import ArgumentParser, Namespace
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cotrain.adaptation.pseudo_labels import (
    class_evidence,
    filter_prediction,
    image_score,
    prior_factor,
    prior_threshold_at,
)
from cotrain.data.label_spaces import LabelSpace
from cotrain.data.manifests import Item
from cotrain.data.masks import EgoVehicleMask
from cotrain.data.predictions import PredictionReader
from cotrain.errors import InputError
from cotrain.progress import Progress


def add_mask_argument(made: ArgumentParser) -> None:
    """Add `--ego-vehicle-mask`."""
    made.add_argument("--ego-vehicle-mask", type=Path, help="image whose non-zero pixels are the own vehicle")


def add_prior_arguments(made: ArgumentParser) -> None:
    """Add `--class-priors` and `--step`."""
    made.add_argument(
        "--class-priors", type=Path, help=".npy (classes, height, width): how often a class is there"
    )
    made.add_argument("--step", type=int, default=0, help="the round: priors count less from round to round")


def read_levels(thresholds: Path, space: LabelSpace) -> NDArray[np.uint16]:
    """Return the levels (C,) of a thresholds.json.

    Raises:
        InputError: the file is of another label space.
    """
    levels = json.loads(thresholds.read_text(encoding="utf-8"))["levels"]
    if tuple(levels) != space.classes:
        raise InputError(
            f"{thresholds}: holds the classes {', '.join(levels)}, expected {', '.join(space.classes)}"
        )
    return np.array(list(levels.values()), np.uint16)


class Priors:
    """Class priors for images of any size; without a file they change nothing."""

    def __init__(self, path: Path | None, step: int, space: LabelSpace) -> None:
        self.threshold = prior_threshold_at(step)
        self.maps: NDArray[np.float32] | None = None
        if path and self.threshold > 0:
            try:
                self.maps = np.load(path).astype(np.float32)
            except (OSError, ValueError) as error:
                raise InputError(
                    f"self_training.class_priors: {path} is no array of numbers: {error}"
                ) from error
        if self.maps is not None and (self.maps.ndim != 3 or len(self.maps) != space.number_of_classes):
            raise InputError(
                f"self_training.class_priors: {path} holds an array of shape {self.maps.shape}, expected "
                f"({space.number_of_classes}, height, width)"
            )

    def factor(self, classes: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        """Return the factor (H, W) on the confidence of each predicted class, or None."""
        if self.maps is None:
            return None
        if self.maps.shape[1:] != classes.shape:
            raise InputError(
                f"self_training.class_priors: the maps are {self.maps.shape[1:]} (height, width), "
                f"an image is {classes.shape}; expected one size"
            )
        return prior_factor(self.maps, self.threshold, classes)


@dataclass
class Labeller:
    """Makes the pseudo-label of any image of a predicted set."""

    predictions: PredictionReader
    thresholds: NDArray[np.uint16]
    mask: EgoVehicleMask
    priors: Priors | None = None

    def label(self, item: Item) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
        """Return the label (H, W) uint8 train ids, 255 where unsure, and the confidence levels (H, W)."""
        classes, levels = self.predictions.read(item.id)
        factor = self.priors.factor(classes) if self.priors else None
        ignored = self.mask.of_size(*classes.shape)
        return filter_prediction(classes, levels, self.thresholds, ignored, factor), levels

    def scored_label(self, item: Item) -> tuple[NDArray[np.uint8], float]:
        """Return the label and the image's score: the mean confidence of its kept pixels."""
        label, levels = self.label(item)
        return label, image_score(label, levels)


@dataclass(frozen=True)
class Evidence:
    """What the pseudo-labels of N images hold: scores (N,), counts and mean confidences (N, C)."""

    scores: NDArray[np.float64]
    counts: NDArray[np.int64]
    mean_confidence: NDArray[np.float64]


def evidence_of(labeller: Labeller, items: list[Item], number_of_classes: int, title: str) -> Evidence:
    """Label every image of a set, one after the other, and keep the numbers alone."""
    scores = np.zeros(len(items))
    counts = np.zeros((len(items), number_of_classes), np.int64)
    means = np.full((len(items), number_of_classes), np.nan)
    with Progress(len(items), "images", title) as progress:
        for index, item in enumerate(items):
            label, levels = labeller.label(item)
            scores[index] = image_score(label, levels)
            counts[index], means[index] = class_evidence(label, levels, number_of_classes)
            progress.advance()
    return Evidence(scores, counts, means)


def mask_of(options: Namespace) -> EgoVehicleMask:
    """Return the mask of `--ego-vehicle-mask`."""
    return EgoVehicleMask(options.ego_vehicle_mask)
