"""What each profile looks at before Snakemake reads the files of `--configfile`."""

import difflib
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from cotrain.configuration.reading import read_mapping
from cotrain.errors import InputError

ENDINGS = (".yaml", ".yml", ".json")


def refuse_faulty_files(paths: Iterable[Path] | None) -> None:
    """End with one line on the terminal at the first file that is missing or has a fault."""
    for path in paths or ():
        try:
            if not os.path.exists(path):
                raise InputError(f"--configfile {path}: there is no such file{_hint(path)}")
            read_mapping(path)
        except InputError as error:
            sys.exit(str(error))


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
