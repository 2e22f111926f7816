"""Training crops against the published formulation and against bare decoding; rare-class draws.

Frames of 2048×1024 pixels are rendered and stored as PNG, and decoded as `training.decoded_cache` keeps them.
Prints milliseconds a crop on one core, all measured in one run:

    python -m benchmarks.input_pipeline [--images 8]
"""

import argparse
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from benchmarks.frames import rendered_frames
from benchmarks.timing import seconds
from cotrain.adaptation.sampling import RareClassSampler
from cotrain.data.decoded import decode, map_image
from cotrain.data.images import read_image, read_label
from cotrain.randomness import generator
from cotrain.training.augmentation import Augmentation, augment, draw_scaled_size, draw_window

SIZE = (2048, 1024)
# As published for frames of this size: the short side is drawn from these, a crop is cut and mirrored.
PUBLISHED = Augmentation(short_sides=(512, 768, 1024, 1280, 1536, 1792, 2048))
CROP = (512, 1024)
CROPS_OF_AN_IMAGE = 3


def resize_then_crop(
    image: np.ndarray,
    label: np.ndarray,
    augmentation: Augmentation,
    crop: tuple[int, int],
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Return a crop as the published code makes it: the whole frame is scaled, then cut; drawn as ours."""
    scaled = draw_scaled_size(label.shape[0], label.shape[1], augmentation, rng)
    window = draw_window(scaled, crop, augmentation.vertical_range, rng)
    rows = slice(window.top, window.top + window.size[0])
    columns = slice(window.left, window.left + window.size[1])
    large = np.asarray(Image.fromarray(image).resize(scaled[::-1], Image.Resampling.BILINEAR))
    large_label = np.asarray(Image.fromarray(label).resize(scaled[::-1], Image.Resampling.NEAREST))
    image, label = large[rows, columns], large_label[rows, columns]
    if rng.random() < augmentation.horizontal_flip:
        image, label = image[:, ::-1], label[:, ::-1]
    return np.ascontiguousarray(image), np.ascontiguousarray(label)


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=8, help="frames measured (default 8)")
    number = parser.parse_args(arguments).images
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print("rendering the frames …", flush=True)
        items = rendered_frames(folder, number, SIZE)
        cached = [decode(item, folder / "decoded") for item in items]

        def decoded(index: int) -> tuple[np.ndarray, np.ndarray]:
            item = items[index % number]
            assert item.label is not None
            return read_image(item.image), read_label(item.label)

        def from_cache(index: int) -> tuple[np.ndarray, np.ndarray]:
            item = items[index % number]
            assert item.label is not None
            return map_image(cached[index % number], item), read_label(item.label)

        frames = [decoded(index) for index in range(number)]
        rounds = CROPS_OF_AN_IMAGE * number
        decoding = seconds(decoded, rounds)
        ours = seconds(lambda i: augment(*frames[i % number], PUBLISHED, CROP, generator(i)), rounds)
        published = seconds(
            lambda i: resize_then_crop(*frames[i % number], PUBLISHED, CROP, generator(i)), rounds
        )
        whole = seconds(lambda i: augment(*decoded(i), PUBLISHED, CROP, generator(i)), rounds)
        mapped = seconds(lambda i: augment(*from_cache(i), PUBLISHED, CROP, generator(i)), rounds)
    shown = {
        "decoding image and label": (decoding, ""),
        "window first (ours)": (ours, ""),
        "resize, then crop (published)": (published, f"{published / ours:.1f} times ours"),
        "decoding and window first": (whole, f"{100 * ours / decoding:.0f} % over decoding"),
        "decoding and resize, then crop": (decoding + published, ""),
        "cached image and window first": (mapped, f"{whole / mapped:.1f} times as fast as decoding it"),
    }
    for what, (taken, note) in shown.items():
        print(f"{what:<32}{1000 * taken:7.1f} ms   {note}".rstrip())

    counts = np.random.default_rng(0).integers(0, 60_000, (25_000, 19))
    started = time.perf_counter()
    sampler = RareClassSampler(counts, 3000, 0.01, seed=100)
    drawn = [sampler.index(position) for position in range(240_000)]
    print(f"rare-class list, {len(counts)} images, {len(drawn)} draws: {time.perf_counter() - started:.2f} s")


if __name__ == "__main__":
    main()
