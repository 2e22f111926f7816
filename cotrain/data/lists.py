"""List files, with one path per line, and folders of files."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from cotrain.data.file_names import in_one_line, is_one_line, repeated
from cotrain.errors import InputError
from cotrain.words import counted

logger = logging.getLogger("cotrain")

SHOWN = 5
# Of the columns of a table.
SEPARATORS = "\t;,"


def read_list(path: str | Path, root: str | Path | None = None) -> list[tuple[int, Path]]:
    """Return (line number, absolute path) of every entry; line numbers count from 1.

    A line is one path, which may contain spaces. Relative paths lie under `root`, or beside the list if
    `root` is None. Windows line ends, blank lines, a byte-order mark and quotes around a path are accepted.
    Raises InputError if the list is missing, is not UTF-8 text, names no path, or is a table of several
    columns.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: list cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8 text, expected a list with one path per line") from error
    if "\0" in text:
        raise InputError(f"{path}: holds zero bytes, expected a list with one path per line, in UTF-8")
    folder = located(Path(path).parent if root is None else root)
    # Not splitlines(): it also splits at characters that a path may hold.
    entries = [(number, _unquoted(line.strip())) for number, line in enumerate(text.split("\n"), start=1)]
    paths = [(number, Path(located(os.path.join(folder, entry)))) for number, entry in entries if entry]
    if not paths:
        raise InputError(f"{path}: the list is empty, expected one path per line")
    # The last line is never a header.
    last = paths[-1][0]
    columns = _columns(text.split("\n")[last - 1].strip(), folder)
    if columns:
        shown = ", ".join(f"`{column}`" for column in columns[:SHOWN])
        raise InputError(
            f"{path}, line {last}: found {len(columns)} columns, {shown}, expected one path per line and no "
            "header; write each column that is needed into a list of its own"
        )
    return paths


def located(path: str | Path) -> str:
    """Return an absolute path without `..`; behind a link to a folder that means above its target."""
    folder, name = os.path.split(path)
    if name == "..":
        folder, name = str(path), ""
    if ".." in Path(folder).parts:
        folder = os.path.realpath(folder)
    return os.path.abspath(os.path.join(folder, name))


def _columns(line: str, folder: str) -> list[str]:
    """Return the columns of a line of a table; none of a path, which may hold commas itself."""
    if os.path.lexists(os.path.join(folder, _unquoted(line))):
        return []
    for separator in SEPARATORS:
        columns = [_unquoted(column.strip()) for column in line.split(separator)]
        # Not the end of `v1.2`.
        files = [column for column in columns if Path(column).suffix[1:2].isalpha()]
        are_there = any(column and os.path.isfile(os.path.join(folder, column)) for column in columns)
        if len(columns) > 1 and (len(files) > 1 or are_there):
            return columns
    return []


def read_folder(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    """Return the sorted files of a folder as `look_into_folder` does; InputError also for an odd name."""
    files, odd = look_into_folder(folder, suffixes)
    if odd:
        raise InputError(f"{folder}: {odd_name(Path(odd[0].name))}")
    return files


def odd_name(path: Path) -> str:
    """Return what is wrong with a path that is not one line of text, and what to do."""
    return (
        f"the name {str(path)!r} holds a tab or line end, or is not UTF-8 text, so no list can hold it; "
        "rename the file"
    )


def look_into_folder(
    folder: Path, suffixes: Sequence[str], unread: Sequence[str] = ()
) -> tuple[list[Path], list[Path]]:
    """Return the sorted files of a folder with one of `suffixes` (in small letters), without hidden files.

    A link to nothing is among them: whoever opens it says so. Files that no list could hold, because of their
    names, come second. What else lies there is named in the log. `unread` are suffixes that are looked for
    too, and not named where files are expected. Raises InputError if no file is left, and if some differ only
    in their suffix.
    """
    wanted = (*suffixes, *unread)
    visible = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    found = [path for path in visible if _fits(path.name, wanted) and (path.is_file() or not path.exists())]
    if not found:
        raise InputError(
            f"{folder}: holds no image, expected files whose names end in {', '.join(suffixes)}"
            f"{_hint_of_folders(folder, suffixes)}"
        )
    files = [path for path in found if is_one_line(path.name)]
    if same := repeated([path.stem for path in files]):
        pairs = [" and ".join(files[place].name for place in places[:2]) for places in same]
        more = f", and of {counted(len(pairs) - 3, 'other pair')}" if len(pairs) > 3 else ""
        raise InputError(
            f"{folder}: the outputs of {', of '.join(pairs[:3])}{more} would have the same name; rename one "
            "of each, or move it to another folder"
        )
    images = set(found)
    folders = [path for path in visible if path.is_dir()]
    others = [path for path in visible if path not in images and not path.is_dir()]
    for left_out, why in (
        ([path for path in others if not _fits(path.name, wanted)], "by their names no images"),
        ([path for path in others if _fits(path.name, wanted)], "neither files nor folders"),
        (folders, "folders, which are not looked into"),
    ):
        if left_out:
            names = ", ".join(in_one_line(path.name) for path in left_out[:SHOWN])
            more = f" and {len(left_out) - SHOWN} more" if len(left_out) > SHOWN else ""
            logger.info("%s: left out %d, %s: %s%s", folder, len(left_out), why, names, more)
    return files, [path for path in found if not is_one_line(path.name)]


def _fits(name: str, suffixes: Sequence[str]) -> bool:
    return Path(name).suffix.lower() in suffixes


def _hint_of_folders(folder: Path, suffixes: Sequence[str]) -> str:
    """Return which folders below one hold files with one of `suffixes`, and how many; "" if none does."""
    found = []
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        number = sum(_fits(name, suffixes) for name in names if not name.startswith("."))
        if number:
            found.append(f"{in_one_line(parent)} ({number})")
    if not found:
        return ""
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return (
        f"; folders in it are not looked into, and some hold such files: {', '.join(found[:SHOWN])}{more}. "
        "Give one of them"
    )


def _unquoted(entry: str) -> str:
    quoted = len(entry) >= 2 and entry[0] == entry[-1] and entry[0] in "\"'"
    return entry[1:-1] if quoted else entry
