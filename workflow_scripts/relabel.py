"""Label the accumulated images again with the model that was just trained on them; keep the better labels.

in:  the accumulated manifest, the new model's predictions of it, the thresholds of these predictions
out: OUTPUT/labels/*.png (new labels that are better) and OUTPUT/manifest.tsv (old and new labels together)
"""

from pathlib import Path

from cotrain.adaptation.accumulation import relabel
from cotrain.adaptation.labelling import Labeller
from cotrain.adaptation.ranking import EXCHANGE_RANKINGS
from cotrain.adaptation.threshold_table import ThresholdTable
from cotrain.data.label_sets import write_pseudo_labels
from cotrain.data.label_spaces import label_space
from cotrain.data.manifests import read_manifest, write_manifest
from cotrain.data.masks import EgoVehicleMask
from cotrain.data.predictions import PredictionReader
from workflow_scripts.command_line import (
    add_labelling_arguments,
    add_output_argument,
    logger,
    new_parser,
    parse,
    run,
)

EXAMPLE = """python -m workflow_scripts.relabel --accumulated 00/accumulated.tsv \\
    --predictions predictions_of_accumulated/0.h5 --thresholds thresholds.json \\
    --label-space cityscapes7 --ranking confidence --output 00/relabelled"""


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    parser.add_argument(
        "--accumulated", type=Path, required=True, help="manifest of the images labelled so far"
    )
    add_labelling_arguments(parser)
    parser.add_argument(
        "--ranking",
        required=True,
        choices=EXCHANGE_RANKINGS,
        help="the ranking that decides which label is better",
    )
    add_output_argument(parser, "FOLDER", "new labels and the manifest")
    options = parse(parser, arguments)

    space = label_space(options.label_space)
    items = read_manifest(options.accumulated)
    mask = EgoVehicleMask(options.ego_vehicle_mask)
    with PredictionReader(options.predictions) as predictions:
        predictions.check(items, options.accumulated, space.classes)
        table = ThresholdTable.read(options.thresholds, space)
        table.check_model(options.thresholds, predictions)
        labeller = Labeller(predictions, table.levels, mask)
        folder = options.output / "labels"
        relabelled = write_pseudo_labels(items, labeller.scored_label, folder, space, options.threads)
    merged = relabel(items, relabelled, ranking=options.ranking)
    new, kept = {item.label for item in relabelled}, {item.label for item in merged}
    for label in new - kept:
        if label:
            label.unlink()
    write_manifest(options.output / "manifest.tsv", merged, Path.cwd())
    better = len(new & kept)
    logger.info(
        "%d of %d labels replaced by better ones; %s", better, len(items), options.output / "manifest.tsv"
    )


if __name__ == "__main__":
    run(main)
