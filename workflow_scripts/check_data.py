"""Say what is in a dataset and what is wrong with it, before anything is trained on it.

In:  one dataset by its layout and root, or all of a configuration, each in the part that it plays there (of a
     target the labels are not opened); in the workflow a manifest and the dataset's settings
Out: a table of sizes, ids and classes; with --output the report as JSON, and the table beside it as text. The
     exit status is 0 only if all is well.
"""

import argparse
import os
from pathlib import Path
from typing import Any

from cotrain.data.checks import check_items
from cotrain.data.class_tables import ClassTable
from cotrain.data.files import write_json, write_text
from cotrain.data.label_spaces import LabelSpace, label_space
from cotrain.data.layouts import dataset_class_table, file_origins, find_dataset
from cotrain.data.manifests import Item, read_manifest
from cotrain.errors import InputError
from cotrain.progress import Progress
from cotrain.reporting.data_table import data_table
from workflow_scripts.command_line import (
    add_output_argument,
    add_threads_argument,
    logger,
    new_parser,
    parse,
    run,
    settings,
)

EXAMPLE = """python -m workflow_scripts.check_data --layout cityscapes --root /data/cityscapes --split val
  python -m workflow_scripts.check_data --config config/experiments/gtav_cityscapes.yaml --quick
  python -m workflow_scripts.check_data --dataset game --labelled --label-space cityscapes7 \\
    --manifest results/demo/data/game/labelled.tsv --settings '{"layout": "streets"}' \\
    --output by_hand/check.json"""


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--layout", help="layout of one dataset: a name, or a .yaml file with one of your own")
    what.add_argument("--config", type=Path, nargs="+", help="configuration of a run: all its datasets")
    what.add_argument("--manifest", type=Path, help="a manifest of the dataset that --settings describes")
    parser.add_argument("--root", help="with --layout: folder of the dataset")
    parser.add_argument("--split", help="with --layout: train, val or test, where it has splits")
    parser.add_argument("--version", help="with --layout: version of the labels, where there are several")
    parser.add_argument("--dataset", help="with --manifest: name of the dataset in the configuration")
    parser.add_argument(
        "--settings", type=settings, help="with --manifest: its settings, JSON or a YAML file"
    )
    parser.add_argument("--labelled", action="store_true", help="with --manifest: check the labels too")
    parser.add_argument(
        "--discard",
        action="store_true",
        help="with --manifest: delete it if anything is wrong, since its sizes may change with the mending",
    )
    parser.add_argument("--label-space", default="cityscapes19", help="the run's label space (cityscapes19)")
    parser.add_argument(
        "--quick", action="store_true", help="read headers alone: neither damage nor ids are seen"
    )
    add_threads_argument(parser, default=4)
    add_output_argument(
        parser, "FILE", "also write the report as JSON, and its table beside it as .txt", required=False
    )
    options = parse(parser, arguments)
    if options.config:
        check_configuration(options)
        return
    if options.layout:
        if not options.root:
            raise InputError("--root: is missing, expected the folder of the dataset")
        name = Path(os.path.abspath(options.root)).name
        chosen = {key: getattr(options, key) for key in ("layout", "root", "split", "version")}
        check_dataset(name, chosen, True, options)
        return
    if not options.dataset or options.settings is None:
        raise InputError("--manifest needs --dataset and --settings beside it")
    items = read_manifest(options.manifest)
    try:
        check(options.dataset, options.settings, items, options.labelled, options)
    except InputError:
        if options.discard:
            options.manifest.unlink()
        raise


def check_configuration(options: argparse.Namespace) -> None:
    """Check every dataset of a configuration as far as the run reads it; raise one InputError for all."""
    from workflow_scripts.configuration import merged, read, resolve

    given: dict[str, Any] = {}
    for path in options.config:
        given = merged(given, read(path))
    config = resolve(given)
    options.label_space = config["label_space"]
    labelled = dict.fromkeys([*config["source"], config["test"]], True)
    targets = [config["target"]]
    if not config["co_training"]["same_domain"]:
        targets.append(config["co_training"]["target_b"])
    for target in targets:
        labelled.setdefault(target, target == config["target"] and config["upper_bound"])
    problems = []
    for name, with_labels in labelled.items():
        if config["datasets"][name]["layout"] == "streets":
            logger.info("%s: rendered by the workflow, nothing to check", name)
            continue
        try:
            check_dataset(name, config["datasets"][name], with_labels, options)
        except InputError as error:
            problems.append(str(error))
    if problems:
        raise InputError("\n".join(problems))


def check_dataset(name: str, chosen: dict[str, Any], labelled: bool, options: argparse.Namespace) -> None:
    """Find the files of a dataset and check them."""
    # A run knows where it renders its scenes; by hand, --root says where they lie.
    scenes = Path(chosen["root"]) if chosen["layout"] == "streets" else None
    found = find_dataset(name, chosen, labelled, scenes)
    for line in found.left_out_in_words():
        logger.info("%s: %s", name, line)
    if not labelled:
        logger.info("%s: images alone, the run never opens its labels", name)
    check(name, chosen, found.items, labelled, options)


def check(
    name: str, chosen: dict[str, Any], items: list[Item], labelled: bool, options: argparse.Namespace
) -> None:
    """Check the files of `items`, and show or write what is in them."""
    space: LabelSpace = label_space(options.label_space)
    table: ClassTable | None = dataset_class_table(name, chosen) if labelled else None
    origins = file_origins(name, chosen, labelled)
    with Progress(len(items), "images", f"checking {name}") as progress:
        report = check_items(
            items, table, space, origins, options.threads, progress, f"datasets.{name}", options.quick
        )
    text = data_table(name, report)
    if options.output:
        write_json(options.output, report)
        write_text(options.output.with_suffix(".txt"), text + "\n")
    if not options.manifest:
        print(text, flush=True)
    absent = [name for name, found in report.get("classes", {}).items() if not found["pixels"]]
    missing = f", but no pixel of {', '.join(absent)}" if absent else ""
    logger.info("%s: all is well%s", name, missing)


if __name__ == "__main__":
    run(main)
