import copy
import json
import os
import re
import subprocess
import sys
import zipfile
from datetime import date
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import numpy as np
import pytest
import yaml

from cotrain.configuration import reading
from cotrain.configuration.reference import reference
from cotrain.configuration.schema import dotted_keys, whole_schema
from cotrain.data.class_tables import class_table
from cotrain.data.label_spaces import label_space
from cotrain.data.trees import tree_layout, tree_layout_names
from cotrain.errors import InputError
from workflow_scripts.configuration import main

ROOT = Path(__file__).parents[2]


def resolve(config: dict[str, Any]) -> dict[str, Any]:
    """Return the checked configuration as JSON types."""
    resolved: dict[str, Any] = json.loads(msgspec.json.encode(reading.resolve(config)))
    return resolved


@pytest.fixture
def config(tmp_path: Path) -> dict[str, Any]:
    """The least that can be written: rendered source, target from a list, labelled test lists."""
    for name in ("target.txt", "test.txt", "test_labels.txt"):
        (tmp_path / name).write_text("a.png\n")
    test_lists = {"images": str(tmp_path / "test.txt"), "labels": str(tmp_path / "test_labels.txt")}
    return {
        "run": "demo",
        "datasets": {
            "game": {"layout": "streets", "look": "game"},
            "camera": {"layout": "lists", "images": str(tmp_path / "target.txt")},
            "camera_test": {"layout": "lists", "classes": "camvid", **test_lists},
        },
        "source": ["game"],
        "target": "camera",
        "test": "camera_test",
    }


def changed(config: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of `config` with `changes`, a map of dotted keys to values."""
    result = copy.deepcopy(config)
    for key, value in changes.items():
        section = result
        *path, last = key.split(".")
        for name in path:
            section = section.setdefault(name, {})
        section[last] = value
    return result


def problems(config: dict[str, Any], changes: dict[str, Any] | None = None) -> list[str]:
    """Return the lines of the message that names what is wrong, without the first."""
    with pytest.raises(InputError) as caught:
        resolve(changed(config, changes or {}))
    first, *lines = str(caught.value).split("\n  ")
    assert first.startswith("the configuration has ")
    return lines


def test_minimal_configuration_gets_all_defaults(config: dict[str, Any]) -> None:
    given = copy.deepcopy(config)
    resolved = resolve(config)

    assert config == given
    assert resolved["datasets"]["game"] == {
        "layout": "streets",
        "look": "game",
        "images": 240,
        "width": 1280,
        "height": 720,
        "seed": 1,
    }
    assert resolved["datasets"]["camera"] == {
        **config["datasets"]["camera"],
        "labels": None,
        "root": None,
        "classes": None,
        "aspect_ratio": None,
        "orientation": "any",
        "min_size": None,
        "every": 1,
    }
    assert resolved["seed"] == 100
    assert resolved["training"]["hard_pixels_of"] == "labelled"
    assert resolved["final"]["hard_pixel_share"] == 0.2
    assert resolved["training"]["crop"] == [512, 1024]
    for side in ("source_augmentation", "target_augmentation"):
        assert "crop" not in resolved["training"][side]
        assert resolved["training"][side]["cutout"] == {"holes": [0, 0], "size_px": [100, 200]}
    assert resolved["self_training"]["confidence"] == {"lower": 0.5, "upper": 0.9}
    assert resolved["co_training"]["confidence"] == {"lower": 0.5, "upper": 0.95}
    assert resolved["self_training"]["batch_ratio"] == [2, 2]
    assert resolved["co_training"]["batch_ratio"] == [1, 3]
    assert resolved["final"]["class_mixing"] == "none"
    protocol = {"resize": None, "short_side": None, "scales": [1.0], "flip": False, "window": None}
    assert resolved["evaluation"] == {"class_subsets": [], "write_outputs": False, "protocol": protocol}


def test_defaults_beside_given_values_and_in_empty_sections(config: dict[str, Any]) -> None:
    changes = {
        "co_training.confidence.lower": 0.6,
        "training.target_augmentation.cutout.holes": [1, 3],
    }
    resolved = resolve(changed(config, {**changes, "evaluation": None, "network": {}}))
    assert resolved["co_training"]["confidence"] == {"lower": 0.6, "upper": 0.95}
    assert resolved["training"]["target_augmentation"]["cutout"] == {"holes": [1, 3], "size_px": [100, 200]}
    assert resolved["training"]["source_augmentation"]["cutout"]["holes"] == [0, 0]
    protocol = {"resize": None, "short_side": None, "scales": [1.0], "flip": False, "window": None}
    assert resolved["evaluation"] == {"class_subsets": [], "write_outputs": False, "protocol": protocol}
    assert resolved["network"]["aspp_dilations"] == [6, 12, 18]


def test_results_share_nothing(config: dict[str, Any]) -> None:
    first = resolve(config)
    first["self_training"]["batch_ratio"][0] = 7777777
    first["co_training"]["portion_b"]["initial"] = 7777777
    first["datasets"]["game"]["seed"] = 7777777
    second = resolve(config)
    assert "7777777" not in yaml.safe_dump(second)
    assert second["co_training"]["portion_a"]["initial"] == 0.5


def test_resolving_twice_changes_nothing(config: dict[str, Any]) -> None:
    resolved = resolve(config)
    assert resolve(resolved) == resolved


def test_last_round_and_second_portion_are_resolved(config: dict[str, Any]) -> None:
    resolved = resolve(config)["co_training"]
    assert resolved["round_b"] == 9
    assert (
        resolved["portion_b"] == resolved["portion_a"] == {"initial": 0.5, "maximum": 0.7, "increment": 0.05}
    )

    changes = {"self_training.rounds": 3, "co_training.portion_a.maximum": 0.6}
    changes |= {"co_training.round_b": -1, "co_training.portion_b": {"initial": 0.3}}
    resolved = resolve(changed(config, changes))["co_training"]
    assert resolved["round_b"] == 2
    assert resolved["portion_b"] == {"initial": 0.3, "maximum": 0.6, "increment": 0.05}


def test_the_home_folder_is_written_out(config: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    home = Path(config["datasets"]["camera"]["images"]).parent
    monkeypatch.setenv("HOME", str(home))
    given = changed(
        config, {"datasets.camera.images": "~/" + Path(config["datasets"]["camera"]["images"]).name}
    )
    assert resolve(given)["datasets"]["camera"] == resolve(config)["datasets"]["camera"]


def test_protocol_differs_from_prediction_where_it_says_so(config: dict[str, Any]) -> None:
    prediction = {"prediction.resize": [512, 1024], "prediction.flip": True}
    resolved = resolve(changed(config, prediction))["evaluation"]["protocol"]
    assert resolved == {
        "resize": [512, 1024],
        "short_side": None,
        "scales": [1.0],
        "flip": True,
        "window": None,
    }

    own = {"evaluation.protocol": {"resize": None, "scales": [0.75, 1.0]}}
    resolved = resolve(changed(config, prediction | own))["evaluation"]["protocol"]
    expected = {"resize": None, "short_side": None, "scales": [0.75, 1.0], "flip": True, "window": None}
    assert resolved == expected


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"self_training.round": 3}, "self_training.round: unknown key (did you mean 'rounds'?)"),
        ({"lable_space": "x"}, "lable_space: unknown key (did you mean 'label_space'?)"),
        (
            {"batch_size": 3},
            "batch_size: unknown key (it belongs to training or prediction)",
        ),
        (
            {"evaluation.zzz": 3},
            "evaluation.zzz: unknown key (known here: class_subsets, write_outputs, protocol)",
        ),
        ({"datasets.game.hight": 3}, "datasets.game.hight: unknown key (did you mean 'height'?)"),
        (
            {"training.target_augmentation.cutout.hole": 3},
            "training.target_augmentation.cutout.hole: unknown key (did you mean 'holes'?)",
        ),
        (
            {"training.source_augmentation.crop": [64, 96]},
            "training.source_augmentation.crop: unknown key (it belongs to training)",
        ),
        (
            {"training.target_augmentation.crop": [64, 96]},
            "training.target_augmentation.crop: unknown key (it belongs to training)",
        ),
        # Of the sections that have it, those within the same section.
        (
            {"training.resize": [64, 64]},
            "training.resize: unknown key (it belongs to training.source_augmentation or "
            "training.target_augmentation)",
        ),
        (
            {"self_training.lower": 0.2},
            "self_training.lower: unknown key (it belongs to self_training.confidence)",
        ),
        (
            {"training.lower": 0.2},
            "training.lower: unknown key (it belongs to self_training.confidence or co_training.confidence)",
        ),
        (
            {"co_training.rounds": 3},
            "co_training.rounds: unknown key (it belongs to self_training; did you mean 'round_b'?)",
        ),
        ({"training.dropout": 0.2}, "training.dropout: unknown key (it belongs to network)"),
        ({"labels": "x"}, "labels: unknown key (it belongs to final or datasets.NAME)"),
        ({"baseline.iterations:6": None}, "baseline.iterations:6: unknown key (write a space behind the "),
        # A dataset has the keys of its layout, and none of a stage.
        (
            {"datasets.game.labels": "x"},
            "datasets.game.labels: unknown key (it belongs to layout lists)",
        ),
        (
            {"datasets.game.root": "x"},
            "datasets.game.root: unknown key (it belongs to layout lists or a published one)",
        ),
        (
            {"datasets.game.iterations": 3},
            "datasets.game.iterations: unknown key (known here: layout, look, images, width, height, seed)",
        ),
        ({"datasets.game.target": 3}, "datasets.game.target: unknown key (it belongs to the top level)"),
        (
            {"training.crop": [64, 31]},
            "training.crop[1]: expected an integer >= 32, found 31",
        ),
        (
            {"training.crop": 64},
            "training.crop: expected [height, width], two integers >= 32, found 64",
        ),
        (
            {"final.class_mixing": "demand"},
            "final.class_mixing: expected on_demand, plain or none, found 'demand'",
        ),
        (
            {"final.class_mixing": None},
            "final.class_mixing: expected on_demand, plain or none, found null (write none)",
        ),
        (
            {"final.class_mixing": False},
            "final.class_mixing: expected on_demand, plain or none, found false (write none)",
        ),
        (
            {"target": False},
            "target: expected a dataset name, found false (YAML reads yes, no, on and off as true and false: "
            "write text in quotes)",
        ),
        ({"final.labels": "best"}, "final.labels: expected ensemble or accumulated, found 'best'"),
        ({"training.batch_size": "four"}, "training.batch_size: expected an integer >= 2, found 'four'"),
        ({"training.batch_size": 4.0}, "training.batch_size: expected an integer >= 2, found 4.0"),
        ({"training.batch_size": True}, "training.batch_size: expected an integer >= 2, found true"),
        (
            {"training.momentum": float("nan")},
            "training.momentum: expected a number >= 0 and < 1, found .nan",
        ),
        ({"training.momentum": 1}, "training.momentum: expected a number >= 0 and < 1, found 1"),
        ({"seed": -1}, "seed: expected an integer >= 0, found -1"),
        (
            {"datasets.game.width": 5000},
            "datasets.game.width: expected an integer from 64 to 2048, found 5000",
        ),
        (
            {"training.learning_rate": "2e-3"},
            "training.learning_rate: expected a number > 0, found '2e-3' "
            "(YAML reads 2e-3 as text: write 0.002)",
        ),
        ({"device": "gpu"}, "device: expected auto, cpu, cuda or mps, found 'gpu' (did you mean 'cuda'?)"),
        ({"device": "Metal"}, "device: expected auto, cpu, cuda or mps, found 'Metal' (did you mean 'mps'?)"),
        ({"device": "cude"}, "device: expected auto, cpu, cuda or mps, found 'cude' (did you mean 'cuda'?)"),
        (
            {"co_training.fill": None},
            "co_training.fill: expected add, subtract or none, found null (write none)",
        ),
        (
            {"upper_bound": "false"},
            "upper_bound: expected true or false, found 'false' (write false without quotes)",
        ),
        ({"training": 4}, "training: expected a section of keys, found 4"),
        (
            {"network.aspp_dilations": []},
            "network.aspp_dilations: expected a list of integers >= 1, found []",
        ),
        (
            {"self_training.batch_ratio": [4]},
            "self_training.batch_ratio: expected [source, target], two integers >= 1, found [4]",
        ),
        (
            {"self_training.batch_ratio": [1, "3"]},
            "self_training.batch_ratio[1]: expected an integer >= 1, found '3' "
            "(it is text: in a file, write 3 without quotes; --config reads every value inside a section as "
            "text, so give it in a file)",
        ),
        (
            {"self_training.images_per_round": 0},
            "self_training.images_per_round: expected an integer >= 1, or -1 for all, found 0",
        ),
        (
            {"self_training.portion.initial": 1.5},
            "self_training.portion.initial: expected a number > 0 and <= 1, "
            "or a list with one such number per class, found 1.5",
        ),
        (
            {"co_training.portion_b": {"initial": [0.5, 1.5]}},
            "co_training.portion_b.initial[1]: expected a number > 0 and <= 1, found 1.5",
        ),
        (
            {"evaluation.protocol": {"flip": 2}},
            "evaluation.protocol.flip: expected true or false, found 2",
        ),
        (
            {"evaluation.protocol": {"shards": 2}},
            "evaluation.protocol.shards: unknown key (it belongs to prediction)",
        ),
        (
            {"co_training.portion_b": 0.5},
            "co_training.portion_b: expected a section like portion_a, or null, found 0.5",
        ),
        (
            {"source": "game"},
            "source: expected a list of dataset names, each named once, found 'game' (write [game])",
        ),
        (
            {"source": ["game", "game"]},
            "source: expected a list of dataset names, each named once, found ['game', 'game']",
        ),
        (
            {"ego_vehicle_mask": "null"},
            "ego_vehicle_mask: file 'null' does not exist (write null without quotes if there is none)",
        ),
        (
            {"run": "a/b"},
            "run: expected a name of up to 100 letters, digits, '_', '-' and '.' that does not begin with '",
        ),
        (
            {"datasets.camera.layout": "list"},
            "datasets.camera.layout: expected streets, lists, gta5, ",
        ),
        (
            {"datasets.Big": {"layout": "streets", "look": "game", "seed": 9}},
            "datasets.Big: expected a dataset name",
        ),
        (
            {"run": date(2026, 1, 1)},
            "run: expected a name of up to 100 letters, digits, '_', '-' and '.' that does not begin "
            "with '.', "
            "found the date 2026-01-01 (if this is text, write it in quotes)",
        ),
        (
            {"training": {"momentum": float("-inf")}},
            "training.momentum: expected a number >= 0 and < 1, found -.inf",
        ),
        ({"target": {12: 3, None: 4}}, "target.12: the key is not text"),
        ({"prediction": {12: 3}}, "prediction.12: the key is not text: write it in quotes or rename it"),
    ],
)
def test_a_wrong_key_or_value_is_explained(
    config: dict[str, Any], changes: dict[str, Any], line: str
) -> None:
    assert problems(config, changes)[0].startswith(line)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"co_training.fill": "both"}, "co_training.fill: expected add, subtract or none, found 'both'"),
        ({"training.batch_size": None}, "training.batch_size: expected an integer >= 2, found null"),
        ({"co_training.keep": True}, "co_training.keep: expected an integer >= 1, found true"),
        ({"device": "tpu"}, "device: expected auto, cpu, cuda or mps, found 'tpu'"),
    ],
)
def test_no_hint_where_there_is_none_to_give(config, changes, line):
    assert problems(config, changes) == [line]


@pytest.mark.parametrize("key", ["run", "datasets", "source", "target"])
def test_missing_required_key(config: dict[str, Any], key: str) -> None:
    del config[key]
    lines = problems(config)
    assert len(lines) == 1
    assert lines[0].startswith(f"{key}: missing, expected ")


@pytest.mark.parametrize("changes", [{}, {"evaluation": {"write_outputs": False}, "prediction.flip": True}])
def test_a_run_needs_no_test_set(config: dict[str, Any], changes: dict[str, Any]) -> None:
    without = changed(config, changes)
    del without["test"], without["datasets"]["camera_test"]
    filled = resolve(without)
    assert filled["test"] is None
    # What is filled in for the protocol asks for nothing.
    assert filled["evaluation"]["protocol"]["flip"] is filled["prediction"]["flip"]
    assert resolve(filled) == filled
    assert resolve(without | {"test": None}) == filled


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"upper_bound": True, "target": "camera_test"},
            [
                "upper_bound: found true, but there is no test, and an upper bound is only there to compare "
                "scores with: expected a dataset for test, or false"
            ],
        ),
        (
            {"evaluation.class_subsets": ["synthia13"]},
            [
                "evaluation.class_subsets: found ['synthia13'], but there is no test, so no model is scored: "
                "expected a dataset for test, or []"
            ],
        ),
        (
            {"evaluation": {"write_outputs": True, "protocol": {"flip": True, "resize": None}}},
            [
                "evaluation.protocol.flip: found true, but there is no test, so no model is scored: expected "
                "a dataset for test, or no such key",
                "evaluation.write_outputs: found true, but there is no test, so no model is scored: expected "
                "a dataset for test, or false",
            ],
        ),
    ],
)
def test_nothing_may_ask_for_scores_without_a_test_set(
    config: dict[str, Any], changes: dict[str, Any], expected: list[str]
) -> None:
    assert sorted(problems(config, {"test": None, **changes})) == expected


def test_a_wrong_test_set_is_told_once(config: dict[str, Any]) -> None:
    [line] = problems(config, {"test": "camera_tset", "evaluation": {"write_outputs": True}})
    assert line.startswith("test: 'camera_tset' is not a dataset")


@pytest.mark.parametrize(("name", "key"), [("game", "look"), ("game", "layout"), ("camera", "images")])
def test_missing_key_of_a_dataset(config: dict[str, Any], name: str, key: str) -> None:
    del config["datasets"][name][key]
    assert [line.split(", expected")[0] for line in problems(config)] == [f"datasets.{name}.{key}: missing"]


@pytest.mark.parametrize("empty", [{}, {"datasets": None}])
def test_an_empty_configuration_names_everything_missing(empty: dict[str, Any]) -> None:
    keys = [line.split(":")[0] for line in problems(empty)]
    assert keys == ["run", "datasets", "source", "target"]


def test_a_configuration_without_datasets_says_that_there_are_none(config: dict[str, Any]) -> None:
    lines = problems(config, {"datasets": {}})
    assert lines[0] == "source[0]: 'game' is not a dataset; known are none"
    assert len(lines) == 3


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"target": "camra"}, "target: 'camra' is not a dataset (did you mean 'camera'?)"),
        ({"source": ["game", "x"]}, "source[1]: 'x' is not a dataset; known are game, camera, camera_test"),
        ({"test": "x"}, "test: 'x' is not a dataset; known are game, camera, camera_test"),
        ({"target": "game"}, "target: 'game' is also a source: expected another dataset"),
        ({"test": "game"}, "test: 'game' is also a source: expected another dataset, so that models"),
        (
            {"co_training.source_b": ["gme"]},
            "co_training.source_b[0]: 'gme' is not a dataset (did you mean 'game'?)",
        ),
        (
            {"co_training.source_b": ["camera_test"]},
            "test: 'camera_test' is also a source: expected another dataset, so that models",
        ),
        (
            {"co_training.source_b": ["game"]},
            "co_training.source_b: found ['game'], which is source too: expected other datasets, or []",
        ),
        (
            {"upper_bound": True, "target": "camera_test"},
            "test: 'camera_test' is also the target, and upper_bound learns its labels: expected another",
        ),
        (
            {"source": ["camera"], "target": "game"},
            "source[0]: 'camera' has no labels: expected a value for ",
        ),
        ({"test": "camera"}, "test: 'camera' has no labels: expected a value for datasets.camera.labels"),
        (
            {"upper_bound": True},
            "target: 'camera' has no labels, which upper_bound needs: expected a value for",
        ),
        (
            {"datasets.camera_test.classes": None},
            "datasets.camera_test.classes: missing, the label files need it",
        ),
        (
            {"datasets.camera_test.classes": "camvit"},
            "datasets.camera_test.classes: 'camvit' is not a class table",
        ),
        ({"label_space": "cityscapes"}, "label_space: 'cityscapes' is not a label space (did you mean"),
        (
            {"datasets.more": {"layout": "streets", "look": "game", "images": 3}},
            "datasets.more.seed: 1 (the default) gives the same scenes as datasets.game: expected another",
        ),
        (
            {"datasets.game.width": 480, "datasets.game.height": 270},
            "training.crop: [512, 1024] (the default) is [height, width] of more pixels than the rendered "
            "source "
            "images have: they are at most [270, 480] after training.source_augmentation; expected a "
            "smaller crop, "
            "or larger width and height in datasets.game",
        ),
        (
            {"prediction.resize": [512, 1024], "prediction.short_side": 300},
            "prediction.short_side: found 300, but resize is [512, 1024]",
        ),
        # Without a look, nobody knows which scenes they are.
        ({"datasets.more": {"layout": "streets", "images": 3}}, "datasets.more.look: missing"),
        (
            {"prediction.calibration_images": 240},
            "prediction.calibration_images: found 240, but datasets.game has 240 images: expected fewer",
        ),
        (
            {"co_training.round_b": 12},
            "co_training.round_b: 12 is not a round that self_training makes (rounds: 10, so 0 to 9)",
        ),
        (
            {"co_training.round_a": 3, "self_training.rounds": 3},
            "co_training.round_a: 3 is not a round that self_training makes (rounds: 3, so 0 to 2)",
        ),
        (
            {"co_training.round_a": 9},
            "co_training.round_b: 9 is also round_a: expected two different rounds, or a branch b with its "
            "own source_b or network_b",
        ),
        (
            {"self_training.rounds": 1},
            "co_training.round_b: 0 is also round_a: expected two different rounds "
            "(self_training.rounds must be at least 2), or a branch b with its own source_b or network_b",
        ),
        (
            {"final.batch_ratio": [2, 3]},
            "final.batch_ratio: [2, 3] adds up to 5, expected training.batch_size, which is 4 (the default)",
        ),
        (
            {"gpus_per_training": 3},
            "gpus_per_training: found 3, which does not divide training.batch_size, 4: "
            "expected equal shares of every batch",
        ),
        (
            {"training.compile": True, "training.gradient_checkpointing": True},
            "training.compile: found true, but gradient_checkpointing is true too, which works only without "
            "it: set one of them to false",
        ),
        (
            {"self_training.images_per_round": 50},
            "self_training.keep: 100 (the default) is more than images_per_round, which is 50",
        ),
        (
            {"co_training.keep": 501},
            "co_training.keep: 501 is more than images_per_cycle, which is 500 (the default)",
        ),
        (
            {"self_training.confidence.lower": 0.92},
            "self_training.confidence: lower, 0.92, is above upper, 0.9 (the default)",
        ),
        (
            {"training.average_decay": 0, "prediction.weights": "averaged"},
            "prediction.weights: found averaged, but training.average_decay is 0, so no training keeps",
        ),
        (
            {"co_training.confidence.upper": 0.4},
            "co_training.confidence: lower, 0.5 (the default), is above upper, 0.4",
        ),
        (
            {"self_training.portion.initial": [0.5] * 18},
            "self_training.portion.initial: found 18 values, expected 19, one for each class of cityscapes19",
        ),
        (
            {"label_space": "camvid11", "co_training.portion_b": {"increment": [0.0] * 19}},
            "co_training.portion_b.increment: found 19 values, expected 11, one for each class of camvid11",
        ),
        (
            {"co_training.same_domain": False},
            "co_training.target_b: missing, expected a dataset name because",
        ),
        (
            {"co_training.target_b": "camera_test"},
            "co_training.target_b: found 'camera_test', expected null because co_training.same_domain",
        ),
        (
            {"co_training.same_domain": False, "co_training.target_b": "camera"},
            "co_training.target_b: 'camera' is the target itself: set co_training.same_domain to true",
        ),
        (
            {"co_training.same_domain": False, "co_training.target_b": "x"},
            "co_training.target_b: 'x' is not a dataset;",
        ),
        (
            {"training.source_augmentation.vertical_range": [0.5, 0.5]},
            "training.source_augmentation.vertical_range: expected the smaller number first, ",
        ),
        (
            {"training.target_augmentation.cutout.size_px": [9, 8]},
            "training.target_augmentation.cutout.size_px: expected the smaller number first, found [9, 8]",
        ),
        (
            {"final.initial_weights": "self_training/9"},
            "final.initial_weights: 'self_training/9' is not a model of this run (did you mean "
            "'self_training/09'?); expected baseline, self_training/00 to self_training/09 or "
            "co_training/00/a to co_training/04/b",
        ),
        (
            {"final.initial_weights": "co_training/05/a"},
            "final.initial_weights: 'co_training/05/a' is not a model of this run",
        ),
        (
            {"network.backbone": "resnet101s"},
            "network.backbone_weights: 'package' (the default) has only weights of tf_efficientnet_lite0",
        ),
        (
            {"network.backbone_weights": "packge"},
            "network.backbone_weights: expected package, timm, none or the path of a weights file, found "
            "'packge' (did you mean 'package'?)",
        ),
        (
            {"baseline.initial_weights": "/none/w.pth"},
            "baseline.initial_weights: expected pretrained or the path of a .safetensors file",
        ),
        (
            {"baseline.iterations": 0},
            "baseline.iterations: found 0, but baseline.initial_weights is pretrained, so there is no model "
            "to take as it is: expected more, or the path of a model's weights for initial_weights",
        ),
        (
            {"self_training.iterations": 0},
            "self_training.iterations: expected an integer >= 1, found 0",
        ),
    ],
)
def test_keys_that_contradict_each_other(config: dict[str, Any], changes: dict[str, Any], line: str) -> None:
    lines = problems(config, changes)
    assert len(lines) == 1
    assert lines[0].startswith(line)


@pytest.mark.parametrize(
    ("network", "line"),
    [
        (
            {"name": "plain_transformer", "aspp_channels": 8},
            "network.aspp_channels: unknown key (it belongs to name deeplabv3plus)",
        ),
        (
            {"name": "my.networks:make", "backbone": "x"},
            "network.backbone: unknown key (it belongs to name deeplabv3plus or plain_transformer)",
        ),
        ({"name": "my.networks:make", "foo": "x"}, "network.foo: unknown key (known here: name, arguments)"),
        ({"dropout_rate": 0.2, "lower": 1}, "network.lower: unknown key (it belongs to "),
        (
            {"name": "unet"},
            "network.name: expected deeplabv3plus, plain_transformer or package.module:factory, found 'unet'",
        ),
        (
            {"name": "plain_transformer", "backbone_weights": "package"},
            "network.backbone_weights: expected timm, none or the path of a weights file",
        ),
    ],
)
def test_keys_of_another_network(config, network, line):
    for section in ("network", "network_b"):
        changed = copy.deepcopy(config)
        if section == "network":
            changed["network"] = network
        else:
            changed.setdefault("co_training", {})["network_b"] = network
        place = "" if section == "network" else "co_training."
        expected = line.replace("network.", f"{place}{section}.", 1)
        with pytest.raises(InputError) as error:
            resolve(changed)
        assert expected in str(error.value)


def test_a_wrong_name_of_a_network_is_told_once(config):
    network = {"name": ["deeplabv3plus"], "backbone": "resnet50", "backbone_weights": "package", "foo": 1}
    expected = "expected deeplabv3plus, plain_transformer or package.module:factory, found ['deeplabv3plus']"
    assert problems(config, {"network": network}) == [f"network.name: {expected}"]
    assert problems(config, {"co_training.network_b": network}) == [f"co_training.network_b.name: {expected}"]


def test_two_sizes_of_images_are_told_where_they_are_written(config):
    both = {"resize": [512, 1024], "short_side": 300}
    text = (
        "short_side: found 300, but resize is [512, 1024], and both say the size of an image in the network: "
        "expected null for one of them"
    )
    assert problems(config, {"prediction": both}) == [f"prediction.{text}"]
    assert problems(config, {"evaluation.protocol": both}) == [f"evaluation.protocol.{text}"]
    halves = {"prediction.resize": [512, 1024], "evaluation.protocol": {"short_side": 300}}
    assert problems(config, halves) == [f"evaluation.protocol.{text}"]
    resolve(changed(config, {**halves, "evaluation.protocol": {"short_side": 300, "resize": None}}))


def test_defaults_of_each_network(config):
    config["network"] = {"name": "plain_transformer"}
    config.setdefault("co_training", {})["network_b"] = {"backbone": "resnet50", "backbone_weights": "timm"}
    filled = resolve(config)
    assert filled["network"] == {
        "name": "plain_transformer",
        "backbone": "vit_small_patch14_dinov2",
        "backbone_weights": "timm",
        "decoder_channels": 256,
        "dropout": 0.1,
    }
    assert filled["co_training"]["network_b"]["name"] == "deeplabv3plus"
    assert filled["co_training"]["network_b"]["aspp_channels"] == 256
    assert resolve(filled) == filled


def test_batch_size_that_no_stage_fits_names_each_stage(config: dict[str, Any]) -> None:
    keys = [line.split(":")[0] for line in problems(config, {"training.batch_size": 8})]
    assert keys == ["self_training.batch_ratio", "co_training.batch_ratio", "final.batch_ratio"]


@pytest.mark.parametrize(
    "changes",
    [
        {"self_training.images_per_round": -1, "self_training.keep": 9000},
        {"co_training.same_domain": False, "co_training.target_b": "camera_test"},
        {"target": "camera_test"},
        {"self_training.portion": {"initial": [0.5] * 19, "maximum": 0.2}},
        {"final.initial_weights": "co_training/04/b"},
        {"final.class_mixing": "plain"},
        {"final.class_mixing": "none"},
        {"self_training.confidence": {"lower": 0.7, "upper": 0.7}},
        {"co_training.confidence": {"lower": 0.7, "upper": 0.7}},
        {"training.average_decay": 0.3, "prediction.weights": "averaged"},
        {"training.average_decay": 0, "prediction.weights": "last"},
        {"self_training.images_per_round": 100, "self_training.keep": 100},
        {"training.crop": [32, 96]},
        {"network.backbone": "resnet101s", "network.backbone_weights": "none"},
        {"datasets.more": {"layout": "streets", "look": "camera"}},
        {"training.source_augmentation.cutout.holes": [2, 2]},
    ],
)
def test_values_that_are_allowed(config: dict[str, Any], changes: dict[str, Any]) -> None:
    resolve(changed(config, changes))


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("datasets.camera.images", "nowhere.txt"),
        ("datasets.camera_test.labels", "nowhere.txt"),
        ("ego_vehicle_mask", "nowhere.png"),
        ("self_training.class_priors", "nowhere.npy"),
        ("network.backbone_weights", "nowhere.pth"),
        ("baseline.initial_weights", "nowhere.safetensors"),
    ],
)
def test_missing_files(config: dict[str, Any], tmp_path: Path, key: str, name: str) -> None:
    assert problems(config, {key: name}) == [
        f"{key}: file {name!r} does not exist (looked up from {Path.cwd()})"
    ]
    absolute = str(tmp_path / name)
    assert problems(config, {key: absolute}) == [f"{key}: file {absolute!r} does not exist"]
    home = f"~/{name}"
    expected = f"{key}: file {home!r} does not exist (write the home folder out, '~' is not replaced)"
    if key.startswith("datasets."):
        expected = f"{key}: file {os.path.expanduser(home)!r} does not exist"
    assert problems(config, {key: home}) == [expected]


def test_weights_files_that_are_none(config: dict[str, Any], tmp_path: Path) -> None:
    """Found from the first bytes, so before the run begins; what is in it is checked by check_networks."""
    page, cut_off = str(tmp_path / "page.pth"), str(tmp_path / "cut_off.safetensors")
    Path(page).write_text("<!DOCTYPE html><html>")
    Path(cut_off).write_bytes(b"\x50\0\0\0\0\0\0\0{}")
    [line] = problems(config, {"network.backbone_weights": page})
    assert line.startswith(
        f"network.backbone_weights: {page}: cannot be read as weights: it is a web page (HTML)"
    )
    assert problems(config, {"baseline.initial_weights": cut_off}) == [
        f"baseline.initial_weights: {cut_off}: cannot be read as weights: it is damaged or cut off: it has "
        "10 bytes, its header asks for 88. Download or copy it again"
    ]
    # A header without tensors.
    empty = str(tmp_path / "empty.safetensors")
    Path(empty).write_bytes(b"\2\0\0\0\0\0\0\0{}more")
    assert problems(config, {"baseline.initial_weights": empty}) == [
        f"baseline.initial_weights: {empty}: cannot be read as weights: it is damaged or cut off: it has "
        "14 bytes, its header asks for 10. Download or copy it again"
    ]
    [line] = problems(config, {"baseline.initial_weights": page})
    assert "it is a web page (HTML)" in line
    checkpoint, graph = str(tmp_path / "model.pth"), str(tmp_path / "model.onnx")
    with zipfile.ZipFile(checkpoint, "w") as archive:
        archive.writestr("model/data.pkl", b"")
    for iterations in (0, 60000):
        changes = {"baseline.initial_weights": checkpoint, "baseline.iterations": iterations}
        [line] = problems(config, changes)
        assert line.startswith("baseline.initial_weights: expected pretrained or the path of a .safetensors")
        assert line.endswith("those of a backbone are for network.backbone_weights)")
    Path(graph).write_bytes(b"\x08\x0a\x12\x07pytorch")
    for key in ("baseline.initial_weights", "network.backbone_weights"):
        [line] = problems(config, {key: graph})
        assert line.startswith(f"{key}: {graph}: cannot be read as weights: it is an ONNX file, a graph for")
    network_b = {"backbone": "resnet50", "backbone_weights": page}
    [line] = problems(config, {"co_training.network_b": network_b})
    assert line.startswith(f"co_training.network_b.backbone_weights: {page}: cannot be read as weights")


def test_folder_in_place_of_a_file_and_file_in_place_of_a_folder(
    config: dict[str, Any], tmp_path: Path
) -> None:
    folder, file = str(tmp_path), config["datasets"]["camera"]["images"]
    assert problems(config, {"ego_vehicle_mask": folder}) == [
        f"ego_vehicle_mask: {folder!r} is a folder, expected a file"
    ]
    assert problems(config, {"datasets.camera.root": file}) == [
        f"datasets.camera.root: {file!r} is a file, expected a folder"
    ]
    resolve(changed(config, {"datasets.camera.root": folder, "ego_vehicle_mask": file}))


def test_shape_of_class_priors(config: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "priors.npy"
    np.save(path, np.zeros((19, 4, 8), np.float32))
    resolve(changed(config, {"self_training.class_priors": str(path)}))
    (line,) = problems(config, {"self_training.class_priors": str(path), "label_space": "camvid11"})
    assert "has the shape (19, 4, 8), expected (classes, height, width) with 11 classes" in line
    path.write_text("no array")
    (line,) = problems(config, {"self_training.class_priors": str(path)})
    assert "is not a readable .npy file" in line


def test_many_mistakes_make_one_message_in_the_order_of_the_schema(config: dict[str, Any]) -> None:
    changes = {
        "final.batch_ratio": [9, 9],
        "co_training.round_b": 12,
        "self_training.round": 3,
        "training.learning_rate": 0,
        "test": "camera_tset",
    }
    assert [line.split(":")[0] for line in problems(config, changes)] == [
        "test",
        "training.learning_rate",
        "self_training.round",
        "co_training.round_b",
        "final.batch_ratio",
    ]


def test_a_wrong_value_causes_no_second_problem(config: dict[str, Any]) -> None:
    for changes in (
        {"training.batch_size": "four"},
        {"self_training.rounds": 0},
        {"self_training.batch_ratio": None},
        {"co_training": 3},
        {"datasets": 3},
        {"datasets.camera": "streets"},
        {"label_space": "x", "self_training.portion.initial": [0.5]},
        {"co_training.confidence": {"lower": 2, "upper": 0.1}},
    ):
        assert len(problems(config, changes)) == 1


def test_any_key_may_hold_any_kind_of_value(config: dict[str, Any]) -> None:
    """Whatever is written where, the answer is a list of problems and never a traceback."""
    resolved = resolve(config)
    accepted, refused = 0, list[str]()

    def visit(section: dict[str, Any], prefix: str) -> None:
        nonlocal accepted
        for name, value in section.items():
            for wrong in (None, True, -7, 2.5, 16.0, "text", [], ["a"], [[1], None], {"a": 1}, {}, {3: 4}):
                try:
                    resolve(changed(config, {f"{prefix}{name}": wrong}))
                    accepted += 1
                except InputError as error:
                    refused.append(str(error))
            if isinstance(value, dict):
                visit(value, f"{prefix}{name}.")

    del resolved["training"]  # Its many plain keys take seconds and differ in nothing from the others.
    visit(resolved, "")
    assert accepted > 20
    assert len(refused) > 500
    assert all(message.startswith("the configuration has ") for message in refused)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        # JSON Schema lets 16.0 pass for 16, and a regular expression a line end for nothing.
        ({"network.output_stride": 16.0}, "network.output_stride: expected 8, 16 or 32, found 16.0"),
        (
            {"network.output_stride": "16"},
            "network.output_stride: expected 8, 16 or 32, found '16' (it is text: in a file, write 16 ",
        ),
        ({"run": "abc\n"}, "run: expected a name of up to 100 letters, digits"),
        (
            {"datasets.game\n": {"layout": "streets", "look": "game", "seed": 9}},
            "datasets.game\n: expected a dataset name",
        ),
        ({"self_training.portion.initial": []}, "portion.initial: found 0 values, expected 19"),
        ({"co_training.portion_a.maximum": []}, "portion_a.maximum: found 0 values, expected 19"),
        # What is to be written must not be text to YAML again.
        ({"training.weight_decay": "1e-5"}, "(YAML reads 1e-5 as text: write 0.00001)"),
        ({"training.learning_rate": "2E3"}, "(YAML reads 2E3 as text: write 2000)"),
        ({"training": {12: 1}}, "training.12: the key is not text: write it in quotes or rename it"),
    ],
)
def test_what_looks_right_and_is_not(config: dict[str, Any], changes: dict[str, Any], line: str) -> None:
    found = problems(config, changes)
    assert len(found) == 1
    assert line in found[0]


def test_a_broken_subset_of_classes_hides_no_other_mistake(config: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text("- {class: road")
    changes = {"evaluation.class_subsets": [str(tmp_path / "broken.yaml")], "final.iterations": 0}
    lines = problems(config, changes)
    assert len(lines) == 2
    assert "final.iterations: expected an integer >= 1, found 0" in lines
    assert lines[1].startswith("evaluation.class_subsets[0]: label space")


def test_schema_is_valid_and_complete() -> None:
    schema = whole_schema()
    jsonschema.Draft202012Validator.check_schema(schema)

    def visit(part: Any, place: str) -> None:
        if isinstance(part, list):
            for index, item in enumerate(part):
                visit(item, f"{place}[{index}]")
        elif isinstance(part, dict):
            # Datasets and networks have their keys by layout and by name.
            if "properties" in part and "if" not in place and "allOf" not in part:
                assert part.get("additionalProperties") is False, place
                for name, item in part["properties"].items():
                    assert item.get("description", "").endswith("."), f"{place}.{name} is not described"
            for name, item in part.items():
                if name != "default":
                    visit(item, f"{place}.{name}")

    visit(schema, "schema")


def test_every_default_is_allowed() -> None:
    for key, part in dotted_keys(whole_schema()):
        own_default = "default" in part or "properties" in part
        # What is left out of them comes from portion_a and from prediction.
        inherited = key.startswith(("co_training.portion_b.", "evaluation.protocol."))
        assert own_default or inherited or key in whole_schema()["required"], key
        if "default" in part:
            assert jsonschema.Draft202012Validator(part).is_valid(part["default"]), key


def test_reference_is_up_to_date() -> None:
    text = (ROOT / "config" / "README.md").read_text(encoding="utf-8")
    hint = "run: python -m workflow_scripts.configuration --reference > config/README.md"
    assert text == reference(), hint


def test_schema_file_is_up_to_date() -> None:
    text = (ROOT / "config" / "schema.json").read_text(encoding="utf-8")
    hint = "run: python -m workflow_scripts.configuration --schema > config/schema.json"
    assert json.loads(text) == whole_schema(), hint


def test_reference_has_every_key(config: dict[str, Any]) -> None:
    text = reference()

    def visit(section: dict[str, Any], prefix: str) -> None:
        for name, value in section.items():
            if f"{prefix}{name}" == "target_augmentation":
                value = None
            assert f"| `{prefix}{name}` |" in text
            if isinstance(value, dict):
                visit(value, f"{prefix}{name}.")

    for name, value in resolve(config).items():
        if name == "datasets":
            for entry in value.values():
                visit(entry, "")
        elif isinstance(value, dict):
            assert f"## {name}\n" in text
            visit(value, "")
        else:
            visit({name: value}, "")
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 5 for row in rows)


def test_example_of_the_reference_is_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    block, *definitions = re.findall(r"```yaml\n(.*?)```", reference(), re.DOTALL)
    for name in re.findall(r"\S+\.txt", block):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    assert resolve(yaml.safe_load(block))["run"] == "my_camera"
    for text, read in zip(definitions, (label_space, class_table, tree_layout), strict=True):
        name = re.match(r"# (\S+),", text)[1]
        (tmp_path / name).write_text(text)
        assert read(name).name in (name, name.removesuffix(".yaml"))


def test_merging_replaces_values_and_joins_sections() -> None:
    base = {"a": {"x": 1, "y": [1, 2]}, "b": 1}
    later = {"a": {"y": [3]}, "c": {"z": 0}}
    assert reading.merged(base, later) == {"a": {"x": 1, "y": [3]}, "b": 1, "c": {"z": 0}}
    assert base == {"a": {"x": 1, "y": [1, 2]}, "b": 1}


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    with pytest.raises(InputError, match=r"config\.yaml: cannot be read"):
        reading.read_mapping(path)
    path.write_text("run: demo\nseed: [1,\n")
    with pytest.raises(InputError, match=r"config\.yaml, line 3: not valid YAML: found the end of the text"):
        reading.read_mapping(path)
    path.write_text("- run\n")
    with pytest.raises(InputError, match="expected keys and values"):
        reading.read_mapping(path)
    path.write_text("")
    assert reading.read_mapping(path) == {}


def test_command_prints_the_resolved_configuration(
    config: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    first.write_text(yaml.safe_dump(config))
    second.write_text("run: other\nself_training: {rounds: 4}\n")
    main(["--config", str(first), str(second), "--all"])
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed == resolve({**config, "run": "other", "self_training": {"rounds": 4}})
    assert printed["co_training"]["round_b"] == 3


def test_command_prints_the_reference(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--reference"])
    assert capsys.readouterr().out == reference()


def test_command_ends_with_one_message_and_status_2(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("run: demo\n")
    command = [sys.executable, "-m", "workflow_scripts.configuration", "--config", str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "datasets: missing" in done.stderr
    assert "Traceback" not in done.stderr


def test_layouts_of_the_schema_are_those_that_there_are() -> None:
    schema = whole_schema()["properties"]["datasets"]["additionalProperties"]["properties"]["layout"]
    assert schema["anyOf"][0]["enum"] == ["streets", "lists", *tree_layout_names()]
    assert all(name in schema["title"] for name in tree_layout_names())


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"label_space": "kitti"}, "label_space: 'kitti' is not a label space; known are cityscapes19"),
        ({"label_space": "gone.yaml"}, "label_space: file 'gone.yaml' does not exist"),
        ({"datasets.camera.layout": "gta"}, "datasets.camera.layout: expected streets, lists, gta5"),
        (
            {"datasets.camera": {"layout": "gta5", "root": "/gone"}},
            "datasets.camera.root: folder '/gone' does not exist; "
            "expected the root of gta5, with images/ and labels/",
        ),
        (
            {"datasets.camera": {"layout": "gta5"}},
            "datasets.camera.root: missing, expected the path of a folder",
        ),
        (
            {"datasets.camera": {"layout": "gta5", "root": "/", "images": "x.txt"}},
            "datasets.camera.images: unknown key",
        ),
        (
            {"datasets.camera": {"layout": "own.yaml", "root": "/"}},
            "datasets.camera.layout: file 'own.yaml' does not exist",
        ),
        (
            {"evaluation.class_subsets": ["synthia13", "camvid11"]},
            "evaluation.class_subsets[1]: 'camvid11' has classes that cityscapes19 lacks: bicyclist, ",
        ),
        (
            {"evaluation.class_subsets": ["synthia"]},
            "evaluation.class_subsets[0]: 'synthia' is not a label space (did you mean 'synthia16'?)",
        ),
    ],
)
def test_wrong_definitions_are_explained(config: dict[str, Any], changes: dict[str, Any], line: str) -> None:
    assert any(found.startswith(line) for found in problems(config, changes)), problems(config, changes)


def test_broken_definitions_are_named_with_their_keys(config: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text("road: [1, 2")
    for changes, key in (
        ({"label_space": str(path)}, "label_space"),
        ({"evaluation.class_subsets": ["synthia13", str(path)]}, "evaluation.class_subsets[1]"),
        ({"datasets.camera": {"layout": str(path), "root": str(tmp_path)}}, "datasets.camera.layout"),
    ):
        (line,) = problems(config, changes)
        assert line.startswith(f"{key}: "), line
        assert f"{path}, line 1: not valid YAML: found [ that is not closed, expected ]" in line


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 10**309}, "seed: expected an integer >= 0, found 'an integer of more than 64 bit'"),
        ({"seed": 10**5000}, "seed: expected an integer >= 0, found 'an integer of more than 64 bit'"),
        (
            {"training.learning_rate": 10**309},
            "training.learning_rate: expected a number > 0, found 'an integer",
        ),
        ({"run": "a" * 101}, "run: expected a name of up to 100 letters"),
        ({"run": "a\n"}, "run: expected a name of up to 100 letters"),
        ({"datasets.a\n": {"layout": "streets", "look": "game"}}, "datasets.a\n: expected a dataset name"),
        ({"datasets.game.layout": "x.yaml\n"}, "datasets.game.layout: expected "),
        ({"ego_vehicle_mask": "a\0b"}, "ego_vehicle_mask: "),
        ({"label_space": "\udcff.yaml"}, "label_space: "),
        (
            {"network": {"name": "a.b:c", "arguments": {"x": float("inf")}}},
            "network.arguments.x: expected a number",
        ),
        (
            {"network": {"name": "a.b:c", "arguments": {"x": [2**63]}}},
            "network.arguments.x[0]: expected an integer",
        ),
        (
            {"network": {"name": "a.b:c", "arguments": {"x": {1, 2}}}},
            "network.arguments.x: expected text, a number",
        ),
        ({"network": {"name": "a.b:c\n"}}, "network"),
    ],
)
def test_values_that_no_file_can_hold(config: dict[str, Any], changes: dict[str, Any], message: str) -> None:
    assert any(line.startswith(message) for line in problems(config, changes)), problems(config, changes)


def test_a_configuration_with_aliases_without_end_is_refused(config: dict[str, Any]) -> None:
    nested: list[Any] = ["x"] * 10
    for _ in range(9):
        nested = [nested] * 10
    endless: list[Any] = []
    endless.append(endless)
    for value in (nested, endless):
        with pytest.raises(
            InputError, match="the configuration: expected at most 20 levels and 5,000 values"
        ):
            resolve(config | {"network": value})
