"""Class tables: how the label files of a dataset encode classes.

The built-in ones are in class_tables.yaml beside this file, which also explains the form. Users can write
their own as a YAML file with one definition.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from msgspec import Meta

from cotrain.data.file_names import fault_of_name, is_one_line
from cotrain.data.json_files import Record, read_record
from cotrain.data.label_spaces import IGNORE, LabelSpace, built_in, definition_of, is_colour, title_of
from cotrain.errors import InputError

ENCODINGS = ("ids", "red_channel", "colours")
KEYS = {"encoding", "ids", "colours", "names", "names_file"}


@dataclass(frozen=True)
class ClassTable:
    """The ids and the encoding of a dataset's label files.

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
    title = title_of(name)
    place = f"class table {title}"
    if not isinstance(definition, dict) or not set(definition) <= KEYS:
        raise InputError(f"{place}: expected the keys {', '.join(sorted(KEYS))}, found {definition!r:.200}")
    encoding = definition.get("encoding", "ids")
    if encoding not in ENCODINGS:
        raise InputError(f"{place}: found encoding {encoding!r}, expected {', '.join(ENCODINGS)}")
    if encoding == "colours":
        return _table_of_colours(title, place, definition)
    if "names" in definition:
        return _table_of_names(title, place, definition, root, fields or {})
    ids = definition.get("ids")
    if not isinstance(ids, dict) or not ids:
        raise InputError(f"{place}: expected `ids`, own id -> class name or null, found {ids!r}")
    for own_id, class_name in ids.items():
        if type(own_id) is not int or not 0 <= own_id <= 255:
            raise InputError(f"{place}: found the id {own_id!r}, expected integers from 0 to 255")
        _refuse_other_than_name(f"{place}: id {own_id}", class_name)
    return ClassTable(title, ids, encoding)


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


def _refuse_other_than_name(what: str, class_name: Any) -> None:
    if not isinstance(class_name, str | None) or not is_one_line(class_name or ""):
        raise InputError(f"{what} means {class_name!r:.200}, expected a class name or null")


def _table_of_colours(title: str, place: str, definition: Mapping[str, Any]) -> ClassTable:
    entries = definition.get("colours")
    if not isinstance(entries, list) or not 1 <= len(entries) <= 256:
        raise InputError(f"{place}: expected `colours`, a list of {{class, colour}}, found {entries!r:.200}")
    for entry in entries:
        if not isinstance(entry, dict) or set(entry) != {"class", "colour"} or not is_colour(entry["colour"]):
            raise InputError(f"{place}: found {entry!r}, expected {{class: road, colour: [128, 64, 128]}}")
        _refuse_other_than_name(f"{place}: the colour {entry['colour']}", entry["class"])
    colours = tuple(tuple(entry["colour"]) for entry in entries)
    if len(set(colours)) < len(colours):
        raise InputError(f"{place}: a colour occurs twice, expected one colour for each entry")
    return ClassTable(
        title, {number: entry["class"] for number, entry in enumerate(entries)}, "colours", colours
    )


def _table_of_names(
    title: str, place: str, definition: Mapping[str, Any], root: Path | None, fields: Mapping[str, str]
) -> ClassTable:
    if not isinstance(definition["names"], dict) or not isinstance(definition.get("names_file"), str):
        raise InputError(
            f"{place}: expected `names`, name -> class name or null, and `names_file`, a JSON file"
        )
    for name, class_name in definition["names"].items():
        _refuse_other_than_name(f"{place}: {name!r}", class_name)
    if root is None:
        raise InputError(
            f"{place}: its ids come from a file of the dataset, so it needs a layout with a root; "
            "name another class table"
        )
    path = root / _name_of_file(definition["names_file"], fields, place)
    record = read_record(path, NamesRecord, "the dataset's list of class names", "that of Mapillary Vistas")
    names = [label.name for label in record.labels]
    palette = tuple(label.color for label in record.labels)
    ids = {own_id: _meaning(name, definition["names"]) for own_id, name in enumerate(names)}
    return ClassTable(title, ids, palette=palette)


def _name_of_file(pattern: str, fields: Mapping[str, str], place: str) -> str:
    """Return a path with its {fields} filled in; InputError for other fields, and if it leads elsewhere."""
    unknown = [name for name in re.findall(r"\{([^{}]*)\}", pattern) if name not in fields]
    if unknown:
        raise InputError(f"{place}: {{{unknown[0]}}} in `names_file` has no meaning here")
    name = re.sub(r"\{([^{}]*)\}", lambda match: fields[match[1]], pattern)
    if "{" in name or "}" in name or not name or any(map(fault_of_name, name.split("/"))):
        raise InputError(
            f"{place}: `names_file` is {pattern!r:.200}, expected a path below the dataset's folder"
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
