"""What the terminal shows of jobs that a scheduler runs."""

import io
import logging
import re
from types import SimpleNamespace

import pytest
from snakemake.jobs import GroupJob
from snakemake_interface_logger_plugins.common import LogEvent

from cotrain.reporting.time_left import Cost, Speeds
from rules.terminal import Terminal, failure

AT = re.compile(r"\d\d:\d\d:\d\d  ")
REFUSED = """SLURM sbatch failed. The error message was 'sbatch: error: invalid partition specified: nosuch'.
    sbatch call:
        sbatch --parsable --job-name 86eca829
"""
REFUSAL = "SLURM sbatch failed. The error message was 'sbatch: error: invalid partition specified: nosuch'"
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


def ended(terminal):
    before = len(terminal.stream.getvalue())
    terminal.end_early()
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
    # What the log holds is from an earlier try: this one never began.
    assert failed(terminal, REFUSED) == [f"train: {REFUSAL}"]
    start = (
        "train failed and left no message in its log (it has none); the reason stands above, or the job was "
        "ended from outside; "
    )
    assert failed(terminal, TIMEOUT) == [f"{start}SLURM-job '6' failed, SLURM status is: 'TIMEOUT'"]
    # On one machine the step itself has said why; it is told at the end.
    assert failed(terminal, None) == []


def test_only_what_is_not_tried_again_is_a_reason_for_the_end(terminal):
    failed(terminal, TIMEOUT, jobid=3)
    failed(terminal, REFUSED, jobid=4)
    assert shown(terminal, "Trying to restart job 3.") == ["trying again: job 3"]
    terminal.stream.truncate(0)
    terminal.end_early()
    [line] = AT.sub("", terminal.stream.getvalue().lstrip("\0")).splitlines()
    assert "invalid partition" in line


class JobOfGroup:
    """Of Snakemake's job, what a group asks of it."""

    def __init__(self, terminal, jobid, name):
        self.terminal, self.jobid, self.rule = terminal, jobid, SimpleNamespace(name=name)
        self.wildcards, self.log = ["camera"], []

    def get_log_error_info(self, **more):
        return {}

    def log_error(self, indent):
        more = {"event": LogEvent.JOB_ERROR, "jobid": self.jobid, "rule_name": self.rule.name, "log": []}
        record = logging.LogRecord("snakemake", logging.ERROR, __file__, 1, "Error in rule", (), None)
        record.__dict__.update(more)
        self.terminal.emit(record)


def test_why_a_group_was_refused(terminal, monkeypatch):
    """Snakemake leaves the reason out of the errors of its jobs."""
    monkeypatch.setattr(GroupJob, "log_error", GroupJob.log_error)
    terminal.keep_reasons_of_groups()
    names = ("make_manifest", "check_data")
    jobs = [JobOfGroup(terminal, number, name) for number, name in enumerate(names, start=7)]
    terminal.jobs = {job.jobid: job for job in jobs}
    GroupJob.log_error(SimpleNamespace(jobs=jobs, jobid="be39-9c", groupid="data"), REFUSED)
    written = AT.sub("", terminal.stream.getvalue()).splitlines()
    assert written == [f"check_data: {REFUSAL}", f"make_manifest: {REFUSAL}"]
    assert shown(terminal, "Trying to restart job be39-9c.") == [
        "trying again: make_manifest camera, check_data camera"
    ]
    assert not terminal.failures
    # The next error has a reason of its own.
    assert failed(terminal, None) == []


def test_what_slurms_plugin_says_at_each_submission_is_left_out(terminal):
    no_account = "No account was given, not able to get a SLURM account via sacct: invalid option -- '1'"
    assert shown(terminal, no_account, logging.WARNING) == []
    assert shown(terminal, "No SLURM account given, trying to guess.", logging.WARNING) == []
    assert shown(terminal, "Shutting down, this might take some time.") == []
    shown(terminal, "Job 09101ea9-787f has been submitted with SLURM jobid 3 (log: logs/3.log).")
    assert shown(terminal, "Shutting down, this might take some time.") == [
        "stopping: this may take up to three minutes"
    ]


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


def test_an_interrupted_job_that_had_not_said_a_word_is_not_the_reason(terminal):
    failed(terminal, None)
    shown(terminal, "Terminating processes on user request, this might take some time.")
    assert ended(terminal) == ["interrupted; the same command goes on where it stopped"]


BROKEN_NOTES = (
    "WorkflowError:\nError recording metadata for finished job ([Errno 28] No space left on device). Please "
    "ensure write permissions for the directory /my runs/.snakemake"
)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            'Traceback (most recent call last):\n\n  File "x.py", line 1\n\n'
            "NotADirectoryError: [Errno 20] Not a directory: 'results/my run/logs/train.log'\n",
            "results/my run/logs/train.log: lies below a file, expected a folder there",
        ),
        (
            BROKEN_NOTES,
            "/my runs/.snakemake: the disk is full; free some space and give the same command again",
        ),
        (
            "OSError: [Errno 5] Input/output error",
            "Snakemake cannot go on: the disk has an error; check it, and restore the file",
        ),
        ("BUG: Out of jobs ready to be started.", "Snakemake: BUG: Out of jobs ready to be started."),
    ],
)
@pytest.mark.parametrize("event", [None, LogEvent.ERROR])
def test_why_snakemake_itself_has_ended(terminal, text, line, event):
    assert shown(terminal, text, logging.ERROR, event=event) == [line]
    # What it says of it once more says nothing.
    assert shown(terminal, "At least one job did not complete", logging.ERROR, event=event) == []
    assert ended(terminal) == []


def test_after_a_failed_job_snakemake_only_says_so_again(terminal):
    for end in ("returned non-zero exit status 2.", "died with <Signals.SIGKILL: 9>."):
        text = f"RuleException:\nCommand 'python -m workflow_scripts.train' {end}"
        assert shown(terminal, text, logging.ERROR, event=LogEvent.ERROR) == []
    failed(terminal, None)
    text = "Exiting because a job execution failed. Look below for error messages"
    assert shown(terminal, text, logging.ERROR) == []
    (line,) = ended(terminal)
    assert line.startswith("train failed and left no message in its log")


def test_the_reason_of_a_failure_has_all_lines_of_a_short_message(tmp_path):
    log = tmp_path / "train.log"
    log.write_text("10:00:00  step 1\n10:00:01  error: nothing is kept:\n  road is unsure\nLower `lower`.\n")
    assert (
        failure("label", [str(log)]) == f"label: nothing is kept: road is unsure Lower `lower`. (log: {log})"
    )
    # Of a long one the first problem; all stand above it, and in the log.
    log.write_text("10:00:01  error: 90 problems:\n" + 90 * "  a file is missing\n")
    assert failure("check", [str(log)]) == f"check: 90 problems: a file is missing (log: {log})"


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


def test_the_speed_of_a_training_is_what_it_has_noted_at_its_end(tmp_path):
    """When it started, there was the note of another training, of which 10 iterations seemed to be left."""
    log = tmp_path / "train.log"
    log.write_text("10:00:00  baseline: weights in models/baseline\n")
    job = SimpleNamespace(jobid=1, rule=SimpleNamespace(name="train"), log=[str(log)])
    noted = iter([Cost("train", 10, seconds=0.1), Cost("train", 250, seconds=0.5)])
    speeds = Speeds(tmp_path / "speeds.json")
    terminal = Terminal([job], lambda job: next(noted), speeds, io.StringIO())
    shown(terminal, "rule train", event=LogEvent.JOB_INFO, jobid=1)
    shown(terminal, "Finished job 1", event=LogEvent.JOB_FINISHED, job_id=1)
    assert speeds.seconds == {"train": 0.5}
