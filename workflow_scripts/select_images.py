"""List the images whose labels show certain classes, for instance to look at rare classes.

in:  labels as a list with one path per line, a manifest or a folder; the images, unless a manifest names
     them. Labels hold train ids (or the dataset's own ids, if --classes names their class table).
out: OUTPUT/labels.txt and, if the images are known, OUTPUT/images.txt. Both have one path per line, in the
     same order: a dataset of the layout `lists`.
"""

import numpy as np

from cotrain.data.class_content import chosen_by_classes
from cotrain.data.counting import count_ids
from cotrain.data.files import refuse_overwriting, write_text
from cotrain.data.label_files import LabelFile, TrainIdReader, read_label_files
from cotrain.data.label_spaces import label_space
from cotrain.errors import InputError
from cotrain.progress import Progress
from cotrain.threads import map_in_order
from cotrain.words import counted
from workflow_scripts.command_line import (
    add_label_files_arguments,
    add_output_argument,
    add_threads_argument,
    class_ids,
    logger,
    new_parser,
    not_negative,
    parse,
    run,
)

EXAMPLE = """python -m workflow_scripts.select_images --labels results/demo/data/game/train_ids.tsv \\
    --label-space cityscapes7 --all human vehicle --more-than 500 --output by_hand/with_people"""


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    add_label_files_arguments(parser, "what the classes are")
    for flag, what in (("--any", "one of these at least"), ("--all", "all of these")):
        parser.add_argument(flag, nargs="+", default=[], metavar="CLASS", help=f"the image shows {what}")
    parser.add_argument(
        "--without", nargs="+", default=[], metavar="CLASS", help="the image shows none of these"
    )
    parser.add_argument(
        "--more-than",
        type=not_negative,
        default=5000,
        metavar="PIXELS",
        help="for --any and --all: a class must have more than this many pixels (default: 5000)",
    )
    parser.add_argument(
        "--at-most",
        type=not_negative,
        default=0,
        metavar="PIXELS",
        help="for --without: an image may have up to this many pixels of a class (default: 0)",
    )
    add_threads_argument(parser, default=4)
    add_output_argument(parser, "FOLDER", "folder of the lists")
    options = parse(parser, arguments)

    space = label_space(options.label_space)
    train_ids = {
        flag: class_ids(f"--{flag}", getattr(options, flag), space) for flag in ("any", "all", "without")
    }
    if not any(train_ids.values()):
        raise InputError("expected --any, --all or --without, found none of them")
    files = read_label_files(options.labels, options.images)
    lists = [path for path in (options.labels, options.images) if path]
    refuse_overwriting([options.output / "labels.txt", options.output / "images.txt"], lists)
    reader = TrainIdReader(space, options.classes, "--classes")
    counts = np.empty((len(files), space.number_of_classes), np.int64)
    with Progress(len(files), "labels", "count classes") as progress:

        def count(file: LabelFile) -> np.ndarray:
            return count_ids(reader.read(file.path))[: space.number_of_classes]

        for place, row in enumerate(map_in_order(count, files, options.threads)):
            counts[place] = row
            progress.advance()
    is_selected = chosen_by_classes(
        counts, train_ids["any"], train_ids["all"], train_ids["without"], options.more_than, options.at_most
    )
    selection = [file for file, selected in zip(files, is_selected, strict=True) if selected]
    if not selection:
        raise InputError(
            f"{options.labels}: none of {counted(len(files), 'image')} fits --any, --all and --without"
        )
    write_text(options.output / "labels.txt", "".join(f"{file.path}\n" for file in selection))
    images = [file.image for file in selection if file.image is not None]
    if images:
        write_text(options.output / "images.txt", "".join(f"{image}\n" for image in images))
    logger.info("%d of %d images -> %s", len(selection), len(files), options.output)


if __name__ == "__main__":
    run(main)
