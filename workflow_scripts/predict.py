"""Predict class and confidence of every pixel of an image set, or of one shard of it.

in:  the weights of a model, or of several whose probabilities are averaged; a manifest of images (no labels
     are read); perhaps the temperature of each model and an ego-vehicle mask
out: OUTPUT.h5 with class (uint8) and confidence (uint16, linear in [0, 1]) of each image, and
     OUTPUT.histogram.npz with `histogram`, int64 (classes, 65536): how many pixels of each class have each
     confidence, without ego-vehicle pixels. Histograms of shards add up. Both files say which model, image
     set and shard they are of.
"""

import hashlib
import json
import logging
from pathlib import Path

from cotrain.adaptation.thresholds import ConfidenceCounter
from cotrain.data.background import Background
from cotrain.data.files import remove_partial, sha256_of, written_whole
from cotrain.data.manifests import read_manifest
from cotrain.data.masks import EgoVehicleMask
from cotrain.data.predictions import Origin, PredictionWriter, hash_of_images, write_histogram
from cotrain.errors import InputError
from cotrain.progress import Progress
from workflow_scripts.command_line import (
    add_inference_arguments,
    add_mask_argument,
    new_parser,
    not_negative,
    parse,
    positive,
    run,
)
from workflow_scripts.models import add_weights_argument, load_models

logger = logging.getLogger("cotrain")

EXAMPLE = """python -m workflow_scripts.predict --weights results/demo/models/baseline/averaged.safetensors \\
    --images by_hand/subset.tsv --output by_hand/predictions/0"""


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    add_weights_argument(parser)
    parser.add_argument("--images", type=Path, required=True, help="manifest of the images")
    parser.add_argument("--shard", type=not_negative, default=0, help="which shard this is, from 0")
    parser.add_argument("--shards", type=positive, default=1, help="how many shards the set is cut into")
    add_inference_arguments(parser)
    add_mask_argument(parser)
    parser.add_argument("--output", required=True, help="path without suffix of the two files")
    options = parse(parser, arguments)

    import torch

    from cotrain.devices import claimed_device
    from cotrain.networks.inference import InferenceSettings, Prediction, predict

    if not 0 <= options.shard < options.shards:
        raise InputError(f"--shard {options.shard}: expected 0 to {options.shards - 1}, less than --shards")
    listed = read_manifest(options.images)
    items = listed[options.shard :: options.shards]
    networks, space = load_models(options.weights, options.temperature)
    made_by = [sha256_of(path) for path in (*options.weights, *options.temperature)]
    made_by += [json.dumps(options.settings, sort_keys=True), options.precision]
    model = hashlib.sha256("\n".join(made_by).encode()).hexdigest()
    origin = Origin(space.classes, model, hash_of_images(listed), options.shard, options.shards)
    mask = EgoVehicleMask(options.ego_vehicle_mask)
    # A killed process leaves up to gigabytes.
    remove_partial(f"{options.output}.h5")
    chosen = InferenceSettings.from_mapping(options.settings, options.precision)
    counter = ConfidenceCounter(space.number_of_classes)
    torch.set_num_threads(options.threads)
    with (
        claimed_device(options.device) as device,
        written_whole(f"{options.output}.h5") as path,
        PredictionWriter(path, origin) as writer,
        Background() as background,
        Progress(len(items), "images", f"predict {options.output}") as progress,
    ):

        def keep(prediction: Prediction) -> None:
            writer.write(prediction.item.id, prediction.classes, prediction.levels)
            ignored = mask.of_size(*prediction.classes.shape)
            counter.add(prediction.classes, prediction.levels, ignored)

        for prediction in predict(networks, items, chosen, device):
            background.call(keep, prediction)
            progress.advance()
    write_histogram(f"{options.output}.histogram.npz", counter.histogram(), origin)


if __name__ == "__main__":
    run(main)
