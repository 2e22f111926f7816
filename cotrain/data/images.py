"""Reading, writing and checking image and label files."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, UnidentifiedImageError

from cotrain.data.files import written_whole
from cotrain.errors import InputError

# Images are worked on in threads of our own, one an image; OpenCV's would only compete with them.
cv2.setNumThreads(0)

Result = TypeVar("Result")

MODE_NAMES = {
    "1": "1 bit a pixel",
    "L": "1 channel (grey)",
    "LA": "2 channels (grey, alpha)",
    "P": "1 channel (palette)",
    "I": "1 channel (32 bit)",
    "F": "1 channel (float)",
    "I;16": "1 channel (16 bit)",
    "RGB": "3 channels (RGB)",
    "RGBA": "4 channels (RGBA)",
    "CMYK": "4 channels (CMYK)",
}

# EXIF orientations 5 to 8 lay the picture on its side: width and height change places.
SIDEWAYS = (5, 6, 7, 8)


def read_image(path: str | Path) -> npt.NDArray[np.uint8]:
    """Return the image as uint8 (H, W, 3) RGB, turned upright as its EXIF orientation says.

    Fast rather than strict: what `check_image` refuses may come back converted or incomplete.
    Raises InputError if the file is missing, empty or not an image.
    """
    try:
        encoded = np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    decoded = cv2.imdecode(encoded, cv2.IMREAD_COLOR) if encoded.size else None
    if decoded is None:
        raise InputError(f"{path}: {_not_an_image(encoded.size)}")
    return cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB, dst=decoded)  # type: ignore[return-value]


def read_label(path: str | Path) -> npt.NDArray[np.uint8]:
    """Return the label file's own ids as uint8 (H, W); of a palette PNG the indices, never the colours.

    Raises InputError if the file is missing, empty, truncated, or not one channel of 8 bit.
    """

    def ids(image: Image.Image) -> npt.NDArray[np.uint8]:
        if image.mode not in ("L", "P"):
            raise InputError(f"{path}: has {_description(image)}, expected 1 channel of 8-bit class ids")
        return np.array(image)

    return _opened(path, ids)


def image_size(path: str | Path) -> tuple[int, int]:
    """Return (width, height) of the upright image from its header alone.

    Raises InputError if the file is missing, empty or not an image.
    """
    return _opened(path, _upright_size)


def check_image(path: str | Path) -> tuple[int, int]:
    """Decode the whole image strictly and return (width, height) of the upright image.

    Raises InputError if the file is missing, empty, truncated, in a format that `read_image` cannot
    decode, or anything but three channels of 8 bit.
    """

    def decode(image: Image.Image) -> tuple[int, int]:
        if image.mode != "RGB" or _sixteen_bit(image):
            raise InputError(f"{path}: has {_description(image)}, expected 3 channels (RGB) of 8 bit")
        size = _upright_size(image)
        image.load()
        if not cv2.haveImageReader(str(path)):
            raise InputError(f"{path}: is in the format {image.format}, expected for instance PNG or JPEG")
        return size

    return _opened(path, decode)


def write_image(path: str | Path, rgb: npt.NDArray[np.uint8], jpeg_quality: int = 95) -> None:
    """Write uint8 (H, W, 3) RGB as PNG or JPEG, by the suffix of `path`; ValueError for another suffix."""
    options = {
        # Level 1 writes several times faster than the default for files a tenth larger.
        ".png": [cv2.IMWRITE_PNG_COMPRESSION, 1],
        ".jpg": [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality],
    }
    suffix = Path(path).suffix.lower()
    if suffix not in options:
        raise ValueError(f"{path}: images are written as .png or .jpg")
    encodable, encoded = cv2.imencode(suffix, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), options[suffix])
    if not encodable:
        raise ValueError(f"{path}: an image of shape {rgb.shape} cannot be encoded")
    with written_whole(path) as temporary:
        encoded.tofile(temporary)


def write_label(
    path: str | Path, label: npt.NDArray[np.uint8], palette: Sequence[tuple[int, int, int]]
) -> None:
    """Write uint8 (H, W) train ids as an 8-bit palette PNG; ids beyond the palette, so 255, show black."""
    colours = np.zeros((256, 3), dtype=np.uint8)
    colours[: len(palette)] = np.reshape(palette, (-1, 3))
    image = Image.fromarray(label)
    image.putpalette(colours.tobytes())
    with written_whole(path) as temporary:
        image.save(temporary, format="PNG")


def _opened(path: str | Path, use: Callable[[Image.Image], Result]) -> Result:
    """Return `use` of the file opened by Pillow; whatever goes wrong becomes an InputError."""
    try:
        with open(path, "rb") as file:
            try:
                with Image.open(file) as image:
                    return use(image)
            except InputError:
                raise
            # Pillow's decoders meet broken bytes with all kinds of errors, even SyntaxError.
            except Exception as error:
                raise InputError(f"{path}: {_not_an_image(file.seek(0, io.SEEK_END), error)}") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


def _not_an_image(number_of_bytes: int, error: Exception | None = None) -> str:
    if number_of_bytes == 0:
        return "is empty (0 bytes), expected an image"
    if error is None or isinstance(error, UnidentifiedImageError):
        return f"is no image that can be decoded ({number_of_bytes} bytes)"
    return f"cannot be decoded, perhaps it is truncated or damaged ({error})"


def _upright_size(image: Image.Image) -> tuple[int, int]:
    width, height = image.size
    # Asked only when the header has it: Pillow decodes a whole PNG in search of late EXIF data.
    sideways = "exif" in image.info and image.getexif().get(ExifTags.Base.Orientation) in SIDEWAYS
    return (height, width) if sideways else (width, height)


def _sixteen_bit(image: Image.Image) -> bool:
    # Pillow gives 16-bit RGB the mode "RGB" too; only the raw mode of the coded data tells it.
    return image.mode == "RGB" and ";16" in str(getattr(image, "tile", ""))


def _description(image: Image.Image) -> str:
    if _sixteen_bit(image):
        return "3 channels of 16 bit"
    return MODE_NAMES.get(image.mode, f"pixels of kind {image.mode}")
