"""What a training sees: the arguments of its data, and the batches made from them."""

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path
from typing import Any

from cotrain.data.class_statistics import read_class_statistics
from cotrain.data.decoded import read_index
from cotrain.data.label_spaces import label_space
from cotrain.data.manifests import Item, read_manifest, verify_labels
from cotrain.errors import InputError
from cotrain.randomness import seed_of
from workflow_scripts.command_line import settings

PARTS = ("network", "training", "precision", "seed", "iterations", "hard_pixel_share")


def training_settings(text: str) -> dict[str, Any]:
    """Read what decides a training, as `settings`; argparse.ArgumentTypeError when a part is missing."""
    found = settings(text)
    missing = [key for key in PARTS if key not in found]
    if missing:
        raise ArgumentTypeError(
            f"lacks {', '.join(missing)}; a run writes such files, results/RUN/settings/STAGE.json"
        )
    return found


def add_batch_arguments(parser: ArgumentParser) -> None:
    """Add the manifests, settings and class names that decide the batches of a training."""
    parser.add_argument("--model", required=True, help="name of the model, for messages")
    parser.add_argument(
        "--source", type=Path, nargs="+", required=True, help="manifests of the labelled source"
    )
    parser.add_argument("--target", type=Path, help="manifest of the (pseudo-)labelled target")
    parser.add_argument(
        "--thresholds", type=Path, help="thresholds.json of the round, for class mixing on demand"
    )
    parser.add_argument(
        "--class-statistics", type=Path, nargs="*", default=[], help="one file a source manifest"
    )
    parser.add_argument(
        "--decoded", type=Path, nargs="*", default=[], help="index.tsv files of decode_images: decoded images"
    )
    parser.add_argument("--settings", type=training_settings, required=True, help="JSON text or a YAML file")
    parser.add_argument("--label-space", required=True)


def labelled_sets(options: Namespace) -> tuple[list[Item], list[Item] | None]:
    """Return the items of the source and of the target, their labels verified.

    Raises:
        InputError: one of them is empty, or a label is not the one its manifest lists.
    """
    source = [item for path in options.source for item in _labelled(path)]
    target = _labelled(options.target) if options.target else None
    if not source:
        raise InputError(f"{options.source[0]}: lists no image to train on")
    if target is not None and not target:
        raise InputError(
            f"{options.target}: no target image has a pseudo-label left; thresholds.json beside it shows "
            "which classes were found and how sure the model was"
        )
    return source, target


def make_batches(options: Namespace, source: list[Item], target: list[Item] | None) -> Any:
    """Return the `Batches` of these options."""
    import numpy as np

    from cotrain.adaptation.sampling import RareClassSampler, ShuffledSampler
    from cotrain.adaptation.threshold_table import ThresholdTable
    from cotrain.training.augmentation import Augmentation
    from cotrain.training.batches import Batches, Samples

    chosen, space = options.settings, label_space(options.label_space)
    rare = chosen["training"]["rare_class_sampling"]
    # Every model sees crops of its own; otherwise each round would repeat the source crops of the last.
    seed = seed_of(chosen["seed"], options.model)
    sampler: ShuffledSampler | RareClassSampler
    if rare["enabled"]:
        counts = np.array(_class_counts(options), np.int64)
        sampler = RareClassSampler(counts, rare["min_pixels"], rare["temperature"], seed)
    else:
        sampler = ShuffledSampler(len(source), seed)
    thresholds = None
    if options.thresholds:
        thresholds = ThresholdTable.read(options.thresholds, space).levels
    elif target and chosen["class_mixing"] == "on_demand":
        raise InputError(
            f"{options.model}: class_mixing: on_demand needs --thresholds, the thresholds of the target's "
            "pseudo-labels; without any, class_mixing is plain or none"
        )
    training = chosen["training"]
    decoded = {image: file for index in options.decoded for image, file in read_index(index).items()}
    return Batches(
        source=Samples(
            "source",
            source,
            sampler,
            Augmentation.from_mapping(training["source_augmentation"], training["crop"]),
            seed,
            decoded,
        ),
        target=Samples(
            "target",
            target,
            ShuffledSampler(len(target), seed, stream="target"),
            Augmentation.from_mapping(training["target_augmentation"], training["crop"]),
            seed,
            decoded,
        )
        if target
        else None,
        ratio=tuple(chosen["batch_ratio"]) if target else (training["batch_size"], 0),
        class_mixing=chosen["class_mixing"] if target else "none",
        thresholds=thresholds,
        seed=seed,
    )


def _class_counts(options: Namespace) -> list[list[int]]:
    """Return the pixels of each class of all source images, in the order of the manifests.

    Each manifest has its own file of statistics, since two datasets may share ids.
    """
    if len(options.class_statistics) != len(options.source):
        raise InputError(
            f"--class-statistics: found {len(options.class_statistics)} files, expected one for each of the "
            f"{len(options.source)} source manifests: rare-class sampling needs to know what the images hold"
        )
    counts: list[list[int]] = []
    for manifest, path in zip(options.source, options.class_statistics, strict=True):
        _, ids, rows = read_class_statistics(path)
        of_images = dict(zip(ids, rows.tolist(), strict=True))
        for item in read_manifest(manifest):
            if item.id not in of_images:
                raise InputError(f"{path}: holds no statistics of image {item.id!r} of {manifest}")
            counts.append(of_images[item.id])
    return counts


def _labelled(manifest: Path) -> list[Item]:
    items = read_manifest(manifest)
    verify_labels(items, manifest)
    return items
