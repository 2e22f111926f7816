"""Render streets with labels: the built-in datasets.

It writes OUTPUT/images/00000.jpg and so on, OUTPUT/labels/00000.png and so on (8-bit palette PNG, train ids
of the label space cityscapes19) and, as the last file, the list OUTPUT/scenes.tsv. Existing scenes are kept,
so an interrupted rendering continues where it stopped.
"""

from pathlib import Path

from cotrain.configuration.reading import read_settings
from cotrain.configuration.sections import StreetsSettings
from cotrain.data.files import write_text
from streets.generate import render_scenes
from workflow_scripts.command_line import (
    add_output_argument,
    add_threads_argument,
    logger,
    new_parser,
    parse,
    run,
)

EXAMPLE = """python -m workflow_scripts.render_scenes --threads 2 --output by_hand/game \\
    --settings results/demo/settings/datasets/game/images.json"""


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    parser.add_argument(
        "--settings",
        required=True,
        type=Path,
        metavar="FILE",
        help="look, number, size and seed of the scenes, as results/RUN/settings/datasets/NAME/images.json",
    )
    add_threads_argument(parser, default=1)
    add_output_argument(parser, "FOLDER", "folder for images, labels and scenes.tsv")
    options = parse(parser, arguments)
    settings = read_settings(options.settings, StreetsSettings)
    pairs = render_scenes(
        options.output,
        settings.look,
        settings.images,
        settings.width,
        settings.height,
        settings.seed,
        options.threads,
    )
    rows = [f"{image.stem}\timages/{image.name}\tlabels/{label.name}" for image, label in pairs]
    write_text(options.output / "scenes.tsv", "\n".join(["id\timage\tlabel", *rows]) + "\n")
    logger.info(
        "%d %s streets of %d × %d pixels with labels are in %s",
        len(pairs),
        settings.look,
        settings.width,
        settings.height,
        options.output,
    )


if __name__ == "__main__":
    run(main)
