"""Writing files so that they appear complete or not at all, and other tools for files."""

import contextlib
import errno
import fcntl
import glob
import hashlib
import io
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from cotrain.errors import FAULTS_OF_THE_MACHINE, InputError

if TYPE_CHECKING:
    import numpy.typing as npt

# With less than these bytes free a disk counts as full: no block of a file fits.
FULL = 4096

# What a new file may not be: the process's umask. It can only be read by setting it, here before any thread.
UMASK = os.umask(0)
os.umask(UMASK)
# Bytes of a stem in a temporary name.
LONGEST_STEM = 200

# Locks of this process: a file that nobody refers to would be closed, and its lock released.
_HELD: list[IO[str]] = []


@contextmanager
def written_whole(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is renamed to `path`, on failure it is removed.

    A missing folder is created. The temporary path has the suffix of `path`, for libraries that choose the
    format by the suffix. What is written to it must fail loudly: NumPy's `tofile` and `save` and Pillow's
    `save` may lose the error of the last bytes on a full disk, so give them memory and write that.

    Raises InputError if the folder cannot be made or written, and if the disk is full.
    """
    target = Path(path)
    temporary = _temporary(target)
    try:
        make_folder(target.parent)
        yield temporary
        # The bytes reach the disk before the name does, so a power cut leaves no empty file with that name.
        with open(temporary, "rb+") as file:
            if not os.fstat(file.fileno()).st_mode & 0o077:
                # safetensors lets only the owner read what it writes, whatever the umask says.
                os.fchmod(file.fileno(), 0o666 & ~UMASK)
            os.fsync(file.fileno())
        os.replace(temporary, target)
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except Exception as error:
        if reason := _reason_of_disk(error, target.parent):
            raise InputError(f"{target}: cannot be written: {reason}") from error
        raise
    finally:
        # A folder that is none, or cannot be searched, holds no temporary file.
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it; InputError if that is not possible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        check_folder(folder)
        raise _cannot_be_made(folder, error) from error


def check_folder(folder: Path) -> None:
    """Raise InputError if this folder cannot be made, or if nothing can be written into it.

    For example, a file, or a link to nothing, is where it or one above it has to be. Nothing is left there.
    """
    for path in (folder, *folder.parents):
        if os.path.lexists(path):
            if path.is_dir():
                try:
                    os.rmdir(tempfile.mkdtemp(prefix=".cotrain-", dir=path))
                except OSError as error:
                    if reason := _reason_of_disk(error, path):
                        raise InputError(f"{folder}: cannot be written: {reason}") from error
                    raise _cannot_be_made(folder, error) from error
                return
            if path.is_symlink():
                found = f"a link to {os.readlink(path)}, which is not there: is its disk mounted?"
            else:
                found = "a file; move it away, or take another place"
            raise InputError(f"{folder}: the folder cannot be made: {path} is {found}")


def nearest_existing(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that exists: the disk on which it is or will be made."""
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())


def _cannot_be_made(folder: Path, error: OSError) -> InputError:
    return InputError(f"{folder}: the folder cannot be made ({os.strerror(error.errno or 0)})")


def _reason_of_disk(error: BaseException, folder: Path) -> str:
    """Return why a file could not be written if that is the fault of the disk or its rights, else ""."""
    if isinstance(error, InputError):
        return ""
    number = error.errno if isinstance(error, OSError) else None
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{folder} {FAULTS_OF_THE_MACHINE[number]}"
    if number in (errno.ENAMETOOLONG, errno.EDQUOT):
        return FAULTS_OF_THE_MACHINE[number]
    # Libraries have errors of their own for it, so a disk without any space counts, whatever the error says.
    # A disk of no size at all is one of the kernel's own, such as /proc.
    disk = shutil.disk_usage(folder) if folder.is_dir() else None
    is_full = number == errno.ENOSPC or "No space left" in str(error)
    is_full |= disk is not None and disk.total > 0 and disk.free < FULL
    return FAULTS_OF_THE_MACHINE[errno.ENOSPC] if is_full else ""


def write_bytes(path: str | os.PathLike[str], content: bytes | memoryview) -> None:
    """Write a whole file of these bytes."""
    with written_whole(path) as temporary:
        temporary.write_bytes(content)


def write_array(path: str | os.PathLike[str], array: "npt.NDArray[Any]") -> None:
    """Write an array as an .npy file."""
    # Here, since every step reads this module as it starts.
    import numpy as np

    memory = io.BytesIO()
    np.save(memory, array)
    write_bytes(path, memory.getbuffer())


def hold_until_exit(path: str | os.PathLike[str], message: str) -> None:
    """Take a lock that lasts until this process ends, in whatever way; InputError if another has it.

    `message` begins the text of the error, the path of the lock file ends it.
    """
    make_folder(Path(path).parent)
    try:
        file = open(path, "w")  # noqa: SIM115 (closed by the end of the process)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({os.strerror(error.errno or 0)})") from error
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
    stem = target.stem if target.stem == "*" else glob.escape(_short(target.stem))
    for leftover in target.parent.glob(f".{stem}.*.partial{glob.escape(target.suffix)}"):
        leftover.unlink(missing_ok=True)


def _temporary(target: Path) -> Path:
    return target.with_name(f".{_short(target.stem)}.{os.getpid()}.partial{target.suffix}")


def _short(stem: str) -> str:
    """Return a stem that leaves room for what a temporary name adds, within the 255 bytes of a file name."""
    name = os.fsencode(stem)
    if len(name) <= LONGEST_STEM:
        return stem
    return hashlib.sha256(name).hexdigest()


def refuse_overwriting(outputs: Iterable[Path], inputs: Iterable[Path], flag: str = "--output") -> None:
    """Raise InputError if one of the files to write, by `flag`, is also one of the files to read.

    A link counts as another file than its target, because writing replaces the link.
    """
    outputs = list(outputs)
    # Only equal names can be one file, and to locate each of a million files takes 14 s.
    names = {path.name for path in outputs}
    input_paths = {_located(path) for path in inputs if path.name in names}
    for path in outputs:
        if _located(path) in input_paths:
            raise InputError(
                f"{flag}: {path} is also an input and would be overwritten; expected another place"
            )


def _located(path: Path) -> str:
    return os.path.join(os.path.realpath(path.parent), path.name)


def link(path: Path, to: Path) -> None:
    """Make `path` a symbolic link to `to`; it replaces a file or link with that name.

    A missing folder is created.
    """
    make_folder(path.parent)
    temporary = _temporary(path)
    try:
        temporary.symlink_to(to)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def link_or_copy(path: Path, to: Path) -> None:
    """Make `path` another name of the file `to`, or a copy where the file system has one name for a file.

    Its folder must be there. It replaces a file with that name.
    """
    temporary = _temporary(path)
    try:
        os.link(to, temporary)
    except OSError:
        write_bytes(path, to.read_bytes())
        return
    try:
        os.replace(temporary, path)
    finally:
        # It stays where both were names of one file already.
        temporary.unlink(missing_ok=True)


def portable(path: Path) -> str:
    """Return a path as text that stays true when the working folder is moved with all that is in it.

    It is relative to the working folder if it lies below it, else absolute.
    """
    # Not resolve(): a link to a data store is named as the user wrote it.
    absolute, folder = Path(os.path.abspath(path)), Path.cwd()
    return str(absolute.relative_to(folder)) if absolute.is_relative_to(folder) else str(absolute)


def write_text(path: str | os.PathLike[str], text: str | Iterable[str]) -> None:
    """Write `text` as UTF-8 with Unix line ends; parts of a long text are written one after the other."""
    with written_whole(path) as temporary, open(temporary, "w", encoding="utf-8", newline="\n") as file:
        file.writelines([text] if isinstance(text, str) else text)


def write_json(path: str | os.PathLike[str], content: Any) -> None:
    """Write `content` as indented JSON; keys keep their order."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def sha256_of(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file's bytes as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
