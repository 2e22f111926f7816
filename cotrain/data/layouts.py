"""Find the images and labels of a dataset from its entry in the configuration.

There are three kinds of datasets: rendered streets, the user's own lists, and folders as their makers publish
them (`cotrain.data.trees`). The filters of the entry then decide which of the images are used.
"""

import os
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cotrain.configuration.sections import (
    DatasetSettings,
    FilesSettings,
    ListsSettings,
    PublishedSettings,
    StreetsSettings,
)
from cotrain.data.checks import raise_problems
from cotrain.data.class_tables import ClassTable, class_table
from cotrain.data.file_names import is_one_line, new_name
from cotrain.data.images import IMAGE_SUFFIXES, image_size, label_size
from cotrain.data.lists import read_list
from cotrain.data.manifests import Item
from cotrain.data.pairs import check_order
from cotrain.data.trees import chosen_fields, find_files, tree_layout
from cotrain.errors import InputError
from cotrain.threads import map_in_order
from cotrain.words import counted

# The first headers are read one after the other, to measure how fast the disk answers.
TRIED = 200
# If a header takes at least this long (on a network disk), threads pay off. A local disk answers faster than
# threads switch.
SLOW_S = 0.001
THREADS = 16
# Enough to name all faulty images of a published dataset. A filter may leave out thousands.
SHOWN_LEFT_OUT = 50


@dataclass(frozen=True, slots=True)
class Entry:
    """One image of a dataset, its label, and the place that lists each: "LIST:LINE", or "" without a list."""

    image: Path
    label: Path | None = None
    image_origin: str = ""
    label_origin: str = ""


@dataclass(frozen=True)
class DatasetFiles:
    """The images of a dataset that a run uses, and those that it leaves out, by reason."""

    items: list[Item]
    left_out: dict[str, list[Path]]

    def left_out_in_words(self) -> list[str]:
        """Return a line for each reason and, below it, a line for each of the first images with it."""
        lines = []
        for reason, images in self.left_out.items():
            lines.append(f"left out {counted(len(images), 'image')}, {reason}:")
            lines += [f"  {image}" for image in images[:SHOWN_LEFT_OUT]]
            if len(images) > SHOWN_LEFT_OUT:
                lines.append(f"  and {len(images) - SHOWN_LEFT_OUT} more")
        return lines


def find_dataset(
    name: str, settings: DatasetSettings, labelled: bool, scenes_folder: Path | None = None
) -> DatasetFiles:
    """Return the images of the dataset `name` of the configuration, with labels if `labelled`.

    `settings` is its entry under `datasets`; `scenes_folder` holds the rendered scenes of the layout
    "streets". The header of every image is read. Headers of labels are read only if the layout says that
    labels may have the wrong size; without `labelled`, no label and no setting about labels is read. Raises
    one InputError for all missing files and broken headers, or one for wrong settings or lists.
    """
    entries = dataset_entries(name, settings, labelled, scenes_folder)
    entries = entries[:: settings.every if isinstance(settings, FilesSettings) else 1]
    compare = labelled and _sizes_may_differ(settings)
    headers = _headers(entries, compare)
    raise_problems(f"datasets.{name}", [problem for header in headers for problem in header.problems])
    kept: list[tuple[Entry, _Header]] = []
    left_out: dict[str, list[Path]] = {}
    for entry, header in zip(entries, headers, strict=True):
        reason = header.fault or _reason_to_leave_out(header.size, settings)
        if reason:
            left_out.setdefault(reason, []).append(entry.image)
        else:
            kept.append((entry, header))
    if not kept:
        reasons = "; ".join(f"{reason}: {len(images)}" for reason, images in left_out.items())
        raise InputError(
            f"datasets.{name}: no image is left of {len(entries)} ({reasons}); make its filters less strict"
        )
    ids = unique_ids([entry.image for entry, _ in kept])
    items = [
        Item(image_id, entry.image, *header.size, entry.label, bytes=entry.image.stat().st_size)
        for image_id, (entry, header) in zip(ids, kept, strict=True)
    ]
    return DatasetFiles(items, left_out)


def dataset_entries(
    name: str, settings: DatasetSettings, labelled: bool, scenes_folder: Path | None = None
) -> list[Entry]:
    """Return the files of the dataset `name` in the order of its layout; labels only if `labelled`.

    Raises InputError for wrong settings, lists or folders, and for an image that is listed twice.
    """
    if isinstance(settings, ListsSettings):
        return _lists(name, settings, labelled)
    if isinstance(settings, StreetsSettings):
        return _streets(name, labelled, scenes_folder)
    assert isinstance(settings, PublishedSettings)
    return [Entry(image, label) for image, label in _tree_files(name, settings, labelled)]


def dataset_class_table(name: str, settings: DatasetSettings) -> ClassTable:
    """Return how label files of the dataset `name` encode classes; InputError if the settings do not say."""
    if isinstance(settings, StreetsSettings):
        return class_table("cityscapes_train_ids")
    root, fields = None, {}
    if isinstance(settings, ListsSettings):
        classes = _needed(name, "classes", settings.classes, "the class table of the label files")
    else:
        assert isinstance(settings, PublishedSettings)
        layout, root = tree_layout(settings.layout), Path(settings.root)
        classes = settings.classes or layout.classes
        fields = chosen_fields(layout, root, settings.split, settings.version, True, f"datasets.{name}")
    try:
        return class_table(classes, root, fields)
    except InputError as error:
        raise InputError(f"datasets.{name}.classes: {error}") from error


def file_origins(name: str, settings: DatasetSettings, labelled: bool) -> dict[Path, str]:
    """Return "LIST:LINE" of each file of a dataset with the layout "lists"; {} for other layouts."""
    if not isinstance(settings, ListsSettings):
        return {}
    entries = dataset_entries(name, settings, labelled)
    origins = {entry.label: entry.label_origin for entry in entries if entry.label is not None}
    return origins | {entry.image: entry.image_origin for entry in entries}


def unique_ids(images: Sequence[Path]) -> list[str]:
    """Return one id for each image: its file stem, with parent folders joined by "__" where stems collide.

    Names that differ only in capitals also collide, because some file systems do not distinguish them. Images
    that differ only in their suffix keep it in their id. What is too long for a name, or could not be one,
    gets a short hash, see `new_name`. Raises InputError if even whole paths collide.
    """
    without_suffix = Counter(str(image.with_suffix("")).casefold() for image in images)
    parts = [
        [
            *image.parts[1:-1],
            image.stem if without_suffix[str(image.with_suffix("")).casefold()] == 1 else image.name,
        ]
        for image in images
    ]
    depths = [1] * len(images)
    while True:
        ids = ["__".join(part[-depth:]) for part, depth in zip(parts, depths, strict=True)]
        users = Counter(image_id.casefold() for image_id in ids)
        colliding = [index for index, image_id in enumerate(ids) if users[image_id.casefold()] > 1]
        if not colliding:
            return list(map(new_name, ids))
        deeper = [index for index in colliding if depths[index] < len(parts[index])]
        if not deeper:
            raise InputError(
                f"{images[colliding[0]]} and {images[colliding[1]]} would have the same id; "
                "rename one of them"
            )
        for index in deeper:
            depths[index] += 1


@dataclass(frozen=True, slots=True)
class _Header:
    """The (width, height) of an image, its problems, and the fault for which it is left out, if any."""

    size: tuple[int, int]
    problems: tuple[str, ...]
    fault: str = ""


def _headers(entries: Sequence[Entry], compare_sizes: bool) -> list[_Header]:
    """Return the header of each entry; threads read them if the disk is slow."""
    started = time.monotonic()
    headers = [_read_header(entry, compare_sizes) for entry in entries[:TRIED]]
    rest = entries[TRIED:]
    if time.monotonic() - started < SLOW_S * len(headers):
        return headers + [_read_header(entry, compare_sizes) for entry in rest]
    return headers + list(map_in_order(lambda entry: _read_header(entry, compare_sizes), rest, THREADS))


def _read_header(entry: Entry, compare_sizes: bool) -> _Header:
    problems = []
    size = (0, 0)
    fault = ""
    try:
        size = image_size(entry.image)
    except InputError as error:
        problems.append(_located(entry.image_origin, str(error)))
    for path, origin in ((entry.image, entry.image_origin), (entry.label, entry.label_origin)):
        if path and not is_one_line(str(path)):
            text = f"{str(path)!r} holds a tab or line end, or is not UTF-8 text, which no manifest can store"
            problems.append(_located(origin, f"{text}; rename the file"))
    if entry.label is not None and not entry.label.is_file():
        problems.append(_located(entry.label_origin, f"{entry.label}: {_why_no_file(entry.label)}"))
    elif entry.label is not None and compare_sizes and not problems:
        try:
            fault = "" if label_size(entry.label) == size else "the label is of another size than the image"
        except InputError as error:
            problems.append(_located(entry.label_origin, str(error)))
    return _Header(size, tuple(problems), fault)


def _why_no_file(path: Path) -> str:
    if path.is_dir():
        return "is a folder, expected a file"
    return f"does not exist, it is a link to {os.readlink(path)}" if path.is_symlink() else "does not exist"


def _reason_to_leave_out(size: tuple[int, int], settings: DatasetSettings) -> str:
    """Return why the dataset's filters leave out an image of `size` (width, height), "" if they keep it."""
    if not isinstance(settings, FilesSettings):
        return ""
    width, height = size
    ratio = settings.aspect_ratio
    # Two decimals, as in the published lists: 4:3 is 1.33, even if the size is a pixel off.
    if ratio is not None and round(width / height, 2) != round(ratio, 2):
        return f"aspect_ratio is not {round(ratio, 2)}"
    orientation = settings.orientation
    if (orientation == "landscape" and width < height) or (orientation == "portrait" and width > height):
        return f"orientation is not {orientation}"
    min_size = settings.min_size
    if min_size is not None and (height < min_size[0] or width < min_size[1]):
        return f"smaller than min_size {min_size[0]}×{min_size[1]}"
    return ""


def _sizes_may_differ(settings: DatasetSettings) -> bool:
    return isinstance(settings, PublishedSettings) and tree_layout(settings.layout).sizes_may_differ


def _tree_files(name: str, settings: PublishedSettings, labelled: bool) -> list[tuple[Path, Path | None]]:
    """Return the images of a dataset in the folders of its makers, with labels if `labelled`."""
    root = Path(os.path.abspath(settings.root))
    try:
        layout = tree_layout(settings.layout)
    except InputError as error:
        raise InputError(f"datasets.{name}.layout: {error}") from error
    return find_files(layout, root, settings.split, settings.version, labelled, f"datasets.{name}")


def _needed(name: str, key: str, value: str | None, expected: str) -> str:
    """Return the value of a key that the dataset `name` must have here; InputError if it is missing."""
    if not value:
        raise InputError(f"datasets.{name}.{key}: is missing, expected {expected}")
    return value


def _located(origin: str, problem: str) -> str:
    return f"{origin}: {problem}" if origin else problem


def _lists(name: str, settings: ListsSettings, labelled: bool) -> list[Entry]:
    """Return the entries of two text files: line i of one belongs to line i of the other."""
    image_list = settings.images
    images = read_list(image_list, settings.root)
    raise_problems(f"datasets.{name}.images", _repeated_lines(image_list, images))
    if not labelled:
        return [Entry(image, image_origin=f"{image_list}:{line}") for line, image in images]
    label_list = _needed(name, "labels", settings.labels, "the list of the label files")
    labels = read_list(label_list, settings.root)
    if len(images) != len(labels):
        raise InputError(
            f"datasets.{name}: {image_list} lists {counted(len(images), 'image')} but {label_list} lists "
            f"{counted(len(labels), 'label')}, expected one label for each image"
        )
    entries = [
        Entry(image, label, f"{image_list}:{image_line}", f"{label_list}:{label_line}")
        for (image_line, image), (label_line, label) in zip(images, labels, strict=True)
    ]
    try:
        check_order(
            [(image, entry.image_origin) for (_, image), entry in zip(images, entries, strict=True)],
            [(label, entry.label_origin) for (_, label), entry in zip(labels, entries, strict=True)],
        )
    except InputError as error:
        raise InputError(f"datasets.{name}: {error}") from None
    return entries


def _repeated_lines(image_list: str, images: Sequence[tuple[int, Path]]) -> list[str]:
    first_lines: dict[str, int] = {}
    repeated = []
    for line, image in images:
        # A link to an image counts as that image.
        first = first_lines.setdefault(os.path.realpath(image), line)
        if first != line:
            repeated.append(f"{image_list}:{line}: {image}: is already listed in line {first}")
    return repeated


def _streets(name: str, labelled: bool, scenes_folder: Path | None) -> list[Entry]:
    """Return the rendered streets: images/STEM.png or .jpg, labels/STEM.png with train ids of Cityscapes."""
    if scenes_folder is None:
        raise InputError(f"datasets.{name}: the layout 'streets' needs the folder of its rendered scenes")
    folder = Path(os.path.abspath(scenes_folder))
    # Without hidden files: a rendering that was killed leaves unfinished ones.
    images = sorted(
        file
        for file in (folder / "images").glob("*")
        if file.suffix.lower() in IMAGE_SUFFIXES and not file.name.startswith(".")
    )
    if not images:
        raise InputError(f"datasets.{name}: {folder / 'images'} holds no image, expected .png or .jpg files")
    return [Entry(image, folder / "labels" / f"{image.stem}.png" if labelled else None) for image in images]
