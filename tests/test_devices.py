import logging
import os
import subprocess
import sys
import uuid
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


@pytest.fixture
def gpu():
    """Return the beginning of names that no other process claims."""
    if sys.platform != "linux":
        pytest.skip("CUDA is for Linux only")
    return f"test {uuid.uuid4()} "


def test_jobs_get_distinct_devices(gpu):
    with ExitStack() as jobs:
        names = [gpu + "0", gpu + "1", gpu + "2"]
        free = [jobs.enter_context(devices._first_free(names)) for _ in range(3)]
        assert free == [0, 1, 2]


def test_the_end_of_a_job_frees_its_device(gpu):
    names = [gpu + "0", gpu + "1"]
    with devices._first_free(names):
        with devices._first_free(names) as second:
            assert second == 1
        with devices._first_free(names) as third:
            assert third == 1
    with devices._first_free(names) as fourth:
        assert fourth == 0


def test_claims_are_named_by_the_real_device(gpu):
    # One job sees devices 0 and 1, another 1 and 2: device 1 is the same in both.
    with (
        devices._first_free([gpu + "0"]),
        devices._first_free([gpu + "0", gpu + "1"]) as first,
        devices._first_free([gpu + "1", gpu + "2"]) as second,
    ):
        assert (first, second) == (1, 1)


def test_jobs_share_evenly_if_all_are_taken(gpu, caplog):
    names = [gpu + "0", gpu + "1"]
    with caplog.at_level(logging.INFO, "cotrain"), ExitStack() as jobs:
        taken = [jobs.enter_context(devices._first_free(names)) for _ in range(2)]
        assert not caplog.records
        taken += [jobs.enter_context(devices._first_free(names)) for _ in range(3)]
    assert taken == [0, 1, 0, 1, 0]
    assert [record.getMessage() for record in caplog.records] == [
        "all 2 GPUs are at work; this job shares one, its jobs are now 2",
        "all 2 GPUs are at work; this job shares one, its jobs are now 2",
        "all 2 GPUs are at work; this job shares one, its jobs are now 3",
    ]


def test_the_next_job_takes_the_gpu_with_the_fewest(gpu):
    names = [gpu + "0", gpu + "1"]
    with ExitStack() as jobs:
        first = jobs.enter_context(ExitStack())
        taken = [first.enter_context(devices._first_free(names))]
        taken += [jobs.enter_context(devices._first_free(names)) for _ in range(3)]
        assert taken == [0, 1, 0, 1]
        first.close()
        # One job is left on the first GPU, two are on the second.
        assert jobs.enter_context(devices._first_free(names)) == 0


def test_names_that_are_no_file_names(gpu):
    names = [f"{gpu} MIG-GPU-5c8/1/0", f"{gpu} MIG-GPU-5c8/2/0"]
    with devices._first_free(names) as first, devices._first_free(names) as second:
        assert (first, second) == (0, 1)


# Claims the first of two GPUs, by the same module but without torch, says which, and waits.
CLAIM = """
import os, sys, types
sys.modules["torch"] = types.ModuleType("torch")
sys.modules["torch"].device = sys.modules["torch"].dtype = object
from cotrain.devices import _first_free
if len(sys.argv) > 2:
    os.setuid(int(sys.argv[2]))
with _first_free([sys.argv[1] + "0", sys.argv[1] + "1"]) as position:
    print(position, flush=True)
    sys.stdin.read()
"""


def claiming(*arguments, **environment):
    return subprocess.Popen(
        [sys.executable, "-c", CLAIM, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


def test_a_killed_job_frees_its_device(gpu):
    with claiming(gpu) as job:
        assert job.stdout.readline() == "0\n"
        with devices._first_free([gpu + "0", gpu + "1"]) as position:
            assert position == 1
        job.kill()
        job.wait()
        with devices._first_free([gpu + "0", gpu + "1"]) as position:
            assert position == 0


def test_nothing_in_the_temporary_folder_matters(gpu, tmp_path):
    """Neither links and pipes under names of locks, nor that the folder is emptied while a job runs."""
    (tmp_path / "cotrain-gpu-0.lock").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(tmp_path / "cotrain-gpu-1.lock")
    with claiming(gpu, TMPDIR=str(tmp_path)) as first:
        assert first.stdout.readline() == "0\n"
        assert sorted(path.name for path in tmp_path.iterdir()) == [f"cotrain-gpu-{i}.lock" for i in (0, 1)]
        for path in tmp_path.iterdir():
            path.unlink()
        with claiming(gpu, TMPDIR=str(tmp_path / "another")) as second:
            assert second.stdout.readline() == "1\n"
            second.stdin.close()
        first.stdin.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_two_users_get_distinct_devices(gpu):
    with claiming(gpu, 65534) as first:
        assert first.stdout.readline() == "0\n"
        with claiming(gpu) as second:
            assert second.stdout.readline() == "1\n"
            second.stdin.close()
        first.stdin.close()


def test_devices_are_named_by_what_they_are_not_by_their_number(monkeypatch):
    # Of a scheduler's two jobs each sees one GPU, and both number it 0.
    def cuda(*visible):
        def properties(index):
            return SimpleNamespace(uuid=visible[index])

        return SimpleNamespace(device_count=lambda: len(visible), get_device_properties=properties)

    monkeypatch.setitem(os.environ, "CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setattr(torch, "cuda", cuda("5c8f", "77aa"))
    assert devices._device_names() == ["5c8f", "77aa"]
    monkeypatch.setattr(torch, "cuda", cuda("77aa"))
    assert devices._device_names() == ["77aa"]


def test_only_deterministic_kernels_run_while_they_are_asked_for(monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":0:0")
    with claimed_device("cpu"):
        assert not torch.are_deterministic_algorithms_enabled()
    with claimed_device("cpu", deterministic=True):
        assert torch.are_deterministic_algorithms_enabled()
        assert not torch.backends.cudnn.benchmark
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert not torch.are_deterministic_algorithms_enabled()


def test_an_operation_without_a_deterministic_kernel_is_named(monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":0:0")
    # As torch reports it. No operation on a CPU lacks such a kernel.
    raised = RuntimeError("_upsample_x_backward does not have a deterministic implementation, but you set")
    message = r"^deterministic: true is set, but the network needs the operation _upsample_x_backward, which"
    with pytest.raises(InputError, match=message), claimed_device("cpu", deterministic=True):
        raise raised
    assert not torch.are_deterministic_algorithms_enabled()
    with pytest.raises(RuntimeError, match="another"), claimed_device("cpu", deterministic=True):
        raise RuntimeError("another")


@pytest.mark.parametrize(
    ("precision", "expected"),
    [("float32", torch.float32), ("auto", torch.float32), ("bfloat16", torch.bfloat16)],
)
def test_precision_on_a_cpu(precision, expected):
    with autocast(torch.device("cpu"), precision):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == expected
