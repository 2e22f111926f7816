"""Compare label files that any tool has written with the files of the true labels, and score them.

in:  predictions and labels, each as a list with one path per line, a manifest or a folder. Predictions hold
     train ids. Labels hold train ids too (or the dataset's own ids, if --classes names their class table).
out: OUTPUT/scores.json, OUTPUT/confusion.tsv and OUTPUT/confusion.png
"""

from pathlib import Path

from cotrain.data.label_files import paired_label_files
from cotrain.data.label_spaces import label_space
from cotrain.evaluation.label_pairs import confusion_of_pairs
from cotrain.progress import Progress
from cotrain.reporting.score_files import write_score_files
from workflow_scripts.command_line import (
    add_class_subsets_argument,
    add_classes_argument,
    add_label_space_argument,
    add_output_argument,
    add_threads_argument,
    logger,
    new_parser,
    parse,
    run,
)

EXAMPLE = """python -m workflow_scripts.score_labels --predictions by_hand/segmented/labels \\
    --labels results/demo/data/camera_test/train_ids.tsv --label-space cityscapes7 \\
    --output by_hand/scores"""


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    parser.add_argument("--name", default="predictions", help="name of the model, for the score file")
    parser.add_argument("--predictions", type=Path, required=True, help="list, manifest or folder")
    parser.add_argument("--labels", type=Path, required=True, help="list, manifest or folder")
    add_label_space_argument(parser, "classes of the predictions")
    add_classes_argument(parser)
    add_threads_argument(parser, default=4)
    add_class_subsets_argument(parser)
    add_output_argument(parser, "FOLDER", "folder of the scores")
    options = parse(parser, arguments)

    space = label_space(options.label_space)
    pairs = paired_label_files(options.predictions, options.labels)
    with Progress(len(pairs), "images", f"score {options.name}") as progress:
        confusion = confusion_of_pairs(pairs, space, options.threads, progress, options.classes)
    scores = write_score_files(
        options.output,
        model=options.name,
        protocol={"label_space": space.name},
        images=len(pairs),
        confusion=confusion,
        classes=space.classes,
        class_subsets=options.class_subsets,
    )
    logger.info("%s: mIoU %.2f %%; %s", options.name, 100 * scores["mean_iou"], options.output)


if __name__ == "__main__":
    run(main)
