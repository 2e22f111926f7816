"""training.json, the record of how a model came to be: what is read of it.

Without torch, so that a report can read it.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

import cotrain
from cotrain.data.json_files import Count, NotNegative, Record, Share, read_record
from cotrain.data.manifests import Item

# Shares in the file have this many decimals.
DECIMALS = 6


class RecordedSettings(Record, frozen=True):
    """Of the settings of a training."""

    iterations: Count
    batch_size: Count | None = None
    network: dict[str, Any] = msgspec.field(default_factory=dict)


class RecordedImages(Record, frozen=True):
    """Number of images that a training learnt from; `kept_share` is what `kept_share` below returns."""

    source: Count
    target: Count
    kept_share: Share | None = None


class TrainingRecord(Record, frozen=True):
    """What is read of the `training.json` of a model.

    `last_loss` is None in one of an earlier version, and where no iteration was made. `parents` are the
    hashes of the files that decided the training, by their paths.
    """

    settings: RecordedSettings
    images: RecordedImages
    last_loss: float | None = None
    vanished_classes: list[str] = msgspec.field(default_factory=list)
    parents: dict[str, str] = msgspec.field(default_factory=dict)
    versions: dict[str, str] = msgspec.field(default_factory=dict)
    code: str = ""
    seconds: NotNegative = 0
    model: str = "of an unknown name"


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


def code_hash() -> str:
    """Return a hash of the library's source, to tell models apart that different code made."""
    digest = hashlib.sha256()
    for path in sorted(Path(cotrain.__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
