"""Small tools for drawing textures: smooth noise, shaded fields, colour variation, mock writing."""

from collections.abc import Sequence
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

Random = np.random.Generator
Rgb = tuple[float, float, float]
Item = TypeVar("Item")


def pick(rng: Random, options: Sequence[Item]) -> Item:
    """Return one of `options`, all equally likely."""
    return options[int(rng.integers(len(options)))]


def chosen(rng: Random, weights: dict[str, float]) -> str:
    """Return one of the keys of `weights`, with a probability in proportion to its weight."""
    names = list(weights)
    shares = np.array([weights[name] for name in names])
    return names[int(rng.choice(len(names), p=shares / shares.sum()))]


def varied(rng: Random, colour: Sequence[float], amount: float) -> Rgb:
    """Return `colour` made lighter or darker and slightly off in hue, each by up to `amount`, within 0..1."""
    shift = rng.uniform(-amount, amount) + rng.uniform(-amount, amount, 3) * 0.35
    red, green, blue = np.clip(np.asarray(colour) + shift, 0.02, 1.0)
    return (float(red), float(green), float(blue))


def noise(rng: Random, height: int, width: int, cells: Sequence[int]) -> NDArray[np.float32]:
    """Return tileable noise (H, W) with mean 0 and about ±0.5, as the average of one octave per cell size (px)."""
    total = np.zeros((height, width), np.float32)
    for cell in cells:
        rows, columns = max(2, height // cell), max(2, width // cell)
        octave = rng.random((rows, columns), dtype=np.float32)
        if cell > 1:
            octave = cv2.resize(
                np.pad(octave, 2, mode="wrap"), None, fx=cell, fy=cell, interpolation=cv2.INTER_CUBIC
            )
            octave = octave[2 * cell : 2 * cell + height, 2 * cell : 2 * cell + width]
            octave = cv2.resize(octave, (width, height)) if octave.shape != (height, width) else octave
        total += octave - 0.5
    return total / len(cells)


def shaded(
    colour: Sequence[float], relative: NDArray[np.floating], height: int, width: int
) -> NDArray[np.float64]:
    """Return a float64 (H, W, 3) field of `colour` times (1 + relative)."""
    return np.asarray(colour, np.float64) * (1 + relative.reshape(height, width, 1))


def to_pixels(picture: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Return a picture of 0..1 as uint8."""
    return np.clip(picture * 255, 0, 255).astype(np.uint8)


def writing(
    rng: Random, picture: NDArray[np.float64], corner: tuple[int, int], width: int, height: int, ink: Rgb
) -> None:
    """Draw a line of letters in `ink` with its top left at `corner` (x, y)."""
    letters = "".join(
        chr(65 + int(code)) for code in rng.integers(0, 26, max(2, round(width / height / 0.9)))
    )
    scale = height / 22
    place = (corner[0], corner[1] + height)
    cv2.putText(
        picture, letters, place, cv2.FONT_HERSHEY_DUPLEX, scale, ink, max(1, round(height / 9)), cv2.LINE_AA
    )
