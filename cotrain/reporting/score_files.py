"""The files of an evaluation: scores, and the confusion they follow from, as a table and as a picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cotrain.data.files import write_json
from cotrain.data.label_spaces import label_space
from cotrain.evaluation.scores import mean_iou_of, scores, write_confusion
from cotrain.reporting.pictures import confusion_picture


def write_score_files(
    folder: Path,
    *,
    model: str,
    protocol: Mapping[str, Any],
    images: int,
    confusion: np.ndarray,
    classes: Sequence[str],
    class_subsets: Sequence[str],
) -> dict[str, Any]:
    """Write scores.json, confusion.tsv and confusion.png into `folder`, and return the scores.

    `confusion` (C, C + 1) was counted over `images` images; `protocol` says how the model `model` predicted
    them. `class_subsets` are label spaces over whose classes the mean IoU is given too. Raises InputError
    when no pixel is labelled, and for a label space that is unknown or has a class that was not scored.
    """
    result = scores(confusion, classes)
    subsets = {name: mean_iou_of(result["iou"], label_space(name).classes) for name in class_subsets}
    write_confusion(folder / "confusion.tsv", confusion, classes)
    confusion_picture(folder / "confusion.png", confusion, classes)
    write_json(
        folder / "scores.json",
        {"model": model, "protocol": protocol, "images": images, **result, "mean_iou_of": subsets},
    )
    return result
