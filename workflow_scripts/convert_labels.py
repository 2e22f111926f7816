"""Convert a dataset's label files to the run's train ids.

in:  the dataset's labelled manifest and its settings, which say how its label files encode classes
out: OUTPUT/labels/*.png (train ids with palette) and OUTPUT/train_ids.tsv. Label files that already hold the
     run's train ids are read and not copied; the manifest names the original files.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from cotrain.configuration.reading import read_settings
from cotrain.configuration.sections import DatasetSettings
from cotrain.data.class_tables import known_ids, translation_table
from cotrain.data.files import refuse_overwriting, sha256_of
from cotrain.data.images import write_label
from cotrain.data.label_files import read_known_ids, table_advice
from cotrain.data.label_spaces import label_space
from cotrain.data.layouts import dataset_class_table
from cotrain.data.manifests import Item, read_manifest, write_manifest
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

EXAMPLE = """python -m workflow_scripts.convert_labels --manifest results/demo/data/game/labelled.tsv \\
    --dataset game --settings results/demo/settings/datasets/game/labelled.json \\
    --label-space cityscapes7 --output by_hand/converted"""


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    parser.add_argument("--manifest", type=Path, required=True, help="the dataset's labelled manifest")
    parser.add_argument("--dataset", required=True, help="name of the dataset in the configuration")
    parser.add_argument(
        "--settings", type=Path, required=True, metavar="FILE", help="its settings, JSON or YAML"
    )
    add_label_space_argument(parser)
    add_threads_argument(parser, default=1)
    add_output_argument(parser, "FOLDER", "folder of the dataset")
    options = parse(parser, arguments)

    items = read_manifest(options.manifest)
    settings, space = read_settings(options.settings, DatasetSettings), label_space(options.label_space)
    table = dataset_class_table(options.dataset, settings)
    to_train_id = translation_table(table, space)
    known = known_ids(table)
    advice = table_advice(f"datasets.{options.dataset}.classes")
    # By the table; what the files hold is looked at below, each as strictly as where it is converted.
    are_train_ids = table.encoding == "ids" and np.array_equal(to_train_id[known], np.flatnonzero(known))
    if not are_train_ids:
        labels = [item.label for item in items if item.label is not None]
        refuse_overwriting([options.output / "labels" / f"{item.id}.png" for item in items], labels)
    with Progress(len(items), "labels", f"convert labels of {options.output.name}") as progress:

        def convert(item: Item) -> Item:
            if item.label is None:
                raise InputError(f"{options.manifest}: image {item.id!r} has no label to convert")
            path = item.label
            own_ids = read_known_ids(path, table, advice)
            if own_ids.shape != (item.height, item.width):
                raise InputError(
                    f"{path}: is {own_ids.shape[1]}×{own_ids.shape[0]}, expected {item.width}×{item.height} "
                    f"as its image {item.image}"
                )
            if not are_train_ids:
                path = options.output / "labels" / f"{item.id}.png"
                write_label(path, to_train_id[own_ids], space.palette)
            progress.advance()
            # With the hash, whoever trains on the manifest notices when a label changes.
            return replace(item, label=path.absolute(), label_sha256=sha256_of(path))

        new_items = list(map_in_order(convert, items, options.threads))
    if are_train_ids:
        logger.info("the labels already hold train ids of %s", space.name)
    write_manifest(options.output / "train_ids.tsv", new_items, Path.cwd())


if __name__ == "__main__":
    run(main)
