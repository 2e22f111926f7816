"""YAML files, read quickly. A key that is given twice is refused: YAML itself would forget the first."""

from pathlib import Path
from typing import Any

import yaml

from cotrain.errors import InputError, reason


class _UniqueKeys(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The fast parser where there is one; it makes nothing but plain data."""

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
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeys)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {reason(error)}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}, line {mark.line + 1}" if mark else str(path)
        raise InputError(f"{place}: not valid YAML: {getattr(error, 'problem', error)}") from error
