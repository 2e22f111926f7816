"""Evaluate a model on labelled images.

in:  a model's weights, a manifest of images with labels of train ids
out: OUTPUT/scores.json, OUTPUT/confusion.tsv, OUTPUT/confusion.png and, with --write-outputs,
     OUTPUT/images/*.png (predicted train ids) and OUTPUT/coloured/*.jpg (overlays)
"""

import logging
from pathlib import Path

import numpy as np

from cotrain.data.files import write_json
from cotrain.data.images import read_label, write_image, write_label
from cotrain.data.label_spaces import label_space
from cotrain.data.manifests import read_manifest, verify_labels
from cotrain.evaluation.scores import confusion_matrix, mean_iou_of, scores, write_confusion
from cotrain.progress import Progress
from cotrain.reporting.pictures import confusion_picture, overlay
from workflow_scripts.command_line import add_inference_arguments, parse, parser, run

logger = logging.getLogger("cotrain")

EXAMPLE = """python -m workflow_scripts.evaluate --model final \\
    --weights results/demo/models/final/weights.safetensors \\
    --labelled results/demo/data/camera_test/train_ids.tsv --output evaluation"""


def main(arguments: list[str] | None = None) -> None:
    made = parser(__doc__, EXAMPLE)
    made.add_argument("--model", required=True, help="name of the model, for the score file")
    made.add_argument("--weights", type=Path, required=True, help="weights.safetensors of the model")
    made.add_argument(
        "--labelled", type=Path, required=True, help="manifest of images with labels of train ids"
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
    made.add_argument("--output", type=Path, required=True, help="folder of the scores")
    options = parse(made, arguments)

    import torch

    from cotrain.devices import claimed_device
    from cotrain.networks.inference import InferenceSettings, predict
    from cotrain.networks.weights import load_network, read_header

    items = read_manifest(options.labelled)
    verify_labels(items, options.labelled)
    space = read_header(options.weights)[1]
    chosen = InferenceSettings.from_mapping(options.settings, options.precision)
    confusion = np.zeros((space.number_of_classes, space.number_of_classes + 1), np.int64)
    torch.set_num_threads(options.threads)
    with (
        claimed_device(options.device) as device,
        Progress(len(items), "images", f"evaluate {options.model}") as progress,
    ):
        network = load_network(options.weights, space.number_of_classes)
        for prediction in predict(network, items, chosen, device):
            item = prediction.item
            assert item.label is not None
            confusion += confusion_matrix(read_label(item.label), prediction.classes, space.number_of_classes)
            if options.write_outputs:
                write_label(options.output / "images" / f"{item.id}.png", prediction.classes, space.palette)
                picture = overlay(prediction.image, prediction.classes, space.palette)
                write_image(options.output / "coloured" / f"{item.id}.jpg", picture)
            progress.advance()
    result = scores(confusion, space.classes)
    protocol = {
        "label_space": space.name,
        "resize": options.settings["resize"],
        "windows": "whole image",
        "flips": False,
    }
    write_confusion(options.output / "confusion.tsv", confusion, space.classes)
    confusion_picture(options.output / "confusion.png", confusion, space.classes)
    write_json(
        options.output / "scores.json",
        {
            "model": options.model,
            "protocol": protocol,
            "images": len(items),
            **result,
            "mean_iou_of": {
                name: mean_iou_of(result["iou"], label_space(name).classes) for name in options.class_subsets
            },
        },
    )
    logger.info(
        "%s: mIoU %.2f %%; %s", options.model, 100 * result["mean_iou"], options.output / "scores.json"
    )


if __name__ == "__main__":
    run(main)
