"""The report of a run's models: their scores side by side, as text for a terminal and as a Markdown page."""

import textwrap
from collections.abc import Sequence

from cotrain.evaluation.scores import ModelScores
from cotrain.reporting.table import (
    TEXT_WIDTH,
    classes_table,
    classes_text,
    models_table,
    to_markdown,
    to_text,
    transposed,
)


def circumstances(row: ModelScores) -> str:
    """Return one line that says what the scores were measured on."""
    facts = [f"{row.images} images", f"{len(row.iou)} classes"]
    words = {None: "none", True: "yes", False: "no"}
    for key, value in row.protocol.items():
        # A list cannot be looked up in a mapping.
        text = value if isinstance(value, list) else words.get(value, value)
        facts.append(f"{key.replace('_', ' ')}: {text}")
    return ", ".join(facts)


def report_text(rows: Sequence[ModelScores], notes: Sequence[str] = ()) -> str:
    """Return the report for a terminal; `notes` say what a reader of the scores must know of the data."""
    parts = [
        "Scores by model (%; gain in points)",
        circumstances(rows[0]) + "\n",
        to_text(models_table(rows)),
        *(textwrap.fill(f"Note: {note}", TEXT_WIDTH, break_long_words=False) + "\n" for note in notes),
        "IoU by class (%)\n",
        classes_text(rows),
    ]
    return "\n".join(parts)


def report_markdown(rows: Sequence[ModelScores], picture: str, notes: Sequence[str] = ()) -> str:
    """Return the report as a Markdown page that shows the file `picture`; `notes` as in `report_text`."""
    # Markdown pages scroll downwards: classes, which are many, become lines.
    by_class = transposed(classes_table(rows))
    by_class[0][0] = "class"
    return (
        f"# Scores by model (%)\n\nMeasured on {circumstances(rows[0])}.\n\n"
        f"{to_markdown(models_table(rows))}\n"
        + "".join(f"Note: {note}\n\n" for note in notes)
        + f"![mIoU by model]({picture})\n\n## IoU by class (%)\n\n{to_markdown(by_class)}"
    )
