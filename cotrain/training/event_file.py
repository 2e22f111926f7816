"""Event files for TensorBoard, written without it: the loss and the learning rate of a training.

An event file is a row of records. A record is the length of its content (8 bytes), a checksum of the length
(4 bytes), the content, and a checksum of the content (4 bytes), all little-endian. The content is a message
`Event` in the encoding of Protocol Buffers; TensorFlow's core/util/event.proto and
core/framework/summary.proto name its fields. Both forms have been the same since 2015, and two dozen lines
write them, so no package is needed.
"""

import os
import struct
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

# Reversed bits of Castagnoli's polynomial.
POLYNOMIAL = 0x82F63B78
MASK = 0xA282EAD8
VERSION = b"brain.Event:2"
# What TensorBoard knows its files by.
NAME = "events.out.tfevents."
# What a history holds, beside the iteration.
SHOWN = ("loss", "learning_rate")


def _table() -> tuple[int, ...]:
    rows = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (POLYNOMIAL if byte & 1 else 0)
        rows.append(byte)
    return tuple(rows)


TABLE = _table()


def checksum(content: bytes) -> int:
    """Return the CRC-32C of bytes."""
    value = 0xFFFFFFFF
    for byte in content:
        value = value >> 8 ^ TABLE[(value ^ byte) & 255]
    return value ^ 0xFFFFFFFF


def record(content: bytes) -> bytes:
    """Return the record that holds `content`."""

    def masked(part: bytes) -> bytes:
        value = checksum(part)
        return struct.pack("<I", ((value >> 15 | value << 17) + MASK) & 0xFFFFFFFF)

    length = struct.pack("<Q", len(content))
    return length + masked(length) + content + masked(content)


def event(now: float, step: int, field: bytes) -> bytes:
    """Return a message `Event`: the time in seconds since 1970, the step, and one field more."""
    return b"\x09" + struct.pack("<d", now) + b"\x10" + _number(step) + field


def version_field() -> bytes:
    """Return the field with which a file begins."""
    return b"\x1a" + _number(len(VERSION)) + VERSION


def start_field() -> bytes:
    """Return the field that marks a start: TensorBoard forgets what it read of this step and later ones."""
    return b"\x3a\x02\x08\x01"


def values_field(values: Mapping[str, float]) -> bytes:
    """Return the field with numbers and their names."""
    summary = b""
    for name, number in values.items():
        text = name.encode()
        value = b"\x0a" + _number(len(text)) + text + b"\x15" + struct.pack("<f", number)
        summary += b"\x0a" + _number(len(value)) + value
    return b"\x2a" + _number(len(summary)) + summary


def _number(value: int) -> bytes:
    """Return an integer >= 0 in groups of seven bits, the lowest first."""
    groups = []
    while value > 127:
        groups.append(value & 127 | 128)
        value >>= 7
    return bytes([*groups, value])


class EventFile:
    """The event file of one training, in the folder of its model.

    It follows the history and is never read: it changes nothing that is learnt, and nothing depends on it. So
    where it cannot be written, nothing happens; a full disk is told by the next save of the state.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._path: Path | None = None

    def begin(self, history: Sequence[Mapping[str, float]], seconds: float) -> None:
        """Write a new file with the history of a training that begins or is resumed.

        Files of earlier starts stay, since a TensorBoard that is open may be reading them. It forgets their
        points at the mark with which the new file begins, so it shows each point once, also those that were
        noted after the last save and are noted again. The times of a history are not known: its iterations
        are spread evenly over the `seconds` that the training has run.
        """
        now = time.time()
        began, last = now - seconds, history[-1]["iteration"] if history else 1
        parts = [event(began, 0, version_field()), event(began, 1, start_field())]
        parts += [_entry(entry, began + seconds * entry["iteration"] / last) for entry in history]
        # Files are read in the order of their names.
        self._path = self.folder / f"{NAME}{int(1000 * now):013d}.cotrain"
        with suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._path.write_bytes(b"".join(map(record, parts)))

    def add(self, entry: Mapping[str, float]) -> None:
        """Write an entry of the history: `iteration`, `loss` and `learning_rate`. `begin` comes first."""
        assert self._path is not None, "the file has not been begun"
        with suppress(OSError), open(self._path, "ab") as file:
            # In one piece: TensorBoard may read at the same time.
            os.write(file.fileno(), record(_entry(entry, time.time())))


def _entry(entry: Mapping[str, float], now: float) -> bytes:
    values = {name: entry[name] for name in SHOWN}
    return event(now, int(entry["iteration"]), values_field(values))
