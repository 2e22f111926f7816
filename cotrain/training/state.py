"""Training state that survives however the process ends.

No workflow rule declares the state's folder, because a workflow manager removes what a killed job declares.
This has two dangers. The folder may hold the state of other settings: a fingerprint identifies it. A process
left over from a killed run may still be training there: a lock refuses the second one.
"""

import fcntl
import hashlib
import json
import logging
import os
import signal
from pathlib import Path
from types import FrameType, TracebackType
from typing import IO, Any, cast

import torch

from cotrain.data.files import make_folder, written_whole
from cotrain.errors import InputError
from cotrain.progress import PROGRESS_NOTE

logger = logging.getLogger("cotrain")

# Part of every fingerprint: raised when the same settings begin to mean another training or another state.
STATE_FORMAT = 4


def fingerprint(content: Any) -> str:
    """Return a hash of everything that decides the trained weights; `content` is JSON types."""
    text = json.dumps([STATE_FORMAT, content], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


class TrainingState:
    """The resumable state of one training; use as a context manager.

    A save is what `torch.save` writes, followed by the SHA-256 of it. Without this, damage inside a tensor
    would go unseen, because torch checks no sums.

    Args:
        folder: holds the state: `lock`, `last.pt` and, one save older, `previous.pt`.
        identity: the fingerprint of the training; a state with another one is discarded, with a message.

    Raises:
        InputError: another process is training here.
    """

    def __init__(self, folder: Path, identity: str) -> None:
        self.folder, self.identity = folder, identity
        self.last, self.previous = folder / "last.pt", folder / "previous.pt"
        self._last_is_whole = False

    def __enter__(self) -> "TrainingState":
        make_folder(self.folder)
        self._lock = open(self.folder / "lock", "a+")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.seek(0)
            holder = self._lock.read().strip() or "unknown"
            self._lock.close()
            raise InputError(
                f"{self.folder}: another process ({holder}) is training this model, perhaps left over from a "
                "run that was killed; wait until it has ended, or end it (on Slurm: squeue, scancel), then "
                "start again"
            ) from None
        # Files that a killed process left half written. This process has the lock, so nobody is writing them.
        for partial in self.folder.glob(".*.partial*"):
            partial.unlink()
        self._lock.truncate(0)
        job = os.environ.get("SLURM_JOB_ID")
        of_job = f", Slurm job {job}" if job else ""
        self._lock.write(f"process {os.getpid()} on {os.uname().nodename}{of_job}\n")
        self._lock.flush()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.close()

    def save(self, content: dict[str, Any]) -> None:
        """Save; the save before it is kept too, in case this one is damaged.

        At every moment one whole save of this training has its name. Raises InputError on a full disk.
        """
        if self._last_is_whole:
            # What cannot be used must not take the place of a save that can.
            os.replace(self.last, self.previous)
            self._last_is_whole = False
        with written_whole(self.last) as temporary, open(temporary, "wb") as file:
            hashed = _Hashed(file)
            torch.save({**content, "identity": self.identity}, cast(IO[bytes], hashed))
            file.write(hashed.digest())
        self._last_is_whole = True

    def load(self) -> dict[str, Any] | None:
        """Return the last save that can be used, or None to start from the beginning."""
        for path in (self.last, self.previous):
            if not path.exists():
                continue
            try:
                content = self._read(path)
            # A file can be damaged in any way, and torch fails in as many. None may stop every start.
            except Exception:
                logger.warning("%s is damaged, or of an earlier version of cotrain; it is not used", path)
                continue
            if isinstance(content, dict) and content.get("identity") == self.identity:
                self._last_is_whole = path == self.last
                return content
            logger.info("%s belongs to other settings, data or weights; it is not used", path)
        (self.folder / PROGRESS_NOTE).unlink(missing_ok=True)
        return None

    def _read(self, path: Path) -> Any:
        """Return what `save` wrote; any error if it is not whole."""
        with open(path, "rb") as file:
            if not is_whole(file):
                raise ValueError("its bytes do not have the SHA-256 that they end with")
            file.seek(0)
            return torch.load(file, map_location="cpu", weights_only=True)

    def note_progress(self, iteration: int, seconds_an_iteration: float) -> None:
        """Say how far the training is, for whoever tells the time that a run takes; nothing depends on it."""
        note = {"iteration": iteration, "seconds_an_iteration": round(seconds_an_iteration, 6)}
        # Not through `written_whole`: waiting for the disk would cost more than the note is worth.
        temporary = self.folder / ".progress.partial.json"
        try:
            temporary.write_text(json.dumps(note) + "\n", encoding="utf-8")
            os.replace(temporary, self.folder / PROGRESS_NOTE)
        # Where there is no room, the next save says so, and better.
        except OSError:
            temporary.unlink(missing_ok=True)


class _Hashed:
    """A file for `torch.save` that also hashes what is written, so that nothing has to be read again."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._sum = file, hashlib.sha256()

    def write(self, content: bytes | memoryview) -> int:
        self._sum.update(content)
        return self._file.write(content)

    def flush(self) -> None:
        self._file.flush()

    def digest(self) -> bytes:
        return self._sum.digest()


def is_whole(file: IO[bytes]) -> bool:
    """Return whether an opened save has the SHA-256 that it ends with."""
    length = os.fstat(file.fileno()).st_size - hashlib.sha256().digest_size
    return _digest(file, length) == file.read()


def _digest(file: IO[bytes], length: int) -> bytes:
    """Return the SHA-256 of the next `length` bytes of a file, or of those that are there."""
    total = hashlib.sha256()
    while length > 0 and (part := file.read(min(length, 1 << 20))):
        total.update(part)
        length -= len(part)
    return total.digest()


class StopRequest:
    """Turns SIGTERM, SIGINT and SIGUSR1 into a flag, so that the loop can save before it ends.

    `number` is the signal's number, or 0. Use as a context manager.
    """

    SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)

    def __init__(self) -> None:
        self.number = 0

    def __enter__(self) -> "StopRequest":
        self._before = {number: signal.signal(number, self._receive) for number in self.SIGNALS}
        return self

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.number = number

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


class Stopped(Exception):  # noqa: N818 (a request, not an error)
    """The training was asked to stop and has saved its state; `number` is the signal's."""

    def __init__(self, number: int, iteration: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name} at iteration {iteration}, state saved")
        self.number = number
