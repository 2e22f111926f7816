"""Whether a model has collapsed: it predicts hardly more than one class or two, whatever it sees."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cotrain.adaptation.thresholds import HIGHEST_LEVEL, LEVELS
from cotrain.configuration.names import BASELINE, SECTIONS_OF_OTHERS, ModelName

# A model has collapsed into its first class, or its first two, if these take more than such a share of its
# pixels. A motorway can be 60 % road, and a night half road and half sky, but there is something else in it.
ONE_CLASS, TWO_CLASSES = 0.9, 0.99
# And if all other classes together take less than this part of what they take in the source: where one class
# is 90 % of the source, it may be 98 % of a target.
PART_OF_OTHERS = 0.1
# Two classes count only if the others take more than this in the source. A model of three classes that has
# not yet found the small one has not collapsed.
OTHERS_OF_TWO = 0.2
# The mean confidence above which a collapsed model has not learnt too little, but something wrong.
SURE = 0.8


class Collapse(NamedTuple):
    """What a collapsed model predicts: train ids, their share of its pixels, their share in the source."""

    classes: tuple[int, ...]
    share: float
    share_in_source: float


def found_collapse(pixels: NDArray[np.int64], source: NDArray[np.int64]) -> Collapse | None:
    """Return what a model has collapsed into, None if it has not.

    `pixels` int64 (C,) are the pixels that it predicts as each class, of many target images; `source` int64
    (C,) are those that the source's labels have of each. None also where one of the two has no pixel.
    """
    if not pixels.any() or not source.any():
        return None
    predicted, in_source = pixels / pixels.sum(), source / source.sum()
    order = np.argsort(-pixels, kind="stable")
    for number, least in ((1, ONE_CLASS), (2, TWO_CLASSES)):
        first = order[:number]
        share, share_in_source = float(predicted[first].sum()), float(in_source[first].sum())
        others = 1 - share_in_source
        counts = number == 1 or others > OTHERS_OF_TWO
        if counts and share > least and 1 - share < PART_OF_OTHERS * others:
            return Collapse(
                tuple(int(train_id) for train_id in first if pixels[train_id]), share, share_in_source
            )
    return None


def mean_confidence(histogram: NDArray[np.int64]) -> float:
    """Return the mean confidence, in [0, 1], of all pixels of a histogram (C, 65536) that has some."""
    return float(histogram.sum(0) @ np.arange(LEVELS) / histogram.sum() / HIGHEST_LEVEL)


def collapse_in_words(collapse: Collapse, model: str, classes: Sequence[str], confidence: float) -> str:
    """Return in one line what a model predicts, the likeliest cause and the key to turn.

    `model` is the name of a model of a run, or any other; `confidence` is its mean confidence.
    """
    names = " or ".join(classes[train_id] for train_id in collapse.classes)
    return (
        f"{model} has collapsed: {100 * collapse.share:.1f} % of the target is {names} to it, "
        f"{100 * collapse.share_in_source:.1f} % of the source is; {likeliest_cause(model, confidence)}"
    )


def likeliest_cause(model: str, confidence: float) -> str:
    """Return why a model has most likely collapsed, and the key to turn."""
    if confidence > SURE:
        return "it is sure of that, so its training went astray: lower training.learning_rate"
    return f"it is unsure, so it has learnt too little: raise {iterations_key(model)}"


def iterations_key(model: str) -> str:
    """Return the key of the iterations of a model; that of the baseline for a name that no run gives."""
    try:
        stage = ModelName.parse(model).stage
    except ValueError:
        stage = BASELINE.stage
    return f"{SECTIONS_OF_OTHERS.get(stage, stage)}.iterations"
