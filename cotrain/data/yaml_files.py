"""YAML files, read quickly. A key that is given twice is refused: YAML itself would forget the first."""

from pathlib import Path
from typing import Any

import yaml

from cotrain.data.json_files import LARGEST_INTEGER
from cotrain.errors import InputError, reason

# Far more than anybody writes. Deeper nesting would end the parser in a segmentation fault, and a few aliases
# of aliases can stand for more values than a memory holds.
MOST_LEVELS = 50
MOST_VALUES = 100_000


class _UniqueKeys(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The fast parser where there is one; it makes nothing but plain data."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            value = super().construct_object(node, deep)
        except (yaml.YAMLError, RecursionError):
            raise
        # For dates, numbers and tags that do not fit their values it raises all kinds of errors.
        except Exception as error:
            problem = "the value is not of the kind that its form or its tag says"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from error
        if isinstance(value, int) and abs(value) > LARGEST_INTEGER:
            # Python refuses to write out thousands of digits, as messages would.
            problem = "found an integer of more than 64 bit"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        return value

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        first_lines: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            first = first_lines.setdefault(key.value, line) if isinstance(key, yaml.ScalarNode) else line
            if first != line:
                problem = f"the key {key.value!r} is given in line {first} already"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
        return dict(super().construct_mapping(node, deep))


def read_yaml(path: Path) -> Any:
    """Return the content of a YAML file, None for an empty one.

    Raises InputError that names the file and, for bad YAML, the line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {reason(error)}") from error
    try:
        _check_extent(text)
        return yaml.load(text, Loader=_UniqueKeys)
    except yaml.reader.ReaderError as error:
        raise InputError(f"{path}: not valid YAML: it holds a character that YAML does not allow") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}, line {mark.line + 1}" if mark else str(path)
        raise InputError(f"{place}: not valid YAML: {getattr(error, 'problem', error)}") from error


def _check_extent(text: str) -> None:
    """Raise ConstructorError for text that is nested too deeply or stands for too many values.

    The events of the parser say so before anything is made from them.
    """
    sizes: dict[str, int] = {}
    # The anchor of each open collection, and the values in it so far.
    open_ones: list[tuple[str | None, int]] = [(None, 0)]
    for event in yaml.parse(text, Loader=_UniqueKeys):
        if isinstance(event, yaml.CollectionStartEvent):
            open_ones.append((event.anchor, 1))
            size = 0
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, size = open_ones.pop()
            if anchor:
                sizes[anchor] = size
        elif isinstance(event, yaml.AliasEvent):
            # Within itself it stands for values without end.
            is_open = any(anchor == event.anchor for anchor, _ in open_ones)
            size = MOST_VALUES + 1 if is_open else sizes.get(event.anchor or "", 1)
        else:
            size = int(isinstance(event, yaml.ScalarEvent))
        anchor, total = open_ones[-1]
        open_ones[-1] = (anchor, total + size)
        if len(open_ones) > MOST_LEVELS or total + size > MOST_VALUES:
            problem = f"expected at most {MOST_LEVELS} levels and {MOST_VALUES:,} values, aliases written out"
            raise yaml.constructor.ConstructorError(None, None, problem, event.start_mark)  # type: ignore[arg-type]
