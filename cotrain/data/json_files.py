"""JSON files: read strictly, and checked against one declaration of what each format must hold.

A format is declared as a `Record` with types and bounds, beside the code that uses it. What a file must be is
written nowhere else.
"""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import msgspec
from msgspec import Meta

from cotrain.errors import InputError, fault_of_json, reason
from cotrain.words import LARGEST_INTEGER

# What records are made of. Sums of a million of them are still whole numbers of 64 bit.
Count = Annotated[int, Meta(ge=0, le=2**43)]
Share = Annotated[float, Meta(ge=0, le=1)]
NotNegative = Annotated[float, Meta(ge=0)]

KINDS = {
    "int": "an integer",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "object": "keys and values",
    "array": "a list",
    "null": "null",
}
# In a place that msgspec names, any key of a mapping.
ANY_KEY = "[...]"


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What a JSON file of a format must hold. Keys beyond the declared ones are ignored."""


Kind = TypeVar("Kind")


class NotValidError(ValueError):
    """A file is no JSON of ours; the text says why in words, perhaps with the line."""


def read_json(path: Path) -> Any:
    """Return the content of a JSON file.

    Raises OSError, and NotValidError for bad JSON, a key that is given twice, a number that is none or has
    more than 64 bit, text that cannot be written as UTF-8, and content that is nested too deeply.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(
            text,
            parse_constant=_refuse_constant,
            parse_int=_integer,
            parse_float=_number,
            object_pairs_hook=_unique_keys,
        )
        if "\\u" in text:
            json.dumps(content, ensure_ascii=False).encode()
    except NotValidError:
        raise
    except json.JSONDecodeError as error:
        raise NotValidError(fault_of_json(error)) from error
    except UnicodeDecodeError as error:
        raise NotValidError(reason(error)) from error
    except UnicodeEncodeError as error:
        raise NotValidError("it holds half a character, which is no text") from error
    except RecursionError as error:
        raise NotValidError("it is nested too deeply") from error
    return content


def read_record(path: Path, kind: type[Kind], what: str, expected: str) -> Kind:
    """Return the content of a JSON file as a `kind`, a class of records or another type of msgspec.

    Raises InputError: "PATH: cannot be read as WHAT (why), expected EXPECTED".
    """
    return read_record_of_kind(path, lambda content: kind, what, expected)


def read_record_of_kind(path: Path, kind_of: Callable[[Any], type[Kind]], what: str, expected: str) -> Kind:
    """Do the same for a file whose content shows of which kind it is."""
    try:
        content = read_json(path)
        return record_of(content, kind_of(content))
    except (OSError, NotValidError) as error:
        why = str(error) if isinstance(error, NotValidError) else reason(error)
        raise InputError(f"{path}: cannot be read as {what} ({why}), expected {expected}") from error


def record_of(content: Any, kind: type[Kind]) -> Kind:
    """Return JSON types as a `kind`; NotValidError names the place, what is there and what is expected."""
    try:
        return msgspec.convert(content, kind)
    except msgspec.ValidationError as error:
        raise NotValidError(_in_words(error, content, kind)) from error
    except RecursionError as error:
        raise NotValidError("it is nested too deeply") from error


def _in_words(error: msgspec.ValidationError, content: Any, kind: Any) -> str:
    text, _, place = str(error).partition(" - at `$")
    place = _found_keys(place.removesuffix("`"), str(error), content, kind)
    text = text.replace("Object missing required field", "it lacks").replace("Expected", "expected")
    text = re.sub(r"`([^`]*)`", lambda match: _kinds(match[1]), text.replace(", got ", ", found "))
    if not place:
        return text
    return f"{place.lstrip('.')}: {text}"


def _kinds(names: str) -> str:
    parts = names.split(" | ")
    return " or ".join(KINDS[part] for part in parts) if set(parts) <= set(KINDS) else repr(names)


def _found_keys(place: str, message: str, content: Any, kind: Any) -> str:
    """Return a place with the first key at fault in place of "[...]", which is all that msgspec says."""
    while ANY_KEY in place:
        before = place.partition(ANY_KEY)[0]
        path = re.findall(r"\w+", before)
        mapping = _at(content, path)
        for key in mapping if isinstance(mapping, Mapping) else ():
            narrowed = _with(content, path, {key: mapping[key]})
            try:
                msgspec.convert(narrowed, kind)
            except msgspec.ValidationError as error:
                if str(error) == message:
                    content, place = narrowed, place.replace(ANY_KEY, f".{key}", 1)
                    break
        else:
            return place
        if not re.fullmatch(r"\w+", str(key)):
            # Such a key cannot be found again in the place.
            return place
    return place


def _at(content: Any, path: list[str]) -> Any:
    for part in path:
        content = content[int(part) if isinstance(content, list) else part]
    return content


def _with(content: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    first, *rest = path
    if isinstance(content, list):
        return [_with(item, rest, value) if str(i) == first else item for i, item in enumerate(content)]
    return {**content, first: _with(content[first], rest, value)}


def _refuse_constant(name: str) -> NoReturn:
    raise NotValidError(f"found {name}, expected a number")


def _integer(text: str) -> int:
    # Not int(text) at once: Python refuses thousands of digits with an error of its own.
    if len(text) > 20 or not -LARGEST_INTEGER <= int(text) <= LARGEST_INTEGER:
        raise NotValidError(f"found the integer {text:.12}…, expected at most 64 bit")
    return int(text)


def _number(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise NotValidError(f"found {text:.20}, expected a number that a float of 64 bit can hold")
    return number


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for key, value in pairs:
        if key in content:
            raise NotValidError(f"the key {key!r} is given twice, expected it once")
        content[key] = value
    return content
