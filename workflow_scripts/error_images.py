"""Show where predictions of a class are right and wrong: a picture for each image and class.

In:  predictions and true labels, each as a list of one path a line, a manifest or a folder; the images,
     unless a manifest names them. Predictions hold train ids; labels too, unless --classes names the class
     table of the dataset's own ids.
Out: OUTPUT/CLASS/NAME.png: true positives green, false positives red, false negatives blue, over the dimmed
     image. Pixels whose label is void are left out. Images with few pixels of a class get no picture of it.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cotrain.data.images import read_image, write_image
from cotrain.data.label_files import LabelFile, TrainIdReader, names_of, paired_label_files
from cotrain.data.label_spaces import label_space
from cotrain.errors import InputError
from cotrain.progress import Progress
from cotrain.reporting.error_pictures import class_errors, error_picture
from workflow_scripts.command_line import (
    add_classes_argument,
    add_label_space_argument,
    add_output_argument,
    add_threads_argument,
    class_ids,
    logger,
    new_parser,
    not_negative,
    parse,
    run,
)

EXAMPLE = """python -m workflow_scripts.error_images --predictions by_hand/segmented/labels \\
    --labels results/demo/data/camera_test/train_ids.tsv --label-space cityscapes7 \\
    --class-names human vehicle --output by_hand/errors"""


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    parser.add_argument("--predictions", type=Path, required=True, help="list, manifest or folder")
    parser.add_argument("--labels", type=Path, required=True, help="list, manifest or folder")
    parser.add_argument(
        "--images", type=Path, help="list or folder of the images (default: as manifests say)"
    )
    add_label_space_argument(parser, "classes of the predictions")
    add_classes_argument(parser)
    parser.add_argument("--class-names", nargs="+", help="which classes to show (default: all)")
    parser.add_argument(
        "--more-than",
        type=not_negative,
        default=2000,
        metavar="PIXELS",
        help="show images with more pixels that are or were taken for the class (default: 2000)",
    )
    add_threads_argument(parser, default=4)
    add_output_argument(parser, "FOLDER", "folder to write into")
    options = parse(parser, arguments)

    space = label_space(options.label_space)
    chosen = options.class_names or list(space.classes)
    train_ids = dict(zip(chosen, class_ids("--class-names", chosen, space), strict=True))
    pairs = paired_label_files(options.predictions, options.labels, options.images, complete=False)
    of_predictions, of_labels = TrainIdReader(space), TrainIdReader(space, options.classes)
    names = names_of([predicted for predicted, _ in pairs])

    def show(work: tuple[str, tuple[LabelFile, LabelFile]]) -> list[str]:
        name, (predicted, labelled) = work
        prediction, label = of_predictions.read(predicted.path), of_labels.read(labelled.path)
        source = predicted.image or labelled.image
        image, shown = None, []
        for class_name, train_id in train_ids.items():
            try:
                errors = class_errors(label, prediction, train_id)
                right, wrong, missing = errors.pixels
                concerned = right + wrong + missing
                if concerned <= options.more_than:
                    continue
                if image is None and source is not None:
                    image = read_image(source)
                subtitle = f"IoU {100 * right / concerned:.1f} % of {concerned} pixels"
                page = error_picture(errors, image, f"{class_name}: {name}", subtitle)
            except ValueError as error:
                raise InputError(
                    f"{predicted.origin}: {predicted.path} against {labelled.path}: {error}"
                ) from error
            write_image(options.output / class_name / f"{name}.png", page)
            shown.append(class_name)
        progress.advance()
        return shown

    number = dict.fromkeys(chosen, 0)
    with (
        ThreadPoolExecutor(options.threads) as pool,
        Progress(len(pairs), "images", "error images") as progress,
    ):
        for shown in pool.map(show, zip(names, pairs, strict=True)):
            for class_name in shown:
                number[class_name] += 1
    for class_name, count in number.items():
        logger.info(
            "%s: %d of %d images have more than %d pixels", class_name, count, len(pairs), options.more_than
        )
    logger.info("written to %s", options.output)


if __name__ == "__main__":
    run(main)
