"""What the benchmarks of training read: frames as large files."""

import argparse
from pathlib import Path

import cv2
import numpy as np

from cotrain.data.images import read_image, read_label, write_label
from cotrain.data.label_spaces import IGNORE
from cotrain.data.manifests import Item


def add_scenes_argument(parser: argparse.ArgumentParser) -> None:
    """Add the folder that frames are made of where no renderer is."""
    parser.add_argument(
        "--scenes", type=Path, help="folder with images/ and labels/ to make frames of (default: render them)"
    )


def frames(
    folder: Path, number: int, size: tuple[int, int], classes: int = 19, scenes: Path | None = None
) -> list[Item]:
    """Put frames of `size` (width, height) into `folder`: images as PNG, labels of so many classes.

    They are rendered, or made from the pairs in `scenes`/images and `scenes`/labels, one after the other. Of
    fewer than 19 classes the labels mean nothing, which makes no difference to how long they take.
    """
    if scenes is None:
        # It needs a renderer, which not every machine has.
        from streets.generate import render_scenes

        pairs = render_scenes(folder, "game", number, *size, seed=1, processes=2)
    else:
        images = sorted((scenes / "images").iterdir())
        pairs = [(image, scenes / "labels" / f"{image.stem}.png") for image in images]
        (folder / "images").mkdir(parents=True)
    items = []
    for index in range(number):
        image, label = pairs[index % len(pairs)]
        stored = folder / "images" / f"{index:05d}.png"
        pixels = cv2.resize(read_image(image), size, interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(stored), cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
        ids = cv2.resize(read_label(label), size, interpolation=cv2.INTER_NEAREST)
        own_label = folder / "labels" / stored.name
        write_label(own_label, np.where(ids == IGNORE, IGNORE, ids % classes).astype(np.uint8), [])
        items.append(Item(str(index), stored, *size, own_label))
    return items
