"""Confusion of label files that any tool has made with the files of the true labels."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from cotrain.data.images import read_label
from cotrain.data.label_files import LabelFile, TrainIdReader
from cotrain.data.label_spaces import LabelSpace
from cotrain.errors import InputError
from cotrain.evaluation.scores import confusion_matrix
from cotrain.progress import Progress


def confusion_of_pairs(
    pairs: Sequence[tuple[LabelFile, LabelFile]],
    space: LabelSpace,
    workers: int,
    progress: Progress,
    classes: str | None = None,
) -> NDArray[np.int64]:
    """Return the confusion, int64 (C, C + 1), of all pairs of (prediction, label).

    Predictions hold train ids of `space`; so do labels, unless `classes` names their class table. One image
    a worker is in memory. Raises InputError for files that cannot be read, of unlike shape, or with strange
    ids.
    """
    read_truth = read_label if classes is None else TrainIdReader(space, classes).read

    def counted(pair: tuple[LabelFile, LabelFile]) -> NDArray[np.int64]:
        predicted, labelled = pair
        try:
            truth, prediction = read_truth(labelled.path), read_label(predicted.path)
            counts = confusion_matrix(truth, prediction, space.number_of_classes)
        except ValueError as error:
            raise InputError(
                f"{predicted.origin}: {predicted.path} against {labelled.path}: {error} of {space.name}"
            ) from error
        progress.advance()
        return counts

    confusion = np.zeros((space.number_of_classes, space.number_of_classes + 1), np.int64)
    with ThreadPoolExecutor(workers) as pool:
        for counts in pool.map(counted, pairs):
            confusion += counts
    return confusion
