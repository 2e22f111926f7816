"""The experiments of config/experiments on miniature trees in the folders of the true datasets."""

import json
import subprocess
import sys
from functools import reduce
from pathlib import Path

import msgspec
import pytest
import yaml

from cotrain.configuration import reading
from cotrain.configuration.reading import merged, read_mapping
from tests.miniature import TINY_NETWORK, make


def resolve(config: dict) -> dict:
    """Return the checked configuration as JSON types."""
    return json.loads(msgspec.json.encode(reading.resolve(config)))


PROJECT = Path(__file__).parents[2]
# Not of the paper.
TODAY = ("gtav_cityscapes_today", "gtav_synscapes_cityscapes_today")
OTHERS = ("streets_camvid", *TODAY)
EXPERIMENTS = sorted(
    path for path in (PROJECT / "config" / "experiments").glob("*.yaml") if path.stem not in OTHERS
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
    # So little training gives models that have.
    "on_collapse": "warn",
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

# The published settings, as far as all sources share them; the comments in the files tell where they differ.
PUBLISHED = {
    "seed": 100,
    "label_space": "cityscapes19",
    "network": {"backbone": "resnet101s", "last_stage_dilations": [2, 4, 8], "dropout": 0.1},
    "training": {
        "batch_size": 4,
        "learning_rate": 0.002,
        "crop": [512, 1024],
        "source_augmentation": {
            "resize": [1024, 2048],
            "short_sides": [512, 768, 1024, 1280, 1536, 1792, 2048],
            "max_long_side": 4096,
            "vertical_range": None,
        },
        "target_augmentation": {"resize": None, "short_sides": [], "vertical_range": None},
        "rare_class_sampling": {"enabled": False},
    },
    "prediction": {"resize": None},
    "baseline": {"iterations": 60000, "initial_weights": "pretrained"},
    "self_training": {
        "rounds": 10,
        "iterations": 8000,
        "initial_weights": "baseline",
        "images_per_round": 500,
        "confidence": {"lower": 0.5, "upper": 0.9},
        "ranking": "confidence",
        "accumulation": "best_score",
    },
    "co_training": {
        "cycles": 5,
        "iterations": 8000,
        "round_a": 0,
        "round_b": 9,
        "images_per_cycle": 500,
        "min_pixels": 5000,
        "confidence": {"lower": 0.5, "upper": 0.95},
    },
    "final": {"iterations": 60000, "initial_weights": "baseline", "class_mixing": "none"},
    "evaluation": {"class_subsets": []},
}
GTAV = {
    "source": ["gtav"],
    "target": "cityscapes",
    "training": {
        "target_augmentation": {
            "resize": [1024, 2048],
            "short_sides": [768, 1024, 1536],
            "max_long_side": 4096,
            "vertical_range": [0.25, 0.75],
        }
    },
    "self_training": {
        "keep": 100,
        "portion": {"initial": 0.5, "maximum": 0.7, "increment": 0.05},
        "batch_ratio": [2, 2],
    },
    "co_training": {
        "keep": 100,
        "portion_a": {"initial": 0.5, "maximum": 0.5, "increment": 0.05},
        "portion_b": {"initial": 0.5, "maximum": 0.5, "increment": 0.05},
        "batch_ratio": [2, 2],
    },
    "final": {"batch_ratio": [2, 2]},
}
GTAV_AND_SYNSCAPES = {
    "source": ["gtav", "synscapes"],
    "baseline": {"iterations": 45000},
    "self_training": {
        "keep": 200,
        "portion": {"initial": 0.5, "maximum": 0.5, "increment": 0.05},
        "batch_ratio": [1, 3],
    },
    "co_training": {
        "keep": 200,
        "portion_a": {"initial": 0.5, "maximum": 0.5, "increment": 0.05},
        "portion_b": {"initial": 0.5, "maximum": 0.5, "increment": 0.05},
        "batch_ratio": [1, 3],
    },
    "final": {"batch_ratio": [1, 3]},
}
OF_EXPERIMENT = {
    "gtav_cityscapes": [GTAV, {"training": {"source_augmentation": {"resize": None}}}],
    "gtav_class_balance_cityscapes": [
        GTAV,
        {
            "training": {
                "source_augmentation": {"vertical_range": [0.25, 0.75]},
                "rare_class_sampling": {"enabled": True, "temperature": 0.01, "min_pixels": 3000},
            }
        },
    ],
    "gtav_synscapes_cityscapes": [GTAV_AND_SYNSCAPES, {"target": "cityscapes"}],
    "gtav_synscapes_bdd100k": [
        GTAV_AND_SYNSCAPES,
        {
            "target": "bdd100k",
            "datasets": {"bdd100k": {"orientation": "landscape"}, "bdd100k_val": {"orientation": "any"}},
            "prediction": {"resize": [1024, 2048]},
        },
    ],
    "gtav_synscapes_mapillary": [
        GTAV_AND_SYNSCAPES,
        {
            "target": "mapillary",
            "datasets": {
                "mapillary": {"version": "v1.2", "aspect_ratio": 1.33},
                "mapillary_val": {"version": "v1.2", "aspect_ratio": 1.33},
            },
            "training": {"target_augmentation": {"resize": [1216, 1632]}},
            "prediction": {"resize": [1216, 1632]},
            "co_training": {"min_pixels": 20000},
        },
    ],
    "synscapes_cityscapes": [
        {
            "source": ["synscapes"],
            "target": "cityscapes",
            "self_training": {
                "keep": 100,
                "portion": {"initial": 0.3, "maximum": 0.2, "increment": 0.05},
                "batch_ratio": [1, 3],
            },
            "co_training": {
                "keep": 100,
                "portion_a": {"initial": 0.5, "maximum": 0.7, "increment": 0.05},
                "portion_b": {"initial": 0.5, "maximum": 0.7, "increment": 0.05},
                "batch_ratio": [1, 3],
            },
            "final": {"batch_ratio": [1, 3]},
        }
    ],
    "synthia_cityscapes": [
        {
            "label_space": "synthia16",
            "source": ["synthia"],
            "target": "cityscapes",
            "training": {
                "source_augmentation": {
                    "resize": [760, 1280],
                    "short_sides": [512, 760, 1050, 1280, 1520],
                    "max_long_side": 2560,
                }
            },
            "self_training": {
                "keep": 100,
                "portion": {"initial": 0.25, "maximum": 0.5, "increment": 0.05},
                "batch_ratio": [1, 3],
            },
            "co_training": {
                "keep": 100,
                "portion_a": {"initial": 0.5, "maximum": 0.5, "increment": 0.05},
                "portion_b": {"initial": 0.5, "maximum": 0.5, "increment": 0.05},
                "batch_ratio": [1, 3],
            },
            "final": {"batch_ratio": [1, 3]},
            "evaluation": {"class_subsets": ["synthia13"]},
        }
    ],
}


def on_miniatures(experiment: dict, folder: Path, overrides: dict) -> dict:
    """Return the experiment's configuration with its roots filled in: trees of a few small images."""
    config = merged(experiment, overrides)
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
    given = read_mapping(experiment)
    assert all(entry["root"].startswith("/data/") for entry in given["datasets"].values())
    filled = resolve(on_miniatures(read_mapping(experiment), tmp_path, {}))
    assert filled["run"] == experiment.stem


def test_settings_are_the_published_ones_of_the_source(experiment, tmp_path):
    expected = reduce(merged, OF_EXPERIMENT[experiment.stem], PUBLISHED)
    filled = resolve(on_miniatures(read_mapping(experiment), tmp_path, {}))
    assert those_of(expected, filled) == expected
    splits = {name: entry["split"] for name, entry in filled["datasets"].items() if entry["split"]}
    assert splits == {expected["target"]: "train", f"{expected['target']}_val": "val"}
    assert filled["test"] == f"{expected['target']}_val"


def those_of(asked: dict, settings: dict) -> dict:
    """Return the settings that have the keys of `asked`."""
    return {
        key: those_of(value, settings[key]) if isinstance(value, dict) else settings[key]
        for key, value in asked.items()
    }


def test_data_is_checked_and_the_plan_can_be_made(experiment, tmp_path):
    config = on_miniatures(read_mapping(experiment), tmp_path, {"device": "cpu"})
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(config))
    check = [sys.executable, "-m", "workflow_scripts.check_data", "--config", str(tmp_path / "run.yaml")]
    done = subprocess.run(check, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "only images, the run never opens its labels" in done.stderr
    for source in config["source"]:
        assert f"{source}: 4 images of 64×48 (4)" in done.stdout
    planned = workflow(tmp_path, "--dry-run")
    assert planned.returncode == 0, planned.stdout
    # Baseline, ten rounds, five cycles of two branches, final.
    assert count(planned.stdout, "train") == 22


@pytest.mark.parametrize("name", ["synthia_cityscapes", "gtav_synscapes_bdd100k"])
def test_the_whole_chain_runs_on_miniatures(name, tmp_path):
    experiment = PROJECT / "config" / "experiments" / f"{name}.yaml"
    config = on_miniatures(read_mapping(experiment), tmp_path, TINY)
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(config))
    done = workflow(tmp_path)
    assert done.returncode == 0, done.stdout[-6000:]
    header = (tmp_path / "results" / name / "report" / "models.tsv").read_text().splitlines()[0].split("\t")
    assert ("mIoU synthia13" in header) == (name == "synthia_cityscapes")


def write_run_of_today(name: str, folder: Path, more: dict | None = None) -> None:
    """Write run.yaml: networks of their true size without weights from the net, on crops of a few patches."""
    files = [PROJECT / "config" / "experiments" / f"{each}.yaml" for each in (TODAY[0], name)]
    small = {
        "device": "cpu",
        "threads_per_training": 2,
        "network": {"backbone_weights": "none"},
        "training": {
            "batch_size": 2,
            "crop": [42, 84],
            "source_augmentation": {"short_sides": [64, 96]},
            "target_augmentation": {"short_sides": [64, 96]},
            "rare_class_sampling": {"min_pixels": 10},
        },
        "baseline": {"iterations": 1},
        "self_training": {"batch_ratio": [1, 1]},
        "co_training": {"network_b": {"backbone_weights": "none"}, "batch_ratio": [1, 1]},
        "final": {"batch_ratio": [1, 1]},
    }
    config = on_miniatures(reduce(merged, [*map(read_mapping, files), small]), folder, more or {})
    (folder / "run.yaml").write_text(yaml.safe_dump(config))


@pytest.mark.parametrize("name", TODAY)
def test_backbones_of_today_are_planned(name, tmp_path):
    write_run_of_today(name, tmp_path)
    planned = workflow(tmp_path, "--dry-run")
    assert planned.returncode == 0, planned.stdout
    # Two baselines, five rounds, three cycles of two branches, final.
    assert count(planned.stdout, "train") == 14


def test_backbones_of_today_train_for_an_iteration(tmp_path):
    name = TODAY[0]
    # A run that needs more space than the disk has does not start, and each of these models takes 3 GiB.
    few = {"self_training": {"rounds": 2}, "co_training": {"round_a": 0, "round_b": 1, "cycles": 1}}
    write_run_of_today(name, tmp_path, few)
    models = Path("results", name, "models")
    backbones = {"baseline": "vit_base_patch14_dinov2", "baseline_b": "convnext_base"}
    done = workflow(tmp_path, *(str(models / baseline / "weights.safetensors") for baseline in backbones))
    assert done.returncode == 0, done.stdout[-6000:]
    for baseline, backbone in backbones.items():
        record = json.loads((tmp_path / models / baseline / "training.json").read_text())
        assert record["settings"]["network"]["backbone"].startswith(backbone)
        assert record["settings"]["iterations"] == 1
        assert record["last_loss"] > 0


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
