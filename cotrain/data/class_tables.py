"""Class tables: how the label files of a dataset encode classes.

The built-in ones are in class_tables.yaml beside this file, which also explains the form. Users can write
their own as a YAML file with one definition.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from msgspec import Meta

from cotrain.data.file_names import fault_of_name, is_one_line
from cotrain.data.json_files import Record, read_record
from cotrain.data.label_spaces import IGNORE, LabelSpace, built_in, definition_of, is_colour, place_of
from cotrain.errors import InputError
from cotrain.words import in_words

# What messages call a value of a table, by the keys above it.
Place = Callable[..., str]

ENCODINGS = ("ids", "red_channel", "colours")
KEYS = {"encoding", "ids", "colours", "names", "names_file"}


@dataclass(frozen=True)
class ClassTable:
    """The ids and the encoding of a dataset's label files; `name` is that of the table, or its file.

    `ids` maps the dataset's own id to the dataset class name, or None for void; other ids must not occur.
    `encoding` is one of ENCODINGS. `colours`, used only by the encoding of that name, holds the
    (red, green, blue) of the ids 0, 1, 2, …. `palette` holds the colours that palette images must give to
    the ids, if the dataset defines them.
    """

    name: str
    ids: Mapping[int, str | None]
    encoding: str = "ids"
    colours: tuple[tuple[int, int, int], ...] = ()
    palette: tuple[tuple[int, int, int], ...] = ()


Level = Annotated[int, Meta(ge=0, le=255)]


class NamedLabel(Record, frozen=True):
    """A class in the list of a dataset; its place in the list is its id."""

    name: str
    color: tuple[Level, Level, Level]


class NamesRecord(Record, frozen=True):
    """What is read of the list of classes of a dataset."""

    labels: Annotated[list[NamedLabel], Meta(max_length=256)]

    def __post_init__(self) -> None:
        for label in self.labels:
            if not is_one_line(label.name):
                raise ValueError(f"{label.name!r:.200} is no name in one line")


def class_table_names() -> list[str]:
    """Return the names of the built-in class tables."""
    return list(built_in("class_tables"))


def class_table(name: str, root: Path | None = None, fields: Mapping[str, str] | None = None) -> ClassTable:
    """Return the class table with this name, or the one in the YAML file with this path.

    A table with names reads the ids from the dataset's own list of names: a JSON file below `root`, with
    `fields` filled into its file name. Raises InputError if there is no such table, or if it or the JSON file
    is wrong.
    """
    definition = definition_of("class_tables", name)
    place = partial(place_of, "class_tables", name)
    if not isinstance(definition, dict) or not set(definition) <= KEYS:
        raise InputError(
            f"{place()}: expected the keys {', '.join(sorted(KEYS))}, found {in_words(definition)}"
        )
    encoding = definition.get("encoding", "ids")
    if encoding not in ENCODINGS:
        raise InputError(
            f"{place('encoding')}: found encoding {in_words(encoding)}, expected {', '.join(ENCODINGS)}"
        )
    if encoding == "colours":
        return _table_of_colours(name, place, definition)
    if "names" in definition:
        return _table_of_names(name, place, definition, root, fields or {})
    ids = definition.get("ids")
    if not isinstance(ids, dict) or not ids:
        found = in_words(ids) if "ids" in definition else "none"
        raise InputError(f"{place('ids')}: expected `ids`, own id -> class name or null, found {found}")
    for own_id, class_name in ids.items():
        if type(own_id) is not int or not 0 <= own_id <= 255:
            raise InputError(
                f"{place('ids', own_id)}: found the id {in_words(own_id)}, expected integers from 0 to 255"
            )
        if not _is_name(class_name):
            raise _no_name(place("ids", own_id), f"id {own_id}", class_name)
    return ClassTable(name, ids, encoding)


def translation_table(table: ClassTable, space: LabelSpace) -> npt.NDArray[np.uint8]:
    """Return uint8 (256,): own id -> train id of `space`, IGNORE for void and ids without a class of `space`.

    `translation_table(table, space)[label]` translates a label image.
    """
    train_ids = np.full(256, IGNORE, dtype=np.uint8)
    for own_id, name in table.ids.items():
        if name is not None:
            train_ids[own_id] = space.train_id(name)
    return train_ids


def known_ids(table: ClassTable) -> npt.NDArray[np.bool_]:
    """Return bool (256,): which ids a label file of this table may hold, including void."""
    is_known = np.zeros(256, dtype=bool)
    is_known[list(table.ids)] = True
    return is_known


def _is_name(class_name: Any) -> bool:
    return class_name is None or (isinstance(class_name, str) and is_one_line(class_name))


def _no_name(place: str, what: str, class_name: Any) -> InputError:
    return InputError(f"{place}: {what} means {in_words(class_name)}, expected a class name or null")


def _table_of_colours(name: str, place: Place, definition: Mapping[str, Any]) -> ClassTable:
    entries = definition.get("colours")
    if not isinstance(entries, list) or not 1 <= len(entries) <= 256:
        found = in_words(entries) if "colours" in definition else "none"
        raise InputError(
            f"{place('colours')}: expected `colours`, a list of 1 to 256 {{class, colour}}, found {found}"
        )
    first: dict[tuple[int, int, int], int] = {}
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict) or set(entry) != {"class", "colour"}:
            raise InputError(
                f"{place('colours', number)}: found {in_words(entry)}, "
                "expected {class: road, colour: [128, 64, 128]}"
            )
        colour = in_words(entry["colour"])
        if not is_colour(entry["colour"]):
            raise InputError(
                f"{place('colours', number, 'colour')}: found the colour {colour}, expected "
                "[red, green, blue] from 0 to 255"
            )
        if not _is_name(entry["class"]):
            raise _no_name(place("colours", number), f"the colour {colour}", entry["class"])
        red, green, blue = entry["colour"]
        if first.setdefault((red, green, blue), number) != number:
            raise InputError(
                f"{place('colours', number)}: the colour {colour} occurs twice, expected one for each entry"
            )
    colours = tuple(first)
    return ClassTable(
        name, {number: entry["class"] for number, entry in enumerate(entries)}, "colours", colours
    )


def _table_of_names(
    name: str, place: Place, definition: Mapping[str, Any], root: Path | None, fields: Mapping[str, str]
) -> ClassTable:
    if not isinstance(definition["names"], dict) or not isinstance(definition.get("names_file"), str):
        raise InputError(
            f"{place('names')}: expected `names`, name -> class name or null, and `names_file`, a JSON file"
        )
    for own_name, class_name in definition["names"].items():
        if not _is_name(class_name):
            raise _no_name(place("names", own_name), in_words(own_name), class_name)
    if root is None:
        raise InputError(
            f"{place()}: its ids come from a file of the dataset, so it needs a layout with a root; "
            "name another class table"
        )
    path = root / _name_of_file(definition["names_file"], fields, place)
    record = read_record(path, NamesRecord, "the dataset's list of class names", "that of Mapillary Vistas")
    palette = tuple(label.color for label in record.labels)
    ids = {own_id: _meaning(label.name, definition["names"]) for own_id, label in enumerate(record.labels)}
    return ClassTable(name, ids, palette=palette)


def _name_of_file(pattern: str, fields: Mapping[str, str], place: Place) -> str:
    """Return a path with its {fields} filled in; InputError for other fields, and if it leads elsewhere."""
    unknown = [name for name in re.findall(r"\{([^{}]*)\}", pattern) if name not in fields]
    if unknown:
        raise InputError(f"{place('names_file')}: {{{unknown[0]}}} in `names_file` has no meaning here")
    name = re.sub(r"\{([^{}]*)\}", lambda match: fields[match[1]], pattern)
    if "{" in name or "}" in name or not name or any(map(fault_of_name, name.split("/"))):
        raise InputError(
            f"{place('names_file')}: `names_file` is {in_words(pattern)}, expected a path below the "
            "dataset's folder"
        )
    return name


def _meaning(name: str, meanings: Mapping[str, str | None]) -> str | None:
    """Return the meaning of `name`, or of its longest beginning that `meanings` lists; None without one."""
    parts = name.split("--")
    for length in range(len(parts), 0, -1):
        beginning = "--".join(parts[:length])
        if beginning in meanings:
            return meanings[beginning]
    return None
