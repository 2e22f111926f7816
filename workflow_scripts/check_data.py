"""Show what is in a dataset and what is wrong with it, before anything is trained on it.

in:  one of these: a dataset, given by its layout and root; all datasets of a configuration, but only what the
     run reads of them (the labels of the target are not opened); or, in the workflow, a manifest and the
     dataset's settings
out: a table of sizes, ids and classes; with --output also the report as JSON, and next to it the table as
     text. The exit status is 0 only if nothing is wrong. Warnings say what is no error but looks wrong:
     shares of classes that no streets have, a label of several images; with a configuration also what its
     datasets show side by side, such as test images that the run adapts to.
"""

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from cotrain.configuration.choices import DEFAULT_LABEL_SPACE
from cotrain.configuration.reading import read_settings
from cotrain.configuration.sections import DatasetSettings, PublishedSettings, StreetsSettings
from cotrain.data.checks import CheckReport, check_items
from cotrain.data.comparisons import CheckedDataset, notes_on_datasets
from cotrain.data.files import write_json, write_text
from cotrain.data.label_spaces import LabelSpace, label_space
from cotrain.data.layouts import dataset_class_table, file_origins, find_dataset
from cotrain.data.manifests import Item, read_manifest
from cotrain.data.pairs import check_labels
from cotrain.data.plausibility import can_be_judged
from cotrain.errors import InputError
from cotrain.progress import Progress
from cotrain.reporting.data_table import data_table
from cotrain.words import counted
from workflow_scripts.command_line import (
    add_output_argument,
    add_threads_argument,
    logger,
    new_parser,
    parse,
    run,
)

EXAMPLE = """python -m workflow_scripts.check_data --layout cityscapes --root /data/cityscapes --split val
  python -m workflow_scripts.check_data --config config/experiments/gtav_cityscapes.yaml --quick
  python -m workflow_scripts.check_data --dataset game --with-labels --label-space cityscapes7 \\
    --manifest results/demo/data/game/labelled.tsv \\
    --settings results/demo/settings/datasets/game/labelled.json \\
    --output by_hand/check.json"""


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    subject = parser.add_mutually_exclusive_group(required=True)
    subject.add_argument(
        "--layout", help="layout of one dataset: a name, or a .yaml file with one of your own"
    )
    subject.add_argument("--config", type=Path, nargs="+", help="configuration of a run: all its datasets")
    subject.add_argument("--manifest", type=Path, help="a manifest of the dataset that --settings describes")
    parser.add_argument("--root", help="with --layout: folder of the dataset")
    parser.add_argument("--split", help="with --layout: train, val or test, where it has splits")
    parser.add_argument("--version", help="with --layout: version of the labels, where there are several")
    parser.add_argument("--dataset", help="with --manifest: name of the dataset in the configuration")
    parser.add_argument(
        "--settings", type=Path, metavar="FILE", help="with --manifest: the dataset's settings, JSON or YAML"
    )
    parser.add_argument("--with-labels", action="store_true", help="with --manifest: check the labels too")
    parser.add_argument(
        "--discard",
        action="store_true",
        help="with --manifest: delete the manifest if anything is wrong, because repairs may change sizes",
    )
    parser.add_argument(
        "--label-space", default=DEFAULT_LABEL_SPACE, help="the run's label space (default: %(default)s)"
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="read only the headers of files; damaged pixels and wrong ids are not found",
    )
    add_threads_argument(parser, default=4)
    add_output_argument(
        parser, "FILE", "also write the report as JSON, and its table next to it as .txt", required=False
    )
    options = parse(parser, arguments)
    if options.config:
        if options.output:
            raise InputError("--output: holds the report of one dataset, expected --layout or --manifest")
        check_configuration(options.config, options.threads, options.quick)
        return
    space = label_space(options.label_space)
    if options.layout:
        if not options.root:
            raise InputError("--root: is missing, expected the folder of the dataset")
        name = Path(os.path.abspath(options.root)).name
        dataset, scenes = dataset_of(options.layout, options.root, options.split, options.version)
        _, report = check_dataset(name, dataset, True, space, options.threads, options.quick, scenes)
        sheet = "its contact sheet, which the step contact_sheet makes of a manifest by make_manifest"
        show(name, report, options.quick, sheet)
    else:
        if not options.dataset or options.settings is None:
            raise InputError("--manifest needs --dataset and --settings too")
        name, items = options.dataset, read_manifest(options.manifest)
        dataset = read_settings(options.settings, DatasetSettings)
        # In a run, make_manifest has compared the lists.
        if options.with_labels and not options.discard:
            check_labels(items, options.manifest)
        try:
            report = check(name, dataset, items, options.with_labels, space, options.threads, options.quick)
        except InputError:
            if options.discard:
                options.manifest.unlink()
            raise
        sheet = "its contact sheet, which the step contact_sheet makes"
        if options.discard:
            file = options.manifest.parent / "contact_sheet.png"
            sheet = f"{file}, which `snakemake contact_sheets` makes with the configuration of this run"
        log_verdict(name, report, options.quick, sheet)
    if options.output:
        write_json(options.output, report)
        write_text(options.output.with_suffix(".txt"), data_table(name, report) + "\n")


def check_configuration(paths: Sequence[Path], threads: int, quick: bool) -> None:
    """Check every dataset of a configuration as far as the run reads it; raise one InputError for all."""
    from cotrain.configuration.reading import read_configuration
    from cotrain.configuration.run_plan import RunPlan

    configuration = read_configuration(list(paths))
    plan, space = RunPlan(configuration), label_space(configuration.label_space)
    problems = []
    checked: dict[str, CheckedDataset] = {}
    roles = [*plan.source_datasets, configuration.test, configuration.target, *plan.target_datasets]
    for name in dict.fromkeys(filter(None, roles)):
        dataset = configuration.datasets[name]
        if isinstance(dataset, StreetsSettings):
            logger.info("%s: rendered by the workflow, nothing to check", name)
            continue
        try:
            with_labels = name in plan.labelled_datasets
            items, report = check_dataset(name, dataset, with_labels, space, threads, quick)
            checked[name] = CheckedDataset(name, items, report)
            sheet = f"results/{configuration.run}/data/{name}/contact_sheet.png, which `snakemake "
            sheet += f"contact_sheets --configfile {shlex.join(map(str, paths))}` makes"
            show(name, report, quick, sheet)
        except InputError as error:
            problems.append(str(error))
    if problems:
        raise InputError("\n".join(problems))
    # Rendered streets were not checked.
    notes = notes_on_datasets(
        [checked[name] for name in plan.source_datasets if name in checked],
        [checked[name] for name in plan.target_datasets if name in checked],
        checked.get(configuration.test) if configuration.test else None,
        checked.get(configuration.target) if configuration.upper_bound else None,
        whole_source=all(name in checked for name in plan.source_datasets),
    )
    for note in notes:
        logger.warning("warning: %s", note)


def dataset_of(
    layout: str, root: str, split: str | None, version: str | None
) -> tuple[DatasetSettings, Path | None]:
    """Return the settings of a dataset in a folder and, of rendered streets, the folder of the scenes."""
    if layout == "lists":
        raise InputError("--layout: a dataset in lists is described in a configuration, expected --config")
    if layout == "streets":
        # A run knows where it renders its scenes; by hand, --root says where they lie, whatever their look.
        return StreetsSettings(layout="streets", look="game"), Path(root)
    return PublishedSettings(layout=layout, root=root, split=split, version=version), None


def check_dataset(
    name: str,
    settings: DatasetSettings,
    labelled: bool,
    space: LabelSpace,
    threads: int,
    quick: bool,
    scenes: Path | None = None,
) -> tuple[Sequence[Item], CheckReport]:
    """Find the files of a dataset, check them and return both; `scenes` is the folder of streets."""
    files = find_dataset(name, settings, labelled, scenes)
    for line in files.left_out_in_words():
        logger.info("%s: %s", name, line)
    if not labelled:
        logger.info("%s: only images, the run never opens its labels", name)
    return files.items, check(name, settings, files.items, labelled, space, threads, quick)


def check(
    name: str,
    settings: DatasetSettings,
    items: Sequence[Item],
    labelled: bool,
    space: LabelSpace,
    threads: int,
    quick: bool,
) -> CheckReport:
    """Check the files of `items` and return the report; raise one InputError for all that is wrong."""
    table = dataset_class_table(name, settings) if labelled else None
    origins = file_origins(name, settings, labelled)
    with Progress(len(items), "images", f"checking {name}") as progress:
        return check_items(items, table, space, origins, threads, progress, f"datasets.{name}", quick)


def show(name: str, report: CheckReport, quick: bool, sheet: str) -> None:
    """Print the report as a table, and log the verdict below it."""
    print(data_table(name, report), flush=True)
    log_verdict(name, report, quick, sheet)


def log_verdict(name: str, report: CheckReport, quick: bool, sheet: str) -> None:
    """Log the warnings, and one line: whether all is well, and of which classes there is no pixel.

    `sheet` says where the contact sheet is and what makes it; a person sees there whether a warning matters.
    """
    for warning in report["warnings"]:
        logger.warning("warning: %s: %s", name, warning)
    pixels = {class_name: entry["pixels"] for class_name, entry in report.get("classes", {}).items()}
    absent = [class_name for class_name, number in pixels.items() if not number]
    is_small = bool(pixels) and not can_be_judged(pixels, report["images"])
    if report["warnings"]:
        found = f"no error was found, but look at {sheet}"
    elif quick:
        found = "nothing is wrong with the headers; pixels and ids were not read"
    elif is_small:
        found = (
            "no error was found; there are too few images, or pixels with a class, to say whether the "
            f"class table fits, so look at {sheet}"
        )
    else:
        found = "all is well"
    but = "; there is" if report["warnings"] or is_small else ", but"
    found += f"{but} no pixel of {', '.join(absent)}" if absent else ""
    for number, what in (
        (sum(report["converted"].values()), "converted to RGB"),
        (len(report["turned"]), "turned upright"),
    ):
        found += f"; {counted(number, 'image is', 'images are')} {what}" if number else ""
    logger.info("%s: %s", name, found)


if __name__ == "__main__":
    run(main)
