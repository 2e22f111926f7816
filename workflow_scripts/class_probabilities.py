"""Show what a model thinks of one image: the probability of every class at every pixel.

in:  the folder of a model or its weights file (the probabilities of several models are averaged); an image
out: NAME.npy, float32 (classes, height, width) in [0, 1], and next to it NAME.png, the same as heat maps

The step predict writes only the most likely class and its probability, because the probabilities of all
classes take 160 MB for an image of 2048×1024 and 19 classes.
"""

from pathlib import Path

from cotrain.data.files import write_array
from cotrain.data.images import read_image, write_image
from cotrain.reporting.pictures import heat_maps
from workflow_scripts.command_line import (
    add_inference_arguments,
    add_model_argument,
    add_output_argument,
    check_suffix,
    inference_settings,
    logger,
    new_parser,
    parse,
    run,
)

EXAMPLE = """python -m workflow_scripts.class_probabilities --model results/demo/models/final \\
    --image results/demo/data/camera_test/scenes/images/00000.jpg --output by_hand/00000.npy"""


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    add_model_argument(parser)
    parser.add_argument("--image", type=Path, required=True, help="image file")
    add_inference_arguments(parser)
    add_output_argument(
        parser, "FILE", "the maps, a .npy file; their heat maps are written next to it as .png"
    )
    options = parse(parser, arguments)
    check_suffix(options.output, ".npy")
    image = read_image(options.image)

    import torch

    from cotrain.devices import claimed_device
    from cotrain.networks.inference import class_probabilities
    from cotrain.networks.weights import load_networks

    networks, space = load_networks(options.model, options.temperature, options.allow_code)
    settings = inference_settings(options.settings)
    torch.set_num_threads(options.threads)
    with claimed_device(options.device, settings.deterministic) as device:
        for network in networks:
            network.to(device).eval()
        maps = class_probabilities(networks, image, settings, device)
    write_array(options.output, maps)
    picture = options.output.with_suffix(".png")
    write_image(picture, heat_maps(maps, space.classes))
    logger.info("written to %s, %s", options.output, picture)


if __name__ == "__main__":
    run(main)
