"""Every command line that a rule can build, for every value of the keys that shape it.

The other tests start most of them for real. Here Snakemake builds all of them, and each is read by the parser
of its step (and before it by that of torchrun), as the shell would pass it.
"""

import re
import shlex
from functools import reduce
from importlib import import_module
from typing import get_args

import numpy as np
import pytest
import yaml
from safetensors.numpy import save_file

from cotrain.configuration.choices import (
    Accumulation,
    ClassMixing,
    Collaboration,
    Device,
    ExchangeRanking,
    Fill,
    ImageFormat,
    ImageRanking,
)
from cotrain.configuration.reading import merged
from tests.workflow.conftest import PROJECT, write_dataset

STREETS = {"layout": "streets", "look": "game", "images": 2, "width": 96, "height": 64}


def each(path, *values):
    """Return {key: {key: value}} for each value of the key at a path such as `translation.format`."""
    return [reduce(lambda inner, key: {key: inner}, reversed(path.split(".")), value) for value in values]


# One key a line, and keys together where one needs the other.
VALUES = [
    each("device", *get_args(Device)),
    each("gpus_per_training", 1, 2),
    [
        {"label_space": "cityscapes19"},
        {"label_space": "own space.yaml", "evaluation": {"class_subsets": ["sub set.yaml"]}},
        {
            "label_space": "cityscapes19",
            "evaluation": {"class_subsets": ["synthia13", "synthia16"]},
            "self_training": {"portion": {"initial": [0.1] * 19, "maximum": [0.2] * 19}},
        },
    ],
    each("ego_vehicle_mask", None, "a mask.png"),
    each("upper_bound", False, True),
    [{}, {"datasets": {"game": STREETS}, "source": ["synthetic", "game"]}],
    each("network.backbone_weights", "none", "some data/backbone.safetensors"),
    each("translation.method", "lab", "lab", "none"),
    each("translation.format", *get_args(ImageFormat)),
    each("translation.targets_per_image", 1, 3),
    each("training.decoded_cache", False, True),
    [{}, {"training": {"average_decay": 0.5}, "prediction": {"weights": "averaged"}}],
    each("training.rare_class_sampling.enabled", False, True),
    each("prediction.shards", 1, 2),
    each("prediction.calibration_images", 0, 2),
    each("baseline.initial_weights", "pretrained", "some data/first.safetensors"),
    each("self_training.initial_weights", "baseline", "previous"),
    each("self_training.class_priors", None, "source", "own priors.npy"),
    each("self_training.ranking", *get_args(ImageRanking)),
    each("self_training.accumulation", *get_args(Accumulation)),
    each("self_training.relabel_rounds", 0, 1),
    each("self_training.class_mixing", *get_args(ClassMixing)),
    each("self_training.every", 1, 2),
    each("co_training.initial_weights", "branch_start", "previous"),
    [{}, {"co_training": {"same_domain": False, "target_b": "camera_b"}}],
    [{}, {"co_training": {"network_b": {"name": "a_users_network:make"}}}],
    each("co_training.ranking", *get_args(ExchangeRanking)),
    each("co_training.collaboration", *get_args(Collaboration)),
    each("co_training.fill", *get_args(Fill)),
    each("co_training.accumulation", *get_args(Accumulation)),
    each("co_training.relabel_cycles", 0, 1),
    each("final.initial_weights", "baseline", "co_training/00/a"),
    each("evaluation.write_outputs", False, True),
]
NUMBER = max(map(len, VALUES))
TARGETS = ("all", "contact_sheets", "batch_sheets", "estimate", "oracle_studies")
MODULE = """
module run_{number}:
    snakefile: {snakefile!r}
    config: config["runs"][{number}]
    prefix: "run {number}"

use rule * from run_{number} as run_{number}_*
"""


class Parsed(Exception):  # noqa: N818 (no error: the step has got as far as it should)
    """What a step's parser has made of its arguments."""


@pytest.fixture
def command_lines(run):
    """The commands of all jobs of some runs that have, between them, every value of VALUES."""
    write_dataset(run.folder, "camera_b", 8, 40)
    entry = run.configuration()["datasets"]["camera"]
    lists = {kind: f"some data/camera_b.{kind}.txt" for kind in ("images", "labels")}
    base = merged(
        run.configuration(), {"datasets": {"camera_b": entry | lists}, "co_training": {"cycles": 2}}
    )
    configurations = []
    for number in range(NUMBER):
        # Shifted against each other, so that keys with as many values meet in different pairs.
        chosen = [values[(number + place) % len(values)] for place, values in enumerate(VALUES)]
        configurations.append(reduce(merged, chosen, base))
    for name in ("own space.yaml", "sub set.yaml"):
        names = ("road", "building", "vegetation", "sky")
        classes = [{"class": name, "colour": [index, 0, 0]} for index, name in enumerate(names)]
        (run.folder / name).write_text(yaml.safe_dump(classes))
    (run.folder / "a mask.png").write_bytes(b"")
    for name in ("some data/backbone.safetensors", "some data/first.safetensors"):
        save_file({"a tensor": np.zeros(1, np.float32)}, run.folder / name)
    np.save(run.folder / "own priors.npy", np.ones((19, 4, 6), np.float32))
    (run.folder / "runs.yaml").write_text(yaml.safe_dump({"runs": configurations}))
    modules = [MODULE.format(number=i, snakefile=str(PROJECT / "Snakefile")) for i in range(NUMBER)]
    (run.folder / "Snakefile").write_text("\n".join(modules))
    targets = [f"run_{number}_{target}" for number in range(NUMBER) for target in TARGETS]
    done = run.snakemake(
        *("--dry-run", "--printshellcmds", "--quiet", "host", "--", *targets),
        configfile="runs.yaml",
        snakefile=run.folder / "Snakefile",
    )
    assert done.returncode == 0, done.stdout[-3000:]
    lines = [line.strip().removeprefix("Shell command: ") for line in done.stdout.splitlines()]
    return [line for line in lines if line.startswith("python -m ")]


def test_every_command_is_understood_by_its_step(command_lines, monkeypatch):
    from torch.distributed.run import parse_args

    def stop(parser, arguments):
        raise Parsed(parser.parse_args(arguments))

    understood = {}
    for line in command_lines:
        module, *arguments = shlex.split(line)[2:]
        if module == "torch.distributed.run":
            launched = parse_args(arguments)
            assert launched.module
            assert launched.nproc_per_node == "2"
            module, arguments = launched.training_script, launched.training_script_args
        step = import_module(module)
        monkeypatch.setattr(step, "parse", stop)
        with pytest.raises(Parsed) as parsed:
            step.main(arguments)
        understood.setdefault(module.removeprefix("workflow_scripts."), []).append(vars(parsed.value.args[0]))

    rules = "".join(path.read_text() for path in (PROJECT / "rules").glob("*.smk"))
    assert understood.keys() == set(re.findall(r"-m workflow_scripts\.(\w+)", rules))

    def values(step, flag):
        found = {options[flag] for options in understood[step]}
        return {str(value) for value in found if value is not None}

    # Quoted as they must be, and each value is there.
    for step in ("check_data", "convert_labels", "train", "thresholds", "label_round", "exchange", "relabel"):
        assert values(step, "label_space") == {"cityscapes19", "own space.yaml"}
    for step in ("predict", "label_round", "exchange", "ensemble_labels", "collect_checks"):
        assert values(step, "ego_vehicle_mask") == {"a mask.png"}
    assert values("train", "device") == set(get_args(Device))
    assert values("translate", "format") == set(get_args(ImageFormat))
    assert values("label_round", "ranking") == set(get_args(ImageRanking))
    assert values("exchange", "ranking") == set(get_args(ExchangeRanking))
    assert values("exchange", "collaboration") == set(get_args(Collaboration))
    assert values("exchange", "fill") == set(get_args(Fill))
    assert values("accumulate", "accumulation") == set(get_args(Accumulation))
    assert "own priors.npy" in values("label_round", "class_priors")
