"""One model from files to files: what `python -m workflow_scripts.train` does."""

import json
import logging
import platform
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any

import msgspec
import torch

from cotrain.adaptation.sampling import rare_class_sampling_key
from cotrain.configuration.choices import Device
from cotrain.configuration.sections import TrainingSettings
from cotrain.data.files import sha256_of, write_json, write_text
from cotrain.data.label_spaces import LabelSpace
from cotrain.devices import claimed_device
from cotrain.errors import InputError
from cotrain.networks.blocks import explained_compiler
from cotrain.networks.build import build_network, shape
from cotrain.networks.network import Network
from cotrain.networks.weights import load_into, read_header, save_weights
from cotrain.training.batches import loader_threads
from cotrain.training.event_file import EventFile
from cotrain.training.guidance import about_vanished, memory_advice, peak_memory_mib
from cotrain.training.inputs import TrainingFiles, TrainingImages
from cotrain.training.loop import Training, train
from cotrain.training.parallel import Workers, joined_workers
from cotrain.training.record import code_hash, kept_share, read_training_record
from cotrain.training.state import TrainingState, fingerprint

logger = logging.getLogger("cotrain")


def train_model(
    name: str,
    settings: TrainingSettings,
    space: LabelSpace,
    files: TrainingFiles,
    *,
    device: Device,
    threads: int,
    save_every: int,
    log_every: int,
    state_folder: Path,
    output: Path,
    tensorboard: bool = False,
) -> None:
    """Train a model and write its weights, its history and the record of how it came to be.

    Args:
        name: of the model: part of its seed, and for messages.
        settings: everything that decides what is learnt, apart from `files`.
        space: the classes.
        files: what the training is made from.
        device: where it runs.
        threads: CPU threads of all its processes together.
        save_every: iterations between two saves of the state.
        log_every: iterations between two entries of the history.
        state_folder: where the resumable state lies.
        output: folder of the model.
        tensorboard: also write event files for TensorBoard into `output`.

    Raises:
        InputError: an input is missing or wrong.
        Stopped: a signal asked for it; the state is saved.
    """
    images = files.read_images()
    if not settings.iterations and not files.initial_weights:
        raise InputError(f"{name}: iterations is 0, and there are no --initial-weights to take as they are")
    if files.initial_weights:
        check_initial_weights(files.initial_weights, settings, space)
    parents = {str(path): sha256_of(path) for path in [*files.deciding(), *backbone_file(settings, files)]}
    batches = files.make_batches(images, name, settings, space)
    identity = identity_of(name, settings, space, parents, images)
    with (
        memory_advice(name, settings),
        explained_compiler() if settings.compile else nullcontext(),
        claimed_device(device, settings.deterministic) as torch_device,
        joined_workers(torch_device.type) as workers,
        ExitStack() as held,
    ):
        own_threads = max(1, threads // workers.count)
        torch.set_num_threads(own_threads)
        state = TrainingState(state_folder, identity)
        if workers.is_first:
            held.enter_context(state)
        else:
            # The first process writes and speaks for all.
            logger.setLevel(logging.ERROR)
        of_target, number = settings.batch_ratio[1] if settings.batch_ratio else 0, len(images.target or [])
        if 0 < number < of_target:
            logger.warning(
                "%s: only %d target images for the %d in every batch, so each batch repeats some. More are "
                "kept with a larger images_per_round or images_per_cycle, a larger keep, or a lower "
                "confidence.lower",
                name,
                number,
                of_target,
            )
        network = first_network(settings, space, files.initial_weights)
        training = train(
            network,
            batches,
            settings,
            state,
            torch_device,
            loader_threads(own_threads, torch_device.type),
            name,
            save_every=save_every,
            log_every=log_every,
            events=EventFile(output) if tensorboard else None,
            workers=workers,
        )
        if workers.is_first:
            before = vanished_before(files.initial_weights)
            # Nothing was predicted: what is known of the model that was taken holds.
            missing = [space.classes[train_id] for train_id in training.vanished]
            missing = missing if settings.iterations else before
            record = record_of(
                name, settings, space, parents, images, training, missing, workers, torch_device
            )
            write_model(output, training, record, settings, space)
            if missing:
                pixels = sum(item.height * item.width for item in images.source) / len(images.source)
                is_rare = settings.rare_class_sampling.enabled
                advice = about_vanished(
                    *(name, missing, before),
                    has_target=number > 0,
                    rare_class_sampling=None if is_rare else rare_class_sampling_key(pixels),
                )
                logger.warning("%s", advice)
            taken = "" if settings.iterations else f", those of {files.initial_weights} as they are"
            logger.info("%s: weights in %s%s", name, output / "weights.safetensors", taken)


def check_initial_weights(path: Path, settings: TrainingSettings, space: LabelSpace) -> None:
    """Raise InputError unless the weights fit the network and the classes of the training."""
    network, label_space = read_header(path)
    found, expected = shape(network), shape(settings.network)
    other = [key for key in {**expected, **found} if found.get(key) != expected.get(key)]
    if other or label_space.classes != space.classes:
        found_text, expected_text = (
            "".join(f", {key} {keys.get(key)}" for key in other) for keys in (found, expected)
        )
        raise InputError(
            f"{path}: weights for {label_space.name}{found_text}, expected those for "
            f"{space.name}{expected_text}"
        )


def backbone_file(settings: TrainingSettings, files: TrainingFiles) -> list[Path]:
    """Return the file with the backbone's first weights, if the training starts from one."""
    file = settings.network.backbone_file
    return [] if files.initial_weights or file is None else [Path(file)]


def identity_of(
    name: str,
    settings: TrainingSettings,
    space: LabelSpace,
    parents: dict[str, str],
    images: TrainingImages,
) -> str:
    """Return the fingerprint of a training: it changes with anything that decides what is learnt."""
    # In order, not sorted: which manifest is which, and the order of sources, also decide the training.
    hashes = list(parents.values())
    content = [msgspec.to_builtins(settings), space.definition(), name, hashes, images.sizes_in_bytes()]
    return fingerprint(content)


def first_network(settings: TrainingSettings, space: LabelSpace, initial_weights: Path | None) -> Network:
    """Return the network as it is before the first iteration."""
    network = build_network(
        settings.network, space.number_of_classes, settings.seed, pretrained=initial_weights is None
    )
    if initial_weights:
        load_into(network, initial_weights)
    return network


def record_of(
    name: str,
    settings: TrainingSettings,
    space: LabelSpace,
    parents: dict[str, str],
    images: TrainingImages,
    training: Training,
    vanished: list[str],
    workers: Workers,
    device: torch.device,
) -> dict[str, Any]:
    """Return how a model came to be, as JSON types; `vanished` are the classes that it no longer predicts."""
    is_cuda = device.type == "cuda"
    processor = platform.processor() or platform.machine()
    return {
        "model": name,
        "label_space": space.name,
        "settings": msgspec.to_builtins(settings),
        "parents": parents,
        "images": {
            "source": len(images.source) if settings.iterations else 0,
            "target": len(images.target or []),
            "kept_share": kept_share(images.target or []),
        },
        "seconds": round(training.seconds, 1),
        "resumes": training.resumes,
        "processes": workers.count,
        "device": torch.cuda.get_device_name(device) if is_cuda else processor,
        "peak_memory_mib": peak_memory_mib(device),
        "last_loss": training.history[-1]["loss"] if training.history else None,
        "vanished_classes": vanished,
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "code": code_hash(),
    }


def write_model(
    folder: Path,
    training: Training,
    record: dict[str, Any],
    settings: TrainingSettings,
    space: LabelSpace,
) -> None:
    """Write the files of a model, its weights last."""
    write_text(folder / "history.jsonl", "".join(f"{json.dumps(entry)}\n" for entry in training.history))
    write_json(folder / "training.json", record)
    if training.averaged is not None:
        save_weights(folder / "averaged.safetensors", training.averaged, settings.network, space)
    save_weights(folder / "weights.safetensors", training.network, settings.network, space)


def vanished_before(initial_weights: Path | None) -> list[str]:
    """Return the classes that the model whose weights a training starts from no longer predicts."""
    if initial_weights is None:
        return []
    path = initial_weights.parent / "training.json"
    # Weights from elsewhere have no such record beside them.
    if not path.is_file():
        return []
    return read_training_record(path).vanished_classes
