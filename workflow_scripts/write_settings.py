"""Write the settings of one step of a run into a file of its own.

A step depends on this small file, not on the whole configuration. So it does not run again if you edit
another section. If you run a step by hand, give it this file as `--settings`.

In:  a configuration; the name of the settings: training/baseline (self_training, co_training, final),
     prediction, evaluation, crops, work, datasets/NAME/images, datasets/NAME/labelled
Out: the settings as JSON
"""

from pathlib import Path

from cotrain.configuration.reading import read_configuration
from cotrain.configuration.settings_files import settings_named, write_settings
from workflow_scripts.command_line import new_parser, parse, run

EXAMPLE = """python -m workflow_scripts.write_settings --config config/config.yaml --name training/baseline \\
    --output by_hand/settings.json"""


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    parser.add_argument(
        "--config",
        type=Path,
        nargs="+",
        required=True,
        help="configuration files; if several set the same key, the last one wins",
    )
    parser.add_argument("--name", required=True, help="which settings")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="the .json file")
    options = parse(parser, arguments)
    write_settings(options.output, settings_named(read_configuration(options.config), options.name))


if __name__ == "__main__":
    run(main)
