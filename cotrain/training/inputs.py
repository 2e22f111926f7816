"""What a training is made from: its files, the images they list, and the batches made from these."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cotrain.adaptation.threshold_table import ThresholdTable
from cotrain.configuration.sections import TrainingSettings
from cotrain.data.class_statistics import class_counts
from cotrain.data.decoded import read_index
from cotrain.data.label_spaces import LabelSpace
from cotrain.data.manifests import Item, read_labelled
from cotrain.errors import InputError
from cotrain.training.batches import Batches, make_batches


@dataclass(frozen=True)
class TrainingFiles:
    """The files that a training is made from.

    `source` and `target`: manifests of labelled source images and of (pseudo-)labelled target images.
    `thresholds`: those of the models that made the target's pseudo-labels, for class mixing on demand; of
    several, the lowest of each class counts.
    `class_statistics`: one file a source manifest, for rare-class sampling. `decoded`: indices of images that
    are kept decoded. `initial_weights`: the weights file that the training starts from.
    """

    source: Sequence[Path]
    target: Path | None = None
    thresholds: Sequence[Path] = ()
    class_statistics: Sequence[Path] = ()
    decoded: Sequence[Path] = ()
    initial_weights: Path | None = None

    def deciding(self) -> list[Path]:
        """Return the files whose content decides what is learnt, in a fixed order."""
        optional = [self.target, *self.thresholds, self.initial_weights, *self.class_statistics]
        return [*self.source, *(path for path in optional if path)]

    def read_images(self) -> "TrainingImages":
        """Return the images that the manifests list, their labels verified.

        Raises InputError if one of the manifests is empty, or if a label is not the one that it lists.
        """
        source = [item for path in self.source for item in read_labelled(path)]
        if not source:
            raise InputError(f"{self.source[0]}: lists no image to train on")
        if self.target is None:
            return TrainingImages(source, None)
        target = read_labelled(self.target)
        if not target:
            raise InputError(
                f"{self.target}: lists no target image to train on. The step that wrote it says why, and "
                "what to change"
            )
        return TrainingImages(source, target)

    def make_batches(
        self, images: "TrainingImages", name: str, settings: TrainingSettings, space: LabelSpace
    ) -> Batches:
        """Return the batches of model `name`; InputError if a file that they need is missing or wrong."""
        is_rare = settings.rare_class_sampling.enabled
        levels = [ThresholdTable.read(path, space).levels for path in self.thresholds]
        return make_batches(
            settings,
            name,
            space.number_of_classes,
            images.source,
            images.target,
            thresholds=np.minimum.reduce(levels) if levels else None,
            class_counts=class_counts(self.source, self.class_statistics) if is_rare else None,
            decoded={image: file for index in self.decoded for image, file in read_index(index).items()},
        )


@dataclass(frozen=True)
class TrainingImages:
    """The labelled images of a training; `target` is None for a training on the source only."""

    source: list[Item]
    target: list[Item] | None

    def sizes_in_bytes(self) -> list[int]:
        """Return the size of every image file.

        A manifest names image files without a hash. Images that were made again under the same names must be
        trained on again.
        """
        try:
            return [item.image.stat().st_size for item in [*self.source, *(self.target or [])]]
        except OSError as error:
            raise InputError(f"{error.filename}: image cannot be read ({error.strerror})") from error
