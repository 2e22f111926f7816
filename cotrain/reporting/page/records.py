"""What the files of a run say: read from its folder, whatever is there so far.

A file that is not there yet is no mistake, because the page of a run is also made while the run goes on.
"""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from cotrain.adaptation.threshold_table import ThresholdTable
from cotrain.configuration.names import FINAL, UPPER_BOUND, ModelName
from cotrain.configuration.reading import read_settings
from cotrain.configuration.run_plan import RunPlan
from cotrain.configuration.sections import Configuration
from cotrain.configuration.settings_files import WHOLE
from cotrain.data.checks import CheckReport
from cotrain.data.json_files import Count, NotNegative, NotValidError, Record, Share, read_record, record_of
from cotrain.data.label_spaces import LabelSpace, label_space
from cotrain.errors import InputError, reason
from cotrain.evaluation.scores import ModelScores, read_confusion, read_scores
from cotrain.reporting.notes import read_notes
from cotrain.training.record import TrainingRecord


class TrainingFacts(TrainingRecord, frozen=True):
    """Of `training.json`, also what a training took."""

    processes: Annotated[int, Meta(ge=1)] = 1
    device: str = ""
    peak_memory_mib: Count = 0
    resumes: Count = 0

    @property
    def gpu_seconds(self) -> float:
        """The seconds of all GPUs together; 0 for a training on a CPU."""
        is_cpu = self.device in ("", "cpu", "x86_64", "arm64", "aarch64")
        return 0.0 if is_cpu else self.seconds * self.processes


class HistoryPoint(Record, frozen=True):
    """A line of `history.jsonl`."""

    iteration: Count
    loss: float
    learning_rate: NotNegative


class FindingRecord(Record, frozen=True):
    """Something that `health` found wrong."""

    kind: str
    text: str


class HealthOfModel(Record, frozen=True):
    """What `health.json` says of a model; shares from 0 to 1."""

    kept_share: Share | None
    agreement_with_before: Share | None
    agreement_of_branches: Share | None
    confidence: Share
    distance_from_source: Share
    missing_classes: list[str]
    vanished_classes: list[str]
    pseudo_labels: dict[str, Share] | None
    predictions: dict[str, Share]


class HealthRecord(Record, frozen=True):
    """What is read of `health.json`."""

    images: Count
    outcome: Annotated[str, Meta(min_length=1)]
    findings: list[FindingRecord]
    source: dict[str, Share]
    models: dict[str, HealthOfModel]


def last_of_chain(models: Iterable[str]) -> str | None:
    """Return the last of models in their order; the upper bound is no part of the chain."""
    chain = [model for model in models if model != str(UPPER_BOUND)]
    return chain[-1] if chain else None


def read_health(path: Path) -> HealthRecord:
    """Read `health.json`; InputError if it cannot be."""
    return read_record(path, HealthRecord, "the health of a run", "what health wrote")


class OracleClass(Record, frozen=True):
    """How right and how complete the pseudo-labels of a class are."""

    precision: Share | None
    coverage: NotNegative | None


class OracleStep(Record, frozen=True):
    """The same of a step, for all pixels together and for each class."""

    precision: Share | None
    coverage: NotNegative | None
    classes: dict[str, OracleClass]


class OracleRecord(Record, frozen=True):
    """What is read of `oracle.json`."""

    steps: dict[str, OracleStep]


class Job(NamedTuple):
    """A job that has ended: `rule`, what it was about, and what it took.

    `end` is in seconds since 1970, the time of its benchmark file; `memory` in MiB.
    """

    rule: str
    about: str
    seconds: float
    cpu_seconds: float
    memory: float
    end: float

    @property
    def start(self) -> float:
        """When the job began, in seconds since 1970."""
        return self.end - self.seconds


class Chosen(NamedTuple):
    """What a step chose: images drawn and chosen, and the kept share of each class in the chosen ones."""

    drawn: int
    chosen: int
    shares: NDArray[np.float64]
    images_with: NDArray[np.int64]


@dataclass(frozen=True)
class RunRecords:
    """All that the page of a run is made from, but for pictures. `folder` is `results/RUN`.

    `stopped` are the errors that ended jobs which have not succeeded since, by what the jobs were.
    """

    folder: Path
    configuration: Configuration
    space: LabelSpace
    trainings: Mapping[str, TrainingFacts] = field(default_factory=dict)
    histories: Mapping[str, Sequence[HistoryPoint]] = field(default_factory=dict)
    scores: Mapping[str, ModelScores] = field(default_factory=dict)
    confusions: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    health: HealthRecord | None = None
    notes: Sequence[str] = ()
    checks: Mapping[str, CheckReport] = field(default_factory=dict)
    thresholds: Mapping[str, ThresholdTable] = field(default_factory=dict)
    chosen: Mapping[str, Chosen] = field(default_factory=dict)
    oracle: Mapping[str, OracleStep] = field(default_factory=dict)
    jobs: Sequence[Job] = ()
    stopped: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def plan(self) -> RunPlan:
        """What the run consists of."""
        return RunPlan(self.configuration)

    @property
    def planned(self) -> list[str]:
        """The models of the run in the order in which they are made, without the upper bound."""
        return [str(model) for model in self.plan.models if model != UPPER_BOUND]

    @property
    def trained(self) -> list[str]:
        """The models that are there, in that order, and the upper bound at the end if it is."""
        return [model for model in [*self.planned, str(UPPER_BOUND)] if model in self.trainings]

    @property
    def newest(self) -> str | None:
        """The last model of the chain that is there."""
        return last_of_chain(self.trained)

    @property
    def newest_health(self) -> tuple[str, HealthOfModel] | None:
        """The last model of the chain of which the health is known, and its health."""
        models = self.health.models if self.health else {}
        last = last_of_chain(models)
        return (last, models[last]) if last else None

    @property
    def is_finished(self) -> bool:
        """Whether the final model is there and, with a test set, scored."""
        final = str(FINAL)
        return final in self.trainings and (not self.configuration.test or final in self.scores)

    def last_of_stage(self, stage: str) -> str | None:
        """Return the last model of a stage that is there, of two branches the better one."""
        models = [model for model in self.trained if ModelName.parse(model).stage == stage]
        if not models:
            return None
        number = ModelName.parse(models[-1]).number
        last = [model for model in models if ModelName.parse(model).number == number]
        return max(last, key=lambda model: self.scores[model].mean_iou if model in self.scores else 0.0)


def read_run(folder: Path) -> RunRecords:
    """Return what the files of a run say so far.

    Raises InputError if the folder is that of no run, and for a file that is damaged.
    """
    settings = folder / "settings" / f"{WHOLE}.json"
    if not settings.is_file():
        raise InputError(
            f"{folder}: found no {settings.relative_to(folder)}, expected the folder of a run, results/RUN, "
            "in which snakemake has begun its work"
        )
    configuration = read_settings(settings, Configuration)
    space = label_space(configuration.label_space)
    models = [str(model) for model in RunPlan(configuration).known_models]
    trainings = {
        model: read_record(path, TrainingFacts, "the record of a training", "what train wrote")
        for model in models
        if (path := folder / "models" / model / "training.json").is_file()
    }
    scored = {
        model: path
        for model in models
        if configuration.test
        and model in trainings
        and (path := folder / "evaluation" / model / configuration.test / "scores.json").is_file()
    }
    health = folder / "report" / "health.json"
    checked = folder / "data" / "checked.json"
    return RunRecords(
        folder=folder,
        configuration=configuration,
        space=space,
        trainings=trainings,
        histories={
            model: read_history(path)
            for model in trainings
            if (path := folder / "models" / model / "history.jsonl").is_file()
        },
        scores={model: read_scores(path, model) for model, path in scored.items()},
        confusions={
            model: read_confusion(path, space.classes)
            for model, scores in scored.items()
            if (path := scores.with_name("confusion.tsv")).is_file()
        },
        health=read_health(health) if health.is_file() else None,
        notes=read_notes(checked) if checked.is_file() else [],
        checks=dict(_checks(folder, configuration)),
        thresholds={
            name: ThresholdTable.read(path, space)
            for name in (*_steps(configuration), "ensemble/a", "ensemble/b")
            if (path := folder / "pseudo_labels" / name / "thresholds.json").is_file()
        },
        chosen={
            step: read_chosen(path, space)
            for step in _steps(configuration)
            if (path := folder / "pseudo_labels" / step / "scores.tsv").is_file()
        },
        oracle=dict(_oracle(folder, configuration)),
        jobs=read_jobs(folder / "logs"),
    )


def _steps(configuration: Configuration) -> list[str]:
    return [str(step) for step in RunPlan(configuration).steps]


def _checks(folder: Path, configuration: Configuration) -> Iterator[tuple[str, CheckReport]]:
    for name in RunPlan(configuration).datasets:
        for part in ("labelled", "images"):
            path = folder / "data" / name / f"{part}.check.json"
            if path.is_file():
                yield name, read_record(path, CheckReport, "the report of a check", "what check_data wrote")
                break


def _oracle(folder: Path, configuration: Configuration) -> Iterator[tuple[str, OracleStep]]:
    for name in RunPlan(configuration).target_datasets:
        path = folder / "oracle" / name / "oracle.json"
        if path.is_file():
            yield from read_record(
                path, OracleRecord, "an oracle study", "what oracle_study wrote"
            ).steps.items()


def read_history(path: Path) -> list[HistoryPoint]:
    """Return the points of a training's `history.jsonl`; InputError names a line that is none."""
    points = []
    for number, line in enumerate(_lines(path), start=1):
        if not line:
            # A training that ends before its first message has an empty history.
            continue
        try:
            points.append(record_of(json.loads(line), HistoryPoint))
        except (ValueError, NotValidError, RecursionError) as error:
            raise InputError(
                f"{path}:{number}: is no line of a history, expected what train wrote"
            ) from error
    return points


def read_chosen(path: Path, space: LabelSpace) -> Chosen:
    """Return what a `scores.tsv` of pseudo-labels says; InputError for another table."""
    header, *lines = [line.split("\t") for line in _lines(path)] or [[]]
    if not {"chosen", *space.classes} <= {*header}:
        raise InputError(f"{path}:1: lacks columns, expected what label_round or exchange wrote")
    rows = []
    for number, cells in enumerate(lines, start=2):
        row = dict(zip(header, cells, strict=False))
        values = [_number(row.get(name)) for name in space.classes]
        if len(cells) != len(header) or any(value is None or value > 1 for value in values):
            raise InputError(
                f"{path}:{number}: holds no share from 0 to 1 of each class, expected what label_round or "
                "exchange wrote"
            )
        if row["chosen"] == "yes":
            rows.append(values)
    shares = np.array(rows, np.float64).reshape(-1, space.number_of_classes)
    mean = shares.mean(axis=0) if len(shares) else np.zeros(space.number_of_classes)
    return Chosen(len(lines), len(shares), mean, np.count_nonzero(shares, axis=0))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({reason(error)}), expected what a step wrote") from error


def read_jobs(logs: Path) -> list[Job]:
    """Return the jobs that have ended, in that order, from the benchmark files beside the logs.

    A file without the numbers is left out: Snakemake writes none for a job that was too short to measure.
    """
    jobs = []
    for path in sorted(logs.rglob("*.tsv")):
        parts = path.relative_to(logs).with_suffix("").parts
        with open(path, encoding="utf-8", newline="", errors="replace") as file:
            row = next(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE), {})
        if (seconds := _number(row.get("s"))) is not None:
            cpu, memory = (_number(row.get(key)) or 0.0 for key in ("cpu_time", "max_rss"))
            about = "/".join(parts[1:])
            jobs.append(Job(parts[0], about, seconds, cpu, memory, path.stat().st_mtime))
    return sorted(jobs, key=lambda job: job.end)


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if np.isfinite(value) and value >= 0 else None
