"""Datasets in the folders in which their makers publish them: declarations, and the search for their files.

The declarations are in layouts.yaml beside this file, which also explains their form. Users can write their
own as a YAML file with one declaration.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from cotrain.data.images import IMAGE_SUFFIXES
from cotrain.data.label_spaces import built_in, definition_of, is_list_of_names, place_of
from cotrain.errors import InputError
from cotrain.words import counted, in_words

KEYS = {"trees", "classes", "splits", "versions", "sizes_may_differ"}
FIELD = re.compile(r"\{([A-Za-z_]\w*)\}")
FOLDERS = "{folders}"
# What {suffix} in a pattern may stand for, in small or capital letters.
SUFFIX = f"(?i:{'|'.join(suffix.removeprefix('.') for suffix in IMAGE_SUFFIXES)})"


@dataclass(frozen=True)
class Tree:
    """Patterns of the paths of images and labels below a dataset's root."""

    images: str
    labels: str


@dataclass(frozen=True)
class TreeLayout:
    """Where a dataset keeps its images and labels; `classes` names the class table of its labels.

    `name` is that of the layout, or its file. `splits` maps each split to its possible folders; `versions`
    lists the versions of the labels. With `sizes_may_differ`, labels of another size than their image are a
    known fault of the dataset.
    """

    name: str
    trees: tuple[Tree, ...]
    classes: str
    splits: Mapping[str, tuple[str, ...]]
    versions: tuple[str, ...]
    sizes_may_differ: bool


def tree_layout_names() -> list[str]:
    """Return the names of the built-in layouts that have a root folder."""
    return list(built_in("layouts"))


def tree_layout(name: str) -> TreeLayout:
    """Return the layout with this name, or the one in the YAML file with this path.

    Raises InputError if there is none, or if the declaration in the file is wrong.
    """
    declaration = definition_of("layouts", name)
    place = partial(place_of, "layouts", name)
    if not isinstance(declaration, dict) or not {"trees", "classes"} <= set(declaration) <= KEYS:
        raise InputError(
            f"{place()}: expected the keys trees and classes, and perhaps splits, versions and "
            f"sizes_may_differ, found {in_words(declaration)}"
        )
    trees = declaration["trees"]
    if not isinstance(trees, list) or not trees:
        raise InputError(
            f"{place('trees')}: expected `trees`, a list of {{images, labels}}, found {in_words(trees)}"
        )
    for key, fits, expected in (
        ("classes", lambda value: isinstance(value, str), "the name of a class table"),
        ("splits", _are_splits, "split -> its folder, or a list of several"),
        ("versions", is_list_of_names, "a list of names"),
        ("sizes_may_differ", lambda value: isinstance(value, bool), "true or false"),
    ):
        if key in declaration and not fits(declaration[key]):
            raise InputError(
                f"{place(key)}: found {in_words(declaration[key])} as `{key}`, expected {expected}"
            )
    layout = TreeLayout(
        name,
        tuple(_tree(place("trees", number), tree) for number, tree in enumerate(trees)),
        declaration["classes"],
        {
            split: (folders,) if isinstance(folders, str) else tuple(folders)
            for split, folders in declaration.get("splits", {}).items()
        },
        tuple(declaration.get("versions", ())),
        declaration.get("sizes_may_differ", False),
    )
    for number, tree in enumerate(layout.trees):
        for field, values in (("split", layout.splits), ("version", layout.versions)):
            if f"{{{field}}}" in tree.images + tree.labels and not values:
                raise InputError(
                    f"{place('trees', number)}: a path contains {{{field}}}, but the key `{field}s` is "
                    f"missing; add it"
                )
    return layout


def find_files(
    layout: TreeLayout, root: Path, split: str | None, version: str | None, labelled: bool, key: str
) -> list[tuple[Path, Path | None]]:
    """Return (image, label) of every image, sorted by the paths of the images.

    Without `labelled`, labels are None and no folder of labels is read. `key` is the place of the settings
    ("datasets.gta"). Raises InputError if the root or one of its folders is missing, if the layout has no
    such split or version, if there is no image, or if labels lack their images.
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
    images = sorted(_walk(root, _filled(tree.images, fields)), key=lambda entry: entry[0])
    if not images:
        folder = root / _beginning(tree.images, fields)
        raise InputError(
            f"{key}.root: expected images such as {root}/{_filled(tree.images, fields)}, found none; "
            f"{folder} holds {_listing(folder)}"
        )
    if not labelled:
        return [(image, None) for image, _ in images]
    folder = root / _beginning(tree.labels, fields)
    if not folder.is_dir():
        raise InputError(
            f"{key}.root: {folder} is missing: the labels of {layout.name} are expected there; "
            "unpack their archive"
        )
    pairs = [(image, root / _filled(tree.labels, fields | own)) for image, own in images]
    expected = {label for _, label in pairs}
    lonely = [path for path, _ in _walk(root, _filled(tree.labels, fields)) if path not in expected]
    if lonely:
        raise InputError(
            f"{key}.root: {counted(len(lonely), 'label has', 'labels have')} no image, the first is "
            f"{min(lonely)}; {counted(len(pairs), 'image was', 'images were')} found as "
            f"{_filled(tree.images, fields)}; "
            "is the archive of the images unpacked completely?"
        )
    return list(pairs)


def expected_folders(layout: TreeLayout, split: str | None) -> str:
    """Return in words which folders the root of a dataset holds: "images/ and labels/".

    A `split` that the layout does not have counts as its first one.
    """
    folders = layout.splits.get(split or "", next(iter(layout.splits.values()), ("",)))
    return _expected(layout, {"split": folders[0], "version": next(iter(layout.versions), "")})


def chosen_fields(
    layout: TreeLayout, root: Path, split: str | None, version: str | None, labelled: bool, key: str
) -> dict[str, str]:
    """Return the meaning of {split} and {version}; that of {version} only with `labelled`.

    `key` is the place of the settings ("datasets.gta"). Raises InputError if the layout has no such split or
    version, or if `version` is None and the root holds several.
    """
    fields = {}
    for name, value, options in (("split", split, layout.splits), ("version", version, layout.versions)):
        if value is not None and value not in options:
            expected = ", ".join(options) if options else f"none: {layout.name} has no {name}s"
            raise InputError(f"{key}.{name}: found {value!r}, expected {expected}")
    if layout.splits:
        folders = layout.splits[split or next(iter(layout.splits))]
        beginnings = [
            _beginning(tree.images, {"split": folder}) for tree in layout.trees for folder in folders
        ]
        existing_folders = [
            folder
            for folder in folders
            if any((root / text).is_dir() for text in beginnings if folder in text)
        ]
        fields["split"] = existing_folders[0] if existing_folders else folders[0]
    if layout.versions and labelled:
        existing_versions = [
            one
            for one in layout.versions
            if any(
                (root / _beginning(tree.labels, fields | {"version": one})).is_dir() for tree in layout.trees
            )
        ]
        if version is None and len(existing_versions) > 1:
            raise InputError(
                f"{key}.version: {root} holds {' and '.join(existing_versions)}; set the key to one of them"
            )
        fields["version"] = version or (existing_versions or layout.versions)[0]
    return fields


def _are_splits(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and is_list_of_names([*value])
        and all(
            isinstance(folders, str) or (folders and is_list_of_names(folders)) for folders in value.values()
        )
    )


def _tree(place: str, tree: Any) -> Tree:
    is_pair = isinstance(tree, dict) and set(tree) == {"images", "labels"}
    if not is_pair or not is_list_of_names([*tree.values()]):
        raise InputError(
            f"{place}: found {in_words(tree)} in `trees`, expected {{images: PATH, labels: PATH}}"
        )
    unknown = set(FIELD.findall(tree["labels"])) - set(FIELD.findall(tree["images"])) - {"version"}
    if unknown:
        raise InputError(
            f"{place}: {{{min(unknown)}}} in {tree['labels']!r} is not in {tree['images']!r}, "
            "so it has no meaning"
        )
    return Tree(tree["images"], tree["labels"])


def _filled(pattern: str, fields: Mapping[str, str]) -> str:
    return FIELD.sub(lambda match: fields.get(match[1], match[0]), pattern)


def _beginning(pattern: str, fields: Mapping[str, str]) -> str:
    """Return the folders that a pattern begins with, up to the first field that is not in `fields`."""
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
    """Yield every file below `folder` that fits `pattern`, and the values of its fields."""
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
        # Other systems leave hidden files behind, such as "._00001.png" from an archive made on a Mac.
        if entry.name.startswith("."):
            continue
        if into_all_folders and entry.is_dir():
            # Following a link to a parent folder would never end.
            if entry.is_symlink() and Path(folder).resolve().is_relative_to(os.path.realpath(entry.path)):
                continue
            deeper = fields | {"folders": f"{fields.get('folders', '')}{entry.name}/"}
            yield from _descend(entry.path, parts, deeper)
            continue
        match = expression.fullmatch(entry.name)
        if not match:
            continue
        values = fields | match.groupdict()
        if into_all_folders:
            values = {"folders": ""} | values
        if rest:
            yield from _descend(entry.path, rest, values)
        else:
            yield Path(entry.path), values


def _expression(part: str, fields: Mapping[str, str]) -> re.Pattern[str]:
    """Return the regular expression of one part of a path; a field that occurs again means the same text."""
    pieces = FIELD.split(part)
    text, groups = "", set()
    for number, piece in enumerate(pieces):
        if number % 2 == 0:
            text += re.escape(piece)
        elif piece in fields:
            text += re.escape(fields[piece])
        elif piece in groups:
            text += f"(?P={piece})"
        else:
            groups.add(piece)
            text += f"(?P<{piece}>{SUFFIX if piece == 'suffix' else '.+'})"
    # A name may hold a line end; what lists the files says that it cannot.
    return re.compile(text, re.DOTALL)
