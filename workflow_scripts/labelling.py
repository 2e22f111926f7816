"""What the labelling steps share: predictions of a set, turned into pseudo-labels by thresholds."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from cotrain.adaptation.pseudo_labels import (
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
from workflow_scripts.command_line import positive

Given = TypeVar("Given")
Made = TypeVar("Made")


def add_mask_argument(parser: ArgumentParser) -> None:
    """Add `--ego-vehicle-mask`."""
    parser.add_argument(
        "--ego-vehicle-mask", type=Path, help="image whose non-zero pixels are the own vehicle"
    )


def add_workers_argument(parser: ArgumentParser) -> None:
    """Add `--workers`."""
    parser.add_argument("--workers", type=positive, default=4, help="images labelled at once (default 4)")


def add_prior_arguments(parser: ArgumentParser) -> None:
    """Add `--class-priors` and `--step`."""
    parser.add_argument(
        "--class-priors", type=Path, help=".npy (classes, height, width): how often a class is there"
    )
    parser.add_argument(
        "--step", type=int, default=0, help="the round: priors count less from round to round"
    )


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


def check_pairs(a: Sequence[Item], b: Sequence[Item], manifests: tuple[Path, Path], one_size: bool) -> None:
    """Check that image i of `a` can belong to image i of `b`.

    Raises:
        InputError: there are more of one than of the other; or a pair differs in size where `one_size` is
            wanted, because labels pass between them pixel by pixel.
    """
    if len(a) != len(b):
        raise InputError(
            f"{manifests[0]} lists {len(a)} images, {manifests[1]} {len(b)}; "
            "expected equally many: image i of one belongs to image i of the other"
        )
    for of_a, of_b in zip(a, b, strict=True):
        sizes = [(item.width, item.height) for item in (of_a, of_b)]
        if one_size and sizes[0] != sizes[1]:
            raise InputError(
                f"{of_a.image} is {sizes[0]}, {of_b.image} {sizes[1]} (width, height): the two are a pair, "
                "whose labels pass from one to the other pixel by pixel; expected one size"
            )


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


def in_parallel(
    work: Callable[[Given], Made], given: Sequence[Given], workers: int, title: str
) -> Iterator[Made]:
    """Yield `work` of each image in order, done by `workers` threads.

    What comes back waits for its turn in memory: it should be numbers of an image, not pixels.
    """
    with ThreadPoolExecutor(workers) as pool, Progress(len(given), "images", title) as progress:
        for made in pool.map(work, given):
            yield made
            progress.advance()


def mask_of(options: Namespace) -> EgoVehicleMask:
    """Return the mask of `--ego-vehicle-mask`."""
    return EgoVehicleMask(options.ego_vehicle_mask)
