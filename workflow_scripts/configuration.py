"""Check a run's configuration, fill in its defaults and print the result as YAML.

If several configuration files set the same key, the last file wins. With --reference, the step prints the
text of config/README.md instead; with --schema, that of config/schema.json.
"""

import json
from pathlib import Path

import msgspec
import yaml

from cotrain.configuration.reading import read_configuration
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
    options = parse(parser, arguments)
    if options.config:
        configuration = msgspec.to_builtins(read_configuration(options.config))
        # Lists in place of tuples, which YAML would mark.
        content = json.loads(json.dumps(configuration))
        print(yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=110), end="")
        return

    from cotrain.configuration.reference import reference
    from cotrain.configuration.schema import whole_schema

    print(reference() if options.reference else json.dumps(whole_schema(), indent=1) + "\n", end="")


if __name__ == "__main__":
    run(main)
