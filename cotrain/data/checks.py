"""Checks of all images and labels of a dataset, which run before the first training starts."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NotRequired, TypedDict

import numpy as np
import numpy.typing as npt

from cotrain.data.class_tables import ClassTable, class_table, known_ids, translation_table
from cotrain.data.counting import count_ids
from cotrain.data.files import portable
from cotrain.data.images import (
    ImageFacts,
    check_image,
    check_label_header,
    image_facts,
    label_palette,
    read_own_ids,
)
from cotrain.data.json_files import Count, Share, read_record
from cotrain.data.label_spaces import IGNORE, LabelSpace
from cotrain.data.manifests import Item
from cotrain.data.plausibility import absent_from_streets, implausible_shares, in_a_row
from cotrain.errors import InputError
from cotrain.progress import Progress
from cotrain.threads import map_in_order
from cotrain.words import counted

SHOWN_PROBLEMS = 10
SHOWN_CLASSES = 3
# Of the labelled pixels. What Cityscapes names and leaves out of its nineteen classes is a few per cent.
LARGE_IGNORED_SHARE = 0.1


class ClassContent(TypedDict):
    """Pixels of a class of the run, their share of all pixels that are not void, and images that show it."""

    pixels: Count
    share: Share
    images: Count


# An own id's name in the dataset, the class that it becomes (None: void), its pixels, images that show it.
IdContent = TypedDict(
    "IdContent", {"name": str | None, "class": str | None, "pixels": Count, "images": Count}
)


class CheckReport(TypedDict):
    """What a dataset holds.

    `sizes` maps "WIDTHxHEIGHT" to a number of images; `turned` are the paths of images that EXIF turns;
    `converted` maps what images have in place of three channels of 8 bit, and what is made of it, to their
    number; `warnings` say what is no error but looks wrong. The other keys are there if whole labels were
    read; `ids` holds only ids that occur.
    """

    images: Count
    sizes: dict[str, Count]
    turned: list[str]
    converted: dict[str, Count]
    warnings: list[str]
    void_pixels: NotRequired[Count]
    classes: NotRequired[dict[str, ClassContent]]
    ids: NotRequired[dict[str, IdContent]]


def source_pixels(reports: Sequence[Path], classes: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return int64 (C,): the pixels of each class of labelled datasets, from the reports of their checks.

    Raises InputError for a file that is no report of whole labels, or one of other classes.
    """
    total = np.zeros(len(classes), np.int64)
    for path in reports:
        report = read_record(path, CheckReport, "the report of a check", "what check_data wrote")
        found = report.get("classes")
        if found is None or [*found] != [*classes]:
            names = "no labels" if found is None else f"the classes {', '.join(found)}"
            raise InputError(f"{path}: counts {names}, expected {', '.join(classes)}; check the data again")
        total += [content["pixels"] for content in found.values()]
    return total


def pixels_of_an_image(reports: Sequence[Path]) -> float:
    """Return the mean number of pixels of a label of several datasets, from the reports of their checks."""
    images, pixels = 0, 0
    for path in reports:
        report = read_record(path, CheckReport, "the report of a check", "what check_data wrote")
        images += report["images"]
        pixels += report.get("void_pixels", 0)
        pixels += sum(content["pixels"] for content in report.get("classes", {}).values())
    return pixels / max(images, 1)


def raise_problems(subject: str, problems: Sequence[str]) -> None:
    """Raise one InputError with the first ten problems and their total; do nothing if there is no problem."""
    if not problems:
        return
    count = counted(len(problems), "problem")
    limit = f", the first {SHOWN_PROBLEMS}" if len(problems) > SHOWN_PROBLEMS else ""
    raise InputError("\n  ".join([f"{subject}: {count}{limit}:", *problems[:SHOWN_PROBLEMS]]))


def check_items(
    items: Sequence[Item],
    table: ClassTable | None,
    space: LabelSpace,
    origins: Mapping[Path, str],
    workers: int,
    progress: Progress,
    subject: str = "data",
    quick: bool = False,
) -> CheckReport:
    """Decode every image, and every label if `table` is given; return a report of what they hold.

    Images must be complete, and have the size in the manifest and pixels that can become RGB. Labels must
    exist and be complete, have the encoding of the table and the size of their image, and hold only ids of
    `table`. At least one label must hold a class of `space`. Raises one InputError with the first ten
    problems and their total. A label of two images, and shares of classes that no streets have, are warnings
    in the report.

    Args:
        items: the images, with labels if `table` is given.
        table: the class table of the labels; None opens no label.
        space: the label space of the run.
        origins: where files are listed ("LIST:LINE"), for messages.
        workers: how many images are checked at once.
        progress: counts the images.
        subject: the beginning of the message.
        quick: read only headers, which does not find damaged files and wrong ids.
    """
    train_ids = np.full(256, IGNORE, np.uint8) if table is None else translation_table(table, space)

    def check(item: Item) -> _Finding:
        return _check_item(item, table, origins, quick)

    problems: list[str] = []
    turned: list[str] = []
    converted: Counter[str] = Counter()
    # Sums over the images: their own ids and train ids, the pixels of each and the images that show it.
    own_counts, shown_own, shown = (np.zeros(256, np.int64) for _ in range(3))
    for item, finding in zip(items, map_in_order(check, items, workers), strict=True):
        problems += finding.problems
        if finding.turned:
            turned.append(portable(item.image))
        if finding.converted:
            converted[finding.converted] += 1
        own_counts += finding.own_ids
        shown_own += finding.own_ids > 0
        shown += fold(finding.own_ids, train_ids) > 0
        progress.advance()
    report: CheckReport = {
        "images": len(items),
        "sizes": dict(Counter(f"{item.width}x{item.height}" for item in items).most_common()),
        "turned": turned,
        "converted": dict(converted.most_common()),
        "warnings": [] if table is None else warnings_of_repeated_labels(items, origins),
    }
    if table is not None and not quick:
        counts = fold(own_counts, train_ids)
        pixels = counts[: space.number_of_classes]
        if items and not problems:
            problems += problems_of_all_ids(own_counts, table)
        if items and not problems and pixels.sum() == 0:
            problems.append(
                f"all labels are void: no pixel of class table {table.name!r} belongs to a class of "
                f"label space {space.name!r}"
            )
        of_names: Counter[str] = Counter()
        for own_id, name in table.ids.items():
            if name is not None:
                of_names[name] += int(own_counts[own_id])
        implausible = implausible_shares(of_names, len(items))
        if implausible:
            report["warnings"].append(
                f"not the pixels of streets: {in_a_row(implausible)}. Is {table.name!r} the class table of "
                "these label files?"
            )
        of_run = dict(zip(space.classes, map(int, pixels), strict=True))
        absent = [name for name in absent_from_streets(of_run, len(items)) if name not in of_names]
        if absent:
            report["warnings"].append(
                f"no pixel of {in_a_row(absent)}, which streets always show, so no model can learn it from "
                f"these labels. Is there an id for it that class table {table.name!r} leaves out?"
            )
        report["warnings"] += warnings_of_ignored_classes(own_counts, table, space, train_ids)
        report["void_pixels"] = int(counts[IGNORE])
        report["classes"] = {
            name: {
                "pixels": int(pixels[train_id]),
                "share": round(float(pixels[train_id] / max(pixels.sum(), 1)), 6),
                "images": int(shown[train_id]),
            }
            for train_id, name in enumerate(space.classes)
        }
        report["ids"] = {
            str(own_id): {
                "name": table.ids.get(own_id),
                "class": space.classes[train_ids[own_id]] if train_ids[own_id] != IGNORE else None,
                "pixels": int(own_counts[own_id]),
                "images": int(shown_own[own_id]),
            }
            for own_id in np.flatnonzero(own_counts).tolist()
        }
    raise_problems(subject, problems)
    return report


def warnings_of_repeated_labels(items: Sequence[Item], origins: Mapping[Path, str]) -> list[str]:
    """Return one warning if label files belong to several images; it shows the first of them.

    That is right for one scene in several weathers, but most often a line was copied. `origins` says where
    images are listed ("LIST:LINE").
    """
    # A link to a label counts as that label.
    files = {item.id: os.path.realpath(item.label) for item in items if item.label is not None}
    several = {file for file, number in Counter(files.values()).items() if number > 1}
    users: dict[str, list[Item]] = {}
    for item in items:
        if files.get(item.id) in several:
            users.setdefault(files[item.id], []).append(item)
    repeated = list(users.values())
    if not repeated:
        return []
    number = counted(len(repeated), "label file belongs", "label files belong")
    label = next(item.label for item in repeated[0] if item.label is not None)
    images = in_a_row([_located(item.image, portable(item.image), origins) for item in repeated[0]])
    return [
        f"{number} to several images: {portable(label)} is the label of {images}; expected a label for "
        "each image, unless the images show the same scene"
    ]


def warnings_of_ignored_classes(
    own_ids: npt.NDArray[np.int64], table: ClassTable, space: LabelSpace, train_ids: npt.NDArray[np.uint8]
) -> list[str]:
    """Return a warning if many pixels belong to classes of the dataset that the run does not know, else [].

    `own_ids` (256,) are the pixels of each id, `train_ids` (256,) what each id becomes.
    """
    named = {own_id: int(own_ids[own_id]) for own_id, name in table.ids.items() if name is not None}
    ignored = {own_id: pixels for own_id, pixels in named.items() if train_ids[own_id] == IGNORE and pixels}
    share = sum(ignored.values()) / max(sum(named.values()), 1)
    if share < LARGE_IGNORED_SHARE:
        return []
    largest = sorted(ignored, key=lambda own_id: -ignored[own_id])[:SHOWN_CLASSES]
    names = in_a_row([str(table.ids[own_id]) for own_id in largest])
    others = len(ignored) - SHOWN_CLASSES
    more = f" and {others} other class{'es' if others > 1 else ''}" if others > 0 else ""
    return [
        f"{100 * share:.3g} % of the labelled pixels are ignored ({names}{more}), because label space "
        f"{space.name!r} does not name these classes; is it the label space of this dataset?"
    ]


def fold(own_ids: npt.NDArray[np.int64], train_ids: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Return int64 (256,), the pixels per train id with void at 255, from the pixels per own id.

    `train_ids` (256,) holds the train id of each own id. One sum over 256 numbers replaces the translation of
    every pixel.
    """
    counts = np.zeros(256, dtype=np.int64)
    np.add.at(counts, train_ids, own_ids)
    return counts


@dataclass(frozen=True)
class _Finding:
    own_ids: npt.NDArray[np.int64]
    problems: list[str]
    turned: bool = False
    converted: str = ""


def _check_item(item: Item, table: ClassTable | None, origins: Mapping[Path, str], quick: bool) -> _Finding:
    problems: list[str] = []

    def report(file: Path, problem: str) -> None:
        problems.append(_located(file, problem, origins))

    own_ids = np.zeros(256, dtype=np.int64)
    listed = facts = ImageFacts(item.width, item.height, turned=False, converted="")
    try:
        facts = (image_facts if quick else check_image)(item.image)
        if (facts.width, facts.height) != (listed.width, listed.height):
            report(item.image, f"{item.image}: is {_size(facts)} now, {_size(listed)} in the manifest")
    except InputError as error:
        report(item.image, str(error))

    def finding() -> _Finding:
        return _Finding(own_ids, problems, facts.turned, facts.converted)

    if table is None:
        return finding()
    if item.label is None:
        report(item.image, f"{item.image}: the manifest gives no label")
        return finding()
    label = None
    try:
        if quick:
            label_size = check_label_header(item.label, table)
        else:
            label = read_own_ids(item.label, table)
            label_size = (label.shape[1], label.shape[0])
    except InputError as error:
        report(item.label, str(error))
        return finding()
    if label_size != (facts.width, facts.height):
        expected = f"expected {_size(facts)} as its image {item.image}"
        if facts.turned:
            expected += ", which is turned upright according to its EXIF orientation"
        report(item.label, f"{item.label}: is {label_size[0]}×{label_size[1]}, {expected}")
    if label is None:
        return finding()
    own_ids = count_ids(label)
    unknown = np.flatnonzero((own_ids > 0) & ~known_ids(table)).tolist()
    if unknown:
        are_small = unknown == [IGNORE] and not own_ids[19:IGNORE].any()
        hint = TRAIN_IDS_HINT if are_small and has_cityscapes_ids(table) else ""
        report(
            item.label,
            f"{item.label}: holds the ids {ranges(unknown)}, expected class table {table.name!r}: "
            f"{ranges(sorted(table.ids))}{hint}",
        )
    elif table.palette and (palette := label_palette(item.label)):
        other = [number for number in np.flatnonzero(own_ids) if palette[number] != table.palette[number]]
        if other:
            report(
                item.label,
                f"{item.label}: id {other[0]} has the colour {palette[other[0]]}, but the dataset's list of "
                f"classes gives it {table.palette[other[0]]}; expected a label file of the same version",
            )
    return finding()


# Cityscapes has label files of both kinds in the same folders.
TRAIN_IDS_HINT = (
    "; these look like train ids: give the labelIds files, or the class table that these labels have, such "
    "as cityscapes_train_ids"
)


def has_cityscapes_ids(table: ClassTable) -> bool:
    """Return whether the ids of `table` mean the same as in the label files of Cityscapes."""
    return set(class_table("cityscapes_ids").ids.items()) <= set(table.ids.items())


def problems_of_all_ids(own_ids: npt.NDArray[np.int64], table: ClassTable) -> list[str]:
    """Return the problems that only all label files together show.

    They show train ids in place of label ids: one file alone may hold only small ids. Labels of only void are
    no such sign, because a split with secret labels has them.

    Args:
        own_ids: int64 (256,), the pixels of each id in all label files.
        table: the class table of the label files.
    """
    found_ids = np.flatnonzero(own_ids).tolist()
    highest = max(found_ids, default=0)
    if has_cityscapes_ids(table) and highest <= 18 and any(table.ids.get(number) for number in found_ids):
        return [
            f"no label file holds an id above {highest}, so neither sky nor car, expected ids of class table "
            f"{table.name!r}{TRAIN_IDS_HINT}"
        ]
    return []


def _located(file: Path, problem: str, origins: Mapping[Path, str]) -> str:
    return f"{origins[file]}: {problem}" if file in origins else problem


def ranges(ids: Sequence[int]) -> str:
    """Return ascending ids as short text: "0-18, 255"."""
    runs: list[list[int]] = []
    for number in ids:
        if runs and number == runs[-1][-1] + 1:
            runs[-1][-1:] = [number] if len(runs[-1]) > 1 else [runs[-1][0], number]
        else:
            runs.append([number])
    return ", ".join("-".join(map(str, run)) for run in runs)


def _size(facts: ImageFacts) -> str:
    return f"{facts.width}×{facts.height}"
