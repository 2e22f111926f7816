"""Export pseudo-labels as a dataset for other tools, in the folders of Cityscapes.

in:  a manifest with labels of train ids, such as a run's pseudo_labels/ensemble/manifest.tsv
out: OUTPUT/leftImg8bit/train/CITY/*_leftImg8bit.png (or .jpg: links to the images, with --copy copies) and
     OUTPUT/gtFine/train/CITY/*_gtFine_labelIds.png, *_gtFine_labelTrainIds.png.
     If all classes of the label space are classes of Cityscapes, the labels hold Cityscapes' ids. Otherwise,
     both label files hold the train ids of the label space, and OUTPUT/classes.yaml and label_space.yaml
     explain them.
"""

from pathlib import Path

from cotrain.data.cityscapes_export import CLASSES_FILE, LABEL_SPACE_FILE, export_as_cityscapes
from cotrain.data.label_spaces import label_space
from cotrain.data.manifests import read_manifest, verify_labels
from cotrain.errors import InputError
from cotrain.progress import Progress
from workflow_scripts.command_line import (
    add_label_space_argument,
    add_output_argument,
    add_threads_argument,
    logger,
    new_parser,
    parse,
    run,
)

EXAMPLE = """python -m workflow_scripts.export_pseudo_labels \\
    --manifest results/demo/pseudo_labels/ensemble/manifest.tsv --label-space cityscapes7 \\
    --output by_hand/exported"""


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    parser.add_argument("--manifest", type=Path, required=True, help="images with labels of train ids")
    add_label_space_argument(parser)
    parser.add_argument(
        "--city",
        help="name of the folder for all images (default: the name of the folder in which each image lies)",
    )
    parser.add_argument("--copy", action="store_true", help="copy the images instead of linking to them")
    add_threads_argument(parser, default=4)
    add_output_argument(parser, "FOLDER", "folder of the dataset")
    options = parse(parser, arguments)

    space = label_space(options.label_space)
    items = read_manifest(options.manifest)
    if not items:
        raise InputError(f"{options.manifest}: lists no image, there is nothing to export")
    verify_labels(items, options.manifest)
    with Progress(len(items), "images", "export") as progress:
        ids = export_as_cityscapes(
            items, options.output, space, options.city, options.copy, options.threads, progress
        )
    if ids.of_cityscapes:
        logger.info("labelIds and labelTrainIds hold the ids of Cityscapes")
    else:
        logger.info(
            "labelIds and labelTrainIds both hold the train ids of %s, not of Cityscapes: see %s and %s",
            space.name,
            options.output / CLASSES_FILE,
            options.output / LABEL_SPACE_FILE,
        )
    logger.info("written to %s", options.output)


if __name__ == "__main__":
    run(main)
