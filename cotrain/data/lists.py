"""List files, one path a line, and folders of files."""

import os
from collections import Counter
from collections.abc import Sequence
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


def read_folder(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    """Return the files of a folder with one of `suffixes` (in small letters), sorted, hidden ones left out.

    Raises InputError if there is none, or if two differ in their suffix alone.
    """
    found = (path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    files = sorted(path for path in found if path.suffix.lower() in suffixes)
    if not files:
        raise InputError(f"{folder}: holds no image, expected {' or '.join(suffixes)} files")
    twice = [stem for stem, count in Counter(path.stem for path in files).items() if count > 1]
    if twice:
        raise InputError(f"{folder}: two images are named {twice[0]}, what is made of them would be one file")
    return files


def _unquoted(entry: str) -> str:
    quoted = len(entry) >= 2 and entry[0] == entry[-1] and entry[0] in "\"'"
    return entry[1:-1] if quoted else entry
