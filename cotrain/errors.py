"""The exception that tells users what to change."""


class InputError(Exception):
    """An error in what the user provided: a file, a configuration key or a flag.

    The message names the file (and line) or key, what was found and what was expected.
    Steps print only the message, without a traceback, and exit with status 2.
    """
