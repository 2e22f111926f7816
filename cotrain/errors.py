"""The one exception that tells a user what to change."""


class InputError(Exception):
    """Something the user gave is wrong: a file, a configuration key, a flag.

    The message names the file (and line) or key, what was found and what was expected.
    Steps print it alone, without a traceback, and exit with status 2.
    """
