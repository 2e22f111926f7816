"""Label spaces: the classes of a run, with train ids and colours.

The built-in ones are in label_spaces.yaml beside this file. In place of a name, users can give the path of a
YAML file with a definition of the same form.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from cotrain.data.file_names import fault_of_name
from cotrain.errors import InputError
from cotrain.words import in_words

IGNORE = 255
YAML_SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True)
class LabelSpace:
    """The classes that a run distinguishes; the position of a class in `classes` is its train id.

    `palette` holds the (red, green, blue) of each class. `members` holds for each class the names of the
    dataset classes that become this class, its own name first.
    """

    name: str
    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    members: Mapping[str, tuple[str, ...]]

    @property
    def number_of_classes(self) -> int:
        """The number of classes; train ids run from 0 to this number minus one."""
        return len(self.classes)

    def train_id(self, dataset_class_name: str) -> int:
        """Return the train id of the class that a dataset class becomes, IGNORE if it becomes none."""
        for train_id, name in enumerate(self.classes):
            if dataset_class_name in self.members[name]:
                return train_id
        return IGNORE

    def definition(self) -> dict[str, Any]:
        """Return the space as JSON types, for a file that readers without this project must understand."""
        return {
            "name": self.name,
            "classes": [
                {"class": name, "colour": list(colour), "members": list(self.members[name][1:])}
                for name, colour in zip(self.classes, self.palette, strict=True)
            ],
        }


@cache
def built_in(kind: str) -> dict[str, Any]:
    """Return the built-in definitions of `kind` ("label_spaces", "class_tables", "layouts") by name."""
    # Only now: many steps need no definition.
    from cotrain.data.yaml_files import read_yaml

    return dict(read_yaml(Path(__file__).with_name(f"{kind}.yaml")))


def definition_of(kind: str, name: str) -> Any:
    """Return the definition `name` of `kind`: a built-in one, or the content of the YAML file with this path.

    Raises InputError that lists the known names if there is neither.
    """
    noun = kind.removesuffix("s").replace("_", " ")
    if not name.endswith(YAML_SUFFIXES):
        if name not in built_in(kind):
            raise InputError(
                f"{noun} {name!r} is not known; expected one of {', '.join(built_in(kind))}, "
                "or the path of a .yaml file with your own"
            )
        return built_in(kind)[name]
    from cotrain.data.yaml_files import read_yaml

    try:
        return read_yaml(Path(name))
    except InputError as error:
        raise InputError(f"{noun} {error}") from None


def place_of(kind: str, name: str, *keys: str | int) -> str:
    """Return what messages call the value below `keys` of a definition: "class table a.yaml, line 3"."""
    place = f"{kind.removesuffix('s').replace('_', ' ')} {name}"
    if not keys or not name.endswith(YAML_SUFFIXES):
        return place
    from cotrain.data.yaml_files import line_of

    return f"{place}, line {line_of(Path(name), *keys)}"


def label_space_names() -> list[str]:
    """Return the names of the built-in label spaces."""
    return list(built_in("label_spaces"))


@cache
def label_space(name: str) -> LabelSpace:
    """Return the label space with this name, or the one in the YAML file with this path.

    Raises InputError if there is none, or if the definition in the file is wrong.
    """
    title = Path(name).stem if name.endswith(YAML_SUFFIXES) else name
    return make_label_space(title, definition_of("label_spaces", name), name)


def make_label_space(name: str, entries: Any, origin: str = "") -> LabelSpace:
    """Return the label space of a definition: a list of {class, colour, members}.

    `origin` is the file of the definition, for messages. Raises InputError for entries of another form, for a
    class, member or colour that occurs twice, and for more than 255 classes.
    """

    def place(*keys: str | int) -> str:
        return place_of("label_spaces", origin, *keys) if origin else f"label space {name}"

    if not isinstance(entries, list) or not 1 <= len(entries) <= IGNORE:
        found = f"{len(entries)} entries" if isinstance(entries, list) else in_words(entries)
        raise InputError(
            f"{place()}: found {found}, expected a list of 1 to 255 classes such as "
            "{class: road, colour: [128, 64, 128]}"
        )
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict) or not {"class", "colour"} <= set(entry) <= {
            "class",
            "colour",
            "members",
        }:
            raise InputError(
                f"{place(number)}: entry {number} is {in_words(entry)}, expected the keys class, colour and "
                "perhaps members"
            )
        if not isinstance(entry["class"], str):
            raise InputError(
                f"{place(number, 'class')}: found the class {in_words(entry['class'])}, expected text"
            )
        if not is_list_of_names(entry.get("members", [])):
            raise InputError(
                f"{place(number, 'members')}: {entry['class']!r} has the members "
                f"{in_words(entry['members'])}, expected a list of names"
            )
        if not is_colour(entry["colour"]):
            raise InputError(
                f"{place(number, 'colour')}: {entry['class']!r} has the colour {in_words(entry['colour'])}, "
                "expected [red, green, blue] from 0 to 255"
            )
        for dataset_class in (entry["class"], *entry.get("members", [])):
            if fault := fault_of_name(dataset_class):
                raise InputError(
                    f"{place(number)}: the class {in_words(dataset_class)} {fault}; classes name folders and "
                    "columns"
                )
    members = {entry["class"]: (entry["class"], *entry.get("members", ())) for entry in entries}
    _refuse_repeated(place, "class", [[entry["class"]] for entry in entries])
    _refuse_repeated(place, "dataset class", members.values())
    _refuse_repeated(place, "colour", [[tuple(entry["colour"])] for entry in entries])
    return LabelSpace(
        name=name,
        classes=tuple(members),
        palette=tuple(tuple(entry["colour"]) for entry in entries),
        members=members,
    )


def is_colour(value: Any) -> bool:
    """Return whether `value` is a list of three integers from 0 to 255."""
    return (
        isinstance(value, list)
        and len(value) == 3
        and all(
            isinstance(level, int) and not isinstance(level, bool) and 0 <= level <= 255 for level in value
        )
    )


def is_list_of_names(value: Any) -> bool:
    """Return whether `value` is a list of strings."""
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _refuse_repeated(place: Callable[..., str], noun: str, values: Iterable[Sequence[Any]]) -> None:
    """Raise InputError for a value that occurs twice; `values` holds those of each entry."""
    seen: set[Any] = set()
    for number, of_entry in enumerate(values):
        for value in of_entry:
            if value in seen:
                raise InputError(
                    f"{place(number)}: the {noun} {in_words(value)} occurs twice, expected it once"
                )
            seen.add(value)
