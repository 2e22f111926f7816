"""What config/schema.yaml says: its keys, what each of them allows, and the defaults."""

import copy
import math
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from cotrain.data.label_spaces import YAML_SUFFIXES
from cotrain.data.trees import tree_layout_names

SCHEMA_FILE = Path(__file__).parent.parent / "config" / "schema.yaml"
AUGMENTATIONS = ("source_augmentation", "target_augmentation")

Schema = dict[str, Any]


class _UniqueKeys(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The fast parser where there is one; of two equal keys, YAML's own would forget the first."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        first_lines: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            first = first_lines.setdefault(key.value, line) if isinstance(key, yaml.ScalarNode) else line
            if first != line:
                problem = f"the key {key.value!r} is given in line {first} already"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
        return dict(super().construct_mapping(node, deep))


def load_yaml(text: str) -> Any:
    """Return the content of a YAML text; raises yaml.YAMLError, for a key that is given twice too."""
    return yaml.load(text, Loader=_UniqueKeys)


@cache
def whole_schema() -> Schema:
    """Return config/schema.yaml, read once; nobody may change it."""
    return load_yaml(SCHEMA_FILE.read_text(encoding="utf-8"))


def _is_integer(_: Any, value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(_: Any, value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


# JSON Schema lets 4.0 pass for an integer and NaN for a number.
Validator = jsonschema.validators.extend(
    jsonschema.Draft202012Validator,
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine_many(
        {"integer": _is_integer, "number": _is_number}
    ),
)


def dereferenced(schema: Schema) -> Schema:
    """Return the schema with its `$ref` replaced by what it refers to; keys beside it win."""
    if "$ref" not in schema:
        return schema
    target = whole_schema()["$defs"][schema["$ref"].rpartition("/")[2]]
    return {**target, **{key: value for key, value in schema.items() if key != "$ref"}}


# What the reference calls all that have no name of their own here.
OTHERS = {"layout": "any other", "name": "package.module:factory"}


def variants(schema: Schema) -> tuple[str, dict[str, Schema]]:
    """Return the key that decides which keys a section takes, and its value, or OTHERS -> schema."""
    found = {}
    for part in schema["allOf"]:
        ((key, condition),) = part["if"]["properties"].items()
        found[condition.get("const", OTHERS[key])] = dereferenced(part["then"])
    return key, found


def _entry_schema(schema: Schema, entry: Any) -> Schema:
    """Return the schema that applies to the mapping `entry`: that of its layout, or of its network."""
    schema = dereferenced(schema)
    if "allOf" not in schema or not isinstance(entry, dict):
        return schema
    key, known = variants(schema)
    value = entry.get(key, schema["properties"][key].get("default"))
    is_other = isinstance(value, str) and (
        value in tree_layout_names() or value.endswith(YAML_SUFFIXES) if key == "layout" else ":" in value
    )
    if is_other:
        return known[OTHERS[key]]
    return known.get(value, schema) if isinstance(value, str) else schema


def keys(schema: Schema, prefix: str = "") -> Iterator[tuple[str, Schema]]:
    """Yield (dotted key, schema) of every key that holds a value, those of datasets left out."""
    for name, part in schema["properties"].items():
        part = dereferenced(part)
        yield f"{prefix}{name}", part
        if "properties" in part:
            yield from keys(part, f"{prefix}{name}.")


def allowed(schema: Schema) -> str:
    """Return in words which values a schema allows."""
    schema = dereferenced(schema)
    if "title" in schema:
        return schema["title"]
    if "enum" in schema:
        return listed(map(str, schema["enum"]))
    if "const" in schema:
        return str(schema["const"])
    kind = schema["type"]
    if kind not in ("integer", "number"):
        return {"boolean": "true or false", "object": "a section of keys", "string": "text"}[kind]
    noun = "an integer" if kind == "integer" else "a number"
    if "minimum" in schema and "maximum" in schema:
        return f"{noun} from {schema['minimum']} to {schema['maximum']}"
    signs = {"exclusiveMinimum": ">", "minimum": ">=", "exclusiveMaximum": "<", "maximum": "<="}
    bounds = [f"{sign} {schema[key]}" for key, sign in signs.items() if key in schema]
    return " ".join([noun, " and ".join(bounds)]).strip()


def listed(names: Iterable[str]) -> str:
    """Return the names as 'a, b or c'."""
    names = list(names)
    return " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def plain_copy(value: Any) -> Any:
    """Return a deep copy made of ordinary dicts, their keys as text, and lists."""
    if isinstance(value, Mapping):
        return {str(key): plain_copy(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_copy(item) for item in value]
    return copy.deepcopy(value)


def with_defaults(value: Any, schema: Schema) -> Any:
    """Return `value` with the defaults of all missing keys; what does not fit the schema is left alone."""
    if not isinstance(value, dict):
        return value
    schema = _entry_schema(schema, value)
    result = {}
    for name, part in schema.get("properties", {}).items():
        part = dereferenced(part)
        is_section = part.get("type") == "object"
        if name not in value and "default" in part:
            result[name] = copy.deepcopy(part["default"])
        elif is_section and value.get(name) is None and name not in schema.get("required", ()):
            # A section without keys, or with all of them commented out, is null in YAML.
            result[name] = with_defaults({}, part)
        elif name in value:
            result[name] = with_defaults(value[name], part)
    others = schema.get("additionalProperties") or {}
    for name in value:
        if name not in result:
            result[name] = with_defaults(value[name], others)
    return result
