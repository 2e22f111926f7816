"""Every command line that a rule can build, for every value of the keys that shape it.

Snakemake builds them for tiny runs that have all values between them. One of each variant is started here, on
what those before it have made. To save the start of Python hundreds of times, the steps share one process;
`python -m` and torchrun start them in the other tests of this folder.
"""

import copy
import re
import shlex
from argparse import ArgumentParser
from functools import reduce
from importlib import import_module
from pathlib import Path
from typing import NamedTuple, get_args

import numpy as np
import pytest
import timm
import torch
import yaml
from safetensors.torch import save_file

from cotrain.configuration.choices import (
    ClassMixing,
    Collaboration,
    Device,
    ExchangeRanking,
    Fill,
    FinalLabels,
    ImageFormat,
    ImageRanking,
)
from cotrain.configuration.reading import merged, resolve
from cotrain.configuration.run_plan import RunPlan
from cotrain.configuration.settings_files import write_settings
from cotrain.data.images import write_label
from cotrain.data.label_spaces import label_space
from cotrain.errors import InputError
from cotrain.networks.weights import save_weights
from cotrain.training.train_model import first_network
from tests.workflow.conftest import PROJECT, Run, write_dataset

STREETS = {"layout": "streets", "look": "game", "images": 3, "width": 96, "height": 64}


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
    # Only once: to render takes as long as all else that a run does here.
    [*[{}] * 5, {"datasets": {"game": STREETS}, "source": ["synthetic", "game"]}],
    each("network.backbone_weights", "none", "some data/backbone.safetensors"),
    each("translation.method", "lab", "lab", "none"),
    each("translation.format", *get_args(ImageFormat)),
    each("translation.targets_per_image", 1, 3),
    each("training.decoded_cache", False, True),
    [
        {},
        {"training": {"average_decay": 0.5}, "prediction": {"weights": "averaged"}},
        {"training": {"average_decay": 0.5}},
    ],
    each("training.rare_class_sampling.enabled", False, True),
    each("prediction.shards", 1, 2),
    # In a run for each device.
    each("prediction.calibration_images", 0, 2, 2, 2, 2, 2),
    each("baseline.initial_weights", "pretrained", "some data/first.safetensors"),
    each("self_training.initial_weights", "baseline", "previous"),
    each("self_training.class_priors", None, "source", "own priors.npy"),
    each("self_training.ranking", *get_args(ImageRanking)),
    # Nothing is labelled again in one run of the six, so that each ranking does that in another.
    each("self_training.accumulation", "none", "best_score", "all", "best_score", "all", "best_score"),
    each("self_training.relabel_rounds", 1, 0, 1, 1, 1, 1),
    each("self_training.class_mixing", *get_args(ClassMixing)),
    each("self_training.every", 1, 2),
    each("co_training.initial_weights", "branch_start", "previous"),
    [{}, {"co_training": {"network_b": {"name": "a_users_network:make"}}}],
    [{}, {"co_training": {"same_domain": False, "target_b": "camera_b"}}],
    each("co_training.ranking", *get_args(ExchangeRanking)),
    each("co_training.collaboration", *get_args(Collaboration)),
    each("co_training.fill", *get_args(Fill)),
    each("co_training.accumulation", "best_score", "all", "none", "best_score", "all", "best_score"),
    each("co_training.relabel_cycles", 1, 1, 1, 0, 1, 1),
    each("final.initial_weights", "baseline", "co_training/00/a"),
    each("evaluation.write_outputs", False, True),
    # None in the run that has no upper bound and asks for nothing in `evaluation`.
    each("test", "camera_test", None, *["camera_test"] * 4),
    each("report.photos", [], ["03", "camera/01.png"]),
    each("on_collapse", "warn", "stop"),
    each("training.tensorboard", True, False),
    each("final.labels", *get_args(FinalLabels)),
    each("final.class_mixing", *get_args(ClassMixing)),
    each("co_training.source_b", [], [], ["synthetic_b"]),
]
NUMBER = max(map(len, VALUES))
TARGETS = ("all", "contact_sheets", "batch_sheets", "estimate", "oracle_studies")
# What the target `batch_sheets` is not for.
FILES = ("models/self_training/00/batches.png", "models/final/batches.png")
# One iteration each, but for the baseline, which must label something.
TINY = {
    "baseline": {"iterations": 12},
    "self_training": {"iterations": 1, "images_per_round": 4, "keep": 3},
    "co_training": {"cycles": 2, "iterations": 1, "images_per_cycle": 4, "keep": 3},
    "final": {"iterations": 1},
}
# Datasets besides those of the tiny run: by how much they are darker.
OTHERS = {"camera_b": 40, "synthetic_b": 10}
CLASSES = ("road", "building", "vegetation", "sky")
USERS_NETWORK = """
from torch import nn

def make(number_of_classes):
    return nn.Sequential(nn.Conv2d(3, 4, 5, 4, 2), nn.ReLU(), nn.Conv2d(4, number_of_classes, 1))
"""
# Flags that no rule gives, of steps that rules start: they are for use by hand.
BY_HAND = {
    "batch_sheet": {"--iterations"},
    "check_data": {"--config", "--layout", "--quick", "--root", "--split", "--version"},
    "class_priors": {"--classes"},
    "class_statistics": {"--classes"},
    "contact_sheet": {"--classes", "--count", "--seed"},
}
MODULE = """
module run_{number}:
    snakefile: {snakefile!r}
    config: config["runs"][{number}]
    prefix: "run {number}"

use rule * from run_{number} as run_{number}_*
"""


# The check is for devices that may be missing.
NEVER_CHOSEN = {("check_device", "device"): {"cpu"}}


class Command(NamedTuple):
    """A command line, as its step's parser understands it."""

    line: str
    module: str
    arguments: list[str]
    parser: ArgumentParser
    options: dict

    @property
    def step(self):
        return self.module.removeprefix("workflow_scripts.")

    @property
    def output(self):
        return self.arguments[self.arguments.index("--output") + 1]

    @property
    def variant(self):
        """The step and its flags, with the values that are choices, and whether a list has several."""
        flags = []
        for action in self.parser._actions:
            flag = action.option_strings[-1]
            if flag in self.arguments:
                value = self.options.get(action.dest)
                is_choice = action.choices or flag in ("--label-space", "--targets-per-image")
                flags.append((flag, value if is_choice else isinstance(value, list) and len(value) > 1))
        return self.step, frozenset(flags)

    @property
    def read(self):
        """The arguments, and what the step reads in the folder that it is given."""
        if self.step != "page":
            return self.arguments
        run = self.arguments[self.arguments.index("--run") + 1]
        return [*self.arguments, f"{run}/settings/configuration.json"]

    def makes(self, argument):
        """Whether an argument of a later command is this one's output, or lies in it."""
        # What stands beside a main file has its name with another suffix.
        own = self.output.removesuffix(".h5") if self.output.endswith(".h5") else self.output
        return argument == self.output or argument.startswith((f"{own}/", f"{own}."))


class Parsed(Exception):  # noqa: N818 (no error: the step has got as far as it should)
    """What a step's parser has made of its arguments."""


def chosen(number, place, values):
    """Return the value that a key of VALUES has in a run.

    Each key has each value in some run. Keys are shifted against each other, and those with two values change
    in three different rhythms, so that most of them meet in all pairs.
    """
    turn = (number, number // 2, number + number // 2)[place % 3] if len(values) == 2 else number
    return values[(turn + place) % len(values)]


def write_files(folder):
    """Write the files of the user's that VALUES name."""
    for name, shift in OTHERS.items():
        write_dataset(folder, name, 8, shift)
    for name, number in (("own space.yaml", 4), ("sub set.yaml", 2)):
        classes = [{"class": name, "colour": [i, 0, 0]} for i, name in enumerate(CLASSES[:number])]
        (folder / name).write_text(yaml.safe_dump(classes))
    mask = np.zeros((64, 96), np.uint8)
    mask[60:] = 1
    write_label(folder / "a mask.png", mask, [(0, 0, 0), (255, 255, 255)])
    (folder / "a_users_network.py").write_text(USERS_NETWORK)
    backbone = timm.create_model("test_efficientnet", pretrained=False)
    save_file(backbone.state_dict(), folder / "some data" / "backbone.safetensors")


def with_fitting_files(configuration, number):
    """Return a run's configuration with files of its own where they must fit its classes."""
    without = copy.deepcopy(configuration)
    without["baseline"]["initial_weights"] = "pretrained"
    without["self_training"]["class_priors"] = None
    resolved = resolve(without)
    space = label_space(resolved.label_space)
    if configuration["baseline"]["initial_weights"] != "pretrained":
        settings = RunPlan(resolved).training_settings("baseline")
        file = f"some data/first {number}.safetensors"
        save_weights(Path(file), first_network(settings, space, None), settings.network, space)
        configuration["baseline"]["initial_weights"] = file
    if configuration["self_training"]["class_priors"] == "own priors.npy":
        np.save("own priors.npy", np.ones((space.number_of_classes, 64, 96), np.float32))
    return configuration


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The working folder of the runs, with the data and all files that they name."""
    return tmp_path_factory.mktemp("command lines")


@pytest.fixture(scope="module")
def command_lines(folder):
    """The commands of all jobs of some runs that have, between them, every value of VALUES.

    They are in an order in which each finds what it needs.
    """
    run = Run(folder)
    write_files(folder)
    entry = run.configuration()["datasets"]["camera"]
    others = {
        name: entry | {kind: f"some data/{name}.{kind}.txt" for kind in ("images", "labels")}
        for name in OTHERS
    }
    base = reduce(merged, [run.configuration(), {"datasets": others}, TINY])
    configurations = []
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(folder)
        for number in range(NUMBER):
            values = [chosen(number, place, values) for place, values in enumerate(VALUES)]
            configurations.append(with_fitting_files(reduce(merged, values, base), number))
            write_settings(Path(f"{number}.json"), resolve(copy.deepcopy(configurations[-1])))
    (folder / "runs.yaml").write_text(yaml.safe_dump({"runs": configurations}))
    modules = [MODULE.format(number=i, snakefile=str(PROJECT / "Snakefile")) for i in range(NUMBER)]
    (folder / "Snakefile").write_text("\n".join(modules))
    targets = [f"run_{number}_{target}" for number in range(NUMBER) for target in TARGETS]
    targets += [f"run {number}/results/tiny/{file}" for number in range(NUMBER) for file in FILES]
    done = run.snakemake(
        *("--dry-run", "--printshellcmds", "--quiet", "host", "--", *targets),
        configfile="runs.yaml",
        snakefile=folder / "Snakefile",
    )
    assert done.returncode == 0, done.stdout[-3000:]
    lines = [line.strip().removeprefix("Shell command: ") for line in done.stdout.splitlines()]
    return [line for line in lines if line.startswith("python -m ")]


def read(line):
    """Return the step that a command starts and its arguments, as the shell would pass them."""
    from torch.distributed.run import parse_args

    module, *arguments = shlex.split(line)[2:]
    if module == "torch.distributed.run":
        launched = parse_args(arguments)
        assert launched.module
        assert launched.nproc_per_node == "2"
        module, arguments = launched.training_script, launched.training_script_args
    return module, arguments


@pytest.fixture(scope="module")
def commands(command_lines):
    """What the steps' own parsers make of the command lines, in the same order."""

    def stop(parser, arguments):
        raise Parsed(parser, parser.parse_args(arguments))

    found = []
    with pytest.MonkeyPatch.context() as patch:
        for line in command_lines:
            module, arguments = read(line)
            step = import_module(module)
            patch.setattr(step, "parse", stop)
            with pytest.raises(Parsed) as parsed:
                step.main(arguments)
            parser, options = parsed.value.args
            found.append(Command(line, module, arguments, parser, vars(options)))
    return found


def test_every_command_is_understood_by_its_step(commands):
    understood, choices, never_given = {}, {}, {}
    for command in commands:
        understood.setdefault(command.step, []).append(command.options)
        actions = {action.option_strings[-1]: action for action in command.parser._actions}
        choices[command.step] = {action.dest: action.choices for action in actions.values() if action.choices}
        never_given.setdefault(command.step, actions.keys() - {"--help"}).difference_update(command.arguments)

    rules = "".join(path.read_text() for path in (PROJECT / "rules").glob("*.smk"))
    assert understood.keys() == set(re.findall(r"-m workflow_scripts\.(\w+)", rules))
    # A flag or choice that a new key brings must be among VALUES.
    assert {name: flags for name, flags in never_given.items() if flags} == BY_HAND
    not_chosen = {
        (step, flag): set(values) - {options[flag] for options in understood[step]}
        for step, of_step in choices.items()
        for flag, values in of_step.items()
    }
    assert {place: values for place, values in not_chosen.items() if values} == NEVER_CHOSEN

    def values(step, flag):
        found = {options[flag] for options in understood[step]}
        return {str(value) for value in found if value is not None}

    # Quoted as they must be, and each value is there.
    for step in ("check_data", "convert_labels", "train", "thresholds", "label_round", "exchange", "relabel"):
        assert values(step, "label_space") == {"cityscapes19", "own space.yaml"}
    for step in ("predict", "label_round", "exchange", "relabel", "ensemble_labels", "collect_checks"):
        assert values(step, "ego_vehicle_mask") == {"a mask.png"}
    assert "own priors.npy" in values("label_round", "class_priors")


def is_missing(device):
    """Whether this machine lacks a device."""
    there = {"cuda": torch.cuda.is_available, "mps": torch.backends.mps.is_available}
    return device in there and not there[device]()


def start(module, arguments):
    """Start a step as its command line says; where it asks for a missing device, let it refuse that first."""
    step = import_module(module)
    place = arguments.index("--device") + 1 if "--device" in arguments else 0
    if place and is_missing(arguments[place]):
        with pytest.raises(InputError, match=f"^device: '{arguments[place]}' is set"):
            step.main(arguments)
        arguments = [*arguments[:place], "cpu", *arguments[place + 1 :]]
    try:
        step.main(arguments)
    except InputError as error:
        # So little training gives models that are refused.
        if "stop" not in arguments or " has collapsed: " not in str(error):
            raise
        step.main(["warn" if argument == "stop" else argument for argument in arguments])


def one_of_each(commands):
    """Return a command of each variant, and those that make what they read, in their order."""
    needed, read_by_them = [], set()
    first = {command.variant: command for command in reversed(commands)}.values()
    for command in reversed(commands):
        if any(command is one for one in first) or any(map(command.makes, read_by_them)):
            needed.append(command)
            # Some flags take NAME=FILE.
            read_by_them.update(argument.partition("=")[2] or argument for argument in command.read)
    return needed[::-1]


def test_a_command_of_every_variant_does_its_work(commands, folder, monkeypatch):
    torch.set_num_threads(1)
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    chosen = one_of_each(commands)
    for command in chosen:
        arguments, output = list(command.arguments), Path(command.output)
        if command.step == "write_settings":
            # The temporary file that Snakemake gives it has ended with Snakemake.
            arguments[arguments.index("--config") + 1] = f"{output.parts[0].removeprefix('run ')}.json"
        # As Snakemake does before it starts a job.
        output.parent.mkdir(parents=True, exist_ok=True)
        try:
            start(command.module, arguments)
        except InputError as error:
            pytest.fail(f"{command.line}\n{error}")
        assert output.exists(), command.line
    assert {command.variant for command in chosen} == {command.variant for command in commands}
