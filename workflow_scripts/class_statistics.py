"""Count the pixels of each class in every image of a labelled dataset, for sampling that favours rare ones.

In:  a manifest with labels and the dataset's settings (its entry under `datasets` of the configuration).
Out: class_statistics.json: {"classes": [name, ...], "images": {id: [pixels of each class], ...}}
"""

from pathlib import Path

from cotrain.data.class_statistics import count_classes, write_class_statistics
from cotrain.data.label_spaces import label_space, translation_table
from cotrain.data.layouts import dataset_class_table
from cotrain.data.manifests import read_manifest
from cotrain.progress import Progress
from workflow_scripts.command_line import logger, parse, parser, run, settings

EXAMPLE = (
    "python -m workflow_scripts.class_statistics --manifest manifest.tsv --settings camvid.yaml \\\n"
    "    --label-space camvid11 --output class_statistics.json"
)


def main(arguments: list[str] | None = None) -> None:
    made = parser(__doc__, EXAMPLE)
    made.add_argument("--manifest", required=True, type=Path, help="the dataset's manifest, with labels")
    made.add_argument("--dataset", help="name of the dataset (default: the folder of the manifest)")
    made.add_argument("--settings", required=True, type=settings, help="its settings: JSON, or a YAML file")
    made.add_argument("--label-space", required=True, help="the run's label space")
    made.add_argument("--workers", type=int, default=4, help="files read at once (default 4)")
    made.add_argument("--output", required=True, type=Path, help="the statistics to write")
    options = parse(made, arguments)
    name = options.dataset or options.manifest.absolute().parent.name
    items = read_manifest(options.manifest)
    space = label_space(options.label_space)
    lookup = translation_table(dataset_class_table(name, options.settings), space)
    with Progress(len(items), "labels", f"counting {name}") as progress:
        counts = count_classes(items, lookup, space.number_of_classes, options.workers, progress)
    write_class_statistics(options.output, space.classes, counts)
    logger.info("%s: classes of %d images -> %s", name, len(items), options.output)


if __name__ == "__main__":
    run(main)
