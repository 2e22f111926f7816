"""From an image and its label to a training crop.

The published order is: resize the whole frame, scale it to a random size, crop, flip. Here the window of
the original frame that becomes the crop is found first and only that window is resized, which gives the
same crops for a fraction of the work.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from cotrain.configuration.crop_sizes import limit_of_crops, scaled_size
from cotrain.configuration.sections import Augmentation, Cutout
from cotrain.data.label_spaces import IGNORE
from cotrain.errors import InputError

Image = NDArray[np.uint8]

# About the mean colour of photographs, which networks are trained to see as zero.
PADDING_RGB = (124, 116, 104)
# A crop dominated by one class is redrawn at most this often (as in Detectron2).
CROP_TRIES = 10


@dataclass(frozen=True)
class Window:
    """A crop before it is cut: the frame is thought scaled to `scaled`, the crop begins at (top, left)."""

    scaled: tuple[int, int]
    top: int
    left: int
    size: tuple[int, int]


def draw_scaled_size(
    height: int, width: int, augmentation: Augmentation, rng: np.random.Generator
) -> tuple[int, int]:
    """Return the (height, width) that the frame is scaled to before cropping."""
    short_side = float(rng.choice(augmentation.short_sides)) if augmentation.short_sides else None
    return scaled_size((height, width), augmentation.resize, short_side, augmentation.max_long_side)


def check_crop(
    crop: tuple[int, int],
    sizes: Iterable[tuple[int, int]],
    augmentation: Augmentation,
    part: str,
    origin: str,
) -> None:
    """Raise InputError if the crop is larger than any image, however it is scaled: all would be padded.

    Args:
        crop: (height, width) of the crop.
        sizes: (height, width) of each image.
        augmentation: scales the images.
        part: "source" or "target", for the message.
        origin: where the images are listed, for the message.
    """
    keys = augmentation.resize, augmentation.short_sides, augmentation.max_long_side
    limit = limit_of_crops(crop, sizes, *keys)
    if limit:
        raise InputError(
            f"training.crop: {crop[1]}×{crop[0]} pixels are more than any image of {origin} has: at most "
            f"{limit[1]}×{limit[0]} after training.{part}_augmentation; expected a smaller crop, or larger "
            f"short_sides in training.{part}_augmentation"
        )


def draw_window(
    scaled: tuple[int, int],
    crop: tuple[int, int],
    vertical_range: tuple[float, float] | None,
    rng: np.random.Generator,
) -> Window:
    """Return a crop window, uniform over all positions that `vertical_range` allows; None allows all."""
    height, width = min(crop[0], scaled[0]), min(crop[1], scaled[1])
    first, last = 0, scaled[0] - height
    if vertical_range:
        upper, lower = vertical_range
        first = min(int(scaled[0] * upper), last)
        last = max(first, min(int(scaled[0] * lower) - height, last))
    top = int(rng.integers(first, last + 1))
    left = int(rng.integers(0, scaled[1] - width + 1))
    return Window(scaled, top, left, (height, width))


def cut_label(label: Image, window: Window) -> Image:
    """Return the window of a label (H, W), resized by nearest neighbour."""
    rows = (np.arange(window.top, window.top + window.size[0]) + 0.5) * (label.shape[0] / window.scaled[0])
    columns = (np.arange(window.left, window.left + window.size[1]) + 0.5) * (
        label.shape[1] / window.scaled[1]
    )
    # One axis after the other takes a fifth of the time of both at once.
    return label.take(rows.astype(np.intp), axis=0).take(columns.astype(np.intp), axis=1)


def cut_image(image: Image, window: Window) -> Image:
    """Return the window of an image (H, W, 3), resized bilinearly, or by area where it shrinks."""
    height, width = image.shape[:2]
    step_y, step_x = height / window.scaled[0], width / window.scaled[1]
    if step_y == step_x == 1:
        return image[
            window.top : window.top + window.size[0], window.left : window.left + window.size[1]
        ].copy()
    if step_y > 1 or step_x > 1:
        top, left = int(window.top * step_y), int(window.left * step_x)
        bottom = min(height, max(top + 1, round((window.top + window.size[0]) * step_y)))
        right = min(width, max(left + 1, round((window.left + window.size[1]) * step_x)))
        part = image[top:bottom, left:right]
        return cv2.resize(part, window.size[::-1], interpolation=cv2.INTER_AREA)  # type: ignore[return-value]
    to_source = np.array(
        [
            [step_x, 0, (window.left + 0.5) * step_x - 0.5],
            [0, step_y, (window.top + 0.5) * step_y - 0.5],
        ]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(  # type: ignore[return-value]
        image, to_source, window.size[::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE
    )


def augment(
    image: Image,
    label: Image,
    augmentation: Augmentation,
    crop: tuple[int, int],
    rng: np.random.Generator,
) -> tuple[Image, Image]:
    """Return one training crop, of exactly `crop` (height, width), and its label.

    Args:
        image: (H, W, 3) uint8 RGB.
        label: (H, W) uint8 train ids.
        augmentation: what to do.
        crop: (height, width) of the crop.
        rng: the generator of this (seed, iteration, slot).

    A frame smaller than the crop is padded at the right and bottom, the label with 255: every crop of a
    batch has one size, so that any two can be mixed (the published code crashed there).
    """
    scaled = draw_scaled_size(label.shape[0], label.shape[1], augmentation, rng)
    for _try in range(CROP_TRIES):
        window = draw_window(scaled, crop, augmentation.vertical_range, rng)
        cut = cut_label(label, window)
        if augmentation.max_class_share >= 1 or _is_varied(cut, augmentation.max_class_share):
            break
    image, label = cut_image(image, window), cut
    if rng.random() < augmentation.horizontal_flip:
        image, label = image[:, ::-1], label[:, ::-1]
    if rng.random() < augmentation.vertical_flip:
        image, label = image[::-1], label[::-1]
    if augmentation.colour_jitter:
        image = jitter_colours(image, augmentation.colour_jitter, rng)
    if rng.random() < augmentation.blur:
        image = cv2.GaussianBlur(np.ascontiguousarray(image), (0, 0), rng.uniform(0.3, 1.5))  # type: ignore[assignment]
    image = cut_out(image, augmentation.cutout, rng)
    return _padded(image, label, crop)


def _is_varied(label: Image, max_share: float) -> bool:
    counts = np.bincount(label.ravel(), minlength=IGNORE + 1)[:IGNORE]
    return bool(np.count_nonzero(counts) > 1 and counts.max() < max_share * counts.sum())


def jitter_colours(image: Image, strength: float, rng: np.random.Generator) -> Image:
    """Change brightness, contrast, saturation and colour balance, each by up to the share `strength`."""
    brightness, contrast, saturation = rng.uniform(1 - strength, 1 + strength, 3)
    balance = rng.uniform(1 - strength / 4, 1 + strength / 4, 3)
    grey = image @ np.array([0.299, 0.587, 0.114], np.float32)
    changed = image * np.float32(saturation) + grey[..., None] * np.float32(1 - saturation)
    changed = (changed - grey.mean()) * np.float32(contrast) + grey.mean()
    changed *= (brightness * balance).astype(np.float32)
    return np.clip(np.rint(changed), 0, 255).astype(np.uint8)


def cut_out(image: Image, cutout: Cutout, rng: np.random.Generator) -> Image:
    """Return the image with black rectangles at random places; labels stay, as published."""
    fewest, most = cutout.holes
    if most == 0:
        return image
    image = image.copy()
    height, width = image.shape[:2]
    for _ in range(int(rng.integers(fewest, most + 1))):
        tall, wide = rng.integers(cutout.size_px[0], cutout.size_px[1] + 1, 2)
        top, left = int(rng.integers(height) - tall // 2), int(rng.integers(width) - wide // 2)
        image[max(0, top) : top + tall, max(0, left) : left + wide] = 0
    return image


def _padded(image: Image, label: Image, size: tuple[int, int]) -> tuple[Image, Image]:
    if label.shape == size:
        return image, label
    padded_image = np.full((*size, 3), PADDING_RGB, np.uint8)
    padded_label = np.full(size, IGNORE, np.uint8)
    padded_image[: image.shape[0], : image.shape[1]] = image
    padded_label[: label.shape[0], : label.shape[1]] = label
    return padded_image, padded_label
