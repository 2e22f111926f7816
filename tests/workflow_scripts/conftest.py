from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cotrain.adaptation.threshold_table import ThresholdTable
from cotrain.adaptation.thresholds import LEVELS, quantise
from cotrain.configuration.sections import DeepLabV3PlusSettings, InferenceSettings
from cotrain.data.label_spaces import label_space
from cotrain.data.manifests import Item, write_manifest
from cotrain.data.predictions import Origin, PredictionWriter, hash_of_images

SPACE = label_space("camvid11")


@pytest.fixture
def predicted_set(tmp_path: Path) -> Callable[..., list[Item]]:
    """Return a function that writes NAME.tsv and NAME.h5 of hand-made predictions.

    A prediction is a list of (class, confidence) runs: each fills one row of ten pixels.
    """

    def make(name: str, predictions: dict[str, list[tuple[int, float]]]) -> list[Item]:
        items = [Item(i, tmp_path / f"{i}.png", 10, len(rows)) for i, rows in predictions.items()]
        write_manifest(tmp_path / f"{name}.tsv", items)
        origin = Origin(SPACE.classes, "a model", hash_of_images(items), 0, 1)
        with PredictionWriter(tmp_path / f"{name}.h5", origin) as writer:
            for image_id, rows in predictions.items():
                classes = np.repeat(np.array([[c] for c, _ in rows], np.uint8), 10, 1)
                levels = np.repeat(quantise([[confidence] for _, confidence in rows]), 10, 1)
                writer.write(image_id, classes, levels)
        return items

    return make


@pytest.fixture
def write_thresholds(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a thresholds.json of camvid11; classes not named get 0.5."""

    def make(name: str, of_class: dict[int, float] | None = None, model: str = "a model") -> Path:
        # One pixel of each class: its level is the threshold.
        confidences = [(of_class or {}).get(train_id, 0.5) for train_id in range(SPACE.number_of_classes)]
        histogram = np.zeros((SPACE.number_of_classes, LEVELS), np.int64)
        histogram[range(SPACE.number_of_classes), quantise(confidences)] = 1
        path = tmp_path / f"{name}.json"
        ThresholdTable.from_histogram(histogram, 0.5, 0, 1, SPACE.classes, model).write(path)
        return path

    return make


@pytest.fixture
def model(
    tmp_path: Path,
    make_items: Callable[..., list[Item]],
    network_settings: DeepLabV3PlusSettings,
    settings_file: Callable[..., str],
) -> tuple[list[Item], list[str]]:
    """Write weights of camvid11 and a manifest of five images; return the items and the flags."""
    import torch

    from cotrain.networks.build import build_network
    from cotrain.networks.weights import save_weights

    torch.set_num_threads(1)
    network = build_network(network_settings, SPACE.number_of_classes, 1, pretrained=False)
    torch.nn.init.normal_(network.model.classifier.weight, std=3.0)
    save_weights(tmp_path / "weights.safetensors", network, network_settings, SPACE)
    items = make_items("x", 5)
    write_manifest(tmp_path / "images.tsv", items)
    flags = ["--model", str(tmp_path / "weights.safetensors"), "--device", "cpu"]
    return items, [*flags, "--settings", settings_file(InferenceSettings(batch_size=1), "inference")]
