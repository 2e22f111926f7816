"""Confirm that all inputs of a run are in order: the last step before anything is translated or trained.

It also checks what concerns several files: the images of a second target must pair up with those of the
first, class priors must fit the target, the crop of the trainings must fit into some image, and what the run
writes must fit on the disk. It notes what is no error but changes what the scores mean: warnings of the
reports, classes that cannot be learnt, test images that the run also learns from or adapts to.

in:  the check reports of all datasets, and of the device if there is one; the sizes of the networks; the
     manifests, class priors and mask. The report of a manifest data/NAME/labelled.tsv is the one called
     data/NAME/labelled.check.json.
out: a JSON file with the paths of the reports and the notes
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cotrain.configuration.reading import read_settings
from cotrain.configuration.run_plan import Storage
from cotrain.configuration.sections import Crops
from cotrain.data.checks import CheckReport
from cotrain.data.class_priors import ClassPriors
from cotrain.data.comparisons import CheckedDataset, notes_on_datasets
from cotrain.data.disk_space import bytes_of_run, check_disk, missing_bytes
from cotrain.data.files import write_json
from cotrain.data.json_files import read_record_of_kind
from cotrain.data.manifests import Item, read_manifest
from cotrain.data.masks import EgoVehicleMask
from cotrain.data.network_sizes import read_network_sizes
from cotrain.data.pairs import check_pairs
from cotrain.errors import InputError
from cotrain.training.augmentation import check_crop
from workflow_scripts.command_line import (
    add_mask_argument,
    add_output_argument,
    logger,
    new_parser,
    parse,
    run,
)

EXAMPLE = """python -m workflow_scripts.collect_checks \\
    --reports results/demo/data/game/labelled.check.json results/demo/data/camera/images.check.json \\
    results/demo/data/camera_test/labelled.check.json \\
    --source results/demo/data/game/labelled.tsv --target results/demo/data/camera/images.tsv \\
    --test results/demo/data/camera_test/labelled.tsv \\
    --settings results/demo/settings/crops.json --storage results/demo/settings/storage.json \\
    --networks results/demo/data/networks.json --results results/demo --states state/demo \\
    --output by_hand/checked.json"""


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    parser.add_argument(
        "--reports", type=Path, nargs="+", required=True, help="reports of check_data and check_device"
    )
    parser.add_argument("--source", type=Path, nargs="+", required=True, help="manifests of the source")
    parser.add_argument("--target", type=Path, required=True, help="manifest of the target's images")
    parser.add_argument("--test", type=Path, help="manifest of what models are scored on")
    parser.add_argument(
        "--settings",
        type=Path,
        required=True,
        metavar="FILE",
        help="crop and augmentations of the trainings, as results/RUN/settings/crops.json",
    )
    parser.add_argument(
        "--storage",
        type=Path,
        required=True,
        metavar="FILE",
        help="what the run writes, as results/RUN/settings/storage.json",
    )
    parser.add_argument(
        "--networks", type=Path, required=True, metavar="FILE", help="what check_networks wrote"
    )
    parser.add_argument(
        "--results", type=Path, required=True, metavar="FOLDER", help="where the run writes its results"
    )
    parser.add_argument(
        "--states", type=Path, required=True, metavar="FOLDER", help="where its trainings save their states"
    )
    parser.add_argument(
        "--target-b", type=Path, help="manifest of branch b's images, paired with the target's"
    )
    parser.add_argument("--class-priors", type=Path, help=".npy (classes, height, width)")
    add_mask_argument(parser)
    add_output_argument(parser, "FILE", "the list of the reports, JSON")
    options = parse(parser, arguments)

    reports = {path: read_report(path) for path in options.reports}
    check_same_classes(reports)
    manifests = [
        *options.source,
        options.target,
        *(path for path in (options.target_b, options.test) if path),
    ]
    items = {path: read_manifest(path) for path in manifests}
    crops = read_settings(options.settings, Crops)
    for part, paths, augmentation in (
        ("source", options.source, crops.source_augmentation),
        ("target", [options.target], crops.target_augmentation),
    ):
        for path in paths:
            sizes = {(item.height, item.width) for item in items[path]}
            check_crop(crops.crop, sizes, augmentation, part, str(path))
    if options.target_b:
        check_pairs(
            items[options.target_b],
            items[options.target],
            (options.target_b, options.target),
            one_size=True,
        )
    if options.class_priors:
        ClassPriors.read(options.class_priors).check_size(items[options.target])
    EgoVehicleMask(options.ego_vehicle_mask)
    source = [item for path in options.source for item in items[path]]
    target = items[options.target]
    of_source, of_target = (sum(item.width * item.height for item in of) for of in (source, target))
    storage = read_settings(options.storage, Storage)
    needed = missing_bytes(
        storage,
        bytes_of_run(storage, of_source, of_target, len(target)),
        read_network_sizes(options.networks),
        options.results,
        options.states,
    )
    check_disk(dict(zip((options.results, options.states), needed, strict=True)), "the run")
    notes = notes_of_run(reports, items, options.source, options.target, options.target_b, options.test)
    for note in notes:
        logger.warning("warning: %s", note)
    write_json(options.output, {"reports": [str(path) for path in reports], "notes": notes})
    found = "no error was found, but read the warnings" if notes else "all data is in order"
    logger.info("%s; %s", found, options.output)


def read_report(path: Path) -> dict[str, Any]:
    """Return the report of a check, whole if it is that of a dataset; InputError if there is none."""

    def kind(content: Any) -> Any:
        of_dataset = isinstance(content, dict) and content.keys() & {"images", "warnings", "classes"}
        return CheckReport if of_dataset else dict[str, Any]

    expected = "what check_data or check_device wrote"
    return read_record_of_kind(path, kind, "the report of a check", expected)


def check_same_classes(reports: Mapping[Path, Any]) -> None:
    """Raise InputError if two reports count other classes: they are of different label spaces."""
    of_labels = {path: set(report["classes"]) for path, report in reports.items() if "classes" in report}
    for path, classes in of_labels.items():
        first = next(iter(of_labels))
        if classes != of_labels[first]:
            raise InputError(
                f"{path}: counts other classes than {first}; expected one label space. Check the data again"
            )


def notes_of_run(
    reports: Mapping[Path, Any],
    items: Mapping[Path, Sequence[Item]],
    source: Sequence[Path],
    target: Path,
    target_b: Path | None,
    test: Path | None,
) -> list[str]:
    """Return the warnings of all reports, and what the datasets show side by side."""

    def checked(manifest: Path) -> CheckedDataset:
        # A folder of the run has the name of its dataset.
        report = reports.get(manifest.with_suffix(".check.json"), {})
        return CheckedDataset(manifest.parent.name, items[manifest], report)

    notes = [
        f"{path.parent.name}: {warning}"
        for path, report in reports.items()
        for warning in report.get("warnings", [])
    ]
    # The target's labels were checked only if the upper bound learns them.
    of_labels = target.with_name("labelled.check.json")
    upper_bound = None
    if of_labels in reports and target.with_name("labelled.tsv") != test:
        upper_bound = CheckedDataset(target.parent.name, [], reports[of_labels])
    return notes + notes_on_datasets(
        [checked(manifest) for manifest in source],
        [checked(manifest) for manifest in (target, target_b) if manifest],
        checked(test) if test else None,
        upper_bound,
    )


if __name__ == "__main__":
    run(main)
