"""From the drawn street to the image file: sky, haze, exposure, colour cast, lens, sensor, JPEG.

All functions work on float32 RGB (H, W, 3) in 0..1, display-referred.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from streets.drawing import Random, noise, varied
from streets.looks import CameraRanges, Look

Picture = NDArray[np.float32]


def sky_picture(rng: Random, kind: str, height: int, width: int) -> tuple[Picture, NDArray[np.float32]]:
    """Return a sky of `kind` "clear", "cloudy" or "white" and the colour (3,) of its horizon."""
    # Skies are smooth: half the resolution looks the same and takes a quarter of the time.
    full_size, height, width = (width, height), (height + 1) // 2, (width + 1) // 2
    horizon = np.asarray(varied(rng, (0.88, 0.90, 0.92), 0.05), np.float32)
    if kind == "clear":
        zenith = varied(rng, (0.36, 0.56, 0.84), 0.08)
    elif kind == "cloudy":
        zenith = varied(rng, (0.56, 0.63, 0.72), 0.12)
    else:
        zenith = varied(rng, (0.94, 0.95, 0.97), 0.05)
    share = np.linspace(0, 1, height, dtype=np.float32)[:, None, None] ** float(rng.uniform(0.8, 1.6))
    share = np.clip(share * 1.7, 0, 1)
    picture = np.asarray(zenith, np.float32) * (1 - share) + horizon * share
    picture = np.repeat(picture, width, axis=1)
    amount = {"clear": 0.35, "cloudy": 1.0, "white": 0.25}[kind] * float(rng.uniform(0.3, 1.0))
    cloud = np.zeros((height, width), np.float32)
    for cell, weight in ((48, 0.6), (24, 0.3), (10, 0.15)):
        # Perspective flattens clouds: they are wider than tall.
        field = noise(rng, 128, 128, (cell,))
        cloud += weight * cv2.resize(field, (width, height), interpolation=cv2.INTER_CUBIC)
    cover = np.clip(cloud * 5 + float(rng.uniform(-0.6, 0.4)), 0, 1)[..., None] * amount
    tone = np.asarray(varied(rng, (0.94, 0.94, 0.95), 0.05), np.float32)
    shade = 1 - 0.22 * np.clip(cloud * 3, 0, 1)[..., None] * (kind == "cloudy")
    clouded = (picture * (1 - cover) + tone * shade * cover).astype(np.float32)
    return np.asarray(cv2.resize(clouded, full_size, interpolation=cv2.INTER_LINEAR), np.float32), horizon


def compose(
    picture: NDArray[np.uint8],
    sky_mask: NDArray[np.bool_],
    transmitted: NDArray[np.uint8],
    sky: Picture,
    horizon: NDArray[np.float32],
    size: tuple[int, int],
) -> Picture:
    """Shrink the street to `size` (width, height) by area, put `sky` behind it and haze in front of it.

    `picture` uint8 (2H, 2W, 3) is black where `sky_mask` (2H, 2W) is true. `transmitted` uint8 (2H, 2W) is
    the light that passes the haze (255 = all), `sky` is float32 (H, W, 3), and `horizon` (3,) is the colour
    of the haze.
    """
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    sky_share = cv2.resize(sky_mask.astype(np.uint8) * 255, size, interpolation=cv2.INTER_AREA)
    small += sky * (sky_share.astype(np.float32)[..., None] / 255)
    clear = cv2.resize(transmitted, size, interpolation=cv2.INTER_AREA).astype(np.float32)[..., None] / 255
    return np.asarray(small * clear + horizon * (1 - clear), np.float32)


def photographed(rng: Random, picture: Picture, ranges: CameraRanges) -> Picture:
    """Return `picture` as a cheap camera behind a windscreen would take it."""
    height, width = picture.shape[:2]
    dark = rng.random() < ranges.dark_share
    exposure = float(rng.uniform(*ranges.exposure)) * (float(rng.uniform(0.4, 0.75)) if dark else 1.0)
    # Some dark photos are taken against a bright sky: the street is nearly black, the sky is not.
    contrast = float(rng.uniform(*ranges.contrast)) * (float(rng.uniform(1.0, 1.6)) if dark else 1.0)
    saturation = float(rng.uniform(*ranges.saturation))
    # White balance is wrong mainly between warm and cold, and little between green and magenta.
    warm, green = rng.uniform(-ranges.cast, ranges.cast, 2)
    cast = np.array([1 + warm, 1 + 0.25 * green, 1 - warm], np.float32)
    if dark:
        cast *= np.array([0.93, 1.0, 1.06], np.float32)
    # Contrast changes around a middle grey; highlights become white.
    photo = np.power(np.clip(picture, 0, 2), contrast) * np.float32(0.5 ** (1 - contrast) * exposure)
    grey = photo @ np.array([0.299, 0.587, 0.114], np.float32)
    photo = (grey[..., None] + (photo - grey[..., None]) * np.float32(saturation)) * cast
    # Light that lens and windscreen scatter brightens the dark parts around bright ones.
    glare = float(rng.uniform(*ranges.glare))
    small = cv2.resize(photo, (max(2, width // 8), max(2, height // 8)), interpolation=cv2.INTER_AREA)
    veil = cv2.resize(cv2.GaussianBlur(small, (0, 0), small.shape[1] / 16), (width, height))
    photo = photo * (1 - glare) + veil * glare
    blur = float(rng.uniform(*ranges.blur_px)) * width / 480
    photo = np.asarray(cv2.GaussianBlur(photo, (0, 0), blur), np.float32)
    across, along = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    corner = float(rng.uniform(*ranges.vignette))
    photo *= (1 - corner * 0.5 * (across**2 + along**2)).astype(np.float32)[..., None]
    strength = float(rng.uniform(*ranges.noise)) * (1.4 if dark else 1.0)
    grain = rng.standard_normal((height, width, 3), dtype=np.float32)
    grain = grain * 0.5 + rng.standard_normal((height, width, 1), dtype=np.float32) * 0.7
    # Shot noise grows with light, but is most visible in dark parts that were brightened.
    return np.asarray(photo + grain * strength * (0.6 + 0.4 * np.sqrt(np.clip(photo, 0, 1))), np.float32)


def encoded(rng: Random, picture: Picture, look: Look) -> bytes:
    """Return the finished picture as the bytes of a JPEG file."""
    quality = 95
    if look.camera is not None:
        picture = photographed(rng, picture, look.camera)
        low, high = look.camera.jpeg_quality
        quality = int(rng.integers(low, high + 1))
    pixels = (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)
    encodable, data = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not encodable:
        raise RuntimeError("OpenCV could not encode a JPEG")
    return data.tobytes()
