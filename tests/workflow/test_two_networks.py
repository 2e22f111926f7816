"""Branches of different networks, one of them a user's own, and averaged weights that label."""

import json

import pytest

from cotrain.configuration.reading import settings_of
from cotrain.configuration.sections import NetworkSettings
from cotrain.networks.weights import read_header
from tests.workflow.conftest import Run

USERS_MODULE = """
from torch import nn

def make_network(number_of_classes, width):
    return nn.Sequential(
        nn.Conv2d(3, width, 5, 4, 2), nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, number_of_classes, 1)
    )
"""
NETWORK_B = {"name": "network_of_a_user:make_network", "arguments": {"width": 12}}


@pytest.fixture(scope="module")
def two_networks(tmp_path_factory):
    run = Run(tmp_path_factory.mktemp("two networks"))
    (run.folder / "network_of_a_user.py").write_text(USERS_MODULE)
    configuration = run.configuration()
    configuration["training"] |= {"optimiser": "adamw", "learning_rate": 0.005, "average_decay": 0.5}
    configuration["prediction"]["weights"] = "averaged"
    configuration["co_training"] |= {"cycles": 2, "network_b": NETWORK_B, "initial_weights": "previous"}
    run.configure(configuration)
    done = run.snakemake()
    assert done.returncode == 0, done.stdout[-6000:]
    return run


def parents(run, model):
    record = run.folder / "results" / "tiny" / "models" / model / "training.json"
    return set(json.loads(record.read_text())["parents"])


def test_each_branch_trains_its_own_network(two_networks):
    models = two_networks.folder / "results" / "tiny" / "models"
    for model in ("co_training/00/b", "co_training/01/b"):
        settings, _ = read_header(models / model / "weights.safetensors")
        assert settings == settings_of(NETWORK_B, NetworkSettings, "network_b")
    for model in ("self_training/01", "co_training/01/a", "final"):
        assert read_header(models / model / "weights.safetensors")[0].name == "deeplabv3plus"


def test_weights_pass_only_between_equal_networks(two_networks):
    def initial(model):
        return [path for path in parents(two_networks, model) if path.endswith(".safetensors")]

    assert initial("co_training/00/b") == []
    assert initial("co_training/01/b") == ["results/tiny/models/co_training/00/b/weights.safetensors"]
    assert initial("co_training/00/a") == ["results/tiny/models/self_training/00/weights.safetensors"]


def test_averaged_weights_are_kept_and_scored(two_networks):
    folder = two_networks.folder / "results" / "tiny"
    for model in ("baseline", "co_training/01/b", "final"):
        averaged, last = (
            (folder / "models" / model / f"{name}.safetensors").read_bytes()
            for name in ("averaged", "weights")
        )
        assert averaged != last
    command = two_networks.snakemake("--dry-run", "--forceall", "--printshellcmds", "--quiet", "host")
    steps = [line for line in command.stdout.splitlines() if "workflow_scripts.predict" in line]
    assert steps
    assert all("averaged.safetensors" in step for step in steps)
