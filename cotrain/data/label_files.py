"""Label files of any tool: those of a list, a manifest or a folder, and which of them belong together."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cotrain.data.class_tables import ClassTable, class_table, known_ids, translation_table
from cotrain.data.counting import count_ids
from cotrain.data.images import label_palette, read_own_ids
from cotrain.data.label_spaces import IGNORE, LabelSpace, label_space, label_space_names
from cotrain.data.layouts import IMAGE_SUFFIXES, unique_ids
from cotrain.data.lists import read_folder, read_list
from cotrain.data.manifests import Item, read_manifest, verify_labels
from cotrain.errors import InputError

MANIFEST_SUFFIX = ".tsv"
LABEL_SUFFIXES = (".png",)


@dataclass(frozen=True)
class LabelFile:
    """A label file, and for messages where it is named: "labels.txt, line 3".

    `name` is the id in a manifest or the stem in a folder; a list gives none. `image` is what it labels,
    where that is told.
    """

    path: Path
    origin: str
    name: str | None = None
    image: Path | None = None


def read_label_files(source: Path, images: Path | None = None) -> list[LabelFile]:
    """Return the label files that `source` names, with their images where they are told.

    Args:
        source: a list of one path a line, a manifest (.tsv) whose column `label` is taken, or a folder of
            .png files.
        images: a list of images in the order of the labels, or a folder of images with the names of the
            labels. A manifest names its images itself.

    Raises:
        InputError: a list, manifest or folder cannot be read or is empty, an item has no label or one that
            changed since its manifest was written, or images and labels do not fit each other.
    """
    if source.is_dir():
        files = [LabelFile(path, str(path), path.stem) for path in read_folder(source, LABEL_SUFFIXES)]
    elif source.suffix == MANIFEST_SUFFIX:
        files = _of_manifest(source)
    else:
        files = [LabelFile(path, f"{source}, line {line}") for line, path in read_list(source)]
    if images is None:
        return files
    if images.is_dir():
        by_stem = {path.stem: path for path in read_folder(images, IMAGE_SUFFIXES)}
        lonely = [file for file in files if file.path.stem not in by_stem]
        if lonely:
            raise InputError(
                f"{images}: {len(lonely)} of {len(files)} labels have no image of their name, the first is "
                f"{lonely[0].path}; where names differ, give lists"
            )
        return [replace(file, image=by_stem[file.path.stem]) for file in files]
    listed = read_list(images)
    if len(listed) != len(files):
        raise InputError(
            f"{images} lists {len(listed)} images, {source} {len(files)} labels; expected one image for each "
            "label, in one order"
        )
    return [replace(file, image=image) for file, (_, image) in zip(files, listed, strict=True)]


def paired_label_files(
    first: Path, second: Path, images: Path | None = None, complete: bool = True
) -> list[tuple[LabelFile, LabelFile]]:
    """Return which label files of two sources belong together, in the order of `first`.

    Files of manifests and folders belong together by their names; as soon as one source is a list, by their
    places. `images` are those of `first`, see `read_label_files`. With `complete` neither source may hold
    more than the other, otherwise `second` may.

    Raises:
        InputError: as `read_label_files`, and where a file has no partner.
    """
    ours, theirs = read_label_files(first, images), read_label_files(second)
    by_name = {file.name: file for file in theirs if file.name is not None}
    if not by_name or any(file.name is None for file in ours):
        if len(ours) != len(theirs):
            raise InputError(
                f"{first} lists {len(ours)} files, {second} {len(theirs)}; "
                "expected equally many, in one order"
            )
        stems, others = ([file.path.stem for file in files] for files in (ours, theirs))
        if stems != others and len(set(stems)) == len(stems) and sorted(stems) == sorted(others):
            place = next(place for place, stem in enumerate(stems) if stem != others[place])
            raise InputError(
                f"{first} and {second} name the same files in another order: {ours[place].origin} is "
                f"{ours[place].path.name}, {theirs[place].origin} is {theirs[place].path.name}"
            )
        return list(zip(ours, theirs, strict=True))
    names = {file.name for file in ours}
    for source, other, lonely in (
        (first, second, [file for file in ours if file.name not in by_name]),
        (second, first, [file for file in theirs if file.name not in names] if complete else []),
    ):
        if lonely:
            raise InputError(
                f"{source}: {len(lonely)} files have no partner in {other}, the first is {lonely[0].name!r}; "
                "files of manifests and folders are paired by their names"
            )
    return [(file, by_name[str(file.name)]) for file in ours]


def names_of(files: Sequence[LabelFile]) -> list[str]:
    """Return a name for what is made from each file: its own, or one found from the paths; all differ.

    Raises InputError where one file is listed twice.
    """
    if all(file.name is not None for file in files):
        return [str(file.name) for file in files]
    return unique_ids([file.path for file in files])


class TrainIdReader:
    """Reads label files as train ids of a label space.

    Args:
        space: the label space.
        classes: the class table of the files, by name or as a YAML file; None if they hold train ids.

    Raises:
        InputError: there is no such class table.
    """

    def __init__(self, space: LabelSpace, classes: str | None = None) -> None:
        self.space = space
        self.table = train_id_table(space) if classes is None else class_table(classes)
        self.train_ids, self.known = translation_table(self.table, space), known_ids(self.table)

    def read(self, path: Path) -> NDArray[np.uint8]:
        """Return the train ids (H, W) uint8, 255 where void.

        Raises:
            InputError: the file cannot be read, or holds an id that the class table does not list.
        """
        own = read_own_ids(path, self.table)
        strange = np.flatnonzero((count_ids(own) > 0) & ~self.known)
        if strange.size:
            raise InputError(
                f"{path}: found id {strange[0]}, which {self.table.name!r} does not list; "
                "name the class table of the dataset's label files with --classes"
            )
        return self.train_ids[own]


def check_palette(items: Iterable[Item], space: LabelSpace) -> None:
    """Raise InputError if the first label has the colours of another built-in label space than `space`.

    Labels that this project writes carry the colours of their label space; other colours tell nothing.
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


def _of_manifest(manifest: Path) -> list[LabelFile]:
    items = read_manifest(manifest)
    verify_labels(items, manifest)
    return [
        LabelFile(item.label, f"{manifest}, image {item.id!r}", item.id, item.image)
        for item in items
        if item.label is not None
    ]
