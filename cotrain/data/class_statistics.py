"""Class statistics: the number of pixels of each class in every image of a labelled set."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cotrain.data.counting import count_ids
from cotrain.data.files import write_text
from cotrain.data.json_files import Count, Record, read_record
from cotrain.data.label_files import TrainIdReader
from cotrain.data.manifests import Item, read_manifest
from cotrain.data.pairs import check_order
from cotrain.errors import InputError
from cotrain.progress import Progress
from cotrain.threads import map_in_order
from cotrain.words import counted


class ClassStatistics(Record, frozen=True):
    """The file of the statistics: its classes, and for the id of each image the pixels of each class."""

    classes: list[str]
    images: dict[str, list[Count]]

    def __post_init__(self) -> None:
        if len({*self.classes}) < len(self.classes):
            raise ValueError("a class is named twice")
        for image, counts in self.images.items():
            if len(counts) != len(self.classes):
                raise ValueError(
                    f"{image!r} has {counted(len(counts), 'number')}, expected one for each of the "
                    f"{len(self.classes)} classes"
                )


def count_classes(
    items: Sequence[Item], reader: TrainIdReader, workers: int, progress: Progress
) -> dict[str, list[int]]:
    """Return the pixels per train id of every image, in the order of `items`; void is not counted.

    Raises InputError for an item without a label, for a label file that cannot be read, and for unknown ids.
    """

    def count(item: Item) -> list[int]:
        if item.label is None:
            raise InputError(f"{item.image}: has no label; class statistics need a label for every image")
        return count_ids(reader.read(item.label))[: reader.space.number_of_classes].tolist()

    counts = {}
    for item, row in zip(items, map_in_order(count, items, workers), strict=True):
        counts[item.id] = row
        progress.advance()
    return counts


def write_class_statistics(
    path: str | Path, classes: Sequence[str], counts: Mapping[str, Sequence[int]]
) -> None:
    """Write {"classes": [name, ...], "images": {id: [pixels of each class], ...}}, one line per image."""
    names = json.dumps(list(classes), ensure_ascii=False)

    def parts() -> Iterator[str]:
        yield f'{{\n  "classes": {names},\n  "images": {{'
        for number, (image, row) in enumerate(counts.items()):
            yield f"{',' if number else ''}\n    {json.dumps(image, ensure_ascii=False)}: {json.dumps(row)}"
        yield "\n  }\n}\n" if counts else "}\n}\n"

    write_text(path, parts())


def read_class_statistics(path: str | Path) -> tuple[list[str], list[str], npt.NDArray[np.int64]]:
    """Return (class names, image ids, pixels int64 (N, C)).

    Raises InputError if the file is missing or holds no class statistics.
    """
    content = read_record(Path(path), ClassStatistics, "class statistics", "what class_statistics wrote")
    ids, shape = list(content.images), (len(content.images), len(content.classes))
    return content.classes, ids, np.array(list(content.images.values()), np.int64).reshape(shape)


def class_counts(manifests: Sequence[Path], statistics: Sequence[Path]) -> npt.NDArray[np.int64]:
    """Return int64 (N, C): the pixels of each class of all images of the manifests, in their order.

    Each manifest has its own file of statistics, since two datasets may share ids. Raises InputError if there
    is not one file a manifest, if their names are in another order, or if an image is missing in its file.
    """
    if len(statistics) != len(manifests):
        raise InputError(
            f"--class-statistics: found {counted(len(statistics), 'file')}, expected one for each of "
            f"the source manifests, {len(manifests)} in all, because rare-class sampling needs the "
            "classes of all images"
        )
    check_order(
        [(path, f"manifest {number}") for number, path in enumerate(manifests, start=1)],
        [(path, f"--class-statistics, file {number}") for number, path in enumerate(statistics, start=1)],
    )
    tables = []
    for manifest, path in zip(manifests, statistics, strict=True):
        _, ids, counts = read_class_statistics(path)
        rows = {image_id: row for row, image_id in enumerate(ids)}
        items = read_manifest(manifest)
        for item in items:
            if item.id not in rows:
                raise InputError(f"{path}: holds no statistics of image {item.id!r} of {manifest}")
        tables.append(counts[[rows[item.id] for item in items]])
    return np.concatenate(tables)
