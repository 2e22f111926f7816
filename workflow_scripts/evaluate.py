"""Evaluate a model on labelled images, or predictions that any tool has written.

in:  the weights of a model, or of several whose probabilities are averaged, and a manifest of images with
     labels of train ids; or predictions and labels as PNG files of train ids, each given as a list of one
     path a line, a manifest or a folder; or all shards that predict wrote of a manifest of labelled images
out: OUTPUT/scores.json, OUTPUT/confusion.tsv, OUTPUT/confusion.png and, with --write-outputs,
     OUTPUT/images/*.png (predicted train ids) and OUTPUT/coloured/*.jpg (overlays). Of predictions OUTPUT is
     the scores.json itself; everything else lies beside it.
"""

import logging
from argparse import Namespace
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from cotrain.data.background import Background
from cotrain.data.files import write_json
from cotrain.data.images import read_image, read_label, write_image, write_label
from cotrain.data.label_files import MANIFEST_SUFFIX, check_palette, paired_label_files
from cotrain.data.label_spaces import LabelSpace, label_space
from cotrain.data.manifests import Item, read_manifest, verify_labels
from cotrain.data.predictions import SHARD_SUFFIX, PredictionReader
from cotrain.errors import InputError
from cotrain.evaluation.label_pairs import confusion_of_pairs
from cotrain.evaluation.scores import confusion_matrix, mean_iou_of, scores, write_confusion
from cotrain.progress import Progress
from cotrain.reporting.pictures import confusion_picture, overlay
from workflow_scripts.command_line import add_inference_arguments, new_parser, parse, run
from workflow_scripts.models import add_weights_argument, load_models

logger = logging.getLogger("cotrain")

EXAMPLE = """python -m workflow_scripts.evaluate --model final \\
    --weights results/demo/models/final/averaged.safetensors \\
    --labelled results/demo/data/camera_test/train_ids.tsv --output by_hand/evaluation"""


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    parser.add_argument("--model", default="predictions", help="name of the model, for the score file")
    add_weights_argument(parser, required=False)
    parser.add_argument("--labelled", type=Path, help="manifest of images with labels of train ids")
    parser.add_argument(
        "--predictions",
        type=Path,
        nargs="+",
        help="list of predicted label files, or a manifest, or a folder, or one .h5 file a shard, as predict "
        "wrote them with --settings; in place of a model",
    )
    parser.add_argument("--labels", type=Path, help="list of the label files, or a manifest, or a folder")
    parser.add_argument("--label-space", help="classes of --predictions and --labels")
    parser.add_argument(
        "--classes", help="class table of --labels; default: train ids of the label space, like --predictions"
    )
    add_inference_arguments(parser)
    parser.add_argument("--write-outputs", action="store_true", help="also write predictions and overlays")
    parser.add_argument(
        "--class-subsets",
        nargs="*",
        default=[],
        metavar="LABEL_SPACE",
        help="label spaces over whose classes the mean IoU is given too, e.g. synthia16 synthia13",
    )
    parser.add_argument(
        "--output", type=Path, required=True, help="folder of the scores; of --predictions the .json file"
    )
    options = parse(parser, arguments)
    of_model, of_files = ("weights", "labelled"), ("predictions", "labels", "label_space")
    given = [name for name in (*of_model, *of_files) if getattr(options, name) is not None]
    views = {key: options.settings[key] for key in ("resize", "scales", "flip", "window")}
    if given == [*of_files]:
        if options.output.suffix != ".json":
            raise InputError(f"--output {options.output}: expected a name that ends in .json")
        if options.temperature:
            raise InputError("--temperature: the predictions of --predictions are made already")
        space, folder, scores_file = label_space(options.label_space), options.output.parent, options.output
        protocol = {"label_space": space.name}
        if all(path.suffix == SHARD_SUFFIX for path in options.predictions):
            protocol |= views
            confusion, images = _of_shards(options, space, folder)
        else:
            confusion, images = _of_files(options, space)
    elif given == [*of_model]:
        if options.classes is not None:
            raise InputError("--classes: the labels of --labelled are train ids")
        space, confusion, images = _of_model(options)
        folder, protocol = options.output, {"label_space": space.name, **views}
        scores_file = folder / "scores.json"
    else:
        raise InputError(
            "expected either --weights and --labelled, or --predictions, --labels and --label-space, found "
            + (", ".join(f"--{name.replace('_', '-')}" for name in given) or "none of them")
        )
    result = scores(confusion, space.classes)
    subsets = {name: mean_iou_of(result["iou"], label_space(name).classes) for name in options.class_subsets}
    write_confusion(folder / "confusion.tsv", confusion, space.classes)
    confusion_picture(folder / "confusion.png", confusion, space.classes)
    write_json(
        scores_file,
        {"model": options.model, "protocol": protocol, "images": images, **result, "mean_iou_of": subsets},
    )
    logger.info("%s: mIoU %.2f %%; %s", options.model, 100 * result["mean_iou"], scores_file)


def _of_model(options: Namespace) -> tuple[LabelSpace, np.ndarray, int]:
    """Return (label space, confusion, number of images) of a model, or of several together."""
    import torch

    from cotrain.devices import claimed_device
    from cotrain.networks.inference import InferenceSettings, predict

    items = read_manifest(options.labelled)
    verify_labels(items, options.labelled)
    networks, space = load_models(options.weights, options.temperature)
    check_palette(items, space)
    chosen = InferenceSettings.from_mapping(options.settings, options.precision)
    torch.set_num_threads(options.threads)
    with claimed_device(options.device) as device:
        predictions = ((made.item, made.classes) for made in predict(networks, items, chosen, device))
        return space, _counted(items, predictions, space, options, options.output), len(items)


def _of_shards(options: Namespace, space: LabelSpace, folder: Path) -> tuple[np.ndarray, int]:
    """Return (confusion, number of images) of predictions in shards and a manifest of labels."""
    if options.labels.suffix != MANIFEST_SUFFIX:
        raise InputError(f"--labels {options.labels}: expected the manifest whose images the shards are of")
    if options.classes is not None:
        raise InputError("--classes: labels that shards of predictions are compared with are train ids")
    items = read_manifest(options.labels)
    verify_labels(items, options.labels)
    with PredictionReader(options.predictions) as reader:
        reader.check(items, options.labels, space.classes)
        predictions = ((item, reader.read(item.id)[0]) for item in items)
        return _counted(items, predictions, space, options, folder), len(items)


def _counted(
    items: Sequence[Item],
    predictions: Iterable[tuple[Item, np.ndarray]],
    space: LabelSpace,
    options: Namespace,
    folder: Path,
) -> np.ndarray:
    """Return the confusion (C, C + 1) of predicted classes (H, W) with the labels of their items.

    Labels are read, and with --write-outputs pictures written into `folder`, while the next image is
    predicted.
    """
    confusion = np.zeros((space.number_of_classes, space.number_of_classes + 1), np.int64)

    def count(item: Item, classes: np.ndarray) -> None:
        assert item.label is not None
        try:
            confusion[:] += confusion_matrix(read_label(item.label), classes, space.number_of_classes)
        except ValueError as error:
            raise InputError(
                f"{options.labelled or options.labels}: {item.label} against the prediction of {item.image}: "
                f"{error} of {space.name}"
            ) from error
        if options.write_outputs:
            write_label(folder / "images" / f"{item.id}.png", classes, space.palette)
            picture = overlay(read_image(item.image), classes, space.palette)
            write_image(folder / "coloured" / f"{item.id}.jpg", picture)

    with (
        Background() as background,
        Progress(len(items), "images", f"evaluate {options.model}") as progress,
    ):
        for item, classes in predictions:
            background.call(count, item, classes)
            progress.advance()
    return confusion


def _of_files(options: Namespace, space: LabelSpace) -> tuple[np.ndarray, int]:
    """Return (confusion, number of images) of predictions and labels in files."""
    if len(options.predictions) > 1:
        raise InputError(
            f"--predictions: found {len(options.predictions)} files, expected one list, manifest or folder, "
            "or shards that end in .h5"
        )
    if options.write_outputs:
        raise InputError("--write-outputs: the predictions of --predictions are written already")
    pairs = paired_label_files(options.predictions[0], options.labels)
    with Progress(len(pairs), "images", f"evaluate {options.model}") as progress:
        return confusion_of_pairs(pairs, space, options.threads, progress, options.classes), len(pairs)


if __name__ == "__main__":
    run(main)
