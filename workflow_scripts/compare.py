"""Compare runs: the scores of their models, paired differences, and what differs in their settings.

in:  folders of runs (results/RUN). Runs whose settings differ only in `seed` and `run` are a group
out: tables on the terminal; OUTPUT/index.html, a page with the same tables and charts, which opens from disk;
     OUTPUT/comparison.txt and comparison.md; OUTPUT/scores.tsv (mean IoU), gaps.tsv (share of the gap to the
     upper bound), differences.tsv (paired, seed by seed) and settings.tsv (what differs)

Scores are those on the runs' test sets, which must be the same, and scored in the same way. Runs without a
test set are compared by their settings, and by what their health has found.
"""

import os
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import get_args
from urllib.parse import quote

from cotrain.configuration.names import ModelName, Stage
from cotrain.configuration.reading import read_mapping
from cotrain.data.file_names import common_length, is_one_line
from cotrain.data.files import write_text
from cotrain.data.manifests import read_manifest
from cotrain.errors import InputError
from cotrain.evaluation.scores import read_scores
from cotrain.reporting.comparison import (
    ComparedRun,
    check_runs,
    comparison_markdown,
    comparison_text,
    differences,
    differences_table,
    gaps_table,
    grouped,
    scores_table,
    settings_table,
)
from cotrain.reporting.page.compared import compared_page
from cotrain.reporting.page.records import read_health
from cotrain.reporting.table import to_tsv
from cotrain.training.record import read_training_record
from workflow_scripts.command_line import add_output_argument, logger, new_parser, parse, run

EXAMPLE = """python -m workflow_scripts.compare results/demo results/seed101 --output by_hand/comparison"""

# In the order of a run.
STAGES = get_args(Stage)
EXPECTED = "expected the folder of a run, results/RUN, in which a named target such as `all` was begun"


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="folders of runs, results/RUN")
    add_output_argument(parser, "FOLDER", "folder of the comparison")
    options = parse(parser, arguments)
    if len(options.runs) < 2:
        raise InputError(f"found one run, {options.runs[0]}; expected two or more to compare")
    names = names_of(options.runs)
    runs = [read_run(folder, name) for folder, name in zip(options.runs, names, strict=True)]
    check_runs(runs)
    groups = grouped(runs)
    for table_name, table in (
        ("scores", scores_table(groups)),
        ("gaps", gaps_table(groups)),
        ("differences", differences_table(differences(groups))),
        ("settings", settings_table(groups)),
    ):
        write_text(options.output / f"{table_name}.tsv", to_tsv(table))
    text = comparison_text(groups)
    write_text(options.output / "comparison.txt", text)
    write_text(options.output / "comparison.md", comparison_markdown(groups))
    pages = {
        name: quote(os.path.relpath(folder / "report" / "index.html", options.output))
        for folder, name in zip(options.runs, names, strict=True)
        if (folder / "report" / "index.html").is_file()
    }
    page = options.output / "index.html"
    write_text(page, compared_page(groups, pages, datetime.now()))
    sys.stdout.write(f"\n{text}\nTables: {options.output}\nPage: {page}\n")


def read_run(folder: Path, name: str) -> ComparedRun:
    """Return what the folder of a run holds, under a name for it.

    Raises InputError if it is none, or if a file in it is wrong.
    """
    path = folder / "settings" / "configuration.json"
    if not path.is_file():
        raise InputError(f"{folder}: {path} is missing; {EXPECTED}")
    settings = read_mapping(path)
    test = settings.get("test")
    models = models_in(folder / "models", "weights.safetensors")
    scores = {}
    if isinstance(test, str):
        for model in models_in(folder / "evaluation", f"{test}/scores.json"):
            scores[model] = read_scores(folder / "evaluation" / model / test / "scores.json", model)
    labelled = folder / "data" / str(test) / "train_ids.tsv"
    items = read_manifest(labelled) if scores and labelled.is_file() else []
    health = folder / "report" / "health.json"
    record = read_health(health) if health.is_file() else None
    if not scores:
        logger.warning("%s: has no scores; only its settings and its health are compared", folder)
    return ComparedRun(
        name=name,
        settings=settings,
        scores=scores,
        models=tuple(models),
        test_images=tuple((item.id, item.label_sha256 or "") for item in items),
        outcome=record.outcome if record else "",
        findings=tuple(finding.kind for finding in record.findings) if record else (),
        seconds=sum(seconds_of(folder / "models" / model / "training.json") for model in models),
    )


def seconds_of(path: Path) -> float:
    """Return how long a training took, 0 if there is no record of it."""
    return read_training_record(path).seconds if path.is_file() else 0.0


def names_of(folders: Sequence[Path]) -> list[str]:
    """Return what runs are called: the names of their folders, else the part of their paths that differs."""
    paths = [Path(os.path.abspath(folder)) for folder in folders]
    repeated = [path for place, path in enumerate(paths) if path in paths[:place]]
    if repeated:
        raise InputError(f"{repeated[0]}: is given twice, expected different runs")
    odd = [str(path) for path in paths if not is_one_line(str(path))]
    if odd:
        raise InputError(f"{odd[0]!r:.200}: holds a tab or line end; expected a path in one line")
    names = [path.name for path in paths]
    if len(set(names)) == len(names):
        return names
    parts = [path.parts for path in paths]
    first, last = common_length(parts), common_length([part[::-1] for part in parts])
    middles = ["/".join(part[first : len(part) - last]) for part in parts]
    is_clear = all(middles) and len(set(middles)) == len(names)
    return middles if is_clear else [str(folder) for folder in folders]


def models_in(folder: Path, file: str) -> list[str]:
    """Return the names of the models below whose folder a file lies, in the order of a run."""
    found = []
    for stage in STAGES:
        for depth in ("", "*", "*/*"):
            for path in folder.glob("/".join(part for part in (stage, depth, file) if part)):
                name = str(path.relative_to(folder)).removesuffix(f"/{file}")
                try:
                    found.append(str(ModelName.parse(name)))
                except ValueError:
                    # A folder of the user's.
                    continue
    return sorted(found, key=place_of)


def place_of(name: str) -> tuple[int, int, str]:
    """Return a key that sorts models in the order of a run."""
    model = ModelName.parse(name)
    return STAGES.index(model.stage), model.number or 0, model.branch or ""


if __name__ == "__main__":
    run(main)
