"""Check every file of a run: its form, and all hashes and sizes that other files have of it.

in:  the folder of a run (results/RUN); --state, if the state of its trainings does not lie in state/RUN
out: a line for each file that is damaged, was changed by hand or is missing, and what to remove to have it
     made again. The exit status is 0 only if there is none.

What is missing as a whole is not seen here: `snakemake --dry-run` lists what a run would make.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

from cotrain.adaptation.threshold_table import ThresholdTable
from cotrain.data.arrays import open_npy
from cotrain.data.decoded import read_index
from cotrain.data.images import check_image, read_label
from cotrain.data.json_files import NotValidError, read_json
from cotrain.data.label_spaces import LabelSpace, label_space
from cotrain.data.manifests import REQUIRED_COLUMNS, read_manifest, verify_labels
from cotrain.data.predictions import PredictionReader, read_histogram
from cotrain.errors import InputError, reason
from cotrain.progress import Progress
from cotrain.words import counted
from workflow_scripts.command_line import logger, new_parser, parse, run

EXAMPLE = "python -m workflow_scripts.verify results/demo"

# Files that list others: if one of these is removed, Snakemake makes the folder again.
LISTS = ("manifest.tsv", "selected.tsv", "train_ids.tsv", "scenes.tsv", "index.tsv", "scores.json")
MANIFESTS = (
    *("manifest.tsv", "selected.tsv", "accumulated.tsv", "subset.tsv", "train_ids.tsv", "images.tsv"),
    *("labelled.tsv", "training.tsv", "held_out.tsv"),
)
# Folders of files that no rule names one by one.
LISTED_FOLDERS = ("labels", "images", "coloured")

# Of the images of one manifest.
SHOWN = 10

Check = Callable[[Path], None]


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    parser.add_argument("run", type=Path, help="folder of the run, results/RUN")
    parser.add_argument(
        "--state", type=Path, help="state of its trainings (default: state/RUN beside results)"
    )
    options = parse(parser, arguments)
    if not options.run.is_dir():
        raise InputError(f"{options.run}: there is no such folder, expected that of a run, results/RUN")
    state = options.state or options.run.parent.parent / "state" / options.run.name
    space = space_of(options.run)
    paths = [path for folder in (options.run, state) for path in sorted(folder.rglob("*"))]
    files = [path for path in paths if path.is_file() or path.is_symlink()]
    if not files:
        raise InputError(f"{options.run}: holds no file, expected the folder of a run, results/RUN")
    problems = []
    with Progress(len(files), "files", f"verify {options.run}") as progress:
        for path in files:
            problems += [f"{problem}\n    {remedy(path)}" for problem in problems_of(path, state, space)]
            progress.advance()
    for problem in problems:
        logger.error("%s", problem)
    if problems:
        raise InputError(
            f"{options.run}: {counted(len(problems), 'problem')} in {counted(len(files), 'file')} (see "
            "above). Remove what is named there: the same snakemake command then makes it again"
        )
    logger.info("%s: %s whole and fit together", options.run, counted(len(files), "file is", "files are"))


def space_of(folder: Path) -> LabelSpace | None:
    """Return the label space of a run; None if its configuration cannot be read, which is told elsewhere."""
    try:
        configuration = read_json(folder / "settings" / "configuration.json")
        return label_space(configuration["label_space"])
    except (OSError, NotValidError, InputError, LookupError, TypeError):
        return None


def problems_of(path: Path, state: Path, space: LabelSpace | None) -> Iterator[str]:
    """Yield what is wrong with a file."""
    if is_leftover(path):
        yield f"{path}: a killed job left it behind; nothing reads it"
        return
    if not path.exists():
        yield f"{path}: is a link to {path.readlink()}, which is missing"
        return
    check = check_of(path, state, space)
    if check is None:
        return
    try:
        check(path)
    except InputError as error:
        text = str(error)
        yield text if str(path) in text else f"{path}: {text}"
    except NotValidError as error:
        yield f"{path}: is not valid ({error})"
    except OSError as error:
        yield f"{path}: cannot be read ({reason(error)})"
    # Damaged bytes can fail in any way, and none may hide the other files.
    except Exception:
        yield f"{path}: is damaged; it cannot be read"


def check_of(path: Path, state: Path, space: LabelSpace | None) -> Check | None:
    """Return what checks a file, by its name and place; None for files without a form, such as logs."""
    if "logs" in path.parts or path.name in ("lock", "workflow.lock"):
        return None
    if path.suffix == ".pt":
        return check_save
    if path.name == "thresholds.json" and space is not None:
        return lambda file: void(ThresholdTable.read(file, space))
    if path.name == "index.tsv":
        return lambda file: void(read_index(file))
    if path.suffix == ".png" and path.parent.name == "labels":
        return lambda file: void(read_label(file))
    return {
        ".tsv": check_table,
        ".json": lambda file: void(read_json(file)),
        ".jsonl": check_lines,
        ".png": lambda file: void(check_image(file)),
        ".jpg": lambda file: void(check_image(file)),
        ".h5": check_predictions,
        ".npy": lambda file: void(open_npy(file, "uif", 3)),
        ".npz": lambda file: void(read_histogram(file)),
        ".safetensors": check_weights,
    }.get(path.suffix)


def is_leftover(path: Path) -> bool:
    """Return whether a file has the name of one that was not finished."""
    return path.name.startswith(".") and ".partial" in path.name


def void(content: object) -> None:
    """Drop what a reader returns: only that it could read the file counts."""


def check_save(path: Path) -> None:
    """Check a training's save against the hash at its end."""
    from cotrain.training.state import is_whole

    with open(path, "rb") as file:
        if not is_whole(file):
            raise InputError(f"{path}: is damaged, or of an earlier version of cotrain")


def check_weights(path: Path) -> None:
    """Check weights against the hash in their header."""
    from cotrain.networks.weights import whole_tensors

    whole_tensors(path)


def check_predictions(path: Path) -> None:
    """Check the predictions of every image in a file against their checksums."""
    with PredictionReader([path], whole=False) as predictions:
        for image_id in predictions.holder:
            void(predictions.read(image_id))


def check_lines(path: Path) -> None:
    """Check that every line is JSON."""
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        try:
            if line:
                json.loads(line)
        except ValueError as error:
            raise InputError(f"{path}:{number}: is not valid JSON") from error


def check_table(path: Path) -> None:
    """Check a manifest, with the images and labels that it lists, or the form of any other table."""
    text = path.read_text(encoding="utf-8")
    if not text.strip("\0\n") or not text.endswith("\n"):
        raise InputError(f"{path}: is empty, or breaks off within a line")
    lines = text.removesuffix("\n").split("\n")
    is_manifest = lines[0].split("\t")[: len(REQUIRED_COLUMNS)] == list(REQUIRED_COLUMNS)
    if not is_manifest and path.name not in MANIFESTS:
        columns = {line.count("\t") for line in lines}
        if len(columns) > 1:
            raise InputError(f"{path}: its rows have different numbers of columns")
        return
    items = read_manifest(path)
    problems = []
    try:
        verify_labels([item for item in items if item.label is not None], path)
    except InputError as error:
        problems.append(str(error))
    for item in items:
        size = item.image.stat().st_size if item.image.is_file() else None
        if size is None:
            problems.append(f"{path}: the image {item.image} is missing")
        elif item.bytes not in (None, size):
            problems.append(
                f"{path}: the image {item.image} has {size} bytes, {item.bytes} when it was listed"
            )
    if problems:
        more = f"\n    and {len(problems) - SHOWN} more images" if len(problems) > SHOWN else ""
        raise InputError("\n    ".join(problems[:SHOWN]) + more)


def remedy(path: Path) -> str:
    """Return what to remove, so that Snakemake makes a file again."""
    if is_leftover(path):
        return f"rm {path}"
    folder = path.parent.parent if path.parent.name in LISTED_FOLDERS else path.parent
    is_listed = path.parent.name in LISTED_FOLDERS or path.suffix == ".npy"
    lists = [folder / name for name in LISTS if (folder / name).is_file()] if is_listed else []
    return "to have it made again: rm " + " ".join(map(str, [path, *lists[:1]]))


if __name__ == "__main__":
    run(main)
