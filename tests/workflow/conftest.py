"""A tiny run of the real workflow: real Snakemake, real steps, a small network without ImageNet weights."""

import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from cotrain.data.images import write_image, write_label
from cotrain.randomness import generator
from tests.miniature import TINY_NETWORK

PROJECT = Path(__file__).parents[2]
COLOURS = np.array([(90, 60, 90), (150, 150, 150), (60, 120, 60), (90, 140, 200)], np.uint8)
TRAIN_IDS = np.array([0, 2, 8, 10], np.uint8)


def write_dataset(folder: Path, name: str, number: int, shift: int) -> None:
    """Write images of four classes in bands, darker by `shift`, and their lists; the folder has a space."""
    rng = generator(name)
    lists: dict[str, list[str]] = {"images": [], "labels": []}
    for index in range(number):
        bands = np.sort(rng.integers(8, 56, 3))
        band_of_row = np.searchsorted(bands, np.arange(64))[::-1]
        classes = np.repeat(band_of_row[:, None], 96, axis=1)
        noise = rng.integers(-15, 15, (64, 96, 3))
        rgb = np.clip(COLOURS[classes].astype(int) + noise - shift, 0, 255).astype(np.uint8)
        write_image(folder / "some data" / name / f"{index:02d}.png", rgb)
        write_label(folder / "some data" / name / "labels" / f"{index:02d}.png", TRAIN_IDS[classes], [])
        lists["images"].append(f"{name}/{index:02d}.png")
        lists["labels"].append(f"{name}/labels/{index:02d}.png")
    for kind, lines in lists.items():
        (folder / "some data" / f"{name}.{kind}.txt").write_text("\n".join(lines) + "\n")


def tiny_configuration() -> dict:
    """Return the configuration of the tiny run."""

    def dataset(name: str) -> dict:
        return {
            "layout": "lists",
            "images": f"some data/{name}.images.txt",
            "labels": f"some data/{name}.labels.txt",
            "classes": "cityscapes_train_ids",
        }

    return {
        "run": "tiny",
        "device": "cpu",
        # So little training gives models that have.
        "on_collapse": "warn",
        "threads_per_training": 1,
        "datasets": {name: dataset(name) for name in ("synthetic", "camera", "camera_test")},
        "source": ["synthetic"],
        "target": "camera",
        "test": "camera_test",
        "network": TINY_NETWORK,
        "training": {
            "batch_size": 2,
            "learning_rate": 0.05,
            "warmup_iterations": 2,
            "crop": [48, 64],
            "save_every_iterations": 2,
            "log_every_iterations": 2,
            "source_augmentation": {"short_sides": [48, 64, 80]},
            "target_augmentation": {"colour_jitter": 0.2, "blur": 0.5},
        },
        "prediction": {"shards": 2},
        "baseline": {"iterations": 12},
        "self_training": {
            "rounds": 2,
            "iterations": 4,
            "images_per_round": 6,
            "keep": 4,
            "batch_ratio": [1, 1],
            "confidence": {"lower": 0.05, "upper": 0.9},
            "relabel_rounds": 1,
        },
        "co_training": {
            "cycles": 1,
            "iterations": 4,
            "round_a": 0,
            "images_per_cycle": 6,
            "keep": 4,
            "min_pixels": 10,
            "batch_ratio": [1, 1],
            "confidence": {"lower": 0.05, "upper": 0.95},
        },
        "final": {"iterations": 6, "batch_ratio": [1, 1]},
    }


class Run:
    """A folder with data and a configuration in it, and the workflow to run there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, number, shift in (("synthetic", 8, 0), ("camera", 8, 40), ("camera_test", 4, 40)):
            write_dataset(folder, name, number, shift)
        # A test image that is also a target image, under another name.
        for place in ("", "labels/"):
            target, test = (folder / "some data" / name / place for name in ("camera", "camera_test"))
            shutil.copy(target / "05.png", test / "03.png")
        self.configure(tiny_configuration())

    def configuration(self) -> dict:
        return yaml.safe_load((self.folder / "tiny.yaml").read_text())

    def configure(self, configuration: dict) -> None:
        (self.folder / "tiny.yaml").write_text(yaml.safe_dump(configuration))

    def command(
        self, *arguments: str, configfile: str = "tiny.yaml", snakefile: Path = PROJECT / "Snakefile"
    ) -> list[str]:
        # --configfile takes all words up to the next flag, so a flag of one word stands behind it.
        options = ["--configfile", configfile, "--cores", "2", "--snakefile", str(snakefile)]
        return [sys.executable, "-m", "snakemake", *options, *arguments]

    def snakemake(self, *arguments: str, **files: Any) -> subprocess.CompletedProcess[str]:
        """Run Snakemake to its end; standard output and error come together in `stdout`."""
        return subprocess.run(
            self.command(*arguments, **files),
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
            check=False,
        )

    def start(self, *arguments: str, output: Any = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        """Start Snakemake in a process group of its own, as a terminal does."""
        return subprocess.Popen(
            self.command(*arguments),
            cwd=self.folder,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # Where the tests run in the background of a script, SIGINT is ignored, and children inherit that.
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
        )

    @staticmethod
    def kill(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
        """Send a signal to Snakemake and all its jobs, and wait for its end."""
        os.killpg(process.pid, number)
        process.wait(timeout=120)

    def bytes_of(self, *names: str) -> list[bytes]:
        return [(self.folder / "results" / "tiny" / name).read_bytes() for name in names]


def saved(run: Run) -> int:
    """Return how many iterations the baseline's state holds."""
    path = run.folder / "state" / "tiny" / "baseline" / "last.pt"
    return torch.load(path, weights_only=True)["iteration"] if path.exists() else 0


def wait_for_save(run: Run, process: subprocess.Popen[bytes], after: int = 0) -> None:
    """Wait until the baseline's state holds more than `after` iterations."""
    deadline = time.monotonic() + 120
    while saved(run) <= after:
        assert process.poll() is None, "the workflow ended before it could be killed"
        assert time.monotonic() < deadline, "no state was saved within two minutes"
        time.sleep(0.02)


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The tiny run, carried to its end without interruption, in a folder whose name has a space."""
    run = Run(tmp_path_factory.mktemp("a finished run"))
    # The target's labels are listed but not there: nothing that adapts may miss them.
    for label in (run.folder / "some data" / "camera" / "labels").iterdir():
        label.unlink()
    done = run.snakemake()
    assert done.returncode == 0, done.stdout[-6000:]
    (run.folder / "output.txt").write_text(done.stdout)
    return run


@pytest.fixture(scope="session")
def make_run() -> type[Run]:
    """Return what makes a tiny run in a folder."""
    return Run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A tiny run that has not begun."""
    return Run(tmp_path / "run")
