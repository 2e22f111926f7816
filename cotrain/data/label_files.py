"""Label files of any tool: reading their names from a list, manifest or folder, and pairing them."""

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
from cotrain.errors import InputError

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
            changed since its manifest was written, or images and labels do not match.
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
                f"{images}: {len(lonely)} of {len(files)} labels have no image with the same name, "
                f"the first is {lonely[0].path}; if names differ, use lists of images and labels"
            )
        return [replace(file, image=by_stem[file.path.stem]) for file in files]
    lines = read_list(images)
    if len(lines) != len(files):
        raise InputError(
            f"{images} lists {len(lines)} images, {source} {len(files)} labels; expected one image for each "
            "label, in the same order"
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
        InputError: see `read_label_files`; also if a file has no partner.
    """
    ours, theirs = read_label_files(first, images), read_label_files(second)
    by_name = {file.name: file for file in theirs if file.name is not None}
    if not by_name or any(file.name is None for file in ours):
        if len(ours) != len(theirs):
            raise InputError(
                f"{first} lists {len(ours)} files, {second} {len(theirs)}; "
                "expected equally many, in the same order"
            )
        stems, others = ([file.path.stem for file in files] for files in (ours, theirs))
        if stems != others and len(set(stems)) == len(stems) and sorted(stems) == sorted(others):
            place = next(place for place, stem in enumerate(stems) if stem != others[place])
            raise InputError(
                f"{first} and {second} name the same files in another order: {ours[place].origin} is "
                f"{ours[place].path.name}, {theirs[place].origin} is {theirs[place].path.name}; "
                "expected the same order"
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
    """Return a different name for each file, to name its outputs: its own name, or one from its path.

    Raises InputError if a file is listed twice.
    """
    if all(file.name is not None for file in files):
        return [str(file.name) for file in files]
    return unique_ids([file.path for file in files])


class TrainIdReader:
    """Reads label files as train ids of a label space.

    Args:
        space: the label space.
        classes: the class table of the files: a name or a YAML file; None if the files hold train ids.

    Raises:
        InputError: there is no such class table.
    """

    def __init__(self, space: LabelSpace, classes: str | None = None) -> None:
        self.space = space
        self.table = train_id_table(space) if classes is None else class_table(classes)
        self.train_ids, self.known = translation_table(self.table, space), known_ids(self.table)

    def read(self, path: Path) -> NDArray[np.uint8]:
        """Return the train ids (H, W) uint8; void is 255.

        Raises:
            InputError: the file cannot be read, or it holds an id that the class table does not list.
        """
        own_ids = read_own_ids(path, self.table)
        unknown = np.flatnonzero((count_ids(own_ids) > 0) & ~self.known)
        if unknown.size:
            raise InputError(
                f"{path}: found id {unknown[0]}, which {self.table.name!r} does not list; "
                "name the class table of the dataset's label files with --classes"
            )
        return self.train_ids[own_ids]


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


def _of_manifest(manifest: Path) -> list[LabelFile]:
    items = read_manifest(manifest)
    verify_labels(items, manifest)
    return [
        LabelFile(item.label, f"{manifest}, image {item.id!r}", item.id, item.image)
        for item in items
        if item.label is not None
    ]
