"""How much disk a run needs for images, labels and predictions, and whether there is so much."""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from cotrain.configuration.run_plan import Storage
from cotrain.data.manifests import Item
from cotrain.errors import InputError

# Bytes a pixel. Photos of CamVid and CARLA and the demo's frames take 1.1 to 1.4 as PNG, and 0.26 to 0.33 as
# JPEG.
BYTES_A_PIXEL = {"png": 1.5, "jpg": 0.4}
# The demo's label files take 0.08.
LABEL = 0.1
# Two bytes of confidence, and the compressed class.
PREDICTION = 2.2
DECODED = 3.0


def bytes_of_run(storage: Storage, source: Sequence[Item], target: Sequence[Item]) -> dict[str, int]:
    """Return about how many bytes each kind of a run's files takes; models are not among them.

    Args:
        storage: what the run writes.
        source: all source images.
        target: the target images.
    """
    of_source, of_target = (sum(item.width * item.height for item in items) for items in (source, target))
    trained = of_source * max(1, storage.translations)
    pseudo_labels = sum(
        of_target * min(1.0, images / max(len(target), 1)) for images in storage.pseudo_labelled
    )
    return {
        "translated images": round(of_source * storage.translations * BYTES_A_PIXEL[storage.format]),
        "labels": round(LABEL * (of_source + pseudo_labels + of_target)),
        # Of both branches at a time, for the ensemble.
        "predictions": round(2 * PREDICTION * of_target),
        "decoded images": round(DECODED * (trained + of_target)) if storage.decoded_cache else 0,
    }


def check_disk(needed: Mapping[str, int], folder: Path) -> None:
    """Raise InputError unless the disk of `folder`, which exists, has room for the bytes that are needed."""
    free, total = shutil.disk_usage(folder).free, sum(needed.values())
    if total > free:
        parts = ", ".join(f"{size_in_words(size)} {what}" for what, size in needed.items() if size)
        raise InputError(
            f"{os.path.abspath(folder)}: its disk has {size_in_words(free)} free, but the run needs about "
            f"{size_in_words(total)} ({parts}) and room for its models; free some space, or run it in a "
            "folder on another disk"
        )


def size_in_words(size: int) -> str:
    """Return bytes as text: "3.2 GiB"."""
    for unit, factor in (("GiB", 2**30), ("MiB", 2**20)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size / 2**10:.1f} KiB"
