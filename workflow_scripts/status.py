"""Say how far a run is: what is done, at work and next, and when it ends.

in:  the folder of a run (results/RUN); --state, if the state of its trainings does not lie in state/RUN
out: a few lines on the terminal

It only reads, and needs no lock: a run may be at work, interrupted or finished. What it cannot know, it says.
"""

import sys
import time
from contextlib import suppress
from pathlib import Path

from cotrain.configuration.reading import read_settings
from cotrain.configuration.run_plan import RunPlan
from cotrain.configuration.sections import Configuration
from cotrain.data.json_files import NotValidError, read_json, record_of
from cotrain.errors import InputError
from cotrain.progress import PROGRESS_NOTE
from cotrain.reporting.run_status import (
    Begun,
    Noted,
    RunStatus,
    age_of,
    is_held,
    iterations_of,
    pieces_of,
    read_locks,
    status_text,
)
from cotrain.reporting.time_left import ProgressRecord, Speeds
from workflow_scripts.command_line import messages_of, new_parser, parse, run, unfinished_logs

EXAMPLE = "python -m workflow_scripts.status results/demo"


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    parser.add_argument("run", type=Path, help="folder of the run, results/RUN")
    parser.add_argument(
        "--state", type=Path, help="state of its trainings (default: state/RUN beside results)"
    )
    options = parse(parser, arguments)
    state = options.state or options.run.parent.parent / "state" / options.run.name
    sys.stdout.write(status_text(read_status(options.run, state, time.time()), time.time()))


def read_status(folder: Path, state: Path, now: float) -> RunStatus:
    """Return what the folders of a run and of its state say; InputError if there is no run."""
    path = folder / "settings" / "configuration.json"
    if not path.is_file():
        raise InputError(
            f"{folder}: {path} is missing; expected the folder of a run, results/RUN, that has begun: its "
            "first jobs write this file"
        )
    plan = RunPlan(read_settings(path, Configuration))
    pieces = pieces_of(plan)
    missing = frozenset(piece.path for piece in pieces if not (folder / piece.path).is_file())
    noted = {}
    for piece in pieces:
        if piece.model and piece.path in missing:
            note = state / str(piece.model) / PROGRESS_NOTE
            # One that is just being replaced is as good as none.
            with suppress(OSError, NotValidError):
                record = record_of(read_json(note), ProgressRecord)
                noted[piece.model] = Noted(record.iteration, record.seconds_an_iteration, age_of(note, now))
    locks = read_locks()
    return RunStatus(
        name=plan.configuration.run,
        pieces=pieces,
        missing=missing,
        iterations={model: iterations_of(plan, model) for model in plan.models},
        noted=noted,
        begun=begun_in(folder / "logs"),
        at_work=None if locks is None else is_held(state / "workflow.lock", locks),
        speeds=Speeds(state / "speeds.json").seconds,
    )


def begun_in(logs: Path) -> list[Begun]:
    """Return the jobs that have begun and not succeeded."""
    found = []
    for name, path in unfinished_logs(logs).items():
        messages = messages_of(path)
        found.append(Begun(name, messages[-1] if messages else ""))
    return found


if __name__ == "__main__":
    run(main)
