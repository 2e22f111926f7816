"""Self-training: turn the predictions of a round's subset into pseudo-labels and keep the best images.

in:  the subset's manifest, its predictions (all shards), the round's thresholds
out: OUTPUT/labels/*.png (train ids with palette, 255 where the model is unsure), OUTPUT/selected.tsv (their
     manifest, best first) and OUTPUT/scores.tsv (every image of the subset: score, share of kept pixels of
     each class, and why it was chosen or not)
"""

from pathlib import Path

from cotrain.adaptation.labelling import Labeller, labels_in_words, what_to_change
from cotrain.adaptation.pseudo_labels import prior_threshold_at
from cotrain.adaptation.ranking import IMAGE_RANKINGS
from cotrain.adaptation.round_selection import evidence_of_round, select_images
from cotrain.adaptation.threshold_table import ThresholdTable
from cotrain.data.class_priors import ClassPriors
from cotrain.data.label_sets import write_pseudo_labels
from cotrain.data.label_spaces import label_space
from cotrain.data.manifests import read_manifest, write_manifest
from cotrain.data.masks import EgoVehicleMask
from cotrain.data.predictions import PredictionReader
from cotrain.data.score_tables import write_score_table
from cotrain.errors import InputError
from workflow_scripts.command_line import (
    add_labelling_arguments,
    add_output_argument,
    logger,
    new_parser,
    not_negative,
    parse,
    positive,
    run,
)

EXAMPLE = """python -m workflow_scripts.label_round --subset by_hand/subset.tsv \\
    --predictions by_hand/predictions/0.h5 --thresholds by_hand/thresholds.json \\
    --label-space cityscapes7 --ranking confidence --keep 80 --output by_hand/round"""


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    parser.add_argument(
        "--subset", type=Path, required=True, help="manifest of the images that were predicted"
    )
    add_labelling_arguments(parser)
    parser.add_argument("--ranking", required=True, choices=IMAGE_RANKINGS)
    parser.add_argument("--keep", type=positive, required=True, help="how many images to keep")
    parser.add_argument(
        "--class-priors",
        type=Path,
        help=".npy (classes, height, width): how likely each class is at each place",
    )
    parser.add_argument(
        "--round",
        type=not_negative,
        default=0,
        help="number of the round: the first must keep some image; class priors matter less in each round",
    )
    add_output_argument(parser, "FOLDER", "labels, manifest and scores of the round")
    options = parse(parser, arguments)

    space = label_space(options.label_space)
    items = read_manifest(options.subset)
    priors, prior_threshold = None, prior_threshold_at(options.round)
    if options.class_priors and prior_threshold > 0:
        priors = ClassPriors.read(options.class_priors)
        priors.check_classes(space)
        priors.check_size(items)
    mask = EgoVehicleMask(options.ego_vehicle_mask)
    with PredictionReader(options.predictions) as predictions:
        predictions.check(items, options.subset, space.classes)
        table = ThresholdTable.read(options.thresholds, space)
        table.check_model(options.thresholds, predictions)
        labeller = Labeller(predictions, table.levels, mask, priors, prior_threshold)
        evidence = evidence_of_round(
            items, labeller, space.number_of_classes, options.threads, f"label {options.output}"
        )
        selection = select_images(evidence, options.ranking, options.keep)
        selected = write_pseudo_labels(
            [items[index] for index in selection.kept],
            labeller.scored_label,
            options.output / "labels",
            space,
            options.threads,
        )
    write_score_table(
        options.output / "scores.tsv", items, evidence.scores, evidence.counts, selection.choices, space
    )
    if not selected:
        teacher = "self_training.iterations" if options.round else "baseline.iterations"
        advice = what_to_change([table], "self_training", teacher)
        reason = table.why_nothing_is_kept(options.thresholds, advice)
        if options.round == 0:
            # Nothing to train on. A later round trains on the images of those before it.
            raise InputError(reason)
        logger.warning("warning: this round adds no image to those before it: %s", reason)
    write_manifest(options.output / "selected.tsv", selected, Path.cwd())
    what = labels_in_words(evidence.counts[selection.kept].sum(0), selected, space.classes)
    manifest = options.output / "selected.tsv"
    logger.info("%d of %d images kept: %s; %s", len(selected), len(items), what, manifest)


if __name__ == "__main__":
    run(main)
