"""Store the decoded images of a manifest on disk, so that training does not decode them again and again.

in:  a manifest of images
out: OUTPUT/index.tsv (which file holds which image), and next to it one .npy file per image, of width ×
     height × 3 bytes. A training gives the same weights with and without these files.

An interrupted run continues where it stopped; the index is written last. The folder may be deleted when the
trainings are done.
"""

from pathlib import Path

import cv2

from cotrain.data.decoded import check_space, decode, write_index
from cotrain.data.manifests import Item, read_manifest
from cotrain.progress import Progress
from cotrain.threads import map_in_order
from cotrain.words import counted
from workflow_scripts.command_line import (
    add_output_argument,
    add_threads_argument,
    logger,
    new_parser,
    parse,
    run,
)

EXAMPLE = """python -m workflow_scripts.decode_images --threads 8 \\
    --manifest results/demo/translated/game/manifest.tsv --output by_hand/decoded"""


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    parser.add_argument("--manifest", type=Path, required=True, help="the images")
    add_threads_argument(parser, default=1)
    add_output_argument(parser, "FOLDER", "folder of the decoded images")
    options = parse(parser, arguments)

    items = read_manifest(options.manifest)
    check_space(items, options.output)
    # The images are decoded in parallel; OpenCV's own threads would only get in each other's way.
    cv2.setNumThreads(1)
    with Progress(len(items), "images", f"decoding {options.output.name}") as progress:

        def decode_item(item: Item) -> tuple[Path, Path]:
            file = decode(item, options.output)
            progress.advance()
            return item.image, file

        files = dict(map_in_order(decode_item, items, options.threads))
    write_index(options.output / "index.tsv", files)
    size = sum(file.stat().st_size for file in files.values())
    logger.info("%s: %s, %.1f GiB", options.output, counted(len(files), "image"), size / 2**30)


if __name__ == "__main__":
    run(main)
