"""Label the whole target train set with the last models of both branches together.

in:  the manifest of all target images, both models' predictions of it (all shards), their thresholds
out: OUTPUT/labels/*.png and OUTPUT/manifest.tsv. Each pixel has the class of the model with the higher
     confidence. It is void if this confidence is not above the lower of the two thresholds of that class.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cotrain.adaptation.labelling import EnsembleLabeller, what_to_change
from cotrain.adaptation.threshold_table import ThresholdTable
from cotrain.data.label_sets import write_pseudo_labels
from cotrain.data.label_spaces import label_space
from cotrain.data.manifests import Item, read_manifest, write_manifest
from cotrain.data.masks import EgoVehicleMask
from cotrain.data.pairs import check_pairs
from cotrain.data.predictions import PredictionReader
from cotrain.errors import InputError
from cotrain.progress import Progress
from workflow_scripts.command_line import (
    add_label_space_argument,
    add_mask_argument,
    add_output_argument,
    add_threads_argument,
    logger,
    new_parser,
    parse,
    run,
)

EXAMPLE = """python -m workflow_scripts.ensemble_labels --images images.tsv --images-b images.tsv \\
    --predictions-a a/0.h5 --predictions-b b/0.h5 --thresholds-a a.json --thresholds-b b.json \\
    --label-space cityscapes7 --output ensemble"""


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    parser.add_argument("--images", type=Path, required=True, help="manifest of all target images")
    parser.add_argument(
        "--images-b",
        type=Path,
        required=True,
        help="manifest of the images that b predicted: its image i shows the scene of image i of --images",
    )
    parser.add_argument("--predictions-a", type=Path, nargs="+", required=True, help="one .h5 file per shard")
    parser.add_argument("--predictions-b", type=Path, nargs="+", required=True, help="one .h5 file per shard")
    parser.add_argument("--thresholds-a", type=Path, required=True, help="thresholds.json of model a")
    parser.add_argument("--thresholds-b", type=Path, required=True, help="thresholds.json of model b")
    add_label_space_argument(parser)
    add_mask_argument(parser)
    add_threads_argument(parser, default=4)
    add_output_argument(parser, "FOLDER", "labels and their manifest")
    options = parse(parser, arguments)

    space = label_space(options.label_space)
    items, pairs = read_manifest(options.images), read_manifest(options.images_b)
    check_pairs(items, pairs, (options.images, options.images_b), one_size=True)
    threshold_files = (options.thresholds_a, options.thresholds_b)
    tables = [ThresholdTable.read(path, space) for path in threshold_files]
    mask = EgoVehicleMask(options.ego_vehicle_mask)
    with (
        PredictionReader(options.predictions_a) as predictions_a,
        PredictionReader(options.predictions_b) as predictions_b,
        Progress(len(items), "images", "ensemble labels") as progress,
    ):
        predictions_a.check(items, options.images, space.classes)
        predictions_b.check(pairs, options.images_b, space.classes)
        labeller = EnsembleLabeller(
            predictions_a,
            predictions_b,
            pair_of={item.id: pair.id for item, pair in zip(items, pairs, strict=True)},
            thresholds=np.minimum(*(table.levels for table in tables)),
            mask=mask,
        )

        def label_of(item: Item) -> tuple[NDArray[np.uint8], float]:
            scored_label = labeller.scored_label(item)
            progress.advance()
            return scored_label

        written = write_pseudo_labels(items, label_of, options.output / "labels", space, options.threads)
    kept = [item for item in written if item.kept_pixels]
    if not kept:
        reasons = [
            table.why_nothing_is_kept(path) for table, path in zip(tables, threshold_files, strict=True)
        ]
        advice = what_to_change(tables, "co_training", "co_training.iterations")
        raise InputError("\n".join([*reasons, advice]))
    write_manifest(options.output / "manifest.tsv", kept, Path.cwd())
    logger.info("%d of %d images have labels; %s", len(kept), len(items), options.output / "manifest.tsv")


if __name__ == "__main__":
    run(main)
