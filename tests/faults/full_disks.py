"""Really full disks, in every step that writes: one message, no part of a file; with room all goes on.

`results` and `state` of a finished run lie on a small disk. For each step its outputs are removed, the disk
is filled but for a few blocks, and the step's own command is given again; then the disk gets room, and the
same command has to make the same files as before. Only root may mount a disk.
"""

import os
import re
import runpy
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch  # noqa: F401 (for the forks)

from cotrain.data.images import read_label, write_label
from tests.miniature import make
from tests.workflow.conftest import PROJECT, Run
from tests.workflow.test_command_lines import STREETS
from tests.workflow.test_two_networks import NETWORK_B, USERS_MODULE, with_all_else

BIN = Path(sys.executable).parent
SIZE = 64 * 2**20
# It gives labels a second name; its manifest takes the room of the labels that these replace.
NEEDS_NO_ROOM = {"join_ensemble"}
FREE_KIB = [0, 4, 16]
MESSAGE = re.compile("error: .*(the disk is full|its disk has .* free, but|but only .* are free)")
# Their outputs hold times, paths of logs or nothing that a full disk could cut off.
DIFFERENT_EACH_TIME = (
    *("training.json", "estimate.txt", "speeds.json", "progress.json", "done.jsonl", "lock"),
    # A save counts how often its training was resumed; the weights are compared.
    *("last.pt", "previous.pt"),
    "model.pt2",
    # A page tells the time at which it was made, and the jobs that were done by then.
    "index.html",
    # It counts the seconds of its jobs.
    *("workflow.lock",),
)
# All that a person can ask for, and two checks that a run has only on other machines.
TARGETS = (
    *("all", "contact_sheets", "batch_sheets", "estimate", "oracle_studies"),
    *("results/tiny/data/device.json", "results/tiny/data/networks.json"),
)
SPACE = "--label-space 'own space.yaml'"
LABELS = f"--labels results/tiny/data/camera_test/train_ids.tsv {SPACE}"
SEGMENTED = "results/by_hand/segment/labels"
FINAL = "--model results/tiny/models/final --device cpu"
# The steps that no rule runs; each stands behind those whose outputs it reads.
BY_HAND = {
    "segment": f"{FINAL} --input 'some data/camera_test'",
    "class_probabilities": f"{FINAL} --image 'some data/camera_test/00.png'",
    "score_labels": f"--predictions {SEGMENTED} {LABELS}",
    "error_images": f"--predictions {SEGMENTED} {LABELS}",
    "colour_labels": LABELS,
    "select_images": f"{LABELS} --any road --more-than 0",
    "vote_labels": f"--labels {SEGMENTED} {SEGMENTED} {SPACE}",
    "export_pseudo_labels": f"--manifest results/tiny/pseudo_labels/ensemble/manifest.tsv {SPACE} --copy",
    "ego_vehicle_mask": "--root cityscapes",
    "extract_frames": "--video 'some data/drive.avi'",
    "export": "--model results/tiny/models/final --images 'some data/camera_test/00.png'",
}
SUFFIXES = {"class_probabilities": ".npy", "ego_vehicle_mask": ".png"}
LEFT_OUT = {
    "compare": "it needs a second run; its texts are written by the same function as all others",
    "configuration": "it writes no file",
    "import_corrected_labels": "its labels and lists are written by the functions that others use",
    "status": "it writes no file",
    "verify": "it writes no file",
    "init": "what it writes are a configuration and lists, by the same function as every text",
    "import_weights": "its weights are larger than the disk; `train` writes them in the same way",
}
# What a step does not make again while it is there, and the list that it takes away first.
KEPT = {
    "render_scenes": ("images", "labels"),
    "translate": ("images", "done.jsonl", "manifest.tsv"),
    "decode_images": ("*.npy",),
    "segment": ("labels", "overlays", "done.jsonl"),
}


@pytest.fixture(scope="session")
def small_disk_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """A finished run that has a job of every rule, with `results` and `state` on a disk of 64 MiB."""
    disk = tmp_path_factory.mktemp("full disks") / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", disk], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        run = Run(disk.parent / "run")
        (run.folder / "network_of_a_user.py").write_text(USERS_MODULE)
        configuration = with_all_else(run, run.configuration())
        # What makes the jobs that no other run has: streets, translated images, scores from several shards.
        del configuration["translation"]
        configuration["datasets"]["game"] = STREETS | {"images": 4}
        configuration["source"].append("game")
        configuration["prediction"]["shards"] = 2
        configuration["co_training"]["network_b"] = NETWORK_B
        run.configure(configuration)
        # A video that no disk is too small for, but that of the test.
        writer = cv2.VideoWriter(
            str(run.folder / "some data" / "drive.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (320, 240)
        )
        for _ in range(3):
            writer.write(np.random.default_rng(0).integers(0, 256, (240, 320, 3)).astype(np.uint8))
        writer.release()
        make("cityscapes", run.folder / "cityscapes", images=2)
        for path in (run.folder / "cityscapes").rglob("*_labelIds.png"):
            ids = read_label(path)
            ids[-1] = 1
            write_label(path, ids, [])
        for part in ("results", "state"):
            (disk / part).mkdir()
            (run.folder / part).symlink_to(disk / part)
        # Predictions are temporary; here their readers need them.
        for targets in (["self_training"], TARGETS):
            done = run.snakemake("--notemp", "--", *targets)
            assert done.returncode == 0, done.stdout[-6000:]
        yield run
    finally:
        # Lazily: a job of a workflow that took too long may still have a file open.
        subprocess.run(["umount", "--lazy", disk], check=True)


def commands(run: Run) -> dict[str, str]:
    """Return the command of one job of each step, in the order of the chain; of `train` one with a target."""
    options = ("--dry-run", "--forceall", "--printshellcmds", "--quiet", "host")
    output = run.snakemake(*options, "--", *TARGETS).stdout
    found: dict[str, str] = {}
    for line in re.findall(r"python -m workflow_scripts\.[^\n]*", output):
        step = line.split()[2].removeprefix("workflow_scripts.")
        # The temporary file that Snakemake gives to `write_settings` has ended with it.
        line = re.sub(r"--config \S+", "--config results/tiny/settings/configuration.json", line)
        if "--output results/tiny/settings/configuration.json" in line:
            continue
        if step not in found or (step == "train" and "--target" in line):
            found[step] = line
    assert found.keys() == steps_of_rules()
    for step, flags in BY_HAND.items():
        output = f"results/by_hand/{step}{SUFFIXES.get(step, '')}"
        found[step] = f"python -m workflow_scripts.{step} {flags} --output {output}"
    return found


def steps_of_rules() -> set[str]:
    texts = [path.read_text() for path in sorted((PROJECT / "rules").glob("*.smk"))]
    return {step for text in texts for step in re.findall(r"-m workflow_scripts\.(\w+)", text)}


def files_of(run: Run) -> dict[Path, bytes]:
    """Return all files of the results and the state that are the same each time, and their content."""
    return {
        path: path.read_bytes()
        for part in ("results", "state")
        for path in (run.folder / part).rglob("*")
        if path.is_file() and "logs" not in path.parts and path.name not in DIFFERENT_EACH_TIME
    }


def remove_outputs(run: Run, step: str, command: str) -> None:
    """Remove the file that a command writes, and its state; in a folder, old files are to be replaced."""
    words = re.findall(r"--output ('[^']*'|\S+)", command)
    output = run.folder / words[0].strip("'")
    if not output.is_dir():
        output.unlink(missing_ok=True)
    kept = [path for pattern in KEPT.get(step, ()) for path in output.glob(pattern)]
    if state := re.findall(r"--state (\S+)", command):
        kept.append(run.folder / state[0])
    for path in kept:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def given(run: Run, command: str) -> tuple[int, str]:
    """Give a command as a person does; return its status and what it says."""
    ended = subprocess.run(
        command,
        shell=True,
        cwd=run.folder,
        env=os.environ | {"PYTHONPATH": str(PROJECT), "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
    )
    return ended.returncode, ended.stdout


def given_quickly(run: Run, command: str) -> tuple[int, str]:
    """Do the same in a fork of this process, which has loaded torch already: most of a step's time."""
    _, _, module, *arguments = shlex.split(command)
    with tempfile.TemporaryFile() as said:
        child = os.fork()
        if child == 0:
            signal.alarm(600)
            os.chdir(run.folder)
            for stream in (1, 2):
                os.dup2(said.fileno(), stream)
            sys.stdout, sys.stderr = (open(stream, "w", buffering=1, closefd=False) for stream in (1, 2))  # noqa: SIM115
            sys.argv, sys.path = [module, *arguments], ["", *sys.path]
            status = 1
            try:
                runpy.run_module(module, run_name="__main__")
                status = 0
            except SystemExit as ended:
                status = int(ended.code or 0)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        _, wait_status = os.waitpid(child, 0)
        said.seek(0)
        return os.waitstatus_to_exitcode(wait_status), said.read().decode()


def test_every_step_on_a_full_disk(small_disk_run: Run) -> None:
    run = small_disk_run
    without_room: dict[str, int] = {}
    faults = []
    for step, command in commands(run).items():
        without_room[step] = 0
        try:
            try_on_full_disk(run, step, command, without_room)
        except AssertionError as fault:
            faults.append(step)
            print(fault)
        print(f"{step}: {without_room[step]} times without room", flush=True)
    print(f"{len(without_room)} steps, {sum(without_room.values())} times without room")
    assert not faults


def try_on_full_disk(run: Run, step: str, command: str, without_room: dict[str, int]) -> None:
    """Give a command on disks with little room, then with room; count in `without_room` its failures."""
    filler = run.folder.parent / "disk" / "filler"
    if step in BY_HAND:
        made_with_room(run, step, command)
    before = files_of(run)
    times = {path: (path.stat().st_atime_ns, path.stat().st_mtime_ns) for path in before}
    faults = []
    for free_kib in FREE_KIB:
        remove_outputs(run, step, command)
        try:
            without_room[step] += ended_well(run, step, command, filler, free_kib, before)
        except AssertionError as fault:
            faults.append(str(fault))
    made_with_room(run, step, command)
    after = files_of(run)
    for path, ns in times.items():
        if path not in after:
            faults.append(f"{step} does not make {path} again")
        elif before[path] != after[path]:
            faults.append(f"{step} makes another {path} than before")
        else:
            # Decoded images are known by the times of their images: for other steps nothing has happened.
            os.utime(path, ns=ns)
    assert not faults, "\n".join(faults)
    assert without_room[step] or step in NEEDS_NO_ROOM, f"{step} found room on the full disk:\n{command}"


def made_with_room(run: Run, step: str, command: str) -> None:
    status, said = given_quickly(run, command)
    assert status == 0, f"{step} with room:\n{said[-3000:]}"


def ended_well(
    run: Run, step: str, command: str, filler: Path, free_kib: int, before: dict[Path, bytes]
) -> bool:
    """Give a command on a disk with so much room; AssertionError unless it ends well or in one message.

    Returns whether the room was too little.
    """
    left = files_of(run)
    free = shutil.disk_usage(filler.parent).free
    filler.write_bytes(bytes(max(0, free - free_kib * 1024)))
    # Once as a whole process, whose end may fail too.
    status, said = (given if free_kib == 0 else given_quickly)(run, command)
    filler.unlink()
    what = f"{step} with {free_kib} KiB free, status {status}:\n{command}\n{said[-3000:]}"
    assert "Traceback" not in said, what
    if status != 0:
        assert status == 2, what
        assert MESSAGE.search(said), what
        assert len(re.findall("error: ", said)) == 1, what
    there = files_of(run)
    for path, content in there.items():
        # A file is whole, as it was before, or not there.
        assert before.get(path, content) == content, f"{path} differs after {what}"
        assert ".partial" not in path.name, f"{path} is left behind by {what}"
    # What an attempt before this one has left may be made again, or cleared away.
    assert there.keys() >= left.keys() & before.keys(), what
    return status != 0
