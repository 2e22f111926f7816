"""Runs side by side: the mean IoU of each model, and what differs in the settings.

Runs that differ only in their seed are a group, shown as mean ± standard deviation. Scores are in per cent,
differences in points.
"""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from cotrain.configuration.names import BASELINE, UPPER_BOUND
from cotrain.errors import InputError
from cotrain.evaluation.scores import ModelScores
from cotrain.reporting.table import (
    MISSING,
    Table,
    check_comparable,
    percent,
    share_of_gap_closed,
    to_markdown,
    to_text,
)

# What may differ within a group: the seed, and the name under which a run lies.
WITHIN_A_GROUP = ("run", "seed")
NOT_GIVEN = "not given"


@dataclass(frozen=True)
class ComparedRun:
    """A run as its folder holds it.

    Attributes:
        name: shown for it: its folder.
        settings: the whole configuration, as JSON types.
        scores: of its models, in their order; empty without a test set.
        models: names of all its finished models, in their order.
        test_images: id and hash of the label of each test image; empty if they are not known.
        outcome: what its health says of it, "" if there is none.
        findings: kinds of what its health found, in their order.
        seconds: of all its trainings, one after the other; 0 if that is not known.
    """

    name: str
    settings: Mapping[str, Any]
    scores: Mapping[str, ModelScores]
    models: tuple[str, ...] = ()
    test_images: tuple[tuple[str, str], ...] = ()
    outcome: str = ""
    findings: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def seed(self) -> Any:
        """Its seed, None if its settings hold none."""
        return self.settings.get("seed")

    @property
    def health(self) -> str:
        """What its health found, in words; a dash if nothing is known."""
        if not self.outcome:
            return MISSING
        return ", ".join(dict.fromkeys(self.findings)) or "nothing found"


@dataclass(frozen=True)
class Group:
    """Runs that differ only in their seeds, in the order of these."""

    runs: tuple[ComparedRun, ...]

    @property
    def name(self) -> str:
        """What it is called in tables: the name of its only run, or of its first and their number."""
        first = self.runs[0].name
        return first if len(self.runs) == 1 else f"{first} (×{len(self.runs)})"

    def values(self, model: str) -> list[float]:
        """Return the mean IoU of a model in each run that has it, as shares."""
        return [run.scores[model].mean_iou for run in self.runs if model in run.scores]


@dataclass(frozen=True)
class Difference:
    """How much a model of the second group scores above that of the first, seed by seed.

    `seeds` are those that both have, `values` the differences for them in points, `mean` their mean, and
    `deviation` their standard deviation (None for one seed).
    """

    first: str
    second: str
    model: str
    seeds: tuple[Any, ...]
    values: tuple[float, ...]
    mean: float = field(init=False)
    deviation: float | None = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", statistics.fmean(self.values))
        object.__setattr__(self, "deviation", deviation(self.values))


def deviation(values: Sequence[float]) -> float | None:
    """Return the standard deviation of a sample (divided by n - 1); None for fewer than two values."""
    return statistics.stdev(values) if len(values) > 1 else None


def flattened(settings: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Return nested settings by dotted keys: {"a": {"b": 1}} gives {"a.b": 1}; empty sections are values."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        place = f"{path}.{key}" if path else key
        if isinstance(value, Mapping) and value:
            flat |= flattened(value, place)
        else:
            flat[place] = value
    return flat


def grouped(runs: Sequence[ComparedRun]) -> list[Group]:
    """Return the groups of runs whose settings differ in nothing but run and seed, in the order of `runs`.

    Raises InputError if two runs of a group have the same seed: they are one run, given twice.
    """
    groups: list[tuple[dict[str, Any], list[ComparedRun]]] = []
    for run in runs:
        rest = {key: value for key, value in run.settings.items() if key not in WITHIN_A_GROUP}
        members = next((members for settings, members in groups if settings == rest), None)
        if members is None:
            groups.append((rest, [run]))
            continue
        same = [other for other in members if other.seed == run.seed]
        if same:
            raise InputError(
                f"{same[0].name} and {run.name} have the same settings and the seed {run.seed}: they are one "
                "run, given twice; expected other seeds or other settings"
            )
        members.append(run)
    return [
        Group(tuple(sorted(members, key=lambda run: run.seed if isinstance(run.seed, int) else -1)))
        for _, members in groups
    ]


def check_runs(runs: Sequence[ComparedRun]) -> None:
    """Raise InputError if runs were scored on other classes, images or labels, or by other protocols."""
    check_comparable(
        [
            ModelScores(**{**vars(score), "model": f"{run.name}: {model}"})
            for run in runs
            for model, score in run.scores.items()
        ]
    )
    known = [run for run in runs if run.scores and run.test_images]
    for run in known[1:]:
        differing = sorted(set(known[0].test_images) ^ set(run.test_images))
        if differing:
            raise InputError(
                f"the scores of {known[0].name} and {run.name} cannot be compared: their test sets differ, "
                f"first in the image {differing[0][0]!r}, or in its label; expected the same test images and "
                "labels"
            )


def differing_settings(groups: Sequence[Group]) -> dict[str, tuple[str, ...]]:
    """Return the dotted keys whose values differ between groups, with the value in each group."""
    flat = [flattened(group.runs[0].settings) for group in groups]
    keys = dict.fromkeys(key for settings in flat for key in settings)
    found = {}
    for key in keys:
        if key in WITHIN_A_GROUP:
            continue
        values = tuple(in_words(settings[key]) if key in settings else NOT_GIVEN for settings in flat)
        if len(set(values)) > 1:
            found[key] = values
    return found


def in_words(value: Any) -> str:
    """Return a value as YAML would have it, in one line."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{', '.join(map(in_words, value))}]"
    return str(value) if value != {} else "{}"


def all_models(runs: Iterable[ComparedRun]) -> list[str]:
    """Return the names of all models, in the order of the first run that has each, the final one last."""
    names = dict.fromkeys(model for run in runs for model in (*run.scores, *run.models))
    last = [name for name in ("final", "upper_bound") if name in names]
    return [*(name for name in names if name not in last), *last]


def scores_table(groups: Sequence[Group]) -> Table:
    """Return the mean IoU in per cent: a header of groups and a line for each model.

    A group of several runs shows mean ± standard deviation; a model that only some of them have also shows of
    how many.
    """
    table: Table = [["mIoU (%)", *(group.name for group in groups)]]
    for model in all_models(run for group in groups for run in group.runs):
        table.append([model, *(_cell(group, model) for group in groups)])
    return table


def gaps_table(groups: Sequence[Group]) -> Table:
    """Return the share of the gap between baseline and upper bound that each model closes, in per cent.

    It is computed for each run, and shown as in `scores_table`; models of runs without both are left out.
    """
    table: Table = [["gap closed (%)", *(group.name for group in groups)]]
    for model in all_models(run for group in groups for run in group.runs):
        if model in (str(BASELINE), str(UPPER_BOUND)):
            continue
        gaps = [_gaps(group, model) for group in groups]
        if any(gaps):
            table.append(
                [model, *(_spread(of, len(group.runs)) for of, group in zip(gaps, groups, strict=True))]
            )
    return table


def _gaps(group: Group, model: str) -> list[float]:
    ends = str(BASELINE), str(UPPER_BOUND)
    runs = [run.scores for run in group.runs if {model, *ends} <= run.scores.keys()]
    found = [share_of_gap_closed(*(scores[name].mean_iou for name in (model, *ends))) for scores in runs]
    return [share for share in found if share is not None]


def _cell(group: Group, model: str) -> str:
    return _spread(group.values(model), len(group.runs))


def _spread(values: Sequence[float], runs: int) -> str:
    """Return the mean of shares in per cent, with the deviation, and of how many runs if not of all."""
    if not values:
        return MISSING
    spread = deviation(values)
    text = percent(statistics.fmean(values))
    if spread is not None:
        text += f" ± {percent(spread)}"
    return text if len(values) == runs else f"{text} (of {len(values)})"


def differences(groups: Sequence[Group]) -> list[Difference]:
    """Return the paired differences of every two groups, for each model, over the seeds that both have.

    Models that no seed of both has are left out. Runs without a seed in their settings are no pairs.
    """
    found = []
    models = all_models(run for group in groups for run in group.runs)
    for first, second in combinations(groups, 2):
        theirs = {run.seed: run for run in second.runs}
        for model in models:
            pairs = [
                (run.seed, 100 * (theirs[run.seed].scores[model].mean_iou - run.scores[model].mean_iou))
                for run in first.runs
                if run.seed is not None and run.seed in theirs
                if model in run.scores and model in theirs[run.seed].scores
            ]
            if pairs:
                seeds, values = zip(*pairs, strict=True)
                found.append(Difference(first.name, second.name, model, seeds, values))
    return found


def differences_table(found: Sequence[Difference]) -> Table:
    """Return the paired differences: a line for each two groups and model, all in points."""
    table: Table = [["difference", "model", "mean", "deviation", "seeds", "above 0", "seed by seed"]]
    for row in found:
        table.append(
            [
                f"{row.second} - {row.first}",
                row.model,
                f"{row.mean:+.2f}",
                MISSING if row.deviation is None else f"{row.deviation:.2f}",
                str(len(row.seeds)),
                f"{sum(value > 0 for value in row.values)} of {len(row.values)}",
                ", ".join(f"{seed}: {value:+.2f}" for seed, value in zip(row.seeds, row.values, strict=True)),
            ]
        )
    return table


def settings_table(groups: Sequence[Group]) -> Table:
    """Return the settings that differ: a header of groups and a line for each dotted key."""
    rows = [[key, *values] for key, values in differing_settings(groups).items()]
    return [["key", *(group.name for group in groups)], *rows]


def runs_table(groups: Sequence[Group]) -> Table:
    """Return a line for each run: its group, seed, number of models, and what its health found."""
    table: Table = [["run", "group", "seed", "models", "trainings (min)", "health"]]
    for group in groups:
        for run in group.runs:
            table.append(
                [
                    run.name,
                    group.name,
                    MISSING if run.seed is None else str(run.seed),
                    str(len(all_models([run]))),
                    f"{run.seconds / 60:.1f}" if run.seconds else MISSING,
                    run.health,
                ]
            )
    return table


def sections(groups: Sequence[Group]) -> dict[str, Table]:
    """Return the tables of a comparison by their titles; those with nothing to show are left out."""
    has_scores = any(run.scores for group in groups for run in group.runs)
    tables = {"Runs": runs_table(groups)}
    if has_scores:
        tables["Scores"] = scores_table(groups)
        tables["Share of the gap between baseline and upper bound"] = gaps_table(groups)
        tables["Paired differences (points of mIoU, seed by seed)"] = differences_table(differences(groups))
    tables["Settings that differ"] = settings_table(groups)
    return {title: table for title, table in tables.items() if len(table) > 1}


def comparison_text(groups: Sequence[Group]) -> str:
    """Return all tables as text."""
    return "\n".join(f"{title}\n\n{to_text(table)}" for title, table in sections(groups).items())


def comparison_markdown(groups: Sequence[Group]) -> str:
    """Return all tables as Markdown."""
    parts = [f"## {title}\n\n{to_markdown(table)}" for title, table in sections(groups).items()]
    return "\n".join(["# Comparison of runs\n", *parts])
