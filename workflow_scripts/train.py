"""Train one model: baseline, a round, a cycle's branch, final or upper bound.

in:  manifests of source images with labels of train ids and, except for the baseline, of pseudo-labelled
     target images; the thresholds of the round (for class mixing on demand); the weights to start from
out: OUTPUT/weights.safetensors, OUTPUT/history.jsonl (loss and learning rate), and OUTPUT/training.json
     (how the weights came to be)

The training can be killed at any moment: the same command goes on from the last save in --state. On SIGTERM,
Ctrl-C and SIGUSR1 it saves first and exits with 128 + the signal's number.
"""

import hashlib
import json
import logging
import platform
import resource
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from cotrain.data.class_statistics import read_class_statistics
from cotrain.data.files import sha256_of, write_json, write_text
from cotrain.data.label_spaces import label_space
from cotrain.data.manifests import Item, read_manifest, verify_labels
from cotrain.errors import InputError
from cotrain.randomness import seed_of
from workflow_scripts.command_line import parse, parser, run, settings

logger = logging.getLogger("cotrain")

EXAMPLE = """python -m workflow_scripts.train --model baseline --label-space cityscapes19 \\
    --source results/demo/translated/game/manifest.tsv --settings training.yaml \\
    --state state/demo/baseline --output results/demo/models/baseline"""


def main(arguments: list[str] | None = None) -> None:
    made = parser(__doc__, EXAMPLE)
    made.add_argument("--model", required=True, help="name of the model, for messages")
    made.add_argument(
        "--source", type=Path, nargs="+", required=True, help="manifests of the labelled source"
    )
    made.add_argument("--target", type=Path, help="manifest of the (pseudo-)labelled target")
    made.add_argument(
        "--thresholds", type=Path, help="thresholds.json of the round, for class mixing on demand"
    )
    made.add_argument(
        "--class-statistics", type=Path, nargs="*", default=[], help="one file a source manifest"
    )
    made.add_argument("--initial-weights", type=Path, help="weights.safetensors to start from")
    made.add_argument("--settings", type=settings, required=True, help="JSON text or a YAML file")
    made.add_argument("--label-space", required=True)
    made.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))
    made.add_argument("--threads", type=int, default=1, help="CPU threads")
    made.add_argument("--save-every", type=int, default=500, help="iterations between two saves of the state")
    made.add_argument(
        "--log-every", type=int, default=20, help="iterations between two entries of the history"
    )
    made.add_argument("--state", type=Path, required=True, help="folder of the resumable state")
    made.add_argument("--output", type=Path, required=True, help="folder of the model")
    options = parse(made, arguments)

    source = [item for path in options.source for item in _labelled(path)]
    target = _labelled(options.target) if options.target else None
    if not source:
        raise InputError(f"{options.source[0]}: lists no image to train on")
    if target is not None and not target:
        raise InputError(
            f"{options.target}: no target image has a pseudo-label left; thresholds.json beside it shows "
            "which classes were found and how sure the model was"
        )
    train_model(options, source, target)


def train_model(options: Namespace, source: list[Item], target: list[Item] | None) -> None:
    """Build the network and the batches, train, and write the model's files."""
    import torch

    from cotrain.devices import claimed_device
    from cotrain.networks.build import NetworkSettings, build_network
    from cotrain.networks.weights import load_into, read_header, save_weights
    from cotrain.training.loop import LoopSettings, train
    from cotrain.training.state import Stopped, TrainingState, fingerprint

    chosen, space = options.settings, label_space(options.label_space)
    network_settings = NetworkSettings.from_mapping(chosen["network"])
    if options.initial_weights:
        of_network, of_space = read_header(options.initial_weights)
        if (of_network.backbone, of_space.classes) != (network_settings.backbone, space.classes):
            raise InputError(
                f"{options.initial_weights}: weights of {of_network.backbone} for {of_space.name}, expected "
                f"{network_settings.backbone} for {space.name}"
            )
    parents = {str(path): sha256_of(path) for path in _inputs(options)}
    # In order, not sorted: which manifest is which, and the order of sources, decide the training too.
    images = _bytes_of_images([*source, *(target or [])])
    identity = fingerprint([chosen, space.definition(), options.model, list(parents.values()), images])
    torch.set_num_threads(options.threads)
    batches = make_batches(options, source, target)
    try:
        with claimed_device(options.device) as device, TrainingState(options.state, identity) as state:
            network = build_network(
                network_settings,
                space.number_of_classes,
                chosen["seed"],
                pretrained=not options.initial_weights,
            )
            if options.initial_weights:
                load_into(network, options.initial_weights)
            loop = LoopSettings.from_mapping(
                {
                    **chosen["training"],
                    **chosen,
                    "save_every_iterations": options.save_every,
                    "log_every_iterations": options.log_every,
                }
            )
            # A GPU waits for crops alone; on a CPU the network needs the cores more than the crops do.
            loaders = options.threads if device.type != "cpu" else max(1, options.threads // 2)
            trained = train(network, batches, loop, state, device, loaders, options.model)
            last = state.load()
            assert last is not None
            record = {
                "model": options.model,
                "label_space": space.name,
                "settings": chosen,
                "parents": parents,
                "images": {"source": len(source), "target": len(target or [])},
                "seconds": round(last["seconds"], 1),
                "resumes": last["resumes"],
                "device": torch.cuda.get_device_name(device)
                if device.type == "cuda"
                else platform.processor() or platform.machine(),
                "peak_memory_mib": _peak_memory_mib(device.type),
                "versions": {"python": platform.python_version(), "torch": torch.__version__},
                "code": code_hash(),
            }
            write_text(
                options.output / "history.jsonl", "".join(json.dumps(entry) + "\n" for entry in trained.history)
            )
            write_json(options.output / "training.json", record)
            for name, module in (("averaged", trained.averaged), ("weights", network)):
                if module is not None:
                    save_weights(options.output / f"{name}.safetensors", module, network_settings, space)
    except Stopped as stopped:
        logger.info("%s: %s; the same command goes on from there", options.model, stopped)
        sys.exit(128 + stopped.number)
    logger.info("%s: weights in %s", options.model, options.output / "weights.safetensors")


def make_batches(options: Namespace, source: list[Item], target: list[Item] | None) -> Any:
    """Return the `Batches` of these options."""
    import numpy as np

    from cotrain.adaptation.sampling import RareClassSampler, ShuffledSampler
    from cotrain.training.augmentation import Augmentation
    from cotrain.training.batches import Batches, Samples
    from workflow_scripts.labelling import read_levels

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
        thresholds = read_levels(options.thresholds, space)
    elif target and chosen["class_mixing"] == "on_demand":
        raise InputError(
            f"{options.model}: class_mixing: on_demand needs --thresholds, the thresholds of the target's "
            "pseudo-labels; without any, class_mixing is plain or none"
        )
    training = chosen["training"]
    return Batches(
        source=Samples(
            "source",
            source,
            sampler,
            Augmentation.from_mapping(training["source_augmentation"], training["crop"]),
            seed,
        ),
        target=Samples(
            "target",
            target,
            ShuffledSampler(len(target), seed, stream="target"),
            Augmentation.from_mapping(training["target_augmentation"], training["crop"]),
            seed,
        )
        if target
        else None,
        ratio=tuple(chosen["batch_ratio"]) if target else (training["batch_size"], 0),
        class_mixing=chosen["class_mixing"] if target else "none",
        thresholds=thresholds,
        seed=seed,
    )


def code_hash() -> str:
    """Return a hash of the library's source, to tell models apart that different code made."""
    import cotrain

    digest = hashlib.sha256()
    for path in sorted(Path(cotrain.__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


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


def _bytes_of_images(items: list[Item]) -> list[int]:
    """Return the size of every image file.

    A manifest names image files without a hash, and images made anew under the same names are to train anew.
    """
    try:
        return [item.image.stat().st_size for item in items]
    except OSError as error:
        raise InputError(f"{error.filename}: image cannot be read ({error.strerror})") from error


def _inputs(options: Namespace) -> list[Path]:
    optional = [options.target, options.thresholds, options.initial_weights, *options.class_statistics]
    weights = options.settings["network"]["backbone_weights"]
    if not options.initial_weights and weights not in ("timm", "package", "none"):
        optional.append(Path(weights))
    return [*options.source, *(path for path in optional if path)]


def _labelled(manifest: Path) -> list[Item]:
    items = read_manifest(manifest)
    verify_labels(items, manifest)
    return items


def _peak_memory_mib(device_type: str) -> int:
    import torch

    if device_type == "cuda":
        return torch.cuda.max_memory_allocated() // 2**20
    # Linux counts KiB, macOS bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (
        2**20 if sys.platform == "darwin" else 2**10
    )


if __name__ == "__main__":
    run(main)
