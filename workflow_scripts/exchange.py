"""Co-training: label a cycle's images with both models and let the branches exchange the best.

in:  for branches a and b: the subset's manifest, its predictions (all shards) and thresholds
out: OUTPUT/a and OUTPUT/b, each with labels/*.png, selected.tsv (what the branch will train on, in order of
     rank) and scores.tsv (every image that the branch labelled: score, share of kept pixels of each class,
     and why a branch trains on it or not)
"""

from pathlib import Path

import numpy as np

from cotrain.adaptation.branch_exchange import (
    BranchImages,
    ExchangeSettings,
    FilledLabels,
    choose_for_exchange,
    evidence_of_branches,
    explain_choices,
    why_nothing_is_offered,
    write_picked_labels,
)
from cotrain.adaptation.collaboration import COLLABORATIONS, FILL_MODES
from cotrain.adaptation.labelling import Labeller, labels_in_words, what_to_change
from cotrain.adaptation.ranking import EXCHANGE_RANKINGS
from cotrain.adaptation.threshold_table import ThresholdTable
from cotrain.configuration.names import BRANCHES
from cotrain.data.label_spaces import label_space
from cotrain.data.manifests import read_manifest, write_manifest
from cotrain.data.masks import EgoVehicleMask
from cotrain.data.pairs import check_pairs
from cotrain.data.predictions import PredictionReader
from cotrain.data.score_tables import write_score_table
from cotrain.errors import InputError
from cotrain.words import counted
from workflow_scripts.command_line import (
    add_label_space_argument,
    add_mask_argument,
    add_output_argument,
    add_threads_argument,
    logger,
    new_parser,
    not_negative,
    parse,
    positive,
    run,
)

EXAMPLE = """python -m workflow_scripts.exchange \\
    --subset-a a.tsv --predictions-a a/0.h5 --thresholds-a a.json \\
    --subset-b b.tsv --predictions-b b/0.h5 --thresholds-b b.json --label-space cityscapes7 \\
    --fill add --min-pixels 200 --ranking threshold_difference --collaboration exchange --keep 80 \\
    --output cycle"""


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    for name in BRANCHES:
        parser.add_argument(
            f"--subset-{name}", type=Path, required=True, help=f"manifest of branch {name}'s images"
        )
        parser.add_argument(
            f"--predictions-{name}", type=Path, nargs="+", required=True, help="one .h5 file per shard"
        )
        parser.add_argument(
            f"--thresholds-{name}", type=Path, required=True, help="thresholds.json of the branch"
        )
    add_label_space_argument(parser)
    parser.add_argument(
        "--cycle",
        type=not_negative,
        default=0,
        help="number of the cycle: in the first, each branch must get some image",
    )
    parser.add_argument("--fill", required=True, choices=FILL_MODES)
    parser.add_argument(
        "--min-pixels",
        type=not_negative,
        required=True,
        help="an image shows a class if it has more than this many pixels of it",
    )
    parser.add_argument("--ranking", required=True, choices=EXCHANGE_RANKINGS)
    parser.add_argument("--collaboration", required=True, choices=COLLABORATIONS)
    parser.add_argument("--keep", type=positive, required=True, help="how many images each branch gets")
    add_mask_argument(parser)
    add_threads_argument(parser, default=4)
    add_output_argument(parser, "FOLDER", "labels, manifests and scores of the cycle")
    options = parse(parser, arguments)

    space = label_space(options.label_space)
    mask = EgoVehicleMask(options.ego_vehicle_mask)
    settings = ExchangeSettings(options.ranking, options.min_pixels, options.collaboration, options.keep)
    subsets = {"a": options.subset_a, "b": options.subset_b}
    threshold_files = {"a": options.thresholds_a, "b": options.thresholds_b}
    tables = {name: ThresholdTable.read(path, space) for name, path in threshold_files.items()}
    items = {name: read_manifest(path) for name, path in subsets.items()}
    with (
        PredictionReader(options.predictions_a) as predictions_a,
        PredictionReader(options.predictions_b) as predictions_b,
    ):
        predictions = {"a": predictions_a, "b": predictions_b}
        for name in BRANCHES:
            predictions[name].check(items[name], subsets[name], space.classes)
            tables[name].check_model(threshold_files[name], predictions[name])
        one_size = options.fill != "none" or options.collaboration != "own"
        check_pairs(items["a"], items["b"], (options.subset_a, options.subset_b), one_size, whole=False)
        branches = {
            name: BranchImages(name, items[name], Labeller(predictions[name], tables[name].levels, mask))
            for name in BRANCHES
        }
        labels = FilledLabels(branches, options.fill)
        evidence = evidence_of_branches(labels, space.number_of_classes, options.threads)
        rankings, picks = choose_for_exchange(evidence, settings)
        selected, taken = {}, {}
        for name, branch in branches.items():
            folder = options.output / name / "labels"
            selected[name], taken[name] = write_picked_labels(
                branch, picks[name], labels, evidence, folder, space, options.threads
            )
    problems = []
    for name, branch in branches.items():
        choices = explain_choices(name, evidence[name], rankings[name], taken, settings, space.classes)
        write_score_table(
            options.output / name / "scores.tsv",
            branch.items,
            evidence[name].scores,
            evidence[name].counts,
            choices,
            space,
        )
        if np.isnan(evidence[name].mean_confidence).all():
            teacher = "co_training.iterations" if options.cycle else "self_training.iterations"
            advice = what_to_change([tables[name]], "co_training", teacher)
            reason = tables[name].why_nothing_is_kept(threshold_files[name], advice)
            problems.append(f"branch {name}: {reason}")
        elif not len(rankings[name].order):
            problems.append(why_nothing_is_offered(branch, evidence[name], options.min_pixels, space.classes))
    without = [name for name in BRANCHES if not selected[name]]
    if without and options.cycle == 0:
        # Nothing to train on. A later cycle trains on the images of those before it.
        left_out = " and ".join(without)
        raise InputError("\n".join([f"branch {left_out} gets no image to train on", *problems]))
    for problem in problems:
        logger.warning("warning: %s", problem)
    for name in without:
        logger.warning("warning: this cycle adds no image to those before it in branch %s", name)
    lines = []
    for name in BRANCHES:
        write_manifest(options.output / name / "selected.tsv", selected[name], Path.cwd())
        counts = sum(
            (evidence[sender].counts[index] for sender, index in taken[name]),
            np.zeros(space.number_of_classes, int),
        )
        what = labels_in_words(counts, selected[name], space.classes)
        lines.append(f"branch {name} gets {counted(len(selected[name]), 'image')}: {what}")
    # One line, since a terminal shows the last.
    logger.info("%s; %s", "; ".join(lines), options.output)


if __name__ == "__main__":
    run(main)
