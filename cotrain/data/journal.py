"""Which files a step has finished, and from what each was made: an interrupted run goes on from there."""

import json
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any


class Journal:
    """A file with one line of JSON for each finished piece of work. Use it as a context manager.

    A piece has a name, the `content` that it was made from (values of JSON) and the files that it wrote.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = Lock()
        # As text: parsed, a line takes five times as much memory.
        self.done: dict[str, str] = {}
        if path.exists():
            # The last line of a killed run may be half a line. What a line says is only compared with what is
            # to be made, see `holds`: it names no file. For a line of another kind the work is done again.
            with open(path, encoding="utf-8", errors="replace") as file:
                for line in file:
                    try:
                        entry = json.loads(line)
                        self.done[entry["name"]] = _comparable(entry)
                    except (ValueError, TypeError, KeyError, RecursionError):
                        continue

    def __enter__(self) -> "Journal":
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.file = open(self.path, "a", encoding="utf-8")
        # Half a line must not run into the next one.
        self.file.write("\n")
        return self

    def __exit__(self, *error: object) -> None:
        self.file.close()

    def holds(self, name: str, content: dict[str, Any], files: Sequence[Path]) -> bool:
        """Return whether `files` are there as they were written, made from `content`."""
        try:
            return self.done.get(name) == _comparable(_entry(name, content, files))
        except OSError:
            return False

    def add(self, name: str, content: dict[str, Any], files: Sequence[Path]) -> None:
        """Note that a piece of work is finished, after its files are written; called from threads."""
        line = json.dumps(_entry(name, content, files))
        with self.lock:
            self.file.write(line + "\n")
            self.file.flush()


def _entry(name: str, content: dict[str, Any], files: Sequence[Path]) -> dict[str, Any]:
    """Return the entry of a piece of work; OSError if one of its files is missing."""
    return {"name": name, **content, "bytes": [file.stat().st_size for file in files]}


def _comparable(entry: dict[str, Any]) -> str:
    return json.dumps(entry, sort_keys=True)
