"""Training crops against the published formulation, other libraries and bare decoding; rare-class draws.

Frames of 2048×1024 pixels are stored as PNG, and decoded as `training.decoded_cache` keeps them. Prints
milliseconds a crop on one core, all from the same draws in one run; then how many crops a second several
threads make:

    python -m benchmarks.input_pipeline [--images 8] [--threads 1 2]

Albumentations is measured if it is installed; nothing else needs it.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from benchmarks.frames import add_scenes_argument, frames
from benchmarks.timing import seconds
from cotrain.adaptation.sampling import RareClassSampler
from cotrain.configuration.sections import Augmentation
from cotrain.data.decoded import decode, map_image
from cotrain.data.images import read_image, read_label
from cotrain.randomness import generator
from cotrain.training.augmentation import Window, augment, draw_scaled_size, draw_window

SIZE = (2048, 1024)
# As published for frames of this size: the short side is drawn from these, a crop is cut and mirrored.
PUBLISHED = Augmentation(short_sides=(512, 768, 1024, 1280, 1536, 1792, 2048))
CROP = (512, 1024)
CROPS_OF_AN_IMAGE = 3
CROPS_OF_A_THREAD = 12


def draws_of(
    size: tuple[int, int], augmentation: Augmentation, crop: tuple[int, int], rng: np.random.Generator
) -> tuple[Window, bool]:
    """Return the window and whether it is mirrored, as `augment` draws them; `size` is (height, width)."""
    scaled = draw_scaled_size(*size, augmentation, rng)
    window = draw_window(scaled, crop, augmentation.vertical_range, rng)
    return window, bool(rng.random() < augmentation.horizontal_flip)


def resize_then_crop(
    image: np.ndarray, label: np.ndarray, window: Window, is_mirrored: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return a crop as the published code makes it: the whole frame is scaled, then cut."""
    rows = slice(window.top, window.top + window.size[0])
    columns = slice(window.left, window.left + window.size[1])
    size = window.scaled[::-1]
    large = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))
    large_label = np.asarray(Image.fromarray(label).resize(size, Image.Resampling.NEAREST))
    image, label = large[rows, columns], large_label[rows, columns]
    if is_mirrored:
        image, label = image[:, ::-1], label[:, ::-1]
    return np.ascontiguousarray(image), np.ascontiguousarray(label)


Pair = tuple[torch.Tensor, torch.Tensor]


def of_torchvision(image: np.ndarray, label: np.ndarray, window: Window, is_mirrored: bool) -> Pair:
    """Return the crop as torchvision's transforms v2 make it: the whole frame is scaled, then cut."""

    def cut(tensor: torch.Tensor, mode: InterpolationMode) -> torch.Tensor:
        large = functional.resize(tensor, list(window.scaled), mode, antialias=True)
        return functional.crop(large, window.top, window.left, *window.size)

    return _pair(image, label, cut, is_mirrored)


def of_torchvision_resized_crop(
    image: np.ndarray, label: np.ndarray, window: Window, is_mirrored: bool
) -> Pair:
    """Return the crop by torchvision's `resized_crop`, which cuts whole pixels first and then scales."""
    height, width = (side / scaled for side, scaled in zip(image.shape[:2], window.scaled, strict=True))
    box = round(window.top * height), round(window.left * width)
    size = round(window.size[0] * height), round(window.size[1] * width)

    def cut(tensor: torch.Tensor, mode: InterpolationMode) -> torch.Tensor:
        return functional.resized_crop(tensor, *box, *size, list(window.size), mode, antialias=True)

    return _pair(image, label, cut, is_mirrored)


def _pair(
    image: np.ndarray,
    label: np.ndarray,
    cut: Callable[[torch.Tensor, InterpolationMode], torch.Tensor],
    is_mirrored: bool,
) -> Pair:
    """Return image and label after `cut`, perhaps mirrored, each channels last."""
    image_tensor, label_tensor = (
        cut(torch.from_numpy(array).permute(2, 0, 1), mode)
        for array, mode in (
            (image, InterpolationMode.BILINEAR),
            (label[..., None], InterpolationMode.NEAREST),
        )
    )
    if is_mirrored:
        image_tensor, label_tensor = map(functional.horizontal_flip, (image_tensor, label_tensor))
    return image_tensor.permute(1, 2, 0).contiguous(), label_tensor[0].contiguous()


def of_albumentations(
    image: np.ndarray, label: np.ndarray, window: Window, is_mirrored: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return the crop as Albumentations makes it: the whole frame is scaled, without averaging, then cut."""
    import albumentations

    height, width = window.size
    steps = [
        albumentations.Resize(*window.scaled, p=1),
        albumentations.Crop(window.left, window.top, window.left + width, window.top + height, p=1),
        albumentations.HorizontalFlip(p=float(is_mirrored)),
    ]
    made = {"image": image, "mask": label}
    for step in steps:
        made = step(**made)
    return np.ascontiguousarray(made["image"]), np.ascontiguousarray(made["mask"])


def crops_a_second(crop: Callable[[int], object], threads: int) -> float:
    """Return how many crops so many threads make a second."""
    number = CROPS_OF_A_THREAD * threads
    with ThreadPoolExecutor(threads) as pool:
        # The first ones start the threads.
        list(pool.map(crop, range(threads)))
        started = time.perf_counter()
        list(pool.map(crop, range(number)))
        return number / (time.perf_counter() - started)


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=8, help="frames measured (default 8)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="(default 1 2)")
    add_scenes_argument(parser)
    options = parser.parse_args(arguments)
    number = options.images
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print("making the frames …", flush=True)
        items = frames(folder, number, SIZE, scenes=options.scenes)
        cached = [decode(item, folder / "decoded") for item in items]

        def decoded(index: int) -> tuple[np.ndarray, np.ndarray]:
            item = items[index % number]
            assert item.label is not None
            return read_image(item.image), read_label(item.label)

        def from_cache(index: int) -> tuple[np.ndarray, np.ndarray]:
            item = items[index % number]
            assert item.label is not None
            return map_image(cached[index % number], item), read_label(item.label)

        images = [decoded(index) for index in range(number)]
        rounds = CROPS_OF_AN_IMAGE * number
        decoding = seconds(decoded, rounds)
        ours = seconds(lambda i: augment(*images[i % number], PUBLISHED, CROP, generator(i)), rounds)

        def of(make: Callable[..., object]) -> float:
            """Return the seconds that another formulation takes for the crops that are drawn here."""

            def work(index: int) -> object:
                image, label = images[index % number]
                return make(image, label, *draws_of(label.shape, PUBLISHED, CROP, generator(index)))

            return seconds(work, rounds)

        published = of(resize_then_crop)
        others = {
            "torchvision v2, resize and crop": of(of_torchvision),
            "torchvision v2, resized_crop": of(of_torchvision_resized_crop),
        }
        if find_spec("albumentations"):
            others["Albumentations, resize and crop"] = of(of_albumentations)
        whole = seconds(lambda i: augment(*decoded(i), PUBLISHED, CROP, generator(i)), rounds)
        mapped = seconds(lambda i: augment(*from_cache(i), PUBLISHED, CROP, generator(i)), rounds)
        makers = {
            "PNG": lambda i: augment(*decoded(i), PUBLISHED, CROP, generator(i)),
            "decoded": lambda i: augment(*from_cache(i), PUBLISHED, CROP, generator(i)),
        }
        rates = {
            (name, threads): crops_a_second(make, threads)
            for threads in options.threads
            for name, make in makers.items()
        }
    shown = {
        "decoding image and label": (decoding, ""),
        "window first (ours)": (ours, ""),
        "resize, then crop (published)": (published, f"{published / ours:.1f} times ours"),
        **{name: (taken, f"{taken / ours:.1f} times ours") for name, taken in others.items()},
        "decoding and window first": (whole, f"{100 * ours / decoding:.0f} % over decoding"),
        "decoding and resize, then crop": (decoding + published, ""),
        "cached image and window first": (mapped, f"{whole / mapped:.1f} times as fast as decoding it"),
    }
    for what, (taken, note) in shown.items():
        print(f"{what:<34}{1000 * taken:7.1f} ms   {note}".rstrip())
    for (name, threads), rate in rates.items():
        print(f"{f'from {name}, {threads} threads':<34}{rate:7.1f} crops a second")

    counts = np.random.default_rng(0).integers(0, 60_000, (25_000, 19))
    started = time.perf_counter()
    sampler = RareClassSampler(counts, 3000, 0.01, seed=100)
    drawn = [sampler.index(position) for position in range(240_000)]
    print(f"rare-class list, {len(counts)} images, {len(drawn)} draws: {time.perf_counter() - started:.2f} s")


if __name__ == "__main__":
    main()
