"""Training images kept decoded on disk: a crop then reads the few pages it needs, and decodes nothing.

A PNG can only be decoded as a whole, which takes most of the time of a crop. One plain `.npy` file an image
is mapped into memory instead: any number of threads and processes read it at once, and training gives the
same bytes with it as without it.
"""

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cotrain.data.files import write_text, written_whole
from cotrain.data.images import read_image
from cotrain.data.manifests import Item
from cotrain.errors import InputError

HEADER = "image\tdecoded"
# Decoding must not fill the disk that trainings save their state on.
SHARE_OF_FREE_DISK = 0.9


def decoded_name(image: Path) -> str:
    """Return the file name of a decoded image; another content under the old name gives another one."""
    status = image.stat()
    known = f"{image}\0{status.st_size}\0{status.st_mtime_ns}"
    return f"{hashlib.sha256(known.encode()).hexdigest()[:24]}.npy"


def decode(image: Path, folder: Path) -> Path:
    """Return the decoded file of an image in `folder`, written unless it is there from an earlier run."""
    path = folder / decoded_name(image)
    if not path.exists():
        with written_whole(path) as temporary:
            np.save(temporary, read_image(image))
    return path


def check_space(items: Sequence[Item], folder: Path) -> None:
    """Raise InputError unless the decoded images that are still to be made fit on the disk of `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    open_items = [item for item in items if not (folder / decoded_name(item.image)).exists()]
    needed = sum(3 * item.width * item.height for item in open_items)
    free = shutil.disk_usage(folder).free
    if needed > SHARE_OF_FREE_DISK * free:
        raise InputError(
            f"training.decoded_cache: {len(open_items)} images take {needed / 2**30:.1f} GiB when decoded, "
            f"but {folder} has {free / 2**30:.1f} GiB free; free some, or set it to false"
        )


def write_index(path: Path, decoded: Mapping[Path, Path]) -> None:
    """Write which file holds which image decoded; paths are absolute."""
    rows = [f"{image}\t{file.absolute()}" for image, file in decoded.items()]
    write_text(path, "\n".join([HEADER, *rows]) + "\n")


def read_index(path: Path) -> dict[Path, Path]:
    """Return {image: its decoded file}.

    Raises:
        InputError: the file is no index, or a decoded file is gone or older than its image.
    """
    try:
        # Not splitlines(): it also splits at characters that a path may hold.
        header, *rows = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as an index of decoded images: {error}") from error
    if header != HEADER:
        raise InputError(f"{path}: found the first line {header!r}, expected {HEADER!r}")
    decoded = {}
    for row in rows:
        image, _, file = row.partition("\t")
        if not Path(file).is_file() or Path(file).name != decoded_name(Path(image)):
            raise InputError(
                f"{path}: {image} was decoded into {file}, which is gone or of an older image; delete "
                f"{path} to have it made anew"
            )
        decoded[Path(image)] = Path(file)
    return decoded


def map_image(path: Path) -> npt.NDArray[np.uint8]:
    """Return a decoded image (H, W, 3) uint8 RGB, read from disk where and when its pixels are used."""
    pixels: npt.NDArray[np.uint8] = np.load(path, mmap_mode="r")
    return pixels
