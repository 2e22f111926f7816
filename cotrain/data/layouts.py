"""Layouts: where a dataset keeps its images and labels, and how its labels are encoded.

A layout is a function in LAYOUTS that lists a dataset's files; everything else is the same for all.
"""

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cotrain.data.checks import raise_problems
from cotrain.data.images import image_size
from cotrain.data.label_spaces import ClassTable, class_table
from cotrain.data.lists import read_list
from cotrain.data.manifests import Item
from cotrain.errors import InputError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")
THREADS = 8


@dataclass(frozen=True)
class Entry:
    """One image of a dataset and its label, and where each is listed: "LIST:LINE", or "" if nowhere."""

    image: Path
    label: Path | None = None
    image_origin: str = ""
    label_origin: str = ""


def dataset_items(
    name: str, settings: Mapping[str, Any], labelled: bool, scenes_folder: Path | None = None
) -> list[Item]:
    """Return the images of the dataset `name` of the configuration, with labels if `labelled`.

    `settings` is its entry under `datasets`; `scenes_folder` holds the rendered scenes of the layout
    "streets". Of every image the header is read; labels are never opened, and without `labelled`
    nothing that concerns them is touched. Raises one InputError for all missing files and broken
    headers, or for what is wrong with the settings or lists.
    """
    entries = dataset_entries(name, settings, labelled, scenes_folder)
    with ThreadPoolExecutor(THREADS) as pool:
        headers = list(pool.map(_read_header, entries))
    raise_problems(f"datasets.{name}", [problem for _, problems in headers for problem in problems])
    ids = unique_ids([entry.image for entry in entries])
    return [
        Item(image_id, entry.image, width, height, entry.label, bytes=entry.image.stat().st_size)
        for image_id, entry, ((width, height), _) in zip(ids, entries, headers, strict=True)
    ]


def dataset_entries(
    name: str, settings: Mapping[str, Any], labelled: bool, scenes_folder: Path | None = None
) -> list[Entry]:
    """Return the files of the dataset `name` as its layout lists them; labels only if `labelled`.

    Raises InputError for settings, lists or folders that are wrong, and for an image listed twice.
    """
    layout = settings.get("layout")
    if layout not in LAYOUTS:
        raise InputError(f"datasets.{name}.layout: found {layout!r}, expected one of {', '.join(LAYOUTS)}")
    return LAYOUTS[layout](name, settings, labelled, scenes_folder)


def dataset_class_table(name: str, settings: Mapping[str, Any]) -> ClassTable:
    """Return how the label files of the dataset `name` encode classes; InputError if that is not told."""
    if settings.get("layout") == "streets":
        return class_table("cityscapes_train_ids")
    if not settings.get("classes"):
        raise InputError(f"datasets.{name}.classes: is missing, expected the class table of the label files")
    try:
        return class_table(settings["classes"])
    except InputError as error:
        raise InputError(f"datasets.{name}.classes: {error}") from error


def file_origins(name: str, settings: Mapping[str, Any], labelled: bool) -> dict[Path, str]:
    """Return "LIST:LINE" of each file of a dataset that is given by lists, nothing for other layouts."""
    if settings.get("layout") != "lists":
        return {}
    entries = dataset_entries(name, settings, labelled)
    origins = {entry.label: entry.label_origin for entry in entries if entry.label is not None}
    return origins | {entry.image: entry.image_origin for entry in entries}


def unique_ids(images: Sequence[Path]) -> list[str]:
    """Return one id an image: its file stem; where stems collide, with parent folders, joined by "__".

    Names that differ in capitals alone collide too, since some file systems hold them for one. Images
    that differ in their suffix alone keep it. Raises InputError where even whole paths collide.
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
            return ids
        deeper = [index for index in colliding if depths[index] < len(parts[index])]
        if not deeper:
            raise InputError(
                f"{images[colliding[0]]} and {images[colliding[1]]}: rename one, their ids are the same"
            )
        for index in deeper:
            depths[index] += 1


def _read_header(entry: Entry) -> tuple[tuple[int, int], list[str]]:
    """Return (width, height) of the image and what is wrong with its header or missing beside it."""
    problems = []
    size = (0, 0)
    try:
        size = image_size(entry.image)
    except InputError as error:
        problems.append(_located(entry.image_origin, str(error)))
    if entry.label is not None and not entry.label.is_file():
        problems.append(_located(entry.label_origin, f"{entry.label}: does not exist"))
    return size, problems


def _located(origin: str, problem: str) -> str:
    return f"{origin}: {problem}" if origin else problem


def _lists(name: str, settings: Mapping[str, Any], labelled: bool, scenes_folder: Path | None) -> list[Entry]:
    """Two text files, line i of one belongs to line i of the other."""
    if not settings.get("images"):
        raise InputError(f"datasets.{name}.images: is missing, expected the list of the images")
    image_list = settings["images"]
    images = read_list(image_list, settings.get("root"))
    first_lines: dict[Path, int] = {}
    repeated = []
    for line, image in images:
        first = first_lines.setdefault(image, line)
        if first != line:
            repeated.append(f"{image_list}:{line}: {image}: is listed in line {first} already")
    raise_problems(f"datasets.{name}.images", repeated)
    if not labelled:
        return [Entry(image, image_origin=f"{image_list}:{line}") for line, image in images]
    if not settings.get("labels"):
        raise InputError(f"datasets.{name}.labels: is missing, expected the list of the label files")
    label_list = settings["labels"]
    labels = read_list(label_list, settings.get("root"))
    if len(images) != len(labels):
        raise InputError(
            f"datasets.{name}: {image_list} lists {len(images)} images but {label_list} lists "
            f"{len(labels)} labels, expected one label an image"
        )
    return [
        Entry(image, label, f"{image_list}:{image_line}", f"{label_list}:{label_line}")
        for (image_line, image), (label_line, label) in zip(images, labels, strict=True)
    ]


def _streets(
    name: str, settings: Mapping[str, Any], labelled: bool, scenes_folder: Path | None
) -> list[Entry]:
    """Rendered streets: images/STEM.png or .jpg, labels/STEM.png in Cityscapes train ids."""
    if scenes_folder is None:
        raise InputError(f"datasets.{name}: the layout 'streets' needs the folder of its rendered scenes")
    folder = Path(os.path.abspath(scenes_folder))
    images = sorted(file for file in (folder / "images").glob("*") if file.suffix.lower() in IMAGE_SUFFIXES)
    if not images:
        raise InputError(f"datasets.{name}: {folder / 'images'} holds no image, expected .png or .jpg files")
    return [Entry(image, folder / "labels" / f"{image.stem}.png" if labelled else None) for image in images]


LAYOUTS: dict[str, Callable[[str, Mapping[str, Any], bool, Path | None], list[Entry]]] = {
    "lists": _lists,
    "streets": _streets,
}
