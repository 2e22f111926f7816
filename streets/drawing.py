"""Small tools for drawing: random choices, smooth noise, shaded fields, varied colours, mock writing."""

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


def weighted_pick(rng: Random, weights: dict[str, float]) -> str:
    """Return one of the keys of `weights`; its probability is proportional to its weight."""
    names = list(weights)
    shares = np.array([weights[name] for name in names])
    return names[int(rng.choice(len(names), p=shares / shares.sum()))]


def varied(rng: Random, colour: Sequence[float], amount: float) -> Rgb:
    """Return `colour` with its brightness varied by up to `amount` and its hue slightly, within 0..1."""
    shift = rng.uniform(-amount, amount) + rng.uniform(-amount, amount, 3) * 0.35
    red, green, blue = np.clip(np.asarray(colour) + shift, 0.02, 1.0)
    return (float(red), float(green), float(blue))


def noise(rng: Random, height: int, width: int, cells: Sequence[int]) -> NDArray[np.float32]:
    """Return tileable noise (H, W) of mean 0, about ±0.5: the mean of one octave per cell size in pixels."""
    total: NDArray[np.float32] = np.zeros((height, width), np.float32)
    for cell in cells:
        rows, columns = max(2, height // cell), max(2, width // cell)
        grid = rng.random((rows, columns), dtype=np.float32)
        if cell > 1:
            # Two cells from the opposite side around the grid make the seams match.
            wrapped = np.pad(grid, 2, mode="wrap")
            large = cv2.resize(wrapped, None, fx=cell, fy=cell, interpolation=cv2.INTER_CUBIC)
            large = large[2 * cell : (2 + rows) * cell, 2 * cell : (2 + columns) * cell]
            grid = np.asarray(cv2.resize(large, (width, height)), np.float32)
        total += grid - np.float32(0.5)
    return np.asarray(total / len(cells), np.float32)


def shaded(
    colour: Sequence[float], relative: NDArray[np.floating], height: int, width: int
) -> NDArray[np.float64]:
    """Return a float64 (H, W, 3) field: `colour` times (1 + relative)."""
    return np.asarray(colour, np.float64) * (1 + relative.reshape(height, width, 1))


def to_pixels(picture: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Return a picture with values in 0..1 as uint8."""
    return np.clip(picture * 255, 0, 255).astype(np.uint8)


def letters(
    picture: NDArray[np.floating], text: str, place: tuple[int, int], scale: float, ink: Rgb, thickness: int
) -> None:
    """Draw `text` in `ink`; `place` is the left end (x, y) of its base line."""
    # OpenCV 5 writes only on 8-bit pictures.
    mask = np.zeros(picture.shape[:2], np.uint8)
    cv2.putText(mask, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, 255, thickness, cv2.LINE_AA)
    share = mask[..., None] / 255
    picture[:] = picture * (1 - share) + np.asarray(ink) * share


def writing(
    rng: Random, picture: NDArray[np.float64], corner: tuple[int, int], width: int, height: int, ink: Rgb
) -> None:
    """Draw a line of random letters in `ink`, with its top left at `corner` (x, y)."""
    text = "".join(chr(65 + int(code)) for code in rng.integers(0, 26, max(2, round(width / height / 0.9))))
    letters(picture, text, (corner[0], corner[1] + height), height / 22, ink, max(1, round(height / 9)))
