"""What is wrong with a configuration, in words: key, what was found, what is expected, what was meant."""

import difflib
import math
import os
import re
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from itertools import islice, takewhile
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from cotrain.configuration.schema import (
    Schema,
    Validator,
    allowed,
    dotted_keys,
    is_section,
    keys_of,
    listed,
    plain_copy,
    section_schema,
    variants_schema,
    whole_schema,
    with_defaults,
)
from cotrain.configuration.sections import Configuration, Section
from cotrain.configuration.variants import DATASETS, NETWORKS, Variants, variants_of
from cotrain.data.file_names import is_one_line
from cotrain.errors import InputError
from cotrain.words import LARGEST_INTEGER, in_words

# Text of several lines is allowed.
WITHOUT_LINE_ENDS = dict.fromkeys(map(ord, "\n\r\t"))

# What others call a word of ours.
OTHER_WORDS = {"gpu": "cuda", "nvidia": "cuda", "metal": "mps", "apple": "mps"}

KeyPath = tuple[str | int, ...]


class Problems:
    """What is wrong with a configuration, and which of its values can be trusted for further checks."""

    def __init__(self, subject: str, given: Mapping[str, Any], filled: dict[str, Any]) -> None:
        """`subject` is what messages call the whole; `given` is as written, `filled` has the defaults."""
        self.subject = subject
        self.given = given
        self.filled = filled
        self.lines: dict[tuple[str, str], None] = {}
        self.bad_values: list[KeyPath] = []

    def add(self, path: KeyPath, text: str, bad_value: bool = True) -> None:
        """Note a problem. Later checks skip a value that is noted, unless `bad_value` is false."""
        self.lines[_dotted(path), text] = None
        if bad_value:
            self.bad_values.append(path)

    def add_if_new(self, path: KeyPath, text: str) -> None:
        """Note a problem of a value of which none is noted."""
        if not any(noted == _dotted(path) for noted, _ in self.lines):
            self.add(path, text)

    def value(self, *path: str | int) -> Any:
        """Return the value at `path`, None when it or anything around or within it is wrong or missing."""
        for bad in self.bad_values:
            shared = min(len(bad), len(path))
            if bad[:shared] == path[:shared]:
                return None
        return value_at(self.filled, path)

    def shown(self, *path: str | int) -> str:
        """Return the value at `path` in words, marked when the user did not write it."""
        mark = " (the default)" if value_at(self.given, path) is None else ""
        return in_words(value_at(self.filled, path)) + mark

    def expect_file(self, path: KeyPath, folder: bool = False) -> None:
        """Note a problem unless the value at `path` is null or names an existing file (or folder)."""
        name = self.value(*path)
        if name is None or (os.path.isdir(name) if folder else os.path.isfile(name)):
            return
        hint = "" if Path(name).is_absolute() else f" (looked up from {Path.cwd()})"
        if name.startswith("~"):
            hint = " (write the home folder out, '~' is not replaced)"
        elif name.lower() in ("null", "none"):
            hint = " (write null without quotes if there is none)"
        kind, other = ("folder", "file") if folder else ("file", "folder")
        if os.path.exists(name):
            self.add(path, f"{name!r} is a {other}, expected a {kind}")
        else:
            self.add(path, f"{kind} {name!r} does not exist{hint}")

    def raise_if_any(self) -> None:
        """Raise InputError with all problems, one a line, in the order of the configuration."""
        if not self.lines:
            return
        sections = list(whole_schema()["properties"])

        def position(line: tuple[str, str]) -> int:
            section = re.split(r"[.\[]", line[0])[0]
            return sections.index(section) if section in sections else -1

        count = f"{len(self.lines)} problems" if len(self.lines) > 1 else "one problem"
        lines = [f"{path}: {text}" for path, text in sorted(self.lines, key=position)]
        raise InputError("\n  ".join([f"{self.subject} has {count}:", *lines]))


def _dotted(path: KeyPath) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def value_at(value: Any, path: KeyPath) -> Any:
    """Return what lies at `path` within `value`, None when there is nothing."""
    for part in path:
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
        else:
            return None
    return value


def did_you_mean(word: Any, known: Any, otherwise: str = "") -> str:
    """Return a question that names the known word that is meant; `otherwise` when none is close."""
    meant = _closest(word, known)
    return f" (did you mean {meant!r}?)" if meant else otherwise


def _closest(word: Any, known: Any) -> str | None:
    """Return the known word that `word` is another word for, or that is written nearly like it."""
    word = str(word).lower()
    if OTHER_WORDS.get(word) in known:
        return OTHER_WORDS[word]
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.75)
    return close[0] if close else None


def check_names(problems: Problems, value: Any, path: KeyPath) -> None:
    """Note keys that YAML did not read as text, such as 12 or no."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            if not isinstance(name, str):
                problems.add(
                    (*path, in_words(name)),
                    "the key is not text: write it in quotes or rename it",
                    bad_value=False,
                )
            check_names(problems, item, (*path, name))


def check_values(problems: Problems, value: Any, path: KeyPath) -> None:
    """Note keys and values that no key can have, where nothing else is noted yet."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            if isinstance(name, str) and not is_one_line(name):
                problems.add_if_new((*path, name), "the key is no text in one line")
            check_values(problems, item, (*path, name))
    elif isinstance(value, list | tuple):
        for place, item in enumerate(value):
            check_values(problems, item, (*path, place))
    elif fault := _fault_of_value(value):
        problems.add_if_new(path, f"{fault}, found {in_words(value)}")


def _fault_of_value(value: Any) -> str:
    """Return what is expected in place of a value that no key can have, "" for others."""
    if isinstance(value, str):
        # A zero byte ends a path; half a character cannot be written to a file.
        return (
            ""
            if "\0" not in value and is_one_line(value.translate(WITHOUT_LINE_ENDS))
            else "expected plain text"
        )
    if isinstance(value, float) and not math.isfinite(value):
        return "expected a number"
    if isinstance(value, int) and abs(value) > LARGEST_INTEGER:
        return "expected an integer of at most 64 bit"
    return (
        "" if value is None or isinstance(value, bool | int | float) else "expected text, a number or a list"
    )


def check_contradictions(
    problems: Problems, section: type[Section] = Configuration, path: KeyPath = ()
) -> None:
    """Note values of the section at `path`, and of those within it, that do not fit each other."""
    for keys, text in section.contradictions(lambda key: problems.value(*path, key)):
        # What is taken from another section is wrong there.
        if any(value_at(problems.given, (*path, key)) is not None for key in keys):
            problems.add((*path, keys[0]), text, bad_value=False)
    for key in keys_of(section):
        if is_section(key.type) and not variants_of(key.type):
            check_contradictions(problems, key.type, (*path, key.name))


def explain(problems: Problems, error: Any) -> None:
    """Turn an error of the validator into problems in our words."""
    path, found, schema = tuple(error.absolute_path), error.instance, error.schema
    if error.validator == "required":
        for name in error.validator_value:
            if name not in found:
                part = schema.get("properties", {}).get(name, {})
                problems.add((*path, name), f"missing, expected {allowed(part)}")
    elif error.validator == "additionalProperties":
        for name in found:
            if name not in schema["properties"] and name in (value_at(problems.given, path) or {}):
                problems.add((*path, name), _unknown_key(name, path, schema), bad_value=False)
    elif "propertyNames" in error.absolute_schema_path:
        problems.add((*path, found), f"expected {schema['title']}", bad_value=False)
    elif error.validator == "anyOf" and any(part.relative_path for part in error.context):
        for part in error.context:
            if part.relative_path:
                explain(problems, part)
    else:
        problems.add(path, f"expected {allowed(schema)}, found {in_words(found)}{_hint(found, schema)}")


def _unknown_key(name: str, path: KeyPath, schema: Schema) -> str:
    """Return what is said of a key that the section at `path` does not have."""
    known = schema["properties"]
    if re.match(r"\w+:\S", name):
        return "unknown key (write a space behind the colon)"
    family = next((one for one in (DATASETS, NETWORKS) if _is_one_of(one, known)), None)
    if family and (values := _values_with(family, name)):
        return f"unknown key (it belongs to {family.key} {listed(values)})"
    meant, places = _closest(name, known), _places_of(name, path)
    if family is DATASETS:
        # What it shares with a stage is there by chance.
        places = [place for place in places if not place]
    hints = []
    if places:
        hints.append(f"it belongs to {listed('.'.join(place) or 'the top level' for place in places)}")
    if meant:
        hints.append(f"did you mean {meant!r}?")
    return f"unknown key ({'; '.join(hints or ['known here: ' + ', '.join(known)])})"


def _is_one_of(variants: Variants, known: Schema) -> bool:
    return any([key.name for key in keys_of(section)] == [*known] for section in _classes(variants).values())


def _classes(variants: Variants) -> dict[str, type[Section]]:
    others = "a published one" if variants is DATASETS else variants.others_in_words
    return {**variants.by_value, others: variants.others}


def _values_with(variants: Variants, name: str) -> list[str]:
    """Return the values of the deciding key with which a section has the key `name`."""
    return [value for value, section in _classes(variants).items() if name in section.__struct_fields__]


def _places_of(name: str, path: KeyPath) -> list[tuple[str, ...]]:
    """Return the sections that have a key: of all that do, those nearest to the section at `path`."""
    dotted = [tuple(key.split(".")) for key, _ in dotted_keys(whole_schema())]
    places = [key[:-1] for key in dotted if key[-1] == name]
    places += [("network",)] if _values_with(NETWORKS, name) else []
    places += [("datasets", "NAME")] if _values_with(DATASETS, name) else []

    def shared(place: tuple[str, ...]) -> int:
        pairs = zip(place, path, strict=False)
        return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))

    nearest = max(map(shared, places), default=0)
    return [place for place in places if shared(place) == nearest]


def _hint(value: Any, schema: Schema) -> str:
    """Return what to do about a value of the wrong kind, empty when there is nothing to add."""
    takes_one_item = schema.get("type") == "array" and schema.get("minItems", 0) <= 1
    if takes_one_item and isinstance(value, str | int | float):
        return f" (write [{value}])"
    parts = [schema, *schema.get("anyOf", ())]
    kinds = {kind for part in parts for kind in _as_list(part.get("type"))}
    if isinstance(value, str) and kinds & {"integer", "number"}:
        try:
            number = float(value)
        except ValueError:
            return ""
        if not math.isfinite(number):
            return ""
        # Not 1e-05, which YAML takes for text as well.
        written = format(Decimal(value.strip()).normalize(), "f")
        if value.strip() == value and re.fullmatch(r"[-+]?\d+[eE][-+]?\d+", value):
            return f" (YAML reads {value} as text: write {written})"
        return (
            f" (it is text: in a file, write {written} without quotes; --config reads every value inside a "
            "section as text, so give it in a file)"
        )
    if isinstance(value, str) and value.lower() in ("null", "none", "~") and "null" in kinds:
        return " (write null without quotes)"
    if isinstance(value, str) and value.lower() in ("true", "false") and "boolean" in kinds:
        return f" (write {value.lower()} without quotes)"
    if (value is None or value is False) and "none" in schema.get("enum", ()):
        return " (write none)"
    if isinstance(value, str):
        return did_you_mean(value, [str(word) for part in parts for word in part.get("enum", ())])
    if isinstance(value, bool) and "string" in kinds:
        return " (YAML reads yes, no, on and off as true and false: write text in quotes)"
    if isinstance(value, int | float | date) and "string" in kinds:
        return " (if this is text, write it in quotes)"
    return ""


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def raise_mistakes(subject: str, content: dict[str, Any], kind: type, error: Exception) -> NoReturn:
    """Raise InputError with all that is wrong with `content` as a `kind`, a section or one with variants.

    `error` says what was found first, for the case that nothing else is found.
    """
    variants = variants_of(kind)
    section = variants.class_of(content) if variants else kind
    if section is None:
        assert variants is not None
        schema = variants_schema(variants)
    else:
        schema = section_schema(section)
    if _is_configuration(content, variants, schema):
        raise InputError(f"{subject}: {_instead_of_a_configuration(content, kind, schema)}")
    problems = Problems(subject, content, content)
    check_names(problems, content, ())
    for key in keys_of(section) if section else ():
        # In a configuration such a section may be left out or empty, since all its keys have defaults.
        is_missing = key.name not in content and key.default is msgspec.NODEFAULT
        is_null = key.name in content and content[key.name] is None and not key.is_nullable
        if is_section(key.type) and (is_missing or is_null):
            found = "missing, " if is_missing else ""
            expected = f"expected {allowed(schema['properties'][key.name])}"
            problems.add((key.name,), f"{found}{expected}{', found null' if is_null else ''}")
    filled = with_defaults(plain_copy(content), section)
    for mistake in Validator(schema).iter_errors(filled):
        explain(problems, mistake)
    check_values(problems, content, ())
    if section:
        check_contradictions(problems, section)
    problems.raise_if_any()
    raise InputError(f"{subject}: {error}") from error


def _is_configuration(content: Mapping[str, Any], variants: Variants | None, schema: Schema) -> bool:
    """Whether most keys are not of this section, but of a configuration, and some of them are sections."""
    whole = whole_schema()["properties"]
    others = [
        key
        for key in content
        if key in whole and key not in schema["properties"] and not (variants and _values_with(variants, key))
    ]
    has_sections = any(whole[key].get("type") == "object" for key in others)
    return has_sections and 2 * len(others) >= len(content)


def _instead_of_a_configuration(content: Mapping[str, Any], kind: type, schema: Schema) -> str:
    from cotrain.configuration.settings_files import FILES_OF_KINDS

    keys = [*schema["properties"]]
    expected = f"only {_first(keys)}"
    if kind in FILES_OF_KINDS:
        run = content["run"] if isinstance(content.get("run"), str) else "RUN"
        expected += f", as in results/{run}/settings/{FILES_OF_KINDS[kind]}.json"
    return f"found a configuration, with the keys {_first(map(str, content))}, expected {expected}"


def _first(keys: Iterable[str]) -> str:
    """Return the first keys of a section, in words."""
    first = [*islice(keys, 5)]
    return ", ".join(first[:4]) + (" and the like" if len(first) > 4 else "")
