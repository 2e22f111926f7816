"""Datasets in the folders in which their makers publish them: declarations, and the search for their files.

The declarations stand in layouts.yaml beside this file, which also explains their form; users bring their own
as a YAML file with one declaration.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cotrain.data.label_spaces import built_in, definition_of, is_list_of_names, title_of
from cotrain.errors import InputError

KEYS = {"trees", "classes", "splits", "versions", "sizes_may_differ"}
FIELD = re.compile(r"\{([A-Za-z_]\w*)\}")
FOLDERS = "{folders}"
# A layout is asked for one suffix of images alone where it says so.
SUFFIX = r"(?:png|jpg|jpeg|PNG|JPG|JPEG)"


@dataclass(frozen=True)
class Tree:
    """Patterns of the paths of images and labels below a dataset's root."""

    images: str
    labels: str


@dataclass(frozen=True)
class TreeLayout:
    """Where a dataset keeps its images and labels; `classes` names the class table of its labels.

    `splits` maps a split to the folders that it may be called; `versions` lists those of the labels;
    with `sizes_may_differ` a label of another size than its image is a known fault of the dataset.
    """

    name: str
    trees: tuple[Tree, ...]
    classes: str
    splits: Mapping[str, tuple[str, ...]]
    versions: tuple[str, ...]
    sizes_may_differ: bool


def tree_layout_names() -> list[str]:
    """Return the names of the built-in layouts with a root folder."""
    return list(built_in("layouts"))


def tree_layout(name: str) -> TreeLayout:
    """Return the layout of this name, or that of the YAML file of this path.

    Raises InputError if there is none, or if the file's declaration is wrong.
    """
    declared = definition_of("layouts", name)
    title = title_of(name)
    if not isinstance(declared, dict) or not {"trees", "classes"} <= set(declared) <= KEYS:
        raise InputError(
            f"layout {title}: expected the keys trees and classes, and perhaps splits, versions and "
            f"sizes_may_differ, found {declared!r:.200}"
        )
    trees = declared["trees"]
    if not isinstance(trees, list) or not trees:
        raise InputError(f"layout {title}: expected `trees`, a list of {{images, labels}}, found {trees!r}")
    for key, fits, expected in (
        ("classes", lambda value: isinstance(value, str), "the name of a class table"),
        ("splits", _are_splits, "split -> its folder, or a list of several"),
        ("versions", is_list_of_names, "a list of names"),
        ("sizes_may_differ", lambda value: isinstance(value, bool), "true or false"),
    ):
        if key in declared and not fits(declared[key]):
            raise InputError(f"layout {title}: found {declared[key]!r} as `{key}`, expected {expected}")
    layout = TreeLayout(
        title,
        tuple(_tree(title, tree) for tree in trees),
        declared["classes"],
        {
            split: (folders,) if isinstance(folders, str) else tuple(folders)
            for split, folders in declared.get("splits", {}).items()
        },
        tuple(declared.get("versions", ())),
        declared.get("sizes_may_differ", False),
    )
    for tree in layout.trees:
        for field, given in (("split", layout.splits), ("version", layout.versions)):
            if f"{{{field}}}" in tree.images + tree.labels and not given:
                raise InputError(f"layout {title}: {{{field}}} is used, but `{field}s` says nothing about it")
    return layout


def find_files(
    layout: TreeLayout, root: Path, split: str | None, version: str | None, labelled: bool, key: str
) -> list[tuple[Path, Path | None]]:
    """Return (image, label) of every image in the order of their paths.

    Without `labelled` labels are None and nothing of theirs is looked at. `key` is where the settings stand
    ("datasets.gta"). Raises InputError if the root or one of its folders is missing, if split or version are
    not those of the layout, if nothing is found, or if labels lack their images.
    """
    fields = chosen_fields(layout, root, split, version, labelled, key)
    if not root.is_dir():
        raise InputError(
            f"{key}.root: {root} is no folder; expected the root of {layout.name}, "
            f"with {_expected(layout, fields)}"
        )
    for tree in layout.trees:
        if (root / _beginning(tree.images, fields)).is_dir():
            break
    else:
        raise InputError(
            f"{key}.root: {root} does not look like {layout.name}: expected {_expected(layout, fields)}, "
            f"found {_listing(root)}"
        )
    images = sorted(_walk(root, _filled(tree.images, fields)), key=lambda found: found[0])
    if not images:
        folder = root / _beginning(tree.images, fields)
        raise InputError(
            f"{key}.root: no image is called {root}/{_filled(tree.images, fields)}; {folder} holds "
            f"{_listing(folder)}"
        )
    if not labelled:
        return [(image, None) for image, _ in images]
    folder = root / _beginning(tree.labels, fields)
    if not folder.is_dir():
        raise InputError(
            f"{key}.root: {folder} is missing: the labels of {layout.name} are expected there; "
            "has their archive been unpacked?"
        )
    pairs = [(image, root / _filled(tree.labels, fields | own)) for image, own in images]
    expected = {label for _, label in pairs}
    lonely = [path for path, _ in _walk(root, _filled(tree.labels, fields)) if path not in expected]
    if lonely:
        raise InputError(
            f"{key}.root: {len(lonely)} labels have no image, the first is {min(lonely)}; "
            f"{len(pairs)} images were found as {_filled(tree.images, fields)}; "
            "has their archive been unpacked to its end?"
        )
    return list(pairs)


def expected_folders(layout: TreeLayout, split: str | None = None) -> str:
    """Return in words which folders the root of a dataset holds: "images/ and labels/"; of its first split
    if `split` is none of its."""
    folders = layout.splits.get(split or "", next(iter(layout.splits.values()), ("",)))
    return _expected(layout, {"split": folders[0], "version": next(iter(layout.versions), "")})


def chosen_fields(
    layout: TreeLayout, root: Path, split: str | None, version: str | None, labelled: bool, key: str
) -> dict[str, str]:
    """Return what {split} and {version} stand for; the version only with `labelled`.

    `key` is where the settings stand ("datasets.gta"). Raises InputError if split or version are not those of
    the layout, or if the version is not given and several are there.
    """
    fields = {}
    for name, value, known in (("split", split, layout.splits), ("version", version, layout.versions)):
        if value is not None and value not in known:
            expected = ", ".join(known) if known else f"none: {layout.name} has no {name}s"
            raise InputError(f"{key}.{name}: found {value!r}, expected {expected}")
    if layout.splits:
        folders = layout.splits[split or next(iter(layout.splits))]
        beginnings = [
            _beginning(tree.images, {"split": folder}) for tree in layout.trees for folder in folders
        ]
        there = [
            folder
            for folder in folders
            if any((root / text).is_dir() for text in beginnings if folder in text)
        ]
        fields["split"] = there[0] if there else folders[0]
    if layout.versions and labelled:
        there = [
            one
            for one in layout.versions
            if any(
                (root / _beginning(tree.labels, fields | {"version": one})).is_dir() for tree in layout.trees
            )
        ]
        if version is None and len(there) > 1:
            raise InputError(f"{key}.version: {root} holds {' and '.join(there)}; say which of them")
        fields["version"] = version or (there or layout.versions)[0]
    return fields


def _are_splits(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and is_list_of_names([*value])
        and all(
            isinstance(folders, str) or (folders and is_list_of_names(folders)) for folders in value.values()
        )
    )


def _tree(title: str, tree: Any) -> Tree:
    is_pair = isinstance(tree, dict) and set(tree) == {"images", "labels"}
    if not is_pair or not is_list_of_names([*tree.values()]):
        raise InputError(
            f"layout {title}: found {tree!r} in `trees`, expected {{images: PATH, labels: PATH}}"
        )
    unknown = set(FIELD.findall(tree["labels"])) - set(FIELD.findall(tree["images"])) - {"version"}
    if unknown:
        raise InputError(
            f"layout {title}: {{{min(unknown)}}} in {tree['labels']!r} is not in {tree['images']!r}, "
            "so it stands for nothing"
        )
    return Tree(tree["images"], tree["labels"])


def _filled(pattern: str, fields: Mapping[str, str]) -> str:
    return FIELD.sub(lambda found: fields.get(found[1], found[0]), pattern)


def _beginning(pattern: str, fields: Mapping[str, str]) -> str:
    """Return the folders that a pattern begins with, before the first field that is not told."""
    return _filled(pattern, fields).partition("{")[0].rpartition("/")[0]


def _expected(layout: TreeLayout, fields: Mapping[str, str]) -> str:
    return " or ".join(
        f"{_beginning(tree.images, fields)}/ and {_beginning(tree.labels, fields)}/" for tree in layout.trees
    )


def _listing(folder: Path) -> str:
    names = sorted(os.listdir(folder))
    return (
        ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
        if names
        else "nothing"
    )


def _walk(folder: Path, pattern: str) -> Iterator[tuple[Path, dict[str, str]]]:
    """Yield every file below `folder` that fits `pattern`, and what its fields stand for."""
    yield from _descend(str(folder), pattern.split("/"), {})


def _descend(
    folder: str, parts: Sequence[str], fields: dict[str, str]
) -> Iterator[tuple[Path, dict[str, str]]]:
    first, *rest = parts
    into_all_folders = first.startswith(FOLDERS)
    if rest and "{" not in first:
        yield from _descend(os.path.join(folder, first), rest, fields)
        return
    expression = _expression(first.removeprefix(FOLDERS), fields)
    try:
        entries = list(os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise InputError(f"{folder}: the folder cannot be read ({error.strerror})") from error
    for entry in entries:
        # Hidden files are what other systems leave behind, as "._00001.png" of a Mac's archive.
        if entry.name.startswith("."):
            continue
        if into_all_folders and entry.is_dir():
            # A link to a folder around it would lead round for ever.
            if entry.is_symlink() and Path(folder).resolve().is_relative_to(os.path.realpath(entry.path)):
                continue
            deeper = fields | {"folders": f"{fields.get('folders', '')}{entry.name}/"}
            yield from _descend(entry.path, parts, deeper)
            continue
        found = expression.fullmatch(entry.name)
        if not found:
            continue
        known = (
            {"folders": ""} | fields | found.groupdict() if into_all_folders else fields | found.groupdict()
        )
        if rest:
            yield from _descend(entry.path, rest, known)
        else:
            yield Path(entry.path), known


def _expression(part: str, fields: Mapping[str, str]) -> re.Pattern[str]:
    """Return the regular expression of one part of a path; a field seen before stands for the same text."""
    pieces = FIELD.split(part)
    text, seen = "", set()
    for number, piece in enumerate(pieces):
        if number % 2 == 0:
            text += re.escape(piece)
        elif piece in fields:
            text += re.escape(fields[piece])
        elif piece in seen:
            text += f"(?P={piece})"
        else:
            seen.add(piece)
            text += f"(?P<{piece}>{SUFFIX if piece == 'suffix' else '.+'})"
    return re.compile(text)
