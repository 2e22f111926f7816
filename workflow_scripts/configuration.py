"""Check a run's configuration, fill in its defaults and print the result as YAML.

Reads config/schema.yaml, which describes every key, and the given configuration files, of which later ones
win. With --reference it prints the text of config/README.md instead.
"""

import copy
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from cotrain.errors import InputError
from workflow_scripts import command_line
from workflow_scripts.config_checks import check_across_keys
from workflow_scripts.config_problems import Problems, check_names, explain, in_words
from workflow_scripts.config_reference import reference
from workflow_scripts.config_schema import Validator, load_yaml, plain_copy, whole_schema, with_defaults

# What of `prediction` decides a score.
PROTOCOL = ("resize", "scales", "flip", "window")
# What of a dataset may begin with the user's home folder.
PATHS = ("root", "images", "labels")


def resolve(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a deep copy of `config` with every default filled in; it is safe to resolve twice.

    `round_b: -1` becomes the last round; `portion_a` completes `portion_b`, and `prediction` the protocol of
    `evaluation`. Paths stay as written, but for the home folder in those of datasets.

    Raises InputError that lists all problems, one a line, in the order of the schema: unknown and missing
    keys, wrong types and values, contradictions between keys, files that do not exist.
    """
    schema = whole_schema()
    filled = with_defaults(plain_copy(config), schema)
    _expand_home(filled)
    problems = Problems(config, filled)
    check_names(problems, config, ())
    for error in Validator(schema).iter_errors(filled):
        explain(problems, error)
    _complete_co_training(problems)
    _complete_evaluation(problems)
    check_across_keys(problems)
    problems.raise_if_any()
    return filled


def _expand_home(filled: dict[str, Any]) -> None:
    """Write out `~` in the paths of datasets: no shell does it in a file."""
    datasets = filled.get("datasets")
    for entry in datasets.values() if isinstance(datasets, dict) else ():
        for key in PATHS:
            if isinstance(entry, dict) and isinstance(entry.get(key), str):
                entry[key] = os.path.expanduser(entry[key])


def _complete_co_training(problems: Problems) -> None:
    """Replace the values that stand for others by what they stand for."""
    rounds, round_b = problems.value("self_training", "rounds"), problems.value("co_training", "round_b")
    if round_b == -1 and rounds is not None:
        problems.filled["co_training"]["round_b"] = rounds - 1
    portion_a = problems.value("co_training", "portion_a")
    if portion_a is not None and ("co_training", "portion_b") not in problems.bad_values:
        own = problems.filled["co_training"]["portion_b"] or {}
        problems.filled["co_training"]["portion_b"] = {**copy.deepcopy(portion_a), **own}


def _complete_evaluation(problems: Problems) -> None:
    """Take from `prediction` what the evaluation's protocol leaves out."""
    evaluation = problems.value("evaluation")
    if evaluation is not None:
        of_prediction = {key: problems.value("prediction", key) for key in PROTOCOL}
        evaluation["protocol"] = {**copy.deepcopy(of_prediction), **(evaluation["protocol"] or {})}


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
        content = load_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}, line {mark.line + 1}" if mark else str(path)
        raise InputError(f"{place}: not valid YAML: {getattr(error, 'problem', error)}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected keys and values such as 'run: demo', found {in_words(content)}")
    return content


def main(arguments: list[str] | None = None) -> None:
    parser = command_line.new_parser(
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
