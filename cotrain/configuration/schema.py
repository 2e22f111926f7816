"""The JSON schema of a configuration, made from `sections.py`, and what it says in words.

`config/schema.json` is this schema: editors complete and check a configuration by it. The same schema checks
a configuration before a run, since jsonschema finds all mistakes at once.
"""

import copy
import math
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from types import NoneType
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin

import jsonschema
import msgspec

from cotrain.configuration.sections import (
    NETWORK_NAMES,
    CompletedFrom,
    Configuration,
    DatasetSettings,
    Section,
)
from cotrain.configuration.variants import DATASETS, NETWORKS, Variants, variants_of
from cotrain.data.trees import tree_layout_names
from cotrain.words import HUGE_INTEGER, LARGEST_INTEGER

Schema = dict[str, Any]

DRAFT = "https://json-schema.org/draft/2020-12/schema"
# `$` alone would let a line end pass at the end.
YAML_FILE = r"\.ya?ml$(?!\n)"
IMPORT_PATH = r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$(?!\n)"


class Key(NamedTuple):
    """A key of a section: its type without annotations, and what the annotations say."""

    name: str
    type: Any
    is_nullable: bool
    annotated: Any
    meaning: str | None
    title: str | None
    completed_from: CompletedFrom | None
    default: Any
    is_required: bool


def keys_of(section: type[Section]) -> list[Key]:
    """Return the keys of a section, in their order."""
    return [_key(field) for field in msgspec.structs.fields(section)]


def _key(field: msgspec.structs.FieldInfo) -> Key:
    kind: Any = field.type
    notes: list[Any] = []
    if get_origin(kind) is Annotated:
        kind, *notes = get_args(kind)
    alternatives = get_args(kind) if get_origin(kind) in (Union, type(int | None)) else ()
    is_nullable = NoneType in alternatives
    if is_nullable and len(alternatives) == 2:
        [kind] = [alternative for alternative in alternatives if alternative is not NoneType]
    texts = [note for note in notes if isinstance(note, str)]
    titles = [note.title for note in notes if isinstance(note, msgspec.Meta) and note.title]
    completed = [note for note in notes if isinstance(note, CompletedFrom)]
    return Key(
        name=field.name,
        type=kind,
        is_nullable=is_nullable or bool(completed),
        annotated=field.type,
        # The last says most: it stands nearest to the key.
        meaning=texts[-1] if texts else None,
        title=titles[-1] if titles else None,
        completed_from=completed[0] if completed else None,
        default=plain(field.default),
        is_required=field.required and not completed and not is_section(kind),
    )


def plain(value: Any) -> Any:
    """Return a default as JSON types; msgspec.NODEFAULT stays."""
    return value if value is msgspec.NODEFAULT else msgspec.json.decode(msgspec.json.encode(value))


def is_section(kind: Any) -> bool:
    """Whether a key of this type holds further keys."""
    return variants_of(kind) is not None or (isinstance(kind, type) and issubclass(kind, Section))


@cache
def whole_schema() -> Schema:
    """Return the schema of a configuration; nobody may change it."""
    return {"$schema": DRAFT, **section_schema(Configuration)}


def section_schema(section: type[Section]) -> Schema:
    """Return the schema of a section, with the meaning, range and default of each key."""
    return {
        "type": "object",
        "description": meaning_of(section),
        "additionalProperties": False,
        "required": [key.name for key in keys_of(section) if key.is_required],
        "properties": {key.name: key_schema(key) for key in keys_of(section)},
    }


def meaning_of(section: type) -> str:
    """Return what a section is for, as its docstring says."""
    return " ".join((section.__doc__ or "").split())


def key_schema(key: Key) -> Schema:
    """Return the schema of one key."""
    schema: Schema
    if key.completed_from:
        schema = _partial_schema(key.type, key.completed_from)
    elif variants_of(key.type):
        schema = variants_schema(NETWORKS)
    elif is_section(key.type):
        schema = section_schema(key.type)
    elif get_origin(key.type) is dict and get_args(key.type)[1] is DatasetSettings:
        names = msgspec.json.schema(get_args(key.type)[0])
        schema = {
            "type": "object",
            "propertyNames": names,
            "additionalProperties": variants_schema(DATASETS),
        }
    elif get_origin(key.type) is tuple and is_section(get_args(key.type)[0]):
        schema = {"type": "array", "items": section_schema(get_args(key.type)[0])}
    else:
        schema = _value_schema(key.annotated)
    if key.meaning:
        schema["description"] = key.meaning
    if key.title:
        schema["title"] = key.title
    if key.default is not msgspec.NODEFAULT and not is_section(key.type):
        schema["default"] = key.default
    if key.is_nullable and "type" in schema and "null" not in schema["type"]:
        schema |= {"type": [schema["type"], "null"], "default": None}
    return schema


def _value_schema(annotated: Any) -> Schema:
    """Return the schema of a value that holds no keys; "this or null" is one type, not an alternative."""
    schema = msgspec.json.schema(annotated)
    if "enum" in schema:
        # msgspec sorts the words; ours stand in an order that makes sense.
        kind = get_args(annotated)[0] if get_origin(annotated) is Annotated else annotated
        schema["enum"] = [*get_args(kind)]
        if all(isinstance(value, int) for value in schema["enum"]):
            # JSON Schema lets 16.0 pass for 16.
            schema["type"] = "integer"
    alternatives = schema.get("anyOf", [])
    if {"type": "null"} in alternatives and len(alternatives) == 2:
        [other] = [part for part in alternatives if part != {"type": "null"}]
        del schema["anyOf"]
        schema = {**other, **schema, "type": [other["type"], "null"]}
    return schema


def _partial_schema(section: type[Section], completed_from: CompletedFrom) -> Schema:
    """Return the schema of a section that may leave out any key, which another section then completes."""
    schema = section_schema(section)
    other = completed_from.path[-1]
    for name, part in schema["properties"].items():
        del part["default"]
        part["description"] = f"Like `{other}.{name}`, whose value is used if this key is left out."
    return schema


def variants_schema(variants: Variants) -> Schema:
    """Return the schema of a section with variants: each takes its own keys if the deciding key says so."""
    if variants is NETWORKS:
        names, own, title = [*variants.by_value], IMPORT_PATH, NETWORK_NAMES
        others: Schema = {"type": "string", "pattern": ":"}
    else:
        names, own = [*variants.by_value, *tree_layout_names()], YAML_FILE
        title = listed([*names, "the path of a .yaml file"])
        others = {"anyOf": [{"enum": [*tree_layout_names()]}, {"type": "string", "pattern": own}]}
    value = {"anyOf": [{"enum": names}, {"type": "string", "pattern": own}], "title": title}
    conditions = [({"const": name}, section) for name, section in variants.by_value.items()]
    return {
        "type": "object",
        "required": [] if variants.default else [variants.key],
        "properties": {variants.key: value},
        "allOf": [
            {
                "if": {
                    "type": "object",
                    "properties": {variants.key: condition},
                    "required": [variants.key],
                },
                "then": section_schema(section),
            }
            for condition, section in [*conditions, (others, variants.others)]
        ],
    }


def _is_integer(_: Any, value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST_INTEGER


def _is_number(_: Any, value: Any) -> bool:
    return _is_integer(_, value) or (isinstance(value, float) and math.isfinite(value))


# JSON Schema lets 4.0 pass for an integer and NaN for a number. Larger integers than 64 bit msgspec refuses.
Validator = jsonschema.validators.extend(
    jsonschema.Draft202012Validator,
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine_many(
        {"integer": _is_integer, "number": _is_number}
    ),
)


def dotted_keys(schema: Schema, prefix: str = "") -> Iterator[tuple[str, Schema]]:
    """Yield (dotted key, schema) of every key, those of datasets and of networks left out."""
    for name, part in schema.get("properties", {}).items():
        yield f"{prefix}{name}", part
        if "allOf" not in part:
            yield from dotted_keys(part, f"{prefix}{name}.")


def allowed(schema: Schema) -> str:
    """Return in words which values a schema allows."""
    if "title" in schema:
        return schema["title"]
    if "enum" in schema:
        return listed(map(str, schema["enum"]))
    if "const" in schema:
        return str(schema["const"])
    kind = schema["type"]
    if kind not in ("integer", "number"):
        words = {
            "boolean": "true or false",
            "object": "a section of keys",
            "string": "text",
            "array": "a list",
        }
        return words[kind]
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


def completions() -> list[tuple[str, str, tuple[str, ...], list[str]]]:
    """Return (section, key, path of what completes it, its keys) of sections that may leave out keys."""
    return [
        (part.name, key.name, key.completed_from.path, [inner.name for inner in keys_of(key.type)])
        for part in keys_of(Configuration)
        if is_section(part.type) and not variants_of(part.type)
        for key in keys_of(part.type)
        if key.completed_from
    ]


def plain_copy(value: Any) -> Any:
    """Return a deep copy made of ordinary dicts, their keys as text, and lists.

    Integers of more than 64 bit become words: Python refuses to write out thousands of digits for a message.
    """
    if isinstance(value, Mapping):
        return {str(plain_copy(key)): plain_copy(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_copy(item) for item in value]
    if isinstance(value, int) and abs(value) > LARGEST_INTEGER:
        return HUGE_INTEGER
    return copy.deepcopy(value)


def with_defaults(value: Any, section: type[Section] | None) -> Any:
    """Return a mapping with the defaults of all missing keys; what does not fit the section is left alone."""
    if not isinstance(value, dict) or section is None:
        return value
    filled: dict[str, Any] = {}
    for key in keys_of(section):
        inner = value.get(key.name)
        variants = variants_of(key.type)
        # A section without keys, or with all of them commented out, is null in YAML.
        if inner is None and key.is_nullable and is_section(key.type):
            filled[key.name] = None
        elif variants:
            filled[key.name] = _variant_with_defaults({} if inner is None else inner, variants)
        elif key.completed_from:
            filled[key.name] = inner
        elif is_section(key.type):
            filled[key.name] = with_defaults({} if inner is None else inner, key.type)
        elif key.name not in value:
            if key.default is not msgspec.NODEFAULT:
                filled[key.name] = plain(key.default)
        elif get_origin(key.type) is dict and isinstance(inner, dict):
            entries = inner.items()
            is_datasets = get_args(key.type)[1] is DatasetSettings
            filled[key.name] = {
                name: _variant_with_defaults(entry, DATASETS) if is_datasets else entry
                for name, entry in entries
            }
        else:
            filled[key.name] = inner
    return filled | {name: item for name, item in value.items() if name not in filled}


def _variant_with_defaults(entry: Any, variants: Variants) -> Any:
    if not isinstance(entry, dict):
        return entry
    if variants.default:
        entry = {variants.key: variants.default, **entry}
    return with_defaults(entry, variants.class_of(entry))
