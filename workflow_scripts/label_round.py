"""Self-training: turn the predictions of a round's subset into pseudo-labels and keep the best images.

in:  the subset's manifest, its predictions (all shards), the round's thresholds
out: OUTPUT/labels/*.png (train ids with palette, 255 where the model is unsure), OUTPUT/selected.tsv (their
     manifest, best first) and OUTPUT/scores.tsv (every image of the subset: score, kept share by class, why
     it was chosen or not)
"""

import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cotrain.adaptation.pseudo_labels import image_score
from cotrain.adaptation.ranking import rank_images
from cotrain.adaptation.threshold_table import ThresholdTable
from cotrain.data.counting import count_ids
from cotrain.data.label_sets import write_pseudo_labels
from cotrain.data.label_spaces import label_space
from cotrain.data.manifests import Item, read_manifest, write_manifest
from cotrain.data.predictions import PredictionReader
from cotrain.data.score_tables import write_score_table
from workflow_scripts.command_line import new_parser, parse, positive, run
from workflow_scripts.labelling import (
    Labeller,
    Priors,
    add_mask_argument,
    add_prior_arguments,
    add_workers_argument,
    in_parallel,
    mask_of,
)

logger = logging.getLogger("cotrain")

EXAMPLE = """python -m workflow_scripts.label_round --subset by_hand/subset.tsv \\
    --predictions by_hand/predictions/0.h5 --thresholds by_hand/thresholds.json \\
    --label-space cityscapes7 --ranking confidence --keep 80 --output by_hand/round"""


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    parser.add_argument(
        "--subset", type=Path, required=True, help="manifest of the images that were predicted"
    )
    parser.add_argument("--predictions", type=Path, nargs="+", required=True, help="one .h5 file a shard")
    parser.add_argument("--thresholds", type=Path, required=True)
    parser.add_argument("--label-space", required=True)
    parser.add_argument(
        "--ranking", default="confidence", choices=("confidence", "class_count", "void_pixels")
    )
    parser.add_argument("--keep", type=positive, required=True, help="how many images to keep")
    add_mask_argument(parser)
    add_prior_arguments(parser)
    add_workers_argument(parser)
    parser.add_argument("--output", type=Path, required=True, help="folder of the round's labels")
    options = parse(parser, arguments)

    space = label_space(options.label_space)
    items = read_manifest(options.subset)
    with PredictionReader(options.predictions) as predictions:
        predictions.check(items, options.subset, space.classes)
        priors = Priors(options.class_priors, options.step, space)
        thresholds = ThresholdTable.read(options.thresholds, space)
        labeller = Labeller(predictions, thresholds.levels, mask_of(options), priors)

        def numbers_of(item: Item) -> tuple[float, NDArray[np.int64]]:
            label, confidences = labeller.label(item)
            return image_score(label, confidences), count_ids(label)[: space.number_of_classes]

        found = list(in_parallel(numbers_of, items, options.workers, f"label {options.output}"))
        scores = np.array([score for score, _ in found])
        counts = np.array([count for _, count in found]).reshape(len(items), space.number_of_classes)
        void = np.array([item.width * item.height for item in items], np.int64) - counts.sum(1)
        order = rank_images(options.ranking, scores, counts, void)
        # An image without any label left would teach nothing and cost its place in every batch.
        ranked = [int(index) for index in order if counts[index].any()]
        chosen = write_pseudo_labels(
            [items[index] for index in ranked[: options.keep]],
            labeller.scored_label,
            options.output / "labels",
            space,
            options.workers,
        )
    choices = [(False, "no pixel exceeds the threshold of its class")] * len(items)
    for place, index in enumerate(ranked, 1):
        limit = "" if place <= options.keep else f", the first {options.keep} are kept"
        choices[index] = (not limit, f"{options.ranking} rank {place} of {len(ranked)}{limit}")
    write_score_table(options.output / "scores.tsv", items, scores, counts, choices, space)
    write_manifest(options.output / "selected.tsv", chosen, Path.cwd())
    if not ranked:
        logger.warning("warning: %s", thresholds.why_nothing_is_kept(options.thresholds))
    logger.info("%d of %d images kept; %s", len(chosen), len(items), options.output / "selected.tsv")


if __name__ == "__main__":
    run(main)
