"""What the terminal shows of jobs that a scheduler runs."""

import io
import logging
import re

import pytest
from snakemake_interface_logger_plugins.common import LogEvent

from cotrain.reporting.time_left import Cost, Speeds
from rules.terminal import Terminal

AT = re.compile(r"\d\d:\d\d:\d\d  ")
REFUSED = """SLURM sbatch failed. The error message was 'sbatch: error: invalid partition specified: nosuch'.
    sbatch call:
        sbatch --parsable --job-name 86eca829
"""
TIMEOUT = (
    "SLURM-job '6' failed, SLURM status is: 'TIMEOUT'. Detailed failure reason unavailable (status command "
    "is not 'sacct')."
)


@pytest.fixture
def terminal(tmp_path):
    return Terminal([], lambda job: None, Speeds(tmp_path / "speeds.json"), io.StringIO())


def shown(terminal, text, level=logging.INFO, **more):
    record = logging.LogRecord("snakemake", level, __file__, 1, text, (), None)
    record.__dict__.update({"event": None, **more})
    before = len(terminal.stream.getvalue())
    terminal.emit(record)
    return AT.sub("", terminal.stream.getvalue()[before:]).splitlines()


def failed(terminal, message, jobid=3):
    return shown(
        terminal,
        "Error in rule train",
        logging.ERROR,
        **{"event": LogEvent.JOB_ERROR, "jobid": jobid, "rule_name": "train", "log": [], "rule_msg": message},
    )


def test_a_submission_is_one_line(terminal, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = f"Job 09101ea9-787f has been submitted with SLURM jobid 3 (log: {tmp_path}/logs/train/3.log)."
    assert shown(terminal, text) == ["Slurm job 3 submitted (log: logs/train/3.log)"]
    assert shown(terminal, "Select jobs to execute...") == []


def test_why_a_scheduler_has_ended_or_refused_a_job(terminal):
    start = "train failed without a message (log: none); "
    assert failed(terminal, REFUSED) == [
        f"{start}SLURM sbatch failed. The error message was 'sbatch: error: invalid partition specified: "
        "nosuch'"
    ]
    assert failed(terminal, TIMEOUT) == [f"{start}SLURM-job '6' failed, SLURM status is: 'TIMEOUT'"]
    # On one machine the step itself has said why; it is told at the end.
    assert failed(terminal, None) == []


def test_only_what_is_not_tried_again_is_a_reason_for_the_end(terminal):
    failed(terminal, TIMEOUT, jobid=3)
    failed(terminal, REFUSED, jobid=4)
    assert shown(terminal, "Trying to restart job 3.") == ["Trying to restart job 3."]
    terminal.stream.truncate(0)
    terminal.end_early()
    [line] = AT.sub("", terminal.stream.getvalue().lstrip("\0")).splitlines()
    assert "invalid partition" in line


@pytest.mark.parametrize(
    ("snakemakes", "ours"),
    [
        (
            "Terminating processes on user request, this might take some time.",
            "stopping: running jobs end now, and trainings save first; this may take a minute",
        ),
        (
            "Will exit after finishing currently running jobs (scheduler).",
            "stopping (SIGTERM): running jobs go on to their end, no other starts; Ctrl-C ends them",
        ),
    ],
)
def test_a_stop_is_told_at_once(terminal, snakemakes, ours):
    assert shown(terminal, snakemakes) == [ours]
    assert shown(terminal, snakemakes) == []
    assert shown(terminal, "Trying something else on request") == []
    terminal.end_early()
    assert terminal.stream.getvalue().endswith("interrupted; the same command goes on where it stopped\n")


def test_a_run_begins_with_its_time_and_what_is_hardly_meant(tmp_path):
    class Job:
        jobid, rule, log = 1, None, []

    speeds = Speeds(tmp_path / "speeds.json")

    def begun(estimate):
        terminal = Terminal([Job()], lambda job: Cost("train", 30), speeds, io.StringIO())
        terminal.begin(estimate, ["keep is 3"])
        return AT.sub("", terminal.stream.getvalue()).splitlines()

    unknown = "1 job to do; `snakemake estimate` says how long the whole run takes"
    assert begun("") == [unknown, "note: keep is 3"]
    assert begun("2 h 10 min") == [
        "1 job to do; the estimate for the whole run is 2 h 10 min",
        "note: keep is 3",
    ]
    # What jobs took is known better than what was measured before.
    speeds.add(Cost("train", 1), 2.0)
    assert begun("2 h 10 min") == ["1 job to do, about 1 min 00 s", "note: keep is 3"]
