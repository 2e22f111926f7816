"""Check every image, and with --labelled every label, of a dataset before anything is trained on it.

In:  the dataset's manifest and settings (its entry under `datasets` of the configuration).
Out: check.json: number of images, their sizes, and of labels the pixels of each class.
All problems are collected; the first ten are shown with their total.
"""

from pathlib import Path

from cotrain.data.checks import check_items
from cotrain.data.files import write_json
from cotrain.data.label_spaces import label_space
from cotrain.data.layouts import dataset_class_table, file_origins
from cotrain.data.manifests import read_manifest
from cotrain.errors import InputError
from cotrain.progress import Progress
from workflow_scripts.command_line import logger, parse, parser, run, settings

EXAMPLE = (
    "python -m workflow_scripts.check_data --manifest manifest.tsv --dataset camvid --labelled \\\n"
    "    --settings camvid.yaml --label-space camvid11 --workers 4 --output check.json"
)


def main(arguments: list[str] | None = None) -> None:
    made = parser(__doc__, EXAMPLE)
    made.add_argument("--manifest", required=True, type=Path, help="the dataset's manifest")
    made.add_argument("--dataset", required=True, help="name of the dataset in the configuration")
    made.add_argument("--settings", required=True, type=settings, help="its settings: JSON, or a YAML file")
    made.add_argument("--label-space", required=True, help="the run's label space")
    made.add_argument("--labelled", action="store_true", help="check the labels too")
    made.add_argument("--workers", type=int, default=4, help="files read at once (default 4)")
    made.add_argument("--output", required=True, type=Path, help="the report to write")
    options = parse(made, arguments)
    items = read_manifest(options.manifest)
    space = label_space(options.label_space)
    table = dataset_class_table(options.dataset, options.settings) if options.labelled else None
    origins = file_origins(options.dataset, options.settings, options.labelled)
    subject = f"datasets.{options.dataset}"
    with Progress(len(items), "images", f"checking {options.dataset}") as progress:
        try:
            report = check_items(items, table, space, origins, options.workers, progress, subject)
        except InputError:
            # Mending the data can change sizes that the manifest holds: it is to be made anew then.
            options.manifest.unlink()
            raise
    write_json(options.output, report)
    absent = [name for name, found in report.get("classes", {}).items() if not found["pixels"]]
    if absent:
        logger.info("%s: no pixel of %s", options.dataset, ", ".join(absent))
    logger.info("%s: %d images are fine -> %s", options.dataset, len(items), options.output)


if __name__ == "__main__":
    run(main)
