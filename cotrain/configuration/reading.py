"""From files and dictionaries to checked, typed settings, or to a message that lists every mistake."""

import os
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from cotrain.configuration.sections import Configuration
from cotrain.configuration.variants import convert
from cotrain.data.json_files import NotValidError, read_json
from cotrain.errors import InputError, reason
from cotrain.words import in_words

# Far more than all keys together, with a class table for each.
MOST_LEVELS = 20
MOST_VALUES = 5_000

# The keys of a dataset whose paths may begin with `~`, the user's home folder.
PATHS = ("root", "images", "labels")

if TYPE_CHECKING:
    from cotrain.configuration.problems import Problems

Settings = TypeVar("Settings")


def read_mapping(path: Path) -> dict[str, Any]:
    """Return the content of a YAML or JSON file, empty for an empty file.

    Raises InputError that names the file and, for bad YAML, the line; also for a key that is given twice.
    """
    if path.suffix == ".json":
        content = _read_json(path)
    else:
        # Only now: in a run all settings are JSON.
        from cotrain.data.yaml_files import read_yaml

        content = read_yaml(path)
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected keys and values such as 'run: demo', found {in_words(content)}")
    _check_extent(content, str(path))
    return content


def _read_json(path: Path) -> Any:
    try:
        return read_json(path)
    except NotValidError as error:
        raise InputError(f"{path}: {error}") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {reason(error)}") from error


def read_configuration(paths: list[Path]) -> Configuration:
    """Return the configuration that files give together; later files win. InputError lists all mistakes."""
    config: dict[str, Any] = {}
    for path in paths:
        config = merged(config, read_mapping(path))
    return resolve(config)


def merged(base: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` updated by `later` as Snakemake does it: mappings key by key, all else is replaced."""
    result = dict(base)
    for key, value in later.items():
        if isinstance(value, Mapping) and isinstance(result.get(key), Mapping):
            result[key] = merged(result[key], value)
        else:
            result[key] = value
    return result


def resolve(config: Mapping[str, Any]) -> Configuration:
    """Return a configuration with every default filled in.

    `round_a: -1` and `round_b: -1` become the last round. `portion_a` completes `portion_b`, and `prediction`
    completes the protocol of `evaluation`. Paths stay as written, except for the home folder in those of
    datasets.

    Raises InputError that lists all problems, one a line, in the order of the keys: unknown and missing keys,
    wrong types and values, contradictions between keys, files that do not exist.
    """
    from cotrain.configuration.checks import check_across_keys
    from cotrain.configuration.problems import Problems, check_names, check_values, explain
    from cotrain.configuration.schema import Validator, plain_copy, whole_schema, with_defaults

    # Snakemake has read it itself, with aliases of YAML and without bounds.
    _check_extent(config, "the configuration")
    filled = with_defaults(plain_copy(config), Configuration)
    _expand_home(filled)
    problems = Problems("the configuration", config, filled)
    check_names(problems, config, ())
    for error in Validator(whole_schema()).iter_errors(filled):
        explain(problems, error)
    check_values(problems, config, ())
    _complete(problems)
    check_across_keys(problems)
    problems.raise_if_any()
    return convert(filled, Configuration)


def _check_extent(content: Any, subject: str) -> None:
    """Raise InputError if content is nested too deeply, or holds more values than anybody writes.

    Aliases of YAML count as often as they are used: all that follows would write them out.
    """
    level, number = [content], 0
    for _ in range(MOST_LEVELS):
        number += len(level)
        if not level or number > MOST_VALUES:
            break
        level = [
            item
            for value in level
            if isinstance(value, Mapping | list | tuple)
            for item in islice(value.values() if isinstance(value, Mapping) else value, MOST_VALUES)
        ]
        # One level of aliases stands for no more than this, whatever is below it.
        if len(level) > MOST_VALUES:
            number = len(level)
            break
    if level:
        raise InputError(
            f"{subject}: expected at most {MOST_LEVELS} levels and {MOST_VALUES:,} values, aliases of YAML "
            "written out; write only keys that config/README.md explains"
        )


def _expand_home(filled: dict[str, Any]) -> None:
    """Write out `~` in the paths of datasets: no shell does it in a file."""
    datasets = filled.get("datasets")
    for entry in datasets.values() if isinstance(datasets, dict) else ():
        for key in PATHS:
            if isinstance(entry, dict) and isinstance(entry.get(key), str):
                entry[key] = os.path.expanduser(entry[key])


def _complete(problems: "Problems") -> None:
    """Replace the values that stand for others by what they stand for."""
    from cotrain.configuration.schema import completions

    rounds = problems.value("self_training", "rounds")
    for key in ("round_a", "round_b"):
        if problems.value("co_training", key) == -1 and rounds is not None:
            problems.filled["co_training"][key] = rounds - 1
    for section, key, path, names in completions():
        complete, partial = problems.value(*path), problems.filled.get(section)
        if complete is not None and isinstance(partial, dict) and (section, key) not in problems.bad_values:
            partial[key] = {name: complete[name] for name in names} | (partial[key] or {})


def read_settings(path: Path, kind: type[Settings]) -> Settings:
    """Return the settings in a JSON or YAML file, such as a run writes below `results/RUN/settings`.

    Keys that have a default may be missing. Raises InputError that names the file and lists all mistakes.
    """
    return settings_of(read_mapping(path), kind, str(path))


def settings_of(content: dict[str, Any], kind: type[Settings], subject: str) -> Settings:
    """Return the settings in a mapping; InputError calls it `subject` and lists all mistakes."""
    try:
        return convert(content, kind)
    except (msgspec.ValidationError, ValueError) as error:
        # Only now: what finds words for mistakes takes longer to import than most steps take to start.
        from cotrain.configuration.problems import raise_mistakes

        raise_mistakes(subject, content, kind, error)
