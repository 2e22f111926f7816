"""Import labels that people have corrected in CVAT, as a labelled dataset.

in:  the manifest that export_pseudo_labels was given, and what CVAT exports as "Segmentation mask 1.1",
     unpacked. The labels may be of some of the images only
out: OUTPUT/labels/ID.png (train ids, void is 255), OUTPUT/images.txt and labels.txt (a dataset of the layout
     `lists`) and OUTPUT/classes.yaml, its class table. Images without any labelled pixel are left out.
"""

from pathlib import Path

import numpy as np

from cotrain.data.cityscapes_export import CLASSES_FILE, write_train_id_table
from cotrain.data.class_tables import translation_table
from cotrain.data.cvat import LABELMAP, find_corrected, read_labelmap
from cotrain.data.files import portable, refuse_overwriting, write_text
from cotrain.data.images import read_label, read_own_ids, write_label
from cotrain.data.label_spaces import IGNORE, label_space
from cotrain.data.manifests import Item, read_manifest
from cotrain.errors import InputError
from cotrain.progress import map_in_threads
from cotrain.words import agreeing, counted
from workflow_scripts.command_line import (
    add_label_space_argument,
    add_output_argument,
    add_threads_argument,
    logger,
    new_parser,
    parse,
    run,
)

EXAMPLE = """python -m workflow_scripts.import_corrected_labels --corrected from_cvat \\
    --manifest by_hand/to_correct.tsv --label-space cityscapes7 --output by_hand/corrected"""


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    parser.add_argument("--corrected", type=Path, required=True, help="folder of the unpacked export of CVAT")
    parser.add_argument("--manifest", type=Path, required=True, help="the manifest of the exported images")
    add_label_space_argument(parser)
    add_threads_argument(parser, default=4)
    add_output_argument(parser, "FOLDER", "folder of the dataset")
    options = parse(parser, arguments)

    space = label_space(options.label_space)
    items = read_manifest(options.manifest)
    found = find_corrected(options.corrected, items, options.manifest)
    table = read_labelmap(options.corrected / LABELMAP, space)
    train_ids = translation_table(table, space)
    refuse_overwriting(
        [options.output / "labels" / f"{item.id}.png" for item, _ in found],
        [path for item, corrected in found for path in (item.label, corrected) if path],
    )

    def convert(pair: tuple[Item, Path]) -> tuple[bool, int, int]:
        """Write a label; return whether it holds a class, its changed pixels, and the pixels compared."""
        item, corrected = pair
        label = train_ids[read_own_ids(corrected, table)]
        if np.all(label == IGNORE):
            return False, 0, 0
        write_label(options.output / "labels" / f"{item.id}.png", label, space.palette)
        if item.label is None or not item.label.is_file():
            return True, 0, 0
        before = read_label(item.label)
        return True, int(np.count_nonzero(label != before)), label.size

    results = list(map_in_threads(convert, found, options.threads, "import labels"))
    kept = [item for (item, _), (is_labelled, _, _) in zip(found, results, strict=True) if is_labelled]
    if not kept:
        raise InputError(
            f"{options.corrected}: no label has a labelled pixel, expected classes in some image"
        )
    write_train_id_table(options.output / CLASSES_FILE, space)
    write_text(options.output / "labels.txt", "".join(f"labels/{item.id}.png\n" for item in kept))
    write_text(options.output / "images.txt", "".join(f"{item.image}\n" for item in kept))
    if len(kept) < len(found):
        empty = counted(len(found) - len(kept), "image has", "images have")
        logger.warning(
            "%s no labelled pixel, and %s left out", empty, agreeing(len(found) - len(kept), "is", "are")
        )
    changed = sum(number for _, number, _ in results)
    pixels = sum(size for _, _, size in results)
    logger.info(
        "%d of %s %s labels, %d of them with other pixels than before (%.2f %% of the pixels)",
        *(len(kept), counted(len(items), "image"), agreeing(len(kept), "has", "have")),
        sum(number > 0 for _, number, _ in results),
        100 * changed / pixels if pixels else 0.0,
    )
    folder = portable(options.output)
    logger.info(
        "in a configuration, below datasets: corrected: {layout: lists, images: %s/images.txt, labels: "
        "%s/labels.txt, classes: %s/%s}",
        *(folder, folder, folder, CLASSES_FILE),
    )


if __name__ == "__main__":
    run(main)
