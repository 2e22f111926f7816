"""The section of a page that shows how the models learnt, as charts and tables."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

from cotrain.configuration.names import BASELINE, BASELINE_B, FINAL, UPPER_BOUND, ModelName
from cotrain.reporting.page.charts import Series, bar_chart, line_chart, small_multiples
from cotrain.reporting.page.records import RunRecords
from cotrain.reporting.page.tables import Cell, Grid
from cotrain.reporting.pictures import chain_positions

# Columns of a table that fits into half of the page.
NARROW = 3
# A chart of more panels would be a page of its own.
MOST_PANELS = 40
# From so many places on, the names of rounds and cycles are short: r3, c1.
MANY_PLACES = 8
SHORT = {"baseline": "base"}
# From so many trainings on, the legend of their losses names only stages.
MANY_MODELS = 8
# Inches of charts that stand beside each other.
TALL = 3.6
# Panels in a row.
MOST_COLUMNS = 7
# Points of a history that are drawn; more are averaged in groups.
MOST_POINTS = 150


class Part(NamedTuple):
    """A part of a section: its title, what it shows in a sentence or two, and a chart or table or both."""

    title: str
    text: str
    chart: str = ""
    table: Grid | None = None
    is_wide: bool = False

    @property
    def is_narrow(self) -> bool:
        """Whether two such parts fit beside each other."""
        if self.table is None:
            return bool(self.chart)
        return not self.chart and not self.is_wide and len(self.table.header) <= NARROW


def learning(records: RunRecords) -> list[Part]:
    """Return the parts of the section, those for which something is there."""
    losses, rates = _histories(records, "loss"), _histories(records, "learning_rate")
    # Parts of about the same height stand beside each other.
    return [
        *_chain(records),
        *_mean_iou(records),
        *losses,
        *_classes(records),
        *([] if records.scores else rates),
        *_thresholds(records),
        *_oracle(records),
        *_kept(records),
        *_agreement(records),
        *_shares(records),
        *_exchanged(records),
        *(rates if records.scores else []),
    ]


def _chain(records: RunRecords) -> Iterator[Part]:
    """Explain the words of all that follows."""
    if not records.trained:
        return
    stages = {ModelName.parse(model).stage for model in records.planned}
    texts = [
        "The source is the labelled images, the target the photos of the camera. The baseline learns from "
        "the source only. A pseudo-label is a label that a model gives to a photo where it is sure."
    ]
    if "self_training" in stages:
        texts.append(
            "In each round of self-training, a model labels photos, and the next model learns from these too."
        )
    if "baseline_b" in stages:
        texts.append("The second baseline, baseline_b, has the network of branch b, which starts from it.")
    if "co_training" in stages:
        texts.append(
            "In each cycle of co-training, two models, the branches a and b, label photos for each other."
        )
    if "final" in stages:
        texts.append(
            "Rounds and cycles count from 0. The final model learns from the labels of both, at each pixel "
            "from that of the surer one."
        )
    yield Part("Words", " ".join(texts))


def place_names(models: Sequence[str]) -> tuple[dict[str, int], dict[float, str]]:
    """Return the place of each model along the chain, and the name of each place."""
    places = dict(zip(models, chain_positions(models), strict=True))
    names: dict[float, str] = {}
    for model, place in places.items():
        if place < 0:
            continue
        name = ModelName.parse(model)
        short = {"self_training": "round", "co_training": "cycle"}.get(name.stage)
        if max(places.values()) < MANY_PLACES:
            names.setdefault(place, f"{short}\n{name.number}" if short else name.stage)
        else:
            names.setdefault(
                place, f"{short[0]}{name.number}" if short else SHORT.get(name.stage, name.stage)
            )
    return places, names


def chain_series(
    records: RunRecords, values: Mapping[str, float | None], markers: bool = True
) -> tuple[list[Series], dict[float, str]]:
    """Return values of models as lines along the chain: one of the chain, one of each branch, the bound."""
    models = [model for model in [*records.planned, str(UPPER_BOUND)] if model in values]
    places, names = place_names(models)

    def line(title: str, chosen: Sequence[str], colour: int) -> list[Series]:
        found = [model for model in chosen if model in values]
        if not found:
            return []
        x = [float(places[model]) for model in found]
        return [Series(title, x, [values[model] for model in found], colour, "o" if markers else "")]

    parsed = {model: ModelName.parse(model) for model in models}
    before = [model for model, name in parsed.items() if name.stage in ("baseline", "self_training")]
    series = line("baseline and self-training", before, 0)
    plan = records.plan
    for branch, colour in (("a", 1), ("b", 2)):
        start = str(plan.branch_start("a" if branch == "a" else "b"))
        if branch == "b" and str(BASELINE_B) in models:
            start = str(BASELINE_B)
        cycles = [model for model, name in parsed.items() if name.branch == branch]
        series += line(f"branch {branch}", [start, *cycles] if cycles else [], colour)
    last = [model for model, name in parsed.items() if name.branch][-2:]
    if str(FINAL) in values:
        series += line("final", [str(FINAL)], 3)
        if last:
            top = max(last, key=lambda model: values[model] or 0.0)
            end = line("", [top, str(FINAL)], 3)[0]
            series[-1] = end._replace(name="final")
    if str(UPPER_BOUND) in values and names:
        x = [min(names), max(names)]
        series.append(Series("upper bound", x, [values[str(UPPER_BOUND)]] * 2, 4, "", dashed=True))
    return series, names


def _mean_iou(records: RunRecords) -> Iterator[Part]:
    if not records.scores:
        return
    values = {model: 100 * score.mean_iou for model, score in records.scores.items()}
    series, names = chain_series(records, values)
    text = (
        "The mean over the classes of intersection over union, on the test images, for each model in the "
        "order in "
        "which they are made. The axis does not begin at 0."
    )
    yield Part(
        "mIoU along the chain",
        text,
        line_chart(series, "mIoU of all models", "mIoU (%)", ticks=names, height=TALL, with_values=True),
    )


def _classes(records: RunRecords) -> Iterator[Part]:
    scores = records.scores
    if not scores:
        return
    models = [model for model in records.trained if model in scores]
    shown = [
        name for name in records.space.classes if any(scores[m].iou.get(name) is not None for m in models)
    ]
    if len(models) >= 2 and len(shown) <= MOST_PANELS:
        panels = {}
        ticks: dict[float, str] = {}
        for name in shown:
            values = {
                model: None if (value := scores[model].iou.get(name)) is None else 100 * value
                for model in models
            }
            panels[name], ticks = chain_series(records, values)
        # Rows of about the same number of panels.
        columns = -(-len(panels) // -(-len(panels) // MOST_COLUMNS))
        chart = small_multiples(panels, "IoU of each class along the chain", ticks, columns)
    else:
        chart = ""
    first, last = scores.get(str(BASELINE)), scores.get(records.newest or "")
    with_gain = first is not None and last is not None and first is not last
    rows = []
    for name in shown:
        row = [Cell(name)]
        if first and last and with_gain:
            a, b = first.iou.get(name), last.iou.get(name)
            row.append(Cell.change(None if a is None or b is None else 100 * (b - a)))
        for model in models:
            value = scores[model].iou.get(name)
            row.append(Cell.number(None if value is None else 100 * value, 1, heat=value))
        rows.append(row)
    header = ["class", *(["gain"] if with_gain else []), *models]
    text = "The IoU of each class in %."
    if chart:
        text += " Each panel has an axis of its own; the lines are those above."
    text += " A click on the title of a column sorts the table by it."
    if with_gain:
        text += " The gain is that of the newest model over the baseline, in points."
    yield Part("Each class", text, chart, Grid("IoU of each class (%)", header, rows))


def _histories(records: RunRecords, what: Literal["loss", "learning_rate"]) -> Iterator[Part]:
    stages = (
        ("baseline", 0),
        ("baseline_b", 2),
        ("self_training", 5),
        ("co_training", 1),
        ("final", 3),
        ("upper_bound", 4),
    )
    series = []
    named: set[str] = set()
    for stage, colour in stages:
        models = [m for m in records.histories if ModelName.parse(m).stage == stage]
        for number, model in enumerate(models):
            points = records.histories[model]
            if not points:
                continue
            x, y = thinned([p.iteration for p in points], [getattr(p, what) for p in points])
            shade = {"self_training": number % 3 + 5, "co_training": 1 + number % 2}.get(stage, colour)
            # The learning rate is the same in all models of a stage.
            if what == "learning_rate" and stage in named:
                continue
            is_short = what == "learning_rate" or len(records.histories) > MANY_MODELS
            name = "" if is_short and stage in named else stage if is_short else model
            named.add(stage)
            # Without a marker, a single point would not be seen.
            marker = "o" if len(x) == 1 else ""
            series.append(Series(name, x, y, shade if not is_short else colour, marker))
    if not series:
        return
    label = what.replace("_", " ")
    title = f"{label.capitalize()} of each training"
    text = (
        "The loss that the training logged, averaged where there are many points. Losses of different stages "
        "are not comparable: they learn from different labels."
        if what == "loss"
        else "One line for each stage."
    )
    yield Part(title, text, line_chart(series, title, label, "iteration", height=TALL))


def thinned(x: Sequence[float], y: Sequence[float]) -> tuple[list[float], list[float | None]]:
    """Return at most `MOST_POINTS` points: the means of groups that follow each other."""
    group = -(-len(x) // MOST_POINTS)
    starts = range(0, len(x), group)
    return (
        [float(np.mean(x[start : start + group])) for start in starts],
        [float(np.mean(y[start : start + group])) for start in starts],
    )


def _thresholds(records: RunRecords) -> Iterator[Part]:
    if not records.thresholds:
        return
    names = list(records.thresholds)
    rows = []
    for train_id, name in enumerate(records.space.classes):
        row = [Cell(name)]
        for table in records.thresholds.values():
            value = float(table.confidences[train_id]) if table.pixels[train_id] else None
            row.append(Cell.number(value, 3, heat=value))
        if any(cell.value is not None for cell in row[1:]):
            rows.append(row)
    text = (
        "The confidence that a pixel must exceed to become a pseudo-label, for each class and labelling. A "
        "dash: no "
        "pixel was predicted as this class."
    )
    yield Part("Thresholds", text, "", Grid("Threshold of each class", ["class", *names], rows))


def _kept(records: RunRecords) -> Iterator[Part]:
    kept = {
        model: 100 * training.images.kept_share
        for model, training in records.trainings.items()
        if training.images.kept_share is not None
    }
    if not kept:
        return
    series, names = chain_series(records, dict(kept))
    text = (
        "The share of the pixels that have a pseudo-label, in the target images that each model learnt from."
    )
    yield Part("Pixels kept", text, line_chart(series, "Pixels kept (%)", "pixels kept (%)", ticks=names))


def _oracle(records: RunRecords) -> Iterator[Part]:
    if not records.oracle:
        return
    steps = list(records.oracle)
    x = [float(place) for place in range(len(steps))]

    def line(title: str, values: Sequence[float | None], colour: int) -> Series:
        return Series(title, x, [None if value is None else 100 * value for value in values], colour)

    chart = line_chart(
        [
            line("precision", [step.precision for step in records.oracle.values()], 0),
            line("coverage", [step.coverage for step in records.oracle.values()], 1),
        ],
        "Precision and coverage of the pseudo-labels",
        "%",
        ticks={
            float(place): name.replace("_training", "").replace("/", " ") for place, name in enumerate(steps)
        },
    )
    rows = []
    for name in records.space.classes:
        row = [Cell(name)]
        for step in records.oracle.values():
            of_class = step.classes.get(name)
            value = of_class.precision if of_class else None
            row.append(Cell.number(None if value is None else 100 * value, 1, heat=value))
        if any(cell.value is not None for cell in row[1:]):
            rows.append(row)
    text = (
        "Compared with the true labels of the target, only for analysis: precision is the share of the "
        "pseudo-labels that is right, coverage the number of pseudo-labels for each labelled pixel. The "
        "table has the precision of each class."
    )
    yield Part("How right the pseudo-labels are", text, chart, Grid("Precision (%)", ["class", *steps], rows))


def _shares(records: RunRecords) -> Iterator[Part]:
    health = records.health
    if health is None or records.newest_health is None:
        return
    last, of_last = records.newest_health
    groups = {"source": health.source}
    if of_last.pseudo_labels:
        groups[f"pseudo-labels of {last}"] = of_last.pseudo_labels
    if str(BASELINE) in health.models and last != str(BASELINE):
        groups["predictions of the baseline"] = health.models[str(BASELINE)].predictions
    groups[f"predictions of {last}"] = of_last.predictions
    shown = [name for name in records.space.classes if any(group.get(name) for group in groups.values())]
    values = {name: [100 * group.get(key, 0.0) for key in shown] for name, group in groups.items()}
    text = (
        "Which share of the pixels each class has in the labels of the source, in the pseudo-labels that "
        "the newest model learnt, and in what the models predict on the sample of the target. A class that "
        "loses its share from top to bottom is being forgotten."
    )
    chart = bar_chart(
        shown, values, "Class shares of source, pseudo-labels and predictions", "share of pixels (%)"
    )
    yield Part("Class shares", text, chart)


def _exchanged(records: RunRecords) -> Iterator[Part]:
    steps = [step for step in records.chosen if ModelName.parse(step).branch]
    if not steps:
        return
    collaboration = records.configuration.co_training.collaboration
    senders = {
        "own": {"a": "a", "b": "b"},
        "exchange": {"a": "b", "b": "a"},
        "both": {"a": "a and b", "b": "a and b"},
    }
    header = ["class"]
    for step in steps:
        model = ModelName.parse(step)
        assert model.branch
        header.append(f"cycle {model.number}: {senders[collaboration][model.branch]} → {model.branch}")
    rows = [
        [Cell("images"), *(Cell.number(records.chosen[step].chosen, 0) for step in steps)],
        [Cell("of drawn"), *(Cell.number(records.chosen[step].drawn, 0) for step in steps)],
    ]
    for train_id, name in enumerate(records.space.classes):
        if any(records.chosen[step].images_with[train_id] for step in steps):
            counts = [int(records.chosen[step].images_with[train_id]) for step in steps]
            rows.append(
                [
                    Cell(name),
                    *(
                        Cell.number(count, 0, heat=count / max(records.chosen[step].chosen, 1))
                        for step, count in zip(steps, counts, strict=True)
                    ),
                ]
            )
    text = (
        "What the branches taught each other: for each cycle and direction the images that were handed on, "
        "and how "
        "many of them have pseudo-labels of each class."
    )
    yield Part("Images exchanged", text, "", Grid("Images exchanged", header, rows))


def _agreement(records: RunRecords) -> Iterator[Part]:
    if records.health is None:
        return
    values = {
        model: 100 * health.agreement_of_branches
        for model, health in records.health.models.items()
        if health.agreement_of_branches is not None and ModelName.parse(model).branch == "a"
    }
    before = {
        model: 100 * health.agreement_with_before
        for model, health in records.health.models.items()
        if health.agreement_with_before is not None
    }
    if before:
        series, names = chain_series(records, before)
        places, _ = place_names([model for model in records.planned if model in before])
        if values:
            x = [float(places[model]) for model in values]
            series.append(Series("both branches of a cycle", x, list(values.values()), 5))
        text = (
            "On the sample of the target: the pixels that a model takes for the same class as the model "
            "before it "
            "and, for the two branches of a cycle, as each other. Branches that agree on nearly everything "
            "can "
            "teach each other little; a model that hardly agrees with the one before has changed a lot."
        )
        chart = line_chart(series, "Agreement of models (%)", "same class (% of pixels)", ticks=names)
        yield Part("Agreement", text, chart)
