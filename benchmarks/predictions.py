"""Predictions of large images: the network, decoding, and what is written, each for itself and all together.

Prints images a second of frames of 2048×1024 (of fewer pixels with --network tiny):

    python -m benchmarks.predictions [--network paper] [--threads 16] [--images 48]
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.frames import add_scenes_argument, frames
from benchmarks.networks import NETWORKS
from benchmarks.timing import seconds
from benchmarks.training_step import CASES, finished, name_of
from cotrain.adaptation.thresholds import ConfidenceCounter
from cotrain.configuration.sections import InferenceSettings
from cotrain.configuration.settings_files import write_settings
from cotrain.data.images import read_image
from cotrain.data.label_spaces import label_space
from cotrain.data.manifests import write_manifest
from cotrain.data.predictions import Origin, PredictionWriter
from cotrain.networks.build import build_network
from cotrain.networks.inference import batches_of_one_size, predict, predict_images
from cotrain.networks.weights import save_weights
from workflow_scripts import predict as predict_step

SPACES = {7: "cityscapes7", 19: "cityscapes19"}
BATCHES = (1, 2, 4)


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--network", choices=CASES, default="paper")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--images", type=int, default=8)
    add_scenes_argument(parser)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    case = CASES[options.network]
    network = build_network(NETWORKS[case.network], case.classes, 0, pretrained=False).to(device).eval()
    width, height = case.frame
    print(f"{case.network} network, images of {width}×{height}, {name_of(device)}, {options.threads} threads")

    def rate(what: str, images: int, work: Callable[[], object]) -> None:
        began = finished(device)
        work()
        taken = finished(device) - began
        print(f"{what:<44}{images / taken:8.1f} images a second", flush=True)

    with tempfile.TemporaryDirectory() as folder_name:
        folder = Path(folder_name)
        items = frames(folder, options.images, case.frame, case.classes, options.scenes)
        pixels = np.stack([read_image(items[i % len(items)].image) for i in range(max(BATCHES))])
        for size in BATCHES:
            settings, batch = InferenceSettings(batch_size=size), pixels[:size]
            times = max(1, options.images // size)
            predict_images([network], batch, settings, device)

            def from_memory(
                settings: InferenceSettings = settings, batch: np.ndarray = batch, times: int = times
            ) -> None:
                for _ in range(times):
                    predict_images([network], batch, settings, device)

            rate(f"from memory, one batch of {size} after the other", times * size, from_memory)
        batches = batches_of_one_size(items, settings.batch_size)
        rate(
            f"from PNG files, batches of {settings.batch_size}",
            len(items),
            lambda: list(predict([network], batches, settings, device, options.threads)),
        )
        images = [replace(item, label=None) for item in items]
        write_manifest(folder / "images.tsv", images)
        write_settings(folder / "settings.json", settings)
        save_weights(
            folder / "weights.safetensors",
            network,
            NETWORKS[case.network],
            label_space(SPACES[case.classes]),
        )
        step = ["--model", str(folder / "weights.safetensors"), "--images", str(folder / "images.tsv")]
        step += ["--settings", str(folder / "settings.json"), "--output", str(folder / "predicted.h5")]
        step += ["--threads", str(options.threads)]
        rate("the step predict, its files written", len(items), lambda: predict_step.main(step))

        classes, levels = predict_images([network], pixels[:1], InferenceSettings(batch_size=1), device)
        counter = ConfidenceCounter(case.classes)
        taken = seconds(lambda _: counter.add(classes[0], levels[0]), 8)
        print(f"{'counting the confidences of an image':<44}{1000 * taken:8.1f} ms")
        origin = Origin(tuple(map(str, range(case.classes))), "model", "images", 0, 1)
        with PredictionWriter(folder / "written.h5", origin) as writer:
            taken = seconds(lambda i: writer.write(str(i), classes[0], levels[0]), 8)
        print(f"{'writing the prediction of an image':<44}{1000 * taken:8.1f} ms")


if __name__ == "__main__":
    began = time.monotonic()
    main()
    print(f"measured in {time.monotonic() - began:.0f} s")
