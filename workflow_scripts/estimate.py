"""Tell how long a run will take and how much memory a training needs, before it starts.

Measures, on the device that the run would use: training steps on random images, the making of batches from
the real source images, and the prediction of target images of their real size. Trainings and labellings of
--plan are then added up. Of --processes that share each batch one is measured, with its share. Left out is
what is small beside the rest: reading and writing of labels, and what processes tell each other.
"""

import json
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

from cotrain.data.files import write_text
from cotrain.data.label_spaces import label_space
from cotrain.data.manifests import read_manifest
from cotrain.errors import InputError
from cotrain.progress import duration
from workflow_scripts.command_line import add_inference_arguments, parse, parser, run, settings
from workflow_scripts.training_batches import labelled_sets, make_batches

EXAMPLE = """python -m workflow_scripts.estimate --training results/demo/settings/baseline.json \\
    --label-space cityscapes7 --source results/demo/data/game/train_ids.tsv \\
    --images results/demo/data/camera/images.tsv --output estimate.txt \\
    --plan '{"trainings": {"baseline": 350}, "labellings": {}}'"""
# The first steps also choose kernels and fill caches.
STEPS_TO_WARM_UP = 2
STEPS_TO_MEASURE = 5


def main(arguments: list[str] | None = None) -> None:
    made = parser(__doc__, EXAMPLE)
    made.add_argument("--training", type=settings, required=True, help="settings of the baseline's training")
    made.add_argument("--label-space", required=True)
    made.add_argument("--source", type=Path, nargs="+", required=True, help="manifests with labels")
    made.add_argument("--images", type=Path, required=True, help="manifest of the target's images")
    made.add_argument(
        "--plan",
        type=json.loads,
        required=True,
        help='JSON: {"trainings": {model: iterations}, "labellings": {what: images, -1 for all}}',
    )
    add_inference_arguments(made)
    made.add_argument("--processes", type=int, default=1, help="processes that train one model (default 1)")
    made.add_argument("--output", type=Path, required=True, help="text file to write")
    options = parse(made, arguments)
    target = read_manifest(options.images)
    if not target:
        raise InputError(f"{options.images}: lists no image")

    import torch

    from cotrain.devices import claimed_device
    from cotrain.networks.build import build_network
    from cotrain.networks.inference import InferenceSettings, predict
    from cotrain.networks.settings import NetworkSettings
    from cotrain.training.batches import loader_threads
    from cotrain.training.guidance import memory_advice, peak_memory_mib
    from cotrain.training.loop import LoopSettings
    from cotrain.training.parallel import Workers

    torch.set_num_threads(options.threads)
    chosen, space = options.training, label_space(options.label_space)
    # Which images are drawn makes no difference to how long it takes.
    chosen["training"]["rare_class_sampling"]["enabled"] = False
    of_batches = Namespace(
        model="estimate",
        settings=chosen,
        label_space=options.label_space,
        source=options.source,
        target=None,
        thresholds=None,
        # Not made yet: with them batches are faster than told.
        decoded=[],
    )
    batches = make_batches(of_batches, *labelled_sets(of_batches))
    share = Workers(count=options.processes).slots(chosen["training"]["batch_size"])
    network = build_network(
        NetworkSettings.from_mapping(chosen["network"]), space.number_of_classes, 0, pretrained=False
    )
    loop = LoopSettings.from_mapping(
        {**chosen["training"], **chosen, "save_every_iterations": 1, "log_every_iterations": 1}
    )
    with claimed_device(options.device) as device:
        with memory_advice("a step of the baseline's training", chosen):
            seconds_a_step = _seconds_a_step(
                network, loop, (len(share), *chosen["training"]["crop"]), space.number_of_classes, device
            )
        memory = peak_memory_mib(device)
        started = time.monotonic()
        for iteration in range(STEPS_TO_MEASURE):
            batches.batch(iteration, share)
        loaders = loader_threads(options.threads, device.type)
        seconds_a_batch = (time.monotonic() - started) / STEPS_TO_MEASURE / loaders
        inference = InferenceSettings.from_mapping(options.settings, options.precision)
        sample = target[: 4 * inference.batch_size]
        started = time.monotonic()
        for _ in predict([network], sample, inference, device):
            pass
        seconds_an_image = (time.monotonic() - started) / len(sample)
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type

    seconds = max(seconds_a_step, seconds_a_batch)
    limit = "making batches" if seconds_a_batch > seconds_a_step else "the network"
    processes = f"{options.processes} processes, each " if options.processes > 1 else ""
    text = report(options.plan, len(target), seconds, seconds_an_image) + (
        f"\n{processes}on {name}: {1 / seconds:.2f} iterations a second, limited by {limit} "
        f"({1000 * seconds_a_step:.0f} ms a step, {1000 * seconds_a_batch:.0f} ms a batch);\n"
        f"{1 / seconds_an_image:.1f} images labelled a second; "
        f"a training needs about {memory / 1024:.1f} GiB\n"
    )
    write_text(options.output, text)
    print(text)


def report(plan: dict[str, Any], images: int, seconds_an_iteration: float, seconds_an_image: float) -> str:
    """Return the table of a plan: for each kind of work its amount and time, and the sum."""
    trainings, labellings = plan["trainings"], plan["labellings"]
    lines, total = [], 0.0
    kinds: dict[str, tuple[int, int]] = {}
    for model, iterations in trainings.items():
        number, done = kinds.get(model.split("/")[0], (0, 0))
        kinds[model.split("/")[0]] = (number + 1, done + iterations)
    for kind, (number, iterations) in kinds.items():
        seconds = iterations * seconds_an_iteration
        total += seconds
        what = f"{number} trainings" if number > 1 else "1 training"
        lines.append((kind, what, f"{iterations} iterations", duration(seconds)))
    labelled = sum(images if number == -1 else min(number, images) for number in labellings.values())
    seconds = labelled * seconds_an_image
    total += seconds
    lines.append(("labelling", f"{len(labellings)} sets", f"{labelled} images", duration(seconds)))
    lines.append(("all", "", "", duration(total)))
    widths = [max(len(line[column]) for line in lines) for column in range(4)]
    rows = [
        f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}  {d:>{widths[3]}}".rstrip()
        for a, b, c, d in lines
    ]
    return "\n".join(rows) + "\n"


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
