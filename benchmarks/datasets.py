"""Listing and checking datasets of true size.

Prints the seconds for the manifest of 25 000 labelled images (headers alone) and for a full check of 3 000
pairs of GTA5's size, besides the bare decoding of the same files, all measured in one run:

    python -m benchmarks.datasets [--listed 25000] [--checked 300] [--threads 2]

Pairs that are checked are rendered once and linked under many names; a tenth of 3 000 tells the rate as well.
"""

import argparse
import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from cotrain.configuration.sections import PublishedSettings
from cotrain.data.checks import check_items
from cotrain.data.images import read_image, read_label, write_image, write_label
from cotrain.data.label_spaces import label_space
from cotrain.data.layouts import dataset_class_table, find_dataset
from cotrain.data.manifests import read_manifest, write_manifest
from cotrain.progress import Progress
from streets.generate import render_scenes

GTA5_SIZE = (1914, 1052)
# Train ids of the rendered labels become the ids of GTA5's label files.
LABEL_IDS = np.array([7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33], np.uint8)


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--listed", type=int, default=25000, help="images listed (default 25000)")
    parser.add_argument("--checked", type=int, default=300, help="pairs checked (default 300)")
    parser.add_argument("--threads", type=int, default=2, help="files read at once (default 2)")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        measure_listing(folder / "listed", options.listed)
        measure_checking(folder / "checked", options.checked, options.threads)


def gta5(root: Path) -> PublishedSettings:
    """Return the entry of a dataset in GTA5's folders."""
    return PublishedSettings(layout="gta5", root=str(root))


def measure_listing(root: Path, number: int) -> None:
    """Print how long the manifest of `number` small pairs takes."""
    write_image(root / "images" / "first.png", np.zeros((4, 6, 3), np.uint8))
    write_label(root / "labels" / "first.png", np.full((4, 6), 7, np.uint8), [])
    link(root, number)
    started = time.perf_counter()
    items = find_dataset("listed", gta5(root), labelled=True).items
    listed = time.perf_counter() - started
    write_manifest(root / "manifest.tsv", items)
    started = time.perf_counter()
    read_manifest(root / "manifest.tsv")
    print(f"{number} labelled images: listed in {listed:.1f} s, manifest read in", end=" ")
    print(f"{time.perf_counter() - started:.2f} s")


def measure_checking(root: Path, number: int, threads: int) -> None:
    """Print how long a full check of `number` pairs takes, and bare decoding of the same files."""
    print("rendering …", flush=True)
    ((image, label),) = render_scenes(root / "scenes", "game", 1, *GTA5_SIZE, seed=1, processes=1)
    write_image(root / "images" / "first.png", read_image(image))
    lookup = np.zeros(256, np.uint8)
    lookup[: len(LABEL_IDS)] = LABEL_IDS
    write_label(root / "labels" / "first.png", lookup[read_label(label)], [(1, 2, 3)])
    link(root, number)
    items = find_dataset("checked", gta5(root), labelled=True).items
    table = dataset_class_table("checked", gta5(root))

    def decode(index: int) -> None:
        item = items[index]
        read_image(item.image)
        assert item.label is not None
        read_label(item.label)

    started = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(decode, range(number)))
    decoded = time.perf_counter() - started
    started = time.perf_counter()
    with Progress(number, "images", "checking") as progress:
        check_items(items, table, label_space("cityscapes19"), {}, threads, progress)
    checked = time.perf_counter() - started
    print(
        f"{number} pairs of {GTA5_SIZE[0]}×{GTA5_SIZE[1]}, {threads} threads: decoded in {decoded:.1f} s,",
        end=" ",
    )
    print(f"checked in {checked:.1f} s, {checked / decoded:.2f} times that; 3000 would take", end=" ")
    print(f"{3000 * checked / number:.0f} s")


def link(root: Path, number: int) -> None:
    """Give the first image and label of a tree `number` names, as GTA5 numbers its files."""
    for folder in ("images", "labels"):
        for index in range(number):
            os.link(root / folder / "first.png", root / folder / f"{index:05d}.png")
        (root / folder / "first.png").unlink()


if __name__ == "__main__":
    main()
