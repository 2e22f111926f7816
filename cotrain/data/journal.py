"""Which files a step has finished, and from what each was made: an interrupted run goes on from there."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

from cotrain.data.files import make_folder, sha256_of
from cotrain.threads import map_in_order

THREADS = 8


class Journal:
    """A file with one line of JSON for each finished piece of work. Use it as a context manager.

    A piece has a name, the `content` that it was made from (values of JSON) and the files that it wrote,
    whose SHA-256 is noted.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = Lock()
        # As text: parsed, a line takes five times as much memory.
        self.done: dict[str, str] = {}
        if path.exists():
            # The last line of a killed run may be half a line. What a line says is only compared with what is
            # to be made, see `finished`: it names no file. For a line of another kind the work is done again.
            with open(path, encoding="utf-8", errors="replace") as file:
                for line in file:
                    try:
                        self.done[json.loads(line)["name"]] = line
                    except (ValueError, TypeError, KeyError, RecursionError):
                        continue

    def __enter__(self) -> "Journal":
        make_folder(self.path.parent)
        self.file = open(self.path, "a", encoding="utf-8")
        # Half a line must not run into the next one.
        self.file.write("\n")
        return self

    def __exit__(self, *error: object) -> None:
        self.file.close()

    def finished(self, pieces: Iterable[tuple[str, dict[str, Any], Sequence[Path]]]) -> set[str]:
        """Return the names of those pieces, (name, content, files), whose files are as they were written.

        Their bytes are compared, in threads: a file that was damaged or edited may have its old size, and a
        copied one has another time.
        """
        # Most runs begin without any.
        known = (piece for piece in pieces if piece[0] in self.done)
        return {name for name in map_in_order(self._name_if_held, known, THREADS) if name is not None}

    def _name_if_held(self, piece: tuple[str, dict[str, Any], Sequence[Path]]) -> str | None:
        name, content, files = piece
        entry = json.loads(self.done[name])
        # What was made from something else is not read.
        if {**entry, "sha256": None} != _entry(name, content, None):
            return None
        try:
            return name if entry.get("sha256") == _hashes(files) else None
        except OSError:
            return None

    def content_of(self, name: str) -> dict[str, Any]:
        """Return what the piece of this name was made from when it was last finished; {} if it never was."""
        return {} if name not in self.done else dict(json.loads(self.done[name]))

    def add(self, name: str, content: dict[str, Any], files: Sequence[Path]) -> None:
        """Note that a piece of work is finished, after its files are written; called from threads."""
        line = json.dumps(_entry(name, content, _hashes(files)))
        with self.lock:
            self.file.write(line + "\n")
            self.file.flush()


def _entry(name: str, content: dict[str, Any], hashes: list[str] | None) -> dict[str, Any]:
    # As JSON gives it back: without tuples.
    return json.loads(json.dumps({"name": name, **content, "sha256": hashes}))


def _hashes(files: Sequence[Path]) -> list[str]:
    """Return the SHA-256 of each file; OSError if one is missing."""
    return [sha256_of(file) for file in files]
