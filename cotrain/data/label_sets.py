"""Sets of pseudo-label files: written in parallel, described by items of a manifest."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cotrain.data.counting import count_ids
from cotrain.data.files import link_or_copy, make_folder, sha256_of
from cotrain.data.images import write_label
from cotrain.data.label_spaces import IGNORE, LabelSpace
from cotrain.data.manifests import Item
from cotrain.errors import InputError
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

    make_folder(folder)
    return list(map_in_order(write, items, workers))


def joined(ids: Sequence[str], manifest: Path, parts: Mapping[Path, Sequence[Item]]) -> Iterator[Item]:
    """Yield the labelled images of all parts of a set, in the order of the set.

    Args:
        ids: the images of the set.
        manifest: the file that lists them, for messages.
        parts: the images of each part, by the file that lists them.

    Raises:
        InputError: unless each image of the set is in exactly one part, and no other image is.
    """
    holders: dict[str, tuple[Path, Item]] = {}
    for path, items in parts.items():
        for item in items:
            holder, _ = holders.setdefault(item.id, (path, item))
            if holder is not path:
                raise InputError(
                    f"{path}: labels image {item.id!r}, which {holder} also labels; expected each shard once"
                )
    missing = [image_id for image_id in ids if image_id not in holders]
    if missing:
        raise InputError(
            f"{manifest}: image {missing[0]!r} is in none of {', '.join(map(str, parts))}, nor are "
            f"{len(missing) - 1} others; expected the labels of all shards of this set"
        )
    if others := holders.keys() - set(ids):
        path, item = holders[min(others)]
        raise InputError(
            f"{path}: labels image {item.id!r}, which {manifest} does not list; label again with this "
            "manifest"
        )
    return (holders[image_id][1] for image_id in ids)


def gather_label(item: Item, folder: Path) -> Item:
    """Give the label file of an item also the name `folder`/ID.png, and return the item with that name."""
    path = folder / f"{item.id}.png"
    if item.label is None or not item.label.is_file():
        found = item.label or "no label in the manifest of its shard"
        raise InputError(f"image {item.id!r}: found {found}, expected a label file; label its shard again")
    link_or_copy(path, item.label)
    return replace(item, label=path.absolute())
