"""Reading, writing and checking image and label files."""

import io
import os
import re
import warnings
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, TypeVar, cast

import cv2
import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, UnidentifiedImageError
from PIL.ImageFile import ImageFile

from cotrain.configuration.choices import MOST_PIXELS, MOST_PIXELS_VARIABLE
from cotrain.data.class_tables import ClassTable
from cotrain.data.files import write_bytes
from cotrain.errors import InputError
from cotrain.words import counted

# Our own threads process one image each; threads of OpenCV would only compete with them.
cv2.setNumThreads(0)
# What is wrong with a file is said in our own words. A user's own setting wins.
if "OPENCV_LOG_LEVEL" not in os.environ:
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
# Pillow warns of oddities in headers, which users can do nothing about.
warnings.filterwarnings("ignore", module=r"PIL\.")
# `check_pixels` refuses large pictures instead; Pillow itself only warns of some of them.
Image.MAX_IMAGE_PIXELS = None

Result = TypeVar("Result")

# What is read, by the content of a file and not by its name. Phones write JPEG files with a second picture,
# which Pillow calls MPO.
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "AVIF", "JPEG2000", "PPM")
# The names by which a folder's images are found, in small letters.
IMAGE_SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".webp", ".tif", ".tiff", ".bmp", ".avif"),
    *(".jp2", ".ppm", ".pgm", ".pnm"),
)
# What labels and masks may have: these keep each pixel as it was. JPEG and its relatives change ids at the
# edges of regions; some of them can also keep pixels, which is not worth a look into each.
LABEL_FORMATS = ("PNG", "TIFF", "BMP", "PPM")
LOSSY_TIFF = ("jpeg", "tiff_jpeg", "webp")
JPEG_XL_BEGINNINGS = (b"\xff\x0a", b"\x00\x00\x00\x0cJXL ")
# Phones write it, and Pillow does not read it.
HEIF_SUFFIXES = (".heic", ".heif")
TIFF_BEGINNINGS = (b"II*\x00", b"MM\x00*")
AVIF_BEGINNING = b"ftypavif"
HEIF_BEGINNINGS = (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypmsf1", b"ftyphevc")

MODE_NAMES = {
    "1": "1 bit per pixel",
    "L": "1 channel (grey)",
    "LA": "2 channels (grey, alpha)",
    "P": "1 channel (palette)",
    "PA": "2 channels (palette, alpha)",
    "I": "1 channel (32 bit)",
    "F": "1 channel (float)",
    "I;16": "1 channel (16 bit)",
    "RGB": "3 channels (RGB)",
    "RGBA": "4 channels (RGBA)",
    "RGBX": "4 channels (RGB and padding)",
    "CMYK": "4 channels (CMYK)",
}

# How images that have not three channels of 8 bit become RGB.
CONVERSIONS = {
    **dict.fromkeys(("1", "L"), "grey is repeated in three channels"),
    **dict.fromkeys(("LA", "PA", "RGBA", "RGBX"), "alpha is dropped"),
    "P": "its colours are looked up",
    "CMYK": "converted without a colour profile",
    "I;16": "the upper 8 bits are repeated in three channels",
}
SIXTEEN_BIT_CONVERSION = "the upper 8 bits are used"
# No value above these 12 bits: such an image is nearly black when only the upper 8 bits are used.
TWELVE_BIT = 4095

# What the EXIF orientation says has to be done to a picture (H, W, 3), as numpy does it.
TURNS: dict[int, Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.uint8]]] = {
    2: lambda picture: picture[:, ::-1],
    3: lambda picture: picture[::-1, ::-1],
    4: lambda picture: picture[::-1],
    5: lambda picture: picture.transpose(1, 0, 2),
    6: lambda picture: np.rot90(picture, -1),
    7: lambda picture: picture[::-1, ::-1].transpose(1, 0, 2),
    8: lambda picture: np.rot90(picture),
}
# These turn it by 90 degrees: width and height change places.
SIDEWAYS = (5, 6, 7, 8)
# Where one JPEG picture ends and the next begins; in the data of a picture neither mark occurs. Some cameras
# fill up with zeros between them.
NEXT_JPEG = re.compile(rb"\xff\xd9\x00{0,64}\xff\xd8\xff")
PNG_BEGINNING = b"\x89PNG\r\n\x1a\n"
# Length, kind and checksum of a part.
PNG_PART = 12
# Cameras write less than 64 KiB of it.
LONGEST_EXIF = 1 << 20


@dataclass(frozen=True)
class ImageFacts:
    """What is known of an image before its pixels are used.

    `width` and `height` are those of the upright image, `turned` says whether EXIF turns or mirrors it.
    `converted` says how it becomes three channels of 8 bit; it is "" where it has them.
    """

    width: int
    height: int
    turned: bool
    converted: str


def read_image(path: str | Path) -> npt.NDArray[np.uint8]:
    """Return the image as uint8 (H, W, 3) RGB, turned upright according to its EXIF orientation.

    Grey is repeated, alpha is dropped, and of 16 bits the upper 8 are used. This is fast, not strict: a
    damaged image that `check_image` refuses may be returned incomplete. Raises InputError if the file is
    missing, empty or not an image.
    """

    def pixels(image: ImageFile) -> npt.NDArray[np.uint8]:
        orientation = _orientation(image)
        decoded = _decoded_fast(image) if _is_plain(image) else None
        if decoded is None:
            decoded = _rgb(path, image)
        # Pillow has turned a TIFF itself.
        turn = TURNS.get(orientation) if image.format != "TIFF" else None
        return decoded if turn is None else np.ascontiguousarray(turn(decoded))

    return _opened(path, pixels)


def read_label(path: str | Path) -> npt.NDArray[np.uint8]:
    """Return the own ids of a label file as uint8 (H, W); for a palette PNG these are its indices.

    Raises InputError if the file is missing, empty, truncated, or not one channel of 8 bit; if its format
    changes ids (JPEG and others), or if EXIF data says to turn it.
    """

    def ids(image: ImageFile) -> npt.NDArray[np.uint8]:
        if image.mode not in ("L", "P") or _stretched(image):
            raise InputError(f"{path}: has {_description(image)}, expected 1 channel of 8-bit class ids")
        return np.array(image)

    return _opened_label(path, ids)


def read_own_ids(path: str | Path, table: ClassTable) -> npt.NDArray[np.uint8]:
    """Return the own ids, uint8 (H, W), of a label file with the encoding of `table`.

    Raises InputError as `read_label`, if the file has another encoding, or if it holds a colour that the
    table does not list. Ids are not compared with those of the table.
    """
    if table.encoding == "ids":
        return read_label(path)
    if table.encoding == "red_channel":
        return _read_red_channel(path)
    return _read_colours(path, table)


def _read_red_channel(path: str | Path) -> npt.NDArray[np.uint8]:
    def ids_of(image: ImageFile) -> npt.NDArray[np.integer[Any]]:
        if image.mode != "RGB":
            raise InputError(
                f"{path}: has {_description(image)}, expected 3 channels with class ids in the first"
            )
        # Pillow reduces 16 bits per channel to 8. OpenCV keeps them, and returns blue, green, red.
        pixels: Any = _decoded_by_opencv(image, cv2.IMREAD_UNCHANGED)
        if pixels is None or pixels.shape != (image.height, image.width, 3):
            raise ValueError("OpenCV and Pillow see different pictures")
        # OpenCV is not strict.
        image.load()
        return cast("npt.NDArray[np.integer[Any]]", pixels[..., 2])

    ids = _opened_label(path, ids_of)
    if ids.max() > 255:
        raise InputError(f"{path}: holds {ids.max()} in its first channel, expected class ids up to 255")
    return np.ascontiguousarray(ids, dtype=np.uint8)


def _read_colours(path: str | Path, table: ClassTable) -> npt.NDArray[np.uint8]:
    def packed(image: ImageFile) -> npt.NDArray[np.int32]:
        if image.mode not in ("RGB", "P") or _sixteen_bit(image):
            raise InputError(f"{path}: has {_description(image)}, expected 3 channels of 8-bit class colours")
        rgb = np.asarray(image.convert("RGB")).astype(np.int32)
        return rgb[..., 0] << 16 | rgb[..., 1] << 8 | rgb[..., 2]

    pixels = _opened_label(path, packed)
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
    return _opened(path, lambda image: _upright_size(image, _orientation(image)))


def image_facts(path: str | Path) -> ImageFacts:
    """Return what the header of an image says of it.

    Raises InputError if the file is missing or empty, has a format that is not read, or has pixels of a kind
    that cannot become RGB.
    """
    return _opened(path, lambda image: _facts(path, image))


def check_image(path: str | Path) -> ImageFacts:
    """Decode the whole image strictly, and return what is known of it.

    What passes is read by `read_image` with the same size and pixels. Raises InputError as `image_facts`, for
    a truncated or damaged file, and for a video of JPEG pictures.
    """

    def decode(image: ImageFile) -> ImageFacts:
        facts = _facts(path, image)
        _check_sums(image)
        followers = _following_jpegs(image)
        image.load()
        if image.mode.startswith("I;16") and cast(tuple[int, int], image.getextrema())[1] <= TWELVE_BIT:
            nearly_black = f"which leaves it nearly black: no value is above {TWELVE_BIT} of 65535"
            return replace(facts, converted=f"{facts.converted}, {nearly_black}")
        if followers and not _has_name_of_picture(path):
            raise InputError(
                f"{path}: holds {followers + 1} JPEG pictures one after another, as a video does, expected "
                "one; write each into a file of its own, for instance with "
                f"`ffmpeg -i {Path(path).name} %06d.png` (the step segment takes the video itself)"
            )
        if followers:
            more = "pictures follow" if followers > 1 else "picture follows"
            conversions = [facts.converted, f"{followers} more JPEG {more} in the file: the first is used"]
            return replace(facts, converted="; ".join(filter(None, conversions)))
        return facts

    return _opened(path, decode)


def is_picture(path: str | Path) -> bool:
    """Return whether a file is a still picture by its name or its content, even if it cannot be read."""
    if _has_name_of_picture(path):
        return True
    try:
        with Image.open(path) as image:
            return getattr(image, "n_frames", 1) == 1 and not _following_jpegs(cast(ImageFile, image))
    except Exception:
        return False


def _has_name_of_picture(path: str | Path) -> bool:
    return Path(path).suffix.lower() in (*IMAGE_SUFFIXES, *HEIF_SUFFIXES)


def check_label_header(path: str | Path, table: ClassTable) -> tuple[int, int]:
    """Return (width, height) of a label file; only its header is read.

    Raises InputError as `read_label`, or if it has not the channels of the encoding of `table`.
    """
    modes = {"ids": ("L", "P"), "red_channel": ("RGB",), "colours": ("RGB", "P")}[table.encoding]

    def check(image: ImageFile) -> tuple[int, int]:
        too_deep = table.encoding == "colours" and _sixteen_bit(image)
        if image.mode not in modes or too_deep or _stretched(image):
            raise InputError(f"{path}: has {_description(image)}, expected the encoding {table.encoding!r}")
        return image.size

    return _opened_label(path, check)


def label_size(path: str | Path) -> tuple[int, int]:
    """Return (width, height) of a label file of any encoding; only its header is read.

    Raises InputError as `read_label`, but for its channels.
    """
    return _opened_label(path, lambda image: image.size)


def label_palette(path: str | Path) -> list[tuple[int, int, int]]:
    """Return the colours of the ids 0 to 255 of a palette image, black for ids beyond its palette.

    The result is [] for an image without a palette.
    """

    def colours(image: ImageFile) -> list[tuple[int, int, int]]:
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
    write_bytes(path, encoded.data)


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
    memory = io.BytesIO()
    # Level 1 takes a quarter of the default's time to write, and less time to read. Labels are read many
    # times, so that is worth files of 120 kB instead of 80 kB.
    image.save(memory, format="PNG", compress_level=1)
    write_bytes(path, memory.getbuffer())


def write_grey(path: str | Path, grey: npt.NDArray[np.uint8]) -> None:
    """Write uint8 (H, W) as a PNG of one grey channel: a mask, or ids for tools that cannot read palettes."""
    encoded = cv2.imencode(".png", grey)[1]
    write_bytes(path, encoded.data)


def check_pixels(path: str | Path, width: int, height: int) -> None:
    """Raise InputError if a picture or a frame of a video claims more pixels than the user allows.

    A file of 200 bytes can claim to be so large that its pixels fill the memory.
    """
    most = most_pixels()
    if width * height > most:
        raise InputError(
            f"{path}: has {width}×{height} pixels, expected at most {most:,} in all; make it smaller, or "
            f"raise the key `most_pixels` (by hand: the environment variable {MOST_PIXELS_VARIABLE})"
        )


def most_pixels() -> int:
    """Return how many pixels a picture may have; InputError if the environment says it with another word.

    A run passes its key `most_pixels` on to all steps as an environment variable: nearly every step reads
    pictures, and what they make does not depend on it.
    """
    text = os.environ.get(MOST_PIXELS_VARIABLE, str(MOST_PIXELS))
    if not (text.isascii() and text.isdecimal() and len(text) < 18 and int(text) > 0):
        raise InputError(f"{MOST_PIXELS_VARIABLE}: found {text!r:.200}, expected an integer >= 1")
    return int(text)


def read_marked(path: str | Path) -> npt.NDArray[np.uint8]:
    """Return which pixels of a picture are not black, uint8 (H, W): 1 or 0; alpha does not count.

    Raises InputError as `read_label`, but for its channels.
    """

    def marked(image: ImageFile) -> npt.NDArray[np.uint8]:
        # Not by grey value: the grey value of a dark blue is rounded to black.
        return np.any(np.asarray(image.convert("RGB")), axis=2).astype(np.uint8)

    return _opened_label(path, marked)


def _opened(path: str | Path, use: Callable[[ImageFile], Result], wanted: str = "PNG or JPEG") -> Result:
    """Open the file with Pillow and return `use(image)`; every failure becomes an InputError.

    `wanted` are the formats that its message advises.
    """
    try:
        with open(path, "rb") as file:
            try:
                with Image.open(file, formats=FORMATS) as image:
                    check_pixels(path, *image.size)
                    return use(image)
            except InputError:
                raise
            # Pillow's decoders raise all kinds of errors for broken bytes, even SyntaxError.
            except Exception as error:
                raise InputError(f"{path}: {_why_not(file, error, wanted)}") from error
    except IsADirectoryError as error:
        raise InputError(f"{path}: is a folder, expected a file") from error
    except OSError as error:
        if os.path.islink(path) and not os.path.exists(path):
            raise InputError(f"{path}: is a link to {os.readlink(path)}, which does not exist") from error
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


def _opened_label(path: str | Path, use: Callable[[ImageFile], Result]) -> Result:
    """Open a label or a mask as `_opened` does; InputError if its pixels may not be those that were drawn."""

    def use_label(image: ImageFile) -> Result:
        lossy_tiff = image.info.get("compression") in LOSSY_TIFF
        if image.format not in LABEL_FORMATS or lossy_tiff:
            kind = "a TIFF with lossy compression" if lossy_tiff else f"a file of the format {image.format}"
            raise InputError(
                f"{path}: is {kind}, which changes class ids near the edges of regions; expected a label or "
                "mask in a format that keeps every pixel, such as PNG. Write it as PNG where it was made: "
                "converting this file does not bring the ids back"
            )
        # Labels are not turned. Whether the tool that drew this one had turned the image, no one can know.
        orientation = _orientation(image)
        if orientation != 1:
            raise InputError(
                f"{path}: its EXIF orientation is {orientation}, expected none: labels and masks are read as "
                "they are stored, and must lie as the upright image does. Turn its pixels if they do not, "
                "and save it without the tag"
            )
        pictures = getattr(image, "n_frames", 1)
        if pictures > 1:
            raise InputError(f"{path}: holds {pictures} pictures, expected one label or mask")
        return use(image)

    return _opened(path, use_label, "PNG")


def _why_not(file: IO[bytes], error: Exception, wanted: str) -> str:
    """Return why a file is no image that can be decoded; `wanted` are the formats to advise."""
    number_of_bytes = file.seek(0, io.SEEK_END)
    file.seek(0)
    beginning = file.read(64)
    expected = f"expected an image, for instance {wanted}"
    if number_of_bytes == 0:
        return "is empty (0 bytes), expected an image"
    if not isinstance(error, UnidentifiedImageError):
        return "cannot be decoded, perhaps it is truncated or damaged; copy or save it again"
    if beginning.startswith(b"version https://git-lfs"):
        return "is only a pointer of Git LFS; get the file itself with `git lfs pull`"
    form = None
    if beginning[4:12] in HEIF_BEGINNINGS:
        form = "HEIF"
    elif beginning.startswith(JPEG_XL_BEGINNINGS):
        form = "JPEG XL"
    else:
        # Only the header, to name the format.
        with suppress(Exception), Image.open(file) as image:
            form = image.format
    if form == "TIFF" or beginning[:4] in TIFF_BEGINNINGS:
        kind = "a TIFF of a kind that is not read, such as one of floating-point numbers"
        return f"is {kind}; convert it to {wanted}"
    if beginning[4:12] == AVIF_BEGINNING:
        return "cannot be decoded, perhaps it is truncated or damaged; copy or save it again"
    if form:
        return f"has the format {form}, which is not read; convert it to {wanted}"
    return f"is no image that can be decoded ({counted(number_of_bytes, 'byte')}), {expected}"


def _facts(path: str | Path, image: ImageFile) -> ImageFacts:
    conversions = [] if _is_plain(image) else [f"{_description(image)}: {_conversion(path, image)}"]
    # The second picture of an MPO is for a screen in three dimensions.
    frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
    if frames > 1:
        conversions.append(f"{frames} frames: the first is used")
    orientation = _orientation(image)
    width, height = _upright_size(image, orientation)
    return ImageFacts(width, height, orientation > 1, "; ".join(conversions))


def _conversion(path: str | Path, image: ImageFile) -> str:
    """Return how an image that has not three channels of 8 bit becomes RGB; InputError if it cannot."""
    how = SIXTEEN_BIT_CONVERSION if image.mode == "RGB" else CONVERSIONS.get(_kind(image))
    if how is None:
        raise InputError(f"{path}: has {_description(image)}, expected a photo of 8 or 16 bit")
    return how


def _is_plain(image: ImageFile) -> bool:
    """Return whether the image has three channels of 8 bit."""
    return image.mode == "RGB" and not _sixteen_bit(image)


def _kind(image: ImageFile) -> str:
    """Return Pillow's mode, with one name for all orders of the bytes of 16 bit."""
    # Pillow reads the 16 bits of a PGM as 32, and scales them to 65535.
    is_deep_pgm = image.mode == "I" and image.format == "PPM"
    return "I;16" if image.mode.startswith("I;16") or is_deep_pgm else image.mode


def _decoded_fast(image: ImageFile) -> npt.NDArray[np.uint8] | None:
    """Return the pixels of a plain JPEG or PNG as they are stored, not turned; None for other images.

    OpenCV gives the same pixels as Pillow in half the time.
    """
    if image.format not in ("JPEG", "MPO", "PNG") or image.fp is None:
        return None
    try:
        decoded = _decoded_by_opencv(image, cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        decoded = None
    # A file that both read, but not alike, is read as its header was checked.
    if decoded is None or decoded.shape[:2] != (image.height, image.width):
        image.fp.seek(0)
        return None
    return decoded


def _decoded_by_opencv(image: ImageFile, flags: int) -> npt.NDArray[Any] | None:
    """Return the pixels of an opened picture as OpenCV decodes them, None or cv2.error if it cannot."""
    assert image.fp is not None
    image.fp.seek(0)
    encoded = image.fp.read()
    if image.format == "PNG" and not _is_sound_png(encoded):
        return None
    pixels = np.frombuffer(encoded, dtype=np.uint8)
    return cast("npt.NDArray[Any] | None", cv2.imdecode(pixels, flags))


def _is_sound_png(encoded: bytes) -> bool:
    """Return whether all parts of a PNG lie within it, only its first says how large it is, and it is still.

    OpenCV would ask for as much memory as a part claims to have bytes, and believe the last header.
    """
    headers = 0
    for kind, _, end in _parts_of_png(encoded):
        # OpenCV decodes all pictures of an animation, and a damaged one ends its process.
        if kind == b"acTL" or end > len(encoded):
            return False
        headers += kind == b"IHDR"
    return headers == 1


def _parts_of_png(encoded: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, beginning and end of each part of a PNG, up to its end; a false length leads beyond it."""
    place = len(PNG_BEGINNING)
    while place < len(encoded):
        kind = encoded[place + 4 : place + 8]
        end = place + PNG_PART + int.from_bytes(encoded[place : place + 4], "big")
        yield kind, place, end
        if kind == b"IEND":
            return
        place = end


def _rgb(path: str | Path, image: ImageFile) -> npt.NDArray[np.uint8]:
    """Return the pixels of an opened image as uint8 (H, W, 3), as they are stored: only a TIFF is turned."""
    if not _is_plain(image):
        _conversion(path, image)
    if _kind(image) == "I;16":
        grey = (np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    return np.array(image.convert("RGB"))


def _check_sums(image: ImageFile) -> None:
    """Raise ValueError for a PNG with a wrong checksum: Pillow does not look at those of pixels."""
    if image.format != "PNG" or image.fp is None:
        return
    position = image.fp.tell()
    image.fp.seek(0)
    encoded = image.fp.read()
    image.fp.seek(position)
    for kind, start, end in _parts_of_png(encoded):
        found = zlib.crc32(memoryview(encoded)[start + 4 : end - 4])
        if kind != b"IEND" and found != int.from_bytes(encoded[end - 4 : end], "big"):
            raise ValueError("a checksum is wrong")


def _following_jpegs(image: ImageFile) -> int:
    """Return how many JPEG pictures follow the first in a file; those that an MPO declares do not count."""
    if image.format != "JPEG" or image.fp is None:
        return 0
    position = image.fp.tell()
    image.fp.seek(0)
    followers = len(NEXT_JPEG.findall(image.fp.read()))
    image.fp.seek(position)
    return followers


def _upright_size(image: ImageFile, orientation: int) -> tuple[int, int]:
    width, height = image.size
    # Pillow has already turned the size of a TIFF, unless only its XMP data says that it has to be turned.
    is_turned = image.format == "TIFF" and ExifTags.Base.Orientation in _tags_of_tiff(image)
    return (height, width) if orientation in SIDEWAYS and not is_turned else (width, height)


def _tags_of_tiff(image: ImageFile) -> Collection[int]:
    return getattr(image, "tag_v2", {})


def _orientation(image: ImageFile) -> int:
    """Return the EXIF orientation of an opened image, 1 (upright) if there is none.

    Call it before the pixels are loaded.
    """
    exif = image.getexif() if image.format != "PNG" or _has_early_exif(image) else _late_exif(image)
    orientation = exif.get(ExifTags.Base.Orientation, 1)
    return orientation if orientation in TURNS else 1


def _has_early_exif(image: ImageFile) -> bool:
    return bool(image.info.keys() & {"exif", "Raw profile type exif", "XML:com.adobe.xmp", "xmp"})


def _late_exif(image: ImageFile) -> Image.Exif:
    """Return the EXIF data that follows the pixels of a PNG, as ImageMagick writes it.

    Pillow would find it too, but it decodes the whole image first.
    """
    exif = Image.Exif()
    if image.fp is None:
        return exif
    file, place = image.fp.fileno(), len(PNG_BEGINNING)
    # `pread` reads only what it is asked for, and leaves the place in the file alone.
    while len(head := os.pread(file, 8, place)) == 8 and (kind := head[4:]) != b"IEND":
        length = int.from_bytes(head[:4], "big")
        if kind == b"IDAT":
            place = _last_of_row(file, place, head, PNG_PART + length)
        elif kind == b"eXIf" and length <= LONGEST_EXIF:
            chunk = os.pread(file, 4 + length + 4, place + 4)
            if zlib.crc32(chunk[:-4]) == int.from_bytes(chunk[-4:], "big"):
                exif.load(chunk[4:-4])
        place += PNG_PART + length
    return exif


def _last_of_row(file: int, place: int, head: bytes, step: int) -> int:
    """Return where the last of several parts of a PNG starts that lie `step` apart and all begin with `head`.

    The pixels of a large PNG are hundreds of parts of equal length, and nothing may stand between them.
    """
    jump = 1
    while os.pread(file, 8, place + jump * step) == head:
        place += jump * step
        jump *= 2
    while jump := jump // 2:
        if os.pread(file, 8, place + jump * step) == head:
            place += jump * step
    return place


def _sixteen_bit(image: ImageFile) -> bool:
    # Pillow also gives 16-bit RGB the mode "RGB"; only the raw mode of the encoded data shows the depth.
    return image.mode == "RGB" and ";16" in str(getattr(image, "tile", ""))


def _stretched(image: ImageFile) -> bool:
    # Grey of 2 or 4 bits also gets the mode "L", with its ids stretched to 0-255. Palette indices stay.
    return image.mode == "L" and any(f"L;{bits}" in str(getattr(image, "tile", "")) for bits in (2, 4))


def _description(image: ImageFile) -> str:
    if _sixteen_bit(image):
        return "3 channels of 16 bit"
    if _stretched(image):
        return "1 channel of less than 8 bit"
    return MODE_NAMES.get(image.mode, f"pixels of kind {image.mode}")
