"""Write the settings of one step of a run into a file of its own.

A step depends on this small file, not on the whole configuration. So it does not run again if you edit
another section. If you run a step by hand, give it this file as `--settings`.

in:  a configuration; the name of the settings: training/baseline (self_training, co_training, final),
     prediction, evaluation, crops, work, datasets/NAME/images, datasets/NAME/labelled, or configuration for
     the whole with its defaults
out: the settings as JSON
"""

from pathlib import Path

from cotrain.configuration.reading import read_configuration
from cotrain.configuration.settings_files import settings_named, write_settings
from workflow_scripts.command_line import add_output_argument, check_suffix, logger, new_parser, parse, run

EXAMPLE = """python -m workflow_scripts.write_settings --config config/config.yaml --part training/final \\
    --output by_hand/final.json
  python -m workflow_scripts.write_settings --config results/demo/settings/configuration.json --part work \\
    --output by_hand/work.json"""


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    parser.add_argument(
        "--config",
        type=Path,
        nargs="+",
        required=True,
        help="configuration files; if several set the same key, the last one wins",
    )
    parser.add_argument("--part", required=True, help="which settings, e.g. training/final")
    add_output_argument(parser, "FILE", "the .json file")
    options = parse(parser, arguments)
    check_suffix(options.output, ".json")
    write_settings(options.output, settings_named(read_configuration(options.config), options.part))
    logger.info("settings of %s -> %s", options.part, options.output)


if __name__ == "__main__":
    run(main)
