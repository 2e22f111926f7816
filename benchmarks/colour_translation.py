"""Colour translation against the formulation of the published code, and against bare decoding and encoding.

Prints milliseconds an image and ratios, all measured in one run on one core. The source are images of a
game, rendered here in GTA5's size, the target those of a camera:

    python -m benchmarks.colour_translation [--images 6]
"""

import argparse
import tempfile
from pathlib import Path

import cv2
import numpy as np
import skimage.color
import skimage.util

from benchmarks.timing import seconds
from cotrain.adaptation.colour_translation import lab_statistics, translate
from cotrain.data.images import read_image, write_image
from streets.generate import render_scenes

SOURCE_SIZE, TARGET_SIZE = (1914, 1052), (2048, 1024)


def published(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Translate as the published code does: everything in float64, the target's statistics each time."""
    lab, target_lab = skimage.color.rgb2lab(source), skimage.color.rgb2lab(target)
    mean, std = lab.mean((0, 1)), lab.std((0, 1))
    moved = (lab - mean) / std * target_lab.std((0, 1)) + target_lab.mean((0, 1))
    return skimage.util.img_as_ubyte(skimage.color.lab2rgb(moved))


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=6, help="images measured (default 6)")
    number = parser.parse_args(arguments).images
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print("rendering the images …", flush=True)
        sources, targets = (
            pictures(folder, "game", SOURCE_SIZE, number),
            pictures(folder, "camera", TARGET_SIZE, 2),
        )
        statistics = [lab_statistics(read_image(path)) for path in targets]

        def image(index: int) -> np.ndarray:
            return read_image(sources[index % number])

        loaded = [image(index) for index in range(number)]
        target = read_image(targets[0])
        decode_and_encode = seconds(lambda i: write_image(folder / "copy.png", image(i)), number)
        whole = seconds(
            lambda i: write_image(folder / "ours.png", translate(image(i), *statistics[i % 2])), number
        )
        ours = seconds(lambda i: translate(loaded[i % number], *statistics[0]), number)
        theirs = seconds(lambda i: published(loaded[i % number], target), max(2, number // 3))
        difference = np.abs(
            translate(loaded[0], *lab_statistics(target)).astype(int) - published(loaded[0], target)
        )
    print(f"{number} images of {SOURCE_SIZE[0]}×{SOURCE_SIZE[1]}, one core, median milliseconds an image")
    print(f"  translation, published formulation   {1000 * theirs:8.0f}")
    print(f"  translation, ours                    {1000 * ours:8.0f}   {theirs / ours:.1f} times faster")
    print(f"  decode + encode of the same files    {1000 * decode_and_encode:8.0f}")
    print(
        f"  decode + translate + encode          {1000 * whole:8.0f}   "
        f"{whole / decode_and_encode:.2f} times that"
    )
    print(f"  within one grey level                {100 * (difference <= 1).mean():8.3f} % of values")


def pictures(folder: Path, look: str, size: tuple[int, int], number: int) -> list[Path]:
    """Render `number` images of a look and return the paths of PNG copies, as GTA5 has them."""
    paths = []
    for image, _ in render_scenes(folder / look, look, number, *size, seed=1, processes=1):
        paths.append(folder / f"{look}_{image.stem}.png")
        write_image(paths[-1], read_image(image))
    return paths


if __name__ == "__main__":
    main()
