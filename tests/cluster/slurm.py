"""A run on a real Slurm (one node, two pretend GPUs): to its end, and through all that takes jobs away.

make cluster-tests
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cotrain.configuration.reading import merged
from tests.workflow.conftest import PROJECT, Run, tiny_configuration

PROFILE = PROJECT / "profiles" / "slurm"
# Long enough to be met in the middle.
LONG = {"baseline": {"iterations": 600}, "training": {"save_every_iterations": 20}}
# The pretend GPUs compute nothing; with `auto` jobs ask for them and use the CPU.
ON_SLURM = {"device": "auto", "prediction": {"shards": 1}}

pytestmark = pytest.mark.skipif(
    "SLURM_TEST_ROOT" not in os.environ, reason="run by make cluster-tests, beside a Slurm"
)


class Driver:
    """Snakemake at work with the profile for Slurm."""

    def __init__(self, run: Run, *arguments: str, profile: Path = PROFILE) -> None:
        self.run, self.output = run, run.folder / "driver.txt"
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(PROJECT / "Snakefile")]
        command += ["--workflow-profile", str(profile), "--configfile", "tiny.yaml"]
        command += ["--slurm-init-seconds-before-status-checks", "2", "--latency-wait", "5"]
        # There is no accounting here.
        command += ["--slurm-status-command", "squeue", "--slurm-no-account", *arguments]
        with open(self.output, "a") as file:
            self.process = subprocess.Popen(
                command, cwd=run.folder, stdout=file, stderr=file, start_new_session=True
            )

    def wait(self, seconds: float = 900) -> int:
        """Return the exit status when it has ended."""
        return self.process.wait(timeout=seconds)

    @property
    def text(self) -> str:
        return self.output.read_text()


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = Run(tmp_path / "a run")
    run.configure(merged(tiny_configuration(), merged(LONG, ON_SLURM)))
    return run


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """End the jobs of a test that has failed."""
    yield
    subprocess.run(["scancel", "--state=RUNNING"], check=False)
    subprocess.run(["scancel", "--state=PENDING"], check=False)


def until(condition: Callable[[], Any], seconds: float = 300) -> Any:
    """Wait for a condition and return its value."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.2)
    raise AssertionError("waited in vain")


def jobs() -> list[dict[str, str]]:
    """Return all jobs that Slurm remembers."""
    text = subprocess.run(["scontrol", "show", "job", "--oneliner"], capture_output=True, text=True).stdout
    return [dict(re.findall(r"(\w+)=(\S*)", line)) for line in text.splitlines() if "JobId=" in line]


def job_of(model: str) -> str | None:
    """Return the number of the job that trains a model, if it runs and has saved its state."""
    return next(
        (
            job["JobId"]
            for job in jobs()
            if job["JobState"] == "RUNNING" and job.get("Comment") == f"rule_train_wildcards_{model}"
        ),
        None,
    )


def in_mid_training(run: Run, model: str) -> str:
    """Wait until a model is in training and has saved; return the number of its job."""
    state = run.folder / "state" / "tiny" / model / "last.pt"
    until(state.exists)
    found = until(lambda: job_of(model))
    assert isinstance(found, str)
    return found


def update_of_node() -> list[str]:
    """Return the command that changes the state of the node, without the state."""
    node = subprocess.run(["sinfo", "-h", "-o", "%N"], capture_output=True, text=True).stdout.strip()
    return ["scontrol", "update", f"nodename={node}"]


def training(run: Run, model: str = "baseline") -> dict[str, Any]:
    return json.loads((run.folder / f"results/tiny/models/{model}/training.json").read_text())


def log_of_training(run: Run) -> str:
    return (run.folder / "results/tiny/logs/train/baseline.log").read_text()


def weights(run: Run, model: str = "baseline") -> bytes:
    return (run.folder / f"results/tiny/models/{model}/weights.safetensors").read_bytes()


@pytest.fixture(scope="session")
def local_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The baseline of a run without Slurm."""
    run = Run(tmp_path_factory.mktemp("local") / "a run")
    run.configure(merged(tiny_configuration(), merged(LONG, ON_SLURM)))
    done = run.snakemake("--", "results/tiny/models/baseline/weights.safetensors")
    assert done.returncode == 0, done.stdout[-3000:]
    return run


@pytest.fixture(scope="session")
def local_weights(local_run: Run) -> bytes:
    return weights(local_run)


BASELINE = "results/tiny/models/baseline/weights.safetensors"


def test_a_cancelled_training_goes_on(run: Run, local_weights: bytes) -> None:
    driver = Driver(run, "--", BASELINE)
    subprocess.run(["scancel", in_mid_training(run, "baseline")], check=True)
    assert driver.wait() == 0, driver.text[-3000:]
    assert training(run)["resumes"] == 1
    assert weights(run) == local_weights
    assert re.search(r"SLURM-job '\d+' failed, SLURM status is: 'CANCELLED'", driver.text)
    print(driver.text)


def test_a_training_whose_time_is_up_saves_and_goes_on(run: Run, local_run: Run) -> None:
    # A minute is the least that Slurm grants. It is told 20 s before, and the training takes longer.
    speed = float(re.findall(r"iterations in .*, ([\d.]+)/s", log_of_training(local_run))[-1])
    iterations = max(1500, round(90 * speed))
    run.configure(merged(run.configuration(), {"baseline": {"iterations": iterations}}))
    driver = Driver(
        run,
        *("--set-resources", "train:runtime=1", "train:slurm_extra='--signal=TERM@20'"),
        *("--retries", "30", "--", BASELINE),
    )
    assert driver.wait() == 0, driver.text[-3000:]
    assert training(run)["resumes"] >= 1
    stopped = re.findall(r"stopped by SIGTERM at iteration (\d+), state saved", driver.text)
    assert stopped == sorted(stopped, key=int) != []
    # The log keeps all attempts, unless the time was up when the weights had just been written: then a last
    # attempt finds all done.
    log = log_of_training(run)
    resumed = re.findall(rf"resumed at iteration (\d+) of {iterations}", log)
    assert resumed in (stopped, [str(iterations)])
    print(driver.text, log)


def test_a_node_that_goes_down_and_comes_back(run: Run, local_weights: bytes) -> None:
    driver = Driver(run, "--", BASELINE)
    in_mid_training(run, "baseline")
    update = update_of_node()
    try:
        subprocess.run([*update, "state=down", "reason=test"], check=True)
        until(lambda: job_of("baseline") is None)
    finally:
        # It may have come back itself.
        subprocess.run([*update, "state=resume"], check=False)
    assert driver.wait() == 0, driver.text[-3000:]
    assert training(run)["resumes"] == 1
    assert weights(run) == local_weights
    print(driver.text)


def test_a_node_that_is_drained_and_emptied(run: Run, local_weights: bytes) -> None:
    """A drained node ends what it has and takes nothing new; to empty it at once, its jobs are requeued."""
    driver = Driver(run, "--", BASELINE)
    job = in_mid_training(run, "baseline")
    update = update_of_node()
    try:
        subprocess.run([*update, "state=drain", "reason=test"], check=True)
        time.sleep(3)
        assert job_of("baseline") == job
        subprocess.run(["scontrol", "requeue", job], check=True)
        until(lambda: job_of("baseline") is None)
        # It waits for the node, as the same job.
        time.sleep(15)
        (waiting,) = [of for of in jobs() if of["JobId"] == job]
        assert waiting["JobState"] == "PENDING"
        assert driver.process.poll() is None
    finally:
        subprocess.run([*update, "state=resume"], check=True)
    assert driver.wait() == 0, driver.text[-3000:]
    assert training(run)["resumes"] == 1
    assert weights(run) == local_weights
    print(driver.text)


def test_a_job_out_of_memory_is_retried_with_more(run: Run, local_weights: bytes) -> None:
    driver = Driver(run, "--set-resources", "train:mem_mb=attempt*attempt*300", "--", BASELINE)
    assert driver.wait() == 0, driver.text[-3000:]
    asked = [job["MinMemoryNode"] for job in jobs() if job.get("Comment") == "rule_train_wildcards_baseline"]
    assert asked[-2:] == ["300M", "1200M"]
    assert weights(run) == local_weights
    print(driver.text)


def test_a_killed_driver_starts_again(run: Run, local_weights: bytes) -> None:
    driver = Driver(run, "--", BASELINE)
    job = in_mid_training(run, "baseline")
    os.killpg(driver.process.pid, signal.SIGKILL)
    driver.wait()
    # Slurm knows nothing of it: the job goes on, and its training is locked.
    again = Driver(run, "--retries", "0", "--", BASELINE)
    if again.wait() != 0:
        assert f"Slurm job {job}" in again.text, again.text[-3000:]
        until(lambda: job_of("baseline") is None)
        again = Driver(run, "--", BASELINE)
        assert again.wait() == 0, again.text[-3000:]
    assert weights(run) == local_weights
    print(again.text)


# The lines of docs/clusters.md for one training on several nodes, here two tasks on the one node.
TWO_TASKS = """
set-resources:
  train:
    mpi: srun
    tasks: 2
    launcher: >-
      srun --ntasks 2 python -m torch.distributed.run --nnodes 2 --nproc-per-node 1 --rdzv-backend c10d
      --rdzv-endpoint $(squeue --noheader --job $SLURM_JOB_ID --format %B):29500 --rdzv-id $SLURM_JOB_ID
      --signals-to-handle SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1
"""


def test_one_training_of_several_tasks(run: Run, tmp_path: Path) -> None:
    run.configure(
        merged(
            run.configuration(),
            {"gpus_per_training": 2, "device": "cpu", "baseline": {"iterations": 12}},
        )
    )
    profile = tmp_path / "profile"
    profile.mkdir()
    (profile / "profile.yaml").write_text((PROFILE / "profile.yaml").read_text() + TWO_TASKS)
    driver = Driver(run, "--", BASELINE, profile=profile)
    assert driver.wait() == 0, driver.text[-3000:]
    tasks = [job["NumTasks"] for job in jobs() if job.get("Comment") == "rule_train_wildcards_baseline"]
    assert tasks[-1] == "2"
    local = Run(tmp_path / "local")
    local.configure(run.configuration())
    assert local.snakemake("--", BASELINE).returncode == 0
    assert weights(run) == weights(local)
    print(driver.text)


def test_the_whole_chain(run: Run, tmp_path: Path) -> None:
    """Two branches train at the same time, and all files are those of a run without Slurm."""
    run.configure(merged(run.configuration(), {"baseline": {"iterations": 12}}))
    driver = Driver(run)
    assert driver.wait(1800) == 0, driver.text[-3000:]
    print(driver.text)
    branches = [job for job in jobs() if re.search("train_wildcards_co_training.00.[ab]", job["Comment"])]
    (first, second) = branches
    assert first["StartTime"] < second["EndTime"]
    assert second["StartTime"] < first["EndTime"]
    local = Run(tmp_path / "local")
    local.configure(run.configuration())
    done = local.snakemake()
    assert done.returncode == 0, done.stdout[-3000:]
    # Times, also in the page; and the order in which threads finish.
    different_each_time = {"training.json", "done.jsonl", "index.html"}
    for path in (local.folder / "results").rglob("*"):
        if path.is_file() and "logs" not in path.parts and path.name not in different_each_time:
            other = run.folder / path.relative_to(local.folder)
            assert other.read_bytes() == path.read_bytes(), path
    from benchmarks.requirements import jobs_of_run

    assert not [job for job in jobs_of_run(run.folder / "results/tiny") if job.exceeds]
