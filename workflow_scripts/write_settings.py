"""Write the settings of one stage's trainings into a file of its own.

A training depends on this small file, not on the whole configuration: to edit another section does not train
anew, and the file is what a person passes to `workflow_scripts.train` by hand.

out: OUTPUT.json
"""

from pathlib import Path

from cotrain.data.files import write_json
from workflow_scripts.command_line import new_parser, parse, run, settings

EXAMPLE = """python -m workflow_scripts.write_settings --settings '{"iterations": 8000}' \\
    --output by_hand/settings.json"""


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    parser.add_argument("--settings", type=settings, required=True, help="JSON text or a YAML file")
    parser.add_argument("--output", type=Path, required=True)
    options = parse(parser, arguments)
    write_json(options.output, options.settings)


if __name__ == "__main__":
    run(main)
