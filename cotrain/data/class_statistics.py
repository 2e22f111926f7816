"""Class statistics: the number of pixels of each class in every image of a labelled set."""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cotrain.data.counting import count_ids
from cotrain.data.files import write_text
from cotrain.data.label_files import TrainIdReader
from cotrain.data.manifests import Item, read_manifest
from cotrain.data.pairs import check_order
from cotrain.errors import InputError, reason
from cotrain.progress import Progress


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
    with ThreadPoolExecutor(workers) as pool:
        for item, row in zip(items, pool.map(count, items), strict=True):
            counts[item.id] = row
            progress.advance()
    return counts


def write_class_statistics(
    path: str | Path, classes: Sequence[str], counts: Mapping[str, Sequence[int]]
) -> None:
    """Write {"classes": [name, ...], "images": {id: [pixels of each class], ...}}, one line per image."""
    rows = [
        f"    {json.dumps(image, ensure_ascii=False)}: {json.dumps(row)}" for image, row in counts.items()
    ]
    names = json.dumps(list(classes), ensure_ascii=False)
    images = "{\n" + ",\n".join(rows) + "\n  }" if rows else "{}"
    write_text(path, f'{{\n  "classes": {names},\n  "images": {images}\n}}\n')


def read_class_statistics(path: str | Path) -> tuple[list[str], list[str], npt.NDArray[np.int64]]:
    """Return (class names, image ids, pixels int64 (N, C)).

    Raises InputError if the file is missing or holds no class statistics.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        classes, ids = list(content["classes"]), list(content["images"])
        counts = np.array(list(content["images"].values()), dtype=np.int64).reshape(len(ids), len(classes))
    except OSError as error:
        raise InputError(f"{path}: class statistics cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: found no class statistics, expected what class_statistics wrote ({reason(error)})"
        ) from error
    return classes, ids, counts


def class_counts(manifests: Sequence[Path], statistics: Sequence[Path]) -> npt.NDArray[np.int64]:
    """Return int64 (N, C): the pixels of each class of all images of the manifests, in their order.

    Each manifest has its own file of statistics, since two datasets may share ids. Raises InputError if there
    is not one file a manifest, if their names are in another order, or if an image is missing in its file.
    """
    if len(statistics) != len(manifests):
        raise InputError(
            f"--class-statistics: found {len(statistics)} files, expected one for each of the "
            f"{len(manifests)} source manifests, because rare-class sampling needs the classes of all images"
        )
    check_order(
        [(path, f"manifest {number}") for number, path in enumerate(manifests, start=1)],
        [(path, f"--class-statistics, file {number}") for number, path in enumerate(statistics, start=1)],
    )
    rows: list[list[int]] = []
    for manifest, path in zip(manifests, statistics, strict=True):
        _, ids, counts = read_class_statistics(path)
        of_images = dict(zip(ids, counts.tolist(), strict=True))
        for item in read_manifest(manifest):
            if item.id not in of_images:
                raise InputError(f"{path}: holds no statistics of image {item.id!r} of {manifest}")
            rows.append(of_images[item.id])
    return np.array(rows, np.int64)
