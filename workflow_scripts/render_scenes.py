"""Render streets with exact labels: the built-in data sets.

Writes OUTPUT/images/00000.jpg and on, OUTPUT/labels/00000.png and on (8-bit palette PNG, train ids of the
label space cityscapes19) and, as the last file, the list OUTPUT/scenes.tsv. Scenes that are there
already are kept, so an interrupted rendering continues where it stopped.
"""

from pathlib import Path

from cotrain.data.files import write_text
from streets.generate import render_scenes
from streets.looks import LOOKS
from workflow_scripts import command_line

EXAMPLE = """python -m workflow_scripts.render_scenes --look game --images 240 --width 480 --height 270 \\
    --seed 1 --processes 2 --output by_hand/game"""


def main(arguments: list[str] | None = None) -> None:
    parser = command_line.new_parser(__doc__, EXAMPLE)
    parser.add_argument("--look", required=True, help=f"one of {', '.join(LOOKS)}")
    parser.add_argument("--images", type=int, required=True, help="number of scenes")
    parser.add_argument("--width", type=int, required=True, help="width of the images in pixels")
    parser.add_argument("--height", type=int, required=True, help="height of the images in pixels")
    parser.add_argument("--seed", type=int, required=True, help="another seed gives other streets")
    parser.add_argument("--processes", type=int, default=1, help="processes that render side by side")
    parser.add_argument("--output", type=Path, required=True, help="folder for images, labels and scenes.tsv")
    options = command_line.parse(parser, arguments)
    pairs = render_scenes(
        options.output,
        options.look,
        options.images,
        options.width,
        options.height,
        options.seed,
        options.processes,
    )
    rows = [f"{image.stem}\timages/{image.name}\tlabels/{label.name}" for image, label in pairs]
    write_text(options.output / "scenes.tsv", "\n".join(["id\timage\tlabel", *rows]) + "\n")
    command_line.logger.info(
        "%d %s streets of %d × %d pixels with labels are in %s",
        len(pairs),
        options.look,
        options.width,
        options.height,
        options.output,
    )


if __name__ == "__main__":
    command_line.run(main)
