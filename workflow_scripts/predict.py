"""Predict class and confidence of every pixel of an image set, or of one shard of it.

in:  a model's weights, a manifest of images (no labels are read), perhaps an ego-vehicle mask
out: OUTPUT.h5 with class (uint8) and confidence (uint16, linear in [0, 1]) of each image, and
     OUTPUT.histogram.npy, int64 (classes, 65536): how many pixels of each class have each confidence,
     without ego-vehicle pixels. Histograms of shards add up.
"""

import logging
from pathlib import Path

import numpy as np

from cotrain.adaptation.thresholds import LEVELS, confidence_histogram
from cotrain.data.files import written_whole
from cotrain.data.manifests import read_manifest
from cotrain.data.predictions import PredictionWriter
from cotrain.progress import Progress
from workflow_scripts.command_line import add_inference_arguments, parse, parser, run
from workflow_scripts.labelling import add_mask_argument, mask_of

logger = logging.getLogger("cotrain")

EXAMPLE = """python -m workflow_scripts.predict --weights results/demo/models/baseline/weights.safetensors \\
    --images results/demo/data/camera/images.tsv --output predictions/0"""


def main(arguments: list[str] | None = None) -> None:
    made = parser(__doc__, EXAMPLE)
    made.add_argument("--weights", type=Path, required=True, help="weights.safetensors of the model")
    made.add_argument("--images", type=Path, required=True, help="manifest of the images")
    made.add_argument("--shard", type=int, default=0, help="which shard this is, from 0")
    made.add_argument("--shards", type=int, default=1, help="how many shards the set is cut into")
    add_inference_arguments(made)
    add_mask_argument(made)
    made.add_argument("--output", required=True, help="path without suffix of the two files")
    options = parse(made, arguments)

    import torch

    from cotrain.devices import claimed_device
    from cotrain.networks.inference import InferenceSettings, predict
    from cotrain.networks.weights import load_network, read_header

    items = read_manifest(options.images)[options.shard :: options.shards]
    classes = read_header(options.weights)[1].number_of_classes
    mask = mask_of(options)
    chosen = InferenceSettings.from_mapping(options.settings, options.precision)
    histogram = np.zeros((classes, LEVELS), np.int64)
    torch.set_num_threads(options.threads)
    with (
        claimed_device(options.device) as device,
        written_whole(f"{options.output}.h5") as path,
        PredictionWriter(path) as writer,
        Progress(len(items), "images", f"predict {options.output}") as progress,
    ):
        network = load_network(options.weights, classes)
        for prediction in predict(network, items, chosen, device):
            writer.write(prediction.item.id, prediction.classes, prediction.levels)
            ignored = mask.of_size(*prediction.classes.shape)
            histogram += confidence_histogram(prediction.classes, prediction.levels, classes, ignored)
            progress.advance()
    with written_whole(f"{options.output}.histogram.npy") as path:
        np.save(path, histogram)


if __name__ == "__main__":
    run(main)
