"""The experiments of config/experiments on miniature trees in the folders of the true datasets."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.miniature import TINY_NETWORK, make
from workflow_scripts.configuration import merged, read, resolve

PROJECT = Path(__file__).parents[2]
EXPERIMENTS = sorted(
    path for path in (PROJECT / "config" / "experiments").glob("*.yaml") if path.stem != "streets_camvid"
)
TINY = {
    "device": "cpu",
    "threads_per_training": 1,
    "network": TINY_NETWORK,
    "training": {
        # As much as it takes for the network to be surer of some pixels than of others.
        "learning_rate": 0.05,
        "warmup_iterations": 1,
        "crop": [32, 64],
        "source_augmentation": {"resize": [48, 96], "short_sides": [32, 48, 64]},
        "target_augmentation": {"resize": None, "short_sides": []},
        "rare_class_sampling": {"min_pixels": 10},
    },
    "prediction": {"resize": None},
    "baseline": {"iterations": 8},
    "self_training": {
        "rounds": 2,
        "iterations": 1,
        "images_per_round": 4,
        "keep": 2,
        "confidence": {"lower": 0.01},
    },
    "co_training": {
        "cycles": 1,
        "iterations": 1,
        "images_per_cycle": 4,
        "keep": 2,
        "min_pixels": 1,
        "confidence": {"lower": 0.01},
    },
    "final": {"iterations": 1},
}


def on_miniatures(experiment: Path, folder: Path, overrides: dict) -> dict:
    """Return the experiment's configuration with its roots filled in: trees of a few small images."""
    config = merged(read(experiment), overrides)
    for number, (name, entry) in enumerate(config["datasets"].items()):
        made = make(
            entry["layout"],
            folder / entry["layout"],
            entry.get("split", "train"),
            images=4,
            first=10 * number,
        )
        config["datasets"][name] = {**entry, "root": made["root"]}
    return config


@pytest.fixture(params=EXPERIMENTS, ids=lambda path: path.stem)
def experiment(request):
    return request.param


def test_only_the_roots_are_to_be_filled_in(experiment, tmp_path):
    given = read(experiment)
    assert all(entry["root"].startswith("/data/") for entry in given["datasets"].values())
    filled = resolve(on_miniatures(experiment, tmp_path, {}))
    assert filled["run"] == experiment.stem
    # The published chain, whatever the source.
    assert (filled["self_training"]["rounds"], filled["co_training"]["cycles"]) == (10, 5)
    assert filled["final"]["iterations"] == 60000
    assert filled["training"]["crop"] == [512, 1024]
    assert filled["training"]["learning_rate"] == 0.002
    assert filled["network"]["backbone"] == "resnet101s"


def test_data_is_checked_and_the_plan_can_be_made(experiment, tmp_path):
    config = on_miniatures(experiment, tmp_path, {"device": "cpu"})
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(config))
    check = [sys.executable, "-m", "workflow_scripts.check_data", "--config", str(tmp_path / "run.yaml")]
    done = subprocess.run(check, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "images alone, the run never opens its labels" in done.stderr
    for source in config["source"]:
        assert f"{source}: 4 images of 64×48 (4)" in done.stdout
    planned = workflow(tmp_path, "--dry-run")
    assert planned.returncode == 0, planned.stdout
    # Baseline, ten rounds, five cycles of two branches, final.
    assert count(planned.stdout, "train") == 22


@pytest.mark.parametrize("name", ["synthia_cityscapes", "gtav_synscapes_bdd100k"])
def test_the_whole_chain_runs_on_miniatures(name, tmp_path):
    experiment = PROJECT / "config" / "experiments" / f"{name}.yaml"
    config = on_miniatures(experiment, tmp_path, TINY)
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(config))
    done = workflow(tmp_path)
    assert done.returncode == 0, done.stdout[-6000:]
    header = (tmp_path / "results" / name / "report" / "models.tsv").read_text().splitlines()[0].split("\t")
    assert ("mIoU synthia13" in header) == (name == "synthia_cityscapes")


def workflow(folder: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "snakemake", "--configfile", "run.yaml", "--cores", "2"]
    return subprocess.run(
        [*command, "--snakefile", str(PROJECT / "Snakefile"), *flags],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )


def count(output: str, rule: str) -> int:
    """Return how many jobs of a rule a dry run lists in its table."""
    for line in output.splitlines():
        words = line.split()
        if len(words) == 2 and words[0] == rule and words[1].isdigit():
            return int(words[1])
    return 0
