"""training.json, the record of how a model came to be: what is read of it.

Without torch, so that a report can read it.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from cotrain.data.json_files import Count, Record, Share, read_record
from cotrain.data.manifests import Item

# Shares in the file have this many decimals.
DECIMALS = 6


class RecordedSettings(Record, frozen=True):
    """Of the settings of a training."""

    iterations: Count


class RecordedImages(Record, frozen=True):
    """Number of images that a training learnt from; `kept_share` is what `kept_share` below returns."""

    source: Count
    target: Count
    kept_share: Share | None = None


class TrainingRecord(Record, frozen=True):
    """What is read of the `training.json` of a model.

    `last_loss` is None in one of an earlier version, and where no iteration was made.
    """

    settings: RecordedSettings
    images: RecordedImages
    last_loss: float | None = None
    vanished_classes: list[str] = msgspec.field(default_factory=list)


def read_training_record(path: Path) -> TrainingRecord:
    """Return the record of a training; InputError if there is none in the file."""
    return read_record(path, TrainingRecord, "the record of a training", "what train wrote")


def kept_share(target: Sequence[Item]) -> float | None:
    """Return the share of the pixels of pseudo-labelled images that have a label, in [0, 1].

    None without images, and for images whose labels are no pseudo-labels.
    """
    kept = [item.kept_pixels for item in target if item.kept_pixels is not None]
    if not kept or len(kept) < len(target):
        return None
    return round(sum(kept) / sum(item.width * item.height for item in target), DECIMALS)
