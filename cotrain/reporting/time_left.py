"""How long the rest of a run takes, from the jobs that are to do and what finished jobs took."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, NamedTuple

from msgspec import Meta

from cotrain.data.files import write_json
from cotrain.data.json_files import NotValidError, Record, read_json, record_of
from cotrain.progress import PROGRESS_NOTE

# Seconds a unit of kinds that have not been measured yet: of the demo, on two cores. A training has no entry:
# networks and machines differ too much.
DEFAULT_SECONDS = {
    "render_scenes": 60.0,
    "translate": 10.0,
    "check_data": 3.0,
    "predict": 4.0,
    "evaluate": 5.0,
}
OTHER_JOB = 1.0
TRAINING = "train"


Seconds = Annotated[float, Meta(ge=0, le=1e9)]


class ProgressRecord(Record, frozen=True):
    """What is read of what a training says of itself."""

    iteration: Annotated[int, Meta(ge=0)]
    seconds_an_iteration: Seconds


class Cost(NamedTuple):
    """What a job costs: `amount` units of its `kind`; units of one kind take about equally long.

    The unit of a training is an iteration, that of any other job is the job. `seconds` is what a unit takes,
    where the job itself has said so.
    """

    kind: str
    amount: float
    seconds: float | None = None


def seconds_left(costs: Iterable[Cost], speeds: Mapping[str, float]) -> float | None:
    """Return the seconds that jobs take one after the other; None if the speed of a training is not known.

    Args:
        costs: the jobs that are to do, with what is left of those at work.
        speeds: seconds a unit, of each kind that has been measured. A training of another kind counts as the
            slowest measured one.
    """
    costs = list(costs)
    measured = dict(speeds) | {cost.kind: cost.seconds for cost in costs if cost.seconds}
    trainings = [seconds for kind, seconds in measured.items() if kind.startswith(TRAINING)]
    total = 0.0
    for cost in costs:
        seconds = measured.get(cost.kind)
        if seconds is None and cost.kind.startswith(TRAINING):
            if not trainings:
                return None
            seconds = max(trainings)
        if seconds is None:
            seconds = DEFAULT_SECONDS.get(cost.kind, OTHER_JOB)
        total += cost.amount * seconds
    return total


def cost_of_training(kind: str, iterations: int, state_folder: Path, *, has_ended: bool = False) -> Cost:
    """Return what is left to do of a training, as its state says that lies in the folder.

    `has_ended` is for a training whose model is there: if it is to be made again, from other settings or
    data, that state only says how fast it was.
    """
    try:
        note = record_of(read_json(state_folder / PROGRESS_NOTE), ProgressRecord)
    except (OSError, NotValidError):
        return Cost(kind, iterations)
    done = 0 if has_ended else note.iteration
    return Cost(kind, max(0, iterations - done), note.seconds_an_iteration)


class Speeds:
    """The seconds a unit of each kind of job, in a file: a resumed run knows them from the beginning."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seconds: dict[str, float] = {}
        # Only a help: without it, the speeds are measured again.
        with suppress(OSError, NotValidError):
            self.seconds = record_of(read_json(path), dict[str, Seconds])

    def add(self, cost: Cost, seconds: float) -> None:
        """Take over what a job took, or says of itself: the mean of it and what was known before."""
        if cost.amount > 0:
            new = cost.seconds or seconds / cost.amount
            old = self.seconds.get(cost.kind, new)
            self.seconds[cost.kind] = (old + new) / 2
            write_json(self.path, self.seconds)
