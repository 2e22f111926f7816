"""Write the manifest of a dataset: ids, paths and sizes of its images; with --with-labels, its labels too.

in:  the dataset's settings (its entry under `datasets` of the configuration) and the files that they name;
     for rendered streets, the folder of the scenes. Labels are listed only with --with-labels.
out: manifest.tsv
"""

from pathlib import Path

from cotrain.configuration.reading import read_settings
from cotrain.configuration.sections import DatasetSettings, ListsSettings
from cotrain.data.files import refuse_overwriting
from cotrain.data.layouts import find_dataset
from cotrain.data.manifests import write_manifest
from workflow_scripts.command_line import add_output_argument, logger, new_parser, parse, run

EXAMPLE = """python -m workflow_scripts.make_manifest --dataset camera_test --with-labels \\
    --settings results/demo/settings/datasets/camera_test/labelled.json \\
    --scenes results/demo/data/camera_test/scenes --output by_hand/camera_test.tsv"""


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    parser.add_argument("--dataset", required=True, help="name of the dataset in the configuration")
    parser.add_argument(
        "--settings", required=True, type=Path, metavar="FILE", help="its settings, JSON or YAML"
    )
    parser.add_argument("--with-labels", action="store_true", help="list the labels too")
    parser.add_argument("--scenes", type=Path, help="folder of the rendered scenes, for the layout streets")
    add_output_argument(parser, "FILE", "the manifest")
    options = parse(parser, arguments)
    settings = read_settings(options.settings, DatasetSettings)
    files = find_dataset(options.dataset, settings, options.with_labels, options.scenes)
    if isinstance(settings, ListsSettings):
        lists = (settings.images, settings.labels)
        refuse_overwriting([options.output], (Path(file) for file in lists if file))
    images_and_labels = (path for item in files.items for path in (item.image, item.label) if path)
    refuse_overwriting([options.output], images_and_labels)
    for line in files.left_out_in_words():
        logger.info("%s: %s", options.dataset, line)
    write_manifest(options.output, files.items, Path.cwd())
    kind = "labelled images" if options.with_labels else "images"
    logger.info("%s: %d %s -> %s", options.dataset, len(files.items), kind, options.output)


if __name__ == "__main__":
    run(main)
