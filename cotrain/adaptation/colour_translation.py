"""Colour translation of source images towards the target: mean and spread of CIE L*a*b*.

This is the first step of the published method (Gómez, Villalonga, López, Sensors 2023, 23(2), 621). It is
applied once to every source image: each L*a*b* channel is shifted and scaled so that its mean and standard
deviation become those of a target image.

OpenCV's conversion is not used: it differs from the exact formulas by up to half a unit of L*a*b*, which
large scale factors turn into differences of dozens of grey levels.
"""

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from cotrain.errors import InputError
from cotrain.randomness import generator

# sRGB primaries and the D65 white of the 2° observer. The matrix already divides XYZ by the white.
WHITE = np.array([0.95047, 1.0, 1.08883])
RGB_TO_XYZ = (
    np.array([[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]])
    / WHITE[:, None]
)
XYZ_TO_RGB = np.linalg.inv(RGB_TO_XYZ)

# CIE's f: the cube root, and a straight line for dark colours.
LINE_BELOW_XYZ, LINE_BELOW_F = 0.008856, 0.2068966
LINE_SLOPE, LINE_OFFSET = 7.787, 16 / 116

# L*a*b* is an affine map of f(X), f(Y), f(Z): matrix and offset.
F_TO_LAB = np.array([[0.0, 116.0, 0.0], [500.0, -500.0, 0.0], [0.0, 200.0, -200.0]])
LAB_OFFSET = np.array([-16.0, 0.0, 0.0])
LAB_TO_F = np.linalg.inv(F_TO_LAB)

# A channel whose spread is below this is constant: the formulas give a grey image a spread of about 0.001 in
# a* and b*, while a difference of a single grey level gives about 0.3.
CONSTANT_BELOW = 0.01

# Images are converted strip by strip, because a strip stays in the processor's cache, which is twice as fast.
PIXELS_IN_STRIP = 32768


def _linear_light() -> NDArray[np.float32]:
    encoded = np.arange(256) / 255
    return np.where(encoded > 0.04045, ((encoded + 0.055) / 1.055) ** 2.4, encoded / 12.92).astype(np.float32)


def _grey_levels() -> NDArray[np.uint8]:
    linear = np.arange(65536) / 65535
    encoded = np.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear)
    return np.rint(encoded * 255).astype(np.uint8)


# Grey level -> linear light, and linear light in 16 bit -> grey level (with an error of at most 0.05 levels).
LINEAR_LIGHT = _linear_light()
GREY_LEVELS = _grey_levels()


def lab_statistics(rgb: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and population standard deviation of L*, a* and b* over all pixels, each float64 (3,).

    `rgb` is uint8 (H, W, 3) sRGB; L* lies in [0, 100], a* and b* roughly in [-110, 110].
    """
    return _statistics(_rgb_to_lab(rgb))


def translate(
    rgb: NDArray[np.uint8], mean: NDArray[np.float64], std: NDArray[np.float64]
) -> NDArray[np.uint8]:
    """Return the image with its L*a*b* statistics moved to `mean` and `std`, each float64 (3,).

    `rgb` and the result are uint8 (H, W, 3) sRGB; colours outside sRGB are clipped. Except for clipping and
    rounding, the result has exactly these statistics. A channel that is constant in `rgb` is shifted and not
    scaled; the published code divides by zero there.
    """
    lab = _rgb_to_lab(rgb)
    source_mean, source_std = _statistics(lab)
    constant = source_std < CONSTANT_BELOW
    scale = np.where(constant, 1.0, std / np.where(constant, 1.0, source_std))
    # Scaling, shifting and the way back from L*a*b* to f are one affine map.
    matrix = LAB_TO_F * scale
    offset = LAB_TO_F @ (mean - scale * source_mean - LAB_OFFSET)
    translated = np.empty_like(rgb)
    for strip in _strips(rgb):
        translated[strip] = _f_to_rgb(_affine(lab[strip], matrix, offset))
    return translated


def choose_target_images(
    number_of_sources: int, number_of_targets: int, seed: int, per_image: int = 1
) -> NDArray[np.int64]:
    """Return int64 (S, per_image): the target images, in [0, T), whose colours each source image gets.

    They are drawn uniformly, without repetition within a row. A row depends only on (seed, row, T), so source
    images added at the end do not change the rows of the others; the published code uses no seed. Raises
    InputError if the target has fewer than `per_image` images.
    """
    if number_of_targets < per_image:
        raise InputError(
            f"translation.targets_per_image: found {per_image}, but the target has only {number_of_targets} "
            "images; lower it or add target images"
        )
    targets = np.empty((number_of_sources, per_image), dtype=np.int64)
    for row in range(number_of_sources):
        rng = generator(seed, "colour translation", row)
        targets[row] = rng.choice(number_of_targets, size=per_image, replace=False)
    return targets


def _statistics(lab: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    mean, std = cv2.meanStdDev(lab)
    return np.array(mean[:, 0], dtype=np.float64), np.array(std[:, 0], dtype=np.float64)


def _affine(
    pixels: NDArray[np.float32], matrix: NDArray[np.float64], offset: NDArray[np.float64] | None = None
) -> NDArray[np.float32]:
    """Return matrix · pixel + offset for every pixel of (H, W, 3)."""
    columns = matrix if offset is None else np.column_stack((matrix, offset))
    return np.asarray(cv2.transform(pixels, columns), dtype=np.float32)


def _strips(rgb: NDArray[np.uint8]) -> Iterator[slice]:
    rows = max(1, PIXELS_IN_STRIP // rgb.shape[1])
    for top in range(0, len(rgb), rows):
        yield slice(top, top + rows)


def _rgb_to_lab(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    lab = np.empty(rgb.shape, np.float32)
    for strip in _strips(rgb):
        lab[strip] = _strip_to_lab(rgb[strip])
    return lab


def _strip_to_lab(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    xyz = _affine(np.asarray(cv2.LUT(rgb, LINEAR_LIGHT), dtype=np.float32), RGB_TO_XYZ)
    f = np.asarray(cv2.pow(xyz, 1 / 3), dtype=np.float32)
    line = xyz * np.float32(LINE_SLOPE)
    line += np.float32(LINE_OFFSET)
    np.copyto(f, line, where=xyz <= np.float32(LINE_BELOW_XYZ))
    return _affine(f, F_TO_LAB, LAB_OFFSET)


def _f_to_rgb(f: NDArray[np.float32]) -> NDArray[np.uint8]:
    # As in scikit-image, which the published code uses: f(Z) is clipped at zero, f(X) and f(Y) are not.
    np.maximum(f[..., 2], 0, out=f[..., 2])
    xyz = f * f
    xyz *= f
    line = f - np.float32(LINE_OFFSET)
    line /= np.float32(LINE_SLOPE)
    np.copyto(xyz, line, where=f <= np.float32(LINE_BELOW_F))
    linear = _affine(xyz, XYZ_TO_RGB)
    np.clip(linear, 0, 1, out=linear)
    linear *= np.float32(65535)
    linear += np.float32(0.5)
    return np.take(GREY_LEVELS, linear.astype(np.uint16))
