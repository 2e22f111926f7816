"""Reading, writing and checking image and label files."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, UnidentifiedImageError

from cotrain.data.class_tables import ClassTable
from cotrain.data.files import written_whole
from cotrain.errors import InputError

# Our own threads process one image each; threads of OpenCV would only compete with them.
cv2.setNumThreads(0)

Result = TypeVar("Result")

MODE_NAMES = {
    "1": "1 bit per pixel",
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

# EXIF orientations 5 to 8 turn the picture by 90 degrees: width and height change places.
SIDEWAYS = (5, 6, 7, 8)


def read_image(path: str | Path) -> npt.NDArray[np.uint8]:
    """Return the image as uint8 (H, W, 3) RGB, turned upright according to its EXIF orientation.

    This is fast, not strict: an image that `check_image` refuses may be returned converted or incomplete.
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
    """Return the own ids of a label file as uint8 (H, W); for a palette PNG these are its indices.

    Raises InputError if the file is missing, empty, truncated, or not one channel of 8 bit.
    """

    def ids(image: Image.Image) -> npt.NDArray[np.uint8]:
        if image.mode not in ("L", "P") or _stretched(image):
            raise InputError(f"{path}: has {_description(image)}, expected 1 channel of 8-bit class ids")
        return np.array(image)

    return _opened(path, ids)


def read_own_ids(path: str | Path, table: ClassTable) -> npt.NDArray[np.uint8]:
    """Return the own ids, uint8 (H, W), of a label file with the encoding of `table`.

    Raises InputError if the file is missing, empty, truncated or has another encoding, or if it holds a
    colour that the table does not list. Ids are not compared with those of the table.
    """
    if table.encoding == "ids":
        return read_label(path)
    if table.encoding == "red_channel":
        return _read_red_channel(path)
    return _read_colours(path, table)


def _read_red_channel(path: str | Path) -> npt.NDArray[np.uint8]:
    def check(image: Image.Image) -> None:
        if image.mode != "RGB":
            raise InputError(
                f"{path}: has {_description(image)}, expected 3 channels with class ids in the first"
            )
        image.load()

    _opened(path, check)
    # Pillow reduces 16 bits per channel to 8. OpenCV keeps them, and returns blue, green, red.
    pixels: Any = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    ids = pixels[..., 2]
    if ids.max() > 255:
        raise InputError(f"{path}: holds {ids.max()} in its first channel, expected class ids up to 255")
    return np.ascontiguousarray(ids, dtype=np.uint8)


def _read_colours(path: str | Path, table: ClassTable) -> npt.NDArray[np.uint8]:
    def packed(image: Image.Image) -> npt.NDArray[np.int32]:
        if image.mode not in ("RGB", "P") or _sixteen_bit(image):
            raise InputError(f"{path}: has {_description(image)}, expected 3 channels of 8-bit class colours")
        rgb = np.asarray(image.convert("RGB")).astype(np.int32)
        return rgb[..., 0] << 16 | rgb[..., 1] << 8 | rgb[..., 2]

    pixels = _opened(path, packed)
    colours = np.array([red << 16 | green << 8 | blue for red, green, blue in table.colours], dtype=np.int32)
    order = np.argsort(colours)
    place = np.minimum(np.searchsorted(colours[order], pixels), len(colours) - 1)
    ids = order[place].astype(np.uint8)
    strange = pixels[colours[ids] != pixels]
    if strange.size:
        red, green, blue = strange[0] >> 16, strange[0] >> 8 & 255, strange[0] & 255
        raise InputError(
            f"{path}: {strange.size} pixels have colours that class table {table.name!r} lacks, "
            f"the first is [{red}, {green}, {blue}]; expected only colours of the table"
        )
    return ids


def image_size(path: str | Path) -> tuple[int, int]:
    """Return (width, height) of the upright image; only its header is read.

    Raises InputError if the file is missing, empty or not an image.
    """
    return _opened(path, _upright_size)


def check_header(path: str | Path) -> tuple[int, int, bool]:
    """Return (width, height) of the upright image and whether EXIF turns it; only its header is read.

    Raises InputError if the file is missing or empty, or has not three channels of 8 bit.
    """
    return _opened(path, lambda image: _checked_header(path, image))


def check_image(path: str | Path) -> tuple[int, int, bool]:
    """Decode the whole image strictly; return (width, height) of the upright image and whether EXIF turns it.

    Raises InputError if the file is missing, empty or truncated, has a format that `read_image` cannot
    decode, or has not three channels of 8 bit.
    """

    def decode(image: Image.Image) -> tuple[int, int, bool]:
        size_and_turn = _checked_header(path, image)
        image.load()
        if not cv2.haveImageReader(str(path)):
            raise InputError(
                f"{path}: has the format {image.format}, which cannot be read; convert it to PNG or JPEG"
            )
        return size_and_turn

    return _opened(path, decode)


def check_label_header(path: str | Path, table: ClassTable) -> tuple[int, int]:
    """Return (width, height) of a label file; only its header is read.

    Raises InputError if the file is missing or empty, or has not the channels of the encoding of `table`.
    """
    modes = {"ids": ("L", "P"), "red_channel": ("RGB",), "colours": ("RGB", "P")}[table.encoding]

    def check(image: Image.Image) -> tuple[int, int]:
        too_deep = table.encoding == "colours" and _sixteen_bit(image)
        if image.mode not in modes or too_deep or _stretched(image):
            raise InputError(f"{path}: has {_description(image)}, expected the encoding {table.encoding!r}")
        return image.size

    return _opened(path, check)


def label_palette(path: str | Path) -> list[tuple[int, int, int]]:
    """Return the colours of the ids 0 to 255 of a palette image, black for ids beyond its palette.

    The result is [] for an image without a palette.
    """

    def colours(image: Image.Image) -> list[tuple[int, int, int]]:
        palette = (image.getpalette() or []) if image.mode == "P" else []
        if not palette:
            return []
        padded = palette + [0] * (768 - len(palette))
        return [(padded[at], padded[at + 1], padded[at + 2]) for at in range(0, 768, 3)]

    return _opened(path, colours)


def write_image(path: str | Path, rgb: npt.NDArray[np.uint8], jpeg_quality: int = 95) -> None:
    """Write uint8 (H, W, 3) RGB as PNG or JPEG, by the suffix of `path`; ValueError for another suffix."""
    options = {
        # Level 1 is several times faster than the default, and files are only a tenth larger.
        ".png": [cv2.IMWRITE_PNG_COMPRESSION, 1],
        ".jpg": [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality],
    }
    suffix = Path(path).suffix.lower()
    if suffix not in options:
        raise ValueError(f"{path}: found the suffix {suffix!r}, expected .png or .jpg")
    encodable, encoded = cv2.imencode(suffix, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), options[suffix])
    if not encodable:
        raise ValueError(f"{path}: an image of shape {rgb.shape} cannot be encoded")
    with written_whole(path) as temporary:
        encoded.tofile(temporary)


def nearest(label: npt.NDArray[np.uint8], height: int, width: int) -> npt.NDArray[np.uint8]:
    """Return a label or mask (H, W) uint8 resized to (height, width) by the pixel nearest to each centre.

    This is also the rule of training crops. OpenCV's plain INTER_NEAREST takes the pixel at the upper left.
    """
    resized = cv2.resize(label, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    return np.asarray(resized, np.uint8)


def write_label(
    path: str | Path, label: npt.NDArray[np.uint8], palette: Sequence[tuple[int, int, int]]
) -> None:
    """Write uint8 (H, W) train ids as an 8-bit palette PNG; ids beyond the palette (255) are black."""
    colours = np.zeros((256, 3), dtype=np.uint8)
    colours[: len(palette)] = np.reshape(palette, (-1, 3))
    image = Image.fromarray(label)
    image.putpalette(colours.tobytes())
    with written_whole(path) as temporary:
        # Level 1 takes a quarter of the default's time to write, and less time to read. Labels are read many
        # times, so that is worth files of 120 kB instead of 80 kB.
        image.save(temporary, format="PNG", compress_level=1)


def write_grey(path: str | Path, grey: npt.NDArray[np.uint8]) -> None:
    """Write uint8 (H, W) as a PNG of one grey channel: a mask, or ids for tools that cannot read palettes."""
    encoded = cv2.imencode(".png", grey)[1]
    with written_whole(path) as temporary:
        encoded.tofile(temporary)


def _opened(path: str | Path, use: Callable[[Image.Image], Result]) -> Result:
    """Open the file with Pillow and return `use(image)`; every failure becomes an InputError."""
    try:
        with open(path, "rb") as file:
            try:
                with Image.open(file) as image:
                    return use(image)
            except InputError:
                raise
            # Pillow's decoders raise all kinds of errors for broken bytes, even SyntaxError.
            except Exception as error:
                raise InputError(f"{path}: {_not_an_image(file.seek(0, io.SEEK_END), error)}") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


def _not_an_image(number_of_bytes: int, error: Exception | None = None) -> str:
    if number_of_bytes == 0:
        return "is empty (0 bytes), expected an image"
    if error is None or isinstance(error, UnidentifiedImageError):
        return f"is no image that can be decoded ({number_of_bytes} bytes), expected for instance PNG or JPEG"
    return f"cannot be decoded, perhaps it is truncated or damaged ({error})"


def _checked_header(path: str | Path, image: Image.Image) -> tuple[int, int, bool]:
    if image.mode != "RGB" or _sixteen_bit(image):
        raise InputError(f"{path}: has {_description(image)}, expected 3 channels (RGB) of 8 bit")
    return *_upright_size(image), _orientation(image) > 1


def _upright_size(image: Image.Image) -> tuple[int, int]:
    width, height = image.size
    return (height, width) if _orientation(image) in SIDEWAYS else (width, height)


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 (upright) if there is none."""
    # Read only if the header holds EXIF data: otherwise Pillow decodes a whole PNG in search of it.
    return int(image.getexif().get(ExifTags.Base.Orientation, 1)) if "exif" in image.info else 1


def _sixteen_bit(image: Image.Image) -> bool:
    # Pillow also gives 16-bit RGB the mode "RGB"; only the raw mode of the encoded data shows the depth.
    return image.mode == "RGB" and ";16" in str(getattr(image, "tile", ""))


def _stretched(image: Image.Image) -> bool:
    # Grey of 2 or 4 bits also gets the mode "L", with its ids stretched to 0-255. Palette indices stay.
    return image.mode == "L" and any(f"L;{bits}" in str(getattr(image, "tile", "")) for bits in (2, 4))


def _description(image: Image.Image) -> str:
    if _sixteen_bit(image):
        return "3 channels of 16 bit"
    if _stretched(image):
        return "1 channel of less than 8 bit"
    return MODE_NAMES.get(image.mode, f"pixels of kind {image.mode}")
