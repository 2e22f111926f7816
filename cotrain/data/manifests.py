"""Manifests: tab-separated tables that list the images of a set, with ids, paths, sizes and labels."""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TextIO

from cotrain.data.file_names import fault_of_name, is_one_line
from cotrain.data.files import sha256_of, write_text
from cotrain.errors import InputError
from cotrain.threads import map_in_order
from cotrain.words import agreeing, counted

REQUIRED_COLUMNS = ("id", "image", "width", "height")
OPTIONAL_COLUMNS = ("bytes", "label", "label_sha256", "score", "kept_pixels", "classes")
PATH_COLUMNS = ("image", "label")


class Numbers(NamedTuple):
    """What a column of numbers may hold."""

    kind: type[int] | type[float]
    low: int
    high: int


# No image has a longer side: that is the limit of PNG.
LONGEST_SIDE = 2**31 - 1
NUMBER_COLUMNS = {
    "width": Numbers(int, 1, LONGEST_SIDE),
    "height": Numbers(int, 1, LONGEST_SIDE),
    "bytes": Numbers(int, 0, 2**62),
    "score": Numbers(float, 0, 1),
    "kept_pixels": Numbers(int, 0, 2**62),
    "classes": Numbers(int, 0, 255),
}
WORDS = {int: "an integer", float: "a number"}
# As `write_manifest` writes them. Python itself would also read "1_0", " 5" and digits of other scripts.
FORMS = {int: re.compile(r"[0-9]{1,19}"), float: re.compile(r"[0-9]+(\.[0-9]+)?(e[-+]?[0-9]{1,3})?")}
SHA256 = re.compile(r"[0-9a-f]{64}")
THREADS = 8


@dataclass(frozen=True, slots=True)
class Item:
    """One image of a set.

    - `id` names every file that is made from the image.
    - `width` and `height` are the size of the upright image in pixels.
    - `bytes` is the size of the image file. If images are replaced under the same names, their manifest
      changes, and everything that depends on it is made again.
    - `label` is a label file, `label_sha256` its hash.
    - Pseudo-labels also have a `score` in [0, 1], the number of `kept_pixels` and the number of `classes`.
    """

    id: str
    image: Path
    width: int
    height: int
    label: Path | None = None
    label_sha256: str | None = None
    score: float | None = None
    kept_pixels: int | None = None
    classes: int | None = None
    bytes: int | None = None


def write_manifest(path: str | Path, items: Iterable[Item], relative_to_root: Path | None = None) -> None:
    """Write `items`, perhaps none, in their order; an optional column is written if any item has a value.

    Paths under `relative_to_root` are stored relative to the manifest's folder, so that the tree can be
    moved; all other paths are absolute. Raises InputError if two items share an id, if an id is no name for a
    file, or if a path holds a tab or line end or is not UTF-8 text. Ids that differ only in capitals count as
    the same, because some file systems do not distinguish them.
    """
    rows = list(items)
    users: dict[str, Item] = {}
    for item in rows:
        if fault := fault_of_name(item.id):
            raise InputError(f"{path}: the id {item.id!r} of {item.image} {fault}; rename the file")
        other = users.setdefault(item.id.casefold(), item)
        if other is not item:
            raise InputError(
                f"{path}: two images share the id {item.id!r}: {other.image} and {item.image}; "
                "expected a different id for each image"
            )
    folder = _absolute(Path(path)).parent
    root = None if relative_to_root is None else _absolute(relative_to_root)
    columns = [*REQUIRED_COLUMNS]
    columns += [name for name in OPTIONAL_COLUMNS if any(getattr(item, name) is not None for item in rows)]

    def lines() -> Iterator[str]:
        yield "\t".join(columns) + "\n"
        for item in rows:
            texts = [_stored(getattr(item, name), folder, root) for name in columns]
            if not all(map(is_one_line, texts)):
                raise InputError(
                    f"{path}: the path {str(item.image)!r} or that of its label holds a tab or line end, or "
                    "is not UTF-8 text, which a manifest cannot store; rename the file"
                )
            yield "\t".join(texts) + "\n"

    write_text(path, lines())


def read_manifest(path: str | Path) -> list[Item]:
    """Return the items of a manifest, with absolute paths.

    Raises InputError that names file and line if the manifest is missing, lacks a column or holds a broken
    row.
    """
    try:
        with open(path, encoding="utf-8") as file:
            return _items_of(file, path)
    except OSError as error:
        raise InputError(f"{path}: manifest cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is no manifest: it is not UTF-8 text") from error


def _items_of(file: TextIO, path: str | Path) -> list[Item]:
    header = file.readline()
    if not header:
        raise InputError(f"{path}: is empty (0 bytes), expected a manifest. Make it again")
    columns = header.removesuffix("\n").split("\t")
    missing = [name for name in REQUIRED_COLUMNS if name not in columns]
    repeated = len({*columns}) < len(columns)
    unknown = [name for name in columns if name not in (*REQUIRED_COLUMNS, *OPTIONAL_COLUMNS)]
    if missing or unknown or repeated:
        raise InputError(
            f"{path}:1: is no manifest: found the columns {columns!s:.200}, "
            f"expected {', '.join(REQUIRED_COLUMNS)} and perhaps {', '.join(OPTIONAL_COLUMNS)}"
        )
    folder = _absolute(Path(path)).parent
    items: list[Item] = []
    first_lines: dict[str, int] = {}
    for number, line in enumerate(file, start=2):
        cells = line.removesuffix("\n").split("\t")
        if len(cells) != len(columns):
            raise InputError(
                f"{path}:{number}: found {counted(len(cells), 'column')}, expected {len(columns)}"
            )
        item = _item(dict(zip(columns, cells, strict=True)), folder, f"{path}:{number}")
        first = first_lines.setdefault(item.id.casefold(), number)
        if first != number:
            raise InputError(
                f"{path}:{number}: the id {item.id!r} is already used in line {first}; "
                "expected a different id for each image"
            )
        items.append(item)
    return items


def verify_labels(items: Sequence[Item], manifest_path: str | Path) -> None:
    """Check that the label file of every item exists and still has the hash in the manifest, if one is there.

    Raises InputError that names the first bad label and the number of bad labels.
    """
    problems = [problem for problem in map_in_order(_label_problem, items, THREADS) if problem]
    if problems:
        raise InputError(
            f"{manifest_path}: {len(problems)} of {counted(len(items), 'label')} "
            f"{agreeing(len(problems), 'is', 'are')} bad: {problems[0]}"
        )


def read_labelled(path: str | Path) -> list[Item]:
    """Return the images of a manifest, their labels verified; InputError as of both."""
    items = read_manifest(path)
    verify_labels(items, path)
    return items


def check_listed_size(item: Item, height: int, width: int) -> None:
    """Raise InputError unless the pixels of an image have the size that its manifest gives."""
    if (width, height) != (item.width, item.height):
        raise InputError(
            f"{item.image}: is {width} × {height} pixels, its manifest says {item.width} × {item.height}; "
            "was the image replaced after the manifest was made?"
        )


def _label_problem(item: Item) -> str | None:
    if item.label is None:
        return f"image {item.id!r} has no label"
    if not item.label.is_file():
        return f"{item.label} does not exist"
    if item.label_sha256 is not None and sha256_of(item.label) != item.label_sha256:
        return f"{item.label} has changed since the manifest was written (its SHA-256 differs)"
    return None


def _absolute(path: Path) -> Path:
    # Not resolve(): messages and manifests must name a link to a data store as the user wrote it.
    return Path(os.path.abspath(path))


def _stored(value: object, folder: Path, root: Path | None) -> str:
    if isinstance(value, Path):
        file = _absolute(value)
        return os.path.relpath(file, folder) if root is not None and file.is_relative_to(root) else str(file)
    # The repr of a float is the shortest text that is read back as the same number.
    return "" if value is None else repr(float(value)) if isinstance(value, float) else str(value)


def _item(cells: dict[str, str], folder: Path, place: str) -> Item:
    values: dict[str, object] = {}
    for name, text in cells.items():
        if not text:
            if name in REQUIRED_COLUMNS:
                raise InputError(f"{place}: column {name!r} is empty")
        elif name in PATH_COLUMNS:
            if not is_one_line(text):
                raise InputError(f"{place}: column {name!r} holds {text!r:.200}, expected the path of a file")
            values[name] = _absolute(folder / text)
        elif name in NUMBER_COLUMNS:
            values[name] = _number(text, NUMBER_COLUMNS[name], f"{place}: column {name!r}")
        elif name == "id":
            if fault := fault_of_name(text):
                raise InputError(f"{place}: the id {text!r:.200} {fault}; expected a name for files")
            values[name] = text
        elif not SHA256.fullmatch(text):
            raise InputError(f"{place}: column {name!r} holds {text!r:.200}, expected 64 hexadecimal digits")
        else:
            values[name] = text
    kept = values.get("kept_pixels")
    if isinstance(kept, int) and kept > int(cells["width"]) * int(cells["height"]):
        raise InputError(f"{place}: column 'kept_pixels' holds {kept}, more than the image has pixels")
    return Item(**values)  # type: ignore[arg-type]


def _number(text: str, numbers: Numbers, place: str) -> int | float:
    kind, low, high = numbers
    value = kind(text) if FORMS[kind].fullmatch(text) else None
    # 1e999 is infinite.
    if value is None or not low <= value <= high:
        raise InputError(f"{place} holds {text!r:.200}, expected {WORDS[kind]} from {low} to {high}")
    return value
