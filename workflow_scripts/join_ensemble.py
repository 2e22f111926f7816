"""Make one set of the ensemble's labels of all shards.

in:  the manifest of all target images, the manifests of the shards by ensemble_labels, the thresholds
out: OUTPUT/manifest.tsv, with the images that have any label, in the order of the target, or only those of
     them that --selected lists, and OUTPUT/labels/*.png: the files of the shards under further names (copies
     on a disk without hard links)
"""

from pathlib import Path

from cotrain.adaptation.labelling import what_to_change
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
    --thresholds-a a.json --thresholds-b b.json --label-space cityscapes7 --output ensemble"""


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    parser.add_argument("--images", type=Path, required=True, help="manifest of all target images")
    parser.add_argument("--shards", type=Path, nargs="+", required=True, help="one manifest per shard")
    parser.add_argument("--thresholds-a", type=Path, required=True, help="thresholds.json of model a")
    parser.add_argument("--thresholds-b", type=Path, required=True, help="thresholds.json of model b")
    parser.add_argument(
        "--selected",
        type=Path,
        nargs="+",
        help="keep only images that these manifests list (default: all)",
    )
    add_label_space_argument(parser)
    add_threads_argument(parser, default=4)
    add_output_argument(parser, "FOLDER", "labels and their manifest")
    options = parse(parser, arguments)

    space = label_space(options.label_space)
    threshold_files = (options.thresholds_a, options.thresholds_b)
    tables = [ThresholdTable.read(path, space) for path in threshold_files]
    ids = [item.id for item in read_manifest(options.images)]
    parts = {path: read_manifest(path) for path in options.shards}
    labelled = list(joined(ids, options.images, parts))
    del parts
    if not any(item.kept_pixels for item in labelled):
        reasons = [
            table.why_nothing_is_kept(path) for table, path in zip(tables, threshold_files, strict=True)
        ]
        advice = what_to_change(tables, "co_training", "co_training.iterations")
        raise InputError("\n".join([*reasons, advice]))
    folder, manifest = options.output / "labels", options.output / "manifest.tsv"
    make_folder(folder)
    kept = [item for item in labelled if item.kept_pixels]
    if options.selected:
        selected = {item.id for path in options.selected for item in read_manifest(path)}
        kept = [item for item in kept if item.id in selected]
        if not kept:
            paths = ", ".join(map(str, options.selected))
            raise InputError(f"{paths}: list no image that has a label, expected some of {options.images}")
    gathered = map_in_threads(
        lambda item: gather_label(item, folder), kept, options.threads, f"join {folder}"
    )
    write_manifest(manifest, gathered, Path.cwd())
    logger.info("kept the labels of %d of %d images; %s", len(kept), len(ids), manifest)


if __name__ == "__main__":
    run(main)
