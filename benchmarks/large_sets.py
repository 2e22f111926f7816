"""How memory and time of the steps grow with the number of images.

Prints for each step its peak of memory with each number of images, and from the smallest and the largest the
bytes and the processor's microseconds that an image more costs:

    python -m benchmarks.large_sets [--counts 2000 20000] [--steps check_data label_round]

Images, labels and predictions have 16×12 pixels, so what is measured is the bookkeeping. Two files are linked
under many names. `TMPDIR` says where; in memory (/dev/shm) the disk does not count.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from cotrain.adaptation.thresholds import ConfidenceCounter
from cotrain.data.images import write_image, write_label
from cotrain.data.label_spaces import label_space
from cotrain.data.manifests import read_manifest
from cotrain.data.predictions import Origin, PredictionWriter, hash_of_images, write_histogram
from cotrain.randomness import generator

SPACE = label_space("cityscapes19")
SIZE = (12, 16)
DISTINCT = 50
# File systems allow about 65 000 names for a file.
NAMES = 50_000
KEEP = 100
THREADS = 2
BRANCHES = "ab"

# Runs a function in a process of its own and prints its processor time and peak of memory.
RUN = """
import importlib, sys, time
from benchmarks.timing import peak_memory_mb
module = importlib.import_module(sys.argv[1])
started = time.process_time()
getattr(module, sys.argv[2])(sys.argv[3:])
print(time.process_time() - started, peak_memory_mb())
"""


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--counts", type=int, nargs="+", default=(2000, 20_000), help="numbers of images")
    parser.add_argument("--steps", nargs="+", choices=[*STEPS], default=[*STEPS], help="default: all")
    options = parser.parse_args(arguments)
    figures: dict[str, list[tuple[float, float]]] = {name: [] for name in options.steps}
    for number in options.counts:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            make_set(folder, number)
            for step, (module, function, flags) in STEPS.items():
                # The others make what these need.
                seconds, megabytes = measured(module, function, *flags(folder))
                print(f"{number} images: {step}: {seconds:.0f} s, {megabytes:.0f} MB", file=sys.stderr)
                if step in figures:
                    figures[step].append((seconds, megabytes))
    least, most = min(options.counts), max(options.counts)
    peaks = "".join(f"{f'{number} images':>16}" for number in options.counts)
    print(f"{'step':<28}{peaks}{'bytes an image':>16}{'µs an image':>14}")
    for step, rows in figures.items():
        (first_s, first_mb), (last_s, last_mb) = (
            rows[options.counts.index(number)] for number in (least, most)
        )
        more = max(most - least, 1)
        shown = "".join(f"{f'{mb:.0f} MB':>16}" for _, mb in rows)
        size, time = 1e6 * (last_mb - first_mb) / more, 1e6 * (last_s - first_s) / more
        print(f"{step:<28}{shown}{size:>16.0f}{time:>14.0f}")


def measured(module: str, function: str, *arguments: object) -> tuple[float, float]:
    """Call a function in its own process and return (processor seconds, peak memory in MB)."""
    command = [sys.executable, "-c", RUN, module, function, *map(str, arguments)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    taken, peak = done.stdout.split()[-2:]
    return float(taken), float(peak)


def make_set(folder: Path, number: int) -> None:
    """Write the lists and settings of a labelled set of `number` images."""
    rng = generator("benchmark of large sets", number)
    for kind in ("images", "labels"):
        (folder / kind).mkdir()
        for index in range(number):
            path = folder / kind / f"aachen_{index:06d}_000019.png"
            if index % NAMES:
                os.link(path.with_name(f"aachen_{index // NAMES * NAMES:06d}_000019.png"), path)
            elif kind == "images":
                write_image(path, rng.integers(0, 255, (*SIZE, 3), np.uint8))
            else:
                ids = rng.integers(0, SPACE.number_of_classes, SIZE).astype(np.uint8)
                write_label(path, ids, SPACE.palette)
        lines = "".join(f"{kind}/aachen_{index:06d}_000019.png\n" for index in range(number))
        (folder / f"{kind}.txt").write_text(lines)
    settings = {"layout": "lists", "images": str(folder / "images.txt"), "labels": str(folder / "labels.txt")}
    text = json.dumps(settings | {"classes": "cityscapes_train_ids"})
    (folder / "dataset.json").write_text(text)


def predict_all(arguments: Sequence[str]) -> None:
    """Write predictions and histograms of all images of both branches, as the step predict keeps them."""
    folder = Path(arguments[0])
    items = read_manifest(folder / "images.tsv")
    images = hash_of_images(items)
    for branch in BRANCHES:
        rng = generator("benchmark of large sets", branch)
        predictions = [
            (
                rng.integers(0, SPACE.number_of_classes, SIZE).astype(np.uint8),
                rng.integers(30_000, 65_536, SIZE).astype(np.uint16),
            )
            for _ in range(DISTINCT)
        ]
        counter = ConfidenceCounter(SPACE.number_of_classes)
        origin = Origin(SPACE.classes, branch, images, 0, 1)
        with PredictionWriter(folder / f"{branch}.h5", origin) as writer:
            for index, item in enumerate(items):
                writer.write(item.id, *predictions[index % DISTINCT])
                counter.add(*predictions[index % DISTINCT])
        write_histogram(folder / f"{branch}.histogram.npz", counter.histogram(), origin)


def start_training(arguments: Sequence[str]) -> None:
    """Read and verify the images of a training, as every training does before its first step."""
    from cotrain.training.inputs import TrainingFiles

    source, target = map(Path, arguments)
    TrainingFiles([source], target).read_images().sizes_in_bytes()


Flags = Callable[[Path], Sequence[object]]


def of_step(name: str, flags: Flags) -> tuple[str, str, Flags]:
    """Return how a step of the workflow is run: its module, its function, its flags."""
    return f"workflow_scripts.{name}", "main", flags


def of_both(folder: Path, kinds: Sequence[str]) -> list[object]:
    """Return the flags that name files of both branches."""
    files = {"subset": "images.tsv", "images": "images.tsv", "predictions": "{}.h5", "thresholds": "{}.json"}
    return [
        f"--{'images' if (kind, branch) == ('images', 'a') else f'{kind}-{branch}'}="
        f"{folder / files[kind].format(branch)}"
        for kind in kinds
        for branch in BRANCHES
    ]


def labelled(_: Path) -> list[object]:
    """Return the flags that most steps share."""
    return [f"--label-space={SPACE.name}", f"--threads={THREADS}"]


def found(folder: Path, *more: object) -> list[object]:
    """Return the flags of steps that read the dataset's settings."""
    return ["--dataset=large", f"--settings={folder / 'dataset.json'}", *more]


def thresholds_of(branch: str) -> tuple[str, str, Flags]:
    """Return how the thresholds of a branch are found."""
    return of_step(
        "thresholds",
        lambda folder: [
            *(f"--histograms={folder / f'{branch}.histogram.npz'}", f"--label-space={SPACE.name}"),
            *("--portion=0.5", "--lower=0.5", "--upper=0.9", f"--output={folder / f'{branch}.json'}"),
        ],
    )


ONE_ROUND = ("--ranking=confidence", f"--keep={KEEP}")
STEPS: dict[str, tuple[str, str, Flags]] = {
    "make_manifest": of_step("make_manifest", lambda folder: found(folder, f"--output={folder}/images.tsv")),
    "make_manifest, labelled": of_step(
        "make_manifest",
        lambda folder: found(folder, "--with-labels", f"--output={folder}/labelled.tsv"),
    ),
    "check_data": of_step(
        "check_data",
        lambda folder: [
            *found(folder, f"--manifest={folder}/labelled.tsv", "--with-labels", *labelled(folder)),
            f"--output={folder}/check.json",
        ],
    ),
    "class_statistics": of_step(
        "class_statistics",
        lambda folder: [
            *(f"--manifest={folder}/labelled.tsv", *labelled(folder), f"--output={folder}/classes.json"),
        ],
    ),
    "class_priors": of_step(
        "class_priors",
        lambda folder: [
            *(f"--labelled={folder}/labelled.tsv", f"--target={folder}/images.tsv", *labelled(folder)),
            f"--output={folder}/priors.npy",
        ],
    ),
    "choose_subset": of_step(
        "choose_subset",
        lambda folder: [
            *(f"--images={folder}/images.tsv", "--number=-1", "--seed=1", f"--output={folder}/subset.tsv"),
        ],
    ),
    "predict, network aside": ("benchmarks.large_sets", "predict_all", lambda folder: [folder]),
    "thresholds": thresholds_of("a"),
    "thresholds, b": thresholds_of("b"),
    "label_round": of_step(
        "label_round",
        lambda folder: [
            *(f"--subset={folder}/subset.tsv", f"--predictions={folder}/a.h5", *labelled(folder)),
            *(f"--thresholds={folder}/a.json", *ONE_ROUND, f"--output={folder}/round"),
        ],
    ),
    "exchange": of_step(
        "exchange",
        lambda folder: [
            *of_both(folder, ("subset", "predictions", "thresholds")),
            *(*labelled(folder), "--fill=add", "--min-pixels=2", "--ranking=threshold_difference"),
            *("--collaboration=exchange", f"--keep={KEEP}", f"--output={folder}/cycle"),
        ],
    ),
    "ensemble_labels": of_step(
        "ensemble_labels",
        lambda folder: [
            *of_both(folder, ("images", "predictions", "thresholds")),
            *(*labelled(folder), f"--output={folder}/shard"),
        ],
    ),
    "join_ensemble": of_step(
        "join_ensemble",
        lambda folder: [
            *(f"--images={folder}/images.tsv", f"--shards={folder}/shard/manifest.tsv"),
            *("--thresholds", folder / "a.json", folder / "b.json"),
            *(*labelled(folder), f"--output={folder}/ensemble"),
        ],
    ),
    "accumulate": of_step(
        "accumulate",
        lambda folder: [
            *(f"--previous={folder}/ensemble/manifest.tsv", f"--selected={folder}/ensemble/manifest.tsv"),
            *("--accumulation=best_score", "--ranking=confidence", "--step=01"),
            f"--output={folder}/accumulated.tsv",
        ],
    ),
    "relabel": of_step(
        "relabel",
        lambda folder: [
            *(f"--accumulated={folder}/accumulated.tsv", f"--predictions={folder}/a.h5", *labelled(folder)),
            *(f"--thresholds={folder}/a.json", "--ranking=confidence", f"--output={folder}/relabelled"),
        ],
    ),
    "start of a training": (
        "benchmarks.large_sets",
        "start_training",
        lambda folder: [folder / "labelled.tsv", folder / "ensemble" / "manifest.tsv"],
    ),
}


if __name__ == "__main__":
    main()
