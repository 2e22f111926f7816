"""What a reader of scores must know of the data; without torch."""

from pathlib import Path

import msgspec

from cotrain.data.json_files import Record, read_record


class CheckedRecord(Record, frozen=True):
    """What is read of the file of collect_checks."""

    notes: list[str] = msgspec.field(default_factory=list)


def read_notes(path: Path) -> list[str]:
    """Return the notes in the file of collect_checks; InputError if it is something else."""
    return read_record(path, CheckedRecord, "the notes on the data", "what collect_checks wrote").notes
