"""Say how a run does without labels: a line for each model, and a verdict with the likeliest causes.

in:  the predictions of the sample by each model, the pseudo-labels that each was trained on, the reports of
     the source's checks; if they are there: temperatures, and scores
out: OUTPUT/health.txt, OUTPUT/health.tsv (the shares of each class in source, pseudo-labels and predictions)
     and OUTPUT/health.json
"""

from collections.abc import Mapping
from contextlib import ExitStack
from functools import reduce
from itertools import pairwise
from pathlib import Path

import numpy as np

from cotrain.adaptation.calibration import read_calibration
from cotrain.adaptation.sampling import spread_sample
from cotrain.configuration.names import BRANCHES, ModelName
from cotrain.configuration.reading import read_settings
from cotrain.configuration.run_plan import HealthSettings
from cotrain.data.checks import pixels_of_an_image, source_pixels
from cotrain.data.counting import count_ids
from cotrain.data.files import write_json, write_text
from cotrain.data.images import read_label
from cotrain.data.label_spaces import label_space
from cotrain.data.manifests import Item, read_manifest
from cotrain.data.masks import EgoVehicleMask
from cotrain.data.predictions import PredictionReader
from cotrain.errors import InputError
from cotrain.evaluation.health import (
    Held,
    ModelHealth,
    Pixels,
    SampleCounts,
    added,
    agreement_of,
    confidence_of,
    count_sample,
)
from cotrain.evaluation.scores import read_scores
from cotrain.evaluation.verdict import findings, outcome
from cotrain.progress import map_in_threads
from cotrain.reporting.health_tables import health_content, health_rows, health_text
from cotrain.reporting.table import to_tsv
from cotrain.training.record import kept_share, read_training_record
from workflow_scripts.command_line import (
    add_label_space_argument,
    add_mask_argument,
    add_output_argument,
    add_threads_argument,
    logger,
    named_paths,
    new_parser,
    parse,
    run,
)

EXAMPLE = """python -m workflow_scripts.health --images results/demo/sample/images.tsv \\
    --predictions baseline=results/demo/sample/baseline.h5 final=results/demo/sample/final.h5 \\
    --labels final=results/demo/pseudo_labels/ensemble/manifest.tsv \\
    --source-checks results/demo/data/game/labelled.check.json \\
    --settings results/demo/settings/health.json --label-space cityscapes7 --output by_hand/health"""
# Of a set of pseudo-labels so many are read for the shares of classes.
MOST_LABELS = 256


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    parser.add_argument("--images", type=Path, required=True, help="manifest of the sample")
    parser.add_argument(
        "--images-b", type=Path, help="manifest of branch b's sample, if it has its own images"
    )
    for name, needed, what in (
        ("predictions", True, "models, in their order, and their predictions of the sample (.h5)"),
        ("labels", False, "models and the manifests of the pseudo-labels that they learnt from"),
        ("trainings", False, "models and their training.json"),
        ("temperatures", False, "models and their temperature.json"),
        ("scores", False, "models and their scores.json"),
    ):
        parser.add_argument(
            f"--{name}", nargs="+", required=needed, default=[], metavar="MODEL=PATH", help=what
        )
    parser.add_argument(
        "--source-checks",
        type=Path,
        nargs="+",
        required=True,
        metavar="FILE",
        help="labelled.check.json of each source dataset",
    )
    parser.add_argument(
        "--settings",
        type=Path,
        required=True,
        metavar="FILE",
        help="the plan of the run, as results/RUN/settings/health.json",
    )
    add_label_space_argument(parser)
    add_mask_argument(parser)
    add_threads_argument(parser, default=4)
    add_output_argument(parser, "FOLDER", "folder of the report")
    options = parse(parser, arguments)

    files = {
        name: named_paths(f"--{name}", f"MODEL=PATH, e.g. final={example}", getattr(options, name))
        for name, example in (
            *(("predictions", "final.h5"), ("labels", "manifest.tsv"), ("trainings", "training.json")),
            *(("temperatures", "temperature.json"), ("scores", "scores.json")),
        )
    }
    names = check_names(files)
    settings = read_settings(options.settings, HealthSettings)
    classes = label_space(options.label_space).classes
    source = source_pixels(options.source_checks, classes)
    counts, images = count_predictions(
        files["predictions"],
        {view: path for view, path in (("a", options.images), ("b", options.images_b)) if path},
        pairs_of(names, settings),
        EgoVehicleMask(options.ego_vehicle_mask),
        classes,
        options.threads,
    )
    models = [
        with_files(
            ModelHealth(name, counts.pixels[name], confidence_of(counts, name), agreement_of(counts, name)),
            {kind: paths[name] for kind, paths in files.items() if name in paths},
            len(classes),
            options.threads,
        )
        for name in names
    ]
    source_size = pixels_of_an_image(options.source_checks)
    result, found = outcome(models), findings(models, source, classes, settings, source_size)
    text = health_text(result, found, models, source, classes, settings, images)
    content = health_content(result, found, models, source, classes, settings, images)
    write_text(options.output / "health.txt", text)
    write_text(options.output / "health.tsv", to_tsv(health_rows(models, source, classes)))
    write_json(options.output / "health.json", content)
    what = ", ".join(dict.fromkeys(finding.kind for finding in found)) or "nothing that looks wrong"
    logger.info("health: %s; %s", what, options.output / "health.txt")


def check_names(files: Mapping[str, Mapping[str, Path]]) -> list[str]:
    """Return the models that have predictions; InputError for a name that no model of a run has."""
    names = [*files["predictions"]]
    for kind, paths in files.items():
        for name in paths:
            try:
                ModelName.parse(name)
            except ValueError as error:
                raise InputError(
                    f"--{kind}: found the name {name!r}, expected that of a model of a run, such as "
                    "baseline, self_training/00, co_training/00/a or final"
                ) from error
            if name not in names:
                raise InputError(f"--{kind}: {name} has no predictions, expected {name} in --predictions too")
    return names


def pairs_of(names: list[str], settings: HealthSettings) -> list[tuple[str, str]]:
    """Return the models to compare: each with those before it, and both branches of each cycle."""
    pairs = [(before, name) for name in names for before in settings.before.get(name, ())]
    branches = [name for name in names if ModelName.parse(name).branch in BRANCHES]
    pairs += [
        (a, b)
        for a, b in pairwise(branches)
        if ModelName.parse(a).number == ModelName.parse(b).number and a != b
    ]
    return [(a, b) for a, b in dict.fromkeys(pairs) if a in names and b in names]


def count_predictions(
    predictions: Mapping[str, Path],
    manifests: Mapping[str, Path],
    pairs: list[tuple[str, str]],
    mask: EgoVehicleMask,
    classes: tuple[str, ...],
    threads: int,
) -> tuple[SampleCounts, int]:
    """Return what the models make of the sample, and its number of images.

    `manifests` has that of branch b under "b", if it has images of its own. InputError if the predictions are
    not of these images.
    """
    views = {view: read_manifest(path) for view, path in manifests.items()}
    view_of = {
        name: "b" if ModelName.parse(name).branch == "b" and "b" in views else "a" for name in predictions
    }
    lengths = {len(items) for items in views.values()}
    if len(lengths) > 1 or 0 in lengths:
        raise InputError(
            f"{', '.join(map(str, manifests.values()))}: found {' and '.join(map(str, sorted(lengths)))} "
            "images, expected some, and equally many"
        )
    with ExitStack() as stack:
        readers = {name: stack.enter_context(PredictionReader([path])) for name, path in predictions.items()}
        for name, reader in readers.items():
            reader.check(views[view_of[name]], manifests[view_of[name]], classes)

        def count(place: int) -> SampleCounts:
            found = {name: reader.read(views[view_of[name]][place].id) for name, reader in readers.items()}
            height, width = views["a"][place].height, views["a"][place].width
            return count_sample(found, pairs, mask.of_size(height, width), len(classes))

        places = range(len(views["a"]))
        return reduce(added, map_in_threads(count, places, threads, "compare models")), len(places)


def with_files(
    health: ModelHealth, files: Mapping[str, Path], number_of_classes: int, threads: int
) -> ModelHealth:
    """Return what is known of a model with what its files say."""
    kept, labels = None, None
    if "labels" in files:
        items = read_manifest(files["labels"])
        kept, labels = kept_share(items), count_labels(items, number_of_classes, threads)
    calibration = read_calibration(files["temperatures"]) if "temperatures" in files else None
    return ModelHealth(
        health.model,
        health.pixels,
        health.confidence,
        health.agreement,
        kept,
        labels,
        read_training_record(files["trainings"]).vanished_classes if "trainings" in files else (),
        Held(calibration.confidence[1], calibration.accuracy) if calibration else None,
        read_scores(files["scores"], health.model).mean_iou if "scores" in files else None,
    )


def count_labels(items: list[Item], number_of_classes: int, threads: int) -> Pixels:
    """Return the pixels of each class, int64 (C,), in some labels that are spread over a set."""
    some = [items[place] for place in spread_sample(len(items), MOST_LABELS, 0)]

    def count(item: Item) -> Pixels:
        if item.label is None:
            raise InputError(f"image {item.id!r} has no label, expected a manifest of pseudo-labels")
        return count_ids(read_label(item.label))[:number_of_classes]

    total = np.zeros(number_of_classes, np.int64)
    for counts in map_in_threads(count, some, threads, "count pseudo-labels"):
        total += counts
    return total


if __name__ == "__main__":
    run(main)
