"""Decoded copies of training images on disk: a crop reads only the pages that it needs and decodes nothing.

A PNG can only be decoded as a whole, which takes most of the time of a crop. Instead, each image gets a plain
`.npy` file that is mapped into memory. Any number of threads and processes can read it at once. Training
gives the same bytes with decoded images as without them.
"""

import hashlib
import os
import shutil
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cotrain.data.arrays import open_npy
from cotrain.data.files import make_folder, portable, write_array, write_text
from cotrain.data.images import read_image
from cotrain.data.manifests import Item, check_listed_size
from cotrain.errors import InputError, reason
from cotrain.words import counted

HEADER = "image\tdecoded"
# Decoded images must not fill the disk on which trainings save their state.
SHARE_OF_FREE_DISK = 0.9


def decoded_name(image: Path) -> str:
    """Return the file name of a decoded image; it changes if the image is replaced under its old name."""
    status = image.stat()
    identity = f"{portable(image)}\0{status.st_size}\0{status.st_mtime_ns}"
    return f"{hashlib.sha256(identity.encode()).hexdigest()[:24]}.npy"


def decode(item: Item, folder: Path) -> Path:
    """Return the decoded file of an image in `folder`; write it unless an earlier run has.

    Raises InputError if the image cannot be read or has another size than `item` says.
    """
    path = folder / decoded_name(item.image)
    try:
        map_image(path, item)
    # A missing file, or one that is not whole.
    except InputError:
        pixels = read_image(item.image)
        check_listed_size(item, *pixels.shape[:2])
        write_array(path, pixels)
    return path


def check_space(items: Sequence[Item], folder: Path) -> None:
    """Raise InputError unless the images that are not decoded yet will fit on the disk of `folder`."""
    make_folder(folder)
    open_items = [item for item in items if not (folder / decoded_name(item.image)).exists()]
    needed = sum(3 * item.width * item.height for item in open_items)
    free = shutil.disk_usage(folder).free
    if needed > SHARE_OF_FREE_DISK * free:
        raise InputError(
            f"training.decoded_cache: {counted(len(open_items), 'image takes', 'images take')} "
            f"{needed / 2**30:.1f} GiB when decoded, "
            f"but only {free / 2**30:.1f} GiB are free at {folder}; free some space, or set the key to false"
        )


def write_index(path: Path, decoded: Mapping[Path, Path]) -> None:
    """Write the decoded file of each image; paths below the working folder are relative to the index's."""

    def stored(file: Path) -> str:
        is_below = not os.path.isabs(portable(file))
        return os.path.relpath(file, path.parent) if is_below else os.path.abspath(file)

    rows = (f"{stored(image)}\t{stored(file)}\n" for image, file in decoded.items())
    write_text(path, chain([f"{HEADER}\n"], rows))


def read_index(path: Path) -> dict[Path, Path]:
    """Return {image: its decoded file}.

    Raises:
        InputError: the file is no index, or a decoded file is missing or was made from an older image.
    """
    try:
        # Not splitlines(): it also splits at characters that a path may hold.
        header, *rows = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as an index of decoded images: {reason(error)}") from error
    if header != HEADER:
        raise InputError(f"{path}: found the first line {header!r:.200}, expected {HEADER!r}")
    decoded = {}
    for number, row in enumerate(rows, start=2):
        if row.count("\t") != 1 or row.startswith("\t") or row.endswith("\t") or "\0" in row:
            raise InputError(
                f"{path}:{number}: found {row!r:.200}, expected the path of an image, a tab and the path of "
                f"its decoded file; delete {path} to have the images decoded again"
            )
        image, _, file = (os.path.abspath(path.parent / part) for part in row.partition("\t"))
        if not _is_decoded_from(Path(file), Path(image)):
            raise InputError(
                f"{path}: {image} was decoded into {file}, which is missing or was made from an older image; "
                f"delete {path} to have the image decoded again"
            )
        decoded[Path(image)] = Path(file)
    return decoded


def _is_decoded_from(file: Path, image: Path) -> bool:
    try:
        return file.is_file() and file.name == decoded_name(image)
    except OSError:
        return False


def map_image(path: Path, item: Item) -> npt.NDArray[np.uint8]:
    """Return a decoded image (H, W, 3) uint8 RGB; its pixels are read from disk only when they are used.

    Raises InputError if the file is missing, or holds anything else than an image of the size of `item`.
    """
    pixels: npt.NDArray[np.uint8] = open_npy(path, "u", 3)
    expected = (item.height, item.width, 3)
    if pixels.dtype != np.uint8 or pixels.shape != expected:
        raise InputError(
            f"{path}: holds {pixels.dtype} of the shape {pixels.shape}, expected uint8 of the shape "
            f"{expected}, the decoded {item.image}; delete it and the index.tsv beside it: the same command "
            "then decodes it again"
        )
    return pixels
