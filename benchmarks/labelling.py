"""The labelling half of a run, network aside: thresholds, pseudo-labels, exchange, evaluation.

Prints milliseconds, seconds, ratios and peaks of memory, all measured in one run, and plots the time of a
labelling round against the number of images:

    python -m benchmarks.labelling [--images 500] [--plot docs/images/labelling.png] [--parts growth]

Predictions are made here: smooth regions of 19 classes with smooth confidences. A few are written, and linked
under as many names as a set has images, so what is read comes from memory rather than from the disk.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from benchmarks.timing import peak_memory_mb, seconds
from cotrain.adaptation.pseudo_labels import filter_prediction, image_score
from cotrain.adaptation.thresholds import HIGHEST_LEVEL, ConfidenceCounter, class_thresholds, quantise
from cotrain.data.class_tables import class_table
from cotrain.data.images import read_label, write_label
from cotrain.data.label_spaces import IGNORE, label_space
from cotrain.data.manifests import Item, write_manifest
from cotrain.data.predictions import (
    Origin,
    PredictionReader,
    PredictionWriter,
    hash_of_images,
    write_histogram,
)
from cotrain.evaluation.scores import confusion_matrix
from cotrain.randomness import generator

SPACE = label_space("cityscapes19")
CLASSES = SPACE.number_of_classes
PORTION, LOWER, UPPER = 0.5, 0.5, 0.9
# As published: of the images that a round labels, a fifth is kept.
KEPT_SHARE = 0.2
DISTINCT = 12
ROUNDS = 12
# Images that the published formulation stacks: with all of a round it would take 14 GB.
STACKED = 48
FRESH_PROCESSES = 3
WORKERS = 2
PARTS = ("pixels", "writing", "evaluation", "memory", "round", "shards", "exchange", "growth")

# Runs a step in a process of its own and prints how much memory that has had.
STEP = """
import importlib, sys
from benchmarks.timing import peak_memory_mb
importlib.import_module(sys.argv[1]).main(sys.argv[2:])
print(peak_memory_mb())
"""

Prediction = tuple[np.ndarray, np.ndarray]
# On one core and without a disk, what else runs on the machine shall not count.
processor_seconds = partial(seconds, clock=time.process_time)


@dataclass(frozen=True)
class PredictedSet:
    """The manifest of an image set and its predictions, cut into shards."""

    manifest: Path
    shards: list[Path]

    @property
    def histograms(self) -> list[Path]:
        """Where the histograms of the shards are."""
        return [path.with_suffix(".histogram.npz") for path in self.shards]


def images_kept(number: int) -> int:
    """Return how many of a round's images are kept."""
    return max(1, round(KEPT_SHARE * number))


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--size", type=int, nargs=2, default=(2048, 1024), help="width and height of the images"
    )
    parser.add_argument(
        "--images", type=int, default=500, help="images of a round and of a branch (default 500)"
    )
    parser.add_argument(
        "--counts", type=int, nargs="+", default=(125, 250, 500, 1000, 2000), help="sizes of rounds to plot"
    )
    parser.add_argument("--plot", type=Path, help="where the plot goes")
    parser.add_argument(
        "--parts", nargs="+", choices=PARTS, default=PARTS, help="what is measured (default all)"
    )
    options = parser.parse_args(arguments)
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print("making predictions …", flush=True)
        of_a, of_b = ([prediction(branch, i, *options.size) for i in range(DISTINCT)] for branch in "ab")
        print(f"{options.size[0]}×{options.size[1]}, {CLASSES} classes, {DISTINCT} predictions, medians")
        parts = {
            "pixels": lambda: measure_pixels(folder, of_a),
            "writing": lambda: measure_writing(folder, of_a),
            "evaluation": lambda: measure_evaluation(folder, of_a),
            "memory": lambda: measure_memory(folder, of_a, (options.images // 5, 4 * options.images)),
            "round": lambda: measure_round(folder, of_a, options.images),
            "shards": lambda: measure_shards(folder, of_a, options.images),
            "exchange": lambda: measure_exchange(folder, of_a, of_b, options.images),
            "growth": lambda: measure_growth(folder, of_a, options.counts, options.plot),
        }
        for part in options.parts:
            parts[part]()


def prediction(name: str, index: int, width: int, height: int) -> Prediction:
    """Return (classes, levels) of smooth regions, as logits of a quarter of the resolution give them."""
    rng = generator("benchmark of labelling", name, index)
    best = np.full((height, width), -np.inf, np.float32)
    total = np.zeros((height, width), np.float32)
    classes = np.zeros((height, width), np.uint8)
    for class_id in range(CLASSES):
        # Frequent and rare classes, regions of a few hundred pixels with borders that waver a little.
        coarse = rng.normal(-0.25 * class_id, 3.0, (1 + height // 256, 1 + width // 256))
        fine = rng.normal(0, 0.2, (1 + height // 4, 1 + width // 4))
        logit = sum(
            cv2.resize(grid.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
            for grid in (coarse, fine)
        )
        total += np.exp(logit)
        higher = logit > best
        classes[higher], best[higher] = class_id, logit[higher]
    return classes, quantise(np.exp(best) / total)


def tell(what: str, figure: str, note: str = "") -> None:
    """Print a line of the table."""
    print(f"  {what:<58}{figure:>12}   {note}".rstrip(), flush=True)


def published(
    predictions: Sequence[Prediction], confidences_of: Sequence[np.ndarray]
) -> tuple[list[np.ndarray], list[float], np.ndarray]:
    """Return labels, scores and thresholds as the published code makes them: stacked and sorted."""
    classes = np.array([one for one, _ in predictions])
    confidences = np.array(confidences_of)
    thresholds = np.zeros(CLASSES)
    for class_id in range(CLASSES):
        ordered = np.sort(confidences[classes == class_id])
        if len(ordered):
            place = int(np.rint(len(ordered) * (1 - PORTION)))
            thresholds[class_id] = ordered[min(place, len(ordered) - 1)]
    thresholds = np.clip(thresholds, LOWER, UPPER)
    labels, scores = [], []
    for of_image, sure in zip(classes, confidences, strict=True):
        label, kept = of_image.copy(), sure.copy()
        for class_id in range(CLASSES):
            unsure = (label == class_id) & (sure <= thresholds[class_id])
            label[unsure], kept[unsure] = IGNORE, np.nan
        scores.append(float(np.nanmean(kept)) if (label != IGNORE).any() else 0.0)
        labels.append(label)
    return labels, scores, thresholds


def streaming(
    predictions: Sequence[Prediction], use: Callable[[np.ndarray, float], object] = lambda label, score: None
) -> np.ndarray:
    """Return the thresholds and hand each label and score to `use`, as the steps do it, image by image."""
    counter = ConfidenceCounter(CLASSES)
    for classes, levels in predictions:
        counter.add(classes, levels)
    thresholds = class_thresholds(counter.histogram(), PORTION, LOWER, UPPER)
    for classes, levels in predictions:
        label = filter_prediction(classes, levels, thresholds)
        use(label, image_score(label, levels))
    return thresholds


def labels_of(predictions: Sequence[Prediction]) -> list[np.ndarray]:
    """Return the label of each image."""
    labels: list[np.ndarray] = []
    streaming(predictions, lambda label, score: labels.append(label))
    return labels


def seconds_of(formulation: str, stored: Path) -> float:
    """Return the processor's time an image of a formulation, once in this process, as a run does it once."""
    with np.load(stored) as arrays:
        distinct = list(zip(arrays["classes"], arrays["levels"], strict=True))
    predictions = [distinct[index % len(distinct)] for index in range(STACKED)]
    confidences = [levels / np.float32(HIGHEST_LEVEL) for _, levels in predictions]
    started = time.process_time()
    if formulation == "published":
        published(predictions, confidences)
    else:
        streaming(predictions)
    return (time.process_time() - started) / len(predictions)


def measure_pixels(folder: Path, predictions: Sequence[Prediction]) -> None:
    """Print how long thresholds, filtering and score take an image, and how much equals the published."""
    stored = folder / "predictions.npz"
    classes, levels = (np.array(arrays) for arrays in zip(*predictions, strict=True))
    np.savez(stored, classes=classes, levels=levels)
    taken: dict[str, list[float]] = {"published": [], "streaming": []}
    for _ in range(FRESH_PROCESSES):
        for formulation, times in taken.items():
            with ProcessPoolExecutor(1, get_context("spawn")) as pool:
                times.append(pool.submit(seconds_of, formulation, stored).result())
    theirs, ours = (float(np.median(times)) for times in taken.values())
    print(f"thresholds, filtering and score of {STACKED} images, processor time")
    tell("an image, stacked and sorted (published)", f"{1000 * theirs:.0f} ms")
    tell("an image, streamed (ours)", f"{1000 * ours:.1f} ms", f"{theirs / ours:.1f} times as fast")
    compare(predictions)


def compare(predictions: Sequence[Prediction]) -> None:
    """Print how much of the labels and scores equals those of the published formulation."""
    confidences = [levels / np.float32(HIGHEST_LEVEL) for _, levels in predictions]
    expected, expected_scores, _ = published(predictions, confidences)
    scores: list[float] = []
    streaming(predictions, lambda label, score: scores.append(score))
    labels = labels_of(predictions)
    equal = np.mean([(label == other).mean() for label, other in zip(labels, expected, strict=True)])
    difference = max(abs(a - b) for a, b in zip(scores, expected_scores, strict=True))
    kept = np.mean([(label != IGNORE).mean() for label in labels])
    tell("pixels with the same label", f"{100 * equal:.4f} %", f"scores differ by {difference:.0e} at most")
    tell("pixels kept", f"{100 * kept:.0f} %")


def measure_writing(folder: Path, predictions: Sequence[Prediction]) -> None:
    """Print how long a label PNG takes to write, and with Pillow's default to compare."""
    labels = labels_of(predictions)
    path = folder / "label.png"

    def default(index: int) -> None:
        image = Image.fromarray(labels[index % len(labels)])
        image.putpalette([channel for colour in SPACE.palette for channel in colour])
        image.save(path)

    theirs, of_theirs = seconds(default, ROUNDS), path.stat().st_size
    ours = seconds(lambda index: write_label(path, labels[index % len(labels)], SPACE.palette), ROUNDS)
    reading = seconds(lambda _: read_label(path), ROUNDS)
    print("label PNG with palette")
    tell(
        "written, as built", f"{1000 * ours:.1f} ms", f"{path.stat().st_size / 1000:.0f} kB, flushed to disk"
    )
    tell("written, Pillow's default", f"{1000 * theirs:.1f} ms", f"{of_theirs / 1000:.0f} kB, not flushed")
    tell("read", f"{1000 * reading:.1f} ms")


def measure_evaluation(folder: Path, predictions: Sequence[Prediction]) -> None:
    """Print how long a pair takes, here and in the evaluator of Cityscapes, decoding aside."""
    evaluator = import_module("cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling")
    label_id = label_ids()
    pairs, paths = [], []
    for index, (classes, levels) in enumerate(predictions):
        # The truth is void where the model is least sure, and its borders lie a little aside.
        truth = np.roll(np.where(levels > LOWER * HIGHEST_LEVEL, classes, IGNORE), 4, axis=1).astype(np.uint8)
        pairs.append((truth, classes))
        paths.append([str(folder / f"{index}_{kind}.png") for kind in ("prediction", "labelIds")])
        for path, ids in zip(paths[-1], (classes, truth), strict=True):
            write_label(path, label_id[ids], SPACE.palette)
        Image.fromarray(instances(truth, label_id)).save(folder / f"{index}_instanceIds.png")

    def decode(index: int) -> None:
        for path in paths[index % len(paths)]:
            np.array(Image.open(path))

    def decode_instances(index: int) -> None:
        np.array(Image.open(folder / f"{index % len(paths)}_instanceIds.png"))

    # The evaluator asks for a function that NumPy has renamed since.
    evaluator.np.in1d = np.isin
    arguments = evaluator.args
    matrix, statistics = evaluator.generateMatrix(arguments), evaluator.generateInstanceStats(arguments)

    def evaluate(index: int) -> None:
        evaluator.evaluatePair(*paths[index % len(paths)], matrix, statistics, {}, arguments)

    decoding = processor_seconds(decode, ROUNDS)
    arguments.evalInstLevelScore = False
    counting = processor_seconds(evaluate, ROUNDS) - decoding
    arguments.evalInstLevelScore = True
    whole = processor_seconds(evaluate, ROUNDS) - decoding - processor_seconds(decode_instances, ROUNDS)
    ours = processor_seconds(lambda index: confusion_matrix(*pairs[index % len(pairs)], CLASSES), ROUNDS)
    print("evaluation, network and decoding aside, processor time")
    tell("an image, as built", f"{1000 * ours:.1f} ms")
    for what, theirs in (("", whole), (", its scores of instances off", counting)):
        tell(
            f"cityscapesScripts{what}",
            f"{1000 * theirs:.0f} ms",
            f"as built is {theirs / ours:.1f} times as fast",
        )


def label_ids() -> np.ndarray:
    """Return uint8 (256,): the label id of Cityscapes of each train id, 0 (unlabelled) of all others."""
    table = class_table("cityscapes_ids")
    lookup = np.zeros(256, np.uint8)
    for label_id, name in table.ids.items():
        if name is not None and SPACE.train_id(name) != IGNORE:
            lookup[SPACE.train_id(name)] = label_id
    return lookup


def instances(truth: np.ndarray, label_id: np.ndarray) -> np.ndarray:
    """Return uint16 (H, W): the instance ids of Cityscapes; each region of people or vehicles is one."""
    ids = label_id[truth].astype(np.uint16)
    for train_id in range(SPACE.train_id("person"), CLASSES):
        number, regions = cv2.connectedComponents((truth == train_id).astype(np.uint8))
        shown = (regions > 0) & (regions < min(number, 1000))
        ids[shown] = int(label_id[train_id]) * 1000 + regions[shown]
    return ids


def predicted_set(
    folder: Path, name: str, predictions: Sequence[Prediction], number: int, shards: int
) -> PredictedSet:
    """Write the manifest of `number` images and their predictions, of which few are distinct, in shards."""
    height, width = predictions[0][0].shape
    items = [Item(f"{name}_{index:05d}", folder / "image.png", width, height) for index in range(number)]
    root = folder / f"{name}_{number}_{shards}"
    write_manifest(root / "images.tsv", items)
    origin = Origin(SPACE.classes, name, hash_of_images(items), 0, shards)
    for shard in range(shards):
        with PredictionWriter(root / f"{shard}.h5", replace(origin, shard=shard)) as writer:
            written: dict[int, str] = {}
            for index in range(shard, number, shards):
                item, source = items[index], index // shards % len(predictions)
                if source in written:
                    writer.file[item.id] = writer.file[written[source]]
                else:
                    writer.write(item.id, *predictions[source])
                    written[source] = item.id
    return PredictedSet(root / "images.tsv", [root / f"{shard}.h5" for shard in range(shards)])


def count_shard(path: Path) -> float:
    """Count the confidences of a shard, as the step predict does while it predicts; return the peak in MB."""
    counter = ConfidenceCounter(CLASSES)
    with PredictionReader(shards_of(path)) as reader:
        for image_id in reader.files[shards_of(path).index(path)]:
            counter.add(*reader.read(image_id))
        origin = replace(reader.origin, shard=int(path.stem))
    write_histogram(path.with_suffix(".histogram.npz"), counter.histogram(), origin)
    return peak_memory_mb()


def shards_of(path: Path) -> list[Path]:
    """Return all shards of the set that a shard belongs to, in order."""
    return sorted(path.parent.glob("*.h5"), key=lambda shard: int(shard.stem))


def counted(predicted: PredictedSet) -> tuple[float, float]:
    """Return (seconds, peak memory in MB) of counting all confidences, with one process a shard."""
    with ProcessPoolExecutor(len(predicted.shards), get_context("spawn")) as pool:
        # Nothing but the start of the processes, which predict pays once for its network as well.
        list(pool.map(shards_of, predicted.shards))
        started = time.perf_counter()
        peaks = list(pool.map(count_shard, predicted.shards))
        return time.perf_counter() - started, max(peaks)


def step(module: str, *arguments: object) -> tuple[float, float]:
    """Run a step of the workflow in its own process and return (seconds, peak memory in MB)."""
    started = time.perf_counter()
    command = [sys.executable, "-c", STEP, f"workflow_scripts.{module}", *map(str, arguments)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return time.perf_counter() - started, float(done.stdout.split()[-1])


def thresholds_of(predicted: PredictedSet) -> tuple[Path, float, float]:
    """Run the step thresholds and return (its file, seconds, peak memory in MB)."""
    path = predicted.manifest.with_name("thresholds.json")
    limits = ("--portion", PORTION, "--lower", LOWER, "--upper", UPPER)
    taken, peak = step(
        "thresholds",
        "--histograms",
        *predicted.histograms,
        "--label-space",
        SPACE.name,
        *limits,
        "--output",
        path,
    )
    return path, taken, peak


def labelled(predicted: PredictedSet, thresholds: Path, keep: int, workers: int) -> tuple[float, float]:
    """Run the step label_round and return (seconds, peak memory in MB)."""
    return step(
        *("label_round", "--subset", predicted.manifest, "--predictions", *predicted.shards),
        *("--thresholds", thresholds, "--label-space", SPACE.name, "--keep", keep, "--threads", workers),
        *("--ranking", "confidence", "--round", "01"),
        *("--output", predicted.manifest.parent / "round"),
    )


def measure_memory(folder: Path, predictions: Sequence[Prediction], numbers: Sequence[int]) -> None:
    """Print the peak of memory of each step of labelling few and many images."""
    print(f"peak memory of a process, {WORKERS} threads")
    for number in numbers:
        predicted = predicted_set(folder, "a", predictions, number, WORKERS)
        _, counting = counted(predicted)
        thresholds, _, finding = thresholds_of(predicted)
        _, labelling = labelled(predicted, thresholds, images_kept(number), WORKERS)
        for what, peak in (("counting", counting), ("thresholds", finding), ("labelling", labelling)):
            tell(f"{number} images, {what}", f"{peak:.0f} MB")


def measure_round(folder: Path, predictions: Sequence[Prediction], number: int) -> None:
    """Print how long a round takes, from predictions on disk to labels, manifest and scores."""
    predicted, keep = predicted_set(folder, "a", predictions, number, WORKERS), images_kept(number)
    counting, _ = counted(predicted)
    thresholds, finding, _ = thresholds_of(predicted)
    labelling, _ = labelled(predicted, thresholds, keep, WORKERS)
    of_all, _ = labelled(predicted, thresholds, number, WORKERS)
    print(f"a round of {number} images, {WORKERS} cores")
    tell("confidences counted", f"{counting:.1f} s")
    tell("thresholds", f"{finding:.1f} s")
    tell(f"images labelled and ranked, {keep} labels written", f"{labelling:.1f} s")
    tell("together", f"{counting + finding + labelling:.1f} s")
    tell(f"together, all {number} labels written", f"{counting + finding + of_all:.1f} s")


def measure_shards(folder: Path, predictions: Sequence[Prediction], number: int) -> None:
    """Print how much faster two shards are labelled on two cores than one on one."""
    taken = []
    for shards in (1, 2):
        predicted = predicted_set(folder, "a", predictions, number, shards)
        counting, _ = counted(predicted)
        labelling, _ = labelled(predicted, thresholds_of(predicted)[0], images_kept(number), shards)
        taken.append((counting, labelling))
    print("one shard and one thread, two shards and two threads")
    for what, one, two in zip(("confidences counted", "images labelled"), *taken, strict=True):
        tell(what, f"{one:.1f}, {two:.1f} s", f"{one / two:.2f} times as fast")
    one, two = map(sum, taken)
    tell("together", f"{one:.1f}, {two:.1f} s", f"{one / two:.2f} times as fast")


def measure_exchange(
    folder: Path, of_a: Sequence[Prediction], of_b: Sequence[Prediction], number: int
) -> None:
    """Print how long it takes to fill and exchange the labels of two branches."""
    arguments: list[object] = []
    for name, predictions in (("a", of_a), ("b", of_b)):
        predicted = predicted_set(folder, name, predictions, number, WORKERS)
        counted(predicted)
        arguments += [
            f"--subset-{name}",
            predicted.manifest,
            f"--thresholds-{name}",
            thresholds_of(predicted)[0],
        ]
        arguments += [f"--predictions-{name}", *predicted.shards]
    keep = images_kept(number)
    taken, peak = step(
        *("exchange", *arguments, "--label-space", SPACE.name, "--keep", keep, "--threads", WORKERS),
        *(
            "--cycle",
            "1",
            "--fill",
            "add",
            "--ranking",
            "threshold_difference",
            "--collaboration",
            "exchange",
        ),
        *("--min-pixels", 5000),
        *("--output", folder / "cycle"),
    )
    print(f"exchange of two branches of {number} images, {WORKERS} cores")
    tell(
        f"labelled, filled and ranked, {keep} labels each written", f"{taken:.1f} s", f"{peak:.0f} MB at most"
    )


def measure_growth(
    folder: Path, predictions: Sequence[Prediction], numbers: Sequence[int], plot: Path | None
) -> None:
    """Print, and plot if asked, how long rounds of several sizes take."""
    print(f"rounds of several sizes, {WORKERS} cores")
    taken = []
    for number in numbers:
        predicted = predicted_set(folder, "a", predictions, number, WORKERS)
        counting, _ = counted(predicted)
        thresholds, finding, _ = thresholds_of(predicted)
        labelling, peak = labelled(predicted, thresholds, images_kept(number), WORKERS)
        taken.append(counting + finding + labelling)
        each = f"{1000 * taken[-1] / number:.1f} ms an image, {peak:.0f} MB at most"
        tell(f"{number} images", f"{taken[-1]:.1f} s", each)
    if plot:
        draw(plot, numbers, taken)


def draw(path: Path, numbers: Sequence[int], taken: Sequence[float]) -> None:
    """Plot seconds against images, with the line through the origin that fits best."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    images, times = np.array(numbers, float), np.array(taken)
    each = (images * times).sum() / (images**2).sum()
    axes.plot([0, images.max()], [0, each * images.max()], color="0.7", zorder=1)
    axes.scatter(images, times, color="tab:blue", zorder=2)
    axes.set(xlim=(0, None), ylim=(0, None), xlabel="images of the round", ylabel="seconds")
    axes.set_title(f"Labelling, network aside: {1000 * each:.0f} ms an image", fontsize=10)
    axes.grid(alpha=0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
