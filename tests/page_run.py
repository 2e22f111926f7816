"""The folder of a run, written without any training: what the page of a run reads, with numbers made up."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cotrain.adaptation.threshold_table import ThresholdTable
from cotrain.adaptation.thresholds import LEVELS, quantise
from cotrain.configuration.reading import resolve
from cotrain.configuration.run_plan import RunPlan
from cotrain.configuration.settings_files import settings_text
from cotrain.data.files import write_json, write_text
from cotrain.data.images import write_image, write_label
from cotrain.data.label_spaces import label_space
from cotrain.data.manifests import Item, write_manifest
from cotrain.data.predictions import Origin, PredictionWriter, hash_of_images
from cotrain.data.score_tables import write_score_table
from cotrain.evaluation.scores import scores, write_confusion
from cotrain.randomness import generator

SPACE = label_space("cityscapes7")
# mIoU of a run that gains, in the order of its models.
GAINS = {
    "baseline": 0.50,
    "self_training/00": 0.52,
    "self_training/01": 0.53,
    "co_training/00/a": 0.54,
    "co_training/00/b": 0.55,
    "final": 0.56,
}


def configuration_of(run: str, test: bool) -> dict[str, Any]:
    """Return the configuration of a run of two rounds and a cycle."""
    datasets = {
        name: {"layout": "streets", "look": "camera", "seed": seed} for seed, name in enumerate("abc")
    }
    return {
        "run": run,
        "label_space": SPACE.name,
        "datasets": datasets,
        "source": ["a"],
        "target": "b",
        **({"test": "c"} if test else {}),
        "self_training": {"rounds": 2},
        "co_training": {"cycles": 1, "round_a": 0},
    }


def confusion_with(share: float) -> np.ndarray:
    """Return a confusion matrix: this share of each class is right, the rest is the next class."""
    number = SPACE.number_of_classes
    right = round(1_000_000 * share)
    matrix = np.zeros((number, number + 1), np.int64)
    for label in range(number):
        matrix[label, label] = right
        matrix[label, (label + 1) % number] += 1_000_000 - right
    return matrix


def write_run(
    folder: Path,
    mean_iou: Mapping[str, float] = GAINS,
    *,
    test: bool = True,
    names: Sequence[str] = ("one.png", "two.png"),
    size: tuple[int, int] = (48, 64),
    findings: Sequence[tuple[str, str]] = (),
    notes: Sequence[str] = (),
    codes: Sequence[str] = ("code",),
) -> Path:
    """Write the run `folder`/results/NAME of these models and return its folder.

    `names` are those of the photos of the target and of the test images, (height, width) `size` pixels each.
    The share of right pixels of a model is chosen so that its mIoU is about as given.
    """
    configuration = resolve(configuration_of("a_run", test))
    plan, run = RunPlan(configuration), folder / "results" / "a_run"
    write_text(run / "settings" / "configuration.json", settings_text(configuration))
    write_json(run / "data" / "checked.json", {"reports": [], "notes": list(notes)})
    for dataset in plan.datasets:
        kind = "images" if dataset == "b" else "labelled"
        report: dict[str, Any] = {"images": len(names), "sizes": {"64x48": len(names)}, "turned": []}
        report |= {"converted": {}, "warnings": []}
        if kind == "labelled":
            share = 1 / SPACE.number_of_classes
            report["void_pixels"] = 0
            report["classes"] = {name: {"pixels": 100, "share": share, "images": 2} for name in SPACE.classes}
        write_json(run / "data" / dataset / f"{kind}.check.json", report)
    items = {kind: _write_images(folder / kind, names, size, kind) for kind in ("photos", "tests")}
    write_manifest(run / "sample" / "images.tsv", [_unlabelled(item) for item in items["photos"]])
    if test:
        write_manifest(run / "sample" / "labelled" / "c.tsv", items["tests"])
    for place, (model, value) in enumerate(mean_iou.items()):
        _write_model(run, model, value, place, codes[place % len(codes)], bool(test))
        _write_predictions(run / "sample" / f"{model}.h5", items["photos"], value)
        if test:
            _write_predictions(run / "evaluation" / model / "c" / "sample.h5", items["tests"], value)
        if model in map(str, plan.steps):
            _write_labels(run / "pseudo_labels" / model, items["photos"])
    _write_health(run, mean_iou, findings)
    return run


def _unlabelled(item: Item) -> Item:
    return Item(item.id, item.image, item.width, item.height)


def _write_images(folder: Path, names: Sequence[str], size: tuple[int, int], kind: str) -> list[Item]:
    items = []
    rng = generator("page", kind)
    for number, name in enumerate(names):
        blocks = rng.integers(0, SPACE.number_of_classes, (size[0] // 8, size[1] // 8)).astype(np.uint8)
        label = np.kron(blocks, np.ones((8, 8), np.uint8))
        rgb = np.asarray(SPACE.palette, np.uint8)[label] // 2
        rgb += rng.integers(0, 8, rgb.shape).astype(np.uint8)
        image = folder / name
        write_image(image, rgb)
        write_label(folder / "labels" / f"{number}.png", label, SPACE.palette)
        items.append(Item(f"{number:05d}", image, size[1], size[0], folder / "labels" / f"{number}.png"))
    return items


def _write_model(run: Path, model: str, value: float, place: int, code: str, test: bool) -> None:
    record = {
        "model": model,
        "settings": {"iterations": 100},
        "images": {"source": 10, "target": 0 if model == "baseline" else 8},
        "seconds": 60.0,
        "device": "NVIDIA H100",
        "processes": 2,
        "last_loss": 0.5,
        "peak_memory_mib": 1000,
        "resumes": 0,
        "vanished_classes": [],
        "versions": {"torch": "2.15"},
        "code": code,
        "parents": {"results/a_run/some.tsv": "0" * 64},
    }
    if model != "baseline":
        record["images"]["kept_share"] = 0.5 + place / 100  # type: ignore[index]
    write_json(run / "models" / model / "training.json", record)
    lines = [{"iteration": 20 * i, "loss": 2 / i, "learning_rate": 0.1 / i} for i in range(1, 6)]
    write_text(run / "models" / model / "history.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    bench = "s\tmax_rss\tcpu_time\n60.0\t1500\t100\n"
    write_text(run / "logs" / "train" / f"{model}.tsv", bench)
    if test:
        # s right of 2 - s: the IoU of each class is s / (2 - s).
        confusion = confusion_with(2 * value / (1 + value))
        folder = run / "evaluation" / model / "c"
        write_confusion(folder / "confusion.tsv", confusion, SPACE.classes)
        content = {"model": model, "protocol": {"flip": False}, "images": 40}
        write_json(folder / "scores.json", content | scores(confusion, SPACE.classes))


def _write_predictions(path: Path, items: Sequence[Item], share: float) -> None:
    images = [_unlabelled(item) for item in items] if "evaluation" not in path.parts else items
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = generator("predictions", str(path.name))
    with PredictionWriter(path, Origin(SPACE.classes, path.stem, hash_of_images(images), 0, 1)) as writer:
        for item in items:
            from cotrain.data.images import read_label

            assert item.label is not None
            label = read_label(item.label)
            blocks = rng.random((label.shape[0] // 8, label.shape[1] // 8))
            wrong = np.kron(blocks, np.ones((8, 8))) > share
            classes = np.where(wrong, (label + 1) % SPACE.number_of_classes, label).astype(np.uint8)
            writer.write(item.id, classes, quantise(np.kron(blocks, np.ones((8, 8)))).astype(np.uint16))


def _write_labels(folder: Path, items: Sequence[Item]) -> None:
    number = SPACE.number_of_classes
    histogram = np.zeros((number, LEVELS), np.int64)
    histogram[:, 50_000] = 7
    ThresholdTable.from_histogram(histogram, 0.5, 0.5, 0.9, SPACE.classes, "a model").write(
        folder / "thresholds.json"
    )
    chosen = list(items[::2])
    write_manifest(folder / "selected.tsv", chosen)
    counts = np.full((len(items), number), 10, np.int64)
    counts[:, 1] = 0
    choices = [(item in chosen, "a rank") for item in items]
    write_score_table(folder / "scores.tsv", items, np.full(len(items), 0.5), counts, choices, SPACE)


def _write_health(run: Path, models: Mapping[str, float], findings: Sequence[tuple[str, str]]) -> None:
    shares = {name: round(1 / SPACE.number_of_classes, 6) for name in SPACE.classes}
    content = {
        "images": 2,
        "outcome": "Nothing is known.",
        "findings": [{"kind": kind, "text": text} for kind, text in findings],
        "source": shares,
        "models": {
            model: {
                "kept_share": None if model == "baseline" else 0.6,
                "agreement": {},
                "agreement_with_before": None if model == "baseline" else 0.9,
                "agreement_of_branches": 0.95 if model.startswith("co_training") else None,
                "confidence": 0.8,
                "distance_from_source": 0.1,
                "missing_classes": [],
                "vanished_classes": [],
                "pseudo_labels": None if model == "baseline" else shares,
                "predictions": shares,
            }
            for model in models
        },
    }
    write_json(run / "report" / "health.json", content)
