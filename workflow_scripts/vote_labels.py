"""Make one set of labels out of two. Where they differ, the most frequent class of the pixels around decides.

in:  two sets of label files of the same images, each as a list with one path per line, a manifest or a
     folder; train ids, 255 for void
out: OUTPUT/labels/NAME.png, and OUTPUT/labels.txt, which lists them in the order of the first set
"""

from pathlib import Path

import numpy as np

from cotrain.adaptation.voting import windowed_majority
from cotrain.data.files import refuse_overwriting, write_text
from cotrain.data.images import write_label
from cotrain.data.label_files import LabelFile, TrainIdReader, names_of, paired_label_files
from cotrain.data.label_spaces import label_space
from cotrain.errors import InputError
from cotrain.progress import Progress
from cotrain.threads import map_in_order
from workflow_scripts.command_line import (
    add_label_space_argument,
    add_output_argument,
    add_threads_argument,
    logger,
    new_parser,
    parse,
    run,
)

EXAMPLE = """python -m workflow_scripts.vote_labels --labels a/labels b/labels --window 3 \\
    --label-space cityscapes19 --output both"""


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    parser.add_argument(
        "--labels",
        type=Path,
        nargs=2,
        required=True,
        metavar=("FIRST", "SECOND"),
        help="lists, manifests or folders",
    )
    parser.add_argument(
        "--window",
        type=int,
        default=3,
        metavar="PIXELS",
        help="width in pixels of the window in which classes are counted, an odd number (default: 3)",
    )
    add_label_space_argument(parser, "what the train ids mean")
    add_threads_argument(parser, default=4)
    add_output_argument(parser, "FOLDER", "folder to write into")
    options = parse(parser, arguments)
    if options.window < 1 or options.window % 2 == 0:
        raise InputError(f"--window: found {options.window}, expected a positive odd number")

    space = label_space(options.label_space)
    pairs = paired_label_files(*options.labels)
    paths = [options.output / "labels" / f"{name}.png" for name in names_of([first for first, _ in pairs])]
    refuse_overwriting(
        [*paths, options.output / "labels.txt"],
        [*options.labels, *(file.path for pair in pairs for file in pair)],
    )
    reader = TrainIdReader(space)

    def vote(work: tuple[Path, tuple[LabelFile, LabelFile]]) -> tuple[int, int]:
        path, (first, second) = work
        a, b = reader.read(first.path), reader.read(second.path)
        try:
            label = windowed_majority(a, b, options.window, space.number_of_classes)
        except ValueError as error:
            raise InputError(f"{first.origin}: {first.path} with {second.path}: {error}") from error
        write_label(path, label, space.palette)
        progress.advance()
        return int(np.count_nonzero(a != b)), a.size

    differing = pixels = 0
    with Progress(len(pairs), "images", "vote") as progress:
        for different, size in map_in_order(vote, zip(paths, pairs, strict=True), options.threads):
            differing, pixels = differing + different, pixels + size
    write_text(options.output / "labels.txt", "".join(f"labels/{path.name}\n" for path in paths))
    logger.info(
        "they differed in %.2f %% of the pixels; %s", 100 * differing / pixels, options.output / "labels.txt"
    )


if __name__ == "__main__":
    run(main)
