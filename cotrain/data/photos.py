"""Photos of a camera as people have them: a folder of all kinds of files, some of which cannot be read."""

import logging
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from cotrain.data.file_names import is_one_line, repeated
from cotrain.data.images import HEIF_SUFFIXES, IMAGE_SUFFIXES, check_image
from cotrain.data.lists import odd_name
from cotrain.data.manifests import Item
from cotrain.data.pairs import pair_names
from cotrain.errors import InputError
from cotrain.progress import Progress
from cotrain.threads import map_in_order

logger = logging.getLogger("cotrain")

ODD_NAME = "its name holds a tab or a line end, or is no UTF-8 text"
# Of a photo, in pixels: the smallest size that any key of a configuration can mean.
SMALLEST_SIDE = 32
LABEL_SUFFIXES = (".png", ".tif", ".tiff", ".bmp", ".ppm", ".pgm")


def files_below(folder: Path, suffixes: Sequence[str]) -> tuple[list[Path], Counter[str]]:
    """Return the files in a folder and in those below it whose names end in `suffixes`, without hidden ones.

    They are sorted, a folder's files before those of the folders in it. Also returns how many other files
    there are of each suffix. InputError for a folder that may not be read.
    """

    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename}: the folder cannot be read ({os.strerror(error.errno or 0)})")

    found: list[Path] = []
    others: Counter[str] = Counter()
    for parent, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(name for name in names if not name.startswith(".")):
            suffix = Path(name).suffix.lower()
            if suffix in suffixes:
                found.append(Path(parent, name))
            else:
                others[suffix or "no suffix"] += 1
    return found, others


def photos_below(folder: Path) -> tuple[list[Path], Counter[str]]:
    """Return the images in a folder and below it by their names, and what else lies there (`files_below`)."""
    return files_below(folder, (*IMAGE_SUFFIXES, *HEIF_SUFFIXES))


def paired_folders(images: Path, labels: Path) -> list[tuple[Path, Path]]:
    """Return each image in a folder, or below it, with the label of the same name in the other folder.

    What all names in a folder begin or end with may differ, see `pair_names`: `a_photo.jpg` and `a_label.png`
    belong together, which a line in the log then says. Raises InputError where an image has no label or a
    label no image, or where two would have the same name.
    """
    ours = _files_with_names(images, IMAGE_SUFFIXES)
    theirs = _files_with_names(labels, LABEL_SUFFIXES)
    pairing = pair_names([*ours], [*theirs])
    of_images, of_labels = [*ours.values()], [*theirs.values()]
    pairs: list[tuple[Path, Path]] = []
    without_label: list[Path] = []
    for image, place in zip(of_images, pairing.partners, strict=True):
        if place is None:
            without_label.append(image)
        else:
            pairs.append((image, of_labels[place]))
    for alone, files, what, folder in (
        (without_label, of_images, "label", labels),
        ([of_labels[place] for place in pairing.lonely], of_labels, "image", images),
    ):
        if alone:
            raise InputError(
                f"{alone[0]}: there is no {what} of this name in {folder} (so for {len(alone)} of "
                f"{len(files)} files); give the two the same names, or write two lists in the same order"
            )
    if not pairing.is_exact:
        logger.info(
            "%s and %s: by what differs in their names, %s belongs to %s",
            *(images, labels, pairs[0][1].name, pairs[0][0].name),
        )
    return pairs


def _files_with_names(folder: Path, suffixes: Sequence[str]) -> dict[str, Path]:
    """Return the files in a folder and below it by their paths within it, without suffixes."""
    files, _ = files_below(folder, suffixes)
    if not files:
        raise InputError(f"{folder}: holds no file whose name ends in {', '.join(suffixes)}")
    for file in files:
        if not is_one_line(str(file.relative_to(folder))):
            raise InputError(f"{folder}: {odd_name(file.relative_to(folder))}")
    names = [str(file.relative_to(folder).with_suffix("")) for file in files]
    if same := repeated(names):
        one, other = (files[place] for place in same[0][:2])
        more = f" ({len(same)} such names in all)" if len(same) > 1 else ""
        raise InputError(f"{one} and {other} have the same name{more}; rename one of them, or write lists")
    return dict(zip(names, files, strict=True))


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
        if min(facts.width, facts.height) < SMALLEST_SIDE:
            return None, f"has {facts.width}×{facts.height} pixels, expected at least {SMALLEST_SIDE} a side"
        return (facts.width, facts.height), ""

    items: list[Item] = []
    left_out: dict[Path, str] = {}
    seen: dict[str, Path] = {}
    with Progress(len(paths), "photos", "reading your photos") as progress:
        for path, (size, reason) in zip(paths, map_in_order(check, paths, threads), strict=True):
            real = os.path.realpath(path)
            other = seen.get(real)
            if size is None:
                left_out[path] = reason
            elif other is not None:
                left_out[path] = f"the same file as {other}"
            else:
                seen[real] = path
                items.append(Item(str(len(items)), Path(os.path.abspath(path)), *size))
            progress.advance()
    return items, left_out
