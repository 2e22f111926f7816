"""Check a run's configuration, fill in its defaults and print the result as YAML.

Reads config/schema.yaml, which describes every key, and the given configuration files, of which later ones
win. With --reference it prints the text of config/README.md instead.
"""

import copy
import difflib
import math
import os
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from cotrain.errors import InputError
from workflow_scripts import command_line

SCHEMA_FILE = Path(__file__).parent.parent / "config" / "schema.yaml"
AUGMENTATIONS = ("source_augmentation", "target_augmentation")
# Backbones whose ImageNet weights are an installable package.
PACKAGED_BACKBONES = ("tf_efficientnet_lite0", "tf_efficientnet_lite1", "tf_efficientnet_lite2")

Schema = dict[str, Any]
KeyPath = tuple[str | int, ...]


def resolve(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a deep copy of `config` with every default filled in; it is safe to resolve twice.

    `round_b: -1` becomes the last round and `portion_b: null` a copy of `portion_a`. Paths stay as written.
    Raises InputError that lists all problems, one a line, in the order of the schema: unknown and missing
    keys, wrong types and values, contradictions between keys, files that do not exist.
    """
    schema = _schema()
    filled = _filled(_plain(config), schema)
    problems = _Problems(config, filled)
    _check_names(problems, config, ())
    for error in _Validator(schema).iter_errors(filled):
        _explain(problems, error)
    _complete_co_training(problems)
    for check in (_check_datasets, _check_roles, _check_training, _check_stages, _check_network):
        check(problems)
    problems.raise_if_any()
    return filled


def merged(base: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` updated by `later` as Snakemake does it: mappings key by key, all else is replaced."""
    result = dict(base)
    for key, value in later.items():
        if isinstance(value, Mapping) and isinstance(result.get(key), Mapping):
            result[key] = merged(result[key], value)
        else:
            result[key] = value
    return result


def read(path: Path) -> dict[str, Any]:
    """Return a configuration file's content; InputError names the file and, for bad YAML, the line."""
    try:
        content = _load_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}, line {mark.line + 1}" if mark else str(path)
        raise InputError(f"{place}: not valid YAML: {getattr(error, 'problem', error)}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected keys and values such as 'run: demo', found {_shown(content)}")
    return content


class _Problems:
    """What is wrong with a configuration, and which of its values can be trusted for further checks."""

    def __init__(self, given: Mapping[str, Any], filled: dict[str, Any]) -> None:
        self.given = given
        self.filled = filled
        self.lines: dict[tuple[str, str], None] = {}
        self.bad_values: list[KeyPath] = []

    def add(self, path: KeyPath, text: str, bad_value: bool = True) -> None:
        self.lines[_dotted(path), text] = None
        if bad_value:
            self.bad_values.append(path)

    def value(self, *path: str | int) -> Any:
        """Return the value at `path`, None when it or anything around or within it is wrong or missing."""
        for bad in self.bad_values:
            shared = min(len(bad), len(path))
            if bad[:shared] == path[:shared]:
                return None
        return _at(self.filled, path)

    def shown(self, *path: str | int) -> str:
        """Return the value at `path` in words, marked when the user did not write it."""
        mark = " (the default)" if _at(self.given, path) is None else ""
        return _shown(_at(self.filled, path)) + mark

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
        elif not folder and os.path.isdir(name):
            hint = " (it is a folder)"
        self.add(path, f"{'folder' if folder else 'file'} {name!r} does not exist{hint}")

    def raise_if_any(self) -> None:
        if not self.lines:
            return
        sections = list(_schema()["properties"])

        def position(line: tuple[str, str]) -> int:
            section = re.split(r"[.\[]", line[0])[0]
            return sections.index(section) if section in sections else -1

        count = f"{len(self.lines)} problems" if len(self.lines) > 1 else "one problem"
        lines = [f"{path}: {text}" for path, text in sorted(self.lines, key=position)]
        raise InputError("\n  ".join([f"the configuration has {count}:", *lines]))


# ---- schema ----------------------------------------------------------------------------------------------


def _load_yaml(text: str) -> Any:
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


@cache
def _schema() -> Schema:
    return _load_yaml(SCHEMA_FILE.read_text(encoding="utf-8"))


def _is_integer(_: Any, value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(_: Any, value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


# JSON Schema lets 4.0 pass for an integer and NaN for a number.
_Validator = jsonschema.validators.extend(
    jsonschema.Draft202012Validator,
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine_many(
        {"integer": _is_integer, "number": _is_number}
    ),
)


def _dereferenced(schema: Schema) -> Schema:
    """Return the schema with its `$ref` replaced by what it refers to; keys beside it win."""
    if "$ref" not in schema:
        return schema
    target = _schema()["$defs"][schema["$ref"].rpartition("/")[2]]
    return {**target, **{key: value for key, value in schema.items() if key != "$ref"}}


def _layouts(schema: Schema) -> dict[str, Schema]:
    """Return layout name -> schema of a dataset entry of that layout."""
    return {
        part["if"]["properties"]["layout"]["const"]: _dereferenced(part["then"]) for part in schema["allOf"]
    }


def _entry_schema(schema: Schema, entry: Any) -> Schema:
    """Return the schema that applies to the mapping `entry`: of a dataset entry, that of its layout."""
    schema = _dereferenced(schema)
    if "allOf" in schema and isinstance(entry, dict):
        layout = entry.get("layout")
        return _layouts(schema).get(layout, schema) if isinstance(layout, str) else schema
    return schema


def _keys(schema: Schema, prefix: str = "") -> Iterator[tuple[str, Schema]]:
    """Yield (dotted key, schema) of every key that holds a value, those of datasets left out."""
    for name, part in schema["properties"].items():
        part = _dereferenced(part)
        yield f"{prefix}{name}", part
        if "properties" in part:
            yield from _keys(part, f"{prefix}{name}.")


# ---- defaults --------------------------------------------------------------------------------------------


def _plain(value: Any) -> Any:
    """Return a deep copy made of ordinary dicts, their keys as text, and lists."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return copy.deepcopy(value)


def _filled(value: Any, schema: Schema) -> Any:
    """Return `value` with the defaults of all missing keys; what does not fit the schema is left alone."""
    if not isinstance(value, dict):
        return value
    schema = _entry_schema(schema, value)
    result = {}
    for name, part in schema.get("properties", {}).items():
        part = _dereferenced(part)
        is_section = part.get("type") == "object"
        if name not in value and "default" in part:
            result[name] = copy.deepcopy(part["default"])
        elif is_section and value.get(name) is None and name not in schema.get("required", ()):
            # A section without keys, or with all of them commented out, is null in YAML.
            result[name] = _filled({}, part)
        elif name in value:
            result[name] = _filled(value[name], part)
    others = schema.get("additionalProperties") or {}
    for name in value:
        if name not in result:
            result[name] = _filled(value[name], others)
    return result


def _complete_co_training(problems: _Problems) -> None:
    """Replace the values that stand for others by what they stand for."""
    rounds, round_b = problems.value("self_training", "rounds"), problems.value("co_training", "round_b")
    if round_b == -1 and rounds is not None:
        problems.filled["co_training"]["round_b"] = rounds - 1
    portion_a = problems.value("co_training", "portion_a")
    if portion_a is not None and ("co_training", "portion_b") not in problems.bad_values:
        own = problems.filled["co_training"]["portion_b"] or {}
        problems.filled["co_training"]["portion_b"] = {**copy.deepcopy(portion_a), **own}


# ---- messages --------------------------------------------------------------------------------------------


def _dotted(path: KeyPath) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def _at(value: Any, path: KeyPath) -> Any:
    for part in path:
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
        else:
            return None
    return value


def _shown(value: Any) -> str:
    """Return a value as it would stand in YAML, text in quotes, long ones cut."""
    if value is None or isinstance(value, bool):
        text = {None: "null", True: "true", False: "false"}[value]
    elif isinstance(value, dict):
        text = f"a section with the keys {', '.join(map(str, value))}" if value else "an empty section"
    elif isinstance(value, list):
        text = f"[{', '.join(map(_shown, value))}]"
    else:
        text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _did_you_mean(word: Any, known: Any, otherwise: str = "") -> str:
    close = difflib.get_close_matches(str(word).lower(), list(known), n=1, cutoff=0.6)
    return f" (did you mean {close[0]!r}?)" if close else otherwise


def _listed(names: Any) -> str:
    names = list(names)
    return " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _allowed(schema: Schema) -> str:
    """Return in words which values a schema allows."""
    schema = _dereferenced(schema)
    if "title" in schema:
        return schema["title"]
    if "enum" in schema:
        return _listed(map(str, schema["enum"]))
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
        written = int(number) if number.is_integer() else number
        if value.strip() == value and re.fullmatch(r"[-+]?\d+[eE][-+]?\d+", value):
            return f" (YAML takes {value} for text: write {written})"
        return (
            f" (write {written} without quotes; Snakemake's --config passes the values inside a section "
            "as text, so give them in a file with --configfile)"
        )
    if isinstance(value, str) and value.lower() in ("null", "none", "~") and "null" in kinds:
        return " (write null without quotes)"
    if isinstance(value, str) and value.lower() in ("true", "false") and "boolean" in kinds:
        return f" (write {value.lower()} without quotes)"
    if value is None and "none" in schema.get("enum", ()):
        return " (write none)"
    if isinstance(value, str):
        return _did_you_mean(value, map(str, schema.get("enum", ())))
    if isinstance(value, bool | int | float) and "string" in kinds:
        return " (write text that looks like a number or a yes or no in quotes)"
    return ""


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _check_names(problems: _Problems, value: Any, path: KeyPath) -> None:
    """Note keys that YAML did not read as text, such as 12 or no."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            if not isinstance(name, str):
                problems.add(
                    path,
                    f"the key {_shown(name)} is not text: write it in quotes or rename it",
                    bad_value=False,
                )
            _check_names(problems, item, (*path, name))


def _explain(problems: _Problems, error: Any) -> None:
    """Turn an error of the validator into problems in our words."""
    path, found, schema = tuple(error.absolute_path), error.instance, error.schema
    if error.validator == "required":
        for name in error.validator_value:
            if name not in found:
                part = schema.get("properties", {}).get(name, {})
                problems.add((*path, name), f"missing, expected {_allowed(part)}")
    elif error.validator == "additionalProperties":
        for name in found:
            if name not in schema["properties"]:
                problems.add((*path, name), _unknown_key(name, schema, path), bad_value=False)
    elif "propertyNames" in error.absolute_schema_path:
        problems.add((*path, found), f"expected {schema['title']}", bad_value=False)
    elif error.validator == "anyOf" and any(part.relative_path for part in error.context):
        for part in error.context:
            if part.relative_path:
                _explain(problems, part)
    else:
        problems.add(path, f"expected {_allowed(schema)}, found {_shown(found)}{_hint(found, schema)}")


def _unknown_key(name: str, schema: Schema, path: KeyPath) -> str:
    elsewhere = [key for key, _ in _keys(_schema()) if key.rpartition(".")[2] == name]
    hint = f" (it belongs to {_listed(key.rpartition('.')[0] or 'the top level' for key in elsewhere)})"
    known = f" (known here: {', '.join(schema['properties'])})"
    return "unknown key" + _did_you_mean(name, schema["properties"], hint if elsewhere else known)


# ---- checks across keys ----------------------------------------------------------------------------------


def _section(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _check_known(problems: _Problems, path: KeyPath, known: Any, kind: str) -> bool:
    """Return whether the value at `path` is among `known`; note a problem when it is not."""
    value = problems.value(*path)
    if value is not None and value not in known:
        hint = _did_you_mean(value, known)
        problems.add(path, f"{value!r} is not a {kind}{hint}; known are {', '.join(known) or 'none'}")
    return value in known


def _check_datasets(problems: _Problems) -> None:
    """Check the files, class tables and scenes of the datasets."""
    from cotrain.data.label_spaces import class_table_names

    scenes: dict[tuple[str, int], str] = {}
    for name, entry in _section(problems.filled.get("datasets")).items():
        path = ("datasets", name)
        if not isinstance(entry, dict):
            continue
        if entry.get("layout") == "lists":
            problems.expect_file((*path, "images"))
            problems.expect_file((*path, "labels"))
            problems.expect_file((*path, "root"), folder=True)
            _check_known(problems, (*path, "classes"), class_table_names(), "class table")
            if entry.get("labels") is not None and entry.get("classes") is None:
                known = _listed(class_table_names())
                problems.add((*path, "classes"), f"missing, the label files need it: expected {known}")
        elif entry.get("layout") == "streets":
            look, seed = problems.value(*path, "look"), problems.value(*path, "seed")
            if look is None or seed is None:
                continue
            other = scenes.setdefault((look, seed), name)
            if other != name:
                text = f"{problems.shown(*path, 'seed')} gives the same scenes as datasets.{other}"
                problems.add((*path, "seed"), f"{text}: expected another seed", bad_value=False)


def _check_roles(problems: _Problems) -> None:
    """Check that source, target and test are datasets fit for their part."""
    if problems.filled.get("datasets") is None or ("datasets",) in problems.bad_values:
        return
    datasets = _section(problems.filled["datasets"])
    sources = _at(problems.filled, ("source",))
    source_paths: list[KeyPath] = (
        [("source", index) for index in range(len(sources))] if isinstance(sources, list) else []
    )
    second_view: KeyPath = ("co_training", "target_b")
    for path in (*source_paths, ("target",), ("test",), second_view):
        _check_known(problems, path, datasets, "dataset")

    needs_labels = [*source_paths, ("test",)]
    if problems.value("upper_bound"):
        needs_labels.append(("target",))
    for path in needs_labels:
        name = problems.value(*path)
        entry = datasets.get(name)
        if isinstance(entry, dict) and entry.get("layout") == "lists" and entry.get("labels") is None:
            reason = ", which upper_bound needs" if path == ("target",) else ""
            text = f"{name!r} has no labels{reason}: expected a value for datasets.{name}.labels"
            problems.add(path, text, bad_value=False)

    target, target_b = problems.value("target"), problems.value(*second_view)
    if target is not None and target in (problems.value(*path) for path in source_paths):
        problems.add(("target",), f"{target!r} is also a source: expected another dataset")
    same_domain = problems.value("co_training", "same_domain")
    if same_domain is False and _at(problems.filled, second_view) is None:
        problems.add(second_view, "missing, expected a dataset name because co_training.same_domain is false")
    elif same_domain and target_b is not None:
        text = f"found {target_b!r}, expected null because co_training.same_domain is true"
        problems.add(second_view, text)
    elif target_b is not None and target_b == target:
        problems.add(second_view, f"{target_b!r} is the target itself: set co_training.same_domain to true")


def _check_training(problems: _Problems) -> None:
    """Check pairs of bounds and the mask."""
    bounds: list[tuple[KeyPath, bool]] = []
    for name in AUGMENTATIONS:
        bounds += [(("training", name, "vertical_range"), True)]
        bounds += [(("training", name, "cutout", key), False) for key in ("holes", "size_px")]
    for path, must_differ in bounds:
        pair = problems.value(*path)
        if pair is not None and (pair[0] > pair[1] or (must_differ and pair[0] == pair[1])):
            problems.add(path, f"expected the first to be the smaller, found {_shown(pair)}")
    problems.expect_file(("ego_vehicle_mask",))


def _check_stages(problems: _Problems) -> None:
    """Check what self-training, co-training and the final training need of each other and of the rest."""
    batch_size = problems.value("training", "batch_size")
    for stage in ("self_training", "co_training", "final"):
        ratio = problems.value(stage, "batch_ratio")
        if ratio is not None and batch_size is not None and sum(ratio) != batch_size:
            text = f"{problems.shown(stage, 'batch_ratio')} adds up to {sum(ratio)}"
            size = problems.shown("training", "batch_size")
            problems.add((stage, "batch_ratio"), f"{text}, expected training.batch_size, which is {size}")
    for stage, images in (("self_training", "images_per_round"), ("co_training", "images_per_cycle")):
        keep, drawn = problems.value(stage, "keep"), problems.value(stage, images)
        if keep is not None and drawn is not None and keep > drawn != -1:
            drawn_text = f"{images}, which is {problems.shown(stage, images)}"
            problems.add((stage, "keep"), f"{problems.shown(stage, 'keep')} is more than {drawn_text}")
        lower, upper = (problems.value(stage, "confidence", key) for key in ("lower", "upper"))
        if lower is not None and upper is not None and lower > upper:
            shown = [problems.shown(stage, "confidence", key) for key in ("lower", "upper")]
            problems.add((stage, "confidence"), f"lower, {shown[0]}, is above upper, {shown[1]}")
    _check_rounds(problems)
    _check_classes(problems)


def _check_rounds(problems: _Problems) -> None:
    """Check that the rounds and models that others start from are made by this run."""
    rounds, cycles = problems.value("self_training", "rounds"), problems.value("co_training", "cycles")
    if rounds is None:
        return
    starts = {branch: problems.value("co_training", f"round_{branch}") for branch in "ab"}
    for branch, start in starts.items():
        if start is not None and start >= rounds:
            text = f"{start} is not a round that self_training makes (rounds: {rounds}, so 0 to {rounds - 1})"
            problems.add(("co_training", f"round_{branch}"), text)
    if starts["a"] is not None and starts["a"] == starts["b"]:
        more = ", and self_training.rounds must be at least 2" if rounds == 1 else ""
        text = f"{starts['b']} is also round_a: the branches need two different rounds{more}"
        problems.add(("co_training", "round_b"), text)
    if cycles is not None:
        models = ["baseline", *(f"self_training/{number:02d}" for number in range(rounds))]
        models += [f"co_training/{number:02d}/{branch}" for number in range(cycles) for branch in "ab"]
        initial = problems.value("final", "initial_weights")
        if initial is not None and initial not in models:
            text = f"{initial!r} is not a model of this run{_did_you_mean(initial, models)}; expected "
            text += f"baseline, self_training/00 to {models[rounds]} or co_training/00/a to {models[-1]}"
            problems.add(("final", "initial_weights"), text)


def _check_classes(problems: _Problems) -> None:
    """Check the label space and every value that has one entry a class."""
    from cotrain.data.label_spaces import label_space, label_space_names

    if not _check_known(problems, ("label_space",), label_space_names(), "label space"):
        return
    name = problems.value("label_space")
    number = label_space(name).number_of_classes
    expected = f"expected {number}, one for each class of {name}"
    for section in (("self_training", "portion"), ("co_training", "portion_a"), ("co_training", "portion_b")):
        for key in ("initial", "maximum", "increment"):
            value = problems.value(*section, key)
            # What portion_b takes from portion_a is reported once, there.
            if isinstance(value, list) and len(value) != number and _at(problems.given, (*section, key)):
                problems.add((*section, key), f"found {len(value)} values, {expected}")
    path = ("self_training", "class_priors")
    problems.expect_file(path)
    priors = problems.value(*path)
    if priors is not None:
        import numpy as np

        try:
            shape = np.lib.format.open_memmap(priors, mode="r").shape
        except (OSError, ValueError) as error:
            problems.add(path, f"{priors!r} is not a readable .npy file: {error}")
            return
        if len(shape) != 3 or shape[0] != number:
            text = f"{priors!r} has the shape {shape}, expected (classes, height, width)"
            problems.add(path, f"{text} with {number} classes of {name}")


def _check_network(problems: _Problems) -> None:
    """Check where the first weights come from."""
    backbone, weights = (problems.value("network", key) for key in ("backbone", "backbone_weights"))
    _check_weights(
        problems, ("network", "backbone_weights"), ("package", "timm", "none"), (".safetensors", ".pth")
    )
    _check_weights(problems, ("baseline", "initial_weights"), ("pretrained",), (".safetensors",))
    if weights == "package" and backbone is not None and backbone not in PACKAGED_BACKBONES:
        shown = problems.shown("network", "backbone_weights")
        text = f"{shown} has weights of {_listed(PACKAGED_BACKBONES)} only, not of {backbone!r}"
        problems.add(("network", "backbone_weights"), f"{text}: expected timm, none or a path")


def _check_weights(
    problems: _Problems, path: KeyPath, words: tuple[str, ...], suffixes: tuple[str, ...]
) -> None:
    """Check that the value at `path` is one of the words or an existing file with one of the suffixes."""
    value = problems.value(*path)
    if value is None or value in words:
        return
    if value.endswith(suffixes):
        problems.expect_file(path)
    else:
        expected = _listed([*words, f"the path of a {_listed(suffixes)} file"])
        problems.add(path, f"expected {expected}, found {value!r}{_did_you_mean(value, words)}")


# ---- reference -------------------------------------------------------------------------------------------


def reference() -> str:
    """Return the text of config/README.md: how to write a configuration, and a table of keys a section."""
    schema = _schema()
    properties = {name: _dereferenced(part) for name, part in schema["properties"].items()}
    top = {name: part for name, part in properties.items() if "properties" not in part}
    generated = "<!-- Generated from schema.yaml: python -m workflow_scripts.configuration --reference -->"
    blocks = ["# Configuration", generated, schema["description"].strip()]
    blocks += ["## Top level", _table({**schema, "properties": top})]
    blocks += ["## datasets", properties["datasets"]["description"]]
    for layout, entry in _layouts(properties["datasets"]["additionalProperties"]).items():
        blocks += [f"### layout: {layout}", entry["description"], _table(entry)]
    for name, part in properties.items():
        if "properties" in part:
            blocks += [f"## {name}", part["description"], _table(part)]
    return "\n\n".join(blocks) + "\n"


def _table(section: Schema) -> str:
    lines = ["| key | allowed | default | meaning |", "|---|---|---|---|"]
    first = ""
    for key, part in _keys(section):
        if key.startswith(f"{AUGMENTATIONS[1]}."):
            continue
        if key == AUGMENTATIONS[1]:
            first = f" The keys and defaults are those of `{AUGMENTATIONS[0]}`."
        required = key in section.get("required", ())
        default = f"`{_yaml_text(part['default'])}`" if "default" in part else "required" if required else ""
        meaning = part["description"] + (first if key == AUGMENTATIONS[1] else "")
        cells = (f"`{key}`", _allowed(part), default, meaning)
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines)


def _yaml_text(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=math.inf)
    return text.removesuffix("\n").removesuffix("\n...")


def main(arguments: list[str] | None = None) -> None:
    parser = command_line.parser(
        __doc__, "python -m workflow_scripts.configuration --config config/config.yaml"
    )
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument(
        "--config", type=Path, nargs="+", metavar="FILE", help="configuration, later files win"
    )
    action.add_argument(
        "--reference", action="store_true", help="print the reference of all keys as Markdown"
    )
    parsed = command_line.parse(parser, arguments)
    if parsed.reference:
        print(reference(), end="")
        return
    config: dict[str, Any] = {}
    for path in parsed.config:
        config = merged(config, read(path))
    print(yaml.safe_dump(resolve(config), sort_keys=False, default_flow_style=None, width=110), end="")


if __name__ == "__main__":
    command_line.run(main)
