"""Export pseudo-labels for other tools: as a dataset in the folders of Cityscapes, or for correction in CVAT.

in:  a manifest with labels of train ids, such as a run's pseudo_labels/ensemble/manifest.tsv
out: --format cityscapes:
     OUTPUT/leftImg8bit/train/CITY/*_leftImg8bit.png (or .jpg: links to the images, with --copy copies) and
     OUTPUT/gtFine/train/CITY/*_gtFine_labelIds.png, *_gtFine_labelTrainIds.png.
     If all classes of the label space are classes of Cityscapes, the labels hold Cityscapes' ids. Otherwise,
     both label files hold the train ids of the label space, and OUTPUT/classes.yaml and label_space.yaml
     explain them.
     --format cvat:
     OUTPUT/images, labels.json (the labels of a task) and annotations.zip (what is drawn so far, to be
     uploaded as "Segmentation mask 1.1"). import_corrected_labels reads what CVAT exports.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from cotrain.data.cityscapes_export import CLASSES_FILE, LABEL_SPACE_FILE, export_as_cityscapes
from cotrain.data.cvat import ARCHIVE, IMAGES_FOLDER, LABELS_FILE, export_for_cvat
from cotrain.data.label_spaces import LabelSpace, label_space
from cotrain.data.manifests import Item, read_manifest, verify_labels
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
        "--format",
        choices=("cityscapes", "cvat"),
        default="cityscapes",
        help="what the export is for (default: cityscapes)",
    )
    parser.add_argument(
        "--city",
        help="with --format cityscapes: name of the folder for all images (default: the folder in "
        "which each image lies)",
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
    if options.format == "cvat":
        write_for_cvat(items, space, options)
    else:
        write_as_cityscapes(items, space, options)
    logger.info("written to %s", options.output)


def write_for_cvat(items: Sequence[Item], space: LabelSpace, options: argparse.Namespace) -> None:
    """Write the export for CVAT, and say what each of its parts is for."""
    if options.city:
        raise InputError("--city: is a name in the folders of Cityscapes; leave it out with --format cvat")
    with Progress(len(items), "images", "export") as progress:
        export_for_cvat(items, options.output, space, options.copy, options.threads, progress)
    logger.info(
        "a task in CVAT: its labels are in %s (tab Raw), its images in %s, and what is drawn so far in %s "
        "(Segmentation mask 1.1)",
        *(options.output / name for name in (LABELS_FILE, IMAGES_FOLDER, ARCHIVE)),
    )


def write_as_cityscapes(items: Sequence[Item], space: LabelSpace, options: argparse.Namespace) -> None:
    """Write the export in the folders of Cityscapes, and say what the ids mean."""
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


if __name__ == "__main__":
    run(main)
