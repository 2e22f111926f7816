"""Put the scores of a run's models side by side: a table on the terminal, the same in files, a picture.

Models are shown in the order in which they are given. Gains are differences from the model called `baseline`.
If a model is called `upper_bound`, the report also shows how much of the gap to it is closed. Below the table
stand the notes that collect_checks wrote about the data. OUTPUT gets models.tsv, classes.tsv, models.md,
models.txt and models.png.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from cotrain.data.files import write_text
from cotrain.data.json_files import Record, read_record
from cotrain.evaluation.scores import ModelScores, read_scores
from cotrain.reporting.model_report import report_markdown, report_text
from cotrain.reporting.pictures import mean_iou_picture
from cotrain.reporting.table import check_comparable, classes_table, models_table, to_tsv
from workflow_scripts.command_line import add_output_argument, named_paths, new_parser, parse, run

EXAMPLE = """python -m workflow_scripts.report --output by_hand/report \\
    --scores baseline=results/demo/evaluation/baseline/camera_test/scores.json \\
    final=results/demo/evaluation/final/camera_test/scores.json --checked results/demo/data/checked.json"""


class CheckedRecord(Record, frozen=True):
    """What is read of the file of collect_checks."""

    notes: list[str] = msgspec.field(default_factory=list)


def read_all(arguments: Sequence[str]) -> list[ModelScores]:
    """Read `MODEL=PATH` arguments, in their order."""
    paths = named_paths("--scores", "MODEL=PATH, e.g. baseline=scores.json", arguments)
    models = [read_scores(path, model) for model, path in paths.items()]
    check_comparable(models)
    return models


def read_notes(path: Path) -> list[str]:
    """Return the notes in the file of collect_checks."""
    return read_record(path, CheckedRecord, "the notes on the data", "what collect_checks wrote").notes


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    parser.add_argument(
        "--scores", nargs="+", required=True, metavar="MODEL=PATH", help="models and their scores"
    )
    parser.add_argument(
        "--checked", type=Path, metavar="FILE", help="checked.json of the run, with its notes"
    )
    add_output_argument(parser, "FOLDER", "folder of the report")
    options = parse(parser, arguments)

    rows = read_all(options.scores)
    notes = read_notes(options.checked) if options.checked else []
    text = report_text(rows, notes)
    folder: Path = options.output
    write_text(folder / "models.tsv", to_tsv(models_table(rows)))
    write_text(folder / "classes.tsv", to_tsv(classes_table(rows)))
    write_text(folder / "models.md", report_markdown(rows, "models.png", notes))
    write_text(folder / "models.txt", text)
    mean_iou_picture(folder / "models.png", rows)
    sys.stdout.write(f"\n{text}\nTables and picture: {folder}\n")


if __name__ == "__main__":
    run(main)
