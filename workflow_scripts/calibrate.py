"""Find the temperature that corrects the confidences of a model: its logits are divided by it.

The temperature is fitted on images that the model was not trained on.

in:  a model; manifests of labelled source images that no training has seen (never of the target)
out: a JSON file with `temperature`, and the mean confidence before and after
"""

from pathlib import Path

import numpy as np

from cotrain.adaptation.calibration import HIGHEST, LOWEST, calibrated, write_calibration
from cotrain.data.label_files import check_palette
from cotrain.data.manifests import read_labelled
from cotrain.errors import InputError
from cotrain.progress import Progress
from workflow_scripts.command_line import (
    add_allow_code_argument,
    add_inference_arguments,
    add_output_argument,
    inference_settings,
    logger,
    model_file,
    new_parser,
    parse,
    run,
)

EXAMPLE = """python -m workflow_scripts.calibrate --model results/demo/models/final \\
    --labelled by_hand/held_out.tsv --seed 100 --output by_hand/temperature.json"""
# Pixels drawn from all images together: far more than one temperature needs, yet their logits fit in memory.
PIXELS = 200_000


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    parser.add_argument(
        "--model", type=model_file, required=True, help="folder of the model, or a .safetensors file"
    )
    add_allow_code_argument(parser)
    parser.add_argument(
        "--labelled", type=Path, nargs="+", required=True, help="manifests of the held-out images"
    )
    parser.add_argument("--seed", type=int, required=True, help="which pixels are drawn")
    add_inference_arguments(parser)
    add_output_argument(parser, "FILE", "the .json file")
    options = parse(parser, arguments)
    settings = inference_settings(options.settings)

    import torch

    from cotrain.devices import claimed_device
    from cotrain.networks.inference import labelled_logits
    from cotrain.networks.weights import load_networks

    items = [item for path in options.labelled for item in read_labelled(path)]
    manifests = ", ".join(map(str, options.labelled))
    if not items:
        raise InputError(f"{manifests}: no image is listed, expected some that were held out of training")
    pixels = -(-PIXELS // len(items))
    [network], space = load_networks([options.model], allowed_code=options.allow_code)
    check_palette(items, space)
    torch.set_num_threads(options.threads)
    with (
        claimed_device(options.device, settings.deterministic) as device,
        Progress(len(items), "images", f"calibrate {options.model}") as progress,
    ):
        network.to(device).eval()
        drawn = []
        for item in items:
            drawn.append(labelled_logits(network, item, settings, device, pixels, options.seed))
            progress.advance()
    logits, labels = (np.concatenate(parts) for parts in zip(*drawn, strict=True))
    if not labels.size:
        raise InputError(f"{manifests}: no image has a labelled pixel")
    calibration = calibrated(logits, labels, len(items))
    write_calibration(options.output, calibration)
    if not 1.01 * LOWEST < calibration.temperature < 0.99 * HIGHEST:
        logger.warning(
            "%s: the temperature is at the limit of the search. Is the model trained, are the labels those "
            "of its label space, and are its classes in their order?",
            options.model,
        )
    logger.info(
        "temperature %.3f: mean confidence %.1f %%, now %.1f %%, while %.1f %% of the pixels are right; %s",
        calibration.temperature,
        *(100 * share for share in (*calibration.confidence, calibration.accuracy)),
        options.output,
    )


if __name__ == "__main__":
    run(main)
