"""Images that a user names: which ones of a list are meant."""

import difflib
import os
from collections.abc import Sequence
from pathlib import Path

from cotrain.data.manifests import Item
from cotrain.errors import InputError


def places_of(names: Sequence[str], items: Sequence[Item], manifest: Path, key: str) -> list[int]:
    """Return the place of each named image in `items`, which are those of `manifest`.

    A name is the id of an image, or its path, or the end of it: the name of its file, or with some folders.
    `key` says in messages where the names come from. Raises InputError for a name that no image has, for one
    that several have, and for two names of one image.
    """
    by_id = {item.id: place for place, item in enumerate(items)}
    by_file: dict[str, list[int]] = {}
    for place, item in enumerate(items):
        by_file.setdefault(item.image.name, []).append(place)
    places: dict[int, str] = {}
    for name in names:
        place = by_id[name] if name in by_id else _place_of_path(name, items, by_file, manifest, key)
        if place in places:
            raise InputError(f"{key}: {places[place]!r} and {name!r} are one image, expected each once")
        places[place] = name
    return list(places)


def _place_of_path(
    name: str, items: Sequence[Item], by_file: dict[str, list[int]], manifest: Path, key: str
) -> int:
    file = Path(name).name
    ends = {Path(name).parts, Path(os.path.abspath(name)).parts}
    found = [
        place
        for place in by_file.get(file, [])
        if any(items[place].image.parts[-len(end) :] == end for end in ends if end)
    ]
    if len(found) > 1:
        one, other = (items[place].image for place in found[:2])
        raise InputError(
            f"{key}: {name!r} is the name of {len(found)} images of {manifest}, such as {one} and {other}; "
            "expected one: add folders to it"
        )
    if not found:
        known = [*by_file, *(item.id for item in items)]
        close = difflib.get_close_matches(file, known, 1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise InputError(
            f"{key}: {name!r} is none of the {len(items)} images of {manifest}{hint}; expected the name or "
            "the path of one of them"
        )
    return found[0]
