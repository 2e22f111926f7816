"""Everything that can be wrong with images and labels, found before the first training starts."""

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cotrain.data.images import check_image, read_label
from cotrain.data.label_spaces import IGNORE, ClassTable, LabelSpace, known_ids, translation_table
from cotrain.data.manifests import Item
from cotrain.errors import InputError
from cotrain.progress import Progress

SHOWN_PROBLEMS = 10


def raise_problems(subject: str, problems: Sequence[str]) -> None:
    """Raise one InputError with the first ten problems and their total; nothing if there are none."""
    if not problems:
        return
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    first = f", the first {SHOWN_PROBLEMS}" if len(problems) > SHOWN_PROBLEMS else ""
    raise InputError("\n  ".join([f"{subject}: {count}{first}:", *problems[:SHOWN_PROBLEMS]]))


def check_items(
    items: Sequence[Item],
    table: ClassTable | None,
    space: LabelSpace,
    origins: Mapping[Path, str],
    workers: int,
    progress: Progress,
    subject: str = "data",
) -> dict[str, Any]:
    """Decode every image, and with a `table` every label, and return what was found.

    `origins` tells where files are listed ("LIST:LINE"), `subject` heads the message; without `table`
    no label is opened. Images must be whole, of three channels and of the manifest's size; labels must
    exist, be whole, of one channel, of their image's size, and hold ids of `table` alone; together they
    must hold some class of `space`. Raises one InputError with the first ten problems and their total.

    The report: {"images": number, "sizes": {"WIDTHxHEIGHT": images}, and with a table "void_pixels":
    number, "classes": {class: {"pixels", "share" of all pixels that are not void, "images"}}}.
    """
    lookup = np.full(256, IGNORE, np.uint8) if table is None else translation_table(table, space)

    def check(item: Item) -> _Finding:
        return _check_item(item, table, origins)

    with ThreadPoolExecutor(workers) as pool:
        findings = []
        for finding in pool.map(check, items):
            findings.append(finding)
            progress.advance()
    problems = [problem for finding in findings for problem in finding.problems]
    report: dict[str, Any] = {
        "images": len(items),
        "sizes": dict(Counter(f"{item.width}x{item.height}" for item in items).most_common()),
    }
    if table is not None:
        counts = np.zeros((len(items), 256), dtype=np.int64)
        for row, finding in enumerate(findings):
            counts[row] = fold(finding.own_ids, lookup)
        pixels = counts[:, : space.number_of_classes].sum(axis=0)
        if items and not problems and pixels.sum() == 0:
            problems.append(
                f"all labels are void: no pixel of class table {table.name!r} belongs to a class of "
                f"label space {space.name!r}"
            )
        report["void_pixels"] = int(counts[:, IGNORE].sum())
        report["classes"] = {
            name: {
                "pixels": int(pixels[train_id]),
                "share": round(float(pixels[train_id] / max(pixels.sum(), 1)), 6),
                "images": int(np.count_nonzero(counts[:, train_id])),
            }
            for train_id, name in enumerate(space.classes)
        }
    raise_problems(subject, problems)
    return report


def own_id_counts(label: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Return int64 (256,): how many pixels of the uint8 label image hold each id."""
    return np.bincount(label.ravel(), minlength=256)


def fold(own_ids: npt.NDArray[np.int64], lookup: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Return int64 (256,): pixels per train id from pixels per own id, void at 255.

    One sum over 256 numbers replaces the translation of every pixel.
    """
    folded = np.zeros(256, dtype=np.int64)
    np.add.at(folded, lookup, own_ids)
    return folded


@dataclass(frozen=True)
class _Finding:
    own_ids: npt.NDArray[np.int64]
    problems: list[str]


def _check_item(item: Item, table: ClassTable | None, origins: Mapping[Path, str]) -> _Finding:
    problems: list[str] = []

    def report(file: Path, problem: str) -> None:
        problems.append(f"{origins[file]}: {problem}" if file in origins else problem)

    own_ids = np.zeros(256, dtype=np.int64)
    size = (item.width, item.height)
    try:
        found = check_image(item.image)
        if found != size:
            report(item.image, f"{item.image}: is {_size(found)} now, {_size(size)} in the manifest")
            size = found
    except InputError as error:
        report(item.image, str(error))
    if table is None:
        return _Finding(own_ids, problems)
    if item.label is None:
        report(item.image, f"{item.image}: the manifest gives no label")
        return _Finding(own_ids, problems)
    try:
        label = read_label(item.label)
    except InputError as error:
        report(item.label, str(error))
        return _Finding(own_ids, problems)
    if label.shape != (size[1], size[0]):
        found = (label.shape[1], label.shape[0])
        report(
            item.label, f"{item.label}: is {_size(found)}, expected {_size(size)} as its image {item.image}"
        )
    own_ids = own_id_counts(label)
    strange = np.flatnonzero((own_ids > 0) & ~known_ids(table)).tolist()
    if strange:
        ids, known = ranges(strange), ranges(sorted(table.ids))
        report(item.label, f"{item.label}: holds the ids {ids}, expected class table {table.name!r}: {known}")
    return _Finding(own_ids, problems)


def ranges(ids: Sequence[int]) -> str:
    """Return ascending ids in short: "0-18, 255"."""
    runs: list[list[int]] = []
    for number in ids:
        if runs and number == runs[-1][-1] + 1:
            runs[-1][-1:] = [number] if len(runs[-1]) > 1 else [runs[-1][0], number]
        else:
            runs.append([number])
    return ", ".join("-".join(map(str, run)) for run in runs)


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]}×{size[1]}"
