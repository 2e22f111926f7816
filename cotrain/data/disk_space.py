"""How much disk a run needs, and whether there is so much."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from msgspec.structs import replace

from cotrain.configuration.run_plan import RunPlan, Storage
from cotrain.configuration.sections import Configuration, StreetsSettings
from cotrain.data.files import nearest_existing
from cotrain.data.network_sizes import NetworkSize, read_network_sizes
from cotrain.errors import InputError

# Bytes a pixel. Photos of CamVid and CARLA and the demo's frames take 1.1 to 1.4 as PNG, and 0.26 to 0.33 as
# JPEG.
BYTES_A_PIXEL = {"png": 1.5, "jpg": 0.4}
# The demo's label files take 0.08.
LABEL = 0.1
# Two bytes of confidence, and the compressed class.
PREDICTION = 2.2
DECODED = 3.0
# Bytes a tensor besides its values: its name and place, in a weights file and in a saved state. The demo's
# network takes 105 and 358.
TENSOR_OF_MODEL, TENSOR_OF_STATE = 120, 400
# The record and the history of a training.
RECORDS = 10_000
BYTES_OF_A_VALUE = 4


def bytes_of_run(storage: Storage, of_source: int, of_target: int, targets: int) -> dict[str, int]:
    """Return about how many bytes each kind of a run's files takes; models are not among them.

    Args:
        storage: what the run writes.
        of_source: pixels of all source images.
        of_target: pixels of all target images.
        targets: the number of target images.
    """
    trained = of_source * max(1, storage.translations)

    def of_part(images: int) -> float:
        return of_target * min(1.0, images / max(targets, 1))

    pseudo_labels = sum(map(of_part, storage.pseudo_labelled))
    sample = of_part(storage.sample_images)
    return {
        "translated images": round(of_source * storage.translations * BYTES_A_PIXEL[storage.format]),
        "labels": round(LABEL * (of_source + pseudo_labels + of_target)),
        # Of both branches at a time, for the ensemble; those of the samples are kept, and test images are
        # taken to be as large as those of the target.
        "predictions": round(
            PREDICTION * (2 * of_target + (len(storage.models) + storage.test_sample_models) * sample)
        ),
        "decoded images": round(DECODED * (trained + of_target)) if storage.decoded_cache else 0,
    }


def bytes_of_scenes(number: int, width: int, height: int, format: str) -> dict[str, int]:
    """Return about how many bytes rendered scenes of a size take, images in a format of `BYTES_A_PIXEL`."""
    pixels = number * width * height
    return {"images": round(BYTES_A_PIXEL[format] * pixels), "labels": round(LABEL * pixels)}


def bytes_of_model(storage: Storage, size: NetworkSize) -> int:
    """Return about how many bytes the files of a model take: weights, averaged ones, records."""
    weights = size.bytes + TENSOR_OF_MODEL * size.tensors
    return weights * (1 + storage.averages) + RECORDS


def bytes_of_state(storage: Storage, size: NetworkSize) -> int:
    """Return about how many bytes the state of a training takes, which holds the last two saves.

    Only the save before the last still holds the optimiser when the training is finished.
    """
    save = (size.bytes + TENSOR_OF_STATE * size.tensors) * (1 + storage.averages)
    return 2 * save + bytes_of_optimiser(storage, size)


def bytes_of_optimiser(storage: Storage, size: NetworkSize) -> int:
    """Return about how many bytes the optimiser takes in a save."""
    return storage.optimiser_values * (BYTES_OF_A_VALUE * size.parameters + TENSOR_OF_STATE * size.tensors)


def missing_bytes(
    storage: Storage,
    images: Mapping[str, int],
    networks: Mapping[str, NetworkSize],
    results: Path,
    states: Path,
) -> tuple[dict[str, int], dict[str, int]]:
    """Return how many bytes a run still has to write, below `results` and below `states`.

    What is there already is not asked for again: a file takes the place of the one that it replaces. A model
    whose weights are there needs nothing, even if its state has been removed.

    Args:
        storage: what the run writes.
        images: what `bytes_of_run` returns.
        networks: the size of each network.
        results: the folder of the run's results.
        states: the folder of its trainings' states.

    Raises:
        InputError: the size of a network is not there.
    """
    there = {
        "translated images": [results / "translated"],
        "labels": [results / "pseudo_labels", *results.glob("data/*/labels")],
        "predictions": [results / "predictions", results / "sample"],
        "decoded images": [results / "decoded"],
    }
    below_results = {kind: max(0, size - sum(map(bytes_below, there[kind]))) for kind, size in images.items()}
    models = training_states = running = 0
    for model, key in storage.models.items():
        if key not in networks:
            raise InputError(f"{key}: its size is not known; run check_networks again")
        folder, state, size = results / "models" / model, states / model, networks[key]
        if (folder / "weights.safetensors").is_file():
            continue
        models += max(0, bytes_of_model(storage, size) - bytes_below(folder))
        training_states += max(0, bytes_of_state(storage, size) - bytes_below(state))
        # While a training goes on, its last save holds the optimiser too.
        running = max(running, bytes_of_optimiser(storage, size))
    return below_results | {"models": models}, {"states of trainings": training_states + running}


def bytes_below(folder: Path) -> int:
    """Return the sum of the sizes of all files in a folder; 0 if it is not there."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        # A file that has just ended.
        except OSError:
            continue
    return total


def check_disk_of_run(
    configuration: Configuration,
    images: Mapping[str, int],
    sizes: Mapping[str, tuple[int, int]],
    results: Path,
    states: Path,
) -> None:
    """Raise InputError unless disks have room for what a run still has to write.

    It can be asked before the run has made any file. Models are counted as soon as `results` says how large
    the networks are.

    Args:
        configuration: of the run.
        images: the number of images of each dataset.
        sizes: (height, width) that the images of a dataset are taken to have.
        results: the folder of the run's results.
        states: the folder of its trainings' states.
    """
    plan = RunPlan(configuration)
    storage, target = plan.storage(), configuration.target
    pixels = {name: number * sizes[name][0] * sizes[name][1] for name, number in images.items()}
    of_source = sum(pixels[name] for name in plan.source_datasets)
    of_images = bytes_of_run(storage, of_source, pixels[target], images[target])
    of_networks = results / "data" / "networks.json"
    networks = read_network_sizes(of_networks) if of_networks.is_file() else {}
    if not networks:
        storage = replace(storage, models={})
    below_results, below_states = missing_bytes(storage, of_images, networks, results, states)
    rendered = {
        name: settings
        for name, settings in configuration.datasets.items()
        if name in images and isinstance(settings, StreetsSettings)
    }
    below_results["rendered images"] = sum(
        max(
            0,
            sum(bytes_of_scenes(of.images, of.width, of.height, "jpg").values())
            - bytes_below(results / "data" / name / "scenes"),
        )
        for name, of in rendered.items()
    )
    what = "the run" if networks else "the run, without its models,"
    check_disk({results: below_results, states: below_states}, what)


def check_disk(needed: Mapping[Path, Mapping[str, int]], what: str) -> None:
    """Raise InputError unless disks have room for the bytes that are needed.

    Args:
        needed: folder -> kind of files -> bytes. Folders on one disk share it. They need not exist yet.
        what: what needs the room, for the message, as "the run".
    """
    disks: dict[int, tuple[Path, dict[str, int]]] = {}
    for folder, kinds in needed.items():
        existing = nearest_existing(folder)
        _, of_disk = disks.setdefault(existing.stat().st_dev, (existing, {}))
        of_disk.update(kinds)
    for folder, kinds in disks.values():
        free, total = shutil.disk_usage(folder).free, sum(kinds.values())
        if total > free:
            parts = ", ".join(f"{size_in_words(size)} {kind}" for kind, size in kinds.items() if size)
            raise InputError(
                f"{os.path.abspath(folder)}: its disk has {size_in_words(free)} free, but {what} needs about "
                f"{size_in_words(total)} ({parts}); free some space, or work in a folder on another disk"
            )


def size_in_words(size: int) -> str:
    """Return bytes as text: "3.2 GiB"."""
    for unit, factor in (("GiB", 2**30), ("MiB", 2**20)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size / 2**10:.1f} KiB"
