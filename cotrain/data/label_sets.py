"""Sets of pseudo-label files: written in parallel, described by items of a manifest."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cotrain.data.counting import count_ids
from cotrain.data.files import sha256_of
from cotrain.data.images import write_label
from cotrain.data.label_spaces import IGNORE, LabelSpace
from cotrain.data.manifests import Item
from cotrain.threads import map_in_order


def write_pseudo_labels(
    items: Sequence[Item],
    label_of: Callable[[Item], tuple[NDArray[np.uint8], float]],
    folder: Path,
    space: LabelSpace,
    workers: int,
) -> list[Item]:
    """Write the pseudo-label of each item as `folder`/ID.png and return the items that describe them.

    Args:
        items: the images, in the order that is returned.
        label_of: gives an item's label (H, W) uint8 train ids and its score in [0, 1]; called from threads.
        folder: where the labels go.
        space: whose palette the files carry.
        workers: threads at work; compression and hashing release Python's lock, so they use as many cores.
    """

    def write(item: Item) -> Item:
        label, score = label_of(item)
        path = folder / f"{item.id}.png"
        write_label(path, label, space.palette)
        counts = count_ids(label)[:IGNORE]
        return replace(
            item,
            label=path.absolute(),
            label_sha256=sha256_of(path),
            score=score,
            kept_pixels=int(counts.sum()),
            classes=int(np.count_nonzero(counts)),
        )

    folder.mkdir(parents=True, exist_ok=True)
    return list(map_in_order(write, items, workers))
