"""Photos of a camera as people have them: a folder of all kinds of files, some of which cannot be read."""

import os
from collections.abc import Sequence
from pathlib import Path

from cotrain.data.file_names import is_one_line
from cotrain.data.images import HEIF_SUFFIXES, IMAGE_SUFFIXES, check_image
from cotrain.data.manifests import Item
from cotrain.errors import InputError
from cotrain.progress import Progress
from cotrain.threads import map_in_order

ODD_NAME = "its name holds a tab or a line end, or is no UTF-8 text"


def images_below(folder: Path) -> list[Path]:
    """Return the files in a folder and in those below it that are images by their names, without hidden ones.

    They are sorted, a folder's files before those of the folders in it.
    """
    found = []
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [
            Path(parent, name)
            for name in sorted(names)
            if not name.startswith(".") and Path(name).suffix.lower() in (*IMAGE_SUFFIXES, *HEIF_SUFFIXES)
        ]
    return found


def usable_photos(paths: Sequence[Path], threads: int) -> tuple[list[Item], dict[Path, str]]:
    """Return the images that can be read to their end, and why the others are left out.

    A link to an image that is there too counts as that image. Paths become absolute, ids are numbers.
    """

    def check(path: Path) -> tuple[tuple[int, int] | None, str]:
        if not is_one_line(str(path)):
            return None, ODD_NAME
        try:
            facts = check_image(path)
        except InputError as error:
            return None, str(error).removeprefix(f"{path}: ")
        return (facts.width, facts.height), ""

    items: list[Item] = []
    left_out: dict[Path, str] = {}
    seen: dict[str, Path] = {}
    with Progress(len(paths), "photos", "reading your photos") as progress:
        for path, (size, reason) in zip(paths, map_in_order(check, paths, threads), strict=True):
            other = seen.setdefault(os.path.realpath(path), path)
            if size is None:
                left_out[path] = reason
            elif other is not path:
                left_out[path] = f"a link to {other}, which is listed too"
            else:
                items.append(Item(str(len(items)), Path(os.path.abspath(path)), *size))
            progress.advance()
    return items, left_out
