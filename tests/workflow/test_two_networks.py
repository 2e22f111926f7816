"""Branches of different networks, one of them a user's own, and averaged weights that label.

The same run has what the tiny run leaves at its default: a second view of the target, one shard, calibration,
own definitions in files whose names have a space, a mask, priors, decoded images and more.
"""

import json

import numpy as np
import pytest
import yaml
from PIL import Image

from cotrain.configuration.reading import settings_of
from cotrain.configuration.sections import NetworkSettings
from cotrain.data.images import write_label
from cotrain.networks.weights import read_header
from tests.workflow.conftest import Run, write_dataset

USERS_MODULE = """
from torch import nn

def make_network(number_of_classes, width):
    return nn.Sequential(
        nn.Conv2d(3, width, 5, 4, 2), nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, number_of_classes, 1)
    )
"""
NETWORK_B = {"name": "network_of_a_user:make_network", "arguments": {"width": 12}}


def with_all_else(run, configuration):
    """Return a configuration with the other keys that shape commands, and write the files that it names."""
    for name, shift in (("camera_b", 40), ("synthetic_b", 10)):
        write_dataset(run.folder, name, 8, shift)
        lists = {kind: f"some data/{name}.{kind}.txt" for kind in ("images", "labels")}
        configuration["datasets"][name] = configuration["datasets"]["camera"] | lists
    classes = [
        {"class": name, "colour": [60 * index, 0, 0]}
        for index, name in enumerate(("road", "building", "vegetation", "sky"))
    ]
    (run.folder / "own space.yaml").write_text(yaml.safe_dump(classes))
    (run.folder / "sub set.yaml").write_text(yaml.safe_dump(classes[:2]))
    mask = np.zeros((64, 96), np.uint8)
    mask[60:] = 1
    write_label(run.folder / "a mask.png", mask, [(0, 0, 0), (255, 255, 255)])
    configuration["training"] |= {
        "decoded_cache": True,
        "rare_class_sampling": {"enabled": True, "min_pixels": 10},
    }
    configuration["prediction"] |= {"shards": 1, "calibration_images": 2}
    configuration["self_training"] |= {"class_priors": "source", "every": 1, "ranking": "class_count"}
    configuration["co_training"] |= {
        **{"same_domain": False, "target_b": "camera_b", "relabel_cycles": 1},
        **{"ranking": "confidence_gain", "collaboration": "both", "fill": "subtract", "accumulation": "all"},
    }
    return configuration | {
        "label_space": "own space.yaml",
        "ego_vehicle_mask": "a mask.png",
        "translation": {"method": "none"},
        "upper_bound": True,
        "evaluation": {"class_subsets": ["sub set.yaml"], "write_outputs": True},
    }


@pytest.fixture(scope="module")
def two_networks(tmp_path_factory):
    run = Run(tmp_path_factory.mktemp("two networks"))
    (run.folder / "network_of_a_user.py").write_text(USERS_MODULE)
    configuration = run.configuration()
    configuration["training"] |= {"optimiser": "adamw", "learning_rate": 0.005, "average_decay": 0.5}
    configuration["prediction"]["weights"] = "averaged"
    configuration["co_training"] |= {"cycles": 2, "network_b": NETWORK_B, "initial_weights": "previous"}
    configuration["co_training"]["source_b"] = ["synthetic_b"]
    run.configure(with_all_else(run, configuration))
    done = run.snakemake()
    assert done.returncode == 0, done.stdout[-6000:]
    return run


def parents(run, model):
    record = run.folder / "results" / "tiny" / "models" / model / "training.json"
    return set(json.loads(record.read_text())["parents"])


def test_each_branch_trains_its_own_network(two_networks):
    models = two_networks.folder / "results" / "tiny" / "models"
    for model in ("baseline_b", "co_training/00/b", "co_training/01/b"):
        settings, _ = read_header(models / model / "weights.safetensors")
        assert settings == settings_of(NETWORK_B, NetworkSettings, "network_b")
    for model in ("self_training/01", "co_training/01/a", "final"):
        assert read_header(models / model / "weights.safetensors")[0].name == "deeplabv3plus"


def test_weights_pass_only_between_equal_networks(two_networks):
    def initial(model):
        return [path for path in parents(two_networks, model) if path.endswith(".safetensors")]

    assert initial("baseline_b") == []
    assert initial("co_training/00/b") == ["results/tiny/models/baseline_b/weights.safetensors"]
    assert initial("co_training/01/b") == ["results/tiny/models/co_training/00/b/weights.safetensors"]
    assert initial("co_training/00/a") == ["results/tiny/models/self_training/00/weights.safetensors"]


def test_branch_b_has_a_source_and_a_baseline_of_its_own(two_networks):
    folder = two_networks.folder / "results" / "tiny"

    def sources(model):
        return {path for path in parents(two_networks, model) if path.startswith("results/tiny/data/")}

    def files(dataset):
        return {f"results/tiny/data/{dataset}/{name}" for name in ("training.tsv", "class_statistics.json")}

    for model in ("baseline", "self_training/00", "co_training/01/a", "final"):
        assert sources(model) == files("synthetic"), model
    for model in ("baseline_b", "co_training/00/b", "co_training/01/b"):
        assert sources(model) == files("synthetic_b"), model
    rows = (folder / "report" / "models.tsv").read_text().splitlines()
    assert [row.split("\t")[0] for row in rows[1:4]] == ["baseline", "baseline_b", "self_training/00"]
    assert "baseline_b" in (folder / "report" / "index.html").read_text()


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


def test_every_other_key_has_its_effect(two_networks):
    folder = two_networks.folder / "results" / "tiny"
    scores = json.loads((folder / "evaluation" / "upper_bound" / "camera_test" / "scores.json").read_text())
    assert scores["iou"].keys() == {"road", "building", "vegetation", "sky"}
    assert len(list((folder / "evaluation" / "final" / "camera_test" / "coloured").iterdir())) == 4
    assert "mIoU sub set" in (folder / "report" / "models.tsv").read_text().splitlines()[0]
    assert parents(two_networks, "baseline") >= {
        "results/tiny/data/synthetic/training.tsv",
        "results/tiny/data/synthetic/class_statistics.json",
    }
    assert json.loads((folder / "models" / "co_training" / "01" / "b" / "temperature.json").read_text())
    # No pseudo-label where the own vehicle is.
    with Image.open(next((folder / "pseudo_labels" / "ensemble" / "labels").glob("*.png"))) as label:
        assert np.unique(np.array(label)[60:]).tolist() == [255]
