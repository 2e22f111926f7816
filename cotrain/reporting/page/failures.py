"""The section of a page that shows where the models still fail."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cotrain.reporting.page.records import RunRecords


class Confusion(NamedTuple):
    """Two classes that are confused: `share` of the pixels of `label` are taken for `prediction`."""

    label: int
    prediction: int
    share: float
    pixels: int


def worst_confusions(confusion: NDArray[np.int64]) -> list[Confusion]:
    """Return for each labelled class the class that it is most often taken for, the largest share first.

    `confusion` is (C, C + 1): labels in rows, predictions in columns, the last one for void.
    """
    number = len(confusion)
    wrong = confusion[:, :number].copy()
    np.fill_diagonal(wrong, 0)
    labelled = confusion.sum(axis=1)
    found = []
    for label in np.flatnonzero(labelled).tolist():
        prediction = int(wrong[label].argmax())
        pixels = int(wrong[label, prediction])
        if pixels:
            found.append(Confusion(label, prediction, pixels / int(labelled[label]), pixels))
    return sorted(found, key=lambda pair: -pair.share)


def matrices(records: RunRecords) -> dict[str, list[list[float]]]:
    """Return the confusion of each model in per cent of the labelled pixels of each class, one decimal."""
    shown = {}
    for model in records.trained:
        if model in records.confusions:
            confusion = records.confusions[model]
            labelled = np.maximum(confusion.sum(axis=1, keepdims=True), 1)
            shown[model] = np.round(100 * confusion[:, :-1] / labelled, 1).tolist()
    return shown


def example_of(pairs: Sequence[Confusion], counts: Mapping[str, NDArray[np.int64]]) -> list[str | None]:
    """Return for each pair the image in which most pixels are confused so; None if there is none.

    `counts` are the confusion matrices (C, C + 1) of images.
    """
    found: list[str | None] = []
    for pair in pairs:
        of_images = {image: int(matrix[pair.label, pair.prediction]) for image, matrix in counts.items()}
        best = max(of_images, key=lambda image: of_images[image], default=None)
        found.append(best if best is not None and of_images[best] else None)
    return found
