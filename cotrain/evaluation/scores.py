"""Scores of a segmentation model from counts of pixels.

The definitions are those of the official Cityscapes evaluator: counts are summed over all images before any
division, pixels with the label void do not count, and a labelled pixel that is predicted as void is a miss.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from cotrain.data.counting import count_ids
from cotrain.data.file_names import is_one_line
from cotrain.data.files import write_text
from cotrain.data.json_files import Record, Share, read_record
from cotrain.data.label_spaces import IGNORE
from cotrain.errors import InputError, reason

VOID_COLUMN = "void"


def confusion_matrix(label: np.ndarray, prediction: np.ndarray, number_of_classes: int) -> np.ndarray:
    """Count how often each class of `label` was predicted as each class.

    `label` and `prediction` are uint8 arrays of the same shape that hold train ids or 255. The result is
    int64 (C, C + 1): one row for each labelled class, one column for each predicted class, and a last column
    for labelled pixels that were predicted as 255. Pixels with the label 255 are not counted. The matrices of
    several images add up. Raises ValueError for different shapes, other types and ids that are no train ids.
    """
    if label.shape != prediction.shape:
        raise ValueError(f"label {label.shape} and prediction {prediction.shape} differ in shape")
    if label.dtype != np.uint8 or prediction.dtype != np.uint8:
        raise ValueError(f"expected uint8, found label {label.dtype} and prediction {prediction.dtype}")
    if not 1 <= number_of_classes <= IGNORE:
        raise ValueError(f"expected 1 to {IGNORE} classes, found {number_of_classes}")
    # Counting all pairs of bytes needs no mask over the pixels, and it also shows ids that are not allowed.
    pairs: NDArray[np.uint16] = np.left_shift(label, 8, dtype=np.uint16)
    pairs |= prediction
    counts = count_ids(pairs).reshape(256, 256)
    for name, pixels in (("label", counts.sum(axis=1)), ("prediction", counts.sum(axis=0))):
        unknown = np.flatnonzero(pixels[number_of_classes:IGNORE])
        if unknown.size:
            raise ValueError(
                f"{name} holds id {unknown[0] + number_of_classes}, beyond {number_of_classes} classes"
            )
    columns = [*range(number_of_classes), IGNORE]
    return np.ascontiguousarray(counts[:number_of_classes, columns])


def shares(part: np.ndarray, whole: np.ndarray) -> list[float | None]:
    """Return part / whole of two arrays of integers, None where whole is 0."""
    return [int(p) / int(w) if w else None for p, w in zip(part, whole, strict=True)]


def mean_of_known(values: Iterable[float | None]) -> float | None:
    """Return the mean of the values that are not None; None if there is no such value."""
    numbers = [value for value in values if value is not None]
    return sum(numbers) / len(numbers) if numbers else None


def scores(confusion: np.ndarray, classes: Sequence[str]) -> dict[str, Any]:
    """Return the scores of a confusion matrix (C, C + 1) as shares from 0 to 1.

    Keys: `mean_iou`, `frequency_weighted_iou` (weighted by labelled pixels), `pixel_accuracy`,
        `mean_class_accuracy`, and per class `iou` = tp / (tp + fp + fn) and `class_accuracy` = tp / labelled
        pixels. A class whose score would be divided by 0 has None and is left out of the mean. Raises
        InputError if
    no pixel is labelled, ValueError if the matrix does not fit `classes`.
    """
    _check_shape(confusion, classes)
    correct = np.diagonal(confusion)
    labelled = confusion.sum(axis=1)
    predicted = confusion[:, : len(classes)].sum(axis=0)
    total = int(labelled.sum())
    if total == 0:
        raise InputError(
            "there is nothing to score: no pixel of the labels belongs to a class. "
            "Expected labels with classes of the label space; check `classes` and `label_space`."
        )
    iou = shares(correct, labelled + predicted - correct)
    class_accuracy = shares(correct, labelled)
    weighted = sum(int(n) * value for n, value in zip(labelled, iou, strict=True) if value is not None)
    return {
        "mean_iou": mean_of_known(iou),
        "frequency_weighted_iou": weighted / total,
        "pixel_accuracy": int(correct.sum()) / total,
        "mean_class_accuracy": mean_of_known(class_accuracy),
        "iou": dict(zip(classes, iou, strict=True)),
        "class_accuracy": dict(zip(classes, class_accuracy, strict=True)),
    }


def mean_iou_of(iou: Mapping[str, float | None], subset: Sequence[str]) -> float | None:
    """Return the mean IoU over the classes of `subset` that occur, None if none does.

    The model still predicts all classes; only the mean is over fewer. This is how SYNTHIA is scored over 16
    and 13 classes of Cityscapes. Raises InputError for a class that `iou` lacks.
    """
    unknown = [name for name in subset if name not in iou]
    if unknown:
        raise InputError(
            f"found the class {unknown[0]!r}, expected classes that were scored: {', '.join(iou)}"
        )
    return mean_of_known(iou[name] for name in subset)


def _check_shape(confusion: np.ndarray, classes: Sequence[str]) -> None:
    expected = (len(classes), len(classes) + 1)
    if confusion.shape != expected:
        raise ValueError(f"expected a confusion matrix of shape {expected}, found {confusion.shape}")


def write_confusion(path: str | os.PathLike[str], confusion: np.ndarray, classes: Sequence[str]) -> None:
    """Write a confusion matrix (C, C + 1) as TSV: rows are labels, columns are predictions."""
    _check_shape(confusion, classes)
    lines = ["\t".join(["label \\ prediction", *classes, VOID_COLUMN])]
    lines += [
        "\t".join([name, *map(str, row.tolist())]) for name, row in zip(classes, confusion, strict=True)
    ]
    write_text(path, "\n".join(lines) + "\n")


def read_confusion(path: str | os.PathLike[str], classes: Sequence[str]) -> NDArray[np.int64]:
    """Return the confusion matrix (C, C + 1) int64 that `write_confusion` wrote.

    Raises InputError for a file that is none, or one of other classes than `classes`.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
        rows = [line.split("\t") for line in lines]
        counts = np.array([[int(cell) for cell in row[1:]] for row in rows[1:]], np.int64)
    except (OSError, ValueError, OverflowError) as error:
        raise InputError(
            f"{path}: cannot be read as a confusion matrix ({reason(error)}), expected what evaluate wrote"
        ) from error
    found = tuple(row[0] for row in rows[1:])
    shape = (len(classes), len(classes) + 1)
    if found != tuple(classes) or counts.shape != shape or counts.min() < 0:
        raise InputError(
            f"{path}: is no confusion matrix of the classes {', '.join(classes)}, expected what evaluate "
            "wrote"
        )
    return counts


class ScoresRecord(Record, frozen=True):
    """What is read of a `scores.json`."""

    mean_iou: Share
    frequency_weighted_iou: Share
    pixel_accuracy: Share
    mean_class_accuracy: Share
    iou: Annotated[dict[str, Share | None], Meta(min_length=1)]
    images: Annotated[int, Meta(ge=1)]
    protocol: dict[str, str | bool | int | float | list[int | float] | None]
    mean_iou_of: dict[str, Share | None] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        texts = [value for value in self.protocol.values() if isinstance(value, str)]
        for text in (*self.iou, *self.protocol, *self.mean_iou_of, *texts):
            if not is_one_line(text):
                raise ValueError(f"{text!r} holds a tab or a line end")


@dataclass(frozen=True)
class ModelScores:
    """The scores of one model in its `scores.json`: shares from 0 to 1.

    `mean_iou_of` maps the name of a smaller label space to the mean over its classes.
    """

    model: str
    mean_iou: float
    frequency_weighted_iou: float
    pixel_accuracy: float
    mean_class_accuracy: float
    iou: Mapping[str, float | None]
    images: int = 0
    protocol: Mapping[str, Any] = field(default_factory=dict)
    mean_iou_of: Mapping[str, float | None] = field(default_factory=dict)


def read_scores(path: str | os.PathLike[str], model: str) -> ModelScores:
    """Return the content of a `scores.json` under the name `model`.

    Raises InputError that names the file, and the key that is missing or holds what no score can be.
    """
    content = read_record(
        Path(path), ScoresRecord, f"the scores of `{model}`", "what evaluate or score_labels wrote"
    )
    return ModelScores(model=model, **msgspec.structs.asdict(content))
