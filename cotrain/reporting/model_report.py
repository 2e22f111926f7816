"""The report of a run's models, as text for a terminal and as a Markdown page.

With a test set it shows their scores side by side, without one what is known without labels.
"""

import textwrap
from collections.abc import Mapping, Sequence

from cotrain.evaluation.scores import ModelScores
from cotrain.reporting.table import (
    TEXT_WIDTH,
    classes_table,
    classes_text,
    models_table,
    to_markdown,
    to_text,
    trainings_table,
    transposed,
)
from cotrain.training.record import TrainingRecord
from cotrain.words import counted

NO_SCORES = "No scores: no test set is given"
HOW_TO_GET_SCORES = (
    "The configuration has no `test`, so nothing says how good these models are. For scores, list some "
    "labelled images of the camera as a further dataset, and name it with the key `test`. The same command "
    "then scores these models; it trains none again."
)
WITHOUT_LABELS = (
    "This is known without labels. It tells how each training went, not which model is best. Target images: "
    "those with pseudo-labels that the model learnt from. Kept pixels: the share of their pixels that has a "
    "pseudo-label. Vanished classes: not predicted near the end of the training, although the labels hold "
    "them."
)


def circumstances(row: ModelScores) -> str:
    """Return one line that says what the scores were measured on."""
    facts = [counted(row.images, "image"), counted(len(row.iou), "class", "classes")]
    words = {None: "none", True: "yes", False: "no"}
    for key, value in row.protocol.items():
        # A list cannot be looked up in a mapping.
        text = value if isinstance(value, list) else words.get(value, value)
        facts.append(f"{key.replace('_', ' ')}: {text}")
    return ", ".join(facts)


def filled(text: str) -> str:
    """Return a paragraph whose lines fit a terminal."""
    return textwrap.fill(text, TEXT_WIDTH, break_long_words=False, break_on_hyphens=False) + "\n"


def report_text(rows: Sequence[ModelScores], notes: Sequence[str] = (), health: str = "") -> str:
    """Return the report for a terminal.

    `notes` say what a reader of the scores must know of the data, `health` how the models do without labels.
    """
    parts = [
        "Scores by model (%; gain in points)",
        circumstances(rows[0]) + "\n",
        to_text(models_table(rows)),
        *(filled(f"Note: {note}") for note in notes),
        "IoU by class (%)\n",
        classes_text(rows),
        *([health] if health else []),
    ]
    return "\n".join(parts)


def report_markdown(
    rows: Sequence[ModelScores], picture: str, notes: Sequence[str] = (), health: str = ""
) -> str:
    """Return the report as a Markdown page that shows the file `picture`; the rest as in `report_text`."""
    # Markdown pages scroll downwards: classes, which are many, become lines.
    by_class = transposed(classes_table(rows))
    by_class[0][0] = "class"
    return (
        f"# Scores by model (%)\n\nMeasured on {circumstances(rows[0])}.\n\n"
        f"{to_markdown(models_table(rows))}\n"
        + "".join(f"Note: {note}\n\n" for note in notes)
        + f"![mIoU by model]({picture})\n\n## IoU by class (%)\n\n{to_markdown(by_class)}"
        + (f"\n{_as_block(health)}\n" if health else "")
    )


def _as_block(health: str) -> str:
    return f"## Health\n\n```text\n{health.rstrip()}\n```"


def unscored_text(
    trainings: Mapping[str, TrainingRecord], notes: Sequence[str] = (), health: str = ""
) -> str:
    """Return the report of models without scores for a terminal; the rest as in `report_text`."""
    vanished = "".join(map(filled, _vanished(trainings)))
    parts = [
        f"{NO_SCORES}\n",
        filled(HOW_TO_GET_SCORES),
        filled(WITHOUT_LABELS),
        to_text(trainings_table(trainings)),
        *([vanished] if vanished else []),
        *(filled(f"Note: {note}") for note in notes),
        *([health] if health else []),
    ]
    return "\n".join(parts)


def unscored_markdown(
    trainings: Mapping[str, TrainingRecord], notes: Sequence[str] = (), health: str = ""
) -> str:
    """Return the report of models without scores as a Markdown page; the rest as in `report_text`."""
    paragraphs = [
        f"# {NO_SCORES}",
        HOW_TO_GET_SCORES,
        WITHOUT_LABELS,
        to_markdown(trainings_table(trainings)).rstrip(),
        *(["\n".join(f"- {line}" for line in vanished)] if (vanished := _vanished(trainings)) else []),
        *(f"Note: {note}" for note in notes),
        *([_as_block(health)] if health else []),
    ]
    return "\n\n".join(paragraphs) + "\n"


def _vanished(trainings: Mapping[str, TrainingRecord]) -> list[str]:
    """Return a line for each model of which classes have vanished."""
    return [
        f"Vanished in {model}: {', '.join(training.vanished_classes)}"
        for model, training in trainings.items()
        if training.vanished_classes
    ]
