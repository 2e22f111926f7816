"""Really full disks, in every step that a run starts: one message, no part of a file; with room all goes on.

`results` and `state` of a finished run lie on a small disk. For each step its outputs are removed, the disk
is filled but for a few blocks, and the step's own command is given again; then the disk gets room, and the
same command has to make the same files as before. Only root may mount a disk.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.workflow.conftest import PROJECT, Run, finished_run  # noqa: F401 (a fixture)

BIN = Path(sys.executable).parent
SIZE = 64 * 2**20
FREE_KIB = [0, 4, 16]
MESSAGE = re.compile(r"error: .*(disk of .+ is full|the disk is full|its disk has .* free, but)")
# Their outputs hold times, paths of logs or nothing that a full disk could cut off.
DIFFERENT_EACH_TIME = (
    *("training.json", "estimate.txt", "speeds.json", "progress.json", "done.jsonl", "lock"),
    # A save counts how often its training was resumed; the weights are compared.
    *("last.pt", "previous.pt"),
)


@pytest.fixture(scope="session")
def small_disk_run(finished_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:  # noqa: F811
    """A copy of the finished run, with `results` and `state` on a disk of 64 MiB."""
    folder = tmp_path_factory.mktemp("full disks") / "run"
    shutil.copytree(finished_run.folder, folder)
    run = Run.__new__(Run)
    run.folder = folder
    disk = folder.parent / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", disk], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        for part in ("results", "state"):
            shutil.move(folder / part, disk / part)
            (folder / part).symlink_to(disk / part)
        yield run
    finally:
        subprocess.run(["umount", disk], check=True)


def commands(run: Run) -> dict[str, str]:
    """Return the command of one job of each step, in the order of the chain; of `train` one with a target."""
    output = run.snakemake("--dry-run", "--forceall", "--printshellcmds", "--quiet", "host").stdout
    found: dict[str, str] = {}
    for line in re.findall(r"python -m workflow_scripts\.[^\n]*", output):
        step = line.split()[2].removeprefix("workflow_scripts.")
        # The temporary file that Snakemake gives to `write_settings` has ended with it.
        line = re.sub(r"--config \S+", "--config results/tiny/settings/configuration.json", line)
        # Predictions are temporary: a finished run has given them back, and with them what these steps read.
        if "--predictions" in line or "--histograms" in line:
            continue
        if step not in found or (step == "train" and "--target" in line):
            found[step] = line
    return found


def files_of(run: Run) -> dict[Path, bytes]:
    """Return all files of the results and the state that are the same each time, and their content."""
    return {
        path: path.read_bytes()
        for part in ("results", "state")
        for path in (run.folder / part).rglob("*")
        if path.is_file() and "logs" not in path.parts and path.name not in DIFFERENT_EACH_TIME
    }


def remove_outputs(run: Run, command: str) -> None:
    """Remove the file that a command writes, and its state; in a folder, old files are to be replaced."""
    words = re.findall(r"--output ('[^']*'|\S+)", command)
    output = run.folder / words[0].strip("'")
    if not output.is_dir():
        output.unlink(missing_ok=True)
    if state := re.findall(r"--state (\S+)", command):
        shutil.rmtree(run.folder / state[0], ignore_errors=True)


def give(run: Run, command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        shell=True,
        cwd=run.folder,
        env=os.environ | {"PYTHONPATH": str(PROJECT), "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )


def test_every_step_on_a_full_disk(small_disk_run: Run) -> None:
    run = small_disk_run
    filler = run.folder.parent / "disk" / "filler"
    steps = commands(run)
    assert len(steps) >= 10, steps
    tried = 0
    for step, command in steps.items():
        before = files_of(run)
        for free_kib in FREE_KIB:
            remove_outputs(run, command)
            left = files_of(run)
            free = shutil.disk_usage(filler.parent).free
            filler.write_bytes(bytes(max(0, free - free_kib * 1024)))
            ended = give(run, command)
            filler.unlink()
            what = f"{step} with {free_kib} KiB free:\n{ended.stdout[-3000:]}"
            assert "Traceback" not in ended.stdout, what
            if ended.returncode != 0:
                tried += 1
                assert ended.returncode == 2, what
                assert MESSAGE.search(ended.stdout), what
            for path, content in files_of(run).items():
                # A file is whole, as it was before, or not there.
                assert before.get(path, content) == content, f"{path} differs after {what}"
            assert files_of(run).keys() >= left.keys(), what
        again = give(run, command)
        assert again.returncode == 0, f"{step} with room:\n{again.stdout[-3000:]}"
        after = files_of(run)
        assert before.keys() <= after.keys(), (step, before.keys() - after.keys())
        changed = [path for path in before if before[path] != after[path]]
        assert not changed, (step, changed)
    print(f"{len(steps)} steps, {tried} times without room")
    assert tried >= len(steps)
