"""Count the pixels of each class in every image of a labelled dataset, for rare-class sampling.

in:  a manifest with labels of train ids (or of the dataset's own ids, if --classes names their class table)
out: class_statistics.json: {"classes": [name, ...], "images": {id: [pixels of each class], ...}}
"""

from pathlib import Path

from cotrain.data.class_statistics import count_classes, write_class_statistics
from cotrain.data.label_files import TrainIdReader
from cotrain.data.label_spaces import label_space
from cotrain.data.manifests import read_manifest
from cotrain.progress import Progress
from cotrain.words import counted
from workflow_scripts.command_line import (
    add_classes_argument,
    add_label_space_argument,
    add_output_argument,
    add_threads_argument,
    logger,
    new_parser,
    parse,
    run,
)

EXAMPLE = """python -m workflow_scripts.class_statistics --manifest results/demo/data/game/train_ids.tsv \\
    --label-space cityscapes7 --output by_hand/class_statistics.json"""


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    parser.add_argument("--manifest", required=True, type=Path, help="images with labels")
    add_label_space_argument(parser)
    add_classes_argument(parser)
    add_threads_argument(parser, default=4)
    add_output_argument(parser, "FILE", "the statistics, JSON")
    options = parse(parser, arguments)
    items = read_manifest(options.manifest)
    reader = TrainIdReader(label_space(options.label_space), options.classes, "--classes")
    with Progress(len(items), "labels", f"count classes of {options.manifest}") as progress:
        counts = count_classes(items, reader, options.threads, progress)
    write_class_statistics(options.output, reader.space.classes, counts)
    logger.info("classes of %s -> %s", counted(len(items), "image"), options.output)


if __name__ == "__main__":
    run(main)
