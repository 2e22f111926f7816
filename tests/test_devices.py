import logging
import os
from contextlib import ExitStack
from types import SimpleNamespace

import pytest
import torch

from cotrain import devices
from cotrain.devices import autocast, claimed_device
from cotrain.errors import InputError


@pytest.fixture
def without_accelerator(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.mark.parametrize("setting", ["auto", "cpu"])
def test_cpu_if_there_is_no_other_device(without_accelerator, setting):
    with claimed_device(setting) as device:
        assert device.type == "cpu"


@pytest.mark.parametrize(("setting", "name"), [("cuda", "NVIDIA"), ("mps", "Apple")])
def test_a_missing_device_is_refused(without_accelerator, setting, name):
    with (
        pytest.raises(InputError, match=rf"device: '{setting}' is set, but .* no .*{name} GPU .*; set"),
        claimed_device(setting),
    ):
        pass


def test_jobs_get_distinct_devices(tmp_path):
    with ExitStack() as jobs:
        free = [jobs.enter_context(devices._first_free(["0", "1", "2"], tmp_path)) for _ in range(3)]
        assert free == [0, 1, 2]


def test_the_end_of_a_job_frees_its_device(tmp_path):
    with devices._first_free(["0", "1"], tmp_path):
        with devices._first_free(["0", "1"], tmp_path) as second:
            assert second == 1
        with devices._first_free(["0", "1"], tmp_path) as third:
            assert third == 1
    with devices._first_free(["0", "1"], tmp_path) as fourth:
        assert fourth == 0


def test_locks_are_named_by_the_real_device(tmp_path):
    # One job sees devices 0 and 1, another 1 and 2: device 1 is the same in both.
    with (
        devices._first_free(["0"], tmp_path),
        devices._first_free(["0", "1"], tmp_path) as first,
        devices._first_free(["1", "2"], tmp_path) as second,
    ):
        assert (first, second) == (1, 1)


def test_jobs_share_the_first_if_all_are_taken(tmp_path, caplog):
    with (
        caplog.at_level(logging.INFO, "cotrain"),
        devices._first_free(["0"], tmp_path),
        devices._first_free(["0"], tmp_path) as shared,
    ):
        assert shared == 0
    assert "shares the first" in caplog.text


def test_names_that_are_no_file_names(tmp_path):
    names = ["MIG-GPU-5c8/1/0", " MIG-GPU-5c8/2/0"]
    with devices._first_free(names, tmp_path) as first, devices._first_free(names, tmp_path) as second:
        assert (first, second) == (0, 1)


def test_a_lock_file_of_another_user_works(tmp_path):
    with devices._first_free(["0"], tmp_path):
        pass
    (lock,) = tmp_path.iterdir()
    lock.chmod(0o444)
    with (
        devices._first_free(["0", "1"], tmp_path) as first,
        devices._first_free(["0", "1"], tmp_path) as second,
    ):
        assert (first, second) == (0, 1)


def test_device_names(monkeypatch):
    monkeypatch.setattr(torch, "cuda", SimpleNamespace(device_count=lambda: 2))
    monkeypatch.setitem(os.environ, "CUDA_VISIBLE_DEVICES", "3,5,7")
    assert devices._device_names() == ["3", "5"]
    monkeypatch.delitem(os.environ, "CUDA_VISIBLE_DEVICES")
    assert devices._device_names() == ["0", "1"]


@pytest.mark.parametrize(
    ("precision", "expected"),
    [("float32", torch.float32), ("auto", torch.float32), ("bfloat16", torch.bfloat16)],
)
def test_precision_on_a_cpu(precision, expected):
    with autocast(torch.device("cpu"), precision):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == expected
