"""How far a run is, by the files that lie on disk: what is done, at work and next, and when it ends.

Without Snakemake: what it would make again because settings or inputs have changed, only it knows.
"""

import os
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from cotrain.configuration.names import BRANCHES, FINAL, ModelName
from cotrain.configuration.run_plan import RunPlan
from cotrain.progress import duration
from cotrain.reporting.time_left import Cost, seconds_left

LOCKS = Path("/proc/locks")
DATA, REPORT = "data", "report"
# Of stages that are shown in one line.
SHOWN = 6
# Letters of the last message of a job.
LONGEST_MESSAGE = 160


class Piece(NamedTuple):
    """A file of a run, and what it costs to make it, with all that it needs for itself alone.

    `stage` is `data`, the name of a model, or `report`. `model` is the model whose training makes the file.
    `path` is relative to the folder of the run.
    """

    stage: str
    path: str
    costs: tuple[Cost, ...]
    model: ModelName | None = None


class Noted(NamedTuple):
    """What a training has noted of itself: iteration, seconds an iteration, and how old the note is (s)."""

    iteration: int
    seconds_an_iteration: float
    age: float


class Begun(NamedTuple):
    """A job that has begun and has not succeeded: its log, relative to `logs`, and the last message in it."""

    log: str
    message: str


@dataclass(frozen=True)
class RunStatus:
    """What is known of a run.

    Attributes:
        name: its name.
        pieces: all of them, in their order.
        missing: the paths of those that are not there.
        iterations: of each model's training.
        noted: what unfinished trainings have noted.
        begun: jobs that have begun and not succeeded, in the order of their logs.
        at_work: whether a snakemake works on the run on this machine; None if that cannot be seen here.
        speeds: seconds a unit of each kind of job, as `Speeds` has them.
    """

    name: str
    pieces: Sequence[Piece]
    missing: frozenset[str]
    iterations: Mapping[ModelName, int]
    noted: Mapping[ModelName, Noted]
    begun: Sequence[Begun]
    at_work: bool | None
    speeds: Mapping[str, float]

    @property
    def stages(self) -> dict[str, list[Piece]]:
        """The pieces of each stage, in their order."""
        stages: dict[str, list[Piece]] = {}
        for piece in self.pieces:
            stages.setdefault(piece.stage, []).append(piece)
        return stages

    def is_done(self, pieces: Iterable[Piece]) -> bool:
        """Whether all files of these pieces are there."""
        return not any(piece.path in self.missing for piece in pieces)

    @property
    def seconds_left(self) -> float | None:
        """How long the rest takes, one job after the other; None before the speed of a training is known."""
        return seconds_left((cost for piece in self.pieces for cost in self._left(piece)), self.speeds)

    def _left(self, piece: Piece) -> Iterable[Cost]:
        if piece.path not in self.missing:
            return ()
        noted = self.noted.get(piece.model) if piece.model else None
        if noted is None:
            return piece.costs
        return (
            cost._replace(
                amount=max(0, cost.amount - noted.iteration), seconds=noted.seconds_an_iteration or None
            )
            for cost in piece.costs
        )


def pieces_of(plan: RunPlan) -> list[Piece]:
    """Return the files that a whole run leaves, in the order in which they are made."""
    configuration = plan.configuration
    shards = configuration.prediction.shards

    def jobs(*kinds: str) -> tuple[Cost, ...]:
        return tuple(Cost(kind, 1) for kind in kinds)

    predictions = tuple(Cost("predict", 1) for _ in range(shards))
    pieces = []
    for dataset in plan.target_datasets:
        pieces.append(Piece(DATA, f"data/{dataset}/images.check.json", jobs("make_manifest", "check_data")))
    for dataset in plan.labelled_datasets:
        is_rendered = configuration.datasets[dataset].layout == "streets"
        rendering = jobs("render_scenes") if is_rendered else ()
        checks = (*rendering, *jobs("make_manifest", "check_data"))
        pieces.append(Piece(DATA, f"data/{dataset}/labelled.check.json", checks))
        pieces.append(Piece(DATA, f"data/{dataset}/train_ids.tsv", jobs("convert_labels")))
    pieces.append(Piece(DATA, "data/networks.json", jobs("check_networks")))
    pieces.append(Piece(DATA, "data/checked.json", jobs("collect_checks")))
    if configuration.translation.method != "none":
        for dataset in plan.source_datasets:
            pieces.append(Piece(DATA, f"translated/{dataset}/manifest.tsv", jobs("translate")))
    pieces.append(Piece(DATA, "sample/images.tsv", jobs("sample")))

    for model in plan.models:
        pseudo_labels = f"pseudo_labels/{model}"
        if model in plan.steps:
            # The job of branch a exchanges for both.
            joined = () if model.branch == "b" else jobs("exchange" if model.branch else "label_round")
            labelling = (*jobs("choose_subset"), *predictions, *jobs("thresholds"), *joined)
            pieces.append(Piece(str(model), f"{pseudo_labels}/selected.tsv", labelling))
            pieces.append(Piece(str(model), f"{pseudo_labels}/accumulated.tsv", jobs("accumulate")))
        elif model == FINAL:
            labelling = jobs("join_ensemble")
            if configuration.final.labels == "ensemble":
                of_branches = (*predictions, *jobs("thresholds")) * len(BRANCHES)
                labelling = (*of_branches, *jobs("ensemble_labels") * shards, *labelling)
            pieces.append(Piece(str(model), "pseudo_labels/ensemble/manifest.tsv", labelling))
        training = Cost("train b" if plan.has_own_network(model) else "train", iterations_of(plan, model))
        pieces.append(Piece(str(model), f"models/{model}/weights.safetensors", (training,), model))
        if configuration.prediction.calibration_images:
            pieces.append(Piece(str(model), f"models/{model}/temperature.json", jobs("calibrate")))
        if model in plan.steps and plan.is_relabelled(model):
            relabelling = (*predictions, *jobs("thresholds", "relabel"))
            pieces.append(Piece(str(model), f"{pseudo_labels}/relabelled/manifest.tsv", relabelling))
        pieces.append(Piece(str(model), f"sample/{model}.h5", jobs("predict_sample")))
        if configuration.test:
            scoring = (*(predictions if shards > 1 else ()), *jobs("evaluate"))
            path = f"evaluation/{model}/{configuration.test}/scores.json"
            pieces.append(Piece(str(model), path, scoring))
        pieces.append(Piece(str(model), f"models/{model}/README.md", jobs("model_card")))
    for path, rule in (
        *(("report/health.txt", "health"), ("report/photos.jpg", "photo_sheet")),
        ("report/models.txt", "report"),
    ):
        pieces.append(Piece(REPORT, path, jobs(rule)))
    return pieces


def iterations_of(plan: RunPlan, model: ModelName) -> int:
    """Return how many iterations the training of a model has."""
    return plan.training_settings(plan.settings_name(model)).iterations


def is_held(file: Path, locks: str) -> bool:
    """Return whether a process holds a lock on a file, as the content of /proc/locks says.

    To try the lock would hold it for a moment, and a run that starts then would be refused. A file is known
    by its number on its disk: not all file systems show the number of their disk there.
    """
    try:
        number = file.stat().st_ino
    except OSError:
        return False
    found = re.findall(r"^\d+: FLOCK .* [0-9a-f]+:[0-9a-f]+:(\d+) \d+ \w+$", locks, re.MULTILINE)
    return str(number) in found


def status_text(status: RunStatus, now: float) -> str:
    """Return how far a run is, in a few lines; `now` is the time in seconds since 1970."""
    stages = status.stages
    finished = [name for name, pieces in stages.items() if status.is_done(pieces)]
    models = [piece for piece in status.pieces if piece.model]
    trained = sum(piece.path not in status.missing for piece in models)
    is_finished = len(finished) == len(stages)
    done = len(status.pieces) - len(status.missing)
    rows = [
        ("run", f"{status.name}: {_state(status, is_finished)}"),
        ("done", f"{trained} of {len(models)} models, {done} of {len(status.pieces)} files"),
        ("complete", _listed(finished) or "nothing yet"),
    ]
    if not is_finished:
        rows += [("training", _training(status, model)) for model in status.noted]
        # Of a training, its own note says more.
        logs_of_noted = {f"train/{model}" for model in status.noted}
        kind = "running" if status.at_work else "begun" if status.at_work is None else "stopped in"
        rows += [
            (kind, f"{job.log}: {_cut(job.message)}" if job.message else job.log)
            for job in status.begun
            if job.log not in logs_of_noted or status.at_work is False
        ]
        at_work = {str(model) for model in status.noted}
        if waiting := [name for name in stages if name not in finished and name not in at_work]:
            rows.append(("next", _listed(waiting)))
        rows.append(("left", _left(status, now)))
    rows += [("note", note) for note in _unknown(status, is_finished)]
    width = max(len(name) for name, _ in rows) + 2
    return "".join(f"{name:{width}}{text}\n" for name, text in rows)


def _state(status: RunStatus, is_finished: bool) -> str:
    if status.at_work:
        return "a snakemake is at work on it on this machine"
    if is_finished:
        return "finished"
    if status.at_work is None:
        return "not finished; whether a snakemake is at work on it cannot be seen on this machine"
    return "not finished, and no snakemake is at work on it here; the same snakemake command goes on"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _cut(message: str) -> str:
    return f"{message[:LONGEST_MESSAGE]}…" if len(message) > LONGEST_MESSAGE else message


def _training(status: RunStatus, model: ModelName) -> str:
    noted, iterations = status.noted[model], status.iterations[model]
    left = duration(max(0, iterations - noted.iteration) * noted.seconds_an_iteration)
    return (
        f"{model}: iteration {noted.iteration} of {iterations} "
        f"({100 * noted.iteration / max(1, iterations):.0f} %), {left} left; noted {duration(noted.age)} ago"
    )


def _left(status: RunStatus, now: float) -> str:
    seconds = status.seconds_left
    if seconds is None:
        return (
            "not known before a training has noted its speed; `snakemake estimate` measures how long a whole "
            "run takes"
        )
    text = f"about {duration(seconds)}, one job after the other"
    if status.at_work:
        end = time.localtime(now + seconds)
        is_today = end[:3] == time.localtime(now)[:3]
        return f"{text}; ends at about {time.strftime('%H:%M' if is_today else '%d %b, %H:%M', end)}"
    return text


def _unknown(status: RunStatus, is_finished: bool) -> Iterable[str]:
    yield (
        "a file that is there counts as done; what would be made again after changes, "
        "`snakemake --dry-run` says"
    )
    if not is_finished:
        yield "counted is a whole run; a named target, such as `snakemake baseline`, makes only a part"
    if status.at_work is False and not is_finished:
        yield (
            "a snakemake on another machine, or in another container, is not seen; its trainings note how "
            "far they are"
        )


def read_locks() -> str | None:
    """Return the content of /proc/locks, None where there is none (macOS)."""
    try:
        return LOCKS.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def age_of(path: Path, now: float) -> float:
    """Return how many seconds ago a file was written; 0 for one from the future of another clock."""
    return max(0.0, now - os.stat(path).st_mtime)
