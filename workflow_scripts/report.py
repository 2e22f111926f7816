"""Put the scores of a run's models side by side: a table on the terminal, the same in files, a picture.

Models are shown in the order in which they are given. Gains are differences from the model called `baseline`.
If a model is called `upper_bound`, the report also shows how much of the gap to it is closed. OUTPUT gets
models.tsv, classes.tsv, models.md, models.txt and models.png.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from cotrain.data.files import write_text
from cotrain.evaluation.scores import ModelScores, read_scores
from cotrain.reporting.pictures import mean_iou_picture
from cotrain.reporting.table import (
    check_comparable,
    classes_table,
    classes_text,
    models_table,
    to_markdown,
    to_text,
    to_tsv,
    transposed,
)
from workflow_scripts.command_line import add_output_argument, named_paths, new_parser, parse, run

EXAMPLE = """python -m workflow_scripts.report --output by_hand/report \\
    --scores baseline=results/demo/evaluation/baseline/camera_test/scores.json \\
    final=results/demo/evaluation/final/camera_test/scores.json"""


def read_all(arguments: Sequence[str]) -> list[ModelScores]:
    """Read `MODEL=PATH` arguments, in their order."""
    paths = named_paths("--scores", "MODEL=PATH, e.g. baseline=scores.json", arguments)
    models = [read_scores(path, model) for model, path in paths.items()]
    check_comparable(models)
    return models


def circumstances(row: ModelScores) -> str:
    """Return one line that says what the scores were measured on."""
    facts = [f"{row.images} images", f"{len(row.iou)} classes"]
    words = {None: "none", True: "yes", False: "no"}
    for key, value in row.protocol.items():
        # A list cannot be looked up in a mapping.
        text = value if isinstance(value, list) else words.get(value, value)
        facts.append(f"{key.replace('_', ' ')}: {text}")
    return ", ".join(facts)


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    parser.add_argument(
        "--scores", nargs="+", required=True, metavar="MODEL=PATH", help="models and their scores"
    )
    add_output_argument(parser, "FOLDER", "folder of the report")
    options = parse(parser, arguments)

    rows = read_all(options.scores)
    models, classes = models_table(rows), classes_table(rows)
    measured_on = circumstances(rows[0])
    text = "\n".join(
        [
            "Scores by model (%; gain in points)",
            measured_on + "\n",
            to_text(models),
            "IoU by class (%)\n",
            classes_text(rows),
        ]
    )
    # Markdown pages scroll downwards: classes, which are many, become lines.
    by_class = transposed(classes)
    by_class[0][0] = "class"
    markdown = (
        f"# Scores by model (%)\n\nMeasured on {measured_on}.\n\n{to_markdown(models)}\n"
        f"![mIoU by model](models.png)\n\n## IoU by class (%)\n\n{to_markdown(by_class)}"
    )
    folder: Path = options.output
    write_text(folder / "models.tsv", to_tsv(models))
    write_text(folder / "classes.tsv", to_tsv(classes))
    write_text(folder / "models.md", markdown)
    write_text(folder / "models.txt", text)
    mean_iou_picture(folder / "models.png", rows)
    sys.stdout.write(f"\n{text}\nTables and picture: {folder}\n")


if __name__ == "__main__":
    run(main)
