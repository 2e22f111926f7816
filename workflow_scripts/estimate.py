"""Tell how long a run will take and how much memory a training needs, before it starts.

Measures, on the device that the run would use, for each network: training steps on random images, and the
prediction of target images of their real size; and the cutting of crops from the real source images.
Trainings and labellings of --plan are then added up, as if one followed the other. Of --processes that share
each batch one is measured, with its share. Scores count as labellings, whatever evaluation.protocol says.
Left out is what is small beside the rest: reading and writing of labels, and what processes tell each other.
"""

import json
import time
from argparse import ArgumentTypeError, Namespace
from pathlib import Path
from typing import Any, NamedTuple

from cotrain.data.files import write_text
from cotrain.data.label_spaces import label_space
from cotrain.data.manifests import read_manifest
from cotrain.errors import InputError
from cotrain.progress import duration
from workflow_scripts.command_line import add_inference_arguments, new_parser, parse, positive, run, settings
from workflow_scripts.training_batches import labelled_sets, make_batches, training_settings

EXAMPLE = """python -m workflow_scripts.estimate --training results/demo/settings/baseline.json \\
    --label-space cityscapes7 --source results/demo/data/game/train_ids.tsv \\
    --images results/demo/data/camera/images.tsv --output by_hand/estimate.txt \\
    --plan '{"trainings": {"baseline": [350, "baseline"]}, "labellings": {"score": [-1, "baseline"]}}'"""
# The first steps also choose kernels and fill caches.
STEPS_TO_WARM_UP = 2
STEPS_TO_MEASURE = 5


class Speed(NamedTuple):
    """What is measured of one network."""

    seconds_a_step: float
    seconds_an_image: float


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    parser.add_argument(
        "--training",
        type=_named_settings,
        nargs="+",
        required=True,
        help="files with settings of trainings; the plan names them by their file names without .json",
    )
    parser.add_argument("--label-space", required=True)
    parser.add_argument("--source", type=Path, nargs="+", required=True, help="manifests with labels")
    parser.add_argument("--images", type=Path, required=True, help="manifest of the target's images")
    parser.add_argument(
        "--plan",
        type=_plan,
        required=True,
        help='JSON: {"trainings": {model: [iterations, settings]}, '
        '"labellings": {what: [images or -1 for all, settings]}}',
    )
    add_inference_arguments(parser)
    parser.add_argument(
        "--processes", type=positive, default=1, help="processes that train one model (default 1)"
    )
    parser.add_argument("--output", type=Path, required=True, help="text file to write")
    options = parse(parser, arguments)
    target = read_manifest(options.images)
    if not target:
        raise InputError(f"{options.images}: lists no image")

    import torch

    from cotrain.devices import claimed_device
    from cotrain.training.batches import loader_threads
    from cotrain.training.guidance import peak_memory_mib
    from cotrain.training.parallel import Workers

    torch.set_num_threads(options.threads)
    stages = dict(options.training)
    first = next(iter(stages.values()))
    if first["training"]["batch_size"] % options.processes:
        raise InputError(
            f"--processes: found {options.processes}, expected a divisor of the batch's "
            f"{first['training']['batch_size']} crops"
        )
    for what, (_, name) in (options.plan["trainings"] | options.plan["labellings"]).items():
        if name not in stages:
            raise InputError(
                f"--plan: {what!r} is to have the settings {name!r}, expected one of {', '.join(stages)}"
            )
    share = len(Workers(count=options.processes).slots(first["training"]["batch_size"]))
    with claimed_device(options.device) as device:
        # Stages differ in their data; most share one network, whose speed is measured once.
        networks = {name: json.dumps(chosen["network"], sort_keys=True) for name, chosen in stages.items()}
        measured: dict[str, Speed] = {}
        for name, network in networks.items():
            if network not in measured:
                measured[network] = _speed(name, stages[name], share, target, options, device)
        memory = peak_memory_mib(device)
        threads = loader_threads(options.threads, device.type)
        seconds_a_crop = _seconds_a_crop(first, options) / threads / options.processes
        device_name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type

    processes = f"{options.processes} processes, each " if options.processes > 1 else ""
    lines = [f"{processes}on {device_name}, {memory / 1024:.1f} GiB at most:"]
    seconds_an_iteration, seconds_an_image = {}, {}
    for name, chosen in stages.items():
        seconds_a_step, seconds_an_image[name] = measured[networks[name]]
        seconds_a_batch = crops_read(chosen) * seconds_a_crop
        seconds_an_iteration[name] = max(seconds_a_step, seconds_a_batch)
        limit = "making batches" if seconds_a_batch > seconds_a_step else "the network"
        lines.append(
            f"{name}: {1 / seconds_an_iteration[name]:.2f} iterations a second, limited by {limit} "
            f"({1000 * seconds_a_step:.0f} ms a step, {1000 * seconds_a_batch:.0f} ms a batch); "
            f"{1 / seconds_an_image[name]:.1f} images labelled a second"
        )
    text = report(options.plan, len(target), seconds_an_iteration, seconds_an_image)
    text += "\n" + "\n".join(lines) + "\n"
    write_text(options.output, text)
    print(text)


def report(
    plan: dict[str, dict[str, tuple[int, str]]],
    images: int,
    seconds_an_iteration: dict[str, float],
    seconds_an_image: dict[str, float],
) -> str:
    """Return the table of a plan: for each kind of work its amount and time, and the sum.

    Args:
        plan: see --plan.
        images: size of the target.
        seconds_an_iteration, seconds_an_image: for each settings that the plan names.
    """
    kinds: dict[str, tuple[int, int, float]] = {}
    for model, (iterations, name) in plan["trainings"].items():
        kind = model.split("/")[0]
        number, done, seconds = kinds.get(kind, (0, 0, 0.0))
        kinds[kind] = (number + 1, done + iterations, seconds + iterations * seconds_an_iteration[name])
    lines = [
        (kind, f"{number} trainings" if number > 1 else "1 training", f"{done} iterations", duration(seconds))
        for kind, (number, done, seconds) in kinds.items()
    ]
    labelled = [
        (images if number == -1 else min(number, images), name)
        for number, name in plan["labellings"].values()
    ]
    labelling = sum(number * seconds_an_image[name] for number, name in labelled)
    lines.append(
        (
            "labelling",
            f"{len(labelled)} sets",
            f"{sum(number for number, _ in labelled)} images",
            duration(labelling),
        )
    )
    lines.append(("all", "", "", duration(sum(seconds for _, _, seconds in kinds.values()) + labelling)))
    widths = [max(len(line[column]) for line in lines) for column in range(4)]
    rows = [
        f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}  {d:>{widths[3]}}".rstrip()
        for a, b, c, d in lines
    ]
    return "\n".join(rows) + "\n"


def _plan(text: str) -> dict[str, Any]:
    found = settings(text)
    if found.keys() != {"trainings", "labellings"}:
        raise ArgumentTypeError(
            f"found the keys {', '.join(found) or 'none'}, expected trainings, labellings"
        )
    for part in found.values():
        if not isinstance(part, dict) or not all(
            isinstance(one, list) and len(one) == 2 for one in part.values()
        ):
            raise ArgumentTypeError("expected name -> [number, settings] in trainings and in labellings")
    return found


def _named_settings(file: str) -> tuple[str, dict[str, Any]]:
    return Path(file).stem, training_settings(file)


def crops_read(chosen: dict[str, Any]) -> int:
    """Return how many crops a batch is made of: class mixing pastes from a further source crop."""
    if "batch_ratio" not in chosen:
        return int(chosen["training"]["batch_size"])
    of_source, of_target = chosen["batch_ratio"]
    return int(of_source + of_target * (1 if chosen["class_mixing"] == "none" else 2))


def _speed(
    name: str, chosen: dict[str, Any], share: int, target: Any, options: Namespace, device: Any
) -> Speed:
    """Measure the network of a training: its steps on `share` crops, and predictions of target images."""
    from cotrain.networks.build import build_network
    from cotrain.networks.inference import InferenceSettings, predict
    from cotrain.networks.settings import NetworkSettings
    from cotrain.training.guidance import memory_advice
    from cotrain.training.loop import LoopSettings

    classes = label_space(options.label_space).number_of_classes
    network = build_network(NetworkSettings.from_mapping(chosen["network"]), classes, 0, pretrained=False)
    loop = LoopSettings.from_mapping(
        {**chosen["training"], **chosen, "save_every_iterations": 1, "log_every_iterations": 1}
    )
    with memory_advice(f"a step of a training of {name}", chosen):
        seconds_a_step = _seconds_a_step(network, loop, (share, *chosen["training"]["crop"]), classes, device)
    inference = InferenceSettings.from_mapping(options.settings, options.precision)
    sample = target[: 4 * inference.batch_size]
    started = time.monotonic()
    for _ in predict([network], sample, inference, device):
        pass
    return Speed(seconds_a_step, (time.monotonic() - started) / len(sample))


def _seconds_a_crop(chosen: dict[str, Any], options: Namespace) -> float:
    """Return the seconds that one thread takes to cut a crop from the source's images."""
    # Which images are drawn makes no difference to how long it takes.
    sampling = {**chosen["training"]["rare_class_sampling"], "enabled": False}
    of_batches = Namespace(
        model="estimate",
        settings={**chosen, "training": {**chosen["training"], "rare_class_sampling": sampling}},
        label_space=options.label_space,
        source=options.source,
        target=None,
        thresholds=None,
        # Not made yet: with them batches are faster than told.
        decoded=[],
    )
    batches = make_batches(of_batches, *labelled_sets(of_batches))
    started = time.monotonic()
    for iteration in range(STEPS_TO_MEASURE):
        batches.batch(iteration)
    return (time.monotonic() - started) / STEPS_TO_MEASURE / int(chosen["training"]["batch_size"])


def _seconds_a_step(network: Any, loop: Any, size: tuple[int, int, int], classes: int, device: Any) -> float:
    """Return the seconds of a training step on random images of `size` (number, height, width)."""
    import torch

    from cotrain.training.loop import step
    from cotrain.training.optimisers import make_optimiser

    network.to(device).train()
    optimiser = make_optimiser(network, loop)
    number, height, width = size
    images = torch.randint(0, 256, (number, 3, height, width), dtype=torch.uint8, device=device)
    labels = torch.randint(0, classes, size, device=device)
    for done in range(STEPS_TO_WARM_UP + STEPS_TO_MEASURE):
        if done == STEPS_TO_WARM_UP:
            _finish(device)
            started = time.monotonic()
        step(network, optimiser, images, labels, loop)
    _finish(device)
    return (time.monotonic() - started) / STEPS_TO_MEASURE


def _finish(device: Any) -> None:
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    run(main)
