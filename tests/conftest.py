import logging
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings as hypothesis_settings

from cotrain.configuration.sections import (
    DeepLabV3PlusSettings,
    RareClassSampling,
    Section,
    TrainingSettings,
)
from cotrain.configuration.settings_files import write_settings
from cotrain.data.images import write_image, write_label
from cotrain.data.label_spaces import label_space
from cotrain.data.manifests import Item

# A red test must be red again, on every machine: Hypothesis draws the same examples each time, and no example
# has a time limit. `pytest --hypothesis-profile=random` draws others.
hypothesis_settings.register_profile("same", derandomize=True, deadline=None)
hypothesis_settings.register_profile("random", derandomize=False, deadline=None)
hypothesis_settings.load_profile("same")

SMALL_NETWORK = DeepLabV3PlusSettings(
    backbone="test_efficientnet",
    backbone_weights="none",
    aspp_channels=8,
    aspp_dilations=(1, 2),
    decoder_channels=10,
    low_level_channels=4,
    dropout=0.3,
)

# Two iterations on the source only. No value is that of a default, so that one that is ignored shows.
SMALL_TRAINING = TrainingSettings(
    network=SMALL_NETWORK,
    precision="float32",
    seed=7,
    iterations=2,
    hard_pixel_share=0.7,
    hard_pixels_of="all",
    batch_size=2,
    crop=(32, 32),
    learning_rate=0.01,
    momentum=0.8,
    weight_decay=0.003,
    warmup_iterations=3,
    warmup_factor=0.2,
    poly_power=0.7,
    rare_class_sampling=RareClassSampling(min_pixels=10),
)


@pytest.fixture(autouse=True)
def _no_handlers_left_behind() -> Iterator[None]:
    """Remove what a step's `parse` set up: its handlers write into this test's captured stream."""
    yield
    logging.getLogger("cotrain").handlers.clear()


@contextmanager
def mounted_disk(folder: Path, size: str) -> Iterator[Path]:
    """Mount a disk of a size such as "64k" in a new folder, or skip the test; only root may mount one."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 KiB, with 16 KiB free."""
    with mounted_disk(tmp_path / "disk", "64k") as folder:
        (folder / "full").write_bytes(bytes(48 * 1024))
        yield folder


@pytest.fixture
def network_settings() -> DeepLabV3PlusSettings:
    """Return the settings of a network of a few thousand weights."""
    return SMALL_NETWORK


@pytest.fixture
def training_settings() -> TrainingSettings:
    """Return the settings of a training of two iterations on the source only."""
    return SMALL_TRAINING


@pytest.fixture
def settings_file(tmp_path: Path) -> Callable[..., str]:
    """Return a function that writes settings into a file and returns its path, for `--settings`."""

    def write(settings: Section, name: str = "settings") -> str:
        path = tmp_path / f"{name}.json"
        write_settings(path, settings)
        return str(path)

    return write


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
