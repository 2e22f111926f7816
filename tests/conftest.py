from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cotrain.data.images import write_image, write_label
from cotrain.data.label_spaces import label_space
from cotrain.data.manifests import Item

SMALL_NETWORK = {
    "name": "deeplabv3plus",
    "backbone": "test_efficientnet",
    "backbone_weights": "none",
    "last_stage_dilations": None,
    "output_stride": 16,
    "aspp_channels": 8,
    "aspp_dilations": [1, 2],
    "decoder_channels": 8,
    "low_level_channels": 4,
    "dropout": 0.1,
}

PLAIN_AUGMENTATION = {
    "resize": None,
    "short_sides": [],
    "max_long_side": 4096,
    "vertical_range": None,
    "max_class_share": 1.0,
    "horizontal_flip": 0.5,
    "vertical_flip": 0.0,
    "colour_jitter": 0.0,
    "blur": 0.0,
    "cutout": {"holes": [0, 0], "size_px": [1, 1]},
}

SMALL_TRAINING = {
    "batch_size": 2,
    "crop": [32, 32],
    "optimiser": "sgd",
    "learning_rate": 0.01,
    "layer_decay": 1.0,
    "average_decay": 0.0,
    "compile": False,
    "momentum": 0.9,
    "weight_decay": 0.0001,
    "warmup_iterations": 2,
    "warmup_factor": 0.001,
    "poly_power": 0.9,
    "head_learning_rate_factor": 1.0,
    "hard_pixels_of": "labelled",
    "save_every_iterations": 2,
    "log_every_iterations": 1,
    "source_augmentation": PLAIN_AUGMENTATION,
    "target_augmentation": PLAIN_AUGMENTATION,
    "rare_class_sampling": {"enabled": False, "temperature": 0.01, "min_pixels": 10},
}


@pytest.fixture
def network_mapping() -> dict[str, Any]:
    """Return the `network` section for a network of a few thousand weights."""
    return {**SMALL_NETWORK}


@pytest.fixture
def training_mapping() -> dict[str, Any]:
    """Return what `workflow_scripts.train` takes as --settings for two iterations on the source alone."""
    return {
        "network": {**SMALL_NETWORK},
        "training": {**SMALL_TRAINING},
        "precision": "float32",
        "seed": 7,
        "iterations": 2,
        "hard_pixel_share": 0.2,
    }


@pytest.fixture
def make_items(tmp_path: Path) -> Callable[..., list[Item]]:
    """Return a function that writes images of random blocks with labels in camvid11 and lists them."""

    def make(
        name: str, number: int, sizes: Sequence[tuple[int, int]] = ((40, 48),), seed: int = 0
    ) -> list[Item]:
        rng = np.random.default_rng(seed)
        items = []
        for index in range(number):
            height, width = sizes[index % len(sizes)]
            blocks = rng.integers(0, 11, (height // 8, width // 8)).astype(np.uint8)
            label = np.kron(blocks, np.ones((8, 8), np.uint8))
            label = np.pad(label, ((0, height % 8), (0, width % 8)), mode="edge")
            image = (label[..., None] * np.array([20, 10, 5])).astype(np.uint8)
            image += rng.integers(0, 20, image.shape).astype(np.uint8)
            image_path, label_path = (
                tmp_path / name / kind / f"{index}.png" for kind in ("images", "labels")
            )
            write_image(image_path, image)
            write_label(label_path, label, label_space("camvid11").palette)
            items.append(Item(f"{name}_{index}", image_path, width, height, label_path))
        return items

    return make
