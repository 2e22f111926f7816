"""The page of a comparison: which runs are better, by how much, in which classes, and what differs."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from cotrain.configuration.names import UPPER_BOUND
from cotrain.reporting.comparison import (
    Difference,
    Group,
    all_models,
    deviation,
    differences,
    differing_settings,
    gaps_table,
    scores_table,
)
from cotrain.reporting.page.charts import Series, line_chart
from cotrain.reporting.page.cost import in_words
from cotrain.reporting.page.learning import Part, place_names
from cotrain.reporting.page.render import template
from cotrain.reporting.page.tables import SMALL, Cell, Grid
from cotrain.reporting.page.verdict import Note, Number, Verdict
from cotrain.reporting.table import MISSING, Table
from cotrain.words import counted

MOST_NUMBERS = 4
MOST_LINES = 8


def compared_page(groups: Sequence[Group], pages: Mapping[str, str], made: datetime) -> str:
    """Return the page as HTML. All text that comes from data or configuration is escaped.

    `pages` says where the page of a run lies, as a link from this page; runs without a page are missing.
    """
    return template("compared.html").render(
        verdict=verdict(groups),
        facts=_facts(groups),
        scores=list(_scores(groups)),
        settings=[_settings(groups)],
        runs=[_runs(groups, pages)],
        made=made.strftime("%Y-%m-%d %H:%M"),
    )


def compared_model(groups: Sequence[Group]) -> str | None:
    """Return the model by which groups are compared: the last one that all have, `final` if it is there."""
    models = [
        model
        for model in all_models(run for group in groups for run in group.runs)
        if model != str(UPPER_BOUND) and all(group.values(model) for group in groups)
    ]
    return models[-1] if models else None


def verdict(groups: Sequence[Group]) -> Verdict:
    """Return what a reader sees first: the best group by the compared model, and how sure that is."""
    model = compared_model(groups)
    if model is None:
        return Verdict("neutral", "No scores", "No model is scored in all runs.", [], [])
    means = {group.name: 100 * statistics.fmean(group.values(model)) for group in groups}
    numbers = [_number(group, model) for group in groups[:MOST_NUMBERS]]
    if len(groups) == 1:
        values = groups[0].values(model)
        spread = deviation(values)
        text = f"{model}: {means[groups[0].name]:.1f} % mIoU on average"
        text += "" if spread is None else f", with a standard deviation of {100 * spread:.1f} points"
        return Verdict("neutral", f"{len(values)} seeds of one configuration", f"{text}.", numbers, [])
    best = max(groups, key=lambda group: means[group.name])
    pairs = [
        pair for pair in differences(groups) if pair.model == model and best.name in (pair.first, pair.second)
    ]
    gains = [_seen_from(best.name, pair) for pair in pairs]
    notes = []
    if any(len(values) < 2 for _, values in gains) or not gains:
        notes.append(
            Note("warn", "One seed says little: another seed alone changes scores by half a point or more.")
        )
    if len(gains) < len(groups) - 1:
        notes.append(Note("warn", "Some runs have no seed in common, so their difference is not paired."))
    is_sure = len(gains) == len(groups) - 1 and all(_is_clear(values) for _, values in gains)
    parts = [_in_words(other, values) for other, values in gains]
    sentence = f"{model}: {best.name} has {means[best.name]:.1f} % mIoU" + (
        f", {'; '.join(parts)}." if parts else ", the most of all."
    )
    word = f"{best.name} is better" if is_sure else "No clear difference"
    return Verdict("good" if is_sure else "neutral", word, sentence, numbers, notes)


def _seen_from(best: str, pair: Difference) -> tuple[str, tuple[float, ...]]:
    """Return the other group of a pair and how much the best is above it, seed by seed."""
    if pair.second == best:
        return pair.first, pair.values
    return pair.second, tuple(-value for value in pair.values)


def _is_clear(values: Sequence[float]) -> bool:
    """Whether differences of several seeds all point the same way, and by more than a seed changes."""
    return len(values) > 1 and min(values) > 0 and statistics.fmean(values) > SMALL


def _in_words(other: str, values: Sequence[float]) -> str:
    mean, spread = statistics.fmean(values), deviation(values)
    amount = f"{abs(mean):.1f}" + ("" if spread is None else f" ± {spread:.1f}")
    side = "above" if mean >= 0 else "below"
    clear = sum(value > 0 for value in values)
    where = f"above it in {clear} of {len(values)} seeds" if len(values) > 1 else "one seed"
    return f"{amount} points {side} {other} ({where})"


def _number(group: Group, model: str) -> Number:
    values = group.values(model)
    spread = deviation(values)
    note = f"{model}, {counted(len(values), 'seed')}"
    note += "" if spread is None else f", ± {100 * spread:.1f}"
    return Number(group.name, f"{100 * statistics.fmean(values):.1f} %", note)


def _facts(groups: Sequence[Group]) -> list[str]:
    runs = sum(len(group.runs) for group in groups)
    return [counted(runs, "run"), counted(len(groups), "configuration")]


def _scores(groups: Sequence[Group]) -> Iterator[Part]:
    if not any(run.scores for group in groups for run in group.runs):
        return
    yield _chain(groups)
    found = differences(groups)
    model = compared_model(groups)
    if of_model := [pair for pair in found if pair.model == model]:
        text = (
            "Seed by seed, in points of mIoU, so that what a seed changes in both does not count. A positive "
            "number means that the configuration before the minus sign is better."
        )
        yield Part(f"Paired differences of {model}", text, "", _differences(of_model))
    if others := [pair for pair in found if pair.model != model]:
        yield Part("Paired differences of the other models", "", "", _differences(others))
    gaps = gaps_table(groups)
    if len(gaps) > 1:
        text = (
            "How much of the way from the baseline to the upper bound each model has gone, in per cent. The "
            "upper bound is trained with the target's own labels."
        )
        yield Part("Share of the gap", text, "", _grid("Share of the gap", gaps), is_wide=True)
    text = "The mean over the seeds, with the standard deviation, in per cent."
    yield Part(
        "mIoU of all models", text, "", _grid("mIoU of all models", scores_table(groups)), is_wide=True
    )
    yield from _classes(groups)


def _chain(groups: Sequence[Group]) -> Part:
    """Return the chart of mIoU along the chain: a line for each group, of the mean over its seeds."""
    models = all_models(run for group in groups for run in group.runs)
    places, names = place_names(models)
    series = []
    for number, group in enumerate(groups[:MOST_LINES]):
        at: dict[int, list[float]] = {}
        for model in models:
            if places[model] >= 0 and (values := group.values(model)):
                at.setdefault(places[model], []).extend(100 * value for value in values)
        x = sorted(at)
        means = [statistics.fmean(at[place]) for place in x]
        series.append(Series(group.name, [float(place) for place in x], means, number))
    text = "The mean over the seeds, and over the branches of a cycle. The axis does not begin at 0."
    chart = line_chart(series, "mIoU of all runs", "mIoU (%)", ticks=names)
    return Part("mIoU along the chain", text, chart)


def _differences(found: Sequence[Difference]) -> Grid:
    rows = [
        [
            Cell(f"{pair.second} − {pair.first}"),
            Cell(pair.model),
            Cell.change(pair.mean),
            Cell.number(pair.deviation, 1),
            Cell(f"{sum(value > 0 for value in pair.values)} of {len(pair.values)}"),
            Cell(
                ", ".join(
                    f"{seed}: {value:+.1f}" for seed, value in zip(pair.seeds, pair.values, strict=True)
                )
            ),
        ]
        for pair in found
    ]
    header = ["difference", "model", "mean", "deviation", "seeds above 0", "seed by seed"]
    return Grid("Paired differences", header, rows)


def _classes(groups: Sequence[Group]) -> Iterator[Part]:
    """Yield the table of the IoU of each class, by the compared model."""
    model = compared_model(groups)
    if model is None:
        return
    first = next(run for run in groups[0].runs if model in run.scores)
    rows = []
    for name in first.scores[model].iou:
        means = [_mean_iou(group, model, name) for group in groups]
        cells = [Cell(name)]
        for place, value in enumerate(means):
            cells.append(Cell.number(value, 1, heat=None if value is None else value / 100))
            if place:
                base = means[0]
                cells.append(Cell.change(None if value is None or base is None else value - base))
        rows.append(cells)
    header = ["class", groups[0].name]
    for group in groups[1:]:
        header += [group.name, "change"]
    text = f"The IoU of each class by {model}, in per cent, the mean over the seeds."
    text += f" Changes are against {groups[0].name}." if len(groups) > 1 else ""
    yield Part("Classes", text, "", Grid("Classes", header, rows), is_wide=True)


def _mean_iou(group: Group, model: str, name: str) -> float | None:
    values = [run.scores[model].iou.get(name) for run in group.runs if model in run.scores]
    known = [100 * value for value in values if value is not None]
    return statistics.fmean(known) if known else None


def _settings(groups: Sequence[Group]) -> Part:
    differing = differing_settings(groups)
    if not differing:
        return Part("Settings", "Nothing differs but the seed." if len(groups) == 1 else "Nothing differs.")
    rows = [[Cell(key), *map(Cell, values)] for key, values in differing.items()]
    grid = Grid("Settings that differ", ["key", *(group.name for group in groups)], rows)
    return Part("Settings that differ", "All other keys are the same.", "", grid, is_wide=True)


def _runs(groups: Sequence[Group], pages: Mapping[str, str]) -> Part:
    rows = []
    for group in groups:
        for run in group.runs:
            rows.append(
                [
                    Cell(run.name),
                    Cell(group.name),
                    Cell(MISSING if run.seed is None else str(run.seed)),
                    Cell(in_words(run.seconds) if run.seconds else MISSING, run.seconds or None),
                    Cell(run.health),
                    Cell("page" if run.name in pages else "", link=pages.get(run.name, "")),
                ]
            )
    header = ["run", "configuration", "seed", "trainings", "health", ""]
    text = "Trainings: their time, one after the other. Health: what each run found, with or without labels."
    return Part("Runs", text, "", Grid("Runs", header, rows), is_wide=True)


def _grid(caption: str, table: Table) -> Grid:
    """Return a table of the text report as one of the page, sorted by the first number of a cell."""
    header, *rows = table
    return Grid(caption, ["model", *header[1:]], [[Cell(row[0]), *map(_sorted, row[1:])] for row in rows])


def _sorted(text: str) -> Cell:
    return Cell(text) if text == MISSING else Cell(text, float(text.split()[0]))
