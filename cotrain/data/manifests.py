"""Manifests: tab-separated tables that list a set of images with ids, paths, sizes and labels."""

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from cotrain.data.files import sha256_of, write_text
from cotrain.errors import InputError

REQUIRED_COLUMNS = ("id", "image", "width", "height")
OPTIONAL_COLUMNS = ("bytes", "label", "label_sha256", "score", "kept_pixels", "classes")
PATH_COLUMNS = ("image", "label")
NUMBER_COLUMNS = {
    "width": int,
    "height": int,
    "bytes": int,
    "score": float,
    "kept_pixels": int,
    "classes": int,
}
THREADS = 8


@dataclass(frozen=True)
class Item:
    """One image of a set.

    `id` names whatever is made from it; `width` and `height` are pixels of the upright image; `bytes` is
    the size of its file: images made anew under their old names make another manifest, so that whatever
    depends on it is made anew too;
    `label` is a label file and `label_sha256` its hash; pseudo-labels also carry their `score` in
    [0, 1], the number of `kept_pixels` and the number of `classes` in them.
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
    """Write `items`, perhaps none, in their order; an optional column is there when any item has it.

    Files under `relative_to_root` are stored relative to the manifest's folder, so that the tree can be
    moved; all others absolute. Raises InputError when two items share an id (names that differ in
    capitals alone included: some file systems hold them for one) or a path holds a tab or line end.
    """
    listed = list(items)
    seen: dict[str, Item] = {}
    for item in listed:
        other = seen.setdefault(item.id.casefold(), item)
        if other is not item:
            raise InputError(
                f"{path}: two images share the id {item.id!r}: {other.image} and {item.image}; "
                "expected one id an image"
            )
    folder = _absolute(Path(path)).parent
    root = None if relative_to_root is None else _absolute(relative_to_root)
    columns = [*REQUIRED_COLUMNS]
    columns += [name for name in OPTIONAL_COLUMNS if any(getattr(item, name) is not None for item in listed)]
    lines = ["\t".join(columns)]
    for item in listed:
        texts = [_stored(getattr(item, name), folder, root) for name in columns]
        if any(character in text for text in texts for character in "\t\n\r"):
            raise InputError(
                f"{path}: a tab or line end in {str(item.image)!r} or its label cannot be stored"
            )
        lines.append("\t".join(texts))
    write_text(path, "\n".join(lines) + "\n")


def read_manifest(path: str | Path) -> list[Item]:
    """Return the items of a manifest, paths absolute.

    Raises InputError, naming file and line, if it is missing, lacks a column or holds a broken row.
    """
    try:
        # Not splitlines(): it also splits at characters that a path may hold.
        lines = Path(path).read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except OSError as error:
        raise InputError(f"{path}: manifest cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is no manifest: not UTF-8 text") from error
    columns = lines[0].split("\t")
    missing = [name for name in REQUIRED_COLUMNS if name not in columns]
    unknown = [name for name in columns if name not in (*REQUIRED_COLUMNS, *OPTIONAL_COLUMNS)]
    if missing or unknown:
        raise InputError(
            f"{path}:1: is no manifest: found the columns {columns}, "
            f"expected {', '.join(REQUIRED_COLUMNS)} and perhaps {', '.join(OPTIONAL_COLUMNS)}"
        )
    folder = _absolute(Path(path)).parent
    items: list[Item] = []
    first_lines: dict[str, int] = {}
    for number, line in enumerate(lines[1:], start=2):
        cells = line.split("\t")
        if len(cells) != len(columns):
            raise InputError(f"{path}:{number}: found {len(cells)} columns, expected {len(columns)}")
        item = _item(dict(zip(columns, cells, strict=True)), folder, f"{path}:{number}")
        first = first_lines.setdefault(item.id.casefold(), number)
        if first != number:
            raise InputError(f"{path}:{number}: the id {item.id!r} is taken by line {first}")
        items.append(item)
    return items


def verify_labels(items: Sequence[Item], manifest_path: str | Path) -> None:
    """Check that every item's label file exists and, where the manifest gives a hash, is unchanged.

    Raises InputError that names the first bad label and how many there are.
    """
    with ThreadPoolExecutor(THREADS) as pool:
        problems = [problem for problem in pool.map(_label_problem, items) if problem]
    if problems:
        raise InputError(f"{manifest_path}: {len(problems)} of {len(items)} labels are bad: {problems[0]}")


def read_labelled(path: str | Path) -> list[Item]:
    """Return the images of a manifest, their labels verified; InputError as of both."""
    items = read_manifest(path)
    verify_labels(items, path)
    return items


def _label_problem(item: Item) -> str | None:
    if item.label is None:
        return f"image {item.id!r} has no label"
    if not item.label.is_file():
        return f"{item.label} does not exist"
    if item.label_sha256 is not None and sha256_of(item.label) != item.label_sha256:
        return f"{item.label} has changed since the manifest was written (another SHA-256)"
    return None


def _absolute(path: Path) -> Path:
    # Not resolve(): a link into a data store is to stay a link in what the user reads.
    return Path(os.path.abspath(path))


def _stored(value: object, folder: Path, root: Path | None) -> str:
    if isinstance(value, Path):
        file = _absolute(value)
        return os.path.relpath(file, folder) if root is not None and file.is_relative_to(root) else str(file)
    # repr of a float is the shortest text that reads back as the same number.
    return "" if value is None else repr(float(value)) if isinstance(value, float) else str(value)


def _item(cells: dict[str, str], folder: Path, place: str) -> Item:
    values: dict[str, object] = {}
    for name, text in cells.items():
        if not text:
            if name in REQUIRED_COLUMNS:
                raise InputError(f"{place}: column {name!r} is empty")
        elif name in PATH_COLUMNS:
            values[name] = _absolute(folder / text)
        elif name in NUMBER_COLUMNS:
            try:
                values[name] = NUMBER_COLUMNS[name](text)
            except ValueError as error:
                raise InputError(f"{place}: column {name!r} holds {text!r}, expected a number") from error
        else:
            values[name] = text
    return Item(**values)  # type: ignore[arg-type]
