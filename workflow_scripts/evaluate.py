"""Evaluate a model on labelled images, or predictions that any tool has written.

in:  the weights of a model, or of several whose probabilities are averaged, and a manifest of images with
     labels of train ids; or predictions and labels as PNG files of train ids, each given as a list of one
     path a line, a manifest or a folder
out: OUTPUT/scores.json, OUTPUT/confusion.tsv, OUTPUT/confusion.png and, with --write-outputs,
     OUTPUT/images/*.png (predicted train ids) and OUTPUT/coloured/*.jpg (overlays). For files OUTPUT is the
     scores.json itself; the confusion lies beside it.
"""

import logging
from argparse import Namespace
from pathlib import Path

import numpy as np

from cotrain.data.files import write_json
from cotrain.data.images import read_label, write_image, write_label
from cotrain.data.label_files import paired_label_files
from cotrain.data.label_spaces import LabelSpace, label_space
from cotrain.data.manifests import read_manifest, verify_labels
from cotrain.errors import InputError
from cotrain.evaluation.label_pairs import confusion_of_pairs
from cotrain.evaluation.scores import confusion_matrix, mean_iou_of, scores, write_confusion
from cotrain.progress import Progress
from cotrain.reporting.pictures import confusion_picture, overlay
from workflow_scripts.command_line import add_inference_arguments, parse, parser, run
from workflow_scripts.models import add_weights_argument, load_models

logger = logging.getLogger("cotrain")

EXAMPLE = """python -m workflow_scripts.evaluate --model final \\
    --weights results/demo/models/final/weights.safetensors \\
    --labelled results/demo/data/camera_test/train_ids.tsv --output evaluation"""


def main(arguments: list[str] | None = None) -> None:
    made = parser(__doc__, EXAMPLE)
    made.add_argument("--model", default="predictions", help="name of the model, for the score file")
    add_weights_argument(made, required=False)
    made.add_argument("--labelled", type=Path, help="manifest of images with labels of train ids")
    made.add_argument(
        "--predictions",
        type=Path,
        help="list of predicted label files, or a manifest, or a folder; in place of a model",
    )
    made.add_argument("--labels", type=Path, help="list of the label files, or a manifest, or a folder")
    made.add_argument("--label-space", help="classes of --predictions and --labels")
    made.add_argument(
        "--classes", help="class table of --labels; default: train ids of the label space, like --predictions"
    )
    add_inference_arguments(made)
    made.add_argument("--write-outputs", action="store_true", help="also write predictions and overlays")
    made.add_argument(
        "--class-subsets",
        nargs="*",
        default=[],
        metavar="LABEL_SPACE",
        help="label spaces over whose classes the mean IoU is given too, e.g. synthia16 synthia13",
    )
    made.add_argument(
        "--output", type=Path, required=True, help="folder of the scores; of --predictions the .json file"
    )
    options = parse(made, arguments)
    of_model, of_files = ("weights", "labelled"), ("predictions", "labels", "label_space")
    given = [name for name in (*of_model, *of_files) if getattr(options, name) is not None]
    if given == [*of_files]:
        if options.output.suffix != ".json":
            raise InputError(f"--output {options.output}: expected a name that ends in .json")
        if options.write_outputs:
            raise InputError("--write-outputs: the predictions of --predictions are written already")
        space = label_space(options.label_space)
        confusion, images = _of_files(options, space)
        folder, protocol = options.output.parent, {"label_space": space.name}
        scores_file = options.output
    elif given == [*of_model]:
        if options.classes is not None:
            raise InputError("--classes: the labels of --labelled are train ids")
        space, confusion, images = _of_model(options)
        views = {key: options.settings[key] for key in ("resize", "scales", "flip", "window")}
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
    chosen = InferenceSettings.from_mapping(options.settings, options.precision)
    confusion = np.zeros((space.number_of_classes, space.number_of_classes + 1), np.int64)
    torch.set_num_threads(options.threads)
    with (
        claimed_device(options.device) as device,
        Progress(len(items), "images", f"evaluate {options.model}") as progress,
    ):
        for prediction in predict(networks, items, chosen, device):
            item = prediction.item
            assert item.label is not None
            try:
                confusion += confusion_matrix(
                    read_label(item.label), prediction.classes, space.number_of_classes
                )
            except ValueError as error:
                raise InputError(
                    f"{options.labelled}: {item.label} against the prediction of {item.image}: {error} "
                    f"of {space.name}"
                ) from error
            if options.write_outputs:
                write_label(options.output / "images" / f"{item.id}.png", prediction.classes, space.palette)
                picture = overlay(prediction.image, prediction.classes, space.palette)
                write_image(options.output / "coloured" / f"{item.id}.jpg", picture)
            progress.advance()
    return space, confusion, len(items)


def _of_files(options: Namespace, space: LabelSpace) -> tuple[np.ndarray, int]:
    """Return (confusion, number of images) of predictions and labels in files."""
    pairs = paired_label_files(options.predictions, options.labels)
    with Progress(len(pairs), "images", f"evaluate {options.model}") as progress:
        return confusion_of_pairs(pairs, space, options.threads, progress, options.classes), len(pairs)


if __name__ == "__main__":
    run(main)
