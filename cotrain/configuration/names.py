"""The names that a run gives to its models, labellings and image sets: made and read only here.

A name is a part of a path below `results/RUN`, such as `self_training/03`; each class reads it with `parse`
and gives it back with `str`.
"""

import re
from dataclasses import dataclass
from typing import Literal, cast

Branch = Literal["a", "b"]
Stage = Literal["baseline", "baseline_b", "self_training", "co_training", "final", "upper_bound"]

BRANCHES: tuple[Branch, ...] = ("a", "b")

# Regular expressions of the names, for the workflow's wildcards.
STEP_PATTERN = r"self_training/\d\d|co_training/\d\d/[ab]"
MODEL_PATTERN = rf"baseline|baseline_b|{STEP_PATTERN}|final|upper_bound"
LABELLING_PATTERN = rf"({STEP_PATTERN})(/relabelled)?|ensemble/[ab]"
DATASET_PATTERN = r"[a-z0-9_]+"
RUN_PATTERN = r"[A-Za-z0-9_-][A-Za-z0-9_.-]*"
IMAGE_SET_PATTERN = rf"target|accumulated|labelled/{DATASET_PATTERN}|subset/({STEP_PATTERN})"


@dataclass(frozen=True)
class ModelName:
    """A model: `baseline`, `baseline_b`, `self_training/03`, `co_training/02/b`, `final` or `upper_bound`.

    `baseline_b` is the baseline of branch b, where that has a network or a source of its own.
    A round of self-training and a branch's cycle of co-training are called steps, and have the name of the
    model that they end with. `number` is the round or cycle, from 0.
    """

    stage: Stage
    number: int | None = None
    branch: Branch | None = None

    @staticmethod
    def parse(text: str) -> "ModelName":
        """Read a name; ValueError if it is none."""
        if not re.fullmatch(MODEL_PATTERN, text):
            raise ValueError(f"{text!r} is not the name of a model")
        stage, *rest = text.split("/")
        number = int(rest[0]) if rest else None
        branch = cast(Branch, rest[1]) if len(rest) > 1 else None
        return ModelName(cast(Stage, stage), number, branch)

    def __str__(self) -> str:
        number = None if self.number is None else f"{self.number:02d}"
        return "/".join(part for part in (self.stage, number, self.branch) if part is not None)

    @property
    def place(self) -> int:
        """The round or cycle of a step, from 0; AssertionError for another model."""
        assert self.number is not None, f"{self} is no step"
        return self.number

    @property
    def is_of_branch_b(self) -> bool:
        """Whether it is a model of branch b, or the baseline that is only its own."""
        return self.branch == "b" or self == BASELINE_B

    def before(self) -> "ModelName":
        """Return the same branch's step one round or cycle earlier."""
        return ModelName(self.stage, self.place - 1, self.branch)


BASELINE, BASELINE_B = ModelName("baseline"), ModelName("baseline_b")
# What is trained on the source only.
BASELINES = (BASELINE, BASELINE_B)
FINAL, UPPER_BOUND = ModelName("final"), ModelName("upper_bound")
# The stages without a section in the configuration, and the section whose keys decide their trainings.
SECTIONS_OF_OTHERS = {BASELINE_B.stage: BASELINE.stage, UPPER_BOUND.stage: FINAL.stage}


def self_training_round(number: int) -> ModelName:
    """Return `self_training/NUMBER`."""
    return ModelName("self_training", number)


def co_training_branch(cycle: int, branch: Branch) -> ModelName:
    """Return `co_training/CYCLE/BRANCH`."""
    return ModelName("co_training", cycle, branch)


def steps_of(rounds: int, cycles: int) -> list[ModelName]:
    """Return all rounds of self-training and then both branches of all cycles of co-training."""
    branches = [co_training_branch(cycle, branch) for cycle in range(cycles) for branch in BRANCHES]
    return [*map(self_training_round, range(rounds)), *branches]


@dataclass(frozen=True)
class ImageSet:
    """Images that a model predicts.

    `target`: all target images. `accumulated`: those that the model itself was trained on. `labelled/NAME`:
    the test images of dataset NAME. `subset/STEP`: those drawn for STEP.
    """

    kind: Literal["target", "accumulated", "labelled", "subset"]
    dataset: str | None = None
    step: ModelName | None = None

    @staticmethod
    def parse(text: str) -> "ImageSet":
        """Read a name; ValueError if it is none."""
        if not re.fullmatch(IMAGE_SET_PATTERN, text):
            raise ValueError(f"{text!r} is not the name of an image set")
        kind, _, rest = text.partition("/")
        if kind == "labelled":
            return ImageSet("labelled", dataset=rest)
        if kind == "subset":
            return ImageSet("subset", step=ModelName.parse(rest))
        return ImageSet("target" if kind == "target" else "accumulated")

    def __str__(self) -> str:
        return "/".join(str(part) for part in (self.kind, self.dataset, self.step) if part is not None)


@dataclass(frozen=True)
class Labelling:
    """Pseudo-labels that are made with one set of thresholds.

    `self_training/03`: those of a step's subset. `self_training/03/relabelled`: those that the step's new
    model gives to the images it was trained on. `ensemble/a`: branch a's part of the final labels.
    """

    step: ModelName | None = None
    is_relabelling: bool = False
    ensemble_branch: Branch | None = None

    @staticmethod
    def parse(text: str) -> "Labelling":
        """Read a name; ValueError if it is none."""
        if not re.fullmatch(LABELLING_PATTERN, text):
            raise ValueError(f"{text!r} is not the name of a labelling")
        if text.startswith("ensemble/"):
            return Labelling(ensemble_branch=cast(Branch, text.removeprefix("ensemble/")))
        step = text.removesuffix("/relabelled")
        return Labelling(ModelName.parse(step), is_relabelling=step != text)

    def __str__(self) -> str:
        if self.ensemble_branch:
            return f"ensemble/{self.ensemble_branch}"
        return f"{self.step}/relabelled" if self.is_relabelling else str(self.step)
