"""What the jobs of a finished run asked for, and what they took.

Reads the benchmark files beside the logs, which Snakemake writes with `benchmark-extended: true` (in all
profiles). Prints a line for each rule, with the jobs that came nearest to what they had asked for. Ends with
status 1 if a job took more than it had asked for.

    python -m benchmarks.requirements results/demo
"""

import argparse
import ast
import csv
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

MIB = 2**20 / 10**6


class Job(NamedTuple):
    """One job: MB of memory and minutes, asked for and taken."""

    rule: str
    asked_memory: float
    memory: float
    asked_minutes: float
    minutes: float

    @property
    def exceeds(self) -> bool:
        """Whether it took more than it had asked for."""
        return self.memory > self.asked_memory or self.minutes > self.asked_minutes


def jobs_of_run(run: Path) -> Iterator[Job]:
    """Yield the jobs of which benchmark files are below results/RUN/logs."""
    for path in sorted((run / "logs").rglob("*.tsv")):
        with open(path, newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file, delimiter="\t"):
                resources = ast.literal_eval(row["resources"])
                # "NA": the job ended before it was looked at.
                memory = 0.0 if row["max_rss"] == "NA" else float(row["max_rss"]) * MIB
                yield Job(
                    row["rule_name"],
                    resources["mem_mb"],
                    memory,
                    resources["runtime"],
                    float(row["s"]) / 60,
                )


def main(arguments: list[str] | None = None) -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="results/RUN of a finished run")
    run = parser.parse_args(arguments).run
    jobs = list(jobs_of_run(run))
    if not jobs:
        parser.error(
            f"{run}: expected the folder of a run, results/RUN, with what its jobs took beside their logs"
        )
    print(
        f"{'rule':<18}{'jobs':>5}{'MB asked':>10}{'taken':>7}{'share':>7}"
        f"{'min asked':>11}{'taken':>8}{'share':>7}"
    )
    for rule in sorted({job.rule for job in jobs}):
        of_rule = [job for job in jobs if job.rule == rule]
        memory = max(of_rule, key=lambda job: job.memory / job.asked_memory)
        time = max(of_rule, key=lambda job: job.minutes / job.asked_minutes)
        print(
            f"{rule:<18}{len(of_rule):>5}"
            f"{memory.asked_memory:>10.0f}{memory.memory:>7.0f}"
            f"{100 * memory.memory / memory.asked_memory:>6.0f}%"
            f"{time.asked_minutes:>11.0f}{time.minutes:>8.1f}{100 * time.minutes / time.asked_minutes:>6.0f}%"
        )
    exceeding = [job for job in jobs if job.exceeds]
    print(f"{len(jobs)} jobs, {len(exceeding)} took more than they had asked for")
    for job in exceeding:
        print(f"  {job}")
    sys.exit(bool(exceeding))


if __name__ == "__main__":
    main()
