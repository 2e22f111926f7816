"""What a run shows on the terminal: a line for each job, the time left, and at the end what counts.

Snakemake has up to seven lines for each job. Its own output comes back with `--quiet host`, with `--verbose`
and with `--printshellcmds`; it is always in .snakemake/log.
"""

import difflib
import logging
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn, TextIO

from snakemake.jobs import GroupJob
from snakemake.logging import logger
from snakemake.settings.enums import Quietness
from snakemake_interface_logger_plugins.common import LogEvent

from cotrain.errors import FAULTS_OF_THE_MACHINE
from cotrain.progress import CLEARED_LINE, duration
from cotrain.reporting.time_left import Cost, Speeds, seconds_left
from cotrain.words import counted
from workflow_scripts.command_line import MESSAGES_IN_LOG_ONLY, error_in, messages_of

DEFAULT_HANDLER = "DefaultStreamHandler"
# They are counted, but have no line: the report's table ends the output, and settings take no time.
WITHOUT_LINE = ("report", "write_settings")
# Letters of the last line. The step itself has shown the whole message, which may be a list of many problems.
LONGEST_MESSAGE = 600
# What an executor says of a job, and Snakemake of a job that has failed before.
NEWS_OF_A_SCHEDULER = re.compile(r"has been submitted with |^Submitted |^Trying to restart job ")
RESTARTED = re.compile(r"Trying to restart job (\S+)\.$")
# The step never began: what is in its log is from an earlier try.
REFUSED = re.compile(r"sbatch failed")
# Said at each submission; whether an account is needed, the scheduler says itself.
NOISE = re.compile(
    r"No account was given|No SLURM account given|Unable to guess SLURM account|SLURM account via sacct"
)
# With these words an executor begins what says nothing of the reason.
SAME_EACH_TIME = re.compile(r"\s*(?:sbatch call:|Detailed failure reason|For further error details)")
SUBMITTED_TO_SLURM = re.compile(r"Job \S+ has been submitted with SLURM jobid (\d+) \(log: (.*)\)\.$")
# What Snakemake says on Ctrl-C and on SIGTERM, and what the terminal says instead.
STOPPING = {
    "on user request": "stopping: running jobs end now, and trainings save first; this may take a minute",
    "Will exit after finishing": (
        "stopping (SIGTERM): running jobs go on to their end, no other starts; Ctrl-C ends them"
    ),
}
STOPPED = re.compile("|".join(STOPPING))
# Of a job that has left no reason in its log.
WITHOUT_MESSAGE = "failed and left no message in its log"
# How Python tells that a command has failed.
OF_A_COMMAND = re.compile(r"' (?:returned non-zero exit status|died with <Signals)")
# How Python tells a fault of a file, and how Snakemake tells one of its own notes.
FAULT_OF_A_FILE = re.compile(
    r"\[Errno (?P<number>\d+)\] [^:'()]*(?:: '(?P<path>[^']*)')?(?:.* for the directory (?P<folder>.+))?"
)
# What Snakemake says before it starts.
PREAMBLE = (
    *("Building DAG of jobs", "Using shell"),
    *("Conda environments: ignored", "Singularity containers: ignored"),
)


class Terminal(logging.Handler):
    """Takes the place of Snakemake's own output on the terminal.

    Args:
        jobs: the jobs of the run that are to be done.
        cost_of: what is left to do of a job; called again and again.
        speeds: what jobs took, in this run and before it was interrupted.
        stream: where the lines go.
    """

    def __init__(
        self, jobs: Iterable[Any], cost_of: Callable[[Any], Cost], speeds: Speeds, stream: TextIO
    ) -> None:
        super().__init__()
        self.jobs = {job.jobid: job for job in jobs}
        self.total = len(self.jobs)
        self.cost_of, self.speeds, self.stream = cost_of, speeds, stream
        self.began = time.monotonic()
        self.started: dict[int, tuple[float, Cost]] = {}
        self.failures: dict[int, str] = {}
        self.stopping = ""
        # Why Snakemake itself has ended, if it has.
        self.fault = ""
        # Of jobs that a scheduler runs.
        self.submits = False
        self.groups: dict[str, list[int]] = {}
        self.reason_of_group: str | None = None

    def write(self, text: str) -> None:
        """Write a line with the time before it, as the steps do."""
        # The progress bar of a job may stand in the line.
        begin = CLEARED_LINE if self.stream.isatty() else ""
        self.stream.write(f"{begin}{time.strftime('%H:%M:%S')}  {text}\n")
        self.stream.flush()

    def emit(self, record: logging.LogRecord) -> None:
        """Take a message of Snakemake's."""
        event = getattr(record, "event", None)
        if event == LogEvent.JOB_INFO and record.jobid in self.jobs:
            self.started[record.jobid] = time.monotonic(), self.cost_of(self.jobs[record.jobid])
        elif event == LogEvent.JOB_FINISHED and record.job_id in self.jobs:
            self.finish(record.job_id)
        elif event == LogEvent.JOB_ERROR:
            self.fail(record)
        elif event == LogEvent.ERROR or (event is None and record.levelno == logging.ERROR):
            # That a command has failed it says before its JOB_ERROR, and after that only once more.
            text = record.getMessage()
            if not (OF_A_COMMAND.search(text) or self.failures or self.stopping or self.fault):
                self.fault = fault_of_snakemake(text)
                self.write(self.fault)
        elif event is None and (stop := STOPPED.search(record.getMessage())):
            # Snakemake says it again whenever a job has ended.
            if stop[0] != self.stopping:
                self.write(STOPPING[stop[0]])
            self.stopping = stop[0]
        elif event is None and self.submits and record.getMessage().startswith("Shutting down"):
            self.write("stopping: this may take up to three minutes")
        elif event is None and (restarted := RESTARTED.match(record.getMessage())):
            self.restart(restarted[1])
        elif event is None and (
            record.levelno == logging.WARNING or NEWS_OF_A_SCHEDULER.search(record.getMessage())
        ):
            self.submits |= bool(NEWS_OF_A_SCHEDULER.search(record.getMessage()))
            if not NOISE.search(record.getMessage()):
                self.write(SUBMITTED_TO_SLURM.sub(_submitted, record.getMessage()))

    def fail(self, record: logging.LogRecord) -> None:
        """Note why a job has failed; what only a scheduler knows, say at once: the job may be tried again."""
        rule, log = record.rule_name, record.log  # type: ignore[attr-defined]
        of_scheduler = getattr(record, "rule_msg", None) or self.reason_of_group
        if not of_scheduler:
            message = failure(rule, log)
        else:
            reason = SAME_EACH_TIME.split(of_scheduler)[0].rstrip(" .")
            is_refused = REFUSED.search(reason)
            message = f"{rule}: {reason}" if is_refused else f"{failure(rule, log)}; {reason}"
            self.write(message)
        self.failures[record.jobid] = message  # type: ignore[attr-defined]

    def restart(self, number: str) -> None:
        """Say that a job, or a group of jobs, is tried again; why it has failed is no reason for the end."""
        members = self.groups.get(number) or ([int(number)] if number.isdecimal() else [])
        for job_id in members:
            self.failures.pop(job_id, None)
        names = [_name(self.jobs[job_id]) for job_id in members if job_id in self.jobs]
        self.write(f"trying again: {', '.join(names) or f'job {number}'}")

    def keep_reasons_of_groups(self) -> None:
        """Let errors of a group have the scheduler's reason, which Snakemake leaves out of them."""
        log_error = GroupJob.log_error

        def with_reason(group: Any, msg: str | None = None, **more: Any) -> None:
            self.groups[str(group.jobid)] = [job.jobid for job in group.jobs]
            self.reason_of_group = msg
            log_error(group, msg, **more)
            self.reason_of_group = None

        GroupJob.log_error = with_reason

    def finish(self, job_id: int) -> None:
        """Say that a job is finished, and how long the rest takes."""
        job = self.jobs.pop(job_id)
        started, cost = self.started.pop(job_id, (time.monotonic(), Cost(job.rule.name, 0)))
        seconds = time.monotonic() - started
        # Without a log it only collects files of others.
        if not job.log or job.rule.name in WITHOUT_LINE:
            return
        # What was noted when it started may be of another training, with other settings.
        self.speeds.add(cost._replace(seconds=self.cost_of(job).seconds), seconds)
        left = self.left()
        count = f"{self.total - len(self.jobs)}/{self.total}" + (f", {left} left" if left else "")
        self.write(f"[{count}] {last_message(job.log) or job.rule.name} ({duration(seconds)})")

    def left(self) -> str:
        """Return how long the jobs take that are not finished, "" if that is not known yet."""
        costs = []
        for job_id, job in self.jobs.items():
            cost = self.cost_of(job)
            if job_id in self.started and job.rule.name != "train":
                known = self.speeds.seconds.get(cost.kind)
                elapsed = time.monotonic() - self.started[job_id][0]
                cost = cost._replace(amount=max(0.0, cost.amount - elapsed / known) if known else cost.amount)
            costs.append(cost)
        seconds = seconds_left(costs, self.speeds.seconds)
        return "" if seconds is None else duration(seconds)

    def begin(self, estimate: str, notes: Iterable[str]) -> None:
        """Say how much there is to do, and `notes`; an `estimate` counts until speeds are known."""
        left = self.left()
        time = f", about {left}" if left else ""
        if not time:
            known = f"; the estimate for the whole run is {estimate}" if estimate else ""
            time = known or "; `snakemake estimate` says how long the whole run takes"
        self.write(f"{counted(self.total, 'job')} to do{time}")
        for note in notes:
            self.write(f"note: {note}")

    def end(self, result: str) -> None:
        """Say that all is done; `result` is where the result lies."""
        self.write(f"finished in {duration(time.monotonic() - self.began)}: {result}")

    def end_early(self) -> None:
        """Say why the run ended, as the last line."""
        messages = list(dict.fromkeys(self.failures.values()))
        if self.stopping:
            # Interrupted before the step could say a word.
            messages = [message for message in messages if WITHOUT_MESSAGE not in message]
        if self.stopping or not (messages or self.fault):
            messages = [*messages, "interrupted; the same command goes on where it stopped"]
        for message in messages:
            self.write(message)


def _submitted(found: re.Match[str]) -> str:
    return f"Slurm job {found[1]} submitted (log: {os.path.relpath(found[2])})"


def _name(job: Any) -> str:
    """Return how messages call a job: "train co_training/00/a"."""
    return " ".join([job.rule.name, *map(str, job.wildcards)])


def default_handler(workflow: Any) -> logging.Handler | None:
    """Return Snakemake's handler for the terminal; None in a dry run, or if the user wants all it says."""
    output = workflow.output_settings
    wants_more = output.dryrun or output.verbose or output.printshellcmds
    if wants_more or Quietness.RULES not in (output.quiet or ()):
        return None
    return snakemakes_handler()


def snakemakes_handler() -> Any:
    """Return Snakemake's own handler for the terminal; None where a plugin or a `Terminal` has its place."""
    return next((handler for handler in logger.handlers if handler.name == DEFAULT_HANDLER), None)


def leave_out_preamble(workflow: Any, result: Callable[[], str]) -> None:
    """Keep from the terminal what Snakemake says before it starts.

    If there is nothing to do, say what `result` returns.
    """

    def is_news(record: logging.LogRecord) -> bool:
        text = record.getMessage()
        if text.startswith("Nothing to be done"):
            record.msg, record.args = f"Nothing to do: {result()}", ()
        of_preamble = getattr(record, "event", None) in (LogEvent.RUN_INFO, LogEvent.RESOURCES_INFO)
        return not (of_preamble or text.startswith(PREAMBLE))

    handler = default_handler(workflow)
    if handler:
        handler.addFilter(is_news)


def stop(message: object) -> NoReturn:
    """End with a message as the last line: below an error Snakemake would show a file and a line of it."""
    logger.error(str(message))
    sys.exit(1)


def name_targets(targets: Sequence[str]) -> None:
    """Let Snakemake's message about a target that it cannot make name those that there are."""

    def with_targets(record: logging.LogRecord) -> bool:
        found = re.search(r"No rule to produce (\S+) \(if you use input functions", record.getMessage())
        if found:
            close = difflib.get_close_matches(found[1], targets, 1)
            hint = f" (did you mean {close[0]}?)" if close else ""
            record.msg, record.args = (
                f"there is no target {found[1]}{hint}; expected one of {', '.join(targets)}, or the path of "
                "a file that a run makes",
                (),
            )
        return True

    handler = snakemakes_handler()
    if handler:
        handler.addFilter(with_targets)


def show_on_terminal(
    workflow: Any,
    jobs: Iterable[Any],
    cost_of: Callable[[Any], Cost],
    speeds: Path,
    estimate: str,
    notes: Iterable[str],
) -> None:
    """Put a `Terminal` in the place of Snakemake's output, unless the user has asked for that."""
    handler = default_handler(workflow)
    if handler is None:
        return
    terminal = Terminal(jobs, cost_of, Speeds(speeds), handler.stream)
    logger.removeHandler(handler)
    logger.addHandler(terminal)
    terminal.keep_reasons_of_groups()
    # Snakemake's own log lies on the same disk; that it is full is said once.
    logging.raiseExceptions = False
    # The steps inherit it.
    os.environ[MESSAGES_IN_LOG_ONLY] = "1"
    terminal.begin(estimate, notes)


def terminals() -> list[Terminal]:
    """Return the `Terminal` that is at work, if there is one."""
    return [handler for handler in logger.handlers if isinstance(handler, Terminal)]


def last_message(logs: Iterable[Any]) -> str:
    """Return the last message in the log of a step, without its time; "" if there is none."""
    messages = [message for path in logs for message in messages_of(path)]
    return messages[-1] if messages else ""


def failure(rule: str, logs: Iterable[str]) -> str:
    """Return why a job failed: the error in its log, or else the last message there."""
    for path in logs:
        whole = " ".join((error_in(path) or "").split())
        if 0 < len(whole) <= LONGEST_MESSAGE:
            return f"{rule}: {whole} (log: {path})"
        messages = messages_of(path)
        errors = [message.removeprefix("error: ") for message in messages if message.startswith("error: ")]
        if message := (errors or messages or [""])[-1]:
            cut = f"{message[:LONGEST_MESSAGE]}…" if len(message) > LONGEST_MESSAGE else message
            return f"{rule}: {cut} (log: {path})"
    place = ", ".join(logs) or "it has none"
    return f"{rule} {WITHOUT_MESSAGE} ({place}); the reason stands above, or the job was ended from outside"


def fault_of_snakemake(text: str) -> str:
    """Return in one line why Snakemake itself has ended; `text` is its message, or its traceback."""
    last = text.strip().splitlines()[-1].strip()
    found = FAULT_OF_A_FILE.search(last)
    if not found:
        return f"Snakemake: {last}"
    number, path = int(found["number"]), found["path"] or found["folder"]
    reason = FAULTS_OF_THE_MACHINE.get(number) or os.strerror(number)
    return f"{path}: {reason}" if path else f"Snakemake cannot go on: {reason}"
