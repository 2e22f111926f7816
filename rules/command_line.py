"""What each profile looks at before Snakemake does anything: its command line, and the working folder.

Most of it Snakemake itself would end in a traceback.
"""

import argparse
import difflib
import os
import re
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from cotrain.configuration.reading import read_mapping
from cotrain.data.files import check_folder, nearest_existing
from cotrain.errors import InputError
from workflow_scripts import say_interrupted

ENDINGS = (".yaml", ".yml", ".json")
A_FILE = "a file of keys and values such as 'run: demo'"
# Snakemake's own notes on a run of some hundred jobs, and the lists of images.
LEAST_FREE_BYTES = 20 << 20


def check_command_line(arguments: argparse.Namespace) -> None:
    """End with one line on the terminal at the first mistake."""
    # Snakemake catches Ctrl-C only while jobs run.
    sys.excepthook = say_interrupted
    try:
        # Where Snakemake keeps its notes.
        check_room(Path(arguments.directory or ".", ".snakemake"))
        check_values(arguments.config or ())
        check_files(arguments.configfile or ())
    except InputError as error:
        sys.exit(str(error))


def check_room(folder: Path) -> None:
    """Raise InputError if the folder cannot be made or written, or if its disk is nearly full.

    What a run needs in all is checked as soon as its images are counted, before its first job.
    """
    check_folder(folder)
    free = shutil.disk_usage(nearest_existing(folder)).free
    if free < LEAST_FREE_BYTES:
        raise InputError(
            f"{folder.absolute()}: its disk has {free / 1e6:.0f} MB free, expected at least "
            f"{LEAST_FREE_BYTES / 1e6:.0f} MB to begin with; free some space"
        )


def check_values(entries: Iterable[str]) -> None:
    """Raise InputError unless each word of `--config` sets a key or a section."""
    for entry in entries:
        name, equals, _ = entry.partition("=")
        if "." in name:
            section, _, key = name.rpartition(".")
            raise InputError(
                f"--config {entry}: found the key {key!r} of the section {section!r}, expected KEY=VALUE of "
                "a key in no section, such as run=mine; give others in a file with --configfile"
            )
        if not equals or not re.fullmatch(r"[a-zA-Z_][\w-]*\w", name):
            raise InputError(f"--config {entry}: expected KEY=VALUE, such as run=mine")


def check_files(paths: Iterable[Path]) -> None:
    """Raise InputError for a file of `--configfile` that is missing, has no keys or cannot be read."""
    for path in paths:
        # Of an empty text.
        if path == Path():
            raise InputError(f"--configfile: found no name, expected {A_FILE}")
        if path.is_dir():
            raise InputError(f"--configfile {path}: is a folder, expected {A_FILE}")
        if not os.path.exists(path):
            raise InputError(f"--configfile {path}: there is no such file{_hint(path)}")
        if not read_mapping(path):
            raise InputError(f"--configfile {path}: holds no key, expected {A_FILE}")


def _hint(path: Path) -> str:
    """Return what the user may have meant."""
    if path.suffix not in ENDINGS:
        return "; every word after --configfile is read as a file, so put targets before it"
    if not path.parent.is_dir():
        return f", nor a folder {path.parent}"
    names = [file.name for file in path.parent.iterdir() if file.suffix in ENDINGS]
    close = difflib.get_close_matches(path.name, names, 1)
    return (
        f"; did you mean {path.parent / close[0]}?"
        if close
        else f"; it was looked for in {path.parent.absolute()}"
    )
