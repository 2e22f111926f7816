"""How long a run takes and how much memory a training needs, measured before it starts."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import torch

from cotrain.configuration.names import ModelName
from cotrain.configuration.run_plan import ALL_IMAGES, Work
from cotrain.configuration.sections import InferenceSettings, RareClassSampling, TrainingSettings
from cotrain.data.label_spaces import LabelSpace
from cotrain.data.manifests import Item
from cotrain.networks.build import build_network
from cotrain.networks.inference import batches_of_one_size, predict
from cotrain.networks.network import Network
from cotrain.progress import duration
from cotrain.training.guidance import memory_advice
from cotrain.training.inputs import TrainingFiles
from cotrain.training.loop import step
from cotrain.training.optimisers import make_optimiser
from cotrain.training.passes import make_passes
from cotrain.words import counted

# The first steps also choose kernels and fill caches.
STEPS_TO_WARM_UP = 2
STEPS_TO_MEASURE = 5


class Speed(NamedTuple):
    """What is measured of one network."""

    seconds_a_step: float
    seconds_an_image: float


def measured_speed(
    name: str,
    settings: TrainingSettings,
    crops: int,
    space: LabelSpace,
    target: Sequence[Item],
    inference: InferenceSettings,
    device: torch.device,
) -> Speed:
    """Measure a training's network: its steps on `crops` random crops, and predictions of target images."""
    network = build_network(settings.network, space.number_of_classes, 0, pretrained=False)
    with memory_advice(f"a step of a training of {name}", settings):
        seconds_a_step = _seconds_a_step(network, settings, crops, space.number_of_classes, device)
    sample = target[: 4 * inference.batch_size]
    started = time.monotonic()
    for _ in predict([network], batches_of_one_size(sample, inference.batch_size), inference, device):
        pass
    return Speed(seconds_a_step, (time.monotonic() - started) / len(sample))


def _seconds_a_step(
    network: Network, settings: TrainingSettings, crops: int, classes: int, device: torch.device
) -> float:
    network.to(device).train()
    optimiser = make_optimiser(network, settings)
    size = (crops, *settings.crop)
    images = torch.randint(0, 256, (crops, 3, *settings.crop), dtype=torch.uint8, device=device)
    labels = torch.randint(0, classes, size, device=device)
    hard_pixels = max(1, int(settings.hard_pixel_share * labels.numel()))
    passes = make_passes(network, settings, images, labels)
    for done in range(STEPS_TO_WARM_UP + STEPS_TO_MEASURE):
        if done == STEPS_TO_WARM_UP:
            _finish(device)
            started = time.monotonic()
        step(passes, optimiser, images, labels, hard_pixels)
    _finish(device)
    return (time.monotonic() - started) / STEPS_TO_MEASURE


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def measured_seconds_a_crop(settings: TrainingSettings, space: LabelSpace, source: Sequence[Path]) -> float:
    """Measure how long one thread takes to cut a crop from the images of the source manifests.

    Images kept decoded do not exist yet: with them, batches are faster than this.
    """
    # Which images are drawn makes no difference to how long it takes.
    plain = msgspec.structs.replace(settings, rare_class_sampling=RareClassSampling())
    files = TrainingFiles(source)
    batches = files.make_batches(files.read_images(), "estimate", plain, space)
    started = time.monotonic()
    for iteration in range(STEPS_TO_MEASURE):
        batches.batch(iteration)
    return (time.monotonic() - started) / STEPS_TO_MEASURE / settings.batch_size


def crops_read(settings: TrainingSettings) -> int:
    """Return how many crops a batch is made of: class mixing pastes from one more source crop each."""
    if settings.batch_ratio is None:
        return settings.batch_size
    of_source, of_target = settings.batch_ratio
    return of_source + of_target * (1 if settings.class_mixing == "none" else 2)


def report(
    work: Work,
    images: int,
    seconds_an_iteration: Mapping[str, float],
    seconds_an_image: Mapping[str, float],
) -> str:
    """Return the table of a run: the amount and time of each kind of work, and the sum.

    Args:
        work: all trainings and labellings.
        images: size of the target.
        seconds_an_iteration, seconds_an_image: for each settings that `work` names.
    """
    kinds: dict[str, tuple[int, int, float]] = {}
    for training in work.trainings:
        kind = ModelName.parse(training.what).stage
        number, iterations, seconds = kinds.get(kind, (0, 0, 0.0))
        more = training.number * seconds_an_iteration[training.settings_name]
        kinds[kind] = (number + 1, iterations + training.number, seconds + more)
    lines = [
        (
            kind,
            counted(number, "training"),
            f"{iterations} iterations",
            duration(seconds),
        )
        for kind, (number, iterations, seconds) in kinds.items()
    ]
    labelled = [
        (images if one.number == ALL_IMAGES else min(one.number, images), one.settings_name)
        for one in work.labellings
    ]
    labelling = sum(number * seconds_an_image[name] for number, name in labelled)
    total = sum(number for number, _ in labelled)
    lines.append(("labelling", counted(len(labelled), "set"), counted(total, "image"), duration(labelling)))
    lines.append(("all", "", "", duration(sum(seconds for _, _, seconds in kinds.values()) + labelling)))
    widths = [max(len(line[column]) for line in lines) for column in range(4)]
    rows = [
        f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}  {d:>{widths[3]}}".rstrip()
        for a, b, c, d in lines
    ]
    return "\n".join(rows) + "\n"
