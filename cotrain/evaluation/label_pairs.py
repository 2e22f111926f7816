"""Confusion matrix of label files of any tool against the files of the true labels."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cotrain.data.images import read_label
from cotrain.data.label_files import LabelFile, TrainIdReader
from cotrain.data.label_spaces import LabelSpace
from cotrain.errors import InputError
from cotrain.evaluation.scores import confusion_matrix
from cotrain.progress import Progress
from cotrain.threads import map_in_order


def confusion_of_pairs(
    pairs: Sequence[tuple[LabelFile, LabelFile]],
    space: LabelSpace,
    workers: int,
    progress: Progress,
    classes: str | None = None,
) -> NDArray[np.int64]:
    """Return the confusion matrix, int64 (C, C + 1), of all pairs of (prediction, label).

    Predictions hold train ids of `space`; so do labels, unless `classes` names their class table. Each worker
    holds one image in memory. Raises InputError for files that cannot be read, that differ in shape, or that
    hold unknown ids.
    """
    read_truth = read_label if classes is None else TrainIdReader(space, classes, "--classes").read

    def count(pair: tuple[LabelFile, LabelFile]) -> NDArray[np.int64]:
        prediction_file, truth_file = pair
        try:
            truth, prediction = read_truth(truth_file.path), read_label(prediction_file.path)
            counts = confusion_matrix(truth, prediction, space.number_of_classes)
        except ValueError as error:
            raise InputError(
                f"{prediction_file.origin}: {prediction_file.path} against {truth_file.path}: {error} "
                f"of {space.name}"
            ) from error
        progress.advance()
        return counts

    confusion = np.zeros((space.number_of_classes, space.number_of_classes + 1), np.int64)
    for counts in map_in_order(count, pairs, workers):
        confusion += counts
    return confusion
