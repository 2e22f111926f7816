"""Train one model: baseline, a round, a cycle's branch, final or upper bound.

in:  manifests of source images with labels of train ids and, except for the baseline, of pseudo-labelled
     target images; the thresholds of the round (for class mixing on demand); the weights to start from
out: OUTPUT/weights.safetensors, OUTPUT/history.jsonl (loss and learning rate), and OUTPUT/training.json
     (how the weights came to be)

The training can be killed at any moment: the same command goes on from the last save in --state. On SIGTERM,
Ctrl-C and SIGUSR1 it saves first and exits with 128 + the signal's number.

Several GPUs train one model when torchrun starts it, each with its share of every batch:
python -m torch.distributed.run --standalone --nproc-per-node 2 -m workflow_scripts.train …
"""

import hashlib
import json
import logging
import platform
import sys
from argparse import Namespace
from contextlib import ExitStack
from pathlib import Path

from cotrain.data.files import sha256_of, write_json, write_text
from cotrain.data.label_spaces import label_space
from cotrain.data.manifests import Item
from cotrain.errors import InputError
from workflow_scripts.command_line import new_parser, parse, positive, run
from workflow_scripts.training_batches import add_batch_arguments, labelled_sets, make_batches

logger = logging.getLogger("cotrain")

EXAMPLE = """python -m workflow_scripts.train --model baseline --label-space cityscapes7 \\
    --source results/demo/translated/game/manifest.tsv --settings results/demo/settings/baseline.json \\
    --state by_hand/state --output by_hand/baseline"""


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    add_batch_arguments(parser)
    parser.add_argument("--initial-weights", type=Path, help="weights.safetensors to start from")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))
    parser.add_argument("--threads", type=positive, default=1, help="CPU threads of all its processes")
    parser.add_argument(
        "--save-every", type=positive, default=500, help="iterations between two saves of the state"
    )
    parser.add_argument(
        "--log-every", type=positive, default=20, help="iterations between two entries of the history"
    )
    parser.add_argument("--state", type=Path, required=True, help="folder of the resumable state")
    parser.add_argument("--output", type=Path, required=True, help="folder of the model")
    options = parse(parser, arguments)

    train_model(options, *labelled_sets(options))


def train_model(options: Namespace, source: list[Item], target: list[Item] | None) -> None:
    """Build the network and the batches, train, and write the model's files."""
    import torch

    from cotrain.devices import claimed_device
    from cotrain.networks.build import build_network
    from cotrain.networks.settings import NetworkSettings
    from cotrain.networks.weights import load_into, read_header, save_weights
    from cotrain.training.batches import loader_threads
    from cotrain.training.guidance import memory_advice, peak_memory_mib
    from cotrain.training.loop import LoopSettings, train
    from cotrain.training.parallel import joined_workers
    from cotrain.training.state import Stopped, TrainingState, fingerprint

    chosen, space = options.settings, label_space(options.label_space)
    network_settings = NetworkSettings.from_mapping(chosen["network"])
    if options.initial_weights:
        of_network, of_space = read_header(options.initial_weights)
        found, expected = of_network.shape(), network_settings.shape()
        other = [key for key in {**expected, **found} if found.get(key) != expected.get(key)]
        if other or of_space.classes != space.classes:
            of_found, of_expected = (
                "".join(f", {key} {shape.get(key)}" for key in other) for shape in (found, expected)
            )
            raise InputError(
                f"{options.initial_weights}: weights for {of_space.name}{of_found}, expected those for "
                f"{space.name}{of_expected}"
            )
    parents = {str(path): sha256_of(path) for path in _inputs(options)}
    # In order, not sorted: which manifest is which, and the order of sources, decide the training too.
    images = _bytes_of_images([*source, *(target or [])])
    identity = fingerprint([chosen, space.definition(), options.model, list(parents.values()), images])
    batches = make_batches(options, source, target)
    try:
        with (
            memory_advice(options.model, chosen),
            claimed_device(options.device) as device,
            joined_workers(device.type) as workers,
            ExitStack() as held,
        ):
            threads = max(1, options.threads // workers.count)
            torch.set_num_threads(threads)
            state = TrainingState(options.state, identity)
            if workers.is_first:
                held.enter_context(state)
            else:
                # The first process writes and speaks for all.
                logger.setLevel(logging.WARNING)
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
            loaders = loader_threads(threads, device.type)
            trained = train(network, batches, loop, state, device, loaders, options.model, workers)
            if not workers.is_first:
                return
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
                "processes": workers.count,
                "device": torch.cuda.get_device_name(device)
                if device.type == "cuda"
                else platform.processor() or platform.machine(),
                "peak_memory_mib": peak_memory_mib(device),
                "vanished_classes": [space.classes[train_id] for train_id in trained.vanished],
                "versions": {"python": platform.python_version(), "torch": torch.__version__},
                "code": code_hash(),
            }
            write_text(
                options.output / "history.jsonl",
                "".join(f"{json.dumps(entry)}\n" for entry in trained.history),
            )
            write_json(options.output / "training.json", record)
            for name, module in (("averaged", trained.averaged), ("weights", network)):
                if module is not None:
                    save_weights(options.output / f"{name}.safetensors", module, network_settings, space)
    except Stopped as stopped:
        logger.info("%s: %s; the same command goes on from there", options.model, stopped)
        sys.exit(128 + stopped.number)
    for name in record["vanished_classes"]:
        logger.warning(
            "%s: class %s was in the labels but no longer predicted near the end; its pseudo-labels would be "
            "lost too. Rare-class sampling, a larger hard_pixel_share or fewer wrong pseudo-labels (a lower "
            "portion) may keep it",
            options.model,
            name,
        )
    logger.info("%s: weights in %s", options.model, options.output / "weights.safetensors")


def code_hash() -> str:
    """Return a hash of the library's source, to tell models apart that different code made."""
    import cotrain

    digest = hashlib.sha256()
    for path in sorted(Path(cotrain.__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


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
    weights = options.settings["network"].get("backbone_weights", "none")
    if not options.initial_weights and weights not in ("timm", "package", "none"):
        optional.append(Path(weights))
    return [*options.source, *(path for path in optional if path)]


if __name__ == "__main__":
    run(main)
