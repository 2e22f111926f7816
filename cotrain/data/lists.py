"""List files: one path a line."""

import os
from pathlib import Path

from cotrain.errors import InputError


def read_list(path: str | Path, root: str | Path | None = None) -> list[tuple[int, Path]]:
    """Return (line number, absolute path) of every entry; line numbers count from 1.

    A line is one path, spaces included; relative paths lie under `root`, or beside the list where none
    is given. Windows line ends, blank lines, a byte-order mark and quotes around a path are fine.
    Raises InputError if the list is missing, is not UTF-8 text, or names no path.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: list cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8 text, expected a list of one path a line") from error
    if "\0" in text:
        raise InputError(f"{path}: holds zero bytes, expected a list of one path a line in UTF-8")
    folder = os.path.abspath(Path(path).parent if root is None else root)
    # Not splitlines(): it also splits at characters that a path may hold.
    entries = [(number, _unquoted(line.strip())) for number, line in enumerate(text.split("\n"), start=1)]
    paths = [
        (number, Path(os.path.abspath(os.path.join(folder, entry)))) for number, entry in entries if entry
    ]
    if not paths:
        raise InputError(f"{path}: the list is empty, expected one path a line")
    return paths


def _unquoted(entry: str) -> str:
    quoted = len(entry) >= 2 and entry[0] == entry[-1] and entry[0] in "\"'"
    return entry[1:-1] if quoted else entry
