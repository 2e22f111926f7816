"""Find the temperature that makes a model's confidences mean what they say, on images it was not trained on.

in:  a model's weights; manifests of labelled source images that no training has seen (never of the target)
out: OUTPUT.json with `temperature`, by which the logits are divided, and what it does to the mean confidence
"""

import logging
from pathlib import Path

import numpy as np

from cotrain.adaptation.calibration import HIGHEST, LOWEST, calibrated, write_calibration
from cotrain.data.label_files import check_palette
from cotrain.data.manifests import read_manifest, verify_labels
from cotrain.errors import InputError
from cotrain.progress import Progress
from workflow_scripts.command_line import add_inference_arguments, new_parser, parse, run
from workflow_scripts.models import weights_file

logger = logging.getLogger("cotrain")

EXAMPLE = """python -m workflow_scripts.calibrate --weights results/demo/models/final/averaged.safetensors \\
    --labelled by_hand/held_out.tsv --seed 100 --output by_hand/temperature.json"""
# Of all images together: far more than one number needs, and few enough to hold their logits.
PIXELS = 200_000


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    parser.add_argument(
        "--weights", type=weights_file, required=True, help="weights.safetensors of the model"
    )
    parser.add_argument(
        "--labelled", type=Path, nargs="+", required=True, help="manifests of the held-out images"
    )
    parser.add_argument("--seed", type=int, required=True, help="which pixels are drawn")
    add_inference_arguments(parser)
    parser.add_argument("--output", type=Path, required=True, help="the .json file")
    options = parse(parser, arguments)

    import torch

    from cotrain.devices import claimed_device
    from cotrain.networks.inference import InferenceSettings, labelled_logits
    from cotrain.networks.weights import load_networks

    items = []
    for path in options.labelled:
        listed = read_manifest(path)
        verify_labels(listed, path)
        items += listed
    manifests = ", ".join(map(str, options.labelled))
    if not items:
        raise InputError(f"{manifests}: no image is listed, expected some that were held out of training")
    pixels = -(-PIXELS // len(items))
    [network], space = load_networks([options.weights])
    check_palette(items, space)
    chosen = InferenceSettings.from_mapping(options.settings, options.precision)
    torch.set_num_threads(options.threads)
    with (
        claimed_device(options.device) as device,
        Progress(len(items), "images", f"calibrate {options.weights}") as progress,
    ):
        network.to(device).eval()
        drawn = []
        for item in items:
            drawn.append(labelled_logits(network, item, chosen, device, pixels, options.seed))
            progress.advance()
    logits, labels = (np.concatenate(parts) for parts in zip(*drawn, strict=True))
    if not labels.size:
        raise InputError(f"{manifests}: no image has a labelled pixel")
    found = calibrated(logits, labels, len(items))
    write_calibration(options.output, found)
    if not 1.01 * LOWEST < found.temperature < 0.99 * HIGHEST:
        logger.warning(
            "%s: the temperature is as far off as is looked for; is the model trained, are the labels of its "
            "label space and its classes in their order?",
            options.weights,
        )
    logger.info(
        "temperature %.3f: mean confidence %.1f %%, now %.1f %%, where %.1f %% of the pixels are right; %s",
        found.temperature,
        *(100 * share for share in (*found.confidence, found.accuracy)),
        options.output,
    )


if __name__ == "__main__":
    run(main)
