import errno
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from cotrain.errors import InputError
from cotrain.training.state import STATE_FORMAT, Stopped, StopRequest, TrainingState, _Hashed, fingerprint

CONTENT = {"iteration": 3, "network": {"w": torch.arange(4.0)}, "history": [{"loss": 0.5}]}

# Saves again and again, and is killed each time one operation on a file later than before.
KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from cotrain.training import state as of_state
from cotrain.training.state import TrainingState

def save(iteration, killed_at):
    with TrainingState(Path(sys.argv[1]), "mine") as state:
        state.load()
        operations = 0
        def count(event="", arguments=()):
            nonlocal operations
            if event in ("", "open", "os.rename", "os.remove"):
                operations += 1
                if operations == killed_at:
                    os.kill(os.getpid(), signal.SIGKILL)
        write = of_state._Hashed.write
        def counted_write(self, content):
            half = len(content) // 2
            write(self, content[:half])
            count()
            return half + write(self, content[half:])
        of_state._Hashed.write = counted_write
        sys.addaudithook(count)
        state.save({"iteration": iteration, "w": torch.full((100,), float(iteration))})

iterations = []
for iteration in range(1, 200):
    child = os.fork()
    if child == 0:
        save(iteration, killed_at=iteration - 2)
        os._exit(0)
    survived = os.waitpid(child, 0)[1] == 0
    with TrainingState(Path(sys.argv[1]), "mine") as state:
        loaded = state.load()
    assert (loaded["w"] == loaded["iteration"]).all()
    iterations.append(loaded["iteration"])
    if survived and iteration > 2:
        break
print(*iterations)
"""

HOLD = """
import sys
from pathlib import Path
from cotrain.training.state import TrainingState
with TrainingState(Path(sys.argv[1]), "any"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_round_trip(tmp_path):
    with TrainingState(tmp_path / "state", "mine") as state:
        assert state.load() is None
        state.save(CONTENT)
    with TrainingState(tmp_path / "state", "mine") as state:
        loaded = state.load()
    assert (loaded["iteration"], loaded["history"]) == (3, [{"loss": 0.5}])
    torch.testing.assert_close(loaded["network"]["w"], CONTENT["network"]["w"])


def test_another_fingerprint_is_not_used(tmp_path, caplog):
    with TrainingState(tmp_path, "theirs") as state:
        state.save(CONTENT)
    with caplog.at_level(logging.INFO, "cotrain"), TrainingState(tmp_path, "mine") as state:
        assert state.load() is None
    assert "other settings" in caplog.text


@pytest.mark.parametrize("damage", ["half", "empty", "garbage"])
def test_a_torn_save_falls_back_to_the_one_before(tmp_path, damage):
    with TrainingState(tmp_path, "mine") as state:
        state.save({**CONTENT, "iteration": 2})
        state.save({**CONTENT, "iteration": 4})
        whole = state.last.read_bytes()
        torn = {"half": whole[: len(whole) // 2], "empty": b"", "garbage": b"no archive at all"}[damage]
        state.last.write_bytes(torn)
        assert state.load()["iteration"] == 2
        state.previous.write_bytes(torn)
        assert state.load() is None


def test_a_file_without_identity_is_not_used(tmp_path):
    torch.save([1, 2], tmp_path / "last.pt")
    torch.save({"iteration": 9}, tmp_path / "previous.pt")
    with TrainingState(tmp_path, "mine") as state:
        assert state.load() is None


def test_dying_while_saving_keeps_the_save_before(tmp_path, monkeypatch):
    with TrainingState(tmp_path, "mine") as state:
        state.save(CONTENT)

        def dies(content, file):
            file.write(b"half")
            raise OSError("disk full")

        monkeypatch.setattr(torch, "save", dies)
        with pytest.raises(OSError, match="disk full"):
            state.save({**CONTENT, "iteration": 4})
        assert state.load()["iteration"] == 3
    assert not [path for path in tmp_path.iterdir() if "partial" in path.name]


def saved_twice(folder):
    """Return the state after saves of iterations 2 and 4 that hold 200 kB each, and the last save's bytes."""
    content = {**CONTENT, "network": {"w": torch.arange(50_000.0)}}
    with TrainingState(folder, "mine") as state:
        state.save({**content, "iteration": 2})
        state.save({**content, "iteration": 4})
    return state, state.last.read_bytes()


def test_a_page_of_zeros_anywhere_is_noticed(tmp_path, caplog):
    """Damage within a tensor: torch itself loads most of these files as if they were whole."""
    state, whole = saved_twice(tmp_path)
    for start in range(0, len(whole), 4096):
        damaged = bytearray(whole)
        damaged[start : start + 4096] = bytes(len(damaged[start : start + 4096]))
        state.last.write_bytes(damaged)
        assert state.load()["iteration"] == 2, start
    assert caplog.text.count("last.pt is damaged") == -(-len(whole) // 4096)


def test_one_changed_byte_anywhere_is_noticed(tmp_path):
    state, whole = saved_twice(tmp_path)
    # Many bytes of the pickle, which some of them turn into code for another error each, and some others.
    pickled = whole.index(b"data.pkl")
    places = [*range(pickled, pickled + 300, 2), 0, len(whole) // 2, len(whole) - 40, len(whole) - 1]
    for place in places:
        with state.last.open("rb+") as file:
            file.seek(place)
            file.write(bytes([whole[place] ^ 1]))
        assert state.load()["iteration"] == 2, place
        state.last.write_bytes(whole)
    assert state.load()["iteration"] == 4


def test_a_file_without_its_sum_is_of_an_earlier_version(tmp_path, caplog):
    torch.save({**CONTENT, "identity": "mine"}, tmp_path / "last.pt")
    with TrainingState(tmp_path, "mine") as state:
        assert state.load() is None
    assert "of an earlier version of cotrain; it is not used" in caplog.text


def test_a_damaged_save_does_not_take_the_place_of_a_whole_one(tmp_path, monkeypatch):
    state, whole = saved_twice(tmp_path)
    state.last.write_bytes(whole[:-1])
    with TrainingState(tmp_path, "mine") as state:
        assert state.load()["iteration"] == 2

        def dies(content, file):
            raise OSError("killed")

        with monkeypatch.context() as patch:
            patch.setattr(torch, "save", dies)
            with pytest.raises(OSError, match="killed"):
                state.save({**CONTENT, "iteration": 3})
        assert state.load()["iteration"] == 2
        state.save({**CONTENT, "iteration": 3})
        state.last.write_bytes(b"")
        assert state.load()["iteration"] == 2


def test_a_full_disk_ends_in_a_message_and_keeps_the_save_before(tmp_path, monkeypatch):
    with TrainingState(tmp_path, "mine") as state:
        state.save(CONTENT)

        def full(self, content):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(_Hashed, "write", full)
        for _ in range(3):
            with pytest.raises(InputError, match=r"last\.pt: cannot be written: the disk is full"):
                state.save({**CONTENT, "iteration": 4})
            assert state.load()["iteration"] == 3
    assert not [path for path in tmp_path.iterdir() if "partial" in path.name]


def test_a_note_without_room_is_left_out(tmp_path, monkeypatch):
    def full(self, content, **options):
        self.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    with TrainingState(tmp_path, "mine") as state:
        monkeypatch.setattr(Path, "write_text", full)
        state.note_progress(3, 0.5)
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def test_a_save_survives_a_kill_at_any_moment(tmp_path):
    result = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)], capture_output=True, text=True, check=True
    )
    iterations = [int(word) for word in result.stdout.split()]
    # The first two saves are not disturbed. Later ones may be lost, but none that came before them.
    assert iterations[:2] == [1, 2]
    assert iterations == sorted(iterations)
    assert len(iterations) > 10
    assert iterations[-1] == len(iterations)


def test_a_second_process_is_refused(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline() == "held\n"
        with (
            pytest.raises(InputError, match=rf"process {process.pid} on .* is training this model"),
            TrainingState(tmp_path, "mine"),
        ):
            pass
        # The refused one must not have taken the holder's name away.
        assert str(process.pid) in (tmp_path / "lock").read_text()
    finally:
        process.kill()
        process.communicate()
    # A killed holder leaves no lock behind.
    with TrainingState(tmp_path, "mine"):
        assert str(os.getpid()) in (tmp_path / "lock").read_text()


def test_fingerprint_depends_on_everything_but_the_order_of_keys():
    assert fingerprint({"a": 1, "b": [1, 2]}) == fingerprint({"b": [1, 2], "a": 1})
    assert len({fingerprint(c) for c in ({"a": 1}, {"a": 2}, {"a": [1, 2]}, {"a": [2, 1]}, {"a": "1"})}) == 5


def test_a_state_of_another_format_is_another_training(monkeypatch):
    before = fingerprint({"a": 1})
    monkeypatch.setattr("cotrain.training.state.STATE_FORMAT", STATE_FORMAT + 1)
    assert fingerprint({"a": 1}) != before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_signals_become_a_flag_and_handlers_come_back(number):
    before = signal.getsignal(number)
    with StopRequest() as stop:
        assert stop.number == 0
        os.kill(os.getpid(), number)
        assert stop.number == number
    assert signal.getsignal(number) is before
    assert "iteration 7" in str(Stopped(number, 7))
