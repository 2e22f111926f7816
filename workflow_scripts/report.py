"""Put the models of a run side by side: a table on the terminal, the same in files, a picture.

Models are shown in the order in which they are given. Gains are differences from the model called `baseline`.
If a model is called `upper_bound`, the report also shows how much of the gap to it is closed. Below the table
stand the notes that collect_checks wrote about the data, and at the end what health has found. OUTPUT gets
models.tsv, classes.tsv, models.md, models.txt and models.png.

Models that were not scored are shown with --trainings in place of --scores. OUTPUT then gets only models.tsv,
models.md and models.txt, which say what is known without labels.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from cotrain.data.files import write_text
from cotrain.errors import InputError, reason
from cotrain.evaluation.scores import ModelScores, read_scores
from cotrain.reporting.model_report import report_markdown, report_text, unscored_markdown, unscored_text
from cotrain.reporting.notes import read_notes
from cotrain.reporting.pictures import mean_iou_picture
from cotrain.reporting.table import (
    check_comparable,
    classes_table,
    models_table,
    to_tsv,
    trainings_table,
)
from cotrain.training.record import read_training_record
from workflow_scripts.command_line import add_output_argument, named_paths, new_parser, parse, run

EXAMPLE = """python -m workflow_scripts.report --output by_hand/report \\
    --trainings baseline=results/demo/models/baseline/training.json
  python -m workflow_scripts.report --output by_hand/report \\
    --scores baseline=results/demo/evaluation/baseline/camera_test/scores.json \\
    final=results/demo/evaluation/final/camera_test/scores.json --checked results/demo/data/checked.json"""

PICTURE = "models.png"
# What only a report of scores has.
OF_SCORES = (PICTURE, "classes.tsv")


def read_all(arguments: Sequence[str]) -> list[ModelScores]:
    """Read `MODEL=PATH` arguments, in their order."""
    paths = named_paths("--scores", "MODEL=PATH, e.g. baseline=scores.json", arguments)
    models = [read_scores(path, model) for model, path in paths.items()]
    check_comparable(models)
    return models


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    models = parser.add_mutually_exclusive_group(required=True)
    models.add_argument("--scores", nargs="+", metavar="MODEL=PATH", help="models and their scores")
    models.add_argument(
        "--trainings", nargs="+", metavar="MODEL=PATH", help="models without scores, and their training.json"
    )
    parser.add_argument(
        "--checked", type=Path, metavar="FILE", help="checked.json of the run, with its notes"
    )
    parser.add_argument("--health", type=Path, metavar="FILE", help="health.txt of the run")
    add_output_argument(parser, "FOLDER", "folder of the report")
    options = parse(parser, arguments)

    notes = read_notes(options.checked) if options.checked else []
    health = read_health(options.health) if options.health else ""
    write = write_scored if options.scores else write_unscored
    text = write(options.output, options.scores or options.trainings, notes, health)
    made = "Tables and picture" if options.scores else "Tables"
    sys.stdout.write(f"\n{text}\n{made}: {options.output}\n")


def read_health(path: Path) -> str:
    """Return the text that the step health wrote."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: cannot be read as the health of a run ({reason(error)}), expected what health wrote"
        ) from error


def write_scored(folder: Path, scores: Sequence[str], notes: Sequence[str], health: str) -> str:
    """Write the report of models with scores, given as `MODEL=PATH`, and return its text."""
    rows = read_all(scores)
    text = report_text(rows, notes, health)
    write_text(folder / "models.tsv", to_tsv(models_table(rows)))
    write_text(folder / "classes.tsv", to_tsv(classes_table(rows)))
    write_text(folder / "models.md", report_markdown(rows, PICTURE, notes, health))
    write_text(folder / "models.txt", text)
    mean_iou_picture(folder / PICTURE, rows)
    return text


def write_unscored(folder: Path, trainings: Sequence[str], notes: Sequence[str], health: str) -> str:
    """Write the report of models without scores, given as `MODEL=PATH`, and return its text."""
    paths = named_paths("--trainings", "MODEL=PATH, e.g. baseline=training.json", trainings)
    models = {model: read_training_record(path) for model, path in paths.items()}
    text = unscored_text(models, notes, health)
    write_text(folder / "models.tsv", to_tsv(trainings_table(models)))
    write_text(folder / "models.md", unscored_markdown(models, notes, health))
    write_text(folder / "models.txt", text)
    # Those of a run that had a test set before are no longer about these models.
    for name in OF_SCORES:
        (folder / name).unlink(missing_ok=True)
    return text


if __name__ == "__main__":
    run(main)
