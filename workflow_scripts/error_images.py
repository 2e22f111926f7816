"""Show where predictions of a class are right and wrong: a picture for each image and class.

in:  predictions and true labels, each as a list with one path per line, a manifest or a folder; the images,
     unless a manifest names them. Predictions hold train ids. Labels hold train ids too (or the dataset's own
     ids, if --classes names their class table).
out: OUTPUT/CLASS/NAME.png: true positives green, false positives red, false negatives blue, on top of the
     dimmed image. Pixels whose label is void are left out. Images with few pixels of a class get no picture
     of it.
"""

from pathlib import Path

from cotrain.data.images import read_image, write_image
from cotrain.data.label_files import LabelFile, TrainIdReader, names_of, paired_label_files
from cotrain.data.label_spaces import label_space
from cotrain.errors import InputError
from cotrain.progress import Progress
from cotrain.reporting.error_pictures import class_errors, error_picture
from cotrain.threads import map_in_order
from cotrain.words import agreeing, counted
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

EXAMPLE = """python -m workflow_scripts.error_images --predictions by_hand/segmented/labels \\
    --labels results/demo/data/camera_test/train_ids.tsv --label-space cityscapes7 \\
    --class-names human vehicle --output by_hand/errors"""


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    parser.add_argument("--predictions", type=Path, required=True, help="list, manifest or folder")
    add_label_files_arguments(parser, "classes of the predictions")
    parser.add_argument("--class-names", nargs="+", help="which classes to show (default: all)")
    parser.add_argument(
        "--more-than",
        type=not_negative,
        default=2000,
        metavar="PIXELS",
        help="show images with more pixels than this labelled or predicted as the class (default: 2000)",
    )
    add_threads_argument(parser, default=4)
    add_output_argument(parser, "FOLDER", "folder to write into")
    options = parse(parser, arguments)

    space = label_space(options.label_space)
    class_names = options.class_names or list(space.classes)
    train_ids = dict(zip(class_names, class_ids("--class-names", class_names, space), strict=True))
    pairs = paired_label_files(options.predictions, options.labels, options.images, complete=False)
    prediction_reader, label_reader = TrainIdReader(space), TrainIdReader(space, options.classes, "--classes")
    names = names_of([prediction_file for prediction_file, _ in pairs])

    def write_pictures(work: tuple[str, tuple[LabelFile, LabelFile]]) -> list[str]:
        name, (prediction_file, label_file) = work
        prediction = prediction_reader.read(prediction_file.path)
        label = label_reader.read(label_file.path)
        image_file = prediction_file.image or label_file.image
        image, classes_shown = None, []
        for class_name, train_id in train_ids.items():
            try:
                errors = class_errors(label, prediction, train_id)
                right, wrong, missing = errors.pixels
                union = right + wrong + missing
                if union <= options.more_than:
                    continue
                if image is None and image_file is not None:
                    image = read_image(image_file)
                subtitle = f"IoU {100 * right / union:.1f} % of {union} pixels"
                page = error_picture(errors, image, f"{class_name}: {name}", subtitle)
            except ValueError as error:
                raise InputError(
                    f"{prediction_file.origin}: {prediction_file.path} against {label_file.path}: {error}"
                ) from error
            write_image(options.output / class_name / f"{name}.png", page)
            classes_shown.append(class_name)
        progress.advance()
        return classes_shown

    counts = dict.fromkeys(class_names, 0)
    with Progress(len(pairs), "images", "error images") as progress:
        for classes_shown in map_in_order(write_pictures, zip(names, pairs, strict=True), options.threads):
            for class_name in classes_shown:
                counts[class_name] += 1
    for class_name, count in counts.items():
        logger.info(
            "%s: %d of %s %s more than %s",
            *(class_name, count, counted(len(pairs), "image"), agreeing(count, "has", "have")),
            counted(options.more_than, "pixel"),
        )
    logger.info("written to %s", options.output)


if __name__ == "__main__":
    run(main)
