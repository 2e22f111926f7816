"""Check a run's configuration, and print what the run comes to and what in it is hardly meant.

Nothing is rendered, decoded or trained. If several configuration files set the same key, the last file wins.
With --all, the step prints all keys with their values, defaults too, as YAML. With --reference, it prints the
text of config/README.md instead; with --schema, that of config/schema.json.
"""

import json
from pathlib import Path

import msgspec
import yaml

from cotrain.configuration.reading import read_configuration
from cotrain.configuration.sections import Configuration
from cotrain.errors import InputError
from cotrain.reporting.overview import overview
from workflow_scripts.command_line import new_parser, parse, run

EXAMPLE = "python -m workflow_scripts.configuration --config config/config.yaml"


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument(
        "--config",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="configuration files; if several set the same key, the last one wins",
    )
    action.add_argument(
        "--reference", action="store_true", help="print the reference of all keys as Markdown"
    )
    action.add_argument("--schema", action="store_true", help="print the JSON schema of all keys")
    parser.add_argument("--all", action="store_true", help="with --config: print all keys with their values")
    options = parse(parser, arguments)
    if options.all and not options.config:
        raise InputError("--all: prints the keys of a configuration, expected --config too")
    if options.config:
        configuration = read_configuration(options.config)
        print(values_of(configuration) if options.all else overview(configuration), end="")
        return

    from cotrain.configuration.reference import reference
    from cotrain.configuration.schema import whole_schema

    print(reference() if options.reference else json.dumps(whole_schema(), indent=1) + "\n", end="")


def values_of(configuration: Configuration) -> str:
    """Return all keys with their values, as YAML."""
    # Lists in place of tuples, which YAML would mark.
    content = json.loads(json.dumps(msgspec.to_builtins(configuration)))
    return yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=110)


if __name__ == "__main__":
    run(main)
