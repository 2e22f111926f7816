"""A control: a model whose batch norms know the target, but whose weights do not.

The means and variances of its batch norms are counted again over images of the target, by one pass through
the network and without labels. Nothing else changes. What such a model gains is no work of pseudo-labels.

    python -m benchmarks.target_statistics --model results/RUN/models/baseline \\
        --images results/RUN/data/TARGET/images.tsv --output by_hand/baseline_of_target
    python -m workflow_scripts.evaluate --model by_hand/baseline_of_target/weights.safetensors ...

The idea is that of adaptive batch normalisation (Li et al., "Revisiting Batch Normalization For Practical
Domain Adaptation", 2016).
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.optim.swa_utils import update_bn

from cotrain.data.images import read_image
from cotrain.data.manifests import Item, read_manifest
from cotrain.networks.inference import batches_of_one_size
from cotrain.networks.model_folder import weights_file
from cotrain.networks.weights import load_networks, read_header, save_weights
from workflow_scripts.command_line import run

BATCH_SIZE = 4


def batches(items: Sequence[Item], device: torch.device) -> Iterator[Tensor]:
    """Yield the images as (B, 3, H, W) uint8; those of a batch have one size."""
    for batch in batches_of_one_size(items, BATCH_SIZE):
        images = np.stack([read_image(item.image) for item in batch])
        yield torch.from_numpy(images).permute(0, 3, 1, 2).to(device)


def main(arguments: list[str] | None = None) -> None:
    """Count the statistics and write the model."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, required=True, help="folder or weights file of the model")
    parser.add_argument("--images", type=Path, required=True, help="manifest of the target's images")
    parser.add_argument("--output", type=Path, required=True, help="folder of the new model")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    path = weights_file(options.model)
    (network,), space = load_networks([path])
    items = read_manifest(options.images)
    update_bn(batches(items, device), network.to(device))
    output = options.output / "weights.safetensors"
    save_weights(output, network, read_header(path)[0], space)
    print(f"statistics of {len(items)} images in {output}")


if __name__ == "__main__":
    run(main)
