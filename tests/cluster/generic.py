"""A run through other engines by configuration only: three small scripts submit, ask and cancel."""

import subprocess
import sys
from pathlib import Path

from cotrain.configuration.reading import merged
from tests.workflow.conftest import PROJECT, Run

# What a submit command has to do: start the job script somewhere, and print a number.
SUBMIT = """#!/usr/bin/env bash
# submit MEM_MB MINUTES GPUS THREADS RULE JOBSCRIPT
echo "$@" >> submitted.txt
setsid bash "${@: -1}" > /dev/null 2>&1 &
echo $!
"""
# A job whose process has ended without its mark has failed.
STATUS = """#!/usr/bin/env bash
if kill -0 "$1" 2> /dev/null; then echo running; else echo success; fi
"""
PROFILE = """
executor: cluster-generic
cluster-generic-submit-cmd: ./submit {resources.mem_mb} {resources.runtime} {resources.gpu} {threads} {rule}
cluster-generic-status-cmd: ./status
cluster-generic-cancel-cmd: kill
default-resources: [gpu=0]
jobs: 2
local-cores: 1
latency-wait: 10
seconds-between-status-checks: 1
retries: 1
rerun-incomplete: true
nolock: true
benchmark-extended: true
quiet: [rules, host]
"""


def test_a_run_by_a_submit_script(tmp_path: Path) -> None:
    run = Run(tmp_path / "a run")
    run.configure(merged(run.configuration(), {"prediction": {"shards": 1}}))
    for name, text in (("submit", SUBMIT), ("status", STATUS)):
        (run.folder / name).write_text(text)
        (run.folder / name).chmod(0o755)
    (run.folder / "profile").mkdir()
    (run.folder / "profile" / "profile.yaml").write_text(PROFILE)
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(PROJECT / "Snakefile")]
    command += ["--workflow-profile", "profile", "--configfile", "tiny.yaml", "--", "baseline"]
    done = subprocess.run(command, cwd=run.folder, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    print(done.stdout + done.stderr)
    submitted = [line.split() for line in (run.folder / "submitted.txt").read_text().splitlines()]
    # Small steps are not submitted; each job asks for memory, minutes, GPUs and threads.
    rules = [line[4] for line in submitted]
    assert rules.count("train") == rules.count("evaluate") == rules.count("translate") == 1
    assert not {"write_settings", "thresholds", "report"} & set(rules)
    assert all(int(value) > 0 for line in submitted for value in (line[0], line[1], line[3]))
    scores = run.folder / "results/tiny/evaluation/baseline/camera_test/scores.json"
    local = Run(tmp_path / "local")
    local.configure(run.configuration())
    assert local.snakemake("--", "baseline").returncode == 0
    assert scores.read_bytes() == (local.folder / scores.relative_to(run.folder)).read_bytes()
