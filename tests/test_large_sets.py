"""The memory of a step grows by little with each image: sets of 500 000 images must fit into 2 GiB."""

import gc
import os
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from cotrain.adaptation.labelling import Labeller
from cotrain.adaptation.round_selection import evidence_of_round
from cotrain.data.checks import check_items
from cotrain.data.class_tables import class_table
from cotrain.data.images import write_image, write_label
from cotrain.data.label_spaces import label_space
from cotrain.data.manifests import Item, read_manifest, write_manifest
from cotrain.data.masks import EgoVehicleMask
from cotrain.data.predictions import KNOWN_BYTES, Origin, PredictionReader, PredictionWriter, hash_of_images
from cotrain.progress import Progress

FEW, MANY = 300, 1000
SPACE = label_space("cityscapes19")


@pytest.fixture(scope="module")
def items(tmp_path_factory):
    """Images and labels of 6×4 pixels, two files under many names."""
    folder = tmp_path_factory.mktemp("large")
    rng = np.random.default_rng(0)
    label = rng.integers(0, SPACE.number_of_classes, (4, 6)).astype(np.uint8)
    write_image(folder / "image.png", rng.integers(0, 255, (4, 6, 3), np.uint8))
    items = []
    for index in range(MANY):
        names = folder / f"aachen_{index:06d}.png", folder / f"aachen_{index:06d}_label.png"
        os.link(folder / "image.png", names[0])
        write_label(names[1], label, SPACE.palette) if index == 0 else os.link(items[0].label, names[1])
        items.append(Item(names[0].stem, names[0], 6, 4, names[1], bytes=100))
    return items


def bytes_of_an_image_more(work):
    """Return by how much the peak of memory of `work(number)` grows with an image.

    This counts the memory of Python and NumPy, so it is the same in every run.
    """
    peaks = []
    # What is only made once, such as tables of classes, does not count.
    work(10)
    for number in (FEW, MANY):
        gc.collect()
        tracemalloc.start()
        result = work(number)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        del result
    return (peaks[1] - peaks[0]) / (MANY - FEW)


def test_check_of_a_dataset(items):
    table = class_table("cityscapes_train_ids")

    def check(number):
        with Progress(number, "images", "check") as progress:
            return check_items(items[:number], table, SPACE, {}, 2, progress)

    # About 200; it was 8 700 when the pixels of each id were kept for each image.
    assert bytes_of_an_image_more(check) < 1500


def test_label_round(tmp_path, items):
    origin = Origin(SPACE.classes, "a model", hash_of_images(items), 0, 1)
    levels = np.full((4, 6), 50_000, np.uint16)
    with PredictionWriter(tmp_path / "0.h5", origin) as writer:
        for index, item in enumerate(items):
            writer.write(item.id, np.full((4, 6), index % 19, np.uint8), levels)
        assert writer.file.id.get_mdc_size()[2] < 1.5 * KNOWN_BYTES
    thresholds = np.full(SPACE.number_of_classes, 40_000, np.uint16)
    with PredictionReader([tmp_path / "0.h5"]) as predictions:
        labeller = Labeller(predictions, thresholds, EgoVehicleMask(None))

        def label(number):
            return evidence_of_round(items[:number], labeller, SPACE.number_of_classes, 2, "label")

        # About 170, the pixels of each class and the score; it was 2 600.
        assert bytes_of_an_image_more(label) < 1000
        # What HDF5 itself remembers is not in these figures. It was 2.5 MB here, and grew with the set.
        assert predictions.files[0].id.get_mdc_size()[2] < 1.5 * KNOWN_BYTES
        assert label(5).counts.tolist() == (24 * np.eye(19, dtype=int)[:5]).tolist()


def test_manifests(tmp_path, items):
    path = tmp_path / "manifest.tsv"
    listed = [replace(item, label_sha256=f"{index:064x}") for index, item in enumerate(items)]

    def write(number):
        write_manifest(path, listed[:number])

    # About 120; it was 790 when the whole text was in memory.
    assert bytes_of_an_image_more(write) < 500

    def read(number):
        write(number)
        return read_manifest(path)

    # About 840, most of it the two paths.
    assert bytes_of_an_image_more(read) < 2000
