"""Render streets with exact labels: the built-in datasets.

It writes OUTPUT/images/00000.jpg and so on, OUTPUT/labels/00000.png and so on (8-bit palette PNG, train ids
of the label space cityscapes19) and, as the last file, the list OUTPUT/scenes.tsv. Existing scenes are kept,
so an interrupted rendering continues where it stopped.
"""

from cotrain.data.files import write_text
from streets.generate import render_scenes
from streets.looks import LOOKS
from workflow_scripts.command_line import (
    add_output_argument,
    add_threads_argument,
    logger,
    new_parser,
    parse,
    positive,
    run,
)

EXAMPLE = """python -m workflow_scripts.render_scenes --look game --images 240 --width 480 --height 270 \\
    --seed 1 --threads 2 --output by_hand/game"""


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    parser.add_argument("--look", required=True, choices=tuple(LOOKS), help="what the streets look like")
    parser.add_argument("--images", type=positive, required=True, help="number of scenes")
    parser.add_argument("--width", type=positive, required=True, help="width of the images in pixels")
    parser.add_argument("--height", type=positive, required=True, help="height of the images in pixels")
    parser.add_argument("--seed", type=int, required=True, help="another seed gives other streets")
    add_threads_argument(parser, default=1)
    add_output_argument(parser, "FOLDER", "folder for images, labels and scenes.tsv")
    options = parse(parser, arguments)
    pairs = render_scenes(
        options.output,
        options.look,
        options.images,
        options.width,
        options.height,
        options.seed,
        options.threads,
    )
    rows = [f"{image.stem}\timages/{image.name}\tlabels/{label.name}" for image, label in pairs]
    write_text(options.output / "scenes.tsv", "\n".join(["id\timage\tlabel", *rows]) + "\n")
    logger.info(
        "%d %s streets of %d × %d pixels with labels are in %s",
        len(pairs),
        options.look,
        options.width,
        options.height,
        options.output,
    )


if __name__ == "__main__":
    run(main)
