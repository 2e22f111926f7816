import logging
import os
import signal
import subprocess
import sys

import pytest
import torch

from cotrain.errors import InputError
from cotrain.training.state import STATE_FORMAT, Stopped, StopRequest, TrainingState, fingerprint

CONTENT = {"iteration": 3, "network": {"w": torch.arange(4.0)}, "history": [{"loss": 0.5}]}

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

        def dies(content, path):
            path.write_bytes(b"half")
            raise OSError("disk full")

        monkeypatch.setattr(torch, "save", dies)
        with pytest.raises(OSError, match="disk full"):
            state.save({**CONTENT, "iteration": 4})
        assert state.load()["iteration"] == 3
    assert not [path for path in tmp_path.iterdir() if "partial" in path.name]


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
