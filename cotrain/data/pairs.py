"""Pairs of files: file i of one list belongs to file i of another."""

import os
import re
from collections.abc import Sequence
from itertools import product, takewhile
from pathlib import Path
from typing import NamedTuple

from cotrain.data.file_names import common_length
from cotrain.data.manifests import Item
from cotrain.errors import InputError
from cotrain.words import counted

# Of a name: a number, a word, or what separates them.
PARTS = re.compile(r"\d+|[^\W\d_]+|[\W_]")


class Pairing(NamedTuple):
    """Which names of two sets belong together.

    `partners` holds for each name of the first set the place of its partner in the second, or None. `lonely`
    are the places of names of the second set that are no partner. `is_exact` says that partners have the same
    name.
    """

    partners: list[int | None]
    lonely: list[int]
    is_exact: bool


def pair_names(first: Sequence[str], second: Sequence[str]) -> Pairing:
    """Pair the names of two sets, in each of which they differ.

    Names are compared as they are, then without what all names of a set end with, and then also without what
    all begin with after their folders: `a_photo` and `a_label` belong together, and so do `img_10` and
    `label_10`. Only whole numbers and words are left out, and never other numbers of one set than of the
    other: `1` and `2` have nothing to do with `11` and `12`. Of these ways the one that finds most partners
    counts, and of several the first.
    """
    pairings = []
    for with_end, with_beginning in ((True, True), (False, True), (False, False)):
        (ours, left_out), (theirs, left_out_there) = (
            _shortened(names, with_end, with_beginning) for names in (first, second)
        )
        if left_out <= left_out_there or left_out_there <= left_out:
            places = {name: place for place, name in enumerate(theirs)}
            partners = [places.get(name) for name in ours]
            found = set(partners)
            lonely = [place for place in range(len(theirs)) if place not in found]
            pairings.append(Pairing(partners, lonely, with_end))
    return min(pairings, key=lambda pairing: len(pairing.lonely))


def _shortened(names: Sequence[str], with_end: bool, with_beginning: bool) -> tuple[list[str], set[str]]:
    """Return names without their common end and beginning, and the numbers in what was left out.

    They still differ: what is left out is the same in all of them.
    """
    rows = [tuple(PARTS.findall(name)) for name in names]
    left_out: tuple[str, ...] = ()
    if not with_end:
        end = common_length([row[::-1] for row in rows])
        left_out += rows[0][len(rows[0]) - end :]
        rows = [row[: len(row) - end] for row in rows]
    starts = [0] * len(rows)
    beginning = 0
    if not with_beginning:
        starts = [len(row) - row[::-1].index("/") if "/" in row else 0 for row in rows]
        stems = [row[start:] for row, start in zip(rows, starts, strict=True)]
        beginning = common_length(stems)
        left_out += stems[0][:beginning]
    kept = [
        "".join((*row[:start], *row[start + beginning :])) for row, start in zip(rows, starts, strict=True)
    ]
    return kept, {part for part in left_out if part.isdecimal()}


def check_pairs(
    items: Sequence[Item],
    pairs: Sequence[Item],
    manifests: tuple[Path, Path],
    one_size: bool,
    whole: bool = True,
) -> None:
    """Check that image i of `items` can show the scene of image i of `pairs`.

    `manifests` are the files that list them, for messages. Sizes are compared where `one_size` is true:
    labels then pass from one image of a pair to the other, pixel by pixel. Names are compared where `whole`
    is true, as `check_order` does. A few images drawn from two lists are not `whole`: their names may look
    exchanged by chance where those of the lists do not.

    Raises:
        InputError: the lists differ in length or in their order, or the images of a pair differ in size.
    """
    if len(items) != len(pairs):
        raise InputError(
            f"{manifests[0]} lists {counted(len(items), 'image')}, {manifests[1]} {len(pairs)}; expected "
            "equally many, because image i of one is the pair of image i of the other"
        )
    if whole:
        ours, theirs = (
            # The first line of a manifest names its columns.
            [(item.image, f"{manifest}:{line}") for line, item in enumerate(listed, start=2)]
            for manifest, listed in zip(manifests, (items, pairs), strict=True)
        )
        check_order(ours, theirs)
    for item, pair in zip(items, pairs, strict=True):
        if one_size and (item.width, item.height) != (pair.width, pair.height):
            raise InputError(
                f"{item.image} is {item.width}×{item.height}, its pair {pair.image} "
                f"{pair.width}×{pair.height}; expected one size, because labels pass from one to the other "
                "pixel by pixel"
            )


def check_labels(items: Sequence[Item], manifest: Path) -> None:
    """Refuse a manifest in which images and labels are in different orders, as `check_order` says it."""
    images, labels = [], []
    # The first line names the columns.
    for line, item in enumerate(items, start=2):
        if item.label:
            images.append((item.image, f"{manifest}:{line}"))
            labels.append((item.label, f"{manifest}:{line}"))
    if images:
        check_order(images, labels)


def check_order(first: Sequence[tuple[Path, str]], second: Sequence[tuple[Path, str]]) -> None:
    """Refuse two lists of equally many files whose names say that they are in different orders.

    What all paths of a list have in common is left out, so `images/s0.png` and `labels/s0_L.png` have the
    same key, and so have `frame_7/image.png` and `007.png`. Lists are refused if their keys are the same in
    another order. If their names have nothing to do with each other, nothing can be said, and they are
    accepted.

    Args:
        first, second: paths, and where each is listed ("LIST:LINE"), for the message.

    Raises:
        InputError: names the first files that do not belong together, and the one that is expected.
    """
    paths, others = ([_without_suffix(str(path)) for path, _ in listed] for listed in (first, second))
    misplaced: tuple[int, int] | None = None
    # Folders may be named in another way than files, and numbers may have another width.
    for with_folders, loosely in product((True, False), (False, True)):
        ours, theirs = (_keys(listed, with_folders, loosely) for listed in (paths, others))
        if ours == theirs:
            if len(set(ours)) == len(ours):
                return
        elif misplaced is None and sorted(ours) == sorted(theirs):
            place = next(place for place, key in enumerate(ours) if key != theirs[place])
            misplaced = place, theirs.index(ours[place])
    if misplaced is None:
        return
    place, partner = misplaced
    raise InputError(
        f"{_located(*first[place])} is paired with {_located(*second[place])}; expected "
        f"{_located(*second[partner])}. By their names, both lists hold the same in another order; bring "
        "them into one order"
    )


def _located(path: Path, origin: str) -> str:
    # The origin of a file in a folder is the file itself.
    return origin if origin == str(path) else f"{origin}: {path}"


def _keys(paths: Sequence[str], with_folders: bool, loosely: bool) -> list[str]:
    """Return what tells each path from the others of its list; paths come without suffix."""
    # Folders that all have in common say nothing, and as texts of their own they would take much memory.
    first, last = (path.split("/")[:-1] for path in (min(paths), max(paths)))
    shared = takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    start = sum(len(folder) + 1 for folder, _ in shared)
    rows = [path[start:].split("/") if with_folders else [path.rpartition("/")[2]] for path in paths]
    # Folders that lie at different depths cannot be compared one by one.
    columns = list(zip(*rows, strict=True)) if len({len(row) for row in rows}) == 1 else [paths]
    varying = [_varying_part(column) for column in columns if min(column) != max(column)]
    keys = ["/".join(parts) for parts in zip(*varying, strict=True)] or [""] * len(paths)
    return [_loose(key) for key in keys] if loosely else keys


def _without_suffix(path: str) -> str:
    stem, suffix = os.path.splitext(path)
    # The end of "frame.001" is no kind of file but a number.
    return path if suffix[1:].isdigit() else stem


def _varying_part(texts: Sequence[str]) -> list[str]:
    """Return the texts without their common beginning and end."""
    start = _common_length(texts)
    backwards = [text[start:][::-1] for text in texts]
    end = _common_length(backwards)
    return [text[end:][::-1] for text in backwards]


def _common_length(texts: Sequence[str]) -> int:
    """Return how long the common beginning is; numbers are not cut: of "s10" and "s11" it is "s".

    Without their tens, frames 10 and 11 of one list would look like frames 20 and 21 of another.
    """
    beginning = texts[0][: common_length(texts)]
    end = len(beginning)
    if beginning[-1:].isdigit() and any(text[end : end + 1].isdigit() for text in texts):
        beginning = beginning.rstrip("0123456789")
    return len(beginning)


def _loose(key: str) -> str:
    """Return a key without leading zeros and capitals, and with one kind of separator."""
    return re.sub(r"[\W_]+", "_", re.sub(r"(?<!\d)0+(?=\d)", "", key.casefold()))
