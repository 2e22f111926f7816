"""Progress of long work: a bar on a terminal, or a line from time to time in a log."""

import logging
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from shutil import get_terminal_size
from types import TracebackType
from typing import TypeVar

from cotrain.threads import map_in_order

Argument = TypeVar("Argument")
Result = TypeVar("Result")

logger = logging.getLogger("cotrain")

# Often enough to show that a job is alive, rare enough to keep the log of ten hours readable.
SECONDS_BETWEEN_LINES = 15.0
SECONDS_BETWEEN_REDRAWS = 0.1
# The speed is that of the last five minutes, or of the last 20 pieces if they take longer: before, the job
# may have been stopped, or the computer busy with other work.
SECONDS_BETWEEN_MARKS, MARKS = 15.0, 20
# In the folder of a training's state: how far it is, and how fast.
PROGRESS_NOTE = "progress.json"
# To the beginning of the line, and nothing left in it.
CLEARED_LINE = "\r\033[K"
# Of a title on a narrow terminal.
FEWEST_LETTERS = 30


def duration(seconds: float) -> str:
    """Return `seconds` as readable text: "42 s", "3 min 05 s", "2 h 10 min"."""
    total = round(seconds)
    if total < 60:
        return f"{total} s"
    if total < 3600:
        return f"{total // 60} min {total % 60:02d} s"
    return f"{total // 3600} h {total % 3600 // 60:02d} min"


class Progress:
    """Counts `total` pieces of work, starting at `done`, and shows how long the rest will take.

    Use it as a context manager and call `advance` after each piece.
    """

    def __init__(self, total: int, unit: str, title: str, done: int = 0) -> None:
        self.total, self.unit, self.title = total, unit, title
        self.first = self.done = done
        self.on_terminal = sys.stderr.isatty()
        self.started = self.last_shown = time.monotonic()
        # When how much was done.
        self.marks: deque[tuple[float, int]] = deque(maxlen=MARKS)

    def __enter__(self) -> "Progress":
        return self

    def advance(self, note: str = "") -> None:
        """Count one more piece as done; `note` is shown after the count, as far as it fits."""
        self.done += 1
        now = time.monotonic()
        if not self.marks or now - self.marks[-1][0] >= SECONDS_BETWEEN_MARKS:
            self.marks.append((now, self.done))
        pause = SECONDS_BETWEEN_REDRAWS if self.on_terminal else SECONDS_BETWEEN_LINES
        if now - self.last_shown >= pause:
            self.last_shown = now
            self._show(note)

    def leave_out(self) -> None:
        """Count one piece less: it cannot be done."""
        self.total -= 1

    def _show(self, note: str) -> None:
        speed = self._speed()
        left = f"{duration((self.total - self.done) / speed)} left" if speed > 0 else ""
        share = self.done / self.total if self.total else 1.0
        rate = _rate(speed) if speed > 0 else ""
        parts = [f"{self.done}/{self.total} {self.unit}", left, rate, *note.split(", ")]
        parts = [part for part in parts if part]
        if self.on_terminal:
            filled = round(20 * share)
            bar = f"[{'#' * filled}{'.' * (20 - filled)}]"
            sys.stderr.write(CLEARED_LINE + fitted(bar, self.title, parts, get_terminal_size().columns))
            sys.stderr.flush()
        else:
            logger.info(f"{self.title}: {', '.join(parts)}", extra={"is_progress": True})

    def seconds_a_piece(self) -> float:
        """Return how long a piece of work took in the last minutes on average, 0 before the second."""
        return 1 / self._speed() if self._speed() > 0 else 0.0

    def _speed(self) -> float:
        if not self.marks:
            return 0.0
        # The first mark is set after the first piece: what happens before it (starting up, loading) takes
        # long only once.
        began, done = self.marks[0]
        pieces, elapsed = self.done - done, time.monotonic() - began
        return pieces / elapsed if pieces > 0 and elapsed > 0 else 0.0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.on_terminal:
            sys.stderr.write(CLEARED_LINE)
            sys.stderr.flush()
        if kind is None:
            elapsed = time.monotonic() - self.started
            number = self.done - self.first
            rate = f", {_rate(number / elapsed)}" if number and elapsed > 0 else ""
            unit = self.unit.removesuffix("s") if number == 1 else self.unit
            logger.info("%s: %d %s in %s%s", self.title, number, unit, duration(elapsed), rate)


def fitted(bar: str, title: str, parts: Sequence[str], columns: int) -> str:
    """Return one line that is shorter than the terminal: a longer one would leave a line at each redraw.

    Of `parts` those at the end are left out that have no room, but never the first. Then the title loses its
    beginning.
    """
    # A character in the last column may already start a new line.
    columns -= 1
    shown = list(parts)

    def room() -> int:
        return columns - len(f"{bar} : {', '.join(shown)}")

    while len(shown) > 1 and room() < min(len(title), FEWEST_LETTERS):
        shown.pop()
    if len(title) > room():
        title = f"…{title[len(title) - max(room() - 1, 0) :]}"
    return f"{bar} {title}: {', '.join(shown)}"[:columns]


def map_in_threads(
    function: Callable[[Argument], Result], arguments: Sequence[Argument], threads: int, title: str
) -> Iterator[Result]:
    """Yield `function` of each argument, one for each image, in order; show the progress under `title`.

    Some results wait for their turn in memory, see `map_in_order`: each should be some numbers of an image,
    not its pixels.
    """
    with Progress(len(arguments), "images", title) as progress:
        for result in map_in_order(function, arguments, threads):
            yield result
            progress.advance()


def _rate(speed: float) -> str:
    return f"{speed:.0f}/s" if speed >= 100 else f"{speed:.3g}/s"
