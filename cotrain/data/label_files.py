"""Label files of any tool: reading their names from a list, manifest or folder, and pairing them."""

import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cotrain.data.class_tables import ClassTable, class_table, known_ids, translation_table
from cotrain.data.counting import count_ids
from cotrain.data.images import IMAGE_SUFFIXES, label_palette, read_own_ids
from cotrain.data.label_spaces import IGNORE, LabelSpace, label_space, label_space_names
from cotrain.data.layouts import unique_ids
from cotrain.data.lists import read_folder, read_list
from cotrain.data.manifests import Item, read_manifest, verify_labels
from cotrain.data.pairs import check_labels, check_order
from cotrain.errors import InputError
from cotrain.words import agreeing, counted

logger = logging.getLogger("cotrain")

MANIFEST_SUFFIX = ".tsv"
LABEL_SUFFIXES = (".png",)


@dataclass(frozen=True)
class LabelFile:
    """A label file, and its origin for messages: "labels.txt, line 3".

    `name` is the id in a manifest or the stem in a folder, and None in a list. `image` is the labelled image,
    if it is known.
    """

    path: Path
    origin: str
    name: str | None = None
    image: Path | None = None


def read_label_files(source: Path, images: Path | None = None) -> list[LabelFile]:
    """Return the label files that `source` names, with their images if they are known.

    Args:
        source: a list with one path per line, a manifest (.tsv) with a column `label`, or a folder of .png
            files.
        images: a list of images in the order of the labels, or a folder of images with the names of the
            labels. A manifest names its images itself.

    Raises:
        InputError: a list, manifest or folder cannot be read or is empty, an item has no label, a label has
            changed since its manifest was written, or images and labels differ in number, name or order.
    """
    if source.is_dir():
        files = [LabelFile(path, str(path), path.stem) for path in read_folder(source, LABEL_SUFFIXES)]
    elif source.suffix == MANIFEST_SUFFIX:
        files = _of_manifest(source)
    else:
        files = [LabelFile(path, _line(source, line)) for line, path in read_list(source)]
    _warn_of_repeated(files)
    if images is None:
        return files
    if images.is_dir():
        by_stem = {path.stem: path for path in read_folder(images, IMAGE_SUFFIXES)}
        lonely = [file for file in files if file.path.stem not in by_stem]
        if lonely:
            raise InputError(
                f"{images}: {len(lonely)} of {counted(len(files), 'label')} "
                f"{agreeing(len(lonely), 'has', 'have')} no image with the same name, the first is "
                f"{lonely[0].path}; if names differ, use lists of images and labels"
            )
        return [replace(file, image=by_stem[file.path.stem]) for file in files]
    lines = read_list(images)
    if len(lines) != len(files):
        raise InputError(
            f"{images} lists {counted(len(lines), 'image')}, {source} {counted(len(files), 'label')}; "
            "expected one image for each label, in the same order"
        )
    check_order(
        [(file.path, file.origin) for file in files],
        [(image, _line(images, line)) for line, image in lines],
    )
    return [replace(file, image=image) for file, (_, image) in zip(files, lines, strict=True)]


def paired_label_files(
    first: Path, second: Path, images: Path | None = None, complete: bool = True
) -> list[tuple[LabelFile, LabelFile]]:
    """Return the pairs of label files of two sources, in the order of `first`.

    Files of manifests and folders are paired by their names. If one source is a list, files are paired by
    their positions. `images` are the images of `first`, see `read_label_files`. With `complete`, every file
    needs a partner; without it, `second` may hold more files than `first`.

    Raises:
        InputError: see `read_label_files`; also if a file has no partner, or if files that are paired by
            their positions are in different orders by their names.
    """
    ours, theirs = read_label_files(first, images), read_label_files(second)
    by_name = {file.name: file for file in theirs if file.name is not None}
    if not by_name or any(file.name is None for file in ours):
        if len(ours) != len(theirs):
            raise InputError(
                f"{first} lists {counted(len(ours), 'file')}, {second} {len(theirs)}; "
                "expected equally many, in the same order"
            )
        check_order(
            [(file.path, file.origin) for file in ours], [(file.path, file.origin) for file in theirs]
        )
        return list(zip(ours, theirs, strict=True))
    names = {file.name for file in ours}
    for source, other, lonely in (
        (first, second, [file for file in ours if file.name not in by_name]),
        (second, first, [file for file in theirs if file.name not in names] if complete else []),
    ):
        if lonely:
            raise InputError(
                f"{source}: {counted(len(lonely), 'file has', 'files have')} no partner in {other}, the "
                f"first is {lonely[0].name!r}; files of manifests and folders are paired by their names"
            )
    return [(file, by_name[str(file.name)]) for file in ours]


def names_of(files: Sequence[LabelFile]) -> list[str]:
    """Return a different name for each file, to name its outputs: its own name, or one from its path.

    Raises InputError if a file is listed twice.
    """
    if all(file.name is not None for file in files):
        return [str(file.name) for file in files]
    return unique_ids([file.path for file in files])


def read_known_ids(path: Path, table: ClassTable, advice: str) -> NDArray[np.uint8]:
    """Return the own ids (H, W) uint8 of a label file, all of which `table` lists.

    Raises:
        InputError: the file cannot be read, or it holds an id that the class table does not list. `advice`
            ends the message: what is expected, or what to do.
    """
    own_ids = read_own_ids(path, table)
    unknown = np.flatnonzero((count_ids(own_ids) > 0) & ~known_ids(table))
    if unknown.size:
        raise InputError(f"{path}: found id {unknown[0]}, which {table.name!r} does not list; {advice}")
    return own_ids


def table_advice(key: str) -> str:
    """Return what to do about unknown ids where the flag or key `key` names the class table."""
    return f"name the class table of the dataset's label files with {key}"


class TrainIdReader:
    """Reads label files as train ids of a label space.

    Args:
        space: the label space.
        classes: the class table of the files: a name or a YAML file; None if the files hold train ids.
        flag: the flag that gives `classes`, for messages; None where the files can only hold train ids.

    Raises:
        InputError: there is no such class table.
    """

    def __init__(self, space: LabelSpace, classes: str | None = None, flag: str | None = None) -> None:
        self.space = space
        self.advice = (
            f"expected train ids of {space.name}: 0 to {space.number_of_classes - 1}, and {IGNORE} for void"
            if flag is None
            else table_advice(flag)
        )
        self.table = train_id_table(space) if classes is None else class_table(classes)
        self.train_ids = translation_table(self.table, space)

    def read(self, path: Path) -> NDArray[np.uint8]:
        """Return the train ids (H, W) uint8; void is 255.

        Raises:
            InputError: the file cannot be read, or it holds an id that the class table does not list.
        """
        return self.train_ids[read_known_ids(path, self.table, self.advice)]


def check_palette(items: Iterable[Item], space: LabelSpace) -> None:
    """Raise InputError if the first label has the colours of another built-in label space than `space`.

    Labels that this project writes have the colours of their label space; unknown colours are accepted.
    """
    first = next((item.label for item in items if item.label is not None), None)
    palette = label_palette(first) if first else []
    if not palette or palette[: space.number_of_classes] == [*space.palette]:
        return
    for name in label_space_names():
        other = label_space(name)
        number = other.number_of_classes
        if palette[:number] == [*other.palette] and space.classes[:number] != other.classes:
            raise InputError(
                f"{first}: has the colours of label space {name}, expected train ids of {space.name}"
            )


def train_id_table(space: LabelSpace) -> ClassTable:
    """Return the class table of files that hold the train ids of `space`."""
    return ClassTable(space.name, {**dict(enumerate(space.classes)), IGNORE: None})


def _warn_of_repeated(files: Sequence[LabelFile]) -> None:
    """Warn of label files that are listed twice: they may be right, but most often a line was copied."""
    first_of: dict[str, LabelFile] = {}
    repeated = []
    for file in files:
        first = first_of.setdefault(os.path.realpath(file.path), file)
        if first is not file:
            repeated.append((file, first))
    if repeated:
        file, first = repeated[0]
        logger.warning(
            "warning: %s: %s is already %s (%d of %d files %s listed again)",
            *(file.origin, file.path, first.origin, len(repeated), len(files)),
            agreeing(len(repeated), "is", "are"),
        )


def _line(source: Path, line: int) -> str:
    return f"{source}, line {line}"


def _of_manifest(manifest: Path) -> list[LabelFile]:
    items = read_manifest(manifest)
    check_labels(items, manifest)
    verify_labels(items, manifest)
    return [
        LabelFile(item.label, f"{manifest}, image {item.id!r}", item.id, item.image)
        for item in items
        if item.label is not None
    ]
