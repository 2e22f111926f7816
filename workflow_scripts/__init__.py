"""The steps of the workflow: arguments in, files out. By hand: `python -m workflow_scripts.STEP`."""

import sys
from types import TracebackType


def say_interrupted(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Show one line for Ctrl-C while modules are still being read; for other exceptions a traceback.

    Takes the place of `sys.excepthook`.
    """
    if issubclass(kind, KeyboardInterrupt):
        sys.stderr.write("interrupted\n")
    else:
        sys.__excepthook__(kind, error, trace)


# `python -m workflow_scripts.STEP` reads this file before the step.
if sys.argv[:1] == ["-m"]:
    sys.excepthook = say_interrupted
