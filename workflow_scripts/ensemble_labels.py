"""Label a shard of the whole target train set with the last models of both branches together.

in:  the manifest of all target images, the same shard of both models' predictions of it, their thresholds
out: OUTPUT/labels/*.png and OUTPUT/manifest.tsv, with all images of the shard. Each pixel has the class of
     the model with the higher confidence. It is void if this confidence is not above the lower of the two
     thresholds of that class. The step join_ensemble makes one set of all shards.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cotrain.adaptation.labelling import EnsembleLabeller, labels_in_words
from cotrain.adaptation.threshold_table import ThresholdTable
from cotrain.data.counting import count_ids
from cotrain.data.label_sets import write_pseudo_labels
from cotrain.data.label_spaces import label_space
from cotrain.data.manifests import Item, read_manifest, write_manifest
from cotrain.data.masks import EgoVehicleMask
from cotrain.data.pairs import check_pairs
from cotrain.data.predictions import PredictionReader, check_same_shard
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
    --label-space cityscapes7 --output ensemble/shards/0"""


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    parser.add_argument("--images", type=Path, required=True, help="manifest of all target images")
    parser.add_argument(
        "--images-b",
        type=Path,
        required=True,
        help="manifest of the images that b predicted: its image i shows the scene of image i of --images",
    )
    parser.add_argument("--predictions-a", type=Path, required=True, help=".h5 file of a shard")
    parser.add_argument("--predictions-b", type=Path, required=True, help=".h5 file of the same shard")
    parser.add_argument("--thresholds-a", type=Path, required=True, help="thresholds.json of model a")
    parser.add_argument("--thresholds-b", type=Path, required=True, help="thresholds.json of model b")
    add_label_space_argument(parser)
    add_mask_argument(parser)
    add_threads_argument(parser, default=4)
    add_output_argument(parser, "FOLDER", "labels and their manifest")
    options = parse(parser, arguments)

    space = label_space(options.label_space)
    items = read_manifest(options.images)
    pairs = items if options.images_b == options.images else read_manifest(options.images_b)
    check_pairs(items, pairs, (options.images, options.images_b), one_size=True)
    tables = [ThresholdTable.read(path, space) for path in (options.thresholds_a, options.thresholds_b)]
    mask = EgoVehicleMask(options.ego_vehicle_mask)
    with (
        PredictionReader([options.predictions_a], whole=False) as predictions_a,
        PredictionReader([options.predictions_b], whole=False) as predictions_b,
    ):
        predictions_a.check(items, options.images, space.classes)
        predictions_b.check(pairs, options.images_b, space.classes)
        tables[0].check_model(options.thresholds_a, predictions_a)
        tables[1].check_model(options.thresholds_b, predictions_b)
        pair_of = {
            item.id: pair.id
            for item, pair in zip(items, pairs, strict=True)
            if item.id in predictions_a.holder
        }
        check_same_shard(predictions_a, predictions_b, pair_of)
        labeller = EnsembleLabeller(
            predictions_a,
            predictions_b,
            pair_of,
            thresholds=np.minimum(*(table.levels for table in tables)),
            mask=mask,
        )
        part = predictions_a.held(items)
        places = {item.id: place for place, item in enumerate(part)}
        counts = np.zeros((len(part), space.number_of_classes), np.int64)
        with Progress(len(part), "images", f"ensemble labels {options.output}") as progress:

            def label_of(item: Item) -> tuple[NDArray[np.uint8], float]:
                label, score = labeller.scored_label(item)
                counts[places[item.id]] = count_ids(label)[: space.number_of_classes]
                progress.advance()
                return label, score

            folder = options.output / "labels"
            labelled = write_pseudo_labels(part, label_of, folder, space, options.threads)
    manifest = options.output / "manifest.tsv"
    write_manifest(manifest, labelled, Path.cwd())
    what = labels_in_words(counts.sum(0), labelled, space.classes)
    logger.info("labelled %d of %d images: %s; %s", len(labelled), len(items), what, manifest)


if __name__ == "__main__":
    run(main)
