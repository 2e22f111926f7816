"""The exception that tells users what to change."""

import json
import os
import re


class InputError(Exception):
    """An error in what the user provided: a file, a configuration key or a flag.

    The message names the file (and line) or key, what was found and what was expected.
    Steps print only the message, without a traceback, and exit with status 2.
    """


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
        return f"line {error.lineno} is not valid JSON"
    if isinstance(error, KeyError) and re.fullmatch(r"\w+", str(error.args[0])):
        return f"it lacks {error.args[0]!r}"
    return "it is damaged, or its content is of another kind"
