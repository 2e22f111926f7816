import struct
import time

import pytest

from cotrain.training.event_file import EventFile, checksum, event, record, values_field, version_field

ENTRIES = [{"iteration": step, "loss": 2.0 / step, "learning_rate": 0.5} for step in (1, 2, 300)]


def records_of(path):
    """Return the contents of the records of a file, whose checksums are compared."""
    content, found = path.read_bytes(), []
    while content:
        [length] = struct.unpack("<Q", content[:8])
        assert record(content[12 : 12 + length]) == content[: 16 + length]
        found.append(content[12 : 12 + length])
        content = content[16 + length :]
    return found


def steps_of(folder):
    """Return (time, iteration, loss) of the entries in a folder, as TensorBoard takes them."""
    found = []
    for path in sorted(folder.glob("*tfevents*")):
        first, start, *rest = records_of(path)
        assert first.endswith(b"\x10\x00\x1a\x0dbrain.Event:2")
        # Here all steps from 1 on are forgotten.
        assert start.endswith(b"\x10\x01\x3a\x02\x08\x01")
        found.clear()
        for content in rest:
            [now] = struct.unpack("<d", content[1:9])
            # Up to 127 is one byte, more are two.
            step = content[10] & 127 | (content[11] << 7 if content[10] & 128 else 0)
            place = content.index(b"loss") + 4
            assert content[place] == 0x15
            found.append((now, step, struct.unpack("<f", content[place + 1 : place + 5])[0]))
    return found


def test_checksum_is_that_of_the_standard():
    # The check value of CRC-32C, and RFC 3720 for 32 zeros.
    assert checksum(b"123456789") == 0xE3069283
    assert checksum(bytes(32)) == 0x8A9136AA
    assert checksum(b"") == 0


def test_a_record_is_masked_and_framed():
    # What TensorFlow's writer makes of 3 bytes: the checksum turned right by 15 bits, and a constant added.
    framed = record(b"123456789")
    turned = (0xE3069283 >> 15 | 0xE3069283 << 17) & 0xFFFFFFFF
    assert framed[:8] == b"\x09" + bytes(7)
    assert framed[12:21] == b"123456789"
    assert framed[21:] == struct.pack("<I", (turned + 0xA282EAD8) & 0xFFFFFFFF)


def test_messages_by_hand():
    # 0.5 is sign 0, exponent 126; 1.0 as a double is exponent 1023.
    assert values_field({"ab": 0.5}) == bytes.fromhex("2a 0b 0a 09 0a 02 61 62 15 00 00 00 3f")
    assert event(1.0, 300, b"") == bytes.fromhex("09 00 00 00 00 00 00 f0 3f 10 ac 02")
    assert version_field() == b"\x1a\x0dbrain.Event:2"


def test_entries_are_added_to_the_history(tmp_path):
    events = EventFile(tmp_path / "model")
    events.begin([], 0.0)
    for entry in ENTRIES:
        events.add(entry)
    found = steps_of(tmp_path / "model")
    assert [(step, loss) for _, step, loss in found] == [(1, 2.0), (2, 1.0), (300, pytest.approx(2 / 300))]
    assert found == sorted(found)


def test_a_resumed_training_has_each_point_once(tmp_path):
    first = EventFile(tmp_path)
    first.begin([], 0.0)
    for entry in ENTRIES:
        first.add(entry)
    # The last save was made after the second entry.
    second = EventFile(tmp_path)
    time.sleep(0.002)
    second.begin(ENTRIES[:2], 100.0)
    second.add(ENTRIES[2])
    assert len(list(tmp_path.iterdir())) == 2
    found = steps_of(tmp_path)
    assert [step for _, step, _ in found] == [1, 2, 300]
    # Two iterations in 100 s: they are 50 s apart.
    assert found[1][0] - found[0][0] == pytest.approx(50)


def test_where_nothing_can_be_written_the_training_goes_on(tmp_path):
    (tmp_path / "model").write_text("a file")
    events = EventFile(tmp_path / "model")
    events.begin(ENTRIES, 1.0)
    events.add(ENTRIES[0])
    assert (tmp_path / "model").read_text() == "a file"
