"""The page of a run: one HTML file with its styles, programs and charts; only pictures lie beside it."""

import json
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from importlib import resources
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from cotrain.reporting.page.cost import commands, cost, gpu_hours, in_words
from cotrain.reporting.page.data import batches, class_shares, datasets
from cotrain.reporting.page.failures import example_of, matrices, worst_confusions
from cotrain.reporting.page.learning import learning
from cotrain.reporting.page.look import Gallery, Pictures
from cotrain.reporting.page.records import RunRecords
from cotrain.reporting.page.tables import Cell, Grid
from cotrain.reporting.page.verdict import verdict
from cotrain.words import counted

# The folder of the pictures, beside the page.
PICTURES = "page"
WORST_IMAGES = 12


def page(records: RunRecords, galleries: Sequence[Gallery], pictures: Pictures, made: datetime) -> str:
    """Return the page as HTML. All text that comes from data or configuration is escaped."""
    tests = next((gallery for gallery in galleries if gallery.name == "test"), None)
    content = {
        "classes": [
            {"name": name, "colour": f"rgb{tuple(colour)}"}
            for name, colour in zip(records.space.classes, records.space.palette, strict=True)
        ],
        "galleries": [gallery.content() for gallery in galleries],
        "confusions": matrices(records),
        "pictures": PICTURES,
    }
    return template("page.html").render(
        run=records.configuration.run,
        records=records,
        verdict=verdict(records),
        facts=_facts(records),
        galleries=galleries,
        learning=learning(records),
        confusions=_confusions(records, tests),
        worst=_worst(records, tests),
        models=list(content["confusions"]),
        newest_scored=_newest_scored(records),
        datasets=datasets(records, pictures),
        batches=batches(records, pictures),
        shares=class_shares(records),
        cost=cost(records),
        commands=commands(records),
        made=made.strftime("%Y-%m-%d %H:%M"),
        pictures=PICTURES,
        content=as_script(content),
    )


def as_script(content: Any) -> Markup:
    """Return JSON that can stand in an element `script`: nothing in it can end the element."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


@cache
def template(name: str) -> Any:
    """Return a template of this folder; it knows the styles and programs of all pages as `css` and `js`."""
    environment = Environment(
        loader=FunctionLoader(_file),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"css": Markup(_file("page.css")), "js": Markup(_file("page.js"))}
    return environment.get_template(name)


def _file(name: str) -> str:
    return resources.files("cotrain.reporting.page").joinpath(name).read_text(encoding="utf-8")


def _facts(records: RunRecords) -> list[str]:
    """Return what the run is, in a few words each."""
    configuration, plan = records.configuration, records.plan
    facts = [f"{' and '.join(plan.source_datasets)} → {' and '.join(plan.target_datasets)}"]
    facts.append(f"{len(records.space.classes)} classes ({records.space.name})")
    rounds, cycles = configuration.self_training.rounds, configuration.co_training.cycles
    facts.append(f"{counted(rounds, 'round')}, {counted(cycles, 'cycle')}")
    if records.jobs:
        seconds = max(job.end for job in records.jobs) - min(job.start for job in records.jobs)
        facts.append(in_words(seconds))
    if hours := gpu_hours(records):
        facts.append(f"{hours:.1f} GPU hours")
    return facts


def _link(place: str, left: str, right: str) -> str:
    return f"#look=test&image={quote(place.rpartition('/')[2])}&left={quote(left)}&right={quote(right)}"


def _newest_shown(records: RunRecords, tests: Gallery) -> str | None:
    keys = {layer.key for layer in tests.layers}
    return next((model for model in reversed(records.planned) if model in keys), None)


def _newest_scored(records: RunRecords) -> str | None:
    return next((model for model in reversed(records.planned) if model in records.confusions), None)


def _confusions(records: RunRecords, tests: Gallery | None) -> Grid | None:
    """Return the worst confusions of the newest scored model, with links to examples."""
    model = _newest_scored(records)
    if model is None:
        return None
    pairs = worst_confusions(records.confusions[model])
    examples = example_of(pairs, tests.confusions if tests else {})
    classes = records.space.classes
    rows = []
    for pair, example in zip(pairs, examples, strict=True):
        link = ""
        if tests and example and (shown := _newest_shown(records, tests)):
            link = _link(example, "truth", shown)
        rows.append(
            [
                Cell(classes[pair.label]),
                Cell(classes[pair.prediction]),
                Cell.number(100 * pair.share, 1, heat=pair.share),
                Cell("example" if link else "", link=link),
            ]
        )
    header = ["class", "most often taken for", "share of its pixels (%)", ""]
    return Grid(f"Worst confusions of {model}", header, rows)


def _worst(records: RunRecords, tests: Gallery | None) -> list[dict[str, Any]]:
    """Return the test images with the lowest mIoU, with the link to each."""
    if tests is None or (model := _newest_shown(records, tests)) is None:
        return []
    values = tests.values.get(f"mIoU of {model}", [])
    known = [(value, place) for place, value in enumerate(values) if value is not None]
    return [
        {
            "image": tests.images[place],
            "value": f"{100 * value:.1f} %",
            "link": _link(tests.images[place]["place"], "photo", f"{model}.error"),
        }
        for value, place in sorted(known)[:WORST_IMAGES]
    ]
