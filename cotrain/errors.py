"""The exception that tells users what to change, and faults of the machine in words."""

import errno
import json
import os
import re

# What a step cannot do anything about, in words; other errors of the system are defects of ours.
FAULTS_OF_THE_MACHINE = {
    errno.ENOSPC: "the disk is full; free some space and give the same command again",
    errno.EDQUOT: "the quota of this disk is used up; free some space and give the same command again",
    errno.EACCES: "may not be read or written; change its rights",
    errno.EPERM: "may not be read or written; change its rights",
    errno.EROFS: "lies on a disk that is mounted for reading only; choose another folder",
    errno.ENOENT: "is missing",
    errno.EISDIR: "is a folder, expected a file",
    errno.ENOTDIR: "lies below a file, expected a folder there",
    errno.EEXIST: "is a file, expected a folder",
    errno.EIO: "the disk has an error; check it, and restore the file",
    errno.ESTALE: "its network disk has lost it; mount it again",
    errno.ENAMETOOLONG: "the name is too long; file systems allow 255 bytes for each part of a path",
    errno.EMFILE: "too many files are open; raise the limit with `ulimit -n 4096`",
}
# What is expected where the parser of JSON stops, by its own words.
EXPECTED_IN_JSON = {
    "property name": "a key in double quotes",
    "Expecting value": "a value: text in double quotes, a number, true, false, null, a list or a section",
    "',' delimiter": "a comma or a closing bracket",
    "':' delimiter": "a colon",
    "escape": "\\\\ for a \\ in quotes",
    "Extra data": "the end of the file",
    "trailing comma": "no comma before a closing bracket",
    "BOM": "a file without a byte order mark",
}


class InputError(Exception):
    """An error in what the user provided: a file, a configuration key or a flag.

    The message names the file (and line) or key, what was found and what was expected.
    Steps print only the message, without a traceback, and exit with status 2.
    """


def fault_of_json(error: json.JSONDecodeError) -> str:
    """Return in which line a text is no JSON, what is there and what is expected."""
    if not error.doc.strip():
        return "it is empty"
    place = f"line {error.lineno} is not valid JSON"
    if "Unterminated" in error.msg or "control character" in error.msg:
        return f"{place}: found a quote that is not closed in the same line"
    rest = error.doc[error.pos :].split("\n")[0].strip()
    if not error.doc[error.pos :].strip():
        return f"{place}: found the end of the file before all brackets are closed"
    expected = next(
        (words for theirs, words in EXPECTED_IN_JSON.items() if theirs in error.msg), "other signs"
    )
    return f"{place}: found {beginning_of(rest)}, expected {expected}"


def beginning_of(text: str) -> str:
    """Return a text of a file in quotes, as it is written there, long ones cut."""
    return repr(text if len(text) <= 40 else f"{text[:40]}…").replace("\\\\", "\\")


def reason(error: Exception) -> str:
    """Return in words why a file could not be read, without the text of the library that tried.

    That is the system's reason, such as "No such file or directory", or what is wrong with the content.
    """
    if isinstance(error, OSError) and error.errno:
        # Not `strerror`: HDF5 fills it with a text of its own.
        return os.strerror(error.errno)
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8 text"
    if isinstance(error, json.JSONDecodeError):
        return fault_of_json(error)
    if isinstance(error, KeyError) and re.fullmatch(r"\w+", str(error.args[0])):
        return f"it lacks {error.args[0]!r}"
    return "it is damaged, or its content is of another kind"
