"""Tables of a page: cells with a text, a value to sort by, and a colour."""

from collections.abc import Sequence
from typing import NamedTuple

from cotrain.reporting.table import MISSING


def signed(value: float) -> str:
    """Return a difference with its sign, which is a true minus sign, and one decimal."""
    return f"{value:+.1f}".replace("-", "−")


class Cell(NamedTuple):
    """A cell of a table.

    Its column is sorted by `value`, `heat` in [0, 1] colours it, `tone` is as of a warning.
    """

    text: str
    value: float | None = None
    heat: float | None = None
    tone: str = ""
    link: str = ""

    @classmethod
    def number(cls, value: float | None, decimals: int, heat: float | None = None) -> "Cell":
        """Return a cell with a number, or a dash for None."""
        if value is None:
            return cls(MISSING)
        return cls(f"{value:.{decimals}f}", value, None if heat is None else min(max(heat, 0.0), 1.0))

    @classmethod
    def change(cls, value: float | None) -> "Cell":
        """Return a cell with a difference, which is good if it is positive."""
        if value is None:
            return cls(MISSING)
        tone = "" if abs(value) < SMALL else "good" if value > 0 else "bad"
        return cls(signed(value), value, tone=tone)

    @property
    def is_number(self) -> bool:
        """Whether it stands at the right."""
        return self.value is not None or self.text == MISSING


# Points: another seed changes as much.
SMALL = 0.5


class Grid(NamedTuple):
    """A table: its caption, the titles of its columns, and its rows, whose first cells are their titles."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
