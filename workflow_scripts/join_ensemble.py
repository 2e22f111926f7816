"""Make one set of the labels that the final model learns from.

in:  the manifest of all target images, and either the manifests of all shards by ensemble_labels, or those of
     what the branches have accumulated; the thresholds by which these labels were made
out: OUTPUT/manifest.tsv, with the images that have any label: those of the shards in the order of the target,
     or all that a branch has accumulated, of two labels of an image the better one; OUTPUT/labels/*.png: the
     same files under further names (copies on a disk without hard links)
"""

from pathlib import Path

from cotrain.adaptation.accumulation import accumulate
from cotrain.adaptation.labelling import what_to_change
from cotrain.adaptation.ranking import EXCHANGE_RANKINGS
from cotrain.adaptation.threshold_table import ThresholdTable
from cotrain.data.files import make_folder
from cotrain.data.label_sets import gather_label, joined
from cotrain.data.label_spaces import label_space
from cotrain.data.manifests import read_manifest, write_manifest
from cotrain.errors import InputError
from cotrain.progress import map_in_threads
from workflow_scripts.command_line import (
    add_label_space_argument,
    add_output_argument,
    add_threads_argument,
    logger,
    new_parser,
    parse,
    run,
)

EXAMPLE = """python -m workflow_scripts.join_ensemble --images images.tsv \\
    --shards ensemble/shards/0/manifest.tsv ensemble/shards/1/manifest.tsv \\
    --thresholds a.json b.json --label-space cityscapes7 --output ensemble"""


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    parser.add_argument("--images", type=Path, required=True, help="manifest of all target images")
    labels = parser.add_mutually_exclusive_group(required=True)
    labels.add_argument("--shards", type=Path, nargs="+", help="one manifest per shard")
    labels.add_argument(
        "--accumulated", type=Path, nargs="+", help="manifests of what the branches learn from"
    )
    parser.add_argument(
        "--thresholds", type=Path, nargs="+", required=True, help="thresholds.json of each labelling model"
    )
    parser.add_argument(
        "--ranking",
        choices=EXCHANGE_RANKINGS,
        default="confidence",
        help="which of two labels of an image is better (default: confidence)",
    )
    add_label_space_argument(parser)
    add_threads_argument(parser, default=4)
    add_output_argument(parser, "FOLDER", "labels and their manifest")
    options = parse(parser, arguments)

    space = label_space(options.label_space)
    tables = [ThresholdTable.read(path, space) for path in options.thresholds]
    images = read_manifest(options.images)
    if options.shards:
        parts = {path: read_manifest(path) for path in options.shards}
        labelled = list(joined([item.id for item in images], options.images, parts))
        del parts
    else:
        labelled = []
        for path in options.accumulated:
            labelled = accumulate(labelled, read_manifest(path), "best_score", "final", options.ranking)
    if not any(item.kept_pixels for item in labelled):
        advice = what_to_change(tables, "co_training", "co_training.iterations")
        reasons = [
            table.why_nothing_is_kept(path, advice)
            for table, path in zip(tables, options.thresholds, strict=True)
        ]
        raise InputError("\n".join(reasons))
    folder, manifest = options.output / "labels", options.output / "manifest.tsv"
    make_folder(folder)
    kept = [item for item in labelled if item.kept_pixels]
    gathered = map_in_threads(
        lambda item: gather_label(item, folder), kept, options.threads, f"join {folder}"
    )
    write_manifest(manifest, gathered, Path.cwd())
    logger.info("kept the labels of %d of %d images; %s", len(kept), len(images), manifest)


if __name__ == "__main__":
    run(main)
