"""Label spaces (the classes of a run) and class tables (how label files encode classes)."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml

from cotrain.errors import InputError

IGNORE = 255


@dataclass(frozen=True)
class LabelSpace:
    """The classes that a run distinguishes; a class's position in `classes` is its train id.

    `palette` holds one (red, green, blue) a class; `members` the dataset class names folded into
    each class, itself included.
    """

    name: str
    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    members: Mapping[str, tuple[str, ...]]

    @property
    def number_of_classes(self) -> int:
        """How many classes there are; train ids are 0 to this number less one."""
        return len(self.classes)

    def train_id(self, dataset_class_name: str) -> int:
        """Return the train id of the class that the dataset class belongs to, IGNORE if there is none."""
        for train_id, name in enumerate(self.classes):
            if dataset_class_name in self.members[name]:
                return train_id
        return IGNORE


@dataclass(frozen=True)
class ClassTable:
    """What the ids in a dataset's label files mean: own id -> dataset class name, None for void."""

    name: str
    ids: Mapping[int, str | None]


@cache
def _definitions() -> dict[str, Any]:
    return yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))


def label_space_names() -> list[str]:
    """Return the names that `label_space` knows."""
    return list(_definitions()["label_spaces"])


def class_table_names() -> list[str]:
    """Return the names that `class_table` knows."""
    return list(_definitions()["class_tables"])


@cache
def label_space(name: str) -> LabelSpace:
    """Return the built-in label space; InputError lists the known names."""
    if name not in label_space_names():
        raise InputError(f"label space {name!r} is not known; known are {', '.join(label_space_names())}")
    entries = _definitions()["label_spaces"][name]
    return LabelSpace(
        name=name,
        classes=tuple(entry["class"] for entry in entries),
        palette=tuple(tuple(entry["colour"]) for entry in entries),
        members={entry["class"]: (entry["class"], *entry.get("members", ())) for entry in entries},
    )


@cache
def class_table(name: str) -> ClassTable:
    """Return the built-in class table; InputError lists the known names."""
    if name not in class_table_names():
        raise InputError(f"class table {name!r} is not known; known are {', '.join(class_table_names())}")
    return ClassTable(name=name, ids=_definitions()["class_tables"][name])


def translation_table(table: ClassTable, space: LabelSpace) -> npt.NDArray[np.uint8]:
    """Return uint8 (256,): own id -> train id of `space`, IGNORE for void, unknown ids and absent classes.

    `translation_table(table, space)[label]` translates a label image.
    """
    lookup = np.full(256, IGNORE, dtype=np.uint8)
    for own_id, name in table.ids.items():
        if name is not None:
            lookup[own_id] = space.train_id(name)
    return lookup


def known_ids(table: ClassTable) -> npt.NDArray[np.bool_]:
    """Return bool (256,): which ids a label file of this table may hold, void included."""
    known = np.zeros(256, dtype=bool)
    known[list(table.ids)] = True
    return known
