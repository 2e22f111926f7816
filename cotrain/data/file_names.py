"""Names from content that become names of files: ids of images, names of classes. None leads elsewhere."""

import hashlib
import unicodedata
from collections.abc import Sequence

# File systems allow 255 bytes. The rest is for what follows an id: "@03" for each round that adds the image
# again, "_gtFine_labelTrainIds.png".
LONGEST_NEW_NAME = 160
LONGEST_NAME = 220
HASH_DIGITS = 8


def fault_of_name(name: str) -> str:
    """Return why a text may not name a file in a folder that is given, "" if it may.

    It must be one part of a path, not hidden, of printable characters, and short enough.
    """
    if not name:
        return "is empty"
    if "/" in name or "\0" in name:
        return "holds '/' or a zero byte, which no file name may"
    if name.startswith("."):
        return "begins with a dot, as hidden files and '..' do"
    if not _is_plain(name):
        return "holds a tab, a line end or another control character"
    try:
        number = len(name.encode())
    except UnicodeEncodeError:
        return "is not UTF-8 text"
    if number > LONGEST_NAME:
        return f"has {number} bytes, expected at most {LONGEST_NAME}"
    return ""


def is_one_line(text: str) -> bool:
    """Return whether a text stays in its line and cell of a table, and can be written as UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return _is_plain(text)


def in_one_line(text: object) -> str:
    """Return a path or a name for a message: as it is, or in quotes with escapes if it is not one line."""
    return str(text) if is_one_line(str(text)) else repr(str(text))


def repeated(names: Sequence[str]) -> list[list[int]]:
    """Return the places of each name that occurs more than once, in the order of the first ones."""
    places: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        places.setdefault(name, []).append(place)
    return [found for found in places.values() if len(found) > 1]


def new_name(wanted: str, longest: int = LONGEST_NEW_NAME) -> str:
    """Return `wanted` if it may name a file, else a name made from it that may: shortened, with a short hash.

    The hash keeps names apart that only differ in what was taken out.
    """
    if not fault_of_name(wanted) and len(wanted.encode()) <= longest:
        return wanted
    digits = hashlib.sha256(wanted.encode(errors="surrogatepass")).hexdigest()[:HASH_DIGITS]
    kept = "".join("_" if _breaks_lines(letter) or letter in "/" else letter for letter in wanted)
    # Half a character at the cut is left out.
    kept = kept.encode(errors="replace")[: longest - HASH_DIGITS - 1].decode(errors="ignore").lstrip(".")
    return f"{kept}~{digits}"


def _is_plain(text: str) -> bool:
    # Printable text holds no such character, and Python knows much faster whether text is printable.
    return text.isprintable() or not any(map(_breaks_lines, text))


def _breaks_lines(letter: str) -> bool:
    return unicodedata.category(letter) in ("Cc", "Zl", "Zp")


def common_length(sequences: Sequence[str] | Sequence[tuple[str, ...]]) -> int:
    """Return how many letters of texts, or parts of tuples, are the same at the beginning of all of them."""
    # What the first and the last in the alphabet have in common, all between them have too.
    first, last = min(sequences), max(sequences)
    pairs = zip(first, last, strict=False)
    return next((place for place, (one, other) in enumerate(pairs) if one != other), len(first))
