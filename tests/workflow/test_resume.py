import signal
import time

import pytest
import torch

WEIGHTS = "models/baseline/weights.safetensors"


def wait_for_save(run, process, after=0):
    """Wait until the baseline's state holds more than `after` iterations; return how many."""
    path = run.folder / "state" / "tiny" / "baseline" / "last.pt"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert process.poll() is None, "the workflow ended before it could be killed"
        if path.exists():
            iteration = torch.load(path, weights_only=True)["iteration"]
            if iteration > after:
                return iteration
        time.sleep(0.02)
    pytest.fail("no state was saved within two minutes")


def test_a_second_workflow_on_the_same_run_is_refused(run):
    process = run.start("baseline")
    try:
        wait_for_save(run, process)
        second = run.snakemake("baseline")
        assert second.returncode != 0
        assert "another snakemake is at work on run tiny (state/tiny/workflow.lock)" in second.stdout
        assert process.poll() is None
    finally:
        run.kill(process, signal.SIGKILL)


def test_killed_three_ways_it_ends_with_the_same_bytes(tmp_path, run, make_run):
    """`kill -9`, Ctrl-C and SIGTERM of everything, each followed by a plain `snakemake`."""
    configuration = run.configuration()
    # Long enough to be hit three times in the middle.
    configuration["baseline"]["iterations"] = 90
    run.configure(configuration)
    seen = 0
    for number in (signal.SIGKILL, signal.SIGINT, signal.SIGTERM):
        process = run.start("baseline")
        seen = wait_for_save(run, process, after=seen)
        run.kill(process, number)
        assert process.returncode != 0
        assert not (run.folder / "results" / "tiny" / WEIGHTS).exists()
    last = run.snakemake("baseline")
    assert last.returncode == 0, last.stdout[-4000:]
    assert "resumed at iteration" in last.stdout

    whole = make_run(tmp_path / "whole")
    whole.configure(configuration)
    assert whole.snakemake("baseline").returncode == 0
    names = [WEIGHTS, "models/baseline/history.jsonl", "evaluation/baseline/camera_test/scores.json"]
    assert run.bytes_of(*names) == whole.bytes_of(*names)
