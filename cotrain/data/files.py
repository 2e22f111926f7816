"""Writing files so that they appear complete or not at all, and other tools for files."""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from cotrain.errors import InputError

# Locks of this process: a file that nobody refers to would be closed, and its lock released.
_HELD: list[IO[str]] = []


@contextmanager
def written_whole(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is renamed to `path`, on failure it is removed.

    A missing folder is created. The temporary path has the suffix of `path`, for libraries that choose the
    format by the suffix.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.stem}.{os.getpid()}.partial{target.suffix}")
    try:
        yield temporary
        # The bytes reach the disk before the name does, so a power cut leaves no empty file with that name.
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, target)
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        temporary.unlink(missing_ok=True)


def hold_until_exit(path: str | os.PathLike[str], message: str) -> None:
    """Take a lock that lasts until this process ends, in whatever way; InputError if another has it.

    `message` begins the text of the error, the path of the lock file ends it.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    file = open(path, "w")  # noqa: SIM115 (closed by the end of the process)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise InputError(f"{message} ({path})") from None
    _HELD.append(file)


def remove_partial(path: str | os.PathLike[str]) -> None:
    """Remove the unfinished versions of `path` that killed processes left behind.

    Do not call it for a file that another process may be writing. The stem of `path` may be "*" for all files
    of a folder with its suffix.
    """
    target = Path(path)
    for leftover in target.parent.glob(f".{target.stem}.*.partial{target.suffix}"):
        leftover.unlink(missing_ok=True)


def refuse_overwriting(outputs: Iterable[Path], inputs: Iterable[Path]) -> None:
    """Raise InputError if one of the files to write is also one of the files to read.

    A link counts as another file than its target, because writing replaces the link.
    """
    input_paths = {_located(path) for path in inputs}
    for path in outputs:
        if _located(path) in input_paths:
            raise InputError(
                f"--output: {path} is also an input and would be overwritten; expected another folder"
            )


def _located(path: Path) -> str:
    return os.path.join(os.path.realpath(path.parent), path.name)


def link(path: Path, to: Path) -> None:
    """Make `path` a symbolic link to `to`; it replaces a file or link with that name.

    A missing folder is created.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        temporary.symlink_to(to)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` as UTF-8 with Unix line ends."""
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: str | os.PathLike[str], content: Any) -> None:
    """Write `content` as indented JSON; keys keep their order."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def sha256_of(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file's bytes as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
